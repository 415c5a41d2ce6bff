//! Google Cloud KMS, of which `server::gcp` has the tests' own: `tests/keys/python/gcp.py` lets Google's client judge it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::gcp::{ALL, Gcp, Permission};
use crate::server::{Request, Response, Server};
use crate::support::keys::recipient;
use crate::support::outcome::{Outcome, refused};
use crate::support::program::setting;
use crate::support::report::say;
use crate::support::scratch::{Call, Scratch};

const PLAIN: &[u8] = b"a: secret value\n";
const ALICE: &str = "alice@acme.example";
const ROBOT: &str = "deploy@acme.iam.gserviceaccount.com";

/// A folder, Google, and a key that alice may use.
struct Desk {
    scratch: Scratch,
    gcp: Gcp,
    key: String,
}

impl Desk {
    fn new() -> Self {
        let gcp = Gcp::http();
        let key = gcp.key("k");
        gcp.allow(ALICE, &ALL);
        Self { scratch: Scratch::new(), gcp, key }
    }

    /// A run of somebody without credentials. No metadata server of the machine that tests run on is asked.
    fn call(&self, arguments: &[&str]) -> Call<'_> {
        self.scratch
            .call(arguments)
            .variable("SOPS_GCP_KMS_ENDPOINT", &self.gcp.server().url())
            .variable("GCE_METADATA_HOST", &self.gcp.server().host())
    }

    /// A run by somebody with a token.
    fn call_by(&self, account: &str, arguments: &[&str]) -> Call<'_> {
        self.call(arguments).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &self.gcp.token(account))
    }

    /// `a.yaml`, encrypted by alice for the key.
    fn seal(&self) {
        self.scratch.write("a.yaml", PLAIN);
        self.call_by(ALICE, &["encrypt", "-i", "--gcp-kms", &self.key, "a.yaml"]).stdout();
    }

    /// Somebody else's go at decrypting.
    fn open_by(&self, account: &str) -> Outcome {
        self.call_by(account, &["decrypt", "a.yaml"]).outcome()
    }

    fn encrypt<'a>(&'a self, key: &str) -> Call<'a> {
        self.scratch.write("b.yaml", PLAIN);
        self.call(&["encrypt", "--gcp-kms", key, "b.yaml"])
    }

    /// Refused with these words, and without a secret.
    fn refuses(&self, outcome: &Outcome, status: i32, words: &[&str]) {
        refused(outcome, status, &[]);
        let messages = flowing(&outcome.messages());
        for word in words {
            assert!(messages.contains(word), "{word:?} is missing in {messages}");
        }
        self.keeps_secrets(outcome);
    }

    fn keeps_secrets(&self, outcome: &Outcome) {
        let messages = outcome.messages();
        for secret in self.gcp.secrets() {
            assert!(!messages.contains(&secret), "{secret} in {messages}");
        }
    }

    /// Whoever these credentials are of can encrypt and decrypt.
    fn works(&self, with: impl Fn(Call<'_>) -> Call<'_>) {
        self.scratch.write("c.yaml", PLAIN);
        let encrypt = self.call(&["encrypt", "--gcp-kms", &self.key, "c.yaml"]);
        let sealed = quiet(with(encrypt).outcome());
        self.scratch.write("c.yaml", &sealed);
        assert_eq!(quiet(with(self.call(&["decrypt", "c.yaml"])).outcome()), PLAIN);
    }

    fn put(&self, name: &str, json: &Value) {
        self.scratch.write(name, json.to_string().as_bytes());
    }
}

/// Messages without the frame and the line breaks of reports.
fn flowing(messages: &str) -> String {
    let unframed =
        |line: &str| line.trim_start().trim_start_matches("- ").trim_start_matches("| ").to_owned();
    messages.lines().map(unframed).collect::<Vec<_>>().join(" ")
}

/// The output of a run that has nothing to say besides.
fn quiet(outcome: Outcome) -> Vec<u8> {
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
    outcome.stdout
}

