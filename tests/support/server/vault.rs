//! Vault and OpenBao: transit with AES-GCM and versions of keys, KV of both versions, namespaces, tokens with policies,
//! a seal. Errors are in Vault's words and layout. Its own client for Python is the judge (`tests/keys/python/vault.py`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Request, Response, Server};

/// Which may do everything.
pub(crate) const ROOT: &str = "hvs.root-token";

/// A server with the engines `transit`, which has the key `k`, `kv` (version 1) and `secret` (version 2).
pub(crate) struct Vault {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// How the server is reached.
pub(crate) enum Way<'a> {
    Http,
    Https,
    /// With a certificate for this name only.
    HttpsAs(&'a str),
    /// For clients with a certificate.
    HttpsForKnown,
}

#[derive(Default)]
struct State {
    sealed: bool,
    tokens: BTreeMap<String, Vec<Rule>>,
    /// By namespace and path.
    mounts: BTreeMap<(String, String), Engine>,
    /// What the next requests are answered with, whatever they are.
    disturbances: Vec<Response>,
}

/// What a policy allows: paths that end in `*` stand for all that begin so.
struct Rule {
    namespace: String,
    path: String,
    capabilities: Vec<String>,
}

enum Engine {
    Transit(BTreeMap<String, TransitKey>),
    Kv1(BTreeMap<String, Value>),
    Kv2(BTreeMap<String, Vec<Value>>),
}

struct TransitKey {
    /// From version 1.
    versions: Vec<[u8; 32]>,
    min_decryption_version: usize,
}

impl TransitKey {
    fn new() -> Self {
        Self { versions: vec![random()], min_decryption_version: 1 }
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random numbers");
    bytes
}

impl Vault {
    pub(crate) fn new() -> Self {
        Self::reached_by(Way::Http)
    }

    pub(crate) fn reached_by(way: Way<'_>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let handler = {
            let state = state.clone();
            move |request: &Request| state.lock().expect("no handler panicked").answer(request)
        };
        let server = match way {
            Way::Http => Server::http(handler),
            Way::Https => Server::https(handler),
            Way::HttpsAs(name) => Server::https_as(&[name], handler),
            Way::HttpsForKnown => Server::https_for_known(handler),
        };
        let vault = Self { server, state };
        vault.mount("", "transit", "transit");
        vault.mount("", "kv", "kv1");
        vault.mount("", "secret", "kv2");
        vault.transit_key("", "transit", "k");
        vault
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// The URI of a key of the engine `transit`.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}/v1/transit/keys/{name}", self.url())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no handler panicked")
    }

    pub(crate) fn mount(&self, namespace: &str, path: &str, kind: &str) {
        let engine = match kind {
            "transit" => Engine::Transit(BTreeMap::new()),
            "kv1" => Engine::Kv1(BTreeMap::new()),
            _ => Engine::Kv2(BTreeMap::new()),
        };
        self.state().mounts.insert((namespace.to_owned(), path.to_owned()), engine);
    }

    pub(crate) fn transit_key(&self, namespace: &str, path: &str, name: &str) {
        let mut state = self.state();
        if let Some(Engine::Transit(keys)) = state.mounts.get_mut(&(namespace.to_owned(), path.to_owned())) {
            keys.insert(name.to_owned(), TransitKey::new());
        }
    }

    /// A new version of a key of the engine `transit`; those before `oldest` do not decrypt any more.
    pub(crate) fn rotate(&self, name: &str, oldest: usize) {
        let mut state = self.state();
        let key = state.transit("", "transit", name).expect("a key");
        key.versions.push(random());
        key.min_decryption_version = oldest;
    }

    /// A token that may do this on one path.
    pub(crate) fn token(&self, token: &str, namespace: &str, path: &str, capabilities: &[&str]) {
        let capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
        let rule = Rule { namespace: namespace.to_owned(), path: path.to_owned(), capabilities };
        self.state().tokens.entry(token.to_owned()).or_default().push(rule);
    }

    pub(crate) fn seal(&self) {
        self.state().sealed = true;
    }

    /// Answers the next requests otherwise, in this order.
    pub(crate) fn disturb(&self, responses: impl IntoIterator<Item = Response>) {
        let mut responses: Vec<Response> = responses.into_iter().collect();
        responses.reverse();
        self.state().disturbances = responses;
    }

    /// All requests so far, as `PUT /v1/…`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.server.seen();
        seen.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }
}

fn errors(status: u16, errors: &[&str]) -> Response {
    Response::json(status, &json!({ "errors": errors }))
}

fn data(data: Value) -> Response {
    Response::json(
        200,
        &json!({
            "request_id": "0f1e", "lease_id": "", "renewable": false, "lease_duration": 0,
            "data": data, "wrap_info": null, "warnings": null, "auth": null
        }),
    )
}

fn nothing() -> Response {
    Response { status: 204, headers: Vec::new(), body: Vec::new() }
}

fn no_route(path: &str) -> Response {
    errors(404, &[&format!("no handler for route {path:?}. route entry not found.")])
}

