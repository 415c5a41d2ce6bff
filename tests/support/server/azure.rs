//! Azure: a vault, the login service, and whoever says what identity a machine has. One server plays all of them, under
//! the names that they have for the program under test: a proxy leads all names here.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _, copy};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rand_core::{OsRng, RngCore as _};
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{Oaep, Pss, RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2_0_10::{Digest as _, Sha256};

use super::{Request, Response, Server};

pub(crate) const VAULT: &str = "https://team.vault.example";
pub(crate) const LOGIN: &str = "https://login.vault.example";
pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub(crate) const SECRET: &str = "s3cr3t~of-the-application";
/// What Kubernetes has written for a workload.
pub(crate) const FEDERATED: &str = "eyJrdWJlcm5ldGVz.eyJ3b3JrbG9hZCI6MX0.c2lnbmVk";
/// What a machine knows that asks for its identity.
pub(crate) const IDENTITY_HEADER: &str = "0123456789-identity-header";
const RESOURCE: &str = "https://vault.example";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RSA keys take a while to make, so all vaults of a test run have the same ones.
static PRIVATE_KEYS: LazyLock<Vec<RsaPrivateKey>> =
    LazyLock::new(|| (0..3).map(|_| RsaPrivateKey::new(&mut OsRng, 2048).expect("a key")).collect());

/// A server that is all of Azure that a key needs.
pub(crate) struct Azure {
    server: Server,
    proxy: Proxy,
    state: Arc<Mutex<State>>,
}

/// What Azure remembers.
#[derive(Default)]
struct State {
    /// Versions of each key, the current one last.
    keys: BTreeMap<String, Vec<Version>>,
    /// Who holds a token.
    tokens: BTreeMap<String, Holder>,
    /// The certificate of the application, DER.
    certificate: Vec<u8>,
    mood: Mood,
    throttled: usize,
    pause: u64,
}

struct Version {
    name: String,
    key: usize,
    enabled: bool,
}

struct Holder {
    audience: String,
    tenant: String,
}

/// What the vault thinks of everybody who asks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Kind,
    NoRole,
    Firewall,
    /// It wants tokens that are meant for somebody else.
    Greedy,
    /// It belongs to another tenant.
    Foreign,
    /// It takes its time.
    Asleep,
    /// It answers at length.
    Chatty,
}

