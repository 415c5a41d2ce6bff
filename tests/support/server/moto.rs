//! AWS as `moto` has it: KMS with real cryptography, IAM and STS, in a process of its own on a free port.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::fetched::python_with;

/// It ends when its standard input does, so that none is left behind, however the tests end.
const PROGRAM: &str = "\
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
";

/// The account of access keys that moto does not know.
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// One for all tests that do not mind each other's keys; `None` if moto is not there.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Moto>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// One that belongs to the test.
    pub(crate) fn start() -> Option<Self> {
        let mut child = Command::new(python_with("moto.server")?)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        let port = line.trim().parse().expect("moto tells its port");
        Some(Self { child, port })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// ARN of a new key.
    pub(crate) fn key(&self, region: &str) -> String {
        self.key_as("AKIAEXAMPLE", region)
    }

    /// The same in the account of this access key.
    pub(crate) fn key_as(&self, access_key: &str, region: &str) -> String {
        let answer = self.kms(access_key, region, "CreateKey", &json!({}));
        answer["KeyMetadata"]["Arn"].as_str().expect("an ARN").to_owned()
    }

    /// A request to KMS that nobody signs.
    pub(crate) fn kms(&self, access_key: &str, region: &str, operation: &str, body: &Value) -> Value {
        let headers = format!(
            "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: TrentService.{operation}\r\n{}",
            authorization(access_key, region, "kms"),
        );
        let answer = self.post("/", &headers, &body.to_string());
        if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).expect("JSON") }
    }

    /// A request to IAM or STS; the texts of these elements in the answer.
    pub(crate) fn query(
        &self,
        service: &str,
        access_key: &str,
        parameters: &[(&str, &str)],
        wanted: &[&str],
    ) -> Vec<String> {
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded\r\n{}",
            authorization(access_key, "us-east-1", service)
        );
        let answer = self.post("/", &headers, &pairs.join("&"));
        wanted.iter().map(|name| element(&answer, name)).collect()
    }

    /// From now on signatures and policies count.
    pub(crate) fn check_who_asks(&self) {
        self.post("/moto-api/reset-auth", "Content-Type: text/plain\r\n", "0");
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("moto listens");
        let length = body.len();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}",
            self.port
        )
        .expect("moto reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("moto answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        body.to_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// moto goes by the names in it only, until it is told to check who asks.
fn authorization(access_key: &str, region: &str, service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n"
    )
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split_once("</").map(|(text, _)| text.to_owned()).expect("an end")
}