impl State {
    fn transit(&mut self, namespace: &str, path: &str, name: &str) -> Option<&mut TransitKey> {
        match self.mounts.get_mut(&(namespace.to_owned(), path.to_owned()))? {
            Engine::Transit(keys) => keys.get_mut(name),
            _ => None,
        }
    }

    fn answer(&mut self, request: &Request) -> Response {
        if let Some(response) = self.disturbances.pop() {
            return response;
        }
        let Some(path) = request.path.strip_prefix("/v1/") else { return errors(404, &[]) };
        let path = unescape(path);
        if path == "sys/seal-status" {
            return Response::json(
                200,
                &json!({"type": "shamir", "initialized": true, "sealed": self.sealed, "t": 1, "n": 1, "progress": 0}),
            );
        }
        if self.sealed {
            return errors(503, &["Vault is sealed"]);
        }
        if request.header("x-vault-request") != Some("true") {
            return errors(400, &["required header \"X-Vault-Request\" is missing"]);
        }
        let namespace = request.header("x-vault-namespace").unwrap_or_default().trim_matches('/').to_owned();
        if let Err(refusal) = self.admit(request, &namespace, &path) {
            return refusal;
        }
        if path == "sys/seal" {
            self.sealed = true;
            return nothing();
        }
        if path == "auth/token/lookup-self" {
            return data(json!({"display_name": "token", "policies": ["default"], "ttl": 0}));
        }
        let mount = self.mounts.keys().filter(|(space, mount)| {
            *space == namespace && path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        let Some((_, mount)) = mount.max_by_key(|(_, mount)| mount.len()).cloned() else {
            return no_route(&path);
        };
        let rest = path[mount.len() + 1..].to_owned();
        let method = request.method.as_str();
        match self.mounts.get_mut(&(namespace, mount)).expect("it was found") {
            Engine::Transit(keys) => {
                transit(keys, method, &rest, &request.json()).unwrap_or_else(|| no_route(&path))
            }
            Engine::Kv1(secrets) => kv1(secrets, method, &rest, request.json()),
            Engine::Kv2(secrets) => {
                kv2(secrets, method, &rest, request.json()).unwrap_or_else(|| no_route(&path))
            }
        }
    }

    fn admit(&self, request: &Request, namespace: &str, path: &str) -> Result<(), Response> {
        let denied = |reasons: &str| Err(errors(403, &[reasons]));
        let wanted = match request.method.as_str() {
            "GET" => "read",
            "LIST" => "list",
            "DELETE" => "delete",
            _ => "update",
        };
        match request.header("x-vault-token") {
            None => denied("1 error occurred:\n\t* permission denied\n\n"),
            Some(ROOT) => Ok(()),
            Some(token) => {
                let Some(rules) = self.tokens.get(token) else {
                    return denied("2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n");
                };
                let fits = |rule: &Rule| match rule.path.strip_suffix('*') {
                    Some(prefix) => path.starts_with(prefix),
                    None => path == rule.path,
                };
                let allowed = rules.iter().any(|rule| {
                    rule.namespace == namespace
                        && fits(rule)
                        && rule.capabilities.iter().any(|capability| capability == wanted)
                });
                if allowed { Ok(()) } else { denied("1 error occurred:\n\t* permission denied\n\n") }
            }
        }
    }
}

fn unescape(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}

fn transit(
    keys: &mut BTreeMap<String, TransitKey>,
    method: &str,
    path: &str,
    body: &Value,
) -> Option<Response> {
    let (action, name) = path.split_once('/')?;
    let writes = method == "POST" || method == "PUT";
    let text = |member: &str| body.get(member).and_then(Value::as_str);
    if action == "keys" {
        return match (method, name.strip_suffix("/rotate")) {
            (_, Some(name)) if writes => {
                keys.get_mut(name)?.versions.push(random());
                Some(nothing())
            }
            ("GET", None) => Some(match keys.get(name) {
                None => errors(404, &[]),
                Some(key) => {
                    let versions: Map<String, Value> = (1..=key.versions.len())
                        .map(|version| (version.to_string(), json!(1764000000)))
                        .collect();
                    data(json!({
                        "name": name, "type": "aes256-gcm96", "keys": versions, "latest_version": key.versions.len(),
                        "min_decryption_version": key.min_decryption_version
                    }))
                }
            }),
            (_, None) if writes => {
                keys.entry(name.to_owned()).or_insert_with(TransitKey::new);
                Some(nothing())
            }
            _ => Some(errors(405, &["unsupported operation"])),
        };
    }
    if !writes {
        return Some(errors(405, &["unsupported operation"]));
    }
    let Some(key) = keys.get(name) else { return Some(errors(400, &["encryption key not found"])) };
    Some(match action {
        "encrypt" => match text("plaintext").map(|text| STANDARD.decode(text)) {
            None => errors(400, &["missing plaintext to encrypt"]),
            Some(Err(_)) => errors(400, &["failed to base64-decode plaintext"]),
            Some(Ok(plaintext)) => {
                let version = key.versions.len();
                data(json!({"ciphertext": seal(key, version, &plaintext), "key_version": version}))
            }
        },
        "decrypt" => match open(key, text("ciphertext").unwrap_or_default()) {
            Ok(plaintext) => data(json!({"plaintext": STANDARD.encode(plaintext)})),
            Err(reason) => errors(400, &[reason]),
        },
        _ => return None,
    })
}

fn seal(key: &TransitKey, version: usize, plaintext: &[u8]) -> String {
    let cipher = Aes256Gcm::new(&key.versions[version - 1].into());
    let nonce: [u8; 12] = random();
    let sealed = cipher.encrypt(&Nonce::from(nonce), plaintext).expect("room");
    format!("vault:v{version}:{}", STANDARD.encode([&nonce[..], &sealed].concat()))
}

fn open(key: &TransitKey, ciphertext: &str) -> Result<Vec<u8>, &'static str> {
    let rest = ciphertext.strip_prefix("vault:v").ok_or("invalid ciphertext: no prefix")?;
    let (version, text) = rest.split_once(':').ok_or("invalid ciphertext: wrong number of fields")?;
    let version: usize =
        version.parse().map_err(|_| "invalid ciphertext: version number could not be decoded")?;
    if version < key.min_decryption_version {
        return Err("ciphertext or signature version is disallowed by policy (too old)");
    }
    let bytes = STANDARD.decode(text).map_err(|_| "invalid ciphertext: could not decode base64")?;
    let secret = version.checked_sub(1).and_then(|at| key.versions.get(at));
    let secret = secret.ok_or("invalid ciphertext: version is too new")?;
    let (nonce, sealed) = bytes.split_first_chunk::<12>().ok_or("invalid ciphertext: too short")?;
    let cipher = Aes256Gcm::new(&(*secret).into());
    cipher.decrypt(&Nonce::from(*nonce), sealed).map_err(|_| "cipher: message authentication failed")
}

fn names<'a>(known: impl Iterator<Item = &'a String>, folder: &str) -> Response {
    let folder = if folder.is_empty() { String::new() } else { format!("{}/", folder.trim_end_matches('/')) };
    let mut found: Vec<String> = known
        .filter_map(|name| name.strip_prefix(&folder))
        .map(|rest| rest.split_once('/').map_or(rest.to_owned(), |(first, _)| format!("{first}/")))
        .collect();
    found.dedup();
    if found.is_empty() { errors(404, &[]) } else { data(json!({ "keys": found })) }
}

