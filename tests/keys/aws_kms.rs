//! AWS KMS: against moto, which does the cryptography, and against servers that say what was sent.

mod context_repair;
mod credentials;
mod refusals;

use serde_json::json;

use crate::server::moto::{ACCOUNT, Moto};
use crate::support::outcome::Outcome;
use crate::support::scratch::{Call, Scratch};

const PLAIN: &[u8] = b"a: secret value\n";

/// A run that finds AWS at this address, and an access key in the environment.
fn aws<'a>(scratch: &'a Scratch, url: &str, arguments: &[&str]) -> Call<'a> {
    without_credentials(scratch, url, arguments)
        .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-example")
}

fn without_credentials<'a>(scratch: &'a Scratch, url: &str, arguments: &[&str]) -> Call<'a> {
    let call = scratch.call(arguments).variable("AWS_ENDPOINT_URL", url);
    call.variable("AWS_EC2_METADATA_DISABLED", "true").variable("NO_PROXY", "*")
}

/// A scratch folder with `a.yaml`, encrypted with these flags.
fn encrypted(url: &str, flags: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    aws(&scratch, url, &[&["encrypt", "-i"], flags, &["a.yaml"]].concat()).stdout();
    scratch
}

fn decrypts(scratch: &Scratch, url: &str) -> bool {
    let outcome = aws(scratch, url, &["decrypt", "a.yaml"]).outcome();
    assert!(
        !outcome.succeeded() || (outcome.stdout == PLAIN && outcome.stderr.is_empty()),
        "{}",
        told(&outcome)
    );
    outcome.succeeded()
}

/// What was said, without the bars and breaks of the account of all keys.
fn told(outcome: &Outcome) -> String {
    let text = String::from_utf8_lossy(&outcome.stderr).replace('|', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_data_key_goes_to_kms_and_comes_back() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("eu-central-1");
    let scratch = encrypted(&moto.url(), &["--kms", &arn]);
    let text = scratch.text("a.yaml");
    assert!(
        text.contains(&format!("- arn: {arn}\n          aws_profile: \"\"\n          created_at: ")),
        "{text}"
    );
    assert!(!text.contains("context:") && !text.contains("role:"), "{text}");
    assert!(decrypts(&scratch, &moto.url()));
    // the region comes from the ARN, whatever the environment says
    let elsewhere = aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).variable("AWS_REGION", "us-west-2");
    assert_eq!(elsewhere.variable("AWS_DEFAULT_REGION", "us-west-1").stdout(), PLAIN);
    // the names of the variables that older tools use
    let old_names = without_credentials(&scratch, &moto.url(), &["decrypt", "a.yaml"]);
    let old_names = old_names.variable("AWS_ACCESS_KEY", "AKIAEXAMPLE").variable("AWS_SECRET_KEY", "x");
    assert_eq!(old_names.stdout(), PLAIN);
}

#[test]
fn an_alias_stays_an_alias() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("us-east-1");
    let alias = json!({ "AliasName": "alias/of-this-test", "TargetKeyId": arn });
    moto.kms("AKIAEXAMPLE", "us-east-1", "CreateAlias", &alias);
    let alias = format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/of-this-test");
    let scratch = encrypted(&moto.url(), &["--kms", &alias]);
    assert!(scratch.text("a.yaml").contains(&alias));
    assert!(decrypts(&scratch, &moto.url()));
}

#[test]
fn the_encryption_context_must_be_the_same() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("us-east-1");
    let scratch = encrypted(&moto.url(), &["--kms", &arn, "--encryption-context", "Env:prod,App:web"]);
    let text = scratch.text("a.yaml");
    assert!(text.contains("context:\n            App: web\n            Env: prod\n"), "{text}");
    assert!(decrypts(&scratch, &moto.url()));
    scratch.write("a.yaml", text.replace("Env: prod", "Env: test").as_bytes());
    let refused = aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).outcome();
    let said = told(&refused);
    assert!(
        said.contains("failed to decrypt sops data key with AWS KMS: InvalidCiphertextException"),
        "{said}"
    );
    assert!(said.contains("hint: the encryption context in the file is not the one"), "{said}");
    // a value that is null is not sent
    let with_null = text.replace("Env: prod", "Env: prod\n            None: null");
    scratch.write("a.yaml", with_null.as_bytes());
    assert!(decrypts(&scratch, &moto.url()));
}

