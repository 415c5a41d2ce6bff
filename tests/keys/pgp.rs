//! PGP with the user's `gpg`, and with keyring files where there is none.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::keys::{fixture, make_private};
use crate::support::outcome::{Outcome, fails_with};
use crate::support::program::is_installed;
use crate::support::pty::Pty;
use crate::support::scratch::{Call, Scratch};

const RSA: &str = "0240BA4021AF37050BF09C0250F9C9326E811E5C";
const ECC: &str = "5C83CCF6399D26E1874C7A11C2AF353E77BBCA1C";
/// With the pass phrase `sesame`.
const PROTECTED: &str = "0AF37AD43401338BE52C9C3E0E613F7A17EB47B7";
const BOTH: [&str; 2] = ["pgp-rsa", "pgp-ecc"];

const NATIVE: &str = "github.com/ProtonMail/go-crypto/openpgp error: ";
const GPG: &str = "GnuPG binary error: ";

const PLAIN: &[u8] = b"a: secret value\n";

fn gpg_is_installed() -> bool {
    is_installed("gpg", "PGP is not tested with the real program")
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    scratch
}

fn encrypt<'a>(scratch: &'a Scratch, names: &str) -> Call<'a> {
    scratch.call(["encrypt", "--pgp", names, "a.yaml"])
}

/// Words of an error, whose lines are broken somewhere between them.
fn words(outcome: &Outcome) -> String {
    let text = outcome.messages().replace('|', " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn says(outcome: &Outcome, status: i32, texts: &[&str]) {
    fails_with(outcome, status, &[]);
    let words = words(outcome);
    for text in texts {
        assert!(words.contains(text), "{text:?} is missing in {words:?}");
    }
}

/// Stands in for gpg.
fn fake(scratch: &Scratch, name: &str, script: &str) -> String {
    scratch.write(name, format!("#!/bin/sh\n{script}\n").as_bytes());
    let path = scratch.folder().join(name);
    make_private(&path, 0o755);
    path.display().to_string()
}

/// A GnuPG home of the old kind: only files, both keys in them.
fn ring_home(scratch: &Scratch) -> String {
    ring_home_of(scratch, &["keys/pgp-rsa.asc", "keys/pgp-ecc.asc"])
}

fn ring_home_of(scratch: &Scratch, keys: &[&str]) -> String {
    let home = scratch.root().join("rings");
    fs::create_dir(&home).expect("our own folder");
    let read = |name: &&str| fs::read_to_string(fixture(name)).expect("a test key");
    let ring: Vec<u8> = keys.iter().flat_map(|name| dearmored(&read(name))).collect();
    fs::write(home.join("pubring.gpg"), ring).expect("our own folder");
    home.display().to_string()
}

fn dearmored(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let lines = text.lines().skip_while(|line| !line.is_empty());
    let body: String = lines.take_while(|line| !line.starts_with('=')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).expect("base64")
}

/// gpg, with a home of its own.
fn gpg(home: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home).args(["--batch", "--quiet"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("gpg starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_form_of_a_name_that_gpg_takes() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let subkey = "DEEFD8D8DD0DA6E2";
    let names = [
        ECC.to_owned(),
        ECC.to_lowercase(),
        format!("0x{ECC}"),
        ECC[24..].to_owned(),
        format!("{subkey}!"),
        format!("{ECC}!"),
        "5C83 CCF6 399D 26E1 874C  7A11 C2AF 353E 77BB CA1C".to_owned(),
    ];
    for name in names {
        // the primary key cannot encrypt, so `!` finds nothing that can
        let outcome = encrypt(&scratch, &name).keys(["pgp-ecc.pub"]).outcome();
        if name == format!("{ECC}!") {
            says(&outcome, 1, &[NATIVE, GPG, "Unusable public key", "hint: the key has expired"]);
            continue;
        }
        assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{name}: {}", outcome.messages());
        scratch.write("e.yaml", &outcome.stdout);
        assert!(scratch.text("e.yaml").contains(&format!("fp: {}", name.replace(' ', ""))));
        assert_eq!(scratch.call(["decrypt", "e.yaml"]).keys(["pgp-ecc"]).stdout(), PLAIN);
    }
}

#[test]
fn names_that_gpg_does_not_take_are_explained() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let native =
        |name: &str| format!("{NATIVE}key with fingerprint '{name}' is not available in keyring; {GPG}");
    let outcome = encrypt(&scratch, "ABCD EF01").keys(["pgp-rsa.pub"]).outcome();
    let refused = "failed to encrypt sops data key with pgp: gpg: 'ABCDEF01' is not a valid long keyID";
    says(&outcome, 1, &[&native("ABCDEF01"), refused, "hint: give the fingerprint of the key"]);
    let outcome = encrypt(&scratch, RSA).outcome();
    says(&outcome, 1, &[&native(RSA), "No public key", "hint: import the key: `gpg --import FILE`"]);
}

/// Guards against names of keys, which come with files, that gpg takes for options.
#[test]
fn a_name_is_never_an_option_of_gpg() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    for name in ["--output=taken.txt", "-otaken.txt", "--version", "-", "--status-file=taken.txt!"] {
        let outcome = encrypt(&scratch, name).keys(["pgp-rsa.pub"]).outcome();
        says(
            &outcome,
            1,
            &[&format!("{NATIVE}key with fingerprint '{name}' is not available"), GPG, "gpg: "],
        );
        assert!(!scratch.exists("taken.txt"), "{name}");
    }
}

#[test]
fn without_a_secret_key_nobody_is_asked() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    scratch.write("e.yaml", &encrypt(&scratch, RSA).keys(["pgp-rsa.pub"]).stdout());
    let outcome = scratch.call(["decrypt", "e.yaml"]).keys(["pgp-ecc"]).outcome();
    let native = format!(
        "{NATIVE}could not load secring: open <TMP>/gnupg1/pubring.gpg: no such file or directory; {GPG}"
    );
    let gpg = "failed to decrypt sops data key with pgp: gpg: encrypted with";
    says(&outcome, 128, &[&native, gpg, "No secret key", "hint: none of the keys that the file is for"]);
}

