//! age keys from outside: recipients, identities, messages (keys.md §2).
#![cfg(feature = "age")]
// a helper that fails is a test that fails; a skipped test says so
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[cfg(unix)]
mod agent;
mod plugins;
mod ssh;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rsops::keys::age::{Identities, IdentitySources, Recipient};
use rsops::keys::secrecy::SecretString;
use rsops::keys::{Prompt, Silent};

const WRAPPED: [(&str, &str); 6] = [
    ("a1", "6128a0b8a3bb45593aeb352c1d61a89dd1bcf956ddc0e06e169bacee17215f6b"),
    ("a2", "746536de08806505c4c78b71932f269cf1b2ff8b99d90eb41be446fe78cbf9e7"),
    ("a3", "430fe52b46be10e70c3a281a03a2107bf4928fd8a4554f9091860ef933991337"),
    ("a4", "a20ccfbc47954f469c360d8cb85406df79164750cc85207db9d0730e2ba8bc38"),
    ("a5", "a6cea4696ccbdc27caf8f28506da7f0ac21479a697b489f0e048bbfbefe6ede3"),
    ("a6", "4bf63f953f4e4a1b22cc1f675f09c9342a1cf350818665320af1e27b88fe3c15"),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A person who answers and remembers what was said.
#[derive(Default)]
struct Person {
    passphrase: Option<&'static str>,
    heard: Mutex<Vec<String>>,
}

impl Person {
    fn with(passphrase: &'static str) -> Arc<Self> {
        Arc::new(Self { passphrase: Some(passphrase), heard: Mutex::default() })
    }

    fn hear(&self, text: impl Into<String>) {
        self.heard.lock().unwrap().push(text.into());
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

impl Prompt for Person {
    fn passphrase(&self, question: &str) -> Result<SecretString, String> {
        self.hear(question);
        self.passphrase.map(|text| SecretString::from(text.to_owned())).ok_or("nobody".to_owned())
    }

    fn read_public(&self, question: &str) -> Result<String, String> {
        self.hear(question);
        Ok("public answer".to_owned())
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String> {
        self.hear(format!("{question} {yes}/{no:?}"));
        Ok(true)
    }

    fn message(&self, text: &str) {
        self.hear(format!("message: {text}"));
    }

    fn remark(&self, text: &str) {
        self.hear(format!("remark: {text}"));
    }

    fn warn(&self, text: &str) {
        self.hear(format!("warning: {text}"));
    }
}

fn secret(text: impl Into<String>) -> Option<SecretString> {
    Some(SecretString::from(text.into()))
}

fn sources() -> IdentitySources {
    IdentitySources {
        home: Some("/nonexistent/home".into()),
        config_dir: Ok("/nonexistent/config".into()),
        ..IdentitySources::default()
    }
}

fn with_key(text: impl Into<String>) -> IdentitySources {
    IdentitySources { key: secret(text), ..sources() }
}

fn with_ssh(path: &Path) -> IdentitySources {
    IdentitySources { ssh_key_file: Some(path.into()), ..sources() }
}

/// The data key in hexadecimal, or the message.
fn unwrap_by(sources: IdentitySources, prompt: Arc<dyn Prompt>, enc: &str) -> Result<String, String> {
    let identities = Identities::new(sources, prompt);
    identities.unwrap(enc, "the recipient").map(|key| hex(&key)).map_err(|error| error.to_string())
}

fn unwrap(sources: IdentitySources, enc: &str) -> Result<String, String> {
    unwrap_by(sources, Arc::new(Silent), enc)
}

#[test]
fn the_specification_s_examples_open() {
    for (name, data_key) in WRAPPED {
        let file = |what: &str| fixture(&format!("age/{name}-{what}"));
        let person = Person::with(if name == "a3" { "sesame street" } else { "open sesame" });
        let sources = match name {
            "a1" | "a2" => with_key(read(&format!("age/{name}-identity.txt"))),
            "a3" => IdentitySources { key_file: Some(file("identity.age").into()), ..sources() },
            _ => with_ssh(&file("identity.txt")),
        };
        let enc = read(&format!("age/{name}-enc.txt"));
        assert_eq!(unwrap_by(sources, person.clone(), &enc), Ok(data_key.to_owned()), "{name}");
        let path = file("identity.txt").display().to_string();
        let asked = match name {
            "a3" => vec!["Enter passphrase for identity 'SOPS_AGE_KEY_FILE':".to_owned()],
            "a6" => vec![format!("Enter passphrase for {path:?}:")],
            _ => vec![],
        };
        assert_eq!(person.heard(), asked, "{name}");
        let recipient = read(&format!("age/{name}-recipient.txt"));
        assert_eq!(Recipient::parse(&recipient).unwrap().as_str(), recipient.trim());
    }
}

#[test]
fn identities_can_be_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Identities>();
    is_shared::<Recipient>();
}

#[test]
fn what_is_wrapped_opens_again() {
    let key = |name: &str| with_key(read(&format!("keys/{name}.txt")));
    let ssh = |name: &str| with_ssh(&fixture(name));
    let of_text = |name: &str| {
        let text = read(&format!("keys/{name}.txt"));
        text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
    };
    let of_ssh = |name: &str| read(&format!("keys/{name}.pub"));
    let cases = [
        (of_text("age-alice"), key("age-alice")),
        (of_text("age-pq"), key("age-pq")),
        (of_ssh("ssh-ed25519"), ssh("keys/ssh-ed25519")),
        (of_ssh("ssh-ed25519"), ssh("age/ed25519-pkcs8.pem")),
        (of_ssh("ssh-rsa"), ssh("keys/ssh-rsa")),
        (of_ssh("ssh-rsa"), ssh("age/rsa-pkcs1.pem")),
        (of_ssh("ssh-rsa"), ssh("age/rsa-pkcs8.pem")),
    ];
    for (recipient, sources) in cases {
        let recipient = Recipient::parse(&recipient).unwrap();
        for data_key in [&b"0123456789abcdef0123456789abcdef"[..], b"33", b""] {
            let enc = recipient.wrap(data_key, &Silent).unwrap();
            assert!(enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
            assert!(enc.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
            assert_eq!(unwrap(clone(&sources), &enc), Ok(hex(data_key)), "{recipient}");
        }
    }
}

fn clone(sources: &IdentitySources) -> IdentitySources {
    IdentitySources {
        ssh_key_file: sources.ssh_key_file.clone(),
        ssh_key_cmd: sources.ssh_key_cmd.clone(),
        home: sources.home.clone(),
        key: sources.key.clone(),
        key_file: sources.key_file.clone(),
        key_cmd: sources.key_cmd.clone(),
        config_dir: sources.config_dir.clone(),
        agent: sources.agent.clone(),
    }
}

#[test]
fn a_wrapped_key_has_one_stanza_and_always_the_same_length() {
    let recipient = read("age/a1-recipient.txt");
    let recipient = Recipient::parse(&recipient).unwrap();
    let length = read("age/a1-enc.txt").len();
    for _ in 0..20 {
        assert_eq!(recipient.wrap(&[7; 32], &Silent).unwrap().len(), length);
    }
}

#[test]
fn refused_recipients_are_told_why() {
    let native = "failed to parse input as Bech32-encoded age public key: malformed recipient";
    let plugin = "failed to parse input as age key from age plugin:";
    let ssh = "failed to parse input as age-ssh public key:";
    let bad = "age1mnzycxqwvmxc0waj8jw4lsseyjdaje2u97l4acpq6w6lhdfcuqhqxruuj5";
    let no_key = "ssh: no key found";
    let ignored = "ssh: no key found; last parsing error for ignored line:";
    let cases = [
        ("", "failed to parse input, unknown recipient type: \"\"".to_owned()),
        (" AGE1X\n", "failed to parse input, unknown recipient type: \"AGE1X\"".to_owned()),
        ("sk-ssh-x", "failed to parse input, unknown recipient type: \"sk-ssh-x\"".to_owned()),
        ("age1", format!("{native} \"age1\": separator '1' at invalid position: pos=3, len=4")),
        ("age1ABC", format!("{native} \"age1ABC\": mixed case")),
        (bad, format!("{native} {bad:?}: invalid checksum")),
        ("age1pq1qqq", format!("{native} \"age1pq1qqq\": separator '1' at invalid position: pos=6, len=10")),
        (
            "age1a1b",
            format!("{plugin} invalid recipient encoding: separator '1' at invalid position: pos=5, len=7"),
        ),
        ("ssh-ed25519", format!("{ssh} malformed SSH recipient: \"ssh-ed25519\": {no_key}")),
        (
            "ssh-ed25519 AAAA",
            format!("{ssh} malformed SSH recipient: \"ssh-ed25519 AAAA\": {ignored} ssh: short read"),
        ),
        (
            "ssh-rsa zz zz",
            format!(
                "{ssh} malformed SSH recipient: \"ssh-rsa zz zz\": {ignored} illegal base64 data at input byte 0"
            ),
        ),
        ("ssh-dss AAAAB3NzaC1kc3M=", format!("{ssh} unknown SSH recipient type: \"ssh-dss\"")),
        // a zero written with digits
        (
            "ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAAEA",
            format!(
                "{ssh} malformed SSH recipient: \"ssh-rsa AAAAB3NzaC1yc2EAAAABAAAAAAEA\": {ignored} ssh: incorrect exponent"
            ),
        ),
    ];
    for (text, message) in cases {
        let error = Recipient::parse(text).unwrap_err().to_string();
        // reasons of libraries need not be matched, but none is so far off
        assert_eq!(error, message, "{text}");
    }
    // a key that protects nothing
    let low_order = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z";
    let error = Recipient::parse(low_order).unwrap().wrap(&[1; 32], &Silent).unwrap_err().to_string();
    assert!(error.ends_with("invalid X25519 public key"), "{error}");
}

#[test]
fn a_recipient_keeps_its_comment() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdorTpHEPSdxk6xV6PS1lBX1KXYMoLn/0L9WQds4eAb";
    let with_comment = format!("  {key} me@host\n");
    assert_eq!(Recipient::parse(&with_comment).unwrap().as_str(), format!("{key} me@host"));
    assert_ne!(Recipient::parse(&with_comment), Recipient::parse(key));
}

const NOTHING: &str = "'SOPS_AGE_SSH_PRIVATE_KEY_FILE', 'SOPS_AGE_SSH_PRIVATE_KEY_CMD', \
                       '/nonexistent/home/.ssh/id_ed25519', '/nonexistent/home/.ssh/id_rsa'";

#[test]
fn without_identities_every_location_is_named() {
    let enc = read("age/a1-enc.txt");
    let message = format!(
        "failed to load age identities. Did not find keys in locations {NOTHING}, 'SOPS_AGE_KEY', \
         'SOPS_AGE_KEY_FILE', 'SOPS_AGE_KEY_CMD', and '/nonexistent/config/sops/age/keys.txt'."
    );
    assert_eq!(unwrap(sources(), &enc), Err(message.clone()));
    // even if the wrapped key is broken
    assert_eq!(unwrap(sources(), "x"), Err(message));
    let message = "failed to load age identities. Errors while loading age identities: $HOME is not defined; \
                   user config directory could not be determined: neither $XDG_CONFIG_HOME nor $HOME are \
                   defined. Did not find keys in locations 'SOPS_AGE_SSH_PRIVATE_KEY_FILE', \
                   'SOPS_AGE_SSH_PRIVATE_KEY_CMD', 'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', and 'SOPS_AGE_KEY_CMD'.";
    assert_eq!(unwrap(IdentitySources::default(), &enc), Err(message.to_owned()));
    let message = format!(
        "failed to load age identities. Did not find keys in locations {NOTHING}, 'SOPS_AGE_KEY_FILE', \
         'SOPS_AGE_KEY_CMD', and 'SOPS_AGE_KEY'."
    );
    assert_eq!(unwrap(with_key("# nothing\n  \n"), &enc), Err(message));
}

#[test]
fn identities_that_do_not_fit_are_counted() {
    let enc = read("age/a1-enc.txt");
    let reader = "failed to create reader for decrypting sops data key with age:";
    let missing =
        format!(". Did not find keys in locations {NOTHING}, 'SOPS_AGE_KEY_FILE', and 'SOPS_AGE_KEY_CMD'.");
    let bob = read("keys/age-bob.txt");
    let one = "identity did not match any of the recipients: incorrect identity for recipient block";
    assert_eq!(unwrap(with_key(&bob), &enc), Err(format!("{reader} {one}{missing}")));
    let several = "no identity matched any of the recipients";
    let both = format!("{bob}{}", read("keys/age-pq.txt"));
    assert_eq!(unwrap(with_key(both), &enc), Err(format!("{reader} {several}{missing}")));
    let message = unwrap(with_ssh(&fixture("keys/ssh-rsa")), &enc).unwrap_err();
    assert!(message.starts_with(&format!("{reader} {one}. Did not find keys in locations 'SOPS_AGE_SSH")));
    assert!(message.ends_with("'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', and 'SOPS_AGE_KEY_CMD'."));
}

#[test]
fn broken_wrapped_keys_are_told_why() {
    let alice = || with_key(read("age/a1-identity.txt"));
    let good = read("age/a1-enc.txt");
    let reader = "failed to create reader for decrypting sops data key with age: ";
    let intro = "failed to read header: parsing age header: failed to read intro: invalid armor:";
    let copy = "failed to copy age decrypted data into bytes.Buffer: ";
    let chunk = "failed to decrypt and authenticate payload chunk, file may be corrupted or tampered with";
    let cases = [
        (String::new(), format!("{reader}{intro} unexpected EOF")),
        ("x\n".to_owned(), format!("{reader}{intro} invalid first line: \"x\"")),
        (good.replacen("YWdl", " YWdl", 1), format!("{reader}{intro} column limit exceeded")),
        (
            good.replacen("YWdlLWVuY3J5cHRpb24ub3JnL3YxC", "YWdlLWVuY3J5cHRpb24ub3JnL3YyC", 1),
            format!(
                "{reader}failed to read header: parsing age header: unexpected intro: \"age-encryption.org/v2\\n\""
            ),
        ),
        (good.replacen("LS0tIG55", "LS0tIG56", 1), format!("{reader}bad header MAC")),
        (good.replacen("V7\nYNoK", "V7\nYNoL", 1), format!("{copy}{chunk}")),
        (format!("{good}x"), format!("{copy}invalid armor: trailing data after armored file")),
    ];
    for (enc, message) in cases {
        let error = unwrap(alice(), &enc).unwrap_err();
        assert_eq!(error.split(". Did not").next(), Some(message.as_str()), "{enc}");
    }
    assert!(unwrap(alice(), &format!("\n \n{}  \n", good.replace('\n', "\r\n"))).is_ok());
    assert!(unwrap(alice(), good.trim_end()).is_ok());
    // whatever is cut off, nothing is returned and nothing panics
    for end in 0..good.trim_end().len() {
        assert!(unwrap(alice(), &good[..end]).is_err());
    }
}

#[test]
fn bad_lines_are_warned_of_and_the_others_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let secret_line = read("age/a1-identity.txt").replace("AGE-SECRET-KEY-1HS", "AGE-SECRET-KEY-1HT");
    std::fs::write(&path, format!("# mine\nage1notsecret\n{secret_line}{}", read("age/a1-identity.txt")))
        .unwrap();
    let of_file = || IdentitySources { key_file: Some(path.clone().into()), ..sources() };
    let person = Arc::new(Person::default());
    assert!(unwrap_by(of_file(), person.clone(), &read("age/a1-enc.txt")).is_ok());
    let line = |number, why| {
        let path = path.display();
        format!(
            "warning: {path} (SOPS_AGE_KEY_FILE): line {number} is not an age identity and is ignored: {why}"
        )
    };
    let expected = vec![line(2, "unknown identity type"), line(3, "malformed secret key: invalid checksum")];
    assert_eq!(person.heard(), expected);
    // if none fits, the first error is in the message as well
    let message = unwrap(of_file(), &read("age/a2-enc.txt")).unwrap_err();
    let error = "Errors while loading age identities: failed to parse 'SOPS_AGE_KEY_FILE' age identities: \
                 unknown identity type. Did not find keys in";
    assert!(message.contains(error), "{message}");
}

#[test]
fn words_in_the_variable_lines_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let identity = read("age/a1-identity.txt");
    let spaced = format!("\t{}  {}\r\n", read("age/a2-identity.txt").trim(), identity.trim());
    let enc = read("age/a1-enc.txt");
    assert!(unwrap(with_key(&spaced), &enc).is_ok());
    std::fs::write(&path, spaced).unwrap();
    let of_file = || IdentitySources { key_file: Some(path.clone().into()), ..sources() };
    assert!(unwrap(of_file(), &enc).unwrap_err().contains("unknown identity type"));
    std::fs::write(&path, format!("\r\n# c\r\n{}\r\n", identity.trim())).unwrap();
    assert!(unwrap(of_file(), &enc).is_ok());
}

#[test]
fn files_that_do_not_open_are_named() {
    let enc = read("age/a1-enc.txt");
    let of_file = |path: &str| IdentitySources { key_file: Some(path.into()), ..sources() };
    let no_such = "no such file or directory";
    let message = unwrap(of_file("/nonexistent/x"), &enc).unwrap_err();
    let opening = "Errors while loading age identities: failed to open SOPS_AGE_KEY_FILE file: open";
    assert!(message.contains(&format!("{opening} /nonexistent/x: {no_such}. Did not")), "{message}");
    let message = unwrap(of_file(""), &enc).unwrap_err();
    assert!(message.contains(&format!("{opening} : {no_such}. Did not")), "{message}");
    // a directory opens and holds nothing
    let message = unwrap(of_file("/"), &enc).unwrap_err();
    assert!(message.ends_with("'SOPS_AGE_KEY_CMD', and 'SOPS_AGE_KEY_FILE'."), "{message}");
    let message = unwrap(with_ssh(Path::new("/nonexistent/k")), &enc).unwrap_err();
    assert!(message.contains(&format!("failed to open file: open /nonexistent/k: {no_such}. ")), "{message}");
    let message = unwrap(with_ssh(Path::new("/")), &enc).unwrap_err();
    assert!(message.contains("failed to read file: read /: is a directory. "), "{message}");
}

#[test]
fn pass_phrases_are_asked_once() {
    for (name, answer, sources) in [
        ("a3", "sesame street", with_key(read("age/a3-identity.age"))),
        ("a6", "open sesame", with_ssh(&fixture("age/a6-identity.txt"))),
    ] {
        let person = Person::with(answer);
        let identities = Identities::new(sources, person.clone());
        for _ in 0..3 {
            identities.unwrap(&read(&format!("age/{name}-enc.txt")), "r").unwrap();
        }
        assert_eq!(person.heard().len(), 1, "{name}");
    }
}

#[test]
fn encrypted_identity_files_fail_with_their_reason() {
    let enc = read("age/a3-enc.txt");
    let file = || with_key(read("age/a3-identity.age"));
    let reader = "failed to create reader for decrypting sops data key with age: ";
    let starts = |message: Result<String, String>, cause: &str| {
        let message = message.unwrap_err();
        assert!(message.starts_with(&format!("{reader}{cause}. Did not")), "{message}");
    };
    starts(unwrap_by(file(), Person::with("no"), &enc), "incorrect passphrase");
    starts(
        unwrap_by(file(), Person::with(""), &enc),
        "failed to decrypt identity file: passphrase can't be empty",
    );
    starts(
        unwrap_by(file(), Arc::new(Person::default()), &enc),
        "failed to decrypt identity file: could not read passphrase: nobody",
    );
    starts(unwrap(with_key(enc.clone()), &enc), "incorrect passphrase");
    let person = Person::with("sesame street");
    starts(
        unwrap_by(file(), person.clone(), &read("age/a1-enc.txt")),
        "identity did not match any of the recipients: incorrect identity for recipient block",
    );
    let warning = "warning: encrypted identity 'SOPS_AGE_KEY' didn't match file's recipients";
    assert_eq!(person.heard().last().map(String::as_str), Some(warning));
    // what stands in its place may be a secret key
    let broken = read("age/a3-identity.age").replace("-----END", "AGE-SECRET-KEY-1HS\n-----END");
    let message = unwrap(with_key(broken), &enc).unwrap_err();
    let error = ": failed to read 'SOPS_AGE_KEY': invalid armor: invalid closing line. Did";
    assert!(message.contains(error), "{message}");
}

#[test]
fn commands_get_the_recipient_and_fail_in_the_reference_s_words() {
    let enc = read("age/a1-enc.txt");
    let command = |text: &str| IdentitySources { key_cmd: Some(OsString::from(text)), ..sources() };
    let identity = fixture("age/a1-identity.txt");
    let script = format!(
        "sh -c 'echo noise >&2; test \"$SOPS_AGE_RECIPIENT\" = \"the recipient\" && cat {}' # comment",
        identity.display()
    );
    assert!(unwrap(command(&script), &enc).is_ok());
    for (text, error) in [
        (
            "nope-rsops x",
            "failed to execute command nope-rsops x: exec: \"nope-rsops\": executable file not found in $PATH",
        ),
        ("./nope", "failed to execute command ./nope: fork/exec ./nope: no such file or directory"),
        ("false", "failed to execute command false: exit status 1"),
        ("cat 'x", "failed to parse command cat 'x: EOF found when expecting closing quote"),
        ("cat \\", "failed to parse command cat \\: EOF found after escape character"),
        ("sh -c 'kill -9 $$'", "failed to execute command sh -c 'kill -9 $$': signal: killed"),
        ("", "failed to execute command : the command is empty"),
        (" # x", "failed to execute command  # x: the command is empty"),
    ] {
        let message = unwrap(command(text), &enc).unwrap_err();
        let expected = format!(
            "failed to load age identities. Errors while loading age identities: {error}. Did not find keys in \
             locations {NOTHING}, 'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', and '/nonexistent"
        );
        assert!(message.starts_with(&expected), "{message}");
    }
    let message = unwrap(command("true"), &enc).unwrap_err();
    assert!(message.ends_with("'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', and 'SOPS_AGE_KEY_CMD'."), "{message}");
}

#[test]
fn the_default_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (ssh, config) = (folder.path().join(".ssh"), folder.path().join("c/sops/age"));
    std::fs::create_dir_all(&ssh).unwrap();
    std::fs::create_dir_all(&config).unwrap();
    std::fs::copy(fixture("age/a1-identity.txt"), config.join("keys.txt")).unwrap();
    std::fs::copy(fixture("age/a4-identity.txt"), ssh.join("id_ed25519")).unwrap();
    std::fs::copy(fixture("age/a5-identity.txt"), ssh.join("id_rsa")).unwrap();
    let identities = Identities::new(
        IdentitySources {
            home: Some(folder.path().into()),
            config_dir: Ok(folder.path().join("c")),
            ..sources()
        },
        Arc::new(Silent),
    );
    for (name, data_key) in WRAPPED {
        let opened = identities.unwrap(&read(&format!("age/{name}-enc.txt")), "r");
        match name {
            "a1" | "a4" | "a5" => assert_eq!(hex(&opened.unwrap()), data_key),
            _ => assert!(opened.is_err()),
        }
    }
}
