//! What is found in the bytes of a file, whatever its format.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::{Code, Finding, Position, codes};
use crate::store::Format;

/// Whether a file may carry metadata: every release writes this field.
pub(super) fn mentions_metadata(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"sops").is_some()
        && (memmem::find(bytes, b"lastmodified").is_some()
            || memmem::find(bytes, b"ENC[AES256_GCM,").is_some())
}

/// The line on which metadata begin, as the formats write it.
pub(super) fn has_metadata_line(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Json | Format::Binary => {
            bytes.trim_ascii_start().starts_with(b"{") && memmem::find(bytes, b"\"sops\"").is_some()
        }
        _ => metadata_position(bytes).is_some(),
    }
}

/// Where the metadata begin.
pub(super) fn metadata_position(bytes: &[u8]) -> Option<Position> {
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let indented = line.len() - line.trim_ascii_start().len();
        let text = line.trim_ascii();
        let begins = [&b"\"sops\":"[..], b"[sops]"].iter().any(|start| text.starts_with(start))
            || indented == 0 && (text.starts_with(b"sops:") || text.starts_with(b"sops_"));
        if begins {
            return Some(Position::of(bytes, offset + indented));
        }
        offset += line.len();
    }
    None
}

/// How the private keys of each kind begin, and what they are called.
const PRIVATE_KEYS: [(&[u8], &str); 3] = [
    (b"AGE-SECRET-KEY-1", "an age identity"),
    (b"AGE-SECRET-KEY-PQ-1", "an age identity"),
    (b"PRIVATE KEY", "a private key"),
];

/// Characters of a key that must follow, lest a text that only speaks of keys be found.
const LEAST_CHARACTERS: usize = 24;

pub(super) fn private_keys(bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (needle, what) in PRIVATE_KEYS {
        for at in memmem::find_iter(bytes, needle) {
            let start = match needle {
                b"PRIVATE KEY" => pem_start(bytes, at),
                _ => bech32_follows(&bytes[at + needle.len()..]).then_some(at),
            };
            if let Some(start) = start {
                findings.push(Finding {
                    code: Code::PrivateKey,
                    position: Some(Position::of(bytes, start)),
                    message: format!("{what} lies in this file"),
                    fix: "take it out, and replace the key: who has the repository has it".to_owned(),
                });
            }
        }
    }
    findings
}

fn bech32_follows(rest: &[u8]) -> bool {
    rest.iter().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count() >= 50
}

/// The start of a PEM block whose first line holds these words at `at`, if a key follows it. Line breaks may be written
/// as `\n`.
fn pem_start(bytes: &[u8], at: usize) -> Option<usize> {
    let line_start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let begin = memmem::rfind(&bytes[line_start..at], b"-----BEGIN ")? + line_start;
    let label = &bytes[begin + b"-----BEGIN ".len()..at];
    if !label.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ') {
        return None;
    }
    let rest = bytes[at + b"PRIVATE KEY".len()..]
        .strip_prefix(b" BLOCK")
        .unwrap_or(&bytes[at + b"PRIVATE KEY".len()..]);
    let body = rest.strip_prefix(b"-----")?;
    let text = String::from_utf8_lossy(&body[..body.len().min(512)]).replace("\\n", "\n").replace("\\r", "");
    let is_key = |line: &&str| {
        line.len() >= LEAST_CHARACTERS
            && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    };
    text.lines().skip(1).map(str::trim).find(is_key).map(|_| begin)
}

/// The first marker of a merge that was not finished.
pub(super) fn conflict_marker(bytes: &[u8]) -> Option<Finding> {
    let mut offset = 0;
    let mut start = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"<<<<<<< ") {
            start = start.or(Some(offset));
        }
        if line.starts_with(b">>>>>>> ")
            && let Some(start) = start
        {
            return Some(Finding {
                code: Code::ConflictMarker,
                position: Some(Position::of(bytes, start)),
                message: "a merge of this file was not finished".to_owned(),
                fix: "take one side (git checkout --ours or --theirs), then bring the other's changes in with rsops edit"
                    .to_owned(),
            });
        }
        offset += line.len();
    }
    None
}

