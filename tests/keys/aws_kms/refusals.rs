//! What is said when AWS refuses, or cannot be reached.

use serde_json::json;

use super::{ACCOUNT, PLAIN, aws, encrypted, told, without_credentials};
use crate::server::moto::Moto;
use crate::server::{Response, Server};
use crate::support::scratch::Scratch;

const ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";

/// What is said of an encryption for this key, and the exit status.
fn encryption(url: &str, key: &str) -> String {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let outcome = aws(&scratch, url, &["encrypt", "--kms", key, "a.yaml"]).outcome();
    assert!(outcome.failed_cleanly() && outcome.stdout.is_empty(), "{}", told(&outcome));
    told(&outcome)
}

/// A KMS that always says this.
fn refusing(code: &'static str, message: &'static str) -> Server {
    Server::http(move |_| {
        Response::json(400, &json!({ "__type": code, "message": message })).with("x-amzn-requestid", "req-1")
    })
}

#[test]
fn what_is_no_arn_is_told_without_asking_anybody() {
    let nowhere = "http://127.0.0.1:9";
    for key in ["1234abcd-12ab-34cd-56ef-1234567890ab", "alias/team", "arn:aws:s3:us-east-1:1:key/x"] {
        let said = encryption(nowhere, key);
        assert!(said.contains(&format!("no valid ARN found in '{key}'")), "{said}");
    }
}

#[test]
fn unknown_keys_and_other_regions_are_told() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("us-east-1");
    let elsewhere = arn.replace("us-east-1", "us-west-2");
    for key in [&elsewhere, &format!("arn:aws:kms:us-east-1:{ACCOUNT}:alias/nobody")] {
        let said = encryption(&moto.url(), key);
        assert!(said.contains("failed to encrypt sops data key with AWS KMS: NotFoundException: "), "{said}");
        assert!(
            said.contains(&format!("hint: check the region, the account and the name in {key}")),
            "{said}"
        );
    }
}

#[test]
fn a_changed_blob_is_told() {
    let Some(moto) = Moto::shared() else { return };
    let arn = moto.key("us-east-1");
    let scratch = encrypted(&moto.url(), &["--kms", &arn]);
    let text = scratch.text("a.yaml");
    let (_, enc) = text.split_once("enc: ").expect("a data key");
    let enc = enc.lines().next().expect("a line");
    let said = |changed: &str| {
        scratch.write("a.yaml", text.replace(enc, changed).as_bytes());
        let outcome = aws(&scratch, &moto.url(), &["decrypt", "a.yaml"]).outcome();
        assert!(outcome.stdout.is_empty() && outcome.failed_cleanly());
        told(&outcome)
    };
    let flipped = if enc.ends_with("A=") { "Q=" } else { "A=" };
    let tampered = format!("{}{}{flipped}", &enc[..enc.len() - 6], "AAAA");
    let answer = said(&tampered);
    assert!(answer.contains("InvalidCiphertextException"), "{answer}");
    let answer = said("AQ-D");
    assert!(
        answer.contains("error base64-decoding encrypted data key: illegal base64 data at input byte 2"),
        "{answer}"
    );
}

#[test]
fn who_is_not_allowed_is_told_who_must_allow_it() {
    let Some(moto) = Moto::start() else { return };
    let iam = |parameters: &[(&str, &str)], wanted: &[&str]| {
        moto.query("iam", "AKIAEXAMPLE", &[&[("Version", "2010-05-08")], parameters].concat(), wanted)
    };
    iam(&[("Action", "CreateUser"), ("UserName", "ci")], &[]);
    let keys = iam(&[("Action", "CreateAccessKey"), ("UserName", "ci")], &["AccessKeyId", "SecretAccessKey"]);
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}]}"#;
    iam(
        &[("Action", "PutUserPolicy"), ("UserName", "ci"), ("PolicyName", "p"), ("PolicyDocument", policy)],
        &[],
    );
    let arn = moto.key("us-east-1");
    moto.check_who_asks();

    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let as_user = |arguments: &[&str], secret: &str| {
        let call = without_credentials(&scratch, &moto.url(), arguments);
        call.variable("AWS_ACCESS_KEY_ID", &keys[0]).variable("AWS_SECRET_ACCESS_KEY", secret).outcome()
    };
    // the signature was right
    let sealed = as_user(&["encrypt", "-i", "--kms", &arn, "a.yaml"], &keys[1]);
    assert!(sealed.succeeded(), "{}", told(&sealed));

    let denied = told(&as_user(&["decrypt", "a.yaml"], &keys[1]));
    let user = format!("arn:aws:iam::{ACCOUNT}:user/ci");
    assert!(denied.contains(&format!("User: {user} is not authorized to perform: kms:Decrypt")), "{denied}");
    let remedy = format!("hint: the policies of the identity {user} must allow kms:Decrypt on {arn}");
    assert!(denied.contains(&remedy), "{denied}");

    let role = format!("arn:aws:iam::{ACCOUNT}:role/nobody");
    scratch.write("b.yaml", PLAIN);
    let assume =
        |secret: &str| told(&as_user(&["encrypt", "--kms", &format!("{arn}+{role}"), "b.yaml"], secret));
    let denied = assume(&keys[1]);
    assert!(
        denied.contains(&format!("failed to assume role '{role}': AccessDenied: User: {user}")),
        "{denied}"
    );
    let remedy = format!("hint: the policies of the identity {user} must allow sts:AssumeRole on {role}");
    assert!(denied.contains(&remedy), "{denied}");
    let forged = assume("another-secret");
    assert!(forged.contains(&format!("failed to assume role '{role}': SignatureDoesNotMatch")), "{forged}");
    assert!(forged.contains("hint: the secret key does not belong to the access key"), "{forged}");
    assert!(!forged.contains("another-secret"), "{forged}");
}

