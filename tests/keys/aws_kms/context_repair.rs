//! Files whose encryption context was stored in another way than it was sent (format.md §11).

use super::{PLAIN, aws, told};
use crate::server::moto::Moto;
use crate::support::outcome::{Ending, Outcome};
use crate::support::pty::Pty;
use crate::support::scratch::Scratch;

const NOTICE: &str = "\
Up until version 3.3.0 of sops there was a bug surrounding the use of
encryption context with AWS KMS.
You can read the full description of the issue here:
https://github.com/mozilla/sops/pull/435

If a TTY is detected, sops will ask you if you'd like for this issue to be
automatically fixed, which will require re-encrypting the data keys used by
each key.

If you are not using a TTY, sops will fix the issue for this run.


";

/// `a.yaml` as a release before 3.3.0 left it: KMS was sent `sent`, the file says App: web, Env: prod.
fn old_file(moto: &Moto, sent: &str) -> Scratch {
    let arn = moto.key("us-east-1");
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let context = ["--encryption-context", sent];
    aws(&scratch, &moto.url(), &[&["encrypt", "-i", "--kms", &arn], &context[..], &["a.yaml"]].concat())
        .stdout();
    let text = scratch.text("a.yaml");
    let (head, rest) = text.split_once("          context:\n").expect("a context");
    let (_, tail) = rest.split_once("          created_at:").expect("the next field");
    let stored = format!(
        "{head}          context:\n            App: web\n            Env: prod\n          created_at:{tail}"
    );
    scratch.write("a.yaml", stored.replace("version: 3.13.2", "version: 3.2.0").as_bytes());
    scratch
}

/// The context that was sent is one of the two values under both names.
fn broken(moto: &Moto) -> Scratch {
    old_file(moto, "App:prod,Env:prod")
}

fn run(scratch: &Scratch, moto: &Moto, arguments: &[&str]) -> Outcome {
    aws(scratch, &moto.url(), arguments).outcome()
}

fn with_notice(rest: &[u8]) -> Vec<u8> {
    [NOTICE.as_bytes(), rest].concat()
}

#[test]
fn an_old_file_is_decrypted_and_stays_as_it_is() {
    let Some(moto) = Moto::shared() else { return };
    for scratch in [broken(moto), old_file(moto, "App:web,Env:web"), old_file(moto, "App:web,Env:prod")] {
        let before = scratch.text("a.yaml");
        let decrypted = run(&scratch, moto, &["decrypt", "a.yaml"]);
        assert!(decrypted.succeeded() && decrypted.stderr.is_empty(), "{}", told(&decrypted));
        assert_eq!(decrypted.stdout, with_notice(PLAIN));
        let printed = run(&scratch, moto, &["exec-env", "a.yaml", "printenv a"]);
        assert_eq!(printed.stdout, with_notice(b"secret value\n"));
        let printed = run(&scratch, moto, &["exec-file", "a.yaml", "cat {}"]);
        assert_eq!(printed.stdout, with_notice(PLAIN));
        assert_eq!(scratch.text("a.yaml"), before);
    }
}

#[test]
fn what_a_command_writes_is_repaired() {
    let Some(moto) = Moto::shared() else { return };
    for command in [
        &["set", "a.yaml", "[\"b\"]", "1"][..],
        &["rotate", "-i", "a.yaml"],
        &["unset", "--idempotent", "a.yaml", "[\"c\"]"],
    ] {
        let scratch = broken(moto);
        let done = run(&scratch, moto, command);
        assert!(done.succeeded() && done.stdout == NOTICE.as_bytes(), "{command:?}: {}", told(&done));
        let text = scratch.text("a.yaml");
        assert!(text.contains("App: web\n            Env: prod\n"), "{text}");
        if command[0] == "unset" {
            // nothing was written
            assert!(text.contains("version: 3.2.0"), "{text}");
            continue;
        }
        let again = run(&scratch, moto, &["decrypt", "a.yaml"]);
        assert!(again.stdout.starts_with(PLAIN), "{command:?}: {}", told(&again));
    }
}