/// The codes that a comment in the file allows: `rsops:allow private-key leftover`.
pub(super) fn allowed(bytes: &[u8]) -> HashSet<Code> {
    let mut allowed = HashSet::new();
    for at in memmem::find_iter(bytes, b"rsops:allow ") {
        let rest = &bytes[at + b"rsops:allow ".len()..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        allowed.extend(codes(String::from_utf8_lossy(line).split([' ', ',', '\t', '\r'])));
    }
    allowed
}

/// How people mark the decrypted copy of a file, and the encrypted one.
const DECRYPTED: [&str; 3] = [".decrypted", ".dec", ".plain"];
const ENCRYPTED: [&str; 4] = ["", ".enc", ".encrypted", ".sops"];

/// The encrypted files that a file with such a name may be a decrypted copy of: `secrets.dec.yaml` of `secrets.yaml` or
/// `secrets.enc.yaml`, `secrets.yaml.dec` of `secrets.yaml`.
pub fn companions(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let mut companions = Vec::new();
    for mark in DECRYPTED {
        let Some(at) = name.find(mark) else { continue };
        let (stem, rest) = (&name[..at], &name[at + mark.len()..]);
        // `.dec` is no mark in `.declared`
        if stem.is_empty() || !(rest.is_empty() || rest.starts_with(['.', '-', '_'])) {
            continue;
        }
        for other in ENCRYPTED {
            companions.push(path.with_file_name(format!("{stem}{other}{rest}")));
            if rest.is_empty()
                && let Some((base, extension)) = stem.rsplit_once('.')
            {
                companions.push(path.with_file_name(format!("{base}{other}.{extension}")));
            }
        }
    }
    companions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_begins_and_talk_of_keys_is_not() {
        let key = "MC4CAQAwBQYDK2VwBCIEIO7uNotARealKeyButLongEnough0000";
        let lines = |text: &str| {
            private_keys(text.as_bytes())
                .iter()
                .filter_map(|found| found.position)
                .map(|at| (at.line, at.column))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&format!("a\n-----BEGIN PRIVATE KEY-----\n{key}\n")), [(2, 1)]);
        assert_eq!(lines(&format!("k: |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  {key}\n")), [(2, 3)]);
        assert_eq!(lines(&format!("{{\"k\": \"-----BEGIN RSA PRIVATE KEY-----\\n{key}\\n\"}}")), [(1, 8)]);
        assert_eq!(lines(&format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{key}\n")), [(1, 1)]);
        let age = format!("AGE-SECRET-KEY-1{}", "Q".repeat(58));
        assert_eq!(lines(&format!("# public\n  {age}\n")), [(2, 3)]);
        for harmless in [
            "-----BEGIN PUBLIC KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
            "say -----BEGIN PRIVATE KEY----- to it\n",
            "if line == \"-----BEGIN PRIVATE KEY-----\" {\n    return Some(thing);\n}\n",
            "AGE-SECRET-KEY-1...\n",
            "keys start with AGE-SECRET-KEY-1\n",
        ] {
            assert_eq!(lines(harmless), [], "{harmless}");
        }
    }

    #[test]
    fn an_unfinished_merge_has_both_markers() {
        let text = b"a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other\n";
        assert_eq!(
            conflict_marker(text).and_then(|found| found.position),
            Some(Position { line: 2, column: 1 })
        );
        assert_eq!(conflict_marker(b"a\n<<<<<<< HEAD\n"), None);
        assert_eq!(conflict_marker(b" <<<<<<< HEAD\n >>>>>>> x\n"), None);
    }

    #[test]
    fn copies_are_told_by_their_names() {
        let of = |name: &str| -> Vec<String> {
            companions(Path::new(name)).iter().map(|path| path.display().to_string()).collect()
        };
        assert!(of("a/secrets.yaml.dec").contains(&"a/secrets.yaml".to_owned()));
        assert!(of("a/secrets.yaml.dec").contains(&"a/secrets.enc.yaml".to_owned()));
        assert!(of("secrets.dec.yaml").contains(&"secrets.yaml".to_owned()));
        assert!(of("secrets.decrypted.yaml").contains(&"secrets.enc.yaml".to_owned()));
        assert!(of("secrets.decrypted").contains(&"secrets".to_owned()));
        assert!(of("secrets.declared.yaml").is_empty());
        assert!(of(".dec").is_empty());
    }

    #[test]
    fn a_comment_allows_codes_by_name() {
        let allowed = allowed(b"# rsops:allow private-key, leftover nonsense\nrsops:allow no-mac");
        assert_eq!(allowed, HashSet::from([Code::PrivateKey, Code::Leftover, Code::NoMac]));
    }
}
