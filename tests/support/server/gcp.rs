//! Google Cloud KMS, with what belongs to it: IAM, tokens for service accounts, users, workloads and machines.
//! Ciphertexts are AES-256-GCM under keys of which each version has its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::{Request, Response, Server};

/// What somebody may do with all keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    Encrypt,
    Decrypt,
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "cloudkms.cryptoKeyVersions.useToEncrypt",
            Self::Decrypt => "cloudkms.cryptoKeyVersions.useToDecrypt",
        }
    }
}

/// The state of a version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
}

struct Version {
    secret: [u8; 32],
    state: State,
}

#[derive(Default)]
struct World {
    /// By resource id; the last version of a key is its primary one.
    keys: BTreeMap<String, Vec<Version>>,
    /// What whom is allowed.
    policy: BTreeMap<String, BTreeSet<Permission>>,
    /// Access tokens, and whose they are.
    tokens: BTreeMap<String, String>,
    /// Public keys of service accounts.
    service_accounts: BTreeMap<String, Vec<u8>>,
    /// Refresh tokens of users.
    refresh_tokens: BTreeMap<String, String>,
    /// Tokens of another provider, and who that is here.
    subject_tokens: BTreeMap<String, String>,
    /// Who may act as which service account.
    actors: BTreeSet<(String, String)>,
    /// Projects that may be billed.
    billed: BTreeSet<String>,
    /// The service account of the machine.
    machine: Option<String>,
    /// What is answered to the next calls instead.
    trouble: Vec<Response>,
    /// What no message may show.
    secrets: Vec<String>,
}

/// Google Cloud, as far as keys go.
pub(crate) struct Gcp {
    server: Server,
    world: Arc<Mutex<World>>,
}

pub(crate) const ALL: [Permission; 2] = [Permission::Encrypt, Permission::Decrypt];

const CLIENT: (&str, &str) = ("client-id.apps.example", "client-secret-of-gcloud");
const POOL: &str = "//iam.example/projects/1/locations/global/workloadIdentityPools/pool/providers/ci";
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/cloudkms"];

impl Gcp {
    pub(crate) fn http() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let inner = world.clone();
        Self { server: Server::http(move |request| answer(request, &mut lock(&inner))), world }
    }

    pub(crate) fn https() -> Self {
        let world = Arc::new(Mutex::new(World::default()));
        let inner = world.clone();
        Self { server: Server::https(move |request| answer(request, &mut lock(&inner))), world }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// A new key, with one version; its resource id.
    pub(crate) fn key(&self, name: &str) -> String {
        let id = format!("projects/acme/locations/europe-west3/keyRings/sops/cryptoKeys/{name}");
        self.world().keys.insert(id.clone(), vec![Version::new()]);
        id
    }

    /// A new version, which becomes the primary one.
    pub(crate) fn rotate(&self, id: &str) {
        self.world().keys.get_mut(id).expect("a key").push(Version::new());
    }

    /// Versions count from 1.
    pub(crate) fn disable(&self, id: &str, version: usize) {
        self.world().keys.get_mut(id).expect("a key")[version - 1].state = State::Disabled;
    }

    pub(crate) fn allow(&self, account: &str, permissions: &[Permission]) {
        self.world().policy.insert(account.to_owned(), permissions.iter().copied().collect());
    }

    pub(crate) fn bill(&self, project: &str) {
        self.world().billed.insert(project.to_owned());
    }

    /// Somebody may act as a service account.
    pub(crate) fn let_act(&self, actor: &str, account: &str) {
        self.world().actors.insert((actor.to_owned(), account.to_owned()));
    }

    /// An access token for somebody.
    pub(crate) fn token(&self, account: &str) -> String {
        self.world().issue(account)
    }

    /// Answers the next calls for keys with this instead.
    pub(crate) fn trouble(&self, times: usize, status: u16, code: &str) {
        let trouble = (0..times).map(|_| failure(status, code, "The service is not available."));
        self.world().trouble.extend(trouble);
    }

    /// How often keys were asked for.
    pub(crate) fn calls(&self) -> usize {
        self.server.seen().iter().filter(|request| request.path.contains("/cryptoKeys/")).count()
    }

    /// The machine that the program runs on gets a service account.
    pub(crate) fn attach(&self, account: &str) {
        self.world().machine = Some(account.to_owned());
    }

    /// What no message may show.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.world().secrets.clone()
    }

    /// A key file of a service account.
    pub(crate) fn service_account(&self, email: &str) -> Value {
        let size = rcgen::RsaKeySize::_2048;
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).expect("a key");
        let mut world = self.world();
        world.service_accounts.insert(email.to_owned(), key.public_key_raw().to_vec());
        let pem = key.serialize_pem();
        world.secrets.extend(pem.lines().filter(|line| line.len() > 32).map(str::to_owned));
        json!({
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": "0123456789abcdef",
            "private_key": pem,
            "client_email": email,
            "client_id": "1",
            "token_uri": format!("{}/token", self.server.url()),
        })
    }

    /// What gcloud writes when a user logs in.
    pub(crate) fn user(&self, account: &str) -> Value {
        let mut world = self.world();
        let token = format!("1//{}", random_text());
        world.refresh_tokens.insert(token.clone(), account.to_owned());
        world.secrets.extend([token.clone(), CLIENT.1.to_owned()]);
        json!({
            "type": "authorized_user",
            "account": account,
            "client_id": CLIENT.0,
            "client_secret": CLIENT.1,
            "refresh_token": token,
            "token_uri": format!("{}/token", self.server.url()),
        })
    }

    /// Logs out everybody who has logged in.
    pub(crate) fn log_out(&self) {
        self.world().refresh_tokens.clear();
    }

    /// Credentials of somebody who acts as a service account.
    pub(crate) fn impersonating(&self, account: &str, source: &Value) -> Value {
        json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": self.impersonation_url(account),
            "source_credentials": source,
            "delegates": [],
        })
    }

    pub(crate) fn impersonation_url(&self, account: &str) -> String {
        format!("{}/v1/projects/-/serviceAccounts/{account}:generateAccessToken", self.server.url())
    }

    /// Credentials of a workload whose provider has put its token into a file.
    pub(crate) fn federated(&self, principal: &str, file: &str) -> (Value, String) {
        let token = format!("subject-{}", random_text());
        let mut world = self.world();
        world.subject_tokens.insert(token.clone(), principal.to_owned());
        world.secrets.push(token.clone());
        let credentials = json!({
            "type": "external_account",
            "audience": POOL,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/sts", self.server.url()),
            "credential_source": {"file": file},
        });
        (credentials, token)
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no handler panicked")
}

