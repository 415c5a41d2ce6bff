//! Private keys as text, wherever they lie: on lines of their own, behind comment signs, or as one line of JSON or of a
//! file of variables.

use memchr::memmem;

use super::{Code, Finding, Position};

/// Base64 characters of the shortest key: 48 bytes of PKCS #8.
const LEAST_KEY: usize = 60;

/// Of the private part of a file of PuTTY, which is shorter.
const LEAST_PUTTY_KEY: usize = 40;

/// A piece of base64 that is no end of a key has so many characters; words of a text are shorter.
const LEAST_PIECE: usize = 20;

/// Within so many bytes behind its first line a key has begun.
const WINDOW: usize = 2048;

/// Within so many bytes PuTTY comes to the private part.
const PUTTY_WINDOW: usize = 8192;

pub(super) fn private_keys(bytes: &[u8]) -> Vec<Finding> {
    let mut keys = pem(bytes);
    keys.extend(age(bytes, b"AGE-SECRET-KEY-"));
    // the checksum is the same, and a change of case makes it work again
    keys.extend(age(bytes, b"age-secret-key-"));
    keys.extend(putty(bytes));
    let finding = |(at, what): (usize, &str)| Finding {
        code: Code::PrivateKey,
        position: Some(Position::of(bytes, at)),
        message: format!("{what} lies in this file"),
        fix: "take it out, and replace the key: who has the repository has it".to_owned(),
    };
    keys.into_iter().map(finding).collect()
}

/// Where a key begins, and what it is.
type Key = (usize, &'static str);

fn age(bytes: &[u8], prefix: &'static [u8]) -> impl Iterator<Item = Key> {
    let is_key = move |at: &usize| {
        let rest = &bytes[at + prefix.len()..];
        let rest = rest.strip_prefix(b"PQ-").or(rest.strip_prefix(b"pq-")).unwrap_or(rest);
        let same_case =
            |byte: &&u8| byte.is_ascii_digit() || byte.is_ascii_uppercase() == prefix[0].is_ascii_uppercase();
        let data = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).take_while(same_case);
        rest.first() == Some(&b'1') && data.count() > 50
    };
    memmem::find_iter(bytes, prefix).filter(is_key).map(|at| (at, "an age identity"))
}

fn pem(bytes: &[u8]) -> Vec<Key> {
    const WORDS: &[u8] = b"PRIVATE KEY";
    let key = |at: usize| {
        let (start, label) = opening(&bytes[..at])?;
        let rest = &bytes[at + WORDS.len()..];
        let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
        // ssh.com has a blank in front of four dashes
        let body = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"----")?;
        let body = &body[..body.len().min(WINDOW)];
        let body = &body[..memmem::find(body, b"----").unwrap_or(body.len())];
        let text = unescaped(body);
        let has_pass_phrase =
            memmem::find(label, b"ENCRYPTED").is_some() || memmem::find(&text, b",ENCRYPTED").is_some();
        let what = if has_pass_phrase { "a private key with a pass phrase" } else { "a private key" };
        holds_key(&text, LEAST_KEY).then_some((start, what))
    };
    memmem::find_iter(bytes, WORDS).filter_map(key).collect()
}

/// The start of a `-----BEGIN … ` that these bytes end with, and what stands in place of the dots.
fn opening(before: &[u8]) -> Option<(usize, &[u8])> {
    const BEGIN: &[u8] = b"BEGIN ";
    // the longest label is that of ssh.com
    let near = before.len().saturating_sub(48);
    let begin = near + memmem::rfind(&before[near..], BEGIN)?;
    let label = &before[begin + BEGIN.len()..];
    let is_label =
        label.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    let dashes = before[..begin].strip_suffix(b" ").unwrap_or(&before[..begin]);
    let count = dashes.iter().rev().take(5).take_while(|byte| **byte == b'-').count();
    (is_label && count >= 4).then(|| (dashes.len() - count, label))
}

fn putty(bytes: &[u8]) -> impl Iterator<Item = Key> {
    memmem::find_iter(bytes, b"PuTTY-User-Key-File-").filter_map(|at| {
        let file = &bytes[at..bytes.len().min(at + PUTTY_WINDOW)];
        let private = memmem::find(file, b"Private-Lines:")?;
        let text = unescaped(&file[private..]);
        let is_sealed = memmem::find(&file[..private], b"Encryption: aes").is_some();
        let what = if is_sealed { "an ssh key of PuTTY with a pass phrase" } else { "an ssh key of PuTTY" };
        holds_key(&text, LEAST_PUTTY_KEY).then_some((at, what))
    })
}