impl Azure {
    pub(crate) fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = Server::https(move |request| lock(&shared).answer(request));
        let proxy = Proxy::to(server.address);
        let azure = Self { server, proxy, state };
        azure.new_version("sops");
        azure
    }

    /// How to reach it, for a program that trusts nobody else.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let authority = self.server.authority().display().to_string();
        [("HTTPS_PROXY", self.proxy.url()), ("AZURE_AUTHORITY_HOST", LOGIN.to_owned())]
            .into_iter()
            .chain([("SSL_CERT_FILE", authority)])
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The same, for an application with its secret.
    pub(crate) fn with_secret(&self) -> BTreeMap<String, String> {
        let own = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT), ("AZURE_CLIENT_SECRET", SECRET)];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.variables().into_iter().chain(own).collect()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.server.authority()
    }

    /// Makes a key, or a new version of one, and says which.
    pub(crate) fn new_version(&self, key: &str) -> String {
        let mut bytes = [0; 16];
        OsRng.fill_bytes(&mut bytes);
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut state = lock(&self.state);
        let versions = state.keys.entry(key.to_owned()).or_default();
        let key = versions.len() % PRIVATE_KEYS.len();
        versions.push(Version { name: name.clone(), key, enabled: true });
        name
    }

    pub(crate) fn current_version(&self, key: &str) -> String {
        lock(&self.state).keys[key].last().expect("a version").name.clone()
    }

    pub(crate) fn disable(&self, key: &str) {
        let mut state = lock(&self.state);
        state.keys.get_mut(key).expect("a key").iter_mut().for_each(|version| version.enabled = false);
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        lock(&self.state).mood = mood;
    }

    /// The vault has too much to do for so many requests, and wants this pause in seconds.
    pub(crate) fn throttle(&self, requests: usize, pause: u64) {
        let mut state = lock(&self.state);
        (state.throttled, state.pause) = (requests, pause);
    }

    /// The certificate that the application may log in with from now on: a PEM file of it and its key.
    pub(crate) fn certificate(&self, name: &str) -> String {
        let private = PRIVATE_KEYS[0].to_pkcs8_der().expect("a key");
        let key = rcgen::KeyPair::try_from(private.as_bytes()).expect("a key");
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        lock(&self.state).certificate = certificate.der().to_vec();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    /// A token as somebody has it who has logged in before, for this resource.
    pub(crate) fn token(&self) -> String {
        lock(&self.state).issue(RESOURCE, TENANT)
    }

    /// All tokens that were given away, and what they were given for.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let tokens: Vec<String> = lock(&self.state).tokens.keys().cloned().collect();
        let own = [SECRET, FEDERATED, IDENTITY_HEADER].map(str::to_owned);
        tokens.into_iter().chain(own).collect()
    }

    /// What was asked so far, as `METHOD path`, without the log-in.
    pub(crate) fn asked(&self) -> Vec<String> {
        let seen = self.server.seen().into_iter().filter(|request| request.path.starts_with("/keys/"));
        seen.map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// How often somebody logged in.
    pub(crate) fn logins(&self) -> usize {
        self.server.seen().iter().filter(|request| request.path.ends_with("/token")).count()
    }

    /// The service of App Service and its like. It is asked without TLS, and without a proxy.
    pub(crate) fn identity_server(&self) -> Server {
        let state = self.state.clone();
        Server::http(move |request| lock(&state).identity(request))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => self.login(tenant, request),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => openid(tenant),
            ("GET", ["common", "discovery", "instance"]) => clouds(),
            (_, ["keys", name, rest @ ..]) => self.vault(name, rest, request),
            _ => Response::text(404, "no such page"),
        }
    }

    fn issue(&mut self, audience: &str, tenant: &str) -> String {
        let mut bytes = [0; 24];
        OsRng.fill_bytes(&mut bytes);
        let token = format!("token-{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let holder = Holder { audience: audience.to_owned(), tenant: tenant.to_owned() };
        self.tokens.insert(token.clone(), holder);
        token
    }

    fn login(&mut self, tenant: &str, request: &Request) -> Response {
        let form = form(&request.body);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let refuse = |code: u32, text: &str| {
            let text = format!("AADSTS{code}: {text}\r\nTrace ID: 0\r\nCorrelation ID: 1\r\nTimestamp: 2");
            let body = json!({"error": "invalid_client", "error_description": text, "error_codes": [code]});
            Response::json(if code == 90002 { 400 } else { 401 }, &body)
        };
        if tenant != TENANT && tenant != "other-tenant" {
            return refuse(90002, &format!("Tenant '{tenant}' not found."));
        }
        if field("grant_type") != "client_credentials" {
            return refuse(70003, "The app requested an unsupported grant type.");
        }
        if field("client_id") != CLIENT {
            return refuse(700016, "Application was not found in the directory.");
        }
        let assertion = field("client_assertion");
        if field("client_assertion_type") == ASSERTION && assertion == FEDERATED {
        } else if field("client_assertion_type") == ASSERTION {
            if assertion.split('.').count() != 3 {
                return refuse(50027, "JWT token is invalid or malformed.");
            }
            if let Err(complaint) = self.verify(assertion, tenant) {
                return refuse(700027, &complaint);
            }
        } else if field("client_secret") != SECRET {
            return refuse(7000215, "Invalid client secret provided.");
        }
        let Some(audience) = field("scope").split(' ').find_map(|scope| scope.strip_suffix("/.default"))
        else {
            return refuse(70011, "The provided value for scope is not valid.");
        };
        let token = self.issue(audience, tenant);
        Response::json(
            200,
            &json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}),
        )
    }

    /// A JWT of the application, signed with the key of its certificate.
    fn verify(&self, assertion: &str, tenant: &str) -> Result<(), String> {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts.as_slice() else { return Err("no JWT".to_owned()) };
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|e| e.to_string());
        let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|e| e.to_string());
        let (header_json, claims_json) = (json(header)?, json(claims)?);
        let digest = Sha256::digest(format!("{header}.{claims}"));
        let key = RsaPublicKey::from(&PRIVATE_KEYS[0]);
        let signature = decode(signature)?;
        match header_json["alg"].as_str() {
            Some("PS256") => key.verify(Pss::new::<Sha256>(), &digest, &signature),
            Some("RS256") => key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature),
            other => return Err(format!("unknown algorithm {other:?}")),
        }
        .map_err(|_| "the signature is wrong".to_owned())?;
        let thumbprint = Sha256::digest(&self.certificate);
        // clients do not agree on the encoding
        let encodings = [BASE64_URL_SAFE_NO_PAD.encode(thumbprint), BASE64_STANDARD.encode(thumbprint)];
        let named = header_json["x5t#S256"].as_str().unwrap_or_default();
        if header_json["x5t"].is_null() && !encodings.iter().any(|encoding| encoding == named) {
            return Err("another certificate".to_owned());
        }
        if let Some(chain) = header_json["x5c"].as_array()
            && chain.first() != Some(&json!(BASE64_STANDARD.encode(&self.certificate)))
        {
            return Err("another chain".to_owned());
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        // clients count in fractions too
        let now = since_1970.expect("after 1970").as_secs_f64();
        let is_good = claims_json["iss"] == CLIENT
            && claims_json["sub"] == CLIENT
            && claims_json["aud"] == format!("{LOGIN}/{tenant}/oauth2/v2.0/token")
            && claims_json["exp"].as_f64().is_some_and(|exp| exp > now && exp < now + 3600.0)
            && claims_json["jti"].as_str().is_some_and(|id| id.len() > 16);
        if is_good { Ok(()) } else { Err(format!("bad claims {claims_json}")) }
    }

    fn identity(&mut self, request: &Request) -> Response {
        let query = form(request.query.as_bytes());
        if request.header("x-identity-header") != Some(IDENTITY_HEADER) {
            return Response::text(401, "no identity header");
        }
        if query.get("client_id").is_some_and(|client| client != CLIENT) {
            return Response::json(
                400,
                &json!({"statusCode": 400, "message": "No User Assigned Identity found"}),
            );
        }
        let resource = query.get("resource").cloned().unwrap_or_default();
        let token = self.issue(&resource, TENANT);
        // a text, though it is a number
        Response::json(
            200,
            &json!({
                "access_token": token, "expires_on": "4102444800", "resource": resource, "token_type": "Bearer",
                "client_id": CLIENT,
            }),
        )
    }

    fn vault(&mut self, name: &str, rest: &[&str], request: &Request) -> Response {
        if self.mood == Mood::Asleep {
            thread::sleep(Duration::from_secs(5));
        }
        if self.mood == Mood::Chatty {
            return Response::text(200, &" ".repeat(2 << 20));
        }
        if self.throttled > 0 {
            self.throttled -= 1;
            let text = "Request was not processed because too many requests were received.";
            return refusal(429, "Throttled", text, "").with("Retry-After", &self.pause.to_string());
        }
        if !request.query.contains("api-version=7") && !request.query.contains("api-version=20") {
            return refusal(400, "BadParameter", "api-version must be specified", "");
        }
        let bearer = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        let tenant = if self.mood == Mood::Foreign { "other-tenant" } else { TENANT };
        let holder = bearer.and_then(|token| self.tokens.get(token));
        if !holder.is_some_and(|holder| holder.audience == RESOURCE && holder.tenant == tenant) {
            let resource = if self.mood == Mood::Greedy { "https://management.example" } else { RESOURCE };
            let challenge = format!("Bearer authorization=\"{LOGIN}/{tenant}\", resource=\"{resource}\"");
            return refusal(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", "")
                .with("WWW-Authenticate", &challenge);
        }
        match self.mood {
            Mood::NoRole => {
                let text = "Caller is not authorized to perform action on resource.\r\nIf role assignments were \
                            changed recently, please observe propagation time.";
                return refusal(403, "Forbidden", text, "ForbiddenByRbac");
            }
            Mood::Firewall => {
                let text = "Client address is not authorized and caller is not a trusted service.";
                return refusal(403, "Forbidden", text, "ForbiddenByFirewall");
            }
            _ => {}
        }
        let (version, operation) = match rest {
            [] => ("", None),
            // of the newest version, with one slash or two
            [operation @ ("encrypt" | "decrypt")] => ("", Some(*operation)),
            [version] => (*version, None),
            [version, operation] => (*version, Some(*operation)),
            _ => return Response::text(404, "no such page"),
        };
        let versions = self.keys.get(name).map(Vec::as_slice).unwrap_or_default();
        let found = match version {
            "" => versions.last(),
            _ => versions.iter().find(|known| known.name == version),
        };
        let Some(found) = found else {
            let text = format!("A key with (name/id) {name}/{version} was not found in this key vault.");
            return refusal(404, "KeyNotFound", &text, "");
        };
        let id = format!("{VAULT}/keys/{name}/{}", found.name);
        match operation {
            None => describe(found, &id),
            Some(operation) => operate(operation, found, &id, &request.json()),
        }
    }
}

