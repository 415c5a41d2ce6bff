//! Google's own client judges the server of these tests.

use std::path::Path;

use serde_json::json;

use super::{ALICE, Desk, ROBOT};
use crate::server::gcp::{ALL, Permission};
use crate::support::fetched::python_with;

#[test]
fn googles_own_client_is_content() {
    let Some(python) = python_with("google.cloud.kms_v1") else { return };
    let desk = Desk::new();
    let disabled = desk.gcp.key("disabled");
    desk.gcp.disable(&disabled, 1);
    let (reader, principal) = ("reader@acme.example", "principal://iam.example/subject/ci");
    desk.gcp.allow(reader, &[Permission::Decrypt]);
    for account in [ROBOT, principal] {
        desk.gcp.allow(account, &ALL);
    }
    desk.gcp.let_act(ALICE, ROBOT);
    desk.gcp.attach(ROBOT);
    let file = desk.scratch.folder().join("subject");
    let (federated, token) = desk.gcp.federated(principal, &file.display().to_string());
    desk.scratch.write("subject", token.as_bytes());
    let world = json!({
        "url": desk.gcp.server().url(),
        "key": desk.key,
        "disabled": disabled,
        "token": desk.gcp.token(ALICE),
        "reader": desk.gcp.token(reader),
        "service_account": desk.gcp.service_account(ROBOT),
        "user": desk.gcp.user(ALICE),
        "target": ROBOT,
        "impersonation_url": desk.gcp.impersonation_url(ROBOT),
        "federated": federated,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/python/gcp.py");
    let call = desk.scratch.call_other(python, [script.display().to_string()]);
    let host = desk.gcp.server().host();
    let call = call.variable("GCE_METADATA_HOST", &host).variable("GCE_METADATA_IP", &host);
    let outcome = call.stdin(world.to_string().as_bytes()).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert_eq!(outcome.stdout, b"ok\n");
}