#[test]
fn an_edit_starts_from_the_repaired_file() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = broken(moto);
    scratch.write("editor.sh", b"#!/bin/sh\necho 'b: 1' >> \"$1\"\n");
    let editor = scratch.folder().join("editor.sh").display().to_string();
    let edited = aws(&scratch, &moto.url(), &["edit", "a.yaml"]).variable("SOPS_EDITOR", &editor).outcome();
    assert!(edited.succeeded() && edited.stdout == NOTICE.as_bytes(), "{}", told(&edited));
    let decrypted = run(&scratch, moto, &["decrypt", "a.yaml"]);
    assert_eq!(decrypted.stdout, b"a: secret value\nb: 1\n");
}

#[test]
fn a_person_is_asked() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = broken(moto);
    let before = scratch.text("a.yaml");
    let start = || Pty::start(aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).command());
    let question = "Would you like sops to automatically fix this issue? (y/n): ";

    let mut terminal = start();
    terminal.expect(question);
    terminal.type_line("n");
    let (screen, status) = terminal.end();
    assert!(screen.contains("Exiting. User responded no") && status == 1, "{status}: {screen}");
    assert_eq!(scratch.text("a.yaml"), before);

    let mut terminal = start();
    terminal.expect(question);
    terminal.type_line("maybe");
    terminal.expect(question);
    terminal.type_line("y");
    let (screen, status) = terminal.end();
    assert!(screen.contains("a: secret value") && status == 0, "{status}: {screen}");
    let after = scratch.text("a.yaml");
    assert!(
        after.contains("version: 3.13.2") && after.contains("App: web\n            Env: prod\n"),
        "{after}"
    );
    // the values keep their ciphertext
    assert_eq!(after.lines().next(), before.lines().next());
    assert_eq!(run(&scratch, moto, &["decrypt", "a.yaml"]).stdout, PLAIN);
}

#[test]
fn an_edit_of_a_file_that_was_repaired_is_saved() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = broken(moto);
    scratch.write("editor.sh", b"#!/bin/sh\necho 'b: 1' >> \"$1\"\n");
    let editor = scratch.folder().join("editor.sh").display().to_string();
    let call = aws(&scratch, &moto.url(), &["edit", "a.yaml"]).variable("SOPS_EDITOR", &editor);
    let mut terminal = Pty::start(call.command());
    terminal.expect("(y/n): ");
    terminal.type_line("y");
    let (screen, status) = terminal.end();
    assert_eq!(status, 0, "{screen}");
    assert_eq!(run(&scratch, moto, &["decrypt", "a.yaml"]).stdout, b"a: secret value\nb: 1\n");
}

#[test]
fn another_problem_is_told_as_such() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = old_file(moto, "App:other,Env:other");
    let refused = run(&scratch, moto, &["decrypt", "a.yaml"]);
    assert_eq!((refused.ending, &refused.stdout[..]), (Ending::Exited(25), NOTICE.as_bytes()));
    let said = told(&refused);
    assert!(
        said.starts_with(
            "Failed to decrypt, meaning there is likely another problem from the encryption context bug: Failed to get \
             the data key"
        ),
        "{said}"
    );
}

#[test]
fn other_files_are_not_spoken_of() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = old_file(moto, "App:web,Env:prod");
    let text = scratch.text("a.yaml");
    for version in ["3.3.0", "3.13.2", "odd", "\"\""] {
        scratch.write("a.yaml", text.replace("version: 3.2.0", &format!("version: {version}")).as_bytes());
        assert_eq!(run(&scratch, moto, &["decrypt", "a.yaml"]).stdout, PLAIN, "{version}");
    }
    scratch.write("a.yaml", text.replace("version: 3.2.0", "version: \"1.18\"").as_bytes());
    assert_eq!(run(&scratch, moto, &["decrypt", "a.yaml"]).stdout, with_notice(PLAIN));
    // neither does a command that only looks at keys
    assert!(!run(&scratch, moto, &["filestatus", "a.yaml"]).stdout.starts_with(NOTICE.as_bytes()));
}
