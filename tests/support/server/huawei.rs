//! HuaweiCloud: KMS, IAM and the metadata service of a machine. Every request to KMS and IAM must be signed, and the
//! signature is computed here once more. The vendor's own client for Python is the judge (`tests/keys/python/huawei.py`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Request, Response, Server};

pub(crate) const REGION: &str = "cn-north-4";
pub(crate) const PROJECT: &str = "0a1b2c3d4e5f";
pub(crate) const KEY: &str = "0d0466b0-e727-4d9c-b35d-f84bb474a37f";
/// What the identity provider says of its user.
pub(crate) const ID_TOKEN: &str = "id-token-of-the-provider";

/// A cloud of one region with one project and one key, and with the access key `AKMAIN`/`SKMAIN`.
pub(crate) struct Huawei {
    server: Server,
    state: Arc<Mutex<State>>,
}

struct State {
    keys: BTreeMap<String, [u8; 32]>,
    users: BTreeMap<String, User>,
    /// Those that IAM knows by the name of the region.
    projects: Vec<String>,
    metadata: Metadata,
    /// So many calls for keys are answered with this.
    trouble: (usize, u16),
}

struct User {
    secret: String,
    token: Option<String>,
    allowed: bool,
}

/// What kind of machine this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    WithTokens,
    WithoutTokens,
    NoAgency,
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random numbers");
    bytes
}

impl Huawei {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State {
            keys: BTreeMap::from([(KEY.to_owned(), random())]),
            users: BTreeMap::new(),
            projects: vec![PROJECT.to_owned()],
            metadata: Metadata::WithTokens,
            trouble: (0, 200),
        }));
        let handler = {
            let state = state.clone();
            move |request: &Request| state.lock().expect("no handler panicked").answer(request)
        };
        let cloud = Self { server: Server::http(handler), state };
        cloud.user("AKMAIN", "SKMAIN", None);
        cloud
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no handler panicked")
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// A permanent access key, or a temporary one with its token.
    pub(crate) fn user(&self, access: &str, secret: &str, token: Option<&str>) {
        let user = User { secret: secret.to_owned(), token: token.map(str::to_owned), allowed: true };
        self.state().users.insert(access.to_owned(), user);
    }

    pub(crate) fn forbid(&self, access: &str) {
        self.state().users.get_mut(access).expect("a user").allowed = false;
    }

    pub(crate) fn projects(&self, projects: &[&str]) {
        self.state().projects = projects.iter().map(|project| (*project).to_owned()).collect();
    }

    pub(crate) fn metadata(&self, metadata: Metadata) {
        self.state().metadata = metadata;
    }

    /// Answers the next calls for keys with this status instead.
    pub(crate) fn trouble(&self, times: usize, status: u16) {
        self.state().trouble = (times, status);
    }

    pub(crate) fn add_key(&self, id: &str) {
        self.state().keys.insert(id.to_owned(), random());
    }

    /// All requests so far, as `PUT /v1/…`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.server.seen();
        seen.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"error_code": code, "error_msg": message})).with("x-request-id", "req-1")
}

