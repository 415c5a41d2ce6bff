//! Servers that answer nonsense. A file may name them, so whatever they say ends in an error: no panic, no output.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::server::{Response, Server};
use crate::support::outcome::Outcome;
use crate::support::scratch::Scratch;

const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/k";
const RESOURCE: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/k";

/// Somebody with a file in clear, and one for keys of this server in each of its roles.
fn guest(url: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: secret value\n");
    let date = "created_at: \"2026-01-01T00:00:00Z\"";
    let sealed = format!(
        "a: ENC[AES256_GCM,data:Zm9v,iv:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=,tag:MTIzNDU2Nzg5MDEyMzQ1Ng==,type:str]
sops:
    kms:
        - arn: {ARN}
          {date}
          enc: AQID
    gcp_kms:
        - resource_id: {RESOURCE}
          {date}
          enc: AQID
    hckms:
        - key_id: xx-1:k
          {date}
          enc: AQID
    hc_vault:
        - vault_address: {url}
          engine_path: transit
          key_name: k
          {date}
          enc: vault:v1:AQID
    lastmodified: \"2026-01-01T00:00:00Z\"
    mac: ENC[AES256_GCM,data:Zm9v,iv:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=,tag:MTIzNDU2Nzg5MDEyMzQ1Ng==,type:str]
    version: 3.13.2
"
    );
    scratch.write("sealed.yaml", sealed.as_bytes());
    scratch
}

fn call(scratch: &Scratch, url: &str, arguments: &[&str]) -> Outcome {
    let variables = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret-example"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "ya29.secret-example"),
        ("SOPS_GCP_KMS_ENDPOINT", url),
        ("HUAWEICLOUD_SDK_AK", "AK"),
        ("HUAWEICLOUD_SDK_SK", "secret-example"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "p"),
        ("HUAWEICLOUD_SDK_REGION_KMS_XX_1", url),
        ("VAULT_TOKEN", "hvs.secret-example"),
        ("VAULT_MAX_RETRIES", "0"),
        ("SOPS_KMS_TIMEOUT", "10s"),
        ("NO_PROXY", "*"),
    ];
    let call = scratch.call(arguments);
    variables.iter().fold(call, |call, (name, value)| call.variable(name, value)).outcome()
}

/// The file is not opened, and nothing is encrypted for a key of any kind.
fn fails_in_every_way(url: &str, what: &str) {
    let scratch = guest(url);
    let vault = format!("{url}/v1/transit/keys/k");
    let mut outcomes = vec![call(&scratch, url, &["decrypt", "sealed.yaml"])];
    let keys =
        [("--kms", ARN), ("--gcp-kms", RESOURCE), ("--hckms", "xx-1:k"), ("--hc-vault-transit", &vault)];
    outcomes
        .extend(keys.iter().map(|(flag, key)| call(&scratch, url, &["encrypt", flag, key, "plain.yaml"])));
    for outcome in outcomes {
        let said = outcome.messages();
        assert!(outcome.failed_cleanly() && outcome.stdout.is_empty(), "{what}: {said}");
        assert!(!said.contains("secret-example") && !said.contains('\u{1b}'), "{what}: {said}");
    }
}

/// Guards against panics, and against what is shown of an answer.
#[test]
fn answers_without_sense_end_in_errors() {
    let deep = "[".repeat(200_000);
    let long = format!("{{\"errors\":[\"{}\"]}}", "x".repeat(3 << 20));
    let bodies: [&[u8]; 11] = [
        b"",
        b"null",
        b"[]",
        b"\"\\u0000\"",
        b"{",
        b"\xff\xfe{}",
        b"{\"data\":[],\"error\":[],\"errors\":{},\"__type\":1,\"message\":[]}",
        b"{\"data\":{\"plaintext\":{},\"ciphertext\":0},\"plaintext\":7,\"ciphertext\":[],\"Plaintext\":{},\
          \"CiphertextBlob\":1,\"plain_text\":[],\"cipher_text\":true}",
        b"{\"error\":{\"code\":-1,\"status\":\"\\u001b[2J\",\"message\":\"\\u001b[2J\"},\"errors\":[\"\\u001b[2J\"],\
          \"__type\":\"\\u001b[2J\",\"error_msg\":\"\\u001b[2J\"}",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for body in bodies {
        for status in [200, 400] {
            let answer = body.to_vec();
            let server = Server::http(move |_| Response {
                status,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: answer.clone(),
            });
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            fails_in_every_way(&server.url(), &format!("{status} {shown}"));
        }
    }
}

/// Guards against a data key of a length that none has.
#[test]
fn data_keys_of_wrong_lengths_open_nothing() {
    for length in [0, 1, 31, 33, 4096, 1 << 20] {
        let text = BASE64_STANDARD.encode(vec![7; length]);
        let body = serde_json::json!({
            "data": {"plaintext": text}, "plaintext": text, "Plaintext": text, "plain_text": text,
        });
        let server = Server::http(move |_| Response::json(200, &body));
        let scratch = guest(&server.url());
        let outcome = call(&scratch, &server.url(), &["decrypt", "sealed.yaml"]);
        assert!(outcome.failed_cleanly() && outcome.stdout.is_empty(), "{length}: {}", outcome.messages());
    }
}

/// Guards against waiting for the rest of an answer that has ended.
#[test]
fn answers_that_end_early_end_in_errors() {
    let answers = [
        "",
        "HTTP/1.1",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"data\"",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
        "HTTP/1.1 999 \r\n\r\n",
        "no HTTP at all\r\n\r\n",
    ];
    let began = Instant::now();
    // Google is asked again for some seconds
    thread::scope(|scope| {
        for answer in answers {
            scope.spawn(move || fails_in_every_way(&broken(answer), answer));
        }
    });
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

/// The URL of a server that says no more than this. It lives as long as the test.
fn broken(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("TCP"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            // a client that does not want to hear it is none
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    url
}