#[test]
fn files_are_encrypted_for_a_key_of_the_command_line() {
    let desk = Desk::new();
    desk.seal();
    let text = desk.scratch.text("a.yaml");
    assert!(text.contains(&format!("resource_id: {}\n", desk.key)), "{text}");
    let enc = text.lines().find_map(|line| line.trim().strip_prefix("enc: ")).expect("a wrapped key");
    // version, nonce, data key, tag: standard base64 with padding
    assert_eq!((enc.len(), &enc[enc.len() - 1..]), (4 * (1 + 12 + 32 + 16_usize).div_ceil(3), "="), "{enc}");
    assert_eq!(quiet(desk.open_by(ALICE)), PLAIN);
    assert_eq!(desk.gcp.calls(), 2);
}

#[test]
fn files_are_encrypted_for_the_keys_of_a_rule() {
    let desk = Desk::new();
    let other = desk.gcp.key("other");
    let rule = format!("creation_rules:\n  - gcp_kms: {}, {other}\n", desk.key);
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.scratch.write("a.yaml", PLAIN);
    desk.call_by(ALICE, &["encrypt", "-i", "a.yaml"]).stdout();
    let text = desk.scratch.text("a.yaml");
    assert!(text.contains(&desk.key) && text.contains(&other), "{text}");
    // either key is enough
    desk.gcp.disable(&desk.key, 1);
    assert_eq!(quiet(desk.open_by(ALICE)), PLAIN);
}

#[test]
fn groups_of_keys_get_a_share_each() {
    let desk = Desk::new();
    let (second, age) = (desk.gcp.key("second"), recipient("age-bob"));
    let rule = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - gcp_kms: [{{resource_id: {}}}]\n      - \
         gcp_kms: [{{resource_id: {second}}}]\n      - age: [{age}]\n",
        desk.key
    );
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.scratch.write("a.yaml", PLAIN);
    desk.call_by(ALICE, &["encrypt", "-i", "a.yaml"]).stdout();
    desk.gcp.disable(&second, 1);
    assert!(!desk.open_by(ALICE).succeeded());
    assert_eq!(desk.call_by(ALICE, &["decrypt", "a.yaml"]).keys(["age-bob"]).stdout(), PLAIN);
}

#[test]
fn a_new_version_of_a_key_leaves_old_files_readable() {
    let desk = Desk::new();
    desk.seal();
    desk.gcp.rotate(&desk.key);
    assert_eq!(quiet(desk.open_by(ALICE)), PLAIN);
    desk.call_by(ALICE, &["rotate", "-i", "a.yaml"]).stdout();
    // nobody needs the old version any more
    desk.gcp.disable(&desk.key, 1);
    assert_eq!(quiet(desk.open_by(ALICE)), PLAIN);
}

#[test]
fn keys_come_and_go() {
    let desk = Desk::new();
    let alice = recipient("age-alice");
    desk.scratch.write("a.yaml", PLAIN);
    desk.scratch.call(["encrypt", "-i", "--age", &alice, "a.yaml"]).stdout();
    desk.call_by(ALICE, &["rotate", "-i", "--add-gcp-kms", &desk.key, "a.yaml"]).keys(["age-alice"]).stdout();
    assert_eq!(quiet(desk.open_by(ALICE)), PLAIN);
    desk.call_by(ALICE, &["rotate", "-i", "--rm-age", &alice, "a.yaml"]).stdout();
    let rule = format!("creation_rules:\n  - age: {alice}\n");
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.call_by(ALICE, &["updatekeys", "-y", "a.yaml"]).stdout();
    assert!(!desk.scratch.text("a.yaml").contains("gcp_kms"));
    assert_eq!(desk.scratch.call(["decrypt", "a.yaml"]).keys(["age-alice"]).stdout(), PLAIN);
}

