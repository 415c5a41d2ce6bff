//! Vault transit: what is sent, what is refused, and what is said then.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::{Duration, Instant};

use super::desk::{Desk, PLAIN, words};
use super::python::judge;
use super::server::vault::{ROOT, Vault, Way};
use super::server::{Request, Response, Server, put};
use super::support::keys::recipient;

/// Somebody who has a token.
fn somebody() -> Desk {
    stranger().with("VAULT_TOKEN", ROOT)
}

/// Somebody who has none.
fn stranger() -> Desk {
    Desk::new("--hc-vault-transit", &["hvs."])
}

fn last(vault: &Vault) -> Request {
    vault.server().seen().pop().expect("a request")
}

#[test]
fn the_vault_of_these_tests_is_one_for_its_own_client() {
    let vault = Vault::new();
    vault.token("hvs.reader", "", "transit/decrypt/*", &["update"]);
    vault.mount("team", "transit", "transit");
    vault.transit_key("team", "transit", "k");
    vault.token("hvs.team", "team", "*", &["update"]);
    judge("hvac", "vault.py", &[("VAULT_ADDR", &vault.url()), ("ROOT", ROOT)]);
}

#[test]
fn a_data_key_goes_through_transit() {
    let (vault, desk) = (Vault::new(), somebody());
    desk.works_with(&vault.key("k"));
    assert_eq!(vault.requests(), ["PUT /v1/transit/encrypt/k", "PUT /v1/transit/decrypt/k"]);
    let request = last(&vault);
    assert_eq!(request.header("x-vault-token"), Some(ROOT));
    assert_eq!(request.header("x-vault-request"), Some("true"));
    assert_eq!(request.header("x-vault-namespace"), None);
    let sealed = desk.scratch.text("b.yaml");
    let ciphertext = request.json()["ciphertext"].as_str().expect("text").to_owned();
    assert!(ciphertext.starts_with("vault:v1:"), "{ciphertext}");
    for line in [
        format!("          enc: {ciphertext}\n"),
        "          engine_path: transit\n          key_name: k\n".to_owned(),
        format!("          vault_address: {}\n", vault.url()),
    ] {
        assert!(sealed.contains(&line), "{line}{sealed}");
    }
}

#[test]
fn rules_name_keys_of_vault() {
    let (vault, desk) = (Vault::new(), somebody());
    vault.mount("", "teams/a", "transit");
    vault.transit_key("", "teams/a", "n");
    let (first, second) = (vault.key("k"), format!("{}/v1/teams/a/keys/n", vault.url()));
    for rule in [
        format!("creation_rules:\n  - hc_vault_transit_uri: {first},{second}\n"),
        format!("creation_rules:\n  - key_groups:\n    - hc_vault: ['{first}', '{second}']\n"),
        format!(
            "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n    - hc_vault: ['{first}']\n    - hc_vault: \
             ['{second}']\n"
        ),
    ] {
        desk.scratch.write(".sops.yaml", rule.as_bytes());
        let sealed = desk.call(&["encrypt", "a.yaml"]).stdout();
        desk.scratch.write("b.yaml", &sealed);
        assert!(desk.opens(), "{rule}");
        assert!(desk.scratch.text("b.yaml").contains("engine_path: teams/a"), "{rule}");
    }
}