#[test]
fn rules_name_keys_roles_contexts_and_profiles() {
    let Some(moto) = Moto::shared() else { return };
    let (first, second) = (moto.key("us-east-1"), moto.key("eu-west-1"));
    let scratch = Scratch::new();
    scratch.write(
        ".sops.yaml",
        format!(
            "creation_rules:\n  - path_regex: ^a\n    kms: {first}+arn:aws:iam::{ACCOUNT}:role/sops\n    aws_profile: team\n  \
             - key_groups:\n      - kms:\n          - arn: {first}\n            role: arn:aws:iam::{ACCOUNT}:role/sops\n            \
             context: {{App: web}}\n          - arn: {second}\n            aws_profile: team\n"
        )
        .as_bytes(),
    );
    let profiles = scratch.folder().join("credentials");
    scratch.write("credentials", b"[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = x\n");
    for name in ["a.yaml", "b.yaml"] {
        scratch.write(name, PLAIN);
        for command in ["encrypt", "decrypt"] {
            let call = aws(&scratch, &moto.url(), &[command, "-i", name]);
            call.variable("AWS_SHARED_CREDENTIALS_FILE", &profiles.display().to_string()).stdout();
            let text = scratch.text(name);
            let is_sealed = text.contains("aws_profile: team") && text.contains("role/sops");
            assert_eq!(is_sealed, command == "encrypt", "{text}");
        }
        assert_eq!(scratch.read(name).expect("a file"), PLAIN);
    }
}

#[test]
fn keys_come_and_go() {
    let Some(moto) = Moto::shared() else { return };
    let (first, second) = (moto.key("us-east-1"), moto.key("ap-southeast-2"));
    let scratch = encrypted(&moto.url(), &["--kms", &first]);
    let run = |arguments: &[&str]| aws(&scratch, &moto.url(), arguments).stdout();
    run(&["rotate", "-i", "--add-kms", &second, "--rm-kms", &first, "a.yaml"]);
    let text = scratch.text("a.yaml");
    assert!(text.contains(&second) && !text.contains(&first), "{text}");
    scratch.write(".sops.yaml", format!("creation_rules:\n  - kms: {first},{second}\n").as_bytes());
    run(&["updatekeys", "-y", "a.yaml"]);
    let text = scratch.text("a.yaml");
    assert!(text.contains(&second) && text.contains(&first), "{text}");
    assert!(decrypts(&scratch, &moto.url()));
}

#[test]
fn two_regions_can_hold_a_share_each() {
    let Some(moto) = Moto::shared() else { return };
    let (first, second) = (moto.key("us-east-1"), moto.key("eu-west-1"));
    let scratch = Scratch::new();
    let group = |arn: &str| format!("      - kms:\n          - arn: {arn}\n");
    scratch.write(
        ".sops.yaml",
        format!("creation_rules:\n  - key_groups:\n{}{}", group(&first), group(&second)).as_bytes(),
    );
    scratch.write("a.yaml", PLAIN);
    aws(&scratch, &moto.url(), &["encrypt", "-i", "a.yaml"]).stdout();
    assert!(scratch.text("a.yaml").contains("shamir_threshold: 2"));
    assert!(decrypts(&scratch, &moto.url()));
    // one share is not enough
    let nobody = format!("arn:aws:kms:eu-west-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000");
    scratch.write("a.yaml", scratch.text("a.yaml").replace(&second, &nobody).as_bytes());
    let refused = aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).outcome();
    let said = told(&refused);
    assert!(said.contains("Group 0: SUCCESS Group 1: FAILED"), "{said}");
    assert!(said.contains("Shamir threshold of 2, but only 1 part(s)"), "{said}");
}

#[test]
fn several_files_need_no_more_than_their_keys() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("us-east-1");
    let scratch = encrypted(&moto.url(), &["--kms", &arn]);
    // what cannot be used does not keep the others from being used
    let broken = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000");
    let text = scratch.text("a.yaml");
    let (head, key) = text.split_once("    kms:\n").expect("a list of keys");
    let entry = &key[..key.find("    lastmodified").expect("the end of the list")];
    let both = format!("{head}    kms:\n{}{key}", entry.replace(&arn, &broken));
    scratch.write("a.yaml", both.as_bytes());
    assert!(decrypts(&scratch, &moto.url()));
}
