//! What cannot be published, in the order in which it is noticed (publish-audit.md A1, A8).

use crate::support::outcome::refused;
use crate::support::scratch::Scratch;
use crate::{NOWHERE, Storage, encrypted, folder, publish, publish_without_key, recipient, rules};

#[test]
fn mistakes_are_told_in_the_order_of_the_reference() {
    let nothing = ["--decryption-order", "age,age", "--recursive", "nothing"];
    // each of these calls makes all the mistakes of those behind it
    refused(&publish(&Scratch::new(), NOWHERE, &[]).outcome(), 1, &["config file not found", "hint: "]);
    let scratch = folder("s3_bucket: b");
    refused(&publish(&scratch, NOWHERE, &nothing[..2]).outcome(), 100, &["no file specified"]);
    refused(&publish(&scratch, NOWHERE, &nothing).outcome(), 1, &["stat nothing: no such file or directory"]);
    let directory = ["--decryption-order", "age,age", "conf"];
    let words = ["can't operate on a directory without --recursive flag.", "hint: --recursive"];
    refused(&publish(&scratch, NOWHERE, &directory).outcome(), 1, &words);
    scratch.write("plain.yaml", b"a: 1\n");
    rules(&scratch, &["path_regex: other"]);
    let plain = ["--yes", "plain.yaml"];
    refused(
        &publish(&scratch, NOWHERE, &[&nothing[..2], &plain].concat()).outcome(),
        112,
        &["Duplicate decryption key type: age"],
    );
    let no_match = "plain.yaml: error loading config: no matching destination found in config";
    refused(&publish(&scratch, NOWHERE, &plain).outcome(), 1, &[no_match, "path_regex"]);
    scratch.write(".sops.yaml", b"creation_rules: []\n");
    refused(&publish(&scratch, NOWHERE, &plain).outcome(), 1, &[no_match]);
    rules(&scratch, &["{s3_bucket: b, gcs_bucket: c}"]);
    let several = "error loading config: more than one destinations were found in a single destination rule, you can \
                   only use one per rule";
    refused(&publish(&scratch, NOWHERE, &plain).outcome(), 1, &[several]);
    rules(&scratch, &["omit_extensions: true"]);
    let words = ["plain.yaml: no destination configured for this file", "hint: the rule", "vault_path"];
    refused(&publish(&scratch, NOWHERE, &plain).outcome(), 1, &words);
    rules(&scratch, &["s3_bucket: b"]);
    refused(
        &publish(&scratch, NOWHERE, &plain).outcome(),
        1,
        &["sops metadata not found", "`rsops encrypt`"],
    );
}

#[test]
fn a_typing_error_in_a_rule_is_named() {
    let scratch = folder("s3_bukcet: b");
    let words = ["s3_bukcet", "s3_bucket", "no destination configured for this file"];
    refused(&publish(&scratch, NOWHERE, &["--yes", "conf/a.yaml"]).outcome(), 1, &words);
}

#[test]
fn surplus_arguments_are_told_and_passed_over() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let outcome = publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml", "conf/deep/b.json"]).outcome();
    assert!(
        outcome.succeeded() && outcome.messages().contains("Only the first one"),
        "{}",
        outcome.messages()
    );
    assert_eq!(storage.requests(), ["PUT /b/a.yaml"]);
}

#[test]
fn what_cannot_be_opened_is_not_sent_and_has_the_code_of_decryption() {
    let storage = Storage::new();
    for rule in [
        format!("{{s3_bucket: b, recreation_rule: {{age: {}}}}}", recipient("age-bob")),
        "vault_path: app".to_owned(),
    ] {
        let scratch = folder(&rule);
        let words = ["age"];
        refused(
            &publish_without_key(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]).outcome(),
            128,
            &words,
        );
        let elsewhere = ["--yes", "--enable-local-keyservice=false", "conf/a.yaml"];
        refused(&publish(&scratch, &storage.url(), &elsewhere).outcome(), 128, &["key"]);
        let text = scratch.text("conf/a.yaml");
        scratch.write("conf/a.yaml", text.replace("in clear", "changed").as_bytes());
        let changed = publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]).outcome();
        refused(&changed, 51, &["conf/a.yaml", "MAC mismatch"]);
        scratch.write("conf/a.yaml", text.replacen("data:", "data:AAAA", 1).as_bytes());
        let damaged = publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]).outcome();
        refused(&damaged, 25, &["Could not decrypt value"]);
        // among many it must be said which
        let damaged = publish(&scratch, &storage.url(), &["--yes", "--recursive", "conf"]).outcome();
        refused(&damaged, 25, &["conf/a.yaml: Error decrypting tree"]);
    }
    assert!(storage.requests().is_empty());
    // as it is it can be sent by anybody
    let scratch = folder("s3_bucket: b");
    assert!(publish_without_key(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]).outcome().succeeded());
}

#[test]
fn a_recreation_rule_must_make_sense_wherever_the_file_goes() {
    for place in ["s3_bucket: b", "gcs_bucket: b", "vault_path: app"] {
        for (rule, words) in [
            ("{encrypted_regex: a, unencrypted_suffix: b}", "cannot use more than one of"),
            ("{age: nonsense}", "nonsense"),
        ] {
            let scratch = folder(&format!("{{{place}, recreation_rule: {rule}}}"));
            refused(
                &publish(&scratch, NOWHERE, &["--yes", "conf/a.yaml"]).outcome(),
                1,
                &["conf/a.yaml: ", words],
            );
        }
    }
}

#[test]
fn a_recreation_key_that_cannot_be_used_is_an_error() {
    let vault = "http://127.0.0.1:1/v1/transit/keys/k";
    let scratch = folder(&format!("{{s3_bucket: b, recreation_rule: {{hc_vault_transit_uri: '{vault}'}}}}"));
    encrypted(&scratch, "b.yaml", "a: 1\n");
    let outcome = publish(&scratch, NOWHERE, &["--yes", "b.yaml"]).variable("VAULT_TOKEN", "x");
    let outcome = outcome.variable("VAULT_MAX_RETRIES", "0").outcome();
    crate::support::outcome::fails_with(&outcome, 1, &["Could not generate data key: ["]);
}
