//! In whose name: every source of credentials, their order, and who pays.

use std::fs;

use serde_json::json;

use super::{ALICE, Desk, ROBOT, quiet};
use crate::server::gcp::{ALL, Permission};
use crate::server::{Response, Server};

#[test]
fn a_service_account_signs_for_itself() {
    let desk = Desk::new();
    desk.gcp.allow(ROBOT, &ALL);
    let account = desk.gcp.service_account(ROBOT);
    desk.put("key.json", &account);
    // a file, or what would be in it
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", "<DIR>/key.json"));
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", &account.to_string()));
    desk.works(|call| call.variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/key.json"));
    // the library wants more members than Google does
    let mut bare = account.clone();
    bare.as_object_mut().expect("an object").remove("project_id");
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", &bare.to_string()));
    assert!(desk.gcp.server().seen().iter().all(|request| request.path != "/token"));
}

#[test]
fn a_user_who_has_logged_in_is_found() {
    let desk = Desk::new();
    let user = desk.gcp.user(ALICE);
    desk.put("user.json", &user);
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", "<DIR>/user.json"));
    let folder = desk.scratch.root().join("home/.config/gcloud");
    fs::create_dir_all(&folder).expect("our own folder");
    fs::write(folder.join("application_default_credentials.json"), user.to_string()).expect("our own folder");
    desk.works(|call| call);
    // empty variables are as good as none
    desk.works(|call| {
        call.variable("GOOGLE_CREDENTIALS", "")
            .variable("GOOGLE_OAUTH_ACCESS_TOKEN", "")
            .variable("GOOGLE_APPLICATION_CREDENTIALS", "")
    });
    desk.seal();
    desk.gcp.log_out();
    let outcome = desk.call(&["decrypt", "a.yaml"]).outcome();
    let words = [
        "failed to decrypt sops data key with GCP KMS key: no access token for alice@acme.example: \
         invalid_grant (HTTP 400): Token has been expired or revoked.",
        "`gcloud auth application-default login`",
    ];
    desk.refuses(&outcome, 128, &words);
}

#[test]
fn somebody_acts_as_a_service_account() {
    let desk = Desk::new();
    desk.gcp.allow(ROBOT, &ALL);
    desk.gcp.let_act(ALICE, ROBOT);
    desk.put("acting.json", &desk.gcp.impersonating(ROBOT, &desk.gcp.user(ALICE)));
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", "<DIR>/acting.json"));
    // by a service account of its own
    let other = "ci@acme.iam.gserviceaccount.com";
    desk.gcp.let_act(other, ROBOT);
    desk.put("chain.json", &desk.gcp.impersonating(ROBOT, &desk.gcp.service_account(other)));
    desk.works(|call| call.variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/chain.json"));
    let mallory = desk.gcp.impersonating(ROBOT, &desk.gcp.user("mallory@acme.example"));
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &mallory.to_string()).outcome();
    let words = [
        "no access token for deploy@acme.iam.gserviceaccount.com: PERMISSION_DENIED (HTTP 403): Permission \
         'iam.serviceAccounts.getAccessToken' denied",
        "roles/iam.serviceAccountTokenCreator",
    ];
    desk.refuses(&outcome, 1, &words);
}

#[test]
fn a_workload_of_another_provider_gets_a_token() {
    let desk = Desk::new();
    let principal = "principal://iam.example/subject/ci";
    desk.gcp.allow(principal, &ALL);
    let file = desk.scratch.folder().join("subject");
    let (mut credentials, token) = desk.gcp.federated(principal, &file.display().to_string());
    desk.scratch.write("subject", token.as_bytes());
    desk.put("wif.json", &credentials);
    desk.works(|call| call.variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/wif.json"));
    // by way of a service account
    desk.gcp.allow(ROBOT, &ALL);
    desk.gcp.let_act(principal, ROBOT);
    credentials["service_account_impersonation_url"] = desk.gcp.impersonation_url(ROBOT).into();
    desk.works(|call| call.variable("GOOGLE_CREDENTIALS", &credentials.to_string()));
    fs::remove_file(&file).expect("our own file");
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", "<DIR>/wif.json").outcome();
    desk.refuses(&outcome, 1, &["wif.json: open <DIR>/subject: no such file or directory"]);
    desk.scratch.write("subject", b"stale");
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", "<DIR>/wif.json").outcome();
    let words = [
        "no access token for the workload identity of //iam.example/projects/1/locations/global/workloadIdentityPools/pool/providers/ci: \
         invalid_grant (HTTP 400): The given credential is rejected by the attribute condition.",
    ];
    desk.refuses(&outcome, 1, &words);
}

/// The library puts the text of such a file into its message.
#[test]
fn a_file_with_another_token_is_not_shown() {
    let desk = Desk::new();
    let file = desk.scratch.folder().join("subject.json");
    let (mut credentials, token) = desk.gcp.federated("nobody", &file.display().to_string());
    let format = json!({"type": "json", "subject_token_field_name": "access_token"});
    credentials["credential_source"]["format"] = format;
    desk.put("subject.json", &json!({"id_token": token}));
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &credentials.to_string()).outcome();
    desk.refuses(&outcome, 1, &["failed to read subject token field `access_token` as string"]);
}

#[test]
fn a_machine_has_a_service_account() {
    let desk = Desk::new();
    desk.gcp.allow(ROBOT, &ALL);
    desk.gcp.attach(ROBOT);
    desk.works(|call| call);
    desk.gcp.allow(ROBOT, &[Permission::Encrypt]);
    desk.seal();
    let outcome = desk.call(&["decrypt", "a.yaml"]).outcome();
    desk.refuses(&outcome, 128, &["the service account of this machine needs the role"]);
}

#[test]
fn credentials_are_looked_for_in_their_order() {
    let desk = Desk::new();
    let nobody = "nobody@acme.example";
    desk.put("alice.json", &desk.gcp.user(ALICE));
    desk.put("nobody.json", &desk.gcp.user(nobody));
    let (alice, token) = (desk.gcp.token(ALICE), desk.gcp.token(nobody));
    desk.works(|call| {
        call.variable("GOOGLE_CREDENTIALS", "<DIR>/alice.json")
            .variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token)
            .variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/nobody.json")
    });
    desk.works(|call| {
        call.variable("GOOGLE_OAUTH_ACCESS_TOKEN", &alice)
            .variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/nobody.json")
    });
    desk.gcp.attach(nobody);
    desk.works(|call| call.variable("GOOGLE_APPLICATION_CREDENTIALS", "<DIR>/alice.json"));
}

