//! `rsops init`: from nothing to a repository that keeps its secrets, as a new user would try it.
#![cfg(all(unix, feature = "age"))]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::keys::recipient;
use support::outcome::{Ending, refused};
use support::program::binary;
use support::pty::Pty;
use support::scratch::{Call, Scratch};

/// An empty folder, with the program on the search path, in the hands of somebody without any key.
fn empty() -> Scratch {
    let scratch = Scratch::new();
    scratch.offer("rsops", &binary());
    scratch
}

fn call<'a>(scratch: &'a Scratch, program: &str, arguments: &[&str]) -> Call<'a> {
    scratch.call_other(program, arguments).with_programs().by_author()
}

fn command(scratch: &Scratch, program: &str, arguments: &[&str]) -> Command {
    call(scratch, program, arguments).variable("TERM", "xterm").command()
}

fn identity_of(scratch: &Scratch) -> std::path::PathBuf {
    scratch.root().join("home/.config/sops/age/keys.txt")
}

#[test]
fn a_new_user_gets_from_nothing_to_a_commit() {
    let scratch = empty();
    call(&scratch, "git", &["init", "--quiet"]).stdout();

    let mut init = Pty::start(command(&scratch, "rsops", &["init", "--hook"]));
    let shown = init.expect("Is this okay? (y/n): ");
    assert!(shown.contains("a new age identity: ") && shown.contains("creation_rules:"), "{shown}");
    assert!(!shown.contains("AGE-SECRET-KEY-"), "{shown}");
    init.type_line("y");
    let (screen, status) = init.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("rsops edit secrets/example.yaml"), "{screen}");
    let mode = fs::metadata(identity_of(&scratch)).expect("an identity").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // what it says is what works
    fs::create_dir(scratch.folder().join("secrets")).expect("our own folder");
    scratch.write("editor.sh", b"#!/bin/sh\necho 'password: hunter2' > \"$1\"\n");
    let mut edit = command(&scratch, "rsops", &["edit", "secrets/example.yaml"]);
    edit.env("EDITOR", scratch.folder().join("editor.sh"));
    let (screen, status) = Pty::start(edit).end();
    assert_eq!(status, 0, "{screen}");
    assert!(scratch.text("secrets/example.yaml").contains("password: ENC["));
    fs::remove_file(scratch.folder().join("editor.sh")).expect("our own file");

    call(&scratch, "git", &["add", "."]).stdout();
    assert_eq!(call(&scratch, "rsops", &["check"]).stdout(), b"");
    call(&scratch, "git", &["commit", "--quiet", "--message", "Secrets"]).stdout();

    scratch.write("secrets/leak.yaml", b"password: hunter2\n");
    call(&scratch, "git", &["add", "."]).stdout();
    let leak = call(&scratch, "git", &["commit", "--quiet", "--message", "Leak"]).outcome();
    assert_eq!(leak.ending, Ending::Exited(1), "{}", leak.messages());
    call(&scratch, "rsops", &["encrypt", "--in-place", "secrets/leak.yaml"]).stdout();
    call(&scratch, "git", &["add", "."]).stdout();
    call(&scratch, "git", &["commit", "--quiet", "--message", "No leak"]).stdout();
    assert_eq!(call(&scratch, "rsops", &["decrypt", "secrets/leak.yaml"]).stdout(), b"password: hunter2\n");
}

#[test]
fn who_does_not_agree_has_what_he_had() {
    let scratch = empty();
    let outcome = call(&scratch, "rsops", &["init"]).stdin(b"n\n").outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert!(!identity_of(&scratch).exists() && !scratch.exists(".sops.yaml"));
    // nobody is there to agree
    let outcome = call(&scratch, "rsops", &["init"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1), "{}", outcome.messages());
    assert!(!identity_of(&scratch).exists() && !scratch.exists(".sops.yaml"));
}