/// Whether pieces of base64 follow each other that are a key together. Between them may be what a file puts between the
/// lines of a text: blanks, quotes, signs of comments. An example from which lines are left out is no key.
fn holds_key(text: &[u8], least: usize) -> bool {
    let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`,\\".contains(byte);
    let mut run: Vec<u8> = Vec::new();
    // PHP puts one between two lines
    let mut dots = 0;
    for word in text.split(is_between) {
        let signs = word.iter().take_while(|byte| b"#;*>|".contains(byte)).count();
        let word = &word[signs..];
        if word.iter().all(|byte| b"+/-.".contains(byte)) {
            dots += word.iter().filter(|byte| **byte == b'.').count();
            if dots > 1 && !run.is_empty() {
                return false;
            }
            continue;
        }
        dots = 0;
        let is_base64 = word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
        if is_base64 {
            run.extend(word);
        }
        if !is_base64 || word.len() < LEAST_PIECE {
            if is_key(&run, least) {
                return true;
            }
            run.clear();
        }
    }
    is_key(&run, least)
}

fn is_key(run: &[u8], least: usize) -> bool {
    run.len() >= least && is_mixed(run)
}

/// Bytes that were encoded have characters of all kinds; `xxxxxxxx`, paths and names have not.
fn is_mixed(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_uppercase)
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_digit)
}

/// How formats write characters of a key in one line of text, and what they stand for.
const ESCAPES: [(&[u8], u8); 12] = [
    (b"\\n", b'\n'),
    (b"\\r", b'\n'),
    (b"\\t", b' '),
    (b"\\/", b'/'),
    (b"\\u000a", b'\n'),
    (b"\\u000d", b'\n'),
    (b"\\u002b", b'+'),
    (b"\\u002f", b'/'),
    (b"\\u003d", b'='),
    (b"&#10;", b'\n'),
    (b"&#xa;", b'\n'),
    (b"%0a", b'\n'),
];

/// The text without escapes, also where they were escaped once more.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.first() {
        // JSON in JSON has `\\n`
        let doubled = rest.iter().take_while(|byte| **byte == b'\\').count().saturating_sub(1);
        let here = &rest[doubled..];
        let matches = |(escape, _): &&(&[u8], u8)| {
            here.get(..escape.len()).is_some_and(|has| has.eq_ignore_ascii_case(escape))
        };
        match ESCAPES.iter().find(matches).filter(|_| b"\\&%".contains(first)) {
            Some((escape, stands_for)) => {
                plain.push(*stands_for);
                rest = &here[escape.len()..];
            }
            None => {
                plain.push(*first);
                rest = &rest[1..];
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIO7uNotARealKeyButLongEnough0000AAAA1111BBBB";

    fn found(text: &str) -> Vec<(usize, usize)> {
        let findings = private_keys(text.as_bytes());
        findings.iter().filter_map(|found| found.position).map(|at| (at.line, at.column)).collect()
    }

    #[test]
    fn a_key_is_found_where_it_begins() {
        for (text, at) in [
            (format!("a\n-----BEGIN PRIVATE KEY-----\n{KEY}\n"), (2, 1)),
            (format!("k: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  {KEY}\n"), (2, 3)),
            (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{KEY}\n"), (1, 1)),
            (format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\r\n{KEY}\r\n"), (1, 1)),
            (format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\n{KEY}\n"), (1, 1)),
            (
                format!(
                    "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{KEY}\n"
                ),
                (1, 1),
            ),
        ] {
            assert_eq!(found(&text), [at], "{text}");
        }
    }

    #[test]
    fn a_key_on_one_line_or_behind_comment_signs_is_found() {
        let (first, second) = KEY.split_at(32);
        for (text, at) in [
            (
                format!("{{\"k\": \"-----BEGIN RSA PRIVATE KEY-----\\n{first}\\n{second}\\n-----END RSA\"}}"),
                (1, 8),
            ),
            (
                format!("\"{{\\\"k\\\": \\\"-----BEGIN PRIVATE KEY-----\\\\n{first}\\\\n{second}\\\\n\"}}"),
                (1, 12),
            ),
            (format!("K=\"-----BEGIN PRIVATE KEY-----\\n{KEY}\\n-----END PRIVATE KEY-----\\n\"\n"), (1, 4)),
            (format!("K=-----BEGIN PRIVATE KEY----- {first} {second} -----END PRIVATE KEY-----\n"), (1, 3)),
            (format!("# -----BEGIN PRIVATE KEY-----\n# {first}\n# {second}\n"), (1, 3)),
            (format!("// -----BEGIN PRIVATE KEY-----\n//   {first}\n//   {second}\n"), (1, 4)),
            (format!("; -----BEGIN PRIVATE KEY-----\n;{first}\n;{second}\n"), (1, 3)),
            (
                format!(
                    "s = \"-----BEGIN PRIVATE KEY-----\\n\" +\n    \"{first}\\n\" +\n    \"{second}\\n\"\n"
                ),
                (1, 6),
            ),
            (
                format!(
                    "$k = \"-----BEGIN PRIVATE KEY-----\\n\" .\n  \"{first}\\n\" .\n  \"{second}\\n\";\n"
                ),
                (1, 7),
            ),
            (format!("a\u{e4}: -----BEGIN PRIVATE KEY-----%0A{KEY}\n"), (1, 5)),
            (format!("<k>-----BEGIN PRIVATE KEY-----&#xA;{KEY}&#xA;</k>\n"), (1, 4)),
        ] {
            assert_eq!(found(&text), [at], "{text}");
        }
        let slashes = KEY.replace('A', "/").replace('/', "\\/");
        assert_eq!(found(&format!("{{\"k\":\"-----BEGIN PRIVATE KEY-----\\n{slashes}\"}}")), [(1, 7)]);
    }

    #[test]
    fn age_identities_are_found_in_both_cases() {
        let data = "Q".repeat(58);
        for text in [
            format!("# public\n  AGE-SECRET-KEY-1{data}\n"),
            format!("# public\n  age-secret-key-1{}\n", data.to_lowercase()),
            format!("# public\n  AGE-SECRET-KEY-PQ-1{data}\n"),
        ] {
            assert_eq!(found(&text), [(2, 3)], "{text}");
        }
        let mixed = format!("AGE-SECRET-KEY-1{}{}", "Q".repeat(29), "q".repeat(29));
        assert_eq!(found(&mixed), [], "Bech32 has one case");
    }

    #[test]
    fn a_key_of_putty_is_found() {
        let file = |lines: &str| {
            format!(
                "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\nPublic-Lines: 2\n{KEY}\n{lines}"
            )
        };
        let private = format!("Private-Lines: 1\n{}\nPrivate-MAC: 00\n", &KEY[..44]);
        assert_eq!(found(&file(&private)), [(1, 1)]);
        assert_eq!(found(&file("")), []);
    }

    #[test]
    fn talk_of_keys_is_no_key() {
        for harmless in [
            &format!("-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n"),
            &format!("-----BEGIN CERTIFICATE-----\n{KEY}\n"),
            "say -----BEGIN PRIVATE KEY----- to it, and then thisIsAVeryLongIdentifier1 and so on and on and on and on\n",
            "if line == \"-----BEGIN PRIVATE KEY-----\" {\n    return someFunctionWithALongName1(thing);\n}\n",
            "r\"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\\s]+-----END [A-Z ]*PRIVATE KEY-----\"\n",
            "'-----BEGIN RSA PRIVATE KEY-----\\n' + base64.b64encode(key.private_bytes()) + '\\n-----END RSA PRIVATE KEY-----'",
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC...\n-----END PRIVATE KEY-----\n",
            &format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n...\n{KEY}\n-----END PRIVATE KEY-----\n"),
            &format!("-----BEGIN PRIVATE KEY-----\n{KEY}\n . . .\n{KEY}\n-----END PRIVATE KEY-----\n"),
            "-----BEGIN PRIVATE KEY-----\n<your key>\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
            &format!("-----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----\n{KEY}\n"),
            "AGE-SECRET-KEY-1...\n",
            "keys start with AGE-SECRET-KEY-1\n",
            "age-secret-key-1, or age-secret-key-pq-1\n",
            "starts_with(b\"PuTTY-User-Key-File-\") and then Private-Lines: follow\n",
        ] {
            assert_eq!(found(harmless), [], "{harmless}");
        }
    }
}