#[test]
fn without_gpg_keyring_files_are_enough() {
    let scratch = scratch();
    let home = ring_home(&scratch);
    for name in [RSA, ECC] {
        let sealed =
            encrypt(&scratch, name).variable("GNUPGHOME", &home).variable("PATH", "/nonexistent").stdout();
        scratch.write("e.yaml", &sealed);
        let call = scratch.call(["decrypt", "e.yaml"]).variable("GNUPGHOME", &home);
        assert_eq!(call.variable("PATH", "/nonexistent").stdout(), PLAIN);
    }
}

#[test]
fn without_gpg_and_keyring_files_both_are_named() {
    let scratch = scratch();
    let outcome = encrypt(&scratch, RSA).variable("PATH", "/nonexistent").outcome();
    let missing = "with pgp: exec: \"gpg\": executable file not found in $PATH";
    says(&outcome, 1, &[NATIVE, GPG, missing, "hint: install GnuPG, or name its program in SOPS_GPG_EXEC"]);
}

#[test]
fn gpg_and_the_built_in_part_read_each_other() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let home = ring_home(&scratch);
    for name in [RSA, ECC] {
        scratch.write("native.yaml", &encrypt(&scratch, name).variable("GNUPGHOME", &home).stdout());
        assert_eq!(scratch.call(["decrypt", "native.yaml"]).keys(BOTH).stdout(), PLAIN);
        scratch.write("gpg.yaml", &encrypt(&scratch, name).keys(BOTH).stdout());
        let call = scratch.call(["decrypt", "gpg.yaml"]).variable("GNUPGHOME", &home);
        assert_eq!(call.variable("SOPS_GPG_EXEC", "/nonexistent").stdout(), PLAIN);
    }
}

#[test]
fn gpg_hides_recipients_that_are_found_again() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let home = scratch.gnupg(&["pgp-ecc"]);
    fs::write(home.join("gpg.conf"), "throw-keyids\n").expect("our own folder");
    scratch.write("e.yaml", &encrypt(&scratch, ECC).keys(["pgp-ecc"]).stdout());
    assert_eq!(scratch.call(["decrypt", "e.yaml"]).keys(["pgp-ecc"]).stdout(), PLAIN);
    let rings = ring_home(&scratch);
    let call = scratch.call(["decrypt", "e.yaml"]).variable("GNUPGHOME", &rings);
    assert_eq!(call.variable("SOPS_GPG_EXEC", "/nonexistent").stdout(), PLAIN);
}

#[test]
fn an_expired_key_opens_and_does_not_encrypt() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let home = scratch.gnupg(&[]);
    let name = new_key(&home, "Expire-Date: 20200102T000000", &["--faked-system-time", "20200101T000000"]);
    let outcome = encrypt(&scratch, &name).outcome();
    says(&outcome, 1, &["Unusable public key", "hint: the key has expired"]);
    // encrypted while it was good
    let past = fake(&scratch, "past", "exec gpg --faked-system-time 20200101T120000 \"$@\"");
    scratch.write("e.yaml", &encrypt(&scratch, &name).variable("SOPS_GPG_EXEC", &past).stdout());
    assert_eq!(scratch.call(["decrypt", "e.yaml"]).stdout(), PLAIN);
}

