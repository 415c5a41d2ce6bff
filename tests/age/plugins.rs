//! A small plugin in Python that "wraps" by keeping the file key as it is.

use std::process::Command;

use rsops::keys::Silent;
use rsops::keys::age::Recipient;

use super::{Person, hex, read, unwrap, unwrap_by, with_key};

const RECIPIENT: &str = "age1toy1qqqsyqcyq5rqwzq6hjjg8";
const IDENTITY: &str = "AGE-PLUGIN-TOY-1QQQSYQCYQ5RQWZQ9AECRY";
const SCRIPT: &str = r#"#!/usr/bin/env python3
import base64, os, sys
def b64(b): return base64.b64encode(b).rstrip(b'=').decode()
def send(*words, body=b''):
    text = b64(body); lines = [text[i:i+64] for i in range(0, len(text), 64)]
    if not text or len(lines[-1]) == 64: lines.append('')
    sys.stdout.write('-> ' + ' '.join(words) + '\n' + '\n'.join(lines) + '\n'); sys.stdout.flush()
def receive():
    words = sys.stdin.readline().rstrip('\n').split(' ')[1:]; text = ''
    while True:
        line = sys.stdin.readline().rstrip('\n'); text += line
        if len(line) < 64: break
    return words, base64.b64decode(text + '=' * (-len(text) % 4))
def ask(*words, body=b''):
    send(*words, body=body); return receive()
mode = open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), 'mode')).read()
got = []
while True:
    words, body = receive()
    if words[0] == 'done': break
    got.append((words, body))
assert os.listdir('.') == []
if mode == 'error': ask('error', 'internal', body=b'the dog ate it'); send('done'); sys.exit()
if mode == 'none': send('done'); sys.exit()
if mode == 'die': sys.exit(3)
ask('msg', body=b'touch me')
assert ask('request-secret', body=b'PIN?')[1] == b'1234'
assert ask('request-public', body=b'Name?')[1] == b'public answer'
assert ask('confirm', b64(b'Aye'), b64(b'Nay'), body=b'Go?')[0] == ['ok', 'yes']
assert ask('what-is-this')[0] == ['unsupported']
if sys.argv[1] == '--age-plugin=recipient-v1':
    assert [w for w, _ in got if w[0] == 'add-recipient'] == [['add-recipient', sys.argv[0] and 'age1toy1qqqsyqcyq5rqwzq6hjjg8']] or mode == 'any'
    key = [b for w, b in got if w[0] == 'wrap-file-key'][0]
    ask('recipient-stanza', '0', 'toy', 'arg', body=key)
else:
    for words, body in got:
        if words[:3] == ['recipient-stanza', '0', 'toy']: ask('file-key', '0', body=body)
send('done')
"#;

/// Runs one of the tests below with the plugin in `PATH`: the environment of this process stays as it is.
fn with_plugin(mode: &str, test: &str) {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3, in which the test plugin is written, is missing");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("age-plugin-toy");
    std::fs::write(&program, SCRIPT).unwrap();
    std::fs::write(folder.path().join("mode"), mode).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let path = std::iter::once(folder.path().to_path_buf()).chain(std::env::split_paths(&path));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("PATH", std::env::join_paths(path).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}{:?}", output.stderr);
}

#[test]
fn a_plugin_wraps_and_opens() {
    with_plugin("any", "plugins::round_trip");
}

#[test]
#[ignore = "needs the plugin in PATH"]
fn round_trip() {
    let person = Person::with("1234");
    let enc = Recipient::parse(RECIPIENT).unwrap().wrap(&[5; 32], &*person).unwrap();
    let opened = unwrap_by(with_key(IDENTITY), person.clone(), &enc);
    assert_eq!(opened, Ok(hex(&[5; 32])));
    let once = ["message: toy plugin: touch me", "PIN?", "Name?", "Go? Aye/Some(\"Nay\")"];
    assert_eq!(person.heard(), [once, once].concat());
    let message = unwrap_by(with_key(IDENTITY), person, &read("age/a1-enc.txt")).unwrap_err();
    let cause = "identity did not match any of the recipients: toy plugin: incorrect identity for \
                 recipient block. Did";
    assert!(message.contains(cause), "{message}");
    let message = Recipient::parse(RECIPIENT).unwrap().wrap(&[5; 32], &Silent).unwrap_err().to_string();
    assert!(message.contains("toy plugin: "), "{message}");
}

#[test]
fn what_a_plugin_reports_is_shown() {
    with_plugin("error", "plugins::reports");
    with_plugin("none", "plugins::gives_nothing");
    with_plugin("die", "plugins::dies");
}

fn wrap_error() -> String {
    Recipient::parse(RECIPIENT).unwrap().wrap(&[5; 32], &Silent).unwrap_err().to_string()
}

const WRAP: &str = "failed to create writer for encrypting sops data key with age: failed to wrap key for \
                    recipient #0: toy plugin:";

#[test]
#[ignore = "needs the plugin in PATH"]
fn reports() {
    assert_eq!(wrap_error(), format!("{WRAP} the dog ate it"));
    let message = unwrap(with_key(IDENTITY), &read("age/a1-enc.txt")).unwrap_err();
    assert!(message.contains("with age: toy plugin: the dog ate it. Did"), "{message}");
}

#[test]
#[ignore = "needs the plugin in PATH"]
fn gives_nothing() {
    assert_eq!(wrap_error(), format!("{WRAP} received zero recipient stanzas"));
}

#[test]
#[ignore = "needs the plugin in PATH"]
fn dies() {
    assert_eq!(wrap_error(), format!("{WRAP} the plugin ended before it was done"));
}

#[test]
fn a_missing_plugin_is_named() {
    let missing = "toy plugin: couldn't start plugin: \"toy\" plugin not found: exec: \"age-plugin-toy\": \
                   executable file not found in $PATH";
    assert!(wrap_error().ends_with(missing), "{}", wrap_error());
    let message = unwrap(with_key(IDENTITY), &read("age/a1-enc.txt")).unwrap_err();
    assert!(message.contains(&format!("with age: {missing}. Did")), "{message}");
    // and it is not asked for if a plain identity fits
    let both = format!("{IDENTITY} {}", read("age/a1-identity.txt"));
    assert!(unwrap(with_key(both), &read("age/a1-enc.txt")).is_ok());
}
