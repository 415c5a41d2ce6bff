//! npm's packages: one that calls `sops`, and two that read its files by themselves.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::support::keys::age_identities;
use super::{Desk, fetched, on_path, script, text};

/// Node with the fetched packages; scripts lie elsewhere, and are told where these are.
struct Node {
    program: PathBuf,
    packages: String,
}

impl Node {
    fn new() -> Option<Self> {
        let program = on_path("node")?;
        let packages = fetched("node_modules")?.display().to_string();
        Some(Self { program, packages })
    }

    fn run(&self, desk: &Desk, name: &str, arguments: &[&str]) -> String {
        let script = script(name);
        let arguments = [&[script.as_str(), &self.packages], arguments].concat();
        text(desk.run(&self.program, &arguments).stdout())
    }

    fn ask(&self, desk: &Desk, name: &str, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(desk, name, arguments)).expect("an answer in JSON")
    }
}

const YAML: &str = "\
# who may come in
host: db.example.com
port: 5432
ratio: 0.5
tls: true
empty: \"\"
nobody: null
users:
    - name: alice # the first
      password: |
        two
        lines
    - bob
ünï: ключ ☃
plain_unencrypted: for all to see
";

fn yaml_as_read() -> Value {
    json!({
        "host": "db.example.com", "port": 5432, "ratio": 0.5, "tls": true, "empty": "", "nobody": null,
        "users": [{"name": "alice", "password": "two\nlines\n"}, "bob"],
        "ünï": "ключ ☃", "plain_unencrypted": "for all to see",
    })
}

#[test]
fn sops_age_reads_our_files_by_itself() {
    let Some(node) = Node::new() else { return };
    let desk = Desk::new();
    let identity = age_identities(&["age-alice".to_owned()]).expect("a test key");
    for (name, plaintext, read) in [
        ("a.yaml", YAML, yaml_as_read()),
        (
            "a.json",
            "{\"a\": {\"b\": [1, 2.5, true, \"x\", null]}, \"c\": \"\"}",
            json!({"a": {"b": [1, 2.5, true, "x", null]}, "c": ""}),
        ),
        ("a.env", "# users\nUSER=alice\nPASSWORD=a=b c\n", json!({"USER": "alice", "PASSWORD": "a=b c"})),
    ] {
        desk.seal(name, plaintext);
        assert_eq!(node.ask(&desk, "sops_age.mjs", &[&desk.path(name), &identity]), read, "{name}");
    }
}

/// It knows keys of AWS only: `age` unwraps the data key, the rest is its own, the MAC included.
#[test]
fn sops_decoder_reads_values_and_mac_by_itself() {
    let (Some(node), Some(_)) = (Node::new(), on_path("age")) else { return };
    let desk = Desk::new();
    let identity = age_identities(&["age-alice".to_owned()]).expect("a test key");
    desk.scratch.write("key.txt", identity.as_bytes());
    let read = json!({"a": {"b": ["x", true], "port": 5432}, "c_unencrypted": "seen"});
    desk.seal("a.json", &read.to_string());
    assert_eq!(node.ask(&desk, "sops_decoder.cjs", &[&desk.path("a.json"), &desk.path("key.txt")]), read);
}

#[test]
fn sops_wrapper_calls_us() {
    let Some(node) = Node::new() else { return };
    let desk = Desk::new();
    desk.scratch.write("a.yaml", YAML.as_bytes());
    node.run(&desk, "sops_wrapper.cjs", &["--encrypt", "--in-place", "a.yaml"]);
    assert!(desk.read("a.yaml").contains("host: ENC["));
    assert_eq!(node.ask(&desk, "sops_wrapper.cjs", &["a.yaml"]), yaml_as_read());
    assert_eq!(
        node.run(&desk, "sops_wrapper.cjs", &["decrypt", "--extract", "[\"users\"][1]", "a.yaml"]),
        "bob"
    );
}

#[test]
fn sops_wrapper_sets_a_value() {
    let Some(node) = Node::new() else { return };
    let desk = Desk::new();
    desk.seal("a.yaml", "host: db.example.com\nport: 5432\n");
    node.run(&desk, "sops_wrapper.cjs", &["--set", "[\"host\"] \"new.example.com\"", "a.yaml"]);
    node.run(&desk, "sops_wrapper.cjs", &["set", "a.yaml", "[\"port\"]", "6543"]);
    let read = node.ask(&desk, "sops_wrapper.cjs", &["a.yaml"]);
    assert_eq!((&read["host"], &read["port"]), (&json!("new.example.com"), &json!(6543)));
}
