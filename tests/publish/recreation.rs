//! Encrypting anew for other keys on the way (publish-audit.md A2, A4).

use crate::support::outcome::Outcome;
use crate::{NOWHERE, Storage, done, encrypted, folder, opened, publish, recipient, rules};

/// A rule that encrypts for bob, with more in the recreation rule.
fn for_bob(more: &str) -> String {
    format!("{{s3_bucket: b, recreation_rule: {{age: {}{more}}}}}", recipient("age-bob"))
}

const PLAIN: &str = "a: secret value\nb: in clear\n";

#[test]
fn the_change_of_keys_is_shown_even_if_nobody_is_asked() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let told = done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
    assert_eq!(
        told,
        format!(
            "The following changes will be made to the file's key groups:\nGroup 1\n+++ {bob}\n--- {alice}\n"
        )
    );
    // before the question
    let call = publish(&scratch, NOWHERE, &["conf/a.yaml"]).stdin(b"n\n");
    let told = String::from_utf8(call.outcome().stdout).expect("text");
    let (changes, question) = told.split_once("uploading ").expect("a question");
    assert!(changes.contains("+++") && question.contains("(y/n)"), "{told}");
    // where the keys are the same there is nothing to show
    rules(&scratch, &[&for_bob("").replace(&bob, &alice)]);
    assert_eq!(done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"])), "");
}

#[test]
fn the_copy_has_a_data_key_a_mac_and_a_time_of_its_own() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    let old = scratch.text("conf/a.yaml");
    let old_time = |text: &str| text.lines().find(|line| line.contains("lastmodified")).map(str::to_owned);
    scratch.write("conf/a.yaml", old.replace("version: 3.13.2", "version: 3.9.0").as_bytes());
    done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
    let new = storage.last();
    assert!(new.contains("version: 3.13.2") && !new.contains(&recipient("age-alice")), "{new}");
    assert!(old_time(&new).is_some());
    // a value keeps its IV, and nothing else of its ciphertext
    let part = |text: &str, name: &str| {
        let rest = text.split_once(&format!("{name}:")).expect("a part").1;
        rest.split_once([',', ']']).expect("an end").0.to_owned()
    };
    assert_eq!(part(&old, "iv"), part(&new, "iv"));
    assert_ne!(part(&old, "ENC[AES256_GCM,data"), part(&new, "ENC[AES256_GCM,data"));
    assert_eq!(opened(&scratch, &new, "age-bob"), PLAIN);
    assert_eq!(scratch.text("conf/a.yaml"), old.replace("version: 3.13.2", "version: 3.9.0"), "the source");
}

#[test]
fn what_the_rule_does_not_select_is_selected_as_in_the_file() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    for (more, metadata, sealed, clear) in [
        // the reference drops all but the suffixes here, and encrypts everything
        ("", "encrypted_regex: ^a$", "a: ENC[", "b: in clear"),
        (", encrypted_regex: ^b$", "encrypted_regex: ^b$", "b: ENC[", "a: secret value"),
        (", unencrypted_regex: ^b$", "unencrypted_regex: ^b$", "a: ENC[", "b: in clear"),
        (", encrypted_suffix: b", "encrypted_suffix: b", "b: ENC[", "a: secret value"),
        (", unencrypted_suffix: b", "unencrypted_suffix: b", "a: ENC[", "b: in clear"),
        (", mac_only_encrypted: true", "mac_only_encrypted: true", "a: ENC[", "b: in clear"),
    ] {
        rules(&scratch, &[&for_bob(more)]);
        done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
        let sent = storage.last();
        for text in [metadata, sealed, clear] {
            assert!(sent.contains(text), "{more}: {text}: {sent}");
        }
        assert_eq!(opened(&scratch, &sent, "age-bob"), PLAIN, "{more}");
    }
}

/// The reference publishes such files so that they cannot be decrypted.
#[test]
fn keys_that_end_in_the_suffix_that_is_taken_for_granted_can_be_read_again() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    let text = "a_unencrypted: x\nb: z\n";
    scratch.write("c.yaml", text.as_bytes());
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "c.yaml"]).stdout();
    done(publish(&scratch, &storage.url(), &["--yes", "c.yaml"]));
    assert_eq!(opened(&scratch, &storage.last(), "age-bob"), text);
}

#[test]
fn groups_and_their_threshold_are_those_of_the_rule() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let groups = format!("key_groups: [{{age: [{alice}]}}, {{age: [{bob}]}}], shamir_threshold: 2");
    rules(&scratch, &[&format!("{{s3_bucket: b, recreation_rule: {{{groups}}}}}")]);
    let told = done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
    assert!(told.contains("Group 2") && !told.contains("threshold"), "{told}");
    let sent = storage.last();
    assert!(sent.contains("shamir_threshold: 2"), "{sent}");
    scratch.write("sent.yaml", sent.as_bytes());
    let decrypt = |keys: &[&str]| -> Outcome { scratch.call(["decrypt", "sent.yaml"]).keys(keys).outcome() };
    assert!(!decrypt(&["age-alice"]).succeeded());
    assert_eq!(decrypt(&["age-alice", "age-bob"]).stdout, PLAIN.as_bytes());
}