impl Version {
    fn new() -> Self {
        Self { secret: random(), state: State::Enabled }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(&self.secret).expect("32 bytes")
    }
}

impl World {
    fn issue(&mut self, account: &str) -> String {
        let token = format!("ya29.{}", random_text());
        self.tokens.insert(token.clone(), account.to_owned());
        self.secrets.push(token.clone());
        token
    }

    /// Who calls: an access token tells, or a JWT that a service account has signed.
    fn caller(&self, request: &Request) -> Result<String, Response> {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let known = token.and_then(|token| self.tokens.get(token).cloned());
        known.or_else(|| self.signed_by(token?, None)).ok_or_else(|| {
            failure(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other \
                 valid authentication credential.",
            )
        })
    }

    /// The service account that has signed a token for us, with RS256. As an assertion it names its audience.
    fn signed_by(&self, token: &str, audience: Option<&[String]>) -> Option<String> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let (header, claims) = (read(header)?, read(claims)?);
        let email = claims["iss"].as_str()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let lasts = claims["iat"].as_u64()? <= now + 30 && claims["exp"].as_u64()? > now;
        let subject = claims["sub"].as_str().is_none_or(|subject| subject == email);
        let fits = match audience {
            Some(audience) => audience.iter().any(|known| claims["aud"] == known.as_str()),
            None => true,
        };
        let scope = claims["scope"].as_str()?.split(' ').any(|scope| SCOPES.contains(&scope));
        let named = header["alg"] == "RS256" && header["kid"] == "0123456789abcdef";
        let key = self.service_accounts.get(email)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        let genuine = rs256(key, signed.as_bytes(), &signature);
        (lasts && subject && fits && scope && named && genuine).then(|| email.to_owned())
    }

    fn permits(&self, account: &str, permission: Permission, id: &str) -> Result<(), Response> {
        let granted = self.policy.get(account).is_some_and(|granted| granted.contains(&permission));
        if granted {
            return Ok(());
        }
        let name = permission.name();
        let text = format!("Permission '{name}' denied on resource '{id}' (or it may not exist).");
        Err(failure(403, "PERMISSION_DENIED", &text))
    }
}

fn rs256(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let known = aws_lc_rs::default_provider().signature_verification_algorithms;
    let algorithms = known.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256);
    let (_, algorithms) = algorithms.expect("RSA");
    algorithms.iter().any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("random numbers");
    bytes
}

fn random_text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random::<24>())
}