fn describe(version: &Version, id: &str) -> Response {
    let key = RsaPublicKey::from(&PRIVATE_KEYS[version.key]);
    let encode = |number: &rsa::BigUint| BASE64_URL_SAFE_NO_PAD.encode(number.to_bytes_be());
    Response::json(
        200,
        &json!({
            "key": {
                "kid": id, "kty": "RSA", "n": encode(key.n()), "e": encode(key.e()),
                "key_ops": ["encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify"],
            },
            "attributes": {"enabled": version.enabled, "created": 1700000000, "updated": 1700000000},
        }),
    )
}

fn operate(operation: &str, version: &Version, id: &str, body: &Value) -> Response {
    if !version.enabled {
        let text = format!("Operation {operation} is not allowed on a disabled key.");
        return refusal(403, "Forbidden", &text, "KeyDisabled");
    }
    let bad = || refusal(400, "BadParameter", "The parameter is incorrect.\r\n", "");
    if body["alg"] != "RSA-OAEP-256" {
        return bad();
    }
    let Some(value) = body["value"].as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok()) else {
        return bad();
    };
    let key = &PRIVATE_KEYS[version.key];
    let result = match operation {
        "encrypt" | "wrapkey" => RsaPublicKey::from(key).encrypt(&mut OsRng, Oaep::new::<Sha256>(), &value),
        "decrypt" | "unwrapkey" => key.decrypt(Oaep::new::<Sha256>(), &value),
        _ => return Response::text(404, "no such operation"),
    };
    match result {
        Ok(result) => {
            Response::json(200, &json!({"kid": id, "value": BASE64_URL_SAFE_NO_PAD.encode(result)}))
        }
        Err(_) => bad(),
    }
}

