//! `rsops publish` against S3 as moto plays it, and against a Vault of our own.
#![cfg(all(unix, feature = "publish"))]

#[path = "../support/server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use server::moto::Moto;
use server::vault::{ROOT, Vault};
use support::fetched::fetched;
use support::keys::recipient;
use support::outcome::{Ending, refused};
use support::pty::Pty;
use support::scratch::{Call, Scratch};

/// moto checks no signature, but wants to see that there is one.
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=0";

/// Asks moto for something; the status and the body of the answer.
fn ask(url: &str, method: &str, path: &str) -> (u16, Vec<u8>) {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("a server");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {SIGNED}\r\nContent-Length: 0\r\nConnection: \
         close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a server that listens");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse().expect("a status");
    (status, answer[end + 4..].to_vec())
}

/// A folder with `conf/a.yaml` and `conf/deep/b.json`, encrypted for alice, and a rule for where they go.
fn folder(destination: &str) -> Scratch {
    let scratch = Scratch::new();
    let alice = recipient("age-alice");
    for (name, text) in
        [("conf/a.yaml", "a: secret value\nb: in clear\n"), ("conf/deep/b.json", "{\"a\": 5}\n")]
    {
        scratch.write(name, text.as_bytes());
        scratch.call(["encrypt", "-i", "--age", &alice, "--encrypted-regex", "^a$", name]).stdout();
    }
    scratch.write(".sops.yaml", format!("destination_rules:\n  - {destination}\n").as_bytes());
    scratch
}

fn publish<'a>(scratch: &'a Scratch, url: &str, arguments: &[&str]) -> Call<'a> {
    let call = scratch.call([&["publish"], arguments].concat()).keys(["age-alice"]);
    call.variable("AWS_ENDPOINT_URL", url)
        .variable("AWS_REGION", "eu-central-1")
        .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-example")
        .variable("AWS_EC2_METADATA_DISABLED", "true")
        .variable("NO_PROXY", "*")
}

fn done(call: Call<'_>) -> String {
    let outcome = call.outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}: {}", outcome.ending, outcome.messages());
    String::from_utf8(outcome.stdout).expect("text")
}

/// An empty bucket of this name, which no other test has.
fn bucket(moto: &Moto, name: &str) {
    assert_eq!(ask(&moto.url(), "PUT", &format!("/{name}")).0, 200);
}

fn object(moto: &Moto, path: &str) -> Option<Vec<u8>> {
    let (status, body) = ask(&moto.url(), "GET", path);
    (status == 200).then_some(body)
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

#[test]
fn nothing_is_sent_without_assent() {
    let Some(moto) = Moto::shared() else { return };
    bucket(moto, "assent");
    let scratch = folder("s3_bucket: assent");
    let asked = publish(&scratch, &moto.url(), &["conf/a.yaml"]).stdin(b"perhaps\nn\n").outcome();
    assert_eq!(asked.ending, Ending::Exited(1));
    let told = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(told.matches("conf/a.yaml to s3://assent/a.yaml ? (y/n): ").count(), 2, "{told}");
    assert!(asked.messages().contains("conf/a.yaml canceled"), "{}", asked.messages());
    // one file of many is left out, and the others are asked for
    let told = done(publish(&scratch, &moto.url(), &["--recursive", "conf"]).stdin(b"n\ny\n"));
    assert!(told.contains("conf/a.yaml canceled"), "{told}");
    assert_eq!(object(moto, "/assent/a.yaml"), None);
    assert!(object(moto, "/assent/deep/b.json").is_some());
}

#[test]
fn mistakes_are_told_in_the_order_of_the_reference() {
    let url = "http://127.0.0.1:1";
    let empty = Scratch::new();
    refused(&publish(&empty, url, &[]).outcome(), 1, &["config file not found"]);
    let scratch = folder("s3_bucket: b");
    refused(&publish(&scratch, url, &[]).outcome(), 100, &["no file specified"]);
    refused(&publish(&scratch, url, &["nothing"]).outcome(), 1, &["nothing", "no such file"]);
    refused(&publish(&scratch, url, &["conf"]).outcome(), 1, &["--recursive"]);
    let twice = publish(&scratch, url, &["--decryption-order", "age,age", "conf/a.yaml"]).outcome();
    refused(&twice, 112, &["age"]);
    scratch.write("plain.yaml", b"a: 1\n");
    refused(&publish(&scratch, url, &["--yes", "plain.yaml"]).outcome(), 1, &["sops metadata not found"]);
    scratch.write(".sops.yaml", b"destination_rules:\n  - path_regex: other\n    s3_bucket: b\n");
    refused(
        &publish(&scratch, url, &["conf/a.yaml"]).outcome(),
        1,
        &["no matching destination found in config"],
    );
    scratch.write(".sops.yaml", b"destination_rules:\n  - s3_bucket: b\n    gcs_bucket: c\n");
    refused(&publish(&scratch, url, &["conf/a.yaml"]).outcome(), 1, &["more than one destinations"]);
    scratch.write(".sops.yaml", b"destination_rules:\n  - omit_extensions: true\n");
    refused(&publish(&scratch, url, &["conf/a.yaml"]).outcome(), 1, &["no destination configured"]);
}

/// A Vault with an engine for secrets at `secret/`.
fn vault(kind: &str) -> Vault {
    let vault = Vault::new();
    vault.mount("", "secret", kind);
    vault
}

fn to_vault<'a>(scratch: &'a Scratch, vault: &Vault, arguments: &[&str]) -> Call<'a> {
    publish(scratch, "http://127.0.0.1:1", arguments)
        .variable("VAULT_ADDR", &vault.url())
        .variable("VAULT_TOKEN", ROOT)
}

