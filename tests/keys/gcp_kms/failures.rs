//! What is said when Google refuses, is busy, or does not answer.

use std::time::{Duration, Instant};

use super::{ALICE, Desk, PLAIN, quiet};
use crate::server::gcp::Permission;
use crate::server::{Request, Response, Server};
use crate::support::scratch::Call;

#[test]
fn a_key_has_a_whole_name_without_a_version() {
    let desk = Desk::new();
    for id in [format!("{}/cryptoKeyVersions/1", desk.key), "k".to_owned()] {
        let outcome = desk.encrypt(&id).variable("GOOGLE_OAUTH_ACCESS_TOKEN", "x").outcome();
        let words = format!("cannot create GCP KMS service: no valid resource ID found in \"{id}\"");
        desk.refuses(&outcome, 1, &[&words]);
    }
    assert_eq!(desk.gcp.calls(), 0);
}

#[test]
fn refusals_say_what_helps() {
    let desk = Desk::new();
    desk.seal();
    let reader = "reader@acme.example";
    desk.gcp.allow(reader, &[Permission::Decrypt]);
    assert_eq!(quiet(desk.open_by(reader)), PLAIN);
    let encrypt = |account, key: &str| {
        desk.encrypt(key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(account)).outcome()
    };
    let words = [
        "failed to encrypt sops data key with GCP KMS key: PERMISSION_DENIED (HTTP 403): Permission \
         'cloudkms.cryptoKeyVersions.useToEncrypt' denied on resource",
        "hint: the owner of the token in GOOGLE_OAUTH_ACCESS_TOKEN needs the role \
         roles/cloudkms.cryptoKeyEncrypterDecrypter",
    ];
    desk.refuses(&encrypt(reader, &desk.key), 1, &words);
    let words = ["NOT_FOUND (HTTP 404): CryptoKey projects/acme/", "`gcloud kms keys list --keyring sops"];
    desk.refuses(&encrypt(ALICE, &format!("{}x", desk.key)), 1, &words);
    let unknown = desk.call(&["decrypt", "a.yaml"]).variable("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.unknown");
    let outcome = unknown.outcome();
    let words = [
        "failed to decrypt sops data key with GCP KMS key: UNAUTHENTICATED (HTTP 401): Request had invalid",
        "`gcloud auth print-access-token`",
    ];
    desk.refuses(&outcome, 128, &words);
    assert!(!outcome.messages().contains("ya29.unknown"));
    desk.gcp.disable(&desk.key, 1);
    let words = [
        "FAILED_PRECONDITION (HTTP 400): projects/acme/",
        "current state is: DISABLED.",
        "`gcloud kms keys versions list --key k --keyring sops --location europe-west3 --project acme`",
    ];
    desk.refuses(&desk.open_by(ALICE), 128, &words);
}

#[test]
fn what_was_changed_is_not_decrypted() {
    let desk = Desk::new();
    desk.seal();
    let text = desk.scratch.text("a.yaml");
    let enc = text.lines().find_map(|line| line.trim().strip_prefix("enc: ")).expect("a wrapped key");
    let with = |changed: &str| {
        desk.scratch.write("a.yaml", text.replace(enc, changed).as_bytes());
        desk.open_by(ALICE)
    };
    let mut letters: Vec<char> = enc.chars().collect();
    letters[30] = if letters[30] == 'A' { 'B' } else { 'A' };
    let changed: String = letters.iter().collect();
    desk.refuses(&with(&changed), 128, &["INVALID_ARGUMENT (HTTP 400): Decryption failed"]);
    letters[30] = '*';
    let broken: String = letters.iter().collect();
    desk.refuses(&with(&broken), 128, &["illegal base64 data at input byte 30"]);
    // another key does not help
    let other = desk.gcp.key("other");
    desk.scratch.write("a.yaml", text.replace(&desk.key, &other).as_bytes());
    desk.refuses(
        &desk.open_by(ALICE),
        128,
        &["INVALID_ARGUMENT", "the one that `enc` in the file was made with"],
    );
}

#[test]
fn a_busy_server_is_asked_again() {
    let desk = Desk::new();
    desk.gcp.trouble(1, 503, "UNAVAILABLE");
    desk.gcp.trouble(1, 429, "RESOURCE_EXHAUSTED");
    desk.seal();
    assert_eq!(desk.gcp.calls(), 3);
    desk.gcp.trouble(100, 503, "UNAVAILABLE");
    let outcome = desk.open_by(ALICE);
    let words = ["UNAVAILABLE (HTTP 503): The service is not available.", "hint: try again later"];
    desk.refuses(&outcome, 128, &words);
    let calls = desk.gcp.calls() - 3;
    assert_eq!(calls, 5);
    // but not for longer than the user wants
    let started = Instant::now();
    let outcome = desk.call_by(ALICE, &["decrypt", "a.yaml"]).variable("SOPS_KMS_TIMEOUT", "800ms").outcome();
    assert!(started.elapsed() < Duration::from_secs(5));
    desk.refuses(&outcome, 128, &["UNAVAILABLE (HTTP 503)"]);
}

#[test]
fn refusals_are_final() {
    let desk = Desk::new();
    assert!(
        !desk
            .encrypt(&format!("{}x", desk.key))
            .variable("GOOGLE_OAUTH_ACCESS_TOKEN", "x")
            .outcome()
            .succeeded()
    );
    assert_eq!(desk.gcp.calls(), 1);
}

#[test]
fn a_server_that_never_answers_costs_the_limit() {
    let desk = Desk::new();
    let silent = Server::silent();
    let user = desk.gcp.user(ALICE);
    let mut lost = user.clone();
    lost["token_uri"] = format!("{}/token", silent.url()).into();
    let wait = |call: Call<'_>| {
        let started = Instant::now();
        let outcome = call.variable("SOPS_KMS_TIMEOUT", "500ms").outcome();
        assert!(started.elapsed() < Duration::from_secs(10));
        desk.refuses(&outcome, 1, &["no answer within 500ms", "SOPS_KMS_TIMEOUT sets another limit"]);
    };
    let token = desk.gcp.token(ALICE);
    let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
    wait(call.variable("SOPS_GCP_KMS_ENDPOINT", &silent.url()));
    wait(desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &lost.to_string()));
    // it takes connections, but is no metadata server
    wait(desk.encrypt(&desk.key).variable("GCE_METADATA_HOST", &silent.host()));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let desk = Desk::new();
    let gone = Server::silent();
    let url = gone.url();
    drop(gone);
    let token = desk.gcp.token(ALICE);
    let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
    let outcome = call.variable("SOPS_GCP_KMS_ENDPOINT", &url).outcome();
    desk.refuses(&outcome, 1, &[&format!("cannot connect to {url}: "), "hint: check the network"]);
}

#[test]
fn answers_that_are_none_are_not_shown() {
    let desk = Desk::new();
    let token = desk.gcp.token(ALICE);
    let echo = |request: &Request| format!("{:?}", request.headers);
    for (server, words) in [
        (
            Server::http(move |request| Response::text(200, &echo(request))),
            "answer is none of Google Cloud KMS",
        ),
        (
            Server::http(move |request| Response::text(502, &echo(request))),
            "data key with GCP KMS key: HTTP 502",
        ),
    ] {
        let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
        desk.refuses(&call.variable("SOPS_GCP_KMS_ENDPOINT", &server.url()).outcome(), 1, &[words]);
    }
}