fn refusal(status: u16, code: &str, message: &str, inner: &str) -> Response {
    let mut error = json!({"code": code, "message": message});
    if !inner.is_empty() {
        error["innererror"] = json!({"code": inner});
    }
    Response::json(status, &json!({ "error": error }))
}

/// Where to log in, for clients that ask.
fn openid(tenant: &str) -> Response {
    let at = |path: &str| format!("{LOGIN}/{tenant}/{path}");
    Response::json(
        200,
        &json!({
            "issuer": at("v2.0"), "authorization_endpoint": at("oauth2/v2.0/authorize"),
            "token_endpoint": at("oauth2/v2.0/token"), "device_authorization_endpoint": at("oauth2/v2.0/devicecode"),
            "jwks_uri": at("discovery/v2.0/keys"),
        }),
    )
}

/// Which names the login service has, for clients that ask before they trust one.
fn clouds() -> Response {
    let name = LOGIN.trim_start_matches("https://");
    Response::json(
        200,
        &json!({
            "tenant_discovery_endpoint": format!("{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [{"preferred_network": name, "preferred_cache": name, "aliases": [name]}],
        }),
    )
}

/// The fields of a form or a query.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescape(name), unescape(value))).collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.expect("two digits")));
                u8::from_str_radix(&String::from_iter(digits), 16).expect("two digits")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("text")
}

/// A proxy that leads every name to one server.
struct Proxy(SocketAddr);

impl Proxy {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        // it lives as long as the test binary
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || tunnel(client, server));
            }
        });
        Self(address)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Either side may hang up whenever it wants.
fn tunnel(mut client: TcpStream, server: SocketAddr) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    if !head.starts_with(b"CONNECT ") {
        let _ = client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n");
        return;
    }
    let Ok(server) = TcpStream::connect(server) else { return };
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_err() {
        return;
    }
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (mut server, mut client) = (server, client);
    let _ = copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Write);
}

/// The key is what the certificate says: a check of this file.
#[test]
fn the_certificate_has_the_key_of_the_application() {
    let azure = Azure::new();
    let pem = azure.certificate("app.example");
    let key = RsaPrivateKey::from_pkcs8_pem(&pem[..pem.find("-----BEGIN CERTIFICATE").expect("one")]);
    assert_eq!(key.expect("a key"), PRIVATE_KEYS[0]);
}