fn failure(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"error": {"code": status, "message": message, "status": code}}))
}

fn failure_with_cause(status: u16, code: &str, message: &str, cause: &str) -> Response {
    let detail = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": cause,
        "domain": "googleapis.com",
    });
    let error = json!({"code": status, "message": message, "status": code, "details": [detail]});
    Response::json(status, &json!({ "error": error }))
}

fn answer(request: &Request, world: &mut World) -> Response {
    let path = request.path.as_str();
    let answer = match (request.method.as_str(), path) {
        ("POST", "/token") => token(request, world),
        ("POST", "/sts") => exchange(request, world),
        ("GET", path) if path == "/" || path.starts_with("/computeMetadata/v1/") => metadata(request, world),
        ("POST", path) if path.starts_with("/v1/projects/-/serviceAccounts/") => impersonate(request, world),
        ("POST", path) if path.starts_with("/v1/projects/") => call(request, world),
        _ => Err(failure(404, "NOT_FOUND", "Method not found.")),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

/// `POST /v1/{name}:encrypt` and `:decrypt`.
fn call(request: &Request, world: &mut World) -> Result<Response, Response> {
    if !world.trouble.is_empty() {
        return Err(world.trouble.remove(0));
    }
    let path = unescaped(request.path.strip_prefix("/v1/").unwrap_or_default());
    let (name, action) = path.rsplit_once(':').unwrap_or((path.as_str(), ""));
    let permission = match action {
        "encrypt" => Permission::Encrypt,
        "decrypt" => Permission::Decrypt,
        _ => return Err(failure(404, "NOT_FOUND", "Method not found.")),
    };
    if request.header("x-goog-request-params").is_some_and(|sent| unescaped(sent) != format!("name={name}")) {
        return Err(failure(400, "INVALID_ARGUMENT", "The routing header names something else."));
    }
    let account = world.caller(request)?;
    if let Some(project) = request.header("x-goog-user-project")
        && !world.billed.contains(project)
    {
        let text = format!("Caller does not have required permission to use project {project}.");
        return Err(failure_with_cause(403, "PERMISSION_DENIED", &text, "USER_PROJECT_DENIED"));
    }
    let (id, _) = name.split_once("/cryptoKeyVersions/").unwrap_or((name, ""));
    world.permits(&account, permission, id)?;
    let Some(versions) = world.keys.get(id) else {
        return Err(failure(404, "NOT_FOUND", &format!("CryptoKey {id} not found.")));
    };
    match permission {
        Permission::Encrypt => encrypt(id, versions, &request.json()),
        Permission::Decrypt => decrypt(id, versions, &request.json()),
    }
}

fn encrypt(id: &str, versions: &[Version], body: &Value) -> Result<Response, Response> {
    let plaintext = bytes(body, "plaintext")?;
    let number = versions.len();
    let version = enabled(id, versions, number)?;
    let nonce: [u8; 12] = random();
    let payload = Payload { msg: &plaintext, aad: id.as_bytes() };
    let sealed = version.cipher().encrypt(&Nonce::from(nonce), payload).expect("memory");
    let ciphertext = [&[number as u8][..], &nonce, &sealed].concat();
    Ok(Response::json(
        200,
        &json!({
            "name": format!("{id}/cryptoKeyVersions/{number}"),
            "ciphertext": BASE64_STANDARD.encode(ciphertext),
            "protectionLevel": 1,
        }),
    ))
}

fn decrypt(id: &str, versions: &[Version], body: &Value) -> Result<Response, Response> {
    let wrong = || {
        let text = "Decryption failed: verify that 'name' refers to the correct CryptoKey.";
        failure(400, "INVALID_ARGUMENT", text)
    };
    let ciphertext = bytes(body, "ciphertext")?;
    let (number, rest) = ciphertext.split_first().ok_or_else(wrong)?;
    let (nonce, sealed) = rest.split_first_chunk::<12>().ok_or_else(wrong)?;
    if *number == 0 || usize::from(*number) > versions.len() {
        return Err(wrong());
    }
    let version = enabled(id, versions, usize::from(*number))?;
    let payload = Payload { msg: sealed, aad: id.as_bytes() };
    let plaintext = version.cipher().decrypt(&Nonce::from(*nonce), payload).map_err(|_| wrong())?;
    Ok(Response::json(200, &json!({"plaintext": BASE64_STANDARD.encode(plaintext), "usedPrimary": true})))
}

fn enabled<'a>(id: &str, versions: &'a [Version], number: usize) -> Result<&'a Version, Response> {
    let version = &versions[number - 1];
    if version.state == State::Enabled {
        return Ok(version);
    }
    let text = format!("{id}/cryptoKeyVersions/{number} is not enabled, current state is: DISABLED.");
    Err(failure(400, "FAILED_PRECONDITION", &text))
}

