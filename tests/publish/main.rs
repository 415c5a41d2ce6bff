//! `rsops publish`: against S3 as moto plays it, Google Cloud Storage as an emulator plays it, a Vault of our own, and a
//! storage that takes everything and remembers it.
#![cfg(all(unix, feature = "publish", feature = "age"))]

mod configuration;
mod files;
mod google_cloud_storage;
mod many;
mod mistakes;
mod questions;
mod recreation;
mod s3;
#[path = "../support/server/mod.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod vault;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use server::{Response, Server};
use support::keys::recipient;
use support::scratch::{Call, Scratch};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

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

/// A storage in the language of S3 that takes everything.
struct Storage(Server);

impl Storage {
    fn new() -> Self {
        Self(Server::http(|_| Response::text(200, "").with("etag", "\"x\"")))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    /// What was sent so far, in order: `PUT /bucket/key`.
    fn requests(&self) -> Vec<String> {
        let seen = self.0.seen();
        seen.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// What came last.
    fn last(&self) -> String {
        let request = self.0.seen().pop().expect("a request");
        String::from_utf8(request.body).expect("text")
    }
}

/// A folder with `conf/a.yaml` and `conf/deep/b.json`, encrypted for alice, and a rule for where they go.
fn folder(destination: &str) -> Scratch {
    let scratch = Scratch::new();
    encrypted(&scratch, "conf/a.yaml", "a: secret value\nb: in clear\n");
    encrypted(&scratch, "conf/deep/b.json", "{\"a\": 5}\n");
    rules(&scratch, &[destination]);
    scratch
}

/// A file encrypted for alice: what is under `a`.
fn encrypted(scratch: &Scratch, name: &str, text: &str) {
    scratch.write(name, text.as_bytes());
    let alice = recipient("age-alice");
    scratch.call(["encrypt", "-i", "--age", &alice, "--encrypted-regex", "^a$", name]).stdout();
}

fn rules(scratch: &Scratch, rules: &[&str]) {
    let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    scratch.write(".sops.yaml", format!("destination_rules:\n{rules}").as_bytes());
}

fn publish<'a>(scratch: &'a Scratch, url: &str, arguments: &[&str]) -> Call<'a> {
    let call = scratch.call([&["publish"], arguments].concat()).keys(["age-alice"]);
    at(call, url)
}

/// The same without a key for the files.
fn publish_without_key<'a>(scratch: &'a Scratch, url: &str, arguments: &[&str]) -> Call<'a> {
    at(scratch.call([&["publish"], arguments].concat()), url)
}

/// A run that finds S3 there, and an access key in the environment.
fn at<'a>(call: Call<'a>, url: &str) -> Call<'a> {
    call.variable("AWS_ENDPOINT_URL", url)
        .variable("AWS_REGION", "eu-central-1")
        .variable("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .variable("AWS_SECRET_ACCESS_KEY", "secret-example")
        .variable("AWS_EC2_METADATA_DISABLED", "true")
        .variable("AWS_MAX_ATTEMPTS", "1")
        .variable("NO_PROXY", "*")
}

/// What a run that succeeds prints; it has nothing to say beside that.
fn done(call: Call<'_>) -> String {
    let outcome = call.outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}: {}", outcome.ending, outcome.messages());
    String::from_utf8(outcome.stdout).expect("text")
}

/// The clear text of something that was sent to somebody with this key.
fn opened(scratch: &Scratch, text: &str, key: &str) -> String {
    scratch.write("sent.yaml", text.as_bytes());
    let outcome = scratch.call(["decrypt", "sent.yaml"]).keys([key]).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    String::from_utf8(outcome.stdout).expect("text")
}