#[test]
fn calling_it_again_changes_nothing() {
    let scratch = empty();
    call(&scratch, "git", &["init", "--quiet"]).stdout();
    let arguments = ["init", "--yes", "--hook", "--pre-commit"];
    call(&scratch, "rsops", &arguments).stdout();
    let files = [".sops.yaml", ".git/hooks/pre-commit", ".pre-commit-config.yaml"];
    let all = || {
        let identity = fs::read(identity_of(&scratch)).expect("an identity");
        [files.map(|file| scratch.read(file).expect(file)).to_vec(), vec![identity]].concat()
    };
    let before = all();
    let told = String::from_utf8(call(&scratch, "rsops", &arguments[..1]).stdout()).expect("text");
    assert!(told.contains("everything is set up already"), "{told}");
    call(&scratch, "rsops", &arguments).stdout();
    assert_eq!(all(), before);
}

#[test]
fn what_is_there_is_used_and_kept() {
    let scratch = empty();
    call(&scratch, "git", &["init", "--quiet"]).stdout();
    scratch.write(".git/hooks/pre-commit", b"#!/bin/sh\ntrue\n");
    scratch.write(".pre-commit-config.yaml", b"repos:\n  - repo: https://example.com/x\n    rev: v1\n");
    let keys = identity_of(&scratch);
    fs::create_dir_all(keys.parent().expect("a folder")).expect("our own folder");
    fs::copy(support::keys::fixture("keys/age-bob.txt"), &keys).expect("our own folder");
    let told = String::from_utf8(call(&scratch, "rsops", &["init", "-y", "--hook", "--pre-commit"]).stdout())
        .expect("text");
    assert!(told.contains("using the age identity in") && told.contains("add this line to it"), "{told}");
    assert!(scratch.text(".sops.yaml").contains(&recipient("age-bob")));
    assert_eq!(scratch.text(".git/hooks/pre-commit"), "#!/bin/sh\ntrue\n");
    let hooks = scratch.text(".pre-commit-config.yaml");
    assert!(hooks.starts_with("repos:\n  - repo: local\n") && hooks.ends_with("rev: v1\n"), "{hooks}");
    assert_eq!(
        fs::read(&keys).expect("kept"),
        fs::read(support::keys::fixture("keys/age-bob.txt")).expect("a key")
    );
}

#[test]
fn recipients_can_be_given() {
    let scratch = empty();
    let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let alice = recipient("age-alice");
    call(&scratch, "rsops", &["init", "--yes", "--age", &alice, "--kms", arn]).stdout();
    let rules = scratch.text(".sops.yaml");
    assert!(rules.contains(&format!("age: {alice}")) && rules.contains(&format!("kms: {arn}")), "{rules}");
    assert!(!identity_of(&scratch).exists(), "nobody asked for one");
    refused(&call(&scratch, "rsops", &["init", "--age", "age1x"]).outcome(), 1, &["age1x"]);
}

#[test]
fn kubernetes_secrets_get_a_rule_of_their_own() {
    let scratch = empty();
    scratch.write("k8s/db.yaml", b"apiVersion: v1\nkind: Secret\nstringData:\n  password: hunter2\n");
    scratch.write("k8s/app.yaml", b"kind: Deployment\n");
    call(&scratch, "rsops", &["init", "--yes"]).stdout();
    call(&scratch, "rsops", &["encrypt", "--in-place", "k8s/db.yaml"]).stdout();
    let sealed = scratch.text("k8s/db.yaml");
    assert!(sealed.contains("kind: Secret\n") && sealed.contains("password: ENC["), "{sealed}");
    assert_eq!(call(&scratch, "rsops", &["check"]).stdout(), b"");
}

#[test]
fn a_file_that_is_no_identity_is_not_overwritten() {
    let scratch = empty();
    let keys = identity_of(&scratch);
    fs::create_dir_all(keys.parent().expect("a folder")).expect("our own folder");
    fs::write(&keys, "something else\n").expect("our own folder");
    refused(&call(&scratch, "rsops", &["init", "--yes"]).outcome(), 1, &["cannot be told", "hint: "]);
    assert_eq!(fs::read(&keys).expect("kept"), b"something else\n");
    assert!(!scratch.exists(".sops.yaml"));
}
