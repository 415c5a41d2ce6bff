//! What is asked before something is sent (publish-audit.md A5).

use crate::support::outcome::{Ending, fails_with, refused};
use crate::support::pty::Pty;
use crate::vault::{to_vault, vault, writes};
use crate::{NOWHERE, Storage, done, folder, publish, publish_without_key, rules};

#[test]
fn nothing_is_sent_without_assent() {
    let (storage, scratch) = (Storage::new(), folder("{s3_bucket: b, s3_prefix: pre}"));
    let asked = publish(&scratch, &storage.url(), &["conf/a.yaml"]).stdin(b"perhaps\nn\n").outcome();
    assert_eq!(asked.ending, Ending::Exited(1));
    let question =
        format!("uploading {}/conf/a.yaml to s3://b/prea.yaml ? (y/n): ", scratch.folder().display());
    assert_eq!(String::from_utf8_lossy(&asked.stdout), question.repeat(2));
    assert_eq!(asked.messages(), "Publication of <DIR>/conf/a.yaml canceled\n");
    assert!(storage.requests().is_empty());
    // one file of many is left out, and the others are asked for
    let told = done(publish(&scratch, &storage.url(), &["--recursive", "conf"]).stdin(b"n\ny\n"));
    let canceled = format!("{question}Publication of {}/conf/a.yaml canceled\n", scratch.folder().display());
    assert!(told.starts_with(&canceled), "{told}");
    assert_eq!(storage.requests(), ["PUT /b/predeep/b.json"]);
}

#[test]
fn an_answer_is_one_word() {
    let scratch = folder("s3_bucket: b");
    for (input, reason) in [(&b""[..], "EOF"), (b"\n", "unexpected newline"), (b"y y\n", "expected newline")]
    {
        let outcome = publish(&scratch, NOWHERE, &["conf/a.yaml"]).stdin(input).outcome();
        fails_with(&outcome, 1, &[reason, "hint: answer y or n; --yes answers for you"]);
    }
}

#[test]
fn the_question_names_the_destination() {
    let vault = vault("kv2");
    let url = vault.url();
    for (rule, destination) in [
        ("{gcs_bucket: b, gcs_prefix: x/}".to_owned(), "gcs://b/x/a.yaml".to_owned()),
        ("vault_path: app".to_owned(), format!("{url}/v1/secret/data/app/a.yaml")),
        ("{vault_path: app/, vault_kv_version: 1}".to_owned(), format!("{url}/v1/secret/app/a.yaml")),
        ("{vault_path: app, vault_kv_version: 7}".to_owned(), format!("{url}/v1/secret/data/app/a.yaml")),
        (
            "{vault_path: app, vault_kv_mount_name: kv/x, vault_address: 'https://v.example/'}".to_owned(),
            "https://v.example//v1/kv/x/data/app/a.yaml".to_owned(),
        ),
        // passwords are sent, and not shown
        (
            "{vault_path: app, vault_address: 'https://user:hvs.password@v.example'}".to_owned(),
            "https://v.example/v1/secret/data/app/a.yaml".to_owned(),
        ),
    ] {
        let scratch = folder(&rule);
        let outcome = to_vault(&scratch, &vault, &["conf/a.yaml"]).stdin(b"n\n").outcome();
        fails_with(&outcome, 1, &["canceled"]);
        let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert!(told.ends_with(&format!("/conf/a.yaml to {destination} ? (y/n): ")), "{rule}: {told}");
    }
    // if there is nothing else, Vault is on this machine
    let scratch = folder("vault_path: app");
    let outcome = publish(&scratch, NOWHERE, &["conf/a.yaml"]).stdin(b"n\n").outcome();
    let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(told.contains(" to https://127.0.0.1:8200/v1/secret/data/app/a.yaml ? "), "{told}");
    assert_eq!((writes(&vault), vault.requests().len()), (0, 0));
}

#[test]
fn nobody_is_asked_about_what_cannot_be_decrypted() {
    let scratch = folder("vault_path: app");
    refused(&publish_without_key(&scratch, NOWHERE, &["conf/a.yaml"]).outcome(), 128, &["age"]);
    // Vault cannot take it, which is known before
    scratch.write("bin", b"\xff\xfe");
    scratch.call(["encrypt", "-i", "--age", &crate::recipient("age-alice"), "bin"]).stdout();
    refused(
        &publish(&scratch, NOWHERE, &["bin"]).outcome(),
        1,
        &["bin: Vault cannot hold text that is not UTF-8"],
    );
    rules(&scratch, &["s3_bucket: b"]);
    let outcome = publish_without_key(&scratch, NOWHERE, &["conf/a.yaml"]).stdin(b"n\n").outcome();
    fails_with(&outcome, 1, &["canceled"]);
}

#[test]
fn a_person_answers_at_a_terminal() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let call = publish(&scratch, &storage.url(), &["--recursive", "conf"]).variable("TERM", "xterm");
    let mut terminal = Pty::start(call.command());
    terminal.expect("s3://b/a.yaml ? (y/n): ");
    terminal.type_line("n");
    terminal.expect("s3://b/deep/b.json ? (y/n): ");
    terminal.type_line("y");
    let (screen, status) = terminal.end();
    assert!(screen.contains("1 sent, 0 unchanged, 1 left out, 0 failed, 0 not tried"), "{screen}");
    assert_eq!((status, storage.requests()), (0, vec!["PUT /b/deep/b.json".to_owned()]));
    // Ctrl-C is an answer too
    let mut terminal = Pty::start(publish(&scratch, &storage.url(), &["conf/a.yaml"]).command());
    terminal.expect("? (y/n): ");
    terminal.press('c');
    terminal.end_by_signal();
    assert_eq!(storage.requests().len(), 1);
}