#[test]
fn every_format_is_sent_in_its_own() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    for (name, text) in [
        ("c.json", "{\n\t\"a\": 5\n}\n"),
        ("c.ini", "[s]\na = 5\n"),
        ("c.env", "a=5\n"),
        ("c.bin", "a\0b"),
        ("c.yaml", "a: 5\n---\na: 6\n"),
    ] {
        scratch.write(name, text.as_bytes());
        scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), name]).stdout();
        let before = scratch.call(["decrypt", name]).keys(["age-alice"]).stdout();
        done(publish(&scratch, &storage.url(), &["--yes", name]));
        scratch.write(name, storage.last().as_bytes());
        assert_eq!(scratch.call(["decrypt", name]).keys(["age-bob"]).stdout(), before, "{name}");
    }
}

#[test]
fn who_wants_to_know_is_told_when_a_file_is_encrypted_anew() {
    let (storage, scratch) = (Storage::new(), folder(&for_bob("")));
    encrypted(&scratch, "c.yaml", "a: 1\n");
    let outcome = publish(&scratch, &storage.url(), &["--yes", "--verbose", "c.yaml"]).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    let line = "level=debug msg=\"Re-encrypting tree before publishing\"";
    assert!(outcome.messages().contains(line), "{}", outcome.messages());
}

/// A file that needs the repair of encryption contexts (format.md §11), which is for commands that write it. Publishing it
/// once told of the repair, asked, and wrote the source.
#[cfg(feature = "aws")]
mod old_contexts {
    use super::*;
    use crate::server::moto::Moto;
    use crate::support::pty::Pty;
    use crate::support::scratch::Scratch;
    use crate::{ask, at};

    /// `a.yaml`: KMS was sent prod under both names.
    fn old_file(moto: &Moto, rule: &str) -> Scratch {
        let scratch = Scratch::new();
        scratch.write("a.yaml", b"a: secret value\n");
        let (arn, context) = (moto.key("us-east-1"), "App:prod,Env:prod");
        let encrypt = ["encrypt", "-i", "--kms", &arn, "--encryption-context", context, "a.yaml"];
        at(scratch.call(encrypt), &moto.url()).stdout();
        let text = scratch.text("a.yaml").replace("App: prod", "App: web");
        scratch.write("a.yaml", text.replace("version: 3.13.2", "version: 3.2.0").as_bytes());
        rules(&scratch, &[rule]);
        scratch
    }

    #[test]
    fn an_old_file_is_published_without_a_word_and_stays_as_it_is() {
        let Some(moto) = Moto::shared() else { return };
        assert_eq!(ask(&moto.url(), "PUT", "/old-contexts").0, 200);
        let scratch = old_file(moto, &for_bob("").replace("s3_bucket: b", "s3_bucket: old-contexts"));
        let before = scratch.text("a.yaml");
        let call = || at(scratch.call(["publish", "--yes", "a.yaml"]), &moto.url());
        let told = done(call());
        assert!(told.starts_with("The following changes") && !told.contains("3.3.0"), "{told}");
        let (screen, status) = Pty::start(call().command()).end();
        assert!(status == 0 && !screen.contains("y/n"), "{status}: {screen}");
        let (_, sent) = ask(&moto.url(), "GET", "/old-contexts/a.yaml");
        let sent = String::from_utf8(sent).expect("text");
        assert_eq!(opened(&scratch, &sent, "age-bob"), "a: secret value\n");
        assert_eq!(scratch.text("a.yaml"), before);
    }

    #[test]
    fn a_dry_run_asks_nothing_and_writes_nothing() {
        let Some(moto) = Moto::shared() else { return };
        let scratch = old_file(moto, "s3_bucket: b");
        let before = scratch.text("a.yaml");
        for arguments in
            [&["decrypt", "-i", "--dry-run", "a.yaml"][..], &["rotate", "-i", "--dry-run", "a.yaml"]]
        {
            let outcome = at(scratch.call(arguments), &moto.url()).outcome();
            let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
            assert!(
                outcome.succeeded() && told == "a.yaml: would be changed\n",
                "{told}{}",
                outcome.messages()
            );
            let (screen, status) = Pty::start(at(scratch.call(arguments), &moto.url()).command()).end();
            assert!(status == 0 && !screen.contains("y/n"), "{status}: {screen}");
            assert_eq!(scratch.text("a.yaml"), before);
        }
    }
}