#[test]
fn steps_are_told_to_those_who_ask() {
    let desk = Desk::new();
    let told = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(ALICE));
    assert!(quiet(told.outcome()).starts_with(b"a: ENC["));
    desk.seal();
    let outcome = desk.call_by(ALICE, &["--verbose", "decrypt", "a.yaml"]).outcome();
    let messages = outcome.messages();
    assert!(messages.contains("[GCPKMS]") && messages.contains("Decryption succeeded"), "{messages}");
    assert!(messages.contains(&format!("resourceID={}", desk.key)), "{messages}");
    desk.keeps_secrets(&outcome);
}

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
        "failed to decrypt sops data key with GCP KMS key: no access token for alice@acme.example: invalid_grant: \
         Token has been expired or revoked.",
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
    desk.scratch.write("subject", b"stale");
    let outcome = desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", "<DIR>/wif.json").outcome();
    let words = [
        "no access token for the workload identity of //iam.example/projects/1/locations/global/workloadIdentityPools/pool/providers/ci: \
         invalid_grant: The given credential is rejected by the attribute condition.",
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
    desk.gcp.trouble(2, 503, "UNAVAILABLE");
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
    let outcome = desk.call_by(ALICE, &["decrypt", "a.yaml"]).variable("SOPS_KMS_TIMEOUT", "300ms").outcome();
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

/// A folder, and Google behind a certificate.
fn with_tls() -> (Desk, String) {
    let gcp = Gcp::https();
    let key = gcp.key("k");
    gcp.allow(ALICE, &ALL);
    let authority = gcp.server().authority().display().to_string();
    (Desk { scratch: Scratch::new(), gcp, key }, authority)
}

#[test]
fn certificates_are_checked() {
    let (desk, authority) = with_tls();
    let token = desk.gcp.token(ALICE);
    let call = || {
        let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
        // as the reference has it
        call.variable("SOPS_GCP_KMS_ENDPOINT", &desk.gcp.server().host())
    };
    quiet(call().variable("SSL_CERT_FILE", &authority).outcome());
    // whatever kind of client is asked for
    for kind in ["grpc", "REST", "other"] {
        quiet(
            call().variable("SSL_CERT_FILE", &authority).variable("SOPS_GCP_KMS_CLIENT_TYPE", kind).outcome(),
        );
    }
    let url = desk.gcp.server().url();
    let words = [&format!("cannot connect to {url}: "), "certificate", "hint: SSL_CERT_FILE names a file"];
    desk.refuses(&call().outcome(), 1, &words);
}

#[test]
fn an_endpoint_wins_over_a_universe() {
    let desk = Desk::new();
    desk.works(|call| {
        call.variable("GOOGLE_OAUTH_ACCESS_TOKEN", &desk.gcp.token(ALICE))
            .variable("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "universe.invalid")
    });
    let universe = |call: Call<'_>| {
        let call = call.variable("SOPS_GCP_KMS_ENDPOINT", "").variable("SOPS_KMS_TIMEOUT", "20s");
        call.variable("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "universe.invalid").outcome()
    };
    let token = desk.gcp.token(ALICE);
    let outcome = universe(desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token));
    desk.refuses(&outcome, 1, &["cannot connect to https://cloudkms.universe.invalid: "]);
    let account = desk.gcp.service_account(ROBOT).to_string();
    let outcome = universe(desk.encrypt(&desk.key).variable("GOOGLE_CREDENTIALS", &account));
    desk.refuses(
        &outcome,
        1,
        &["cannot create GCP KMS service: ", "SOPS_GCP_KMS_UNIVERSE_DOMAIN has to name"],
    );
}

#[test]
fn a_proxy_is_used() {
    let (desk, authority) = with_tls();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let used = Arc::new(AtomicUsize::new(0));
    let count = used.clone();
    let target = desk.gcp.server().host().replace("localhost", "127.0.0.1");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            tunnel(client, &target);
        }
    });
    let token = desk.gcp.token(ALICE);
    let call = desk.encrypt(&desk.key).variable("GOOGLE_OAUTH_ACCESS_TOKEN", &token);
    let call = call.variable("SOPS_GCP_KMS_ENDPOINT", &desk.gcp.server().host());
    quiet(call.variable("SSL_CERT_FILE", &authority).variable("HTTPS_PROXY", &proxy).outcome());
    assert_eq!(used.load(Ordering::SeqCst), 1);
}

/// `CONNECT`, for one client.
fn tunnel(mut client: TcpStream, target: &str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"CONNECT localhost:"), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("a client");
    let server = TcpStream::connect(target).expect("a server");
    let ways =
        [(client.try_clone().expect("a socket"), server.try_clone().expect("a socket")), (server, client)];
    for (mut from, mut to) in ways {
        // until either hangs up
        thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
}

/// Something that `tests/clients/install.sh` has fetched. Without it a test is skipped; where `CI=true`, it fails.
fn google_for_python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("in the target directory");
    let python = target.join("clients/venv/bin/python");
    let packages = ["-c", "import google.cloud.kms_v1, google.auth, requests"];
    let there = std::process::Command::new(&python).args(packages).output();
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
