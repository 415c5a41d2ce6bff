//! How AWS is reached (publish-audit.md A6): as it is for keys.

use crate::server::moto::Moto;
use crate::server::{Response, Server};
use crate::support::outcome::{fails_with, refused};
use crate::support::scratch::Call;
use crate::{NOWHERE, Storage, done, folder, publish};

#[test]
fn an_endpoint_that_is_empty_is_none() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let call = |all: &str, own: &str| {
        publish(&scratch, all, &["--yes", "conf/a.yaml"]).variable("AWS_ENDPOINT_URL_S3", own)
    };
    done(call(&storage.url(), ""));
    done(call("", &storage.url()));
    done(call(NOWHERE, &storage.url()));
    assert_eq!(storage.requests(), ["PUT /b/a.yaml"; 3]);
    let words =
        ["conf/a.yaml: unable to load SDK config: AWS_ENDPOINT_URL_S3: \"nonsense\" is no URL", "hint: "];
    refused(&call(&storage.url(), "nonsense").outcome(), 1, &words);
    // what is set for other services does not count
    done(call(&storage.url(), "").variable("AWS_ENDPOINT_URL_KMS", "nonsense"));
}

#[test]
fn certificates_are_those_of_the_bundle() {
    let server = Server::https(|_| Response::text(200, ""));
    let scratch = folder("s3_bucket: b");
    let call = || publish(&scratch, &server.url(), &["--yes", "conf/a.yaml"]);
    refused(
        &call().outcome(),
        1,
        &["conf/a.yaml: cannot upload to s3://b/a.yaml", "certificate", "AWS_CA_BUNDLE"],
    );
    assert_eq!(done(call().variable("AWS_CA_BUNDLE", &server.authority().display().to_string())), "");
    assert_eq!(server.seen().len(), 1);
    for (bundle, reason) in [
        ("/nowhere", "/nowhere: no such file or directory"),
        ("<DIR>/.sops.yaml", "there is no certificate in it"),
    ] {
        let outcome = call().variable("AWS_CA_BUNDLE", bundle).outcome();
        refused(&outcome, 1, &["conf/a.yaml: unable to load SDK config: AWS_CA_BUNDLE: ", reason, "hint: "]);
    }
}

#[test]
fn credentials_and_region_can_come_from_a_profile() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    std::fs::create_dir(scratch.root().join("home/.aws")).expect("our own folder");
    let profile = format!(
        "[profile p]\nregion = eu-west-3\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\nendpoint_url = {}\n",
        storage.url()
    );
    std::fs::write(scratch.root().join("home/.aws/config"), profile).expect("our own folder");
    let call = |name: &str| -> Call<'_> {
        scratch
            .call(["publish", "--yes", "conf/a.yaml"])
            .variable("AWS_PROFILE", name)
            .variable("AWS_EC2_METADATA_DISABLED", "true")
            .variable("NO_PROXY", "*")
    };
    done(call("p"));
    let request = storage.0.seen().pop().expect("a request");
    let signed = request.header("authorization").expect("a signature").to_owned();
    assert!(signed.contains("Credential=AKIAPROFILE/") && signed.contains("/eu-west-3/s3/"), "{signed}");
    assert_eq!(request.path, "/b/a.yaml", "the bucket is in the path");
    let words = [
        "unable to load SDK config: failed to get shared config profile, nobody",
        "hint: ",
        "these are known: p",
    ];
    refused(&call("nobody").outcome(), 1, &words);
}

#[test]
fn what_is_missing_is_named() {
    let (storage, scratch) = (Storage::new(), folder("s3_bucket: b"));
    let call = || publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]);
    let words =
        ["conf/a.yaml: cannot upload to s3://b/a.yaml: no credentials found", "hint: set AWS_ACCESS_KEY_ID"];
    refused(&call().variable("AWS_ACCESS_KEY_ID", "").outcome(), 1, &words);
    refused(&call().variable("AWS_REGION", "").outcome(), 1, &["region", "hint: set AWS_REGION"]);
    let nowhere = call().variable("AWS_ENDPOINT_URL", NOWHERE).outcome();
    refused(
        &nowhere,
        1,
        &["conf/a.yaml: cannot upload to s3://b/a.yaml: ", "refused", "hint: there is no connection"],
    );
    assert!(storage.requests().is_empty());
}

#[test]
fn a_storage_that_says_nothing_costs_the_limit() {
    let (silent, scratch) = (Server::silent(), folder("s3_bucket: b"));
    let call = publish(&scratch, &silent.url(), &["--yes", "conf/a.yaml"]).variable("SOPS_KMS_TIMEOUT", "1s");
    refused(
        &call.outcome(),
        1,
        &["conf/a.yaml: cannot upload to s3://b/a.yaml: no answer within 1s", "hint: "],
    );
}

#[test]
fn whoever_may_not_write_is_told_which_right_is_missing() {
    let Some(moto) = Moto::start() else { return };
    let scratch = folder("s3_bucket: closed");
    assert_eq!(crate::ask(&moto.url(), "PUT", "/closed").0, 200);
    let [id, secret] = user(&moto);
    moto.check_who_asks();
    let call = || publish(&scratch, &moto.url(), &["--yes", "conf/a.yaml"]);
    let outcome =
        call().variable("AWS_ACCESS_KEY_ID", &id).variable("AWS_SECRET_ACCESS_KEY", &secret).outcome();
    let words = [
        "cannot upload to s3://closed/a.yaml: AccessDenied",
        "must allow s3:PutObject on arn:aws:s3:::closed/a.yaml",
    ];
    refused(&outcome, 1, &words);
    assert!(!outcome.messages().contains(&secret));
    let words = ["InvalidAccessKeyId", "hint: AWS does not know the access key"];
    fails_with(&call().outcome(), 1, &words);
}

/// Somebody who may do nothing.
fn user(moto: &Moto) -> [String; 2] {
    let iam =
        |parameters: &[(&str, &str)], wanted: &[&str]| moto.query("iam", "AKIAEXAMPLE", parameters, wanted);
    iam(&[("Action", "CreateUser"), ("UserName", "nobody"), ("Version", "2010-05-08")], &[]);
    let key = [("Action", "CreateAccessKey"), ("UserName", "nobody"), ("Version", "2010-05-08")];
    iam(&key, &["AccessKeyId", "SecretAccessKey"]).try_into().expect("both")
}
