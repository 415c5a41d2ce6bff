//! Key-value engines of Vault (publish-audit.md A7).

use serde_json::{Value, json};

use crate::server::vault::{ROOT, Vault, Way};
use crate::server::{Response, Server};
use crate::support::keys::recipient;
use crate::support::outcome::{fails_with, refused};
use crate::support::scratch::{Call, Scratch};
use crate::{NOWHERE, done, folder, publish, rules};

/// A Vault with an engine for secrets at `secret/`.
pub(crate) fn vault(kind: &str) -> Vault {
    let vault = Vault::new();
    vault.mount("", "secret", kind);
    vault
}

pub(crate) fn to_vault<'a>(scratch: &'a Scratch, vault: &Vault, arguments: &[&str]) -> Call<'a> {
    publish(scratch, "http://127.0.0.1:1", arguments)
        .variable("VAULT_ADDR", &vault.url())
        .variable("VAULT_TOKEN", ROOT)
}

pub(crate) fn writes(vault: &Vault) -> usize {
    vault
        .requests()
        .iter()
        .filter(|request| request.starts_with("PUT ") || request.starts_with("POST "))
        .count()
}

#[test]
fn vault_gets_the_values_and_no_second_version_of_the_same() {
    let vault = vault("kv2");
    let scratch = folder("vault_path: app");
    let numbers = b"n: 5\nf: 2.5\nt: true\nnone: null\nlist:\n- x: y\n- 1\n";
    scratch.write("conf/n.yaml", numbers);
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "conf/n.yaml"]).stdout();
    assert_eq!(done(to_vault(&scratch, &vault, &["--yes", "conf/n.yaml"])), "");
    assert_eq!(writes(&vault), 1);
    let body =
        vault.server().seen().into_iter().find(|request| request.method == "PUT").expect("a secret").json();
    let expected: Value =
        serde_json::json!({"data": {"n": 5, "f": 2.5, "t": true, "none": null, "list": [{"x": "y"}, 1]}});
    assert_eq!(body, expected);
    done(to_vault(&scratch, &vault, &["--yes", "conf/n.yaml"]));
    assert_eq!(writes(&vault), 1, "nothing has changed");
    done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]));
    assert_eq!(writes(&vault), 2);
}

#[test]
fn the_first_version_of_vaults_engine_is_known_too() {
    let vault = vault("kv1");
    let scratch = folder("vault_path: app/\n    vault_kv_version: 1");
    let told = to_vault(&scratch, &vault, &["conf/a.yaml"]).stdin(b"y\n").stdout();
    let told = String::from_utf8(told).expect("text");
    assert!(
        told.ends_with(&format!("conf/a.yaml to {}/v1/secret/app/a.yaml ? (y/n): ", vault.url())),
        "{told}"
    );
    let body =
        vault.server().seen().into_iter().find(|request| request.method == "PUT").expect("a secret").json();
    assert_eq!(body, serde_json::json!({"a": "secret value", "b": "in clear"}));
}

/// What was written last.
fn written(vault: &Vault) -> Value {
    vault.server().seen().into_iter().rfind(|request| request.method == "PUT").expect("a secret").json()
}

/// A document of this format, as it is in Vault.
fn document(name: &str, text: &[u8]) -> Value {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    scratch.write(name, text);
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), name]).stdout();
    done(to_vault(&scratch, &vault, &["--yes", name]));
    written(&vault)["data"].clone()
}

#[test]
fn documents_become_one_object() {
    assert_eq!(
        document("c.yaml", b"# c\na: 1\nm:\n    # c\n    k: {d: [1, {e: x}]}\n---\na: 2\nb: y\n"),
        json!({"a": 2, "m": {"k": {"d": [1, {"e": "x"}]}}, "b": "y"})
    );
    assert_eq!(
        document("c.yaml", b"l:\n    # c\n    - 1\n    # c\n    - x: y\n"),
        json!({"l": [1, {"x": "y"}]}),
        "the reference sends comments in lists, and mappings in lists in pieces"
    );
    assert_eq!(
        document("c.yaml", b"t: 2026-01-02T03:04:05.25Z\nd: 2026-01-02\n"),
        json!({"t": "2026-01-02T03:04:05.25Z", "d": "2026-01-02T00:00:00Z"})
    );
    assert_eq!(
        document("c.json", b"{\"a\": {\"b\": [null, true, 1.5]}}"),
        json!({"a": {"b": [null, true, 1.5]}})
    );
    assert_eq!(
        document("c.ini", b"[s]\na = 5\n[t]\nb = x\n"),
        json!({"DEFAULT": {}, "s": {"a": "5"}, "t": {"b": "x"}})
    );
    assert_eq!(document("c.env", b"a=5\nb=x\n"), json!({"a": "5", "b": "x"}));
    assert_eq!(document("c.bin", b"anything"), json!({"data": "anything"}));
}