#[test]
fn credentials_that_are_none_are_told() {
    let desk = Desk::new();
    let none = Server::silent();
    let host = none.host();
    drop(none);
    let outcome = desk.encrypt(&desk.key).variable("GCE_METADATA_HOST", &host).outcome();
    let words = [
        "cannot create GCP KMS service: credentials: could not find default credentials. See \
         https://cloud.google.com/docs/authentication/external/set-up-adc for more information",
        "hint: run `gcloud auth application-default login`",
    ];
    desk.refuses(&outcome, 1, &words);
    let prefix = "cannot create GCP KMS service: credentials: ";
    for (value, reason) in [
        ("<DIR>", "failed to obtain credentials from \"GOOGLE_CREDENTIALS\": open <DIR>: is a directory"),
        ("no/such/file", "the value of GOOGLE_CREDENTIALS is neither the name of a file nor JSON"),
        ("{\"type\":", "GOOGLE_CREDENTIALS: EOF while parsing a value at line 1 column 8"),
        ("{}", "GOOGLE_CREDENTIALS: no member \"type\""),
        ("{\"type\": \"magic\"}", "GOOGLE_CREDENTIALS: credentials of type \"magic\" cannot be used"),
        ("{\"type\": \"authorized_user\"}", "GOOGLE_CREDENTIALS: missing field `client_id`"),
    ] {
        let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", value).outcome();
        let reason = reason.replace("<DIR>", &desk.scratch.folder().display().to_string());
        let messages = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(messages.contains(&format!("{prefix}{reason}")), "{messages}");
        assert!(!messages.contains("no/such/file"), "{messages}");
    }
    let missing =
        desk.encrypt(&desk.key).variable("GOOGLE_APPLICATION_CREDENTIALS", "missing.json").outcome();
    desk.refuses(&missing, 1, &["credentials: open missing.json: no such file or directory"]);
    let broken = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.x\n").outcome();
    desk.refuses(&broken, 1, &["GOOGLE_OAUTH_ACCESS_TOKEN has characters that no token has"]);
}

#[test]
fn a_deleted_key_of_a_service_account_is_told_with_its_name() {
    let desk = Desk::new();
    let account = desk.gcp.service_account(ROBOT);
    // the server only knows the newer one
    desk.gcp.service_account(ROBOT);
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &account.to_string()).outcome();
    let words = ["UNAUTHENTICATED (HTTP 401)", &format!("service-accounts keys list --iam-account {ROBOT}`")];
    desk.refuses(&outcome, 1, &words);
}

#[test]
fn another_project_is_billed() {
    let desk = Desk::new();
    let call = || {
        let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(ALICE));
        call.variable("GOOGLE_CLOUD_QUOTA_PROJECT", "billing").outcome()
    };
    let words =
        ["PERMISSION_DENIED (HTTP 403): Caller does not have", "roles/serviceusage.serviceUsageConsumer"];
    desk.refuses(&call(), 1, &words);
    desk.gcp.bill("billing");
    quiet(call());
    let seen = desk.gcp.server().seen();
    assert_eq!(seen.last().and_then(|request| request.header("x-goog-user-project")), Some("billing"));
}

#[test]
fn one_login_serves_all_keys() {
    let desk = Desk::new();
    let keys: Vec<String> = ["l", "m", "n"].map(|name| desk.gcp.key(name)).to_vec();
    let user = desk.gcp.user(ALICE).to_string();
    quiet(desk.encrypt(&keys.join(",")).variable("GOOGLE_CREDENTIALS", &user).outcome());
    assert_eq!(desk.gcp.calls(), 3);
    assert_eq!(desk.gcp.server().seen().iter().filter(|request| request.path == "/token").count(), 1);
}

#[test]
fn a_token_server_that_is_busy_is_asked_again() {
    let desk = Desk::new();
    let busy = Server::http(|_| Response::text(503, "busy"));
    let mut user = desk.gcp.user(ALICE);
    user["token_uri"] = busy.url().into();
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &user.to_string()).outcome();
    desk.refuses(&outcome, 1, &["no access token for alice@acme.example: HTTP 503", "hint: try again later"]);
    assert_eq!(busy.seen().len(), 3);
}