#[test]
fn the_token_is_in_a_variable_or_where_login_leaves_it() {
    let vault = Vault::new();
    vault.token("hvs.mine", "", "transit/*", &["update"]);
    let desk = stranger();
    let home = desk.scratch.root().join("home");
    desk.cannot_encrypt(
        &vault.key("k"),
        &["Code: 403. Errors:", "permission denied", "hint: there is no token: set VAULT_TOKEN"],
    );
    assert_eq!(last(&vault).header("x-vault-token"), None);
    put(&home, ".vault-token", "  hvs.mine\n\n");
    desk.works_with(&vault.key("k"));
    assert_eq!(last(&vault).header("x-vault-token"), Some("hvs.mine"));
    let desk = desk.with("VAULT_TOKEN", ROOT);
    assert!(desk.opens());
    assert_eq!(last(&vault).header("x-vault-token"), Some(ROOT));
    // an empty one is as good as none
    let desk = desk.with("VAULT_TOKEN", "");
    assert!(desk.opens());
    std::fs::remove_file(home.join(".vault-token")).expect("our own file");
    std::fs::create_dir(home.join(".vault-token")).expect("our own folder");
    desk.cannot_decrypt(&["cannot get Vault token: read", ".vault-token: is a directory"]);
    let broken = somebody().with("VAULT_TOKEN", "hvs.a\nb");
    broken.cannot_encrypt(&vault.key("k"), &["configured Vault token contains non-printable characters"]);
}

#[test]
fn a_namespace_is_a_vault_of_its_own() {
    let vault = Vault::new();
    vault.mount("team", "transit", "transit");
    vault.transit_key("team", "transit", "k");
    vault.token("hvs.team", "team", "transit/encrypt/k", &["update"]);
    vault.token("hvs.team", "team", "transit/decrypt/k", &["update"]);
    let desk = somebody().with("VAULT_TOKEN", "hvs.team").with("VAULT_NAMESPACE", "team");
    desk.works_with(&vault.key("k"));
    assert_eq!(last(&vault).header("x-vault-namespace"), Some("team"));
    let desk = desk.with("VAULT_TOKEN", ROOT).with("VAULT_NAMESPACE", "other");
    let elsewhere =
        ["Namespace: other", "no handler for route", "no transit engine at transit in the namespace other"];
    desk.cannot_decrypt(&elsewhere);
    desk.with("VAULT_NAMESPACE", "a\nb").cannot_decrypt(&["VAULT_NAMESPACE", "cannot be sent"]);
}

#[test]
fn an_agent_takes_all_requests() {
    let (vault, agent) = (Vault::new(), Vault::new());
    let desk = somebody().with("VAULT_AGENT_ADDR", &agent.url()).with("VAULT_ADDR", "http://127.0.0.1:1");
    desk.works_with(&vault.key("k"));
    assert!(vault.requests().is_empty() && agent.requests().len() == 2);
    // the list of servers is about the key's address
    let desk = desk.with("SOPS_HC_VAULT_ALLOWLIST", &vault.url());
    assert!(desk.opens());
    desk.with("VAULT_AGENT_ADDR", ":").cannot_decrypt(&["cannot create Vault client: the address is no URL"]);
}

#[test]
fn an_agent_may_listen_on_a_socket() {
    let desk = somebody();
    let socket = desk.scratch.root().join("agent.sock");
    let listener = UnixListener::bind(&socket).expect("our own folder");
    let agent = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut heard = vec![0; 4096];
        let length = stream.read(&mut heard).expect("a request");
        let body = "{\"data\":{\"ciphertext\":\"vault:v1:xyz\"}}";
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("a client");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    });
    let desk = desk.with("VAULT_AGENT_ADDR", &format!("unix://{}", socket.display()));
    let outcome = desk.encrypt("https://vault.example/v1/transit/keys/k");
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert!(agent.join().expect("an agent").starts_with("PUT /v1/transit/encrypt/k HTTP/1.1"));
}

#[test]
fn only_listed_servers_are_asked() {
    let vault = Vault::new();
    let url = vault.url();
    let key = vault.key("k");
    for (list, allowed) in [
        ("", true),
        ("all", true),
        (&*url, true),
        (&format!("{url}/"), true),
        (&format!("https://other.example, {url} "), true),
        ("none", false),
        ("None", false),
        (" all", false),
        ("http://127.0.0.1", false),
        (&url[..url.len() - 1], false),
        (&url.replace("http", "https"), false),
    ] {
        let before = vault.requests().len();
        let outcome = somebody().with("SOPS_HC_VAULT_ALLOWLIST", list).encrypt(&key);
        assert_eq!(outcome.succeeded(), allowed, "{list:?}: {}", outcome.messages());
        assert_eq!(vault.requests().len() - before, usize::from(allowed), "{list:?}");
        if !allowed {
            assert!(words(&outcome).contains(&format!("Allowlist does not allow {url}")));
        }
    }
    let empty = somebody().with("SOPS_HC_VAULT_ALLOWLIST", &format!("{url},"));
    empty.cannot_encrypt(&key, &["SOPS_HC_VAULT_ALLOWLIST's entry 2 is empty"]);
}