/// Makes an ECC key and tells its fingerprint.
fn new_key(home: &Path, line: &str, options: &[&str]) -> String {
    let parameters = format!(
        "%no-protection\nKey-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign\nSubkey-Type: ecdh\nSubkey-Curve: \
         cv25519\nSubkey-Usage: encrypt\nName-Email: somebody@example.org\n{line}\n%commit\n"
    );
    let file = home.join("parameters");
    fs::write(&file, parameters).expect("our own folder");
    let file = file.display().to_string();
    gpg(home, &[options, &["--status-fd", "1", "--generate-key", &file]].concat());
    let list = gpg(home, &["--with-colons", "--list-keys"]);
    let fingerprints = list.lines().filter_map(|line| line.strip_prefix("fpr:::::::::"));
    // the last but one: behind it is that of the subkey
    let all: Vec<_> = fingerprints.map(|line| line.trim_end_matches(':').to_owned()).collect();
    all[all.len() - 2].clone()
}

#[test]
fn many_recipients_do_not_hinder_each_other() {
    if !gpg_is_installed() {
        return;
    }
    let scratch = scratch();
    let home = scratch.gnupg(&[]);
    let names: Vec<String> = (0..20).map(|_| new_key(&home, "Expire-Date: 0", &[])).collect();
    let outcome = encrypt(&scratch, &names.join(",")).outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
    scratch.write("e.yaml", &outcome.stdout);
    let text = scratch.text("e.yaml");
    let order: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("fp: ")).collect();
    assert_eq!(order, names);
    assert_eq!(text.matches("BEGIN PGP MESSAGE").count(), 20);
    assert_eq!(scratch.call(["decrypt", "e.yaml"]).stdout(), PLAIN);
}

#[test]
fn gpg_gets_exactly_these_arguments_and_the_data_key_by_pipe() {
    let scratch = scratch();
    let gpg = fake(&scratch, "gpg", "printf '<%s>' \"$@\" > arguments\nwc -c > input\necho ' message '");
    let name = format!("{RSA}!");
    let sealed = encrypt(&scratch, &name).variable("SOPS_GPG_EXEC", &gpg).stdout();
    let expected = format!(
        "<--no-default-recipient><--yes><--encrypt><-a><-r><{name}><--trusted-key><50F9C9326E811E5C!><--no-encrypt-to>"
    );
    assert_eq!(scratch.text("arguments"), expected);
    assert_eq!(scratch.text("input").trim(), "32");
    assert!(String::from_utf8_lossy(&sealed).contains("enc: message\n"));
    scratch.write("e.yaml", &sealed);
    let gpg = fake(&scratch, "gpg", "printf '<%s>' \"$@\" > arguments\ncat > input\nexit 2");
    let outcome = scratch.call(["decrypt", "e.yaml"]).variable("SOPS_GPG_EXEC", &gpg).outcome();
    says(&outcome, 128, &["failed to decrypt sops data key with pgp: exit status 2"]);
    assert_eq!((scratch.text("arguments"), scratch.text("input")), ("<-d>".to_owned(), "message".to_owned()));
}

#[test]
fn the_program_is_one_word() {
    let scratch = scratch();
    let gpg = fake(&scratch, "my gpg", "cat > /dev/null\necho message");
    let outcome = encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &gpg).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    let outcome = encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", "gpg --batch").outcome();
    says(&outcome, 1, &["exec: \"gpg --batch\": executable file not found in $PATH"]);
}

#[test]
fn what_lies_in_the_current_directory_is_not_run() {
    let scratch = scratch();
    fake(&scratch, "gpg", "touch ran");
    for path in [".", "", ":/nonexistent"] {
        let outcome = encrypt(&scratch, RSA).variable("PATH", path).outcome();
        let words = if path.is_empty() {
            "executable file not found"
        } else {
            "cannot run executable found relative"
        };
        says(&outcome, 1, &[words]);
        assert!(!scratch.exists("ran"));
    }
}

#[test]
fn success_without_a_message_is_a_failure() {
    let scratch = scratch();
    let gpg = fake(&scratch, "gpg", "cat > /dev/null");
    let outcome = encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &gpg).outcome();
    says(
        &outcome,
        1,
        &["failed to encrypt sops data key with pgp: gpg reported success and wrote no message"],
    );
    let full = fake(&scratch, "full", "cat > /dev/null\necho message");
    scratch.write("e.yaml", &encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &full).stdout());
    let outcome = scratch.call(["decrypt", "e.yaml"]).variable("SOPS_GPG_EXEC", &gpg).outcome();
    says(&outcome, 128, &["failed to decrypt sops data key with pgp: zero bytes returned"]);
}