fn writes(vault: &Vault) -> usize {
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

#[test]
fn vault_can_refuse() {
    let vault = vault("kv2");
    let scratch = folder("vault_path: app/");
    let outcome =
        to_vault(&scratch, &vault, &["--yes", "conf/a.yaml"]).variable("VAULT_TOKEN", "hvs.wrong").outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    let messages = outcome.messages();
    assert!(messages.contains("permission denied") && !messages.contains("hvs.wrong"), "{messages}");
    assert_eq!(writes(&vault), 1, "it was tried");
}

/// Google Cloud Storage as an emulator plays it, with one bucket. It ends with the test.
struct Emulator {
    child: Child,
    port: u16,
}

impl Emulator {
    fn start() -> Option<Self> {
        let program = fetched("venv/bin/gcp-storage-emulator")?;
        // free now, and asked for at once
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let arguments = ["start", "--in-memory", "--host=127.0.0.1", "--default-bucket=bucket"];
        let child = Command::new(program)
            .args(arguments)
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let emulator = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the emulator does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(emulator)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn google_cloud_storage_gets_files_too() {
    let Some(emulator) = Emulator::start() else { return };
    let rule = format!(
        "gcs_bucket: bucket\n    gcs_prefix: pre-\n    recreation_rule:\n      age: {}",
        recipient("age-bob")
    );
    let scratch = folder(&rule);
    let call = || {
        let call = publish(&scratch, "http://127.0.0.1:1", &["--yes", "conf/a.yaml"]);
        call.variable("STORAGE_EMULATOR_HOST", &emulator.url())
    };
    done(call());
    let (status, sent) = ask(&emulator.url(), "GET", "/storage/v1/b/bucket/o/pre-a.yaml?alt=media");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&sent));
    scratch.write("sent.yaml", &sent);
    let opened = scratch.call(["decrypt", "sent.yaml"]).keys(["age-bob"]).stdout();
    assert_eq!(opened, b"a: secret value\nb: in clear\n");

    let missing = scratch.text(".sops.yaml").replace("gcs_bucket: bucket", "gcs_bucket: missing");
    scratch.write(".sops.yaml", missing.as_bytes());
    let outcome = call().outcome();
    assert_eq!(outcome.ending, Ending::Exited(1), "the reference may say that all is well");
    assert!(outcome.messages().contains("404"), "{}", outcome.messages());
}

/// A folder with 200 files that go to Vault.
fn many() -> Scratch {
    let scratch = folder("vault_path: app/");
    let text = scratch.text("conf/a.yaml");
    for number in 0..198 {
        scratch.write(&format!("conf/many/{number:03}.yaml"), text.as_bytes());
    }
    scratch
}

#[test]
fn a_terminal_shows_how_far_a_directory_is_and_what_became_of_it() {
    let vault = vault("kv2");
    let scratch = many();
    let call =
        || to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]).variable("TERM", "xterm").command();
    let mut first = Pty::start(call());
    first.expect("100 of 200 files");
    let (screen, status) = first.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("200 sent, 0 unchanged, 0 left out, 0 failed, 0 not tried"), "{screen}");
    let (screen, status) = Pty::start(call()).end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("0 sent, 200 unchanged, 0 left out, 0 failed, 0 not tried"), "{screen}");
    // without a terminal nothing is said
    assert_eq!(done(to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"])), "");
    let told =
        to_vault(&scratch, &vault, &["--yes", "--recursive", "--verbose", "conf"]).outcome().messages();
    assert!(told.contains("0 sent, 200 unchanged"), "{told}");
}

#[test]
fn an_interrupted_run_can_be_repeated() {
    let vault = vault("kv2");
    let scratch = many();
    let mut child =
        to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]).command().spawn().expect("the program");
    while writes(&vault) < 20 {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("our own child");
    assert!(!child.wait().expect("our own child").success());
    let before = writes(&vault);
    assert!(before < 200, "it was too quick");
    done(to_vault(&scratch, &vault, &["--yes", "--recursive", "conf"]));
    // what was there already is not written again; of the last one nobody knows
    let written = writes(&vault);
    assert!((200..=201).contains(&written), "{before} and then {}", written - before);
}
