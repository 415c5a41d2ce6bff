//! What publishing records.

use crate::Desk;
use crate::cloud::vault::{ROOT, Vault};
use crate::cloud::{Response, Server};
use crate::support::keys::recipient;
use crate::support::outcome::refused;

#[test]
fn publishing_records_what_is_done_with_the_values() {
    let Some(desk) = Desk::new() else { return };
    let storage = Server::http(|_| Response::text(200, ""));
    let vault = Vault::new();
    let (decrypt, encrypt) = ("decrypt <DIR>/a.yaml", "encrypt <DIR>/a.yaml");
    let anew = format!("{{s3_bucket: b, recreation_rule: {{age: {}}}}}", recipient("age-bob"));
    let call = |arguments: &[&str]| {
        desk.call(&[&["publish"], arguments].concat())
            .variable("AWS_ENDPOINT_URL", &storage.url())
            .variable("AWS_REGION", "eu-central-1")
            .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .variable("AWS_SECRET_ACCESS_KEY", "x")
            .variable("VAULT_ADDR", &vault.url())
            .variable("VAULT_TOKEN", ROOT)
            .variable("NO_PROXY", "*")
    };
    let rule =
        |rule: &str| desk.scratch.write(".sops.yaml", format!("destination_rules:\n  - {rule}\n").as_bytes());
    for (destination, expected) in [
        ("s3_bucket: b", &[][..]),
        (anew.as_str(), &[decrypt, encrypt]),
        ("vault_path: app", &[decrypt]),
        // what is there already was decrypted all the same
        ("vault_path: app", &[decrypt]),
    ] {
        rule(destination);
        assert_eq!(desk.recorded(call(&["--yes", "a.yaml"]), 0), *expected, "{destination}");
    }
    // who says no was asked when it had been done
    rule(&anew);
    assert_eq!(desk.recorded(call(&["a.yaml"]).stdin(b"n\n"), 1), [decrypt, encrypt]);

    desk.configure(&[&desk.url("intruder", "")]);
    let before = (storage.seen().len(), vault.requests().len());
    for destination in [anew.as_str(), "vault_path: app"] {
        rule(destination);
        let words =
            ["[AUDIT]\t ", "Failed to insert audit record: permission denied", "hint: the role needs INSERT"];
        refused(&call(&["--yes", "--recursive", "a.yaml"]).outcome(), 1, &words);
    }
    assert_eq!((storage.seen().len(), vault.requests().len()), before, "what cannot be recorded is not sent");
    // nothing is recorded here
    rule("s3_bucket: b");
    assert!(call(&["--yes", "a.yaml"]).outcome().succeeded());
}

/// A file from before 3.3.0 (format.md §11): its repair has records of its own, where it is told of.
#[test]
fn the_repair_of_old_contexts_is_recorded_where_it_is_told_of() {
    let (Some(desk), Some(moto)) = (Desk::new(), crate::cloud::moto::Moto::shared()) else { return };
    let aws = |arguments: &[&str]| {
        desk.call(arguments)
            .variable("AWS_ENDPOINT_URL", &moto.url())
            .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .variable("AWS_SECRET_ACCESS_KEY", "x")
            .variable("AWS_REGION", "us-east-1")
            .variable("NO_PROXY", "*")
    };
    let (arn, context) = (moto.key("us-east-1"), "App:prod,Env:prod");
    desk.scratch.write("a.yaml", b"a: x\n");
    aws(&["encrypt", "-i", "--kms", &arn, "--encryption-context", context, "a.yaml"]).stdout();
    let text = desk.scratch.text("a.yaml").replace("App: prod", "App: web");
    desk.scratch.write("a.yaml", text.replace("version: 3.13.2", "version: 3.2.0").as_bytes());
    let rule =
        format!("destination_rules:\n  - vault_path: app\n    vault_address: {}\n", "http://127.0.0.1:1");
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.events();
    let (decrypt, encrypt) = ("decrypt <DIR>/a.yaml", "encrypt <DIR>/a.yaml");
    assert_eq!(desk.recorded(aws(&["decrypt", "a.yaml"]), 0), [decrypt, decrypt]);
    assert_eq!(desk.recorded(aws(&["decrypt", "-i", "--dry-run", "a.yaml"]), 0), [decrypt]);
    assert_eq!(desk.recorded(aws(&["publish", "a.yaml"]).stdin(b"n\n"), 1), [decrypt]);
    assert_eq!(desk.recorded(aws(&["set", "a.yaml", "[\"a\"]", "1"]), 0), [decrypt, decrypt, encrypt]);
}