fn keystone_refuse(status: u16, message: &str) -> Response {
    Response::json(status, &json!({"error": {"code": status, "message": message, "title": "Refused"}}))
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/meta-data/latest/api/token") => match self.metadata {
                Metadata::WithTokens if request.header("x-metadata-token-ttl-seconds").is_some() => {
                    Response::text(200, "metadata-token")
                }
                Metadata::WithTokens => Response::text(400, "no time to live"),
                _ => Response::text(404, "no such page"),
            },
            ("GET", "/openstack/latest/securitykey") => self.security_key(request),
            ("POST", "/v3.0/OS-AUTH/id-token/tokens") => {
                let token = &request.json()["auth"]["id_token"]["id"];
                if token.as_str() == Some(ID_TOKEN) && request.header("x-idp-id") == Some("provider") {
                    Response::json(201, &json!({"token": {"methods": ["mapped"]}}))
                        .with("x-subject-token", "unscoped-token")
                } else {
                    keystone_refuse(401, "The token of the identity provider is not valid.")
                }
            }
            ("POST", "/v3.0/OS-CREDENTIAL/securitytokens") => {
                let token = &request.json()["auth"]["identity"]["token"]["id"];
                if token.as_str() == Some("unscoped-token") {
                    Response::json(201, &self.temporary("AKFED"))
                } else {
                    keystone_refuse(401, "The request you have made requires authentication.")
                }
            }
            ("GET", "/v3/projects") => match self.admit(request) {
                Err(refusal) => refusal,
                Ok(_) if request.query != format!("name={REGION}") => {
                    Response::json(200, &json!({"projects": []}))
                }
                Ok(_) => {
                    let all: Vec<Value> = self
                        .projects
                        .iter()
                        .map(|id| json!({"id": id, "name": REGION, "enabled": true}))
                        .collect();
                    Response::json(200, &json!({ "projects": all }))
                }
            },
            ("POST", path) => match path.strip_prefix("/v1.0/").and_then(|path| path.split_once("/kms/")) {
                Some((project, action)) => {
                    let admitted = self.admit(request);
                    match admitted {
                        Err(refusal) => refusal,
                        Ok(_) if project != PROJECT => refuse(403, "APIGW.0302", "The project is not yours."),
                        Ok(user) if !user.allowed => {
                            refuse(403, "KMS.0302", "Policy doesn't allow kms:cmk:crypto to be performed.")
                        }
                        Ok(_) if self.trouble.0 > 0 => {
                            self.trouble.0 -= 1;
                            refuse(self.trouble.1, "APIGW.0308", "The throttling threshold has been reached.")
                        }
                        Ok(_) => self.kms(action, &request.json()),
                    }
                }
                None => refuse(404, "APIGW.0101", "The API does not exist"),
            },
            _ => refuse(404, "APIGW.0101", "The API does not exist"),
        }
    }

    fn security_key(&mut self, request: &Request) -> Response {
        match self.metadata {
            Metadata::WithTokens if request.header("x-metadata-token") != Some("metadata-token") => {
                Response::text(401, "Unauthorized")
            }
            Metadata::NoAgency => Response::text(401, "Please configure Cloud Service Agency first"),
            _ => Response::json(200, &self.temporary("AKMETA")),
        }
    }

    fn temporary(&mut self, access: &str) -> Value {
        let (secret, token) = (format!("SK-{access}"), format!("session-of-{access}"));
        let user = User { secret: secret.clone(), token: Some(token.clone()), allowed: true };
        self.users.insert(access.to_owned(), user);
        let end = "2099-01-01T00:00:00.000000Z";
        json!({"credential": {"access": access, "secret": secret, "securitytoken": token, "expires_at": end}})
    }

    /// Who has signed the request.
    fn admit(&self, request: &Request) -> Result<&User, Response> {
        let wrong = |message: &str| {
            let message = format!("Incorrect IAM authentication information: {message}");
            refuse(401, "APIGW.0301", &message)
        };
        let authorization = request.header("authorization").unwrap_or_default();
        let fields = authorization.strip_prefix("SDK-HMAC-SHA256 ").ok_or_else(|| wrong("no signature"))?;
        let field = |name: &str| {
            let value = fields.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default()
        };
        let user =
            self.users.get(field("Access")).ok_or_else(|| wrong("AK access failed to reach the limit"))?;
        let names: Vec<&str> = field("SignedHeaders").split(';').collect();
        for must in ["x-sdk-date", "x-project-id", "x-security-token"] {
            if request.header(must).is_some() && !names.contains(&must) {
                return Err(wrong(&format!("{must} is not signed")));
            }
        }
        if request.header("x-security-token") != user.token.as_deref() {
            return Err(wrong("x-security-token is not that of the access key"));
        }
        let date = request.header("x-sdk-date").ok_or_else(|| wrong("no date"))?;
        if signature(request, &names, date, &user.secret) != field("Signature") {
            return Err(wrong("verify aksk signature fail"));
        }
        Ok(user)
    }

    fn kms(&self, action: &str, body: &Value) -> Response {
        let text = |member: &str| body.get(member).and_then(Value::as_str).unwrap_or_default();
        if text("encryption_algorithm") != "SYMMETRIC_DEFAULT" {
            return refuse(400, "KMS.0201", "Invalid request URL or parameter.");
        }
        let id = text("key_id");
        let Some(secret) = self.keys.get(id) else { return refuse(400, "KMS.0205", "Invalid key ID.") };
        let cipher = Aes256Gcm::new(&(*secret).into());
        match action {
            "encrypt-data" => {
                let nonce: [u8; 12] = random();
                let payload = Payload { msg: text("plain_text").as_bytes(), aad: id.as_bytes() };
                let sealed = cipher.encrypt(&Nonce::from(nonce), payload).expect("room");
                let ciphertext = STANDARD.encode([&nonce[..], &sealed].concat());
                Response::json(200, &json!({"key_id": id, "cipher_text": ciphertext}))
            }
            "decrypt-data" => {
                let bytes = STANDARD.decode(text("cipher_text")).unwrap_or_default();
                let opened = bytes.split_first_chunk::<12>().and_then(|(nonce, sealed)| {
                    cipher.decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: id.as_bytes() }).ok()
                });
                match opened.and_then(|plaintext| String::from_utf8(plaintext).ok()) {
                    Some(plaintext) => Response::json(200, &json!({"key_id": id, "plain_text": plaintext})),
                    None => refuse(400, "KMS.0309", "The ciphertext is invalid."),
                }
            }
            _ => refuse(404, "APIGW.0101", "The API does not exist"),
        }
    }
}

fn signature(request: &Request, names: &[&str], date: &str, secret: &str) -> String {
    let mut query: Vec<&str> = request.query.split('&').collect();
    query.sort_unstable();
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", request.header(name).unwrap_or_default().trim()))
        .collect();
    let path = if request.path.ends_with('/') { request.path.clone() } else { format!("{}/", request.path) };
    let canonical = format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{}",
        request.method,
        query.join("&"),
        names.join(";"),
        hex(&Sha256::digest(&request.body))
    );
    let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut mac =
        <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(to_sign.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory");
        text
    })
}
