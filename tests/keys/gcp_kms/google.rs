//! Google's own client judges the server of these tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{ALICE, Desk, ROBOT};
use crate::server::gcp::{ALL, Permission};
use crate::support::program::setting;
use crate::support::report::say;

/// Something that `tests/clients/install.sh` has fetched. Without it a test is skipped; where `CI=true`, it fails.
fn google_for_python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("in the target directory");
    let python = target.join("clients/venv/bin/python");
    let packages = ["-c", "import google.cloud.kms_v1, google.auth, requests"];
    let there = Command::new(&python).args(packages).output();
    if there.is_ok_and(|outcome| outcome.status.success()) {
        return Some(python);
    }
    let reason = "google-cloud-kms is missing, which tests/clients/install.sh fetches";
    assert!(setting("CI").is_none_or(|ci| ci != "true"), "{reason}");
    say(&format!("skipped: googles_own_client_is_content: {reason}"));
    None
}

#[test]
fn googles_own_client_is_content() {
    let Some(python) = google_for_python() else { return };
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