#[test]
fn what_vault_cannot_hold_is_refused_by_name() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    for (name, text, reason) in [
        ("c.yaml", &b"f: .nan\n"[..], "a number that is not finite"),
        ("c.bin", b"\xff", "text that is not UTF-8"),
    ] {
        scratch.write(name, text);
        scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), name]).stdout();
        let outcome = to_vault(&scratch, &vault, &["--yes", name]).outcome();
        refused(&outcome, 1, &[&format!("{name}: Vault cannot hold {reason}")]);
    }
    assert_eq!(vault.requests(), [""; 0]);
}

#[test]
fn the_keys_of_a_recreation_rule_do_not_count() {
    let vault = vault("kv2");
    let scratch = folder(&format!("{{vault_path: app, recreation_rule: {{age: {}}}}}", recipient("age-bob")));
    assert_eq!(done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"])), "");
    assert_eq!(written(&vault), json!({"data": {"a": "secret value", "b": "in clear"}}));
}

#[test]
fn engines_are_where_the_rule_says() {
    for (rule, kind, mount, path) in [
        ("vault_path: app", "kv2", "secret", "/v1/secret/data/app/a.yaml"),
        (
            "{vault_path: app/x/, vault_kv_mount_name: teams/a}",
            "kv2",
            "teams/a",
            "/v1/teams/a/data/app/x/a.yaml",
        ),
        (
            "{vault_path: app, vault_kv_mount_name: kv/, vault_kv_version: 1}",
            "kv1",
            "kv",
            "/v1/kv/app/a.yaml",
        ),
    ] {
        let vault = Vault::new();
        vault.mount("", mount, kind);
        let scratch = folder(rule);
        done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]));
        assert_eq!(vault.requests(), [format!("GET {path}"), format!("PUT {path}")]);
        done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]));
        assert_eq!(writes(&vault), 1, "{rule}: it is there");
    }
}

#[test]
fn the_address_of_the_rule_comes_before_that_of_the_environment() {
    let (vault, other) = (vault("kv2"), vault("kv2"));
    let scratch = folder(&format!("{{vault_path: app, vault_address: '{}'}}", vault.url()));
    done(to_vault(&scratch, &other, &["--yes", "conf/a.yaml"]));
    assert_eq!((writes(&vault), other.requests().len()), (1, 0));
    // an agent does not stand in for it, but for the one of the environment
    let call = |vault: &Vault, agent: &Vault| {
        done(to_vault(&scratch, vault, &["--yes", "conf/a.yaml"]).variable("VAULT_AGENT_ADDR", &agent.url()))
    };
    call(&other, &other);
    assert_eq!((vault.requests().len(), other.requests().len()), (3, 0));
    rules(&scratch, &["vault_path: app"]);
    call(&vault, &other);
    assert_eq!((vault.requests().len(), writes(&other)), (3, 1));
    // the list of servers is about keys
    let call = to_vault(&scratch, &other, &["--yes", "conf/a.yaml"]);
    done(call.variable("SOPS_HC_VAULT_ALLOWLIST", "https://elsewhere.example"));
}

#[test]
fn a_namespace_is_sent_with_every_request() {
    let vault = Vault::new();
    vault.mount("team", "secret", "kv2");
    let scratch = folder("vault_path: app");
    let call = || to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_NAMESPACE", "team");
    done(call());
    done(call());
    assert_eq!(writes(&vault), 1);
    for request in vault.server().seen() {
        assert_eq!(request.header("x-vault-namespace").map(|name| name.trim_matches('/')), Some("team"));
        assert_eq!(
            (request.header("x-vault-token"), request.header("x-vault-request")),
            (Some(ROOT), Some("true"))
        );
    }
    let outcome = call().variable("VAULT_NAMESPACE", "nobody").outcome();
    refused(&outcome, 1, &["conf/a.yaml: Error making API request", "Namespace: nobody", "VAULT_NAMESPACE"]);
}

