//! Buckets of S3: as moto plays them, and as servers that say what was sent.

use crate::server::moto::Moto;
use crate::support::keys::recipient;
use crate::support::outcome::{Ending, refused};
use crate::{Storage, ask, done, folder, publish};

/// An empty bucket of this name, which no other test has.
fn bucket(moto: &Moto, name: &str) {
    assert_eq!(ask(&moto.url(), "PUT", &format!("/{name}")).0, 200);
}

fn object(moto: &Moto, path: &str) -> Option<Vec<u8>> {
    let (status, body) = ask(&moto.url(), "GET", path);
    (status == 200).then_some(body)
}

#[test]
fn one_request_says_what_that_of_the_reference_says() {
    let (storage, scratch) = (Storage::new(), folder("{s3_bucket: b, s3_prefix: x/}"));
    done(publish(&scratch, &storage.url(), &["--yes", "conf/a.yaml"]));
    let requests = storage.0.seen();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/b/x/a.yaml"));
    assert_eq!(request.query, "x-id=PutObject");
    assert_eq!(request.header("content-type"), Some("application/octet-stream"));
    assert_eq!(request.body, scratch.read("conf/a.yaml").expect("there"));
    let parameters: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["x-amz-acl", "x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-tagging"] {
        assert!(!parameters.contains(&name), "{parameters:?}");
    }
}

#[test]
fn a_file_without_other_keys_goes_as_it_is() {
    let Some(moto) = Moto::shared() else { return };
    bucket(moto, "plain-copies");
    let scratch = folder("s3_bucket: plain-copies\n    s3_prefix: pre-");
    assert_eq!(done(publish(&scratch, &moto.url(), &["--yes", "conf/a.yaml"])), "");
    assert_eq!(object(moto, "/plain-copies/pre-a.yaml"), Some(scratch.read("conf/a.yaml").expect("a file")));
}

#[test]
fn a_file_for_other_keys_is_encrypted_anew_and_selects_the_same() {
    let Some(moto) = Moto::shared() else { return };
    bucket(moto, "other-keys");
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let rule = format!("s3_bucket: other-keys\n    recreation_rule:\n      age: {bob}");
    let scratch = folder(&rule);
    let told = done(publish(&scratch, &moto.url(), &["--yes", "--recursive", "--omit-extensions", "conf"]));
    assert!(told.contains(&format!("+++ {bob}")) && told.contains(&format!("--- {alice}")), "{told}");
    let sent = object(moto, "/other-keys/a").expect("an object");
    let text = String::from_utf8(sent.clone()).expect("text");
    assert!(text.contains("a: ENC[") && text.contains("b: in clear") && !text.contains(&alice), "{text}");
    scratch.write("sent.yaml", &sent);
    let opened = scratch.call(["decrypt", "sent.yaml"]).keys(["age-bob"]).stdout();
    assert_eq!(opened, b"a: secret value\nb: in clear\n");
    assert!(object(moto, "/other-keys/deep/b").is_some());
    // it can be done again
    done(publish(&scratch, &moto.url(), &["--yes", "--recursive", "--omit-extensions", "conf"]));
}

#[test]
fn what_cannot_be_sent_is_an_error_and_ends_the_run() {
    let Some(moto) = Moto::shared() else { return };
    let scratch = folder("s3_bucket: nobody-has-it");
    let outcome = publish(&scratch, &moto.url(), &["--yes", "--recursive", "conf"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    assert!(outcome.messages().contains("NoSuchBucket"), "{}", outcome.messages());
}

#[test]
fn a_changed_file_is_not_encrypted_for_anybody_else() {
    let Some(moto) = Moto::shared() else { return };
    bucket(moto, "changed");
    let rule = format!("s3_bucket: changed\n    recreation_rule:\n      age: {}", recipient("age-bob"));
    let scratch = folder(&rule);
    let text = scratch.text("conf/a.yaml").replace("in clear", "changed");
    scratch.write("conf/a.yaml", text.as_bytes());
    refused(&publish(&scratch, &moto.url(), &["--yes", "conf/a.yaml"]).outcome(), 51, &["MAC mismatch"]);
    assert_eq!(object(moto, "/changed/a.yaml"), None);
}