#[test]
fn refusals_say_what_helps() {
    let vault = Vault::new();
    let key = vault.key("k");
    let desk = somebody();
    desk.seal(&key);
    let failed = "failed to decrypt sops data key from Vault transit backend 'transit/decrypt/k': Error making API \
                  request.";
    vault.token("hvs.other", "", "transit/encrypt/k", &["update"]);
    let url = format!("URL: PUT {}/v1/transit/decrypt/k", vault.url());
    desk.again().with("VAULT_TOKEN", "hvs.other").cannot_decrypt(&[
        failed,
        &url,
        "Code: 403.",
        "the policy of the token must allow update on transit/decrypt/k",
    ]);
    desk.again().with("VAULT_TOKEN", "hvs.expired").cannot_decrypt(&[
        "Code: 403. Errors:",
        "invalid token",
        "the token has expired, was revoked",
    ]);
    desk.cannot_encrypt(
        &vault.key("nobody"),
        &[
            "failed to encrypt sops data key to Vault transit backend 'transit/encrypt/nobody'",
            "Code: 400. Errors:",
            "* encryption key not found",
            "vault write -f transit/keys/nobody",
        ],
    );
    desk.cannot_encrypt(
        &format!("{}/v1/nowhere/keys/k", vault.url()),
        &["Code: 404.", "no handler for route", "vault secrets enable -path=nowhere transit"],
    );
    vault.seal();
    desk.again().with("VAULT_MAX_RETRIES", "0").cannot_decrypt(&[
        "Code: 503. Errors:",
        "* Vault is sealed",
        "vault operator unseal",
    ]);
}

#[test]
fn what_was_tampered_with_does_not_open() {
    let (vault, desk) = (Vault::new(), somebody());
    desk.seal(&vault.key("k"));
    let sealed = desk.scratch.text("b.yaml");
    let change = |from: &str, to: &str| desk.scratch.write("b.yaml", sealed.replacen(from, to, 1).as_bytes());
    let at = sealed.find("vault:v1:").expect("a ciphertext") + "vault:v1:".len();
    let letter = if sealed[at..].starts_with('A') { "vault:v1:B" } else { "vault:v1:A" };
    change(&sealed[at - 9..=at], letter);
    desk.cannot_decrypt(&["message authentication failed", "the enc of this key is damaged"]);
    change("vault:v1:", "junk");
    desk.cannot_decrypt(&["invalid ciphertext: no prefix", "the enc of this key is damaged"]);
    change("\n", "\n");
    vault.rotate("k", 1);
    assert!(desk.opens());
    vault.rotate("k", 2);
    desk.cannot_decrypt(&["disallowed by policy (too old)", "min_decryption_version of k is higher"]);
    desk.works_with(&vault.key("k"));
    assert!(desk.scratch.text("b.yaml").contains("enc: vault:v3:"));
}

