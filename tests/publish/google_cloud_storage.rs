//! Google Cloud Storage, as an emulator plays it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{Response, Server};
use crate::support::fetched::fetched;
use crate::support::keys::recipient;
use crate::support::outcome::{Ending, refused};
use crate::support::scratch::{Call, Scratch};
use crate::{NOWHERE, ask, done, folder, publish};

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
    let words =
        ["conf/a.yaml: cannot upload to gcs://missing/pre-a.yaml: ", "HTTP 404", "hint: check the name"];
    words.iter().for_each(|word| assert!(outcome.messages().contains(word), "{}", outcome.messages()));
}

/// A run that finds no credentials of Google, and S3 nowhere.
fn without_credentials<'a>(scratch: &'a Scratch) -> Call<'a> {
    publish(scratch, NOWHERE, &["--yes", "conf/a.yaml"]).variable("GCE_METADATA_HOST", "127.0.0.1:1")
}

#[test]
fn only_default_credentials_count() {
    let scratch = folder("gcs_bucket: bucket");
    let none = "conf/a.yaml: credentials: could not find default credentials";
    refused(&without_credentials(&scratch).outcome(), 1, &[none, "hint: run `gcloud auth"]);
    // those are for keys
    let others = without_credentials(&scratch).variable("GOOGLE_CREDENTIALS", "{}");
    refused(&others.variable("GOOGLE_OAUTH_ACCESS_TOKEN", "x").outcome(), 1, &[none]);
    let named = without_credentials(&scratch).variable("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere");
    refused(&named.outcome(), 1, &["conf/a.yaml: credentials: open /nowhere: no such file", "hint: "]);
}

#[test]
fn a_storage_that_is_not_there_or_refuses_is_told() {
    let scratch = folder("gcs_bucket: bucket");
    let call = |url: &str| without_credentials(&scratch).variable("STORAGE_EMULATOR_HOST", url);
    let words = ["conf/a.yaml: cannot upload to gcs://bucket/a.yaml: ", "hint: check the network"];
    refused(&call("127.0.0.1:1").outcome(), 1, &words);
    let denied = json!({"error": {"code": 403, "message": "No.", "status": "PERMISSION_DENIED"}});
    let server = Server::http(move |_| Response::json(403, &denied));
    let words = [
        "cannot upload to gcs://bucket/a.yaml: ",
        "PERMISSION_DENIED",
        "HTTP 403",
        "No.",
        "storage.objects.create",
    ];
    refused(&call(&format!("{}/storage/v1/", server.url())).outcome(), 1, &words);
}