#[test]
fn only_the_variable_has_a_token() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    std::fs::write(scratch.root().join("home/.vault-token"), ROOT).expect("our own folder");
    let outcome = to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_TOKEN", "").outcome();
    fails_with(&outcome, 1, &["permission denied", "hint: VAULT_TOKEN"]);
    assert!(vault.server().seen().iter().all(|request| request.header("x-vault-token").is_none()));
}

#[test]
fn certificates_are_checked_as_vaults_client_does() {
    let vault = Vault::reached_by(Way::HttpsForKnown);
    let scratch = folder("vault_path: app");
    let (certificate, key) = vault.server().client_certificate();
    let [ca, certificate, key] =
        [vault.server().authority(), certificate, key].map(|path| path.display().to_string());
    let call = || to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_MAX_RETRIES", "0");
    fails_with(&call().outcome(), 1, &["certificate", "VAULT_CACERT"]);
    let known = || call().variable("VAULT_CLIENT_CERT", &certificate).variable("VAULT_CLIENT_KEY", &key);
    done(known().variable("VAULT_CACERT", &ca));
    done(known().variable("VAULT_SKIP_VERIFY", "true"));
    assert_eq!(writes(&vault), 1);
    fails_with(&call().variable("VAULT_CACERT", &ca).outcome(), 1, &["conf/a.yaml: "]);
}

#[test]
fn a_busy_vault_is_asked_again() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    let busy = || Response::json(503, &json!({"errors": ["busy"]})).with("retry-after", "0");
    vault.disturb([busy(), busy()]);
    done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]));
    assert_eq!((vault.requests().len(), writes(&vault)), (4, 1));
}

const UNSEEN: &str = "Cannot check if destination secret already exists in secret/data/app/a.yaml. New version will be \
                      created even if the data has not been changed.";

#[test]
fn what_cannot_be_read_is_written_anew_with_a_warning() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    vault.token("hvs.writer", "", "secret/*", &["update"]);
    let call = || to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_TOKEN", "hvs.writer");
    for count in 1..=2 {
        let outcome = call().outcome();
        let messages = outcome.messages();
        assert!(outcome.succeeded() && messages.contains("[PUBLISH]\t "), "{messages}");
        let line = format!(
            "level=warning msg=\"{UNSEEN}\" error=\"HTTP 403: 1 error occurred: * permission denied\""
        );
        assert!(messages.contains(&line), "{messages}");
        assert_eq!(writes(&vault), count);
    }
}

/// The warning came after the write once, and not at all if that failed.
#[test]
fn the_warning_comes_even_if_the_secret_cannot_be_written_either() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app/"));
    let outcome =
        to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_TOKEN", "hvs.wrong").outcome();
    let url = format!("URL: PUT {}/v1/secret/data/app/a.yaml", vault.url());
    let words = [
        UNSEEN,
        "conf/a.yaml: Error making API request",
        &url,
        "permission denied",
        "hint: VAULT_TOKEN needs",
    ];
    refused(&outcome, 1, &words);
    assert!(!outcome.messages().contains("hvs.wrong"));
    assert_eq!(writes(&vault), 1, "it was tried");
}

#[test]
fn who_wants_to_know_is_told_what_is_there_already() {
    let (vault, scratch) = (vault("kv2"), folder("vault_path: app"));
    done(to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]));
    let outcome = to_vault(&scratch, &vault, &["--yes", "--verbose", "conf/a.yaml"]).outcome();
    let line = "Secret in secret/data/app/a.yaml is already up-to-date.";
    assert!(outcome.succeeded() && outcome.messages().contains(line), "{}", outcome.messages());
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let scratch = folder("{vault_path: app, vault_address: 'http://127.0.0.1:1'}");
    let call = publish(&scratch, NOWHERE, &["--yes", "conf/a.yaml"]).variable("VAULT_MAX_RETRIES", "0");
    let words = ["Cannot check", "conf/a.yaml: ", "127.0.0.1:1", "refused", "hint: "];
    refused(&call.variable("VAULT_TOKEN", "x").outcome(), 1, &words);
}

#[test]
fn a_vault_that_says_nothing_costs_the_limit() {
    let (silent, scratch) = (Server::silent(), folder("vault_path: app"));
    let call = publish(&scratch, NOWHERE, &["--yes", "conf/a.yaml"]).variable("VAULT_ADDR", &silent.url());
    let call = call.variable("VAULT_TOKEN", "x").variable("VAULT_CLIENT_TIMEOUT", "1");
    refused(&call.outcome(), 1, &[UNSEEN, "conf/a.yaml: ", "no answer within 1s", "hint: "]);
}