#[test]
fn certificates_are_trusted_by_choice() {
    let vault = Vault::reached_by(Way::Https);
    let (key, ca) = (vault.key("k"), vault.server().authority());
    let desk = || somebody().with("VAULT_MAX_RETRIES", "0");
    desk().cannot_encrypt(
        &key,
        &[
            "the certificate of localhost:",
            "is not accepted",
            "VAULT_CACERT names the PEM file of the authority",
        ],
    );
    let file = ca.display().to_string();
    let pem = std::fs::read_to_string(&ca).expect("our own file");
    let folder = desk().scratch.root();
    std::fs::create_dir_all(folder.join("deep/down")).expect("our own folder");
    put(&folder.join("deep/down"), "ca.pem", &pem);
    desk().with("VAULT_CACERT", &file).works_with(&key);
    desk().with("VAULT_CACERT_BYTES", &pem).works_with(&key);
    desk().with("VAULT_CAPATH", &folder.join("deep").display().to_string()).works_with(&key);
    desk().with("SSL_CERT_FILE", &file).works_with(&key);
    desk().with("VAULT_SKIP_VERIFY", "true").works_with(&key);
    // the first of them counts, and only what it names is trusted
    let other = Vault::reached_by(Way::Https);
    let wrong = other.server().authority().display().to_string();
    let both =
        desk().with("VAULT_CACERT", &wrong).with("VAULT_CACERT_BYTES", &pem).with("SSL_CERT_FILE", &file);
    both.cannot_encrypt(&key, &["is not accepted"]);
    std::fs::remove_dir_all(folder.join("deep")).expect("our own folder");
}

#[test]
fn a_server_may_have_another_name_than_its_host() {
    let vault = Vault::reached_by(Way::HttpsAs("vault.internal"));
    let (key, ca) = (vault.key("k"), vault.server().authority().display().to_string());
    let desk = || somebody().with("VAULT_CACERT", &ca).with("VAULT_MAX_RETRIES", "0");
    desk().cannot_encrypt(&key, &["is not accepted"]);
    desk().with("VAULT_TLS_SERVER_NAME", "vault.internal").works_with(&key);
    let host = vault.server().host();
    assert_eq!(last(&vault).header("host"), Some(&*host));
    desk().with("VAULT_TLS_SERVER_NAME", "vault.example").cannot_encrypt(&key, &["is not accepted"]);
    desk().with("VAULT_TLS_SERVER_NAME", "a/b").cannot_encrypt(&key, &["\"a/b\" is no host name"]);
    let proxied =
        desk().with("VAULT_TLS_SERVER_NAME", "vault.internal").with("VAULT_PROXY_ADDR", "http://127.0.0.1:1");
    proxied.cannot_encrypt(&key, &["does not go together with a proxy"]);
}

#[test]
fn a_server_may_want_a_certificate() {
    let vault = Vault::reached_by(Way::HttpsForKnown);
    let (certificate, private) = vault.server().client_certificate();
    let (certificate, private) = (certificate.display().to_string(), private.display().to_string());
    let key = vault.key("k");
    let ca = vault.server().authority().display().to_string();
    let desk = || somebody().with("VAULT_CACERT", &ca).with("VAULT_MAX_RETRIES", "0");
    desk().with("VAULT_CLIENT_CERT", &certificate).with("VAULT_CLIENT_KEY", &private).works_with(&key);
    assert!(desk().encrypt(&key).failed_cleanly());
    let half = desk().with("VAULT_CLIENT_CERT", &certificate);
    half.cannot_encrypt(&key, &["both client cert and client key must be provided"]);
    let twice = desk().with("VAULT_CLIENT_CERT", &certificate).with("VAULT_CLIENT_KEY", &certificate);
    twice.cannot_encrypt(&key, &["hold no certificate with its key in PEM"]);
}

#[test]
fn what_may_pass_is_asked_again() {
    let vault = Vault::new();
    let busy = |status| Response::text(status, "{\"errors\":[\"busy\"]}").with("retry-after", "0");
    for status in [412, 429, 500, 502, 503] {
        let before = vault.requests().len();
        vault.disturb([busy(status), busy(status)]);
        assert!(somebody().encrypt(&vault.key("k")).succeeded(), "{status}");
        assert_eq!(vault.requests().len() - before, 3, "{status}");
    }
    for (status, retries, requests) in
        [(503, "2", 3), (503, "0", 1), (503, "1", 2), (501, "2", 1), (400, "2", 1)]
    {
        let before = vault.requests().len();
        vault.disturb([busy(status), busy(status), busy(status)]);
        somebody()
            .with("VAULT_MAX_RETRIES", retries)
            .cannot_encrypt(&vault.key("k"), &[&format!("Code: {status}. Errors: * busy")]);
        assert_eq!(vault.requests().len() - before, requests, "{status} {retries}");
    }
}