fn kv1(secrets: &mut BTreeMap<String, Value>, method: &str, path: &str, body: Value) -> Response {
    match method {
        "POST" | "PUT" => {
            secrets.insert(path.to_owned(), body);
            nothing()
        }
        "GET" => secrets.get(path).map_or_else(|| errors(404, &[]), |secret| data(secret.clone())),
        "LIST" => names(secrets.keys(), path),
        "DELETE" => {
            secrets.remove(path);
            nothing()
        }
        _ => errors(405, &["unsupported operation"]),
    }
}

fn kv2(
    secrets: &mut BTreeMap<String, Vec<Value>>,
    method: &str,
    path: &str,
    body: Value,
) -> Option<Response> {
    let (area, name) = path.split_once('/').unwrap_or((path, ""));
    let metadata = |version: usize| {
        json!({
            "created_time": "2026-01-02T03:04:05.000000006Z", "custom_metadata": null, "deletion_time": "",
            "destroyed": false, "version": version
        })
    };
    Some(match (area, method) {
        ("data", "POST" | "PUT") => {
            let Some(secret) = body.get("data") else { return Some(errors(400, &["no data provided"])) };
            let versions = secrets.entry(name.to_owned()).or_default();
            let cas = body.get("options").and_then(|options| options.get("cas")).and_then(Value::as_u64);
            if cas.is_some_and(|cas| cas != versions.len() as u64) {
                let reason = "check-and-set parameter did not match the current version";
                return Some(errors(400, &[reason]));
            }
            versions.push(secret.clone());
            data(metadata(versions.len()))
        }
        ("data", "GET") => {
            match secrets.get(name).and_then(|versions| versions.last().map(|v| (v, versions.len()))) {
                Some((secret, version)) => data(json!({"data": secret, "metadata": metadata(version)})),
                None => errors(404, &[]),
            }
        }
        ("metadata", "GET") => match secrets.get(name) {
            Some(versions) => {
                let all: Map<String, Value> =
                    (1..=versions.len()).map(|version| (version.to_string(), metadata(version))).collect();
                data(json!({"current_version": versions.len(), "oldest_version": 1, "versions": all}))
            }
            None => errors(404, &[]),
        },
        ("metadata", "LIST") => names(secrets.keys(), name),
        ("metadata" | "data", "DELETE") => {
            secrets.remove(name);
            nothing()
        }
        _ => return None,
    })
}