fn bytes(body: &Value, name: &str) -> Result<Vec<u8>, Response> {
    let text = body[name].as_str().unwrap_or_default();
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).map_err(|_| {
        failure(
            400,
            "INVALID_ARGUMENT",
            &format!("Invalid value at '{name}' (TYPE_BYTES), Base64 decoding failed"),
        )
    })
}

/// OAuth for service accounts and users.
fn token(request: &Request, world: &mut World) -> Result<Response, Response> {
    let fields = form(request);
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let account = match field("grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let own = format!("http://{}/token", request.header("host").unwrap_or_default());
            let audience = [own, "https://oauth2.googleapis.com/token".to_owned()];
            world.signed_by(field("assertion"), Some(&audience))
        }
        "refresh_token" if (field("client_id"), field("client_secret")) == CLIENT => {
            world.refresh_tokens.get(field("refresh_token")).cloned()
        }
        _ => None,
    };
    let account = account.ok_or_else(|| {
        let error =
            json!({"error": "invalid_grant", "error_description": "Token has been expired or revoked."});
        Response::json(400, &error)
    })?;
    let token = world.issue(&account);
    Ok(Response::json(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})))
}

/// The token of another provider becomes one of ours.
fn exchange(request: &Request, world: &mut World) -> Result<Response, Response> {
    let fields = form(request);
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let refused =
        |text: &str| Response::json(400, &json!({"error": "invalid_grant", "error_description": text}));
    if field("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || field("audience") != POOL {
        return Err(refused("Invalid value for \"audience\"."));
    }
    let principal = world.subject_tokens.get(field("subject_token")).cloned();
    let principal =
        principal.ok_or_else(|| refused("The given credential is rejected by the attribute condition."))?;
    let token = world.issue(&principal);
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let body =
        json!({"access_token": token, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 3599});
    Ok(Response::json(200, &body))
}

/// `iamcredentials`: a token for a service account.
fn impersonate(request: &Request, world: &mut World) -> Result<Response, Response> {
    let actor = world.caller(request)?;
    let path = unescaped(&request.path);
    let account = path.rsplit('/').next().and_then(|end| end.strip_suffix(":generateAccessToken"));
    let account = account.ok_or_else(|| failure(404, "NOT_FOUND", "Method not found."))?;
    if !world.actors.contains(&(actor, account.to_owned())) {
        let text =
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
        return Err(failure(403, "PERMISSION_DENIED", text));
    }
    let scopes = request.json()["scope"].as_array().cloned().unwrap_or_default();
    if !scopes.iter().filter_map(Value::as_str).any(|scope| SCOPES.contains(&scope)) {
        return Err(failure(400, "INVALID_ARGUMENT", "Invalid scope."));
    }
    let token = world.issue(account);
    Ok(Response::json(200, &json!({"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"})))
}

/// The metadata server of a machine.
fn metadata(request: &Request, world: &mut World) -> Result<Response, Response> {
    let missing = || Response::text(404, "not found").with("metadata-flavor", "Google");
    let Some(account) = world.machine.clone() else { return Err(missing()) };
    if request.header("metadata-flavor") != Some("Google") {
        return Err(Response::text(403, "Missing Metadata-Flavor:Google header."));
    }
    let place = request.path.strip_prefix("/computeMetadata/v1/").unwrap_or_default();
    let own = place.strip_prefix("instance/service-accounts/").and_then(|rest| rest.split_once('/'));
    let text = |text: &str| Response::text(200, text).with("content-type", "application/text");
    let answer = match (place, own) {
        ("", _) => text("computeMetadata/"),
        ("project/project-id", _) => text("acme"),
        (_, Some(("default", "token"))) => {
            let token = world.issue(&account);
            Response::json(200, &json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"}))
        }
        (_, Some(("default", ""))) => {
            Response::json(200, &json!({"email": account, "scopes": SCOPES, "aliases": ["default"]}))
        }
        (_, Some(("default", "email"))) => text(&account),
        _ => missing(),
    };
    Ok(answer.with("metadata-flavor", "Google"))
}

/// The fields of a form; some clients send them as JSON.
fn form(request: &Request) -> BTreeMap<String, String> {
    if let Some(fields) = request.json().as_object() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        return fields.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    }
    let body = String::from_utf8_lossy(&request.body);
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (unescaped(name), unescaped(&value.replace('+', " ")))).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