/// Guards against waiting for what cannot come in time any more, and saying then that there was no answer.
#[test]
fn a_pause_beyond_the_limit_is_not_waited_for() {
    let vault = Vault::new();
    for pause in ["3600", "18446744073709551615"] {
        let before = vault.requests().len();
        vault.disturb([Response::text(429, "{\"errors\":[\"quota exceeded\"]}").with("retry-after", pause)]);
        let began = Instant::now();
        somebody().cannot_encrypt(
            &vault.key("k"),
            &["Code: 429. Errors: * quota exceeded", &format!("try again in {pause} s")],
        );
        assert_eq!(vault.requests().len() - before, 1);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    // our own pauses are a second and more
    let hurried = somebody().with("SOPS_KMS_TIMEOUT", "900ms");
    vault.disturb([Response::text(503, "{\"errors\":[\"Vault is sealed\"]}")]);
    hurried
        .cannot_encrypt(&vault.key("k"), &["Code: 503. Errors: * Vault is sealed", "vault operator unseal"]);
    let nobody = "http://127.0.0.1:1/v1/transit/keys/k";
    hurried.cannot_encrypt(nobody, &["cannot connect to 127.0.0.1:1: Connection refused"]);
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_so() {
    let nobody = "http://127.0.0.1:1/v1/transit/keys/k";
    let began = Instant::now();
    somebody().with("VAULT_MAX_RETRIES", "1").cannot_encrypt(
        nobody,
        &["cannot connect to 127.0.0.1:1: Connection refused", "check the address, the network"],
    );
    assert!(began.elapsed() >= Duration::from_secs(1), "it might have been back after a second");
}

#[test]
fn one_redirect_is_followed() {
    let (active, other) = (Vault::new(), Vault::new());
    for status in [301, 302, 307] {
        let target = format!("{}/v1/transit/encrypt/k", active.url());
        let standby = Server::http(move |_| Response::text(status, "").with("location", &target));
        let key = format!("{}/v1/transit/keys/k", standby.url());
        let outcome = somebody().encrypt(&key);
        assert!(outcome.succeeded(), "{}", outcome.messages());
        let (asked, answered) = (standby.seen().remove(0), last(&active));
        assert_eq!((&*answered.method, &answered.body), ("PUT", &asked.body));
        assert_eq!(answered.header("x-vault-token"), Some(ROOT));
        somebody().with("VAULT_DISABLE_REDIRECTS", "1").cannot_encrypt(
            &key,
            &[&format!("answers with code {status} and redirects to {}", active.url())],
        );
    }
    let target = format!("{}/v1/transit/encrypt/k", other.url());
    for status in [303, 308] {
        let target = target.clone();
        let standby = Server::http(move |_| Response::text(status, "").with("location", &target));
        somebody().cannot_encrypt(&format!("{}/v1/transit/keys/k", standby.url()), &["redirects to"]);
    }
    let ring = Server::http(|_| Response::text(307, "").with("location", "/v1/again"));
    somebody().cannot_encrypt(&format!("{}/v1/transit/keys/k", ring.url()), &["/v1/again"]);
    assert_eq!(ring.seen().len(), 2);
    let down = Server::https(move |_| Response::text(307, "").with("location", &target));
    let desk = somebody().with("VAULT_CACERT", &down.authority().display().to_string());
    desk.cannot_encrypt(
        &format!("{}/v1/transit/keys/k", down.url()),
        &["redirect would cause protocol downgrade"],
    );
    assert!(other.requests().is_empty());
}

#[test]
fn nobody_waits_for_ever() {
    let silent = Server::silent();
    let key = format!("{}/v1/transit/keys/k", silent.url());
    for (name, value, limit) in [
        ("SOPS_KMS_TIMEOUT", "300ms", "300ms"),
        ("VAULT_CLIENT_TIMEOUT", "400ms", "400ms"),
        ("VAULT_CLIENT_TIMEOUT", "1", "1s"),
    ] {
        let began = Instant::now();
        somebody().with(name, value).cannot_encrypt(
            &key,
            &["transit/encrypt/k': no answer within", limit, &format!("{name} sets another limit")],
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let both = somebody().with("SOPS_KMS_TIMEOUT", "300ms").with("VAULT_CLIENT_TIMEOUT", "60");
    both.cannot_encrypt(&key, &["no answer within 300ms", "SOPS_KMS_TIMEOUT sets another limit"]);
    // guards against a hint that changes nothing
    let both = somebody().with("SOPS_KMS_TIMEOUT", "60s").with("VAULT_CLIENT_TIMEOUT", "300ms");
    both.cannot_encrypt(&key, &["no answer within 300ms", "VAULT_CLIENT_TIMEOUT sets another limit"]);
}

#[test]
fn proxies_are_those_of_vault() {
    let proxy = Vault::new();
    let far = "http://vault.example:8200/v1/transit/keys/k";
    somebody().with("VAULT_HTTP_PROXY", &proxy.url()).works_with(far);
    assert_eq!(last(&proxy).header("host"), Some("vault.example:8200"));
    let both =
        somebody().with("VAULT_PROXY_ADDR", &proxy.url()).with("VAULT_HTTP_PROXY", "http://127.0.0.1:1");
    both.works_with(far);
    somebody().with("HTTP_PROXY", &proxy.url()).works_with(far);
    // what is on this machine needs none
    somebody().with("HTTP_PROXY", "http://127.0.0.1:1").works_with(&proxy.key("k"));
    somebody().with("VAULT_PROXY_ADDR", ":").cannot_encrypt(far, &["VAULT_PROXY_ADDR is no URL of a proxy"]);
}

#[test]
fn variables_of_the_client_count_or_are_refused() {
    let vault = Vault::new();
    let key = vault.key("k");
    somebody()
        .with("VAULT_HEADERS", "{\"X-Team\": \"blue\"}")
        .with("VAULT_RATE_LIMIT", "10:20")
        .works_with(&key);
    assert_eq!(last(&vault).header("x-team"), Some("blue"));
    // with a port there is nothing to look up
    somebody().with("VAULT_SRV_LOOKUP", "true").works_with(&key);
    let before = vault.requests().len();
    let setup = "cannot create Vault client: error encountered setting up default configuration:";
    for (name, value, words) in [
        ("VAULT_SKIP_VERIFY", "maybe", "could not parse VAULT_SKIP_VERIFY"),
        ("VAULT_CLIENT_TIMEOUT", "soon", "could not parse \"VAULT_CLIENT_TIMEOUT\""),
        ("VAULT_RATE_LIMIT", "fast", "VAULT_RATE_LIMIT was provided but incorrectly formatted"),
        ("VAULT_CACERT", "/nope", "Error loading CA File: open /nope: no such file or directory"),
        ("VAULT_CAPATH", "/nope", "open /nope: no such file or directory"),
    ] {
        somebody().with(name, value).cannot_encrypt(&key, &[setup, words]);
    }
    somebody().with("VAULT_SRV_LOOKUP", "1").cannot_encrypt(
        "http://vault.example/v1/transit/keys/k",
        &["rsops does not look up SRV records", "write host and port"],
    );
    assert_eq!(vault.requests().len(), before, "nothing was sent");
}

/// Guards against servers that fill the screen.
#[test]
fn a_server_that_goes_on_and_on_is_cut_short() {
    let lament = format!("no {}", "and no ".repeat(10_000));
    let body = serde_json::json!({"errors": vec![lament; 50]});
    for body in [body.to_string(), format!("<html>{}", "and no ".repeat(10_000))] {
        let server = Server::http(move |_| Response::text(400, &body));
        let key = format!("{}/v1/transit/keys/k", server.url());
        let desk = somebody();
        desk.cannot_encrypt(&key, &["Code: 400", "and no", "…"]);
        let said = desk.encrypt(&key).messages();
        assert!(said.len() < 20_000, "{}", said.len());
    }
}

/// Guards against hints within the layout of the reference, once for each key.
#[test]
fn what_helps_is_said_once_and_behind_the_layout_of_the_reference() {
    let vault = Vault::new();
    let desk = somebody();
    desk.seal(&format!("{},{}", vault.key("k"), vault.key("k").replace("/keys/k", "/other/k")));
    let stranger = stranger();
    stranger.scratch.write("b.yaml", &desk.scratch.read("b.yaml").expect("a file"));
    let said = stranger.decrypt().messages();
    let hint = "but none were.\nhint: there is no token: set VAULT_TOKEN, or let `vault login` write ~/.vault-token\n";
    assert!(said.contains(hint) && said.matches("hint").count() == 1, "{said}");
    assert!(said.contains("      | \t* permission denied\n"), "{said}");
    let said = stranger.encrypt(&vault.key("k")).messages();
    assert!(said.contains("* permission denied]\nhint: there is no token: "), "{said}");
}

#[test]
fn answers_that_are_none_are_named() {
    for (body, words) in [
        ("", "transit backend is empty"),
        ("{}", "transit backend is empty"),
        ("{\"data\": null}", "transit backend is empty"),
        ("{\"data\": {}}", "no encrypted data"),
        ("{\"data\": {\"ciphertext\": 1}}", "encrypted ciphertext cannot be cast to string"),
        ("<html>", "is no JSON"),
    ] {
        let server = Server::http(move |_| Response::text(200, body));
        somebody().cannot_encrypt(
            &format!("{}/v1/transit/keys/k", server.url()),
            &["Vault transit backend 'transit/encrypt/k': ", words],
        );
    }
    let vault = Vault::new();
    let desk = somebody();
    desk.seal(&vault.key("k"));
    for (body, words) in [
        ("{\"data\": {}}", "no decrypted data"),
        ("{\"data\": {\"plaintext\": []}}", "decrypted plaintext data cannot be cast to string"),
        ("{\"data\": {\"plaintext\": \"*\"}}", "cannot decode base64 plaintext into data key bytes"),
    ] {
        vault.disturb([Response::text(200, body)]);
        desk.cannot_decrypt(&["Vault transit backend 'transit/decrypt/k': ", words]);
    }
    vault.disturb([Response::text(403, "<html>proxy says no</html>")]);
    desk.cannot_decrypt(&["Code: 403. Raw Message: <html>proxy says no</html>"]);
}

#[test]
fn names_of_keys_are_escaped_as_the_reference_does() {
    let vault = Vault::new();
    vault.transit_key("", "transit", "a%20b");
    vault.transit_key("", "transit", "k?x=1");
    let desk = somebody();
    desk.works_with(&vault.key("a b"));
    assert_eq!(last(&vault).path, "/v1/transit/decrypt/a%2520b");
    assert!(desk.scratch.text("b.yaml").contains("key_name: a%20b\n"));
    desk.works_with(&format!("{}?x=1#f", vault.key("k")));
    assert_eq!(last(&vault).path, "/v1/transit/decrypt/k%3Fx=1");
    desk.cannot_encrypt(&format!(" {}", vault.key("k")), &["first path segment in URL cannot contain colon"]);
    desk.cannot_encrypt(
        "ftp://vault.example/v1/transit/keys/k",
        &["cannot create Vault client: unsupported protocol scheme \"ftp\""],
    );
}

#[test]
fn passwords_of_addresses_are_sent_and_not_shown() {
    let vault = Vault::new();
    let desk = somebody();
    let with_password = |name| vault.key(name).replace("http://", "http://user:hvs.password@");
    desk.works_with(&with_password("k"));
    assert_eq!(last(&vault).header("authorization"), Some("Basic dXNlcjpodnMucGFzc3dvcmQ="));
    let outcome = desk.encrypt(&with_password("nobody"));
    let text = words(&outcome);
    assert!(text.contains(&format!("URL: PUT {}/v1/transit/encrypt/nobody", vault.url())), "{text}");
    assert!(!text.contains("hvs.password"), "the name of the key has none either: {text}");
    let refused =
        words(&desk.call(&["decrypt", "b.yaml"]).variable("SOPS_HC_VAULT_ALLOWLIST", "none").outcome());
    assert!(refused.contains("Allowlist does not allow") && !refused.contains("hvs.password"), "{refused}");
}

#[test]
fn steps_are_logged_without_secrets() {
    let (vault, desk) = (Vault::new(), somebody());
    desk.seal(&vault.key("k"));
    for (arguments, words) in [
        (&["--verbose", "decrypt", "b.yaml"][..], "Decryption successful"),
        (&["--verbose", "rotate", "b.yaml"], "Encryption successful"),
    ] {
        let outcome = desk.call(arguments).outcome();
        let messages = outcome.messages();
        assert!(
            outcome.succeeded() && messages.contains("VAULT_TRANSIT") && messages.contains(words),
            "{messages}"
        );
        assert!(!messages.contains("hvs.") && !messages.contains("vault:v1:"), "{messages}");
    }
}

#[test]
fn keys_of_vault_come_and_go() {
    let vault = Vault::new();
    vault.transit_key("", "transit", "second");
    let desk = somebody();
    let (first, second) = (vault.key("k"), vault.key("second"));
    desk.seal(&first);
    desk.call(&["rotate", "-i", "--add-hc-vault-transit", &second, "b.yaml"]).stdout();
    assert!(desk.scratch.text("b.yaml").contains("key_name: second") && desk.opens());
    desk.call(&["rotate", "-i", "--rm-hc-vault-transit", &first, "b.yaml"]).stdout();
    assert!(!desk.scratch.text("b.yaml").contains("key_name: k\n") && desk.opens());
    let rule =
        format!("creation_rules:\n  - hc_vault_transit_uri: {first}\n    age: {}\n", recipient("age-alice"));
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.call(&["updatekeys", "--yes", "b.yaml"]).stdout();
    let updated = desk.scratch.text("b.yaml");
    assert!(updated.contains("key_name: k\n") && !updated.contains("key_name: second"), "{updated}");
    assert!(desk.opens());
    // somebody with an age key needs no server
    let before = vault.requests().len();
    let alone = desk.scratch.call(["decrypt", "b.yaml"]).keys(["age-alice"]).stdout();
    assert!(alone == PLAIN && vault.requests().len() == before);
}

/// Guards against a server that is asked for every copy of a file.
#[test]
fn the_same_wrapped_key_is_unwrapped_once() {
    let (vault, desk) = (Vault::new(), somebody());
    desk.seal(&vault.key("k"));
    let copy = desk.scratch.text("b.yaml");
    desk.scratch.write("c.yaml", copy.as_bytes());
    desk.call(&["decrypt", "-i", "--jobs", "1", "b.yaml", "c.yaml"]).stdout();
    assert_eq!(desk.scratch.text("c.yaml").as_bytes(), PLAIN);
    let unwrapped = vault.requests().iter().filter(|request| request.contains("/decrypt/")).count();
    assert_eq!(unwrapped, 1, "{:?}", vault.requests());
}

/// Guards against files that have something else done with the token than unwrapping, such as revoking it.
#[test]
fn a_file_cannot_lead_requests_elsewhere() {
    let (vault, desk) = (Vault::new(), somebody());
    desk.seal(&vault.key("k"));
    let text = desk.scratch.text("b.yaml");
    let before = vault.requests().len();
    for (from, to) in [
        ("key_name: k\n", "key_name: ../../auth/token/revoke-self\n"),
        ("engine_path: transit\n", "engine_path: x/../sys\n"),
    ] {
        assert!(text.contains(from), "{text}");
        desk.scratch.write("b.yaml", text.replace(from, to).as_bytes());
        desk.refused(&desk.decrypt(), &["leads elsewhere"]);
    }
    assert_eq!(vault.requests().len(), before, "nobody is asked");
}