#[test]
fn full_pipes_do_not_stop_it() {
    let scratch = scratch();
    // more than a pipe holds, on both sides, before it reads
    let noise = "head -c 300000 /dev/zero | tr '\\0' 'x'";
    let gpg = fake(&scratch, "gpg", &format!("{noise} >&2\n{noise}\ncat > /dev/null"));
    let outcome = encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &gpg).outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
    // more than any data key
    let endless = fake(&scratch, "endless", "exec yes");
    let outcome = encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &endless).outcome();
    assert!(outcome.failed_cleanly(), "{}", outcome.messages());
}

/// A file for the key with the pass phrase, and a home in which only that is.
fn behind_a_pass_phrase() -> (Scratch, String) {
    let scratch = scratch();
    let home = ring_home_of(&scratch, &["pgp/protected.asc"]);
    scratch.write("e.yaml", &encrypt(&scratch, PROTECTED).variable("GNUPGHOME", &home).stdout());
    (scratch, home)
}

fn without_gpg<'a>(scratch: &'a Scratch, home: &str) -> Call<'a> {
    let call = scratch.call(["decrypt", "--output", "clear", "e.yaml"]).variable("GNUPGHOME", home);
    call.variable("SOPS_GPG_EXEC", "/nonexistent/gpg")
}

#[test]
fn a_pass_phrase_is_asked_for_at_the_terminal_if_there_is_no_agent() {
    let (scratch, home) = behind_a_pass_phrase();
    let mut terminal = Pty::start(without_gpg(&scratch, &home).variable("GPG_AGENT_INFO", "").command());
    terminal.expect("Enter PGP key passphrase: ");
    terminal.type_line("wrong");
    terminal.expect("Enter PGP key passphrase: ");
    terminal.type_line("sesame");
    let (screen, status) = terminal.end();
    assert_eq!(status, 0, "{screen}");
    assert_eq!(scratch.text("clear").as_bytes(), PLAIN);
}

#[test]
fn a_pass_phrase_comes_from_the_agent() {
    let (scratch, home) = behind_a_pass_phrase();
    let socket = scratch.root().join("S");
    let listener = UnixListener::bind(&socket).expect("our own folder");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            writeln!(stream, "OK").expect("somebody listens");
            let lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
            for line in lines.map_while(Result::ok) {
                let right =
                    line.starts_with("GET_PASSPHRASE 6F646742 X Passphrase Unlock+key+6F646742+to+decrypt");
                let answer = if right || line.starts_with("OPTION") { "OK 736573616d65" } else { "ERR 1" };
                writeln!(stream, "{answer}").expect("somebody listens");
            }
        }
    });
    let agent = format!("{}:0:1", socket.display());
    let outcome = without_gpg(&scratch, &home).variable("GPG_AGENT_INFO", &agent).outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
    assert_eq!(scratch.text("clear").as_bytes(), PLAIN);
}

#[test]
fn an_agent_that_is_not_there_leaves_it_to_gpg() {
    let (scratch, home) = behind_a_pass_phrase();
    let outcome = without_gpg(&scratch, &home).variable("GPG_AGENT_INFO", "/nonexistent/S:0:1").outcome();
    let reason = "reading PGP message failed: could not establish connection with gpg-agent: dial unix /nonexistent/S: no \
                  such file or directory; GnuPG binary error: ";
    says(&outcome, 128, &[reason, "hint: install GnuPG"]);
}

#[test]
fn ctrl_c_ends_gpg_too() {
    let scratch = scratch();
    let gpg = fake(&scratch, "gpg", "echo $$ > pid\nexec sleep 60");
    let mut terminal = Pty::start(encrypt(&scratch, RSA).variable("SOPS_GPG_EXEC", &gpg).command());
    while !scratch.exists("pid") || scratch.text("pid").is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    terminal.press('c');
    terminal.end_by_signal();
    let process = Path::new("/proc").join(scratch.text("pid").trim());
    // nobody may be there to wait for it: then it is a zombie
    let is_gone = || fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(" Z "));
    for _ in 0..1000 {
        if is_gone() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{} still runs", process.display());
}

#[test]
fn steps_are_told_when_asked() {
    let scratch = scratch();
    let home = ring_home(&scratch);
    let outcome =
        scratch.call(["--verbose", "encrypt", "--pgp", RSA, "a.yaml"]).variable("GNUPGHOME", &home).outcome();
    let line = format!("[PGP]\t time=\"<TIME>\" level=info msg=\"Encryption succeeded\" fingerprint={RSA}");
    assert!(outcome.messages().contains(&line), "{}", outcome.messages());
}