#[test]
fn a_refusal_names_who_was_refused() {
    let server = refusing(
        "AccessDeniedException",
        "User: arn:aws:sts::1:assumed-role/ci/pod is not authorized to perform: kms:Encrypt on this resource",
    );
    let said = encryption(&server.url(), ARN);
    let remedy = "the policies of the identity arn:aws:sts::1:assumed-role/ci/pod must allow kms:Encrypt on";
    assert!(said.contains(remedy), "{said}");
    let proxy = Server::http(|_| Response::text(407, "<html>who are you?</html>"));
    let said = encryption(&proxy.url(), ARN);
    assert!(said.contains("an answer that is none of AWS (HTTP 407): <html>who are you?</html>"), "{said}");
}

#[test]
fn refusals_come_with_a_remedy() {
    for (code, remedy) in [
        ("ExpiredTokenException", "log in again, as with `aws sso login`"),
        ("UnrecognizedClientException", "AWS does not know the access key"),
        ("IncorrectKeyException", "was encrypted with another key than"),
        ("DisabledException", "is disabled or about to be deleted"),
        ("KMSInvalidStateException", "is disabled or about to be deleted"),
        ("InvalidKeyUsageException", "must be a symmetric key"),
        ("AccessDeniedException", "whose access key is used must allow kms:Encrypt on"),
    ] {
        let server = refusing(code, "as the service says it");
        let said = encryption(&server.url(), ARN);
        let answer = format!("AWS KMS: {code}: as the service says it (HTTP 400, request req-1)");
        assert!(said.contains(&answer) && said.contains(remedy), "{said}");
        assert_eq!(server.seen().len(), 1, "{code} is not to be tried again");
    }
}

#[test]
fn without_credentials_it_is_told_where_they_were_looked_for() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let said = |flags: &[&str]| {
        let arguments = [&["encrypt", "--kms", ARN], flags, &["a.yaml"]].concat();
        told(&without_credentials(&scratch, "http://127.0.0.1:9", &arguments).outcome())
    };
    let none = said(&[]);
    assert!(none.contains("failed to encrypt sops data key with AWS KMS: "), "{none}");
    assert!(none.contains("no credentials found in chain"), "{none}");
    assert!(none.contains("hint: set AWS_ACCESS_KEY_ID"), "{none}");

    scratch.write("../home/.aws/config", b"[profile team]\nsso_start_url = https://sso.example/start\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n");
    let unknown = said(&["--aws-profile", "nobody"]);
    assert!(
        unknown.contains("could not load AWS config: failed to get shared config profile, nobody"),
        "{unknown}"
    );
    assert!(unknown.contains("these are known: team"), "{unknown}");
    // nobody has logged in
    let logged_out = said(&["--aws-profile", "team"]);
    assert!(logged_out.contains("`aws sso login --profile team`"), "{logged_out}");
}

/// The SDK shows the whole request then.
#[test]
fn an_endpoint_that_is_none_does_not_bring_the_data_key_to_light() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let said = |endpoint: Option<&str>| {
        let call =
            scratch.call(["encrypt", "--kms", ARN, "a.yaml"]).variable("AWS_EC2_METADATA_DISABLED", "true");
        let call = call.variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").variable("AWS_SECRET_ACCESS_KEY", "s");
        let outcome = match endpoint {
            Some(url) => call.variable("AWS_ENDPOINT_URL_KMS", url).outcome(),
            None => call.outcome(),
        };
        assert!(outcome.failed_cleanly(), "{}", told(&outcome));
        told(&outcome)
    };
    for url in ["localhost:4566", "http://", "not a url", "https:///x"] {
        let said = said(Some(url));
        assert!(
            said.contains(&format!("could not load AWS config: AWS_ENDPOINT_URL_KMS: {url:?} is no URL")),
            "{said}"
        );
    }
    scratch.write("../home/.aws/config", b"[default]\nendpoint_url = localhost:4566\n");
    let said = said(None);
    assert!(said.contains("the request cannot be made"), "{said}");
    assert!(!said.contains("SdkBody") && !said.contains("Plaintext"), "{said}");
}

/// As in the reference; a job of CI sets them so when it has nothing to set.
#[test]
fn an_endpoint_that_is_empty_is_as_good_as_none() {
    let Some(moto) = Moto::shared() else { return };
    let key = format!("{}+arn:aws:iam::{ACCOUNT}:role/sops", moto.key("us-east-1"));
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let call = aws(&scratch, &moto.url(), &["encrypt", "--kms", &key, "a.yaml"]);
    call.variable("AWS_ENDPOINT_URL_KMS", "").variable("AWS_ENDPOINT_URL_STS", "").stdout();
    // where the SDK itself asks, it must be told
    let call = without_credentials(&scratch, &moto.url(), &["encrypt", "--kms", &key, "a.yaml"]);
    let call = call.variable("AWS_WEB_IDENTITY_TOKEN_FILE", "token").variable("AWS_ENDPOINT_URL_STS", "");
    let said = told(&call.outcome());
    assert!(said.contains("could not load AWS config: AWS_ENDPOINT_URL_STS is empty"), "{said}");
}

#[test]
fn who_is_silent_is_not_waited_for() {
    let server = Server::silent();
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    let call = aws(&scratch, &server.url(), &["encrypt", "--kms", ARN, "a.yaml"]);
    let said = told(&call.variable("SOPS_KMS_TIMEOUT", "500ms").outcome());
    assert!(said.contains("no answer within 500ms"), "{said}");
    let said = encryption("http://127.0.0.1:9", ARN);
    assert!(said.contains("hint: there is no connection: check the network"), "{said}");
}
