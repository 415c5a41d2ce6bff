//! Google Cloud KMS: files and their keys. `server::gcp` is the Google of these tests.

mod connections;
mod credentials;
mod failures;
mod google;

use serde_json::Value;

use crate::server::gcp::{ALL, Gcp};
#[cfg(feature = "age")]
use crate::support::keys::recipient;
use crate::support::outcome::{Outcome, refused};
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
            // for the reference, which may stand in for us
            .variable("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
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

#[cfg(feature = "age")]
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

#[cfg(feature = "age")]
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
