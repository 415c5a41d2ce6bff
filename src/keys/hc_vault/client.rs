//! A client of Vault and OpenBao: one address, one token, any path (keys.md §8.3).

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HOST, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{ClientBuilder, Method, Url};
use serde_json::Value;
use zeroize::Zeroizing;

use super::configuration::{Configuration, Lookup, Redirects, Trust};
use super::settings::VaultSettings;
use super::uri::escape;
use crate::keys::http::{Http, NoReply, Reply, excerpt, place};
use crate::keys::patience::Patience;
use crate::keys::remote::{Limits, hinted};
use crate::os_error::os_text;

/// Before a call is tried again (keys.md §1.5).
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const TRUST: &str = "VAULT_CACERT names the PEM file of the authority that has signed it, SSL_CERT_FILE too";

/// A server that has more reasons than this to refuse is none that one has to listen to.
const MAX_REASONS: usize = 10;

/// Talks to one Vault.
pub(crate) struct VaultClient {
    base: Url,
    http: Http,
    headers: HeaderMap,
    namespace: Option<String>,
    authenticated: Authenticated,
    redirects: Redirects,
    retries: u32,
    limits: Limits,
    /// The variable that sets the limit.
    limit_name: &'static str,
    /// Under which name the server is known to its certificate, if not under that of the address.
    server_name: Option<String>,
}

/// Whether requests carry a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authenticated {
    /// One was found.
    WithToken,
    /// None was, which a Vault agent may not mind.
    WithoutToken,
}

/// Why there is nothing to use.
pub(crate) enum VaultError {
    /// The server has refused.
    Refused(Box<Refusal>),
    /// It has said nothing, or nothing that can be understood.
    Failed(String),
}

/// What a server says when it refuses. Displays it in the layout of Vault's own client (keys.md §8.4).
#[derive(Debug)]
pub(crate) struct Refusal {
    /// HTTP's number.
    pub(crate) status: u16,
    /// Its reasons, one or none as a rule.
    pub(crate) errors: Vec<String>,
    /// How long it wants to be left alone.
    pub(crate) pause: Option<Duration>,
    /// If it did not answer as Vault does.
    raw: Option<String>,
    method: Method,
    url: String,
    namespace: Option<String>,
}

impl VaultClient {
    /// A client for this address, unless an agent takes all requests. Nothing is sent yet.
    pub(crate) fn new(settings: &VaultSettings, address: &str, limits: Limits) -> Result<Self, String> {
        let make = |reason| format!("cannot create Vault client: {reason}");
        let configuration = Configuration::read(settings).map_err(make)?;
        let address = Address::parse(settings.agent_addr.as_deref().unwrap_or(address)).map_err(make)?;
        address.check(&configuration).map_err(make)?;
        let token = token(settings).map_err(|reason| format!("cannot get Vault token: {reason}"))?;
        let headers =
            headers(&configuration, settings.namespace.as_deref(), token.as_deref()).map_err(make)?;
        // what the user has set counts, the shorter if both
        let (limits, limit_name) = match configuration.timeout {
            Some(timeout) if limits == Limits::default() || timeout < limits.total => {
                (with_total(limits, timeout), "VAULT_CLIENT_TIMEOUT")
            }
            _ => (limits, "SOPS_KMS_TIMEOUT"),
        };
        let secure = address.base.scheme() == "https";
        let server_name = configuration.server_name.clone().filter(|_| secure);
        let (redirects, retries) = (configuration.redirects, configuration.retries);
        let base = address.base.clone();
        let http = Http::new(limits, TRUST, move |builder| Ok(dress(builder, &configuration, &address)));
        Ok(Self {
            base,
            http,
            headers,
            namespace: settings.namespace.clone(),
            authenticated: token.map_or(Authenticated::WithoutToken, |_| Authenticated::WithToken),
            redirects,
            retries,
            limits,
            limit_name,
            server_name,
        })
    }

    /// Whether requests carry a token.
    pub(crate) fn authenticated(&self) -> Authenticated {
        self.authenticated
    }

    /// The namespace of all requests.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Asks for `/v1/<path>` with a body of JSON or none. What is answered is JSON, null if nothing is.
    pub(crate) async fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Value, VaultError> {
        let patience = Patience::new(self.retries, FIRST_PAUSE, self.limits);
        let answer = async { Ok(self.answer(method, path, body, patience).await) };
        self.limits.within_that_of(self.limit_name, answer).await.map_err(VaultError::Failed)?
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        mut patience: Patience,
    ) -> Result<Value, VaultError> {
        // parts of it come from files: `../auth/token/revoke-self` would do something else in the user's name
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(VaultError::Failed(hinted(
                &format!("the path {path:?} leads elsewhere"),
                "`.` and `..` are no parts of a path of Vault; somebody may have changed the name of the key",
            )));
        }
        let mut url = self.base.clone();
        // a Vault behind a proxy may have a path in front
        let prefix = self.base.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/v1/{}", escape(path.as_bytes())));
        let mut reply = self.insist(&method, &url, &body, &mut patience).await?;
        if let Some(target) = self.redirection(&reply, &url)? {
            url = target;
            reply = self.insist(&method, &url, &body, &mut patience).await?;
        }
        let refused = |errors, raw| {
            let (url, namespace) = (shown(&url), self.namespace.clone());
            VaultError::Refused(Box::new(Refusal {
                status: reply.status,
                errors,
                pause: asked_pause(&reply),
                raw,
                method: method.clone(),
                url,
                namespace,
            }))
        };
        match reply.status {
            200..300 if reply.body.is_empty() => Ok(Value::Null),
            200..300 => serde_json::from_slice(&reply.body).map_err(|_| no_json(&url)),
            300..400 => Err(VaultError::Failed(elsewhere(&reply, &url))),
            _ => Err(match serde_json::from_slice::<Value>(&reply.body) {
                Ok(Value::Object(answer)) => refused(reasons(&answer), None),
                _ => refused(Vec::new(), Some(excerpt(&String::from_utf8_lossy(&reply.body)))),
            }),
        }
    }

    /// Asks until there is an answer that would not be another in a moment.
    async fn insist(
        &self,
        method: &Method,
        url: &Url,
        body: &Bytes,
        patience: &mut Patience,
    ) -> Result<Reply, VaultError> {
        loop {
            let reply = self.send(method.clone(), url, body.clone()).await;
            let (passing, asked) = match &reply {
                Ok(reply) => (matches!(reply.status, 412 | 429 | 500 | 502..600), asked_pause(reply)),
                Err(silence) => (silence.passing, None),
            };
            if !passing || !patience.wait(asked).await {
                return reply.map_err(|silence| VaultError::Failed(silence.text));
            }
        }
    }

    async fn send(&self, method: Method, url: &Url, body: Bytes) -> Result<Reply, NoReply> {
        let mut headers = self.headers.clone();
        let Some(name) = self.server_name.as_deref().filter(|_| url.host_str() == self.base.host_str())
        else {
            return self.http.send(method, url, headers, body).await;
        };
        // the connection goes by the name of the certificate, which `Alias` leads to the server
        let mut named = url.clone();
        if named.set_host(Some(name)).is_ok()
            && let Ok(host) = HeaderValue::from_str(&place(url))
        {
            headers.insert(HOST, host);
        }
        self.http.send(method, &named, headers, body).await
    }

    /// Where the server sends us, never from https to http. A standby names the active one so.
    fn redirection(&self, reply: &Reply, url: &Url) -> Result<Option<Url>, VaultError> {
        if self.redirects == Redirects::Never || !matches!(reply.status, 301 | 302 | 307) {
            return Ok(None);
        }
        let target = location(reply).and_then(|location| url.join(location).ok());
        match target {
            Some(target) if url.scheme() == "https" && target.scheme() != "https" => {
                Err(VaultError::Failed("redirect would cause protocol downgrade".to_owned()))
            }
            target => Ok(target.filter(|target| matches!(target.scheme(), "http" | "https"))),
        }
    }
}

/// Where requests go: a host, or a socket on this machine.
struct Address {
    base: Url,
    socket: Option<PathBuf>,
}

impl Address {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            let base = Url::parse("http://localhost").map_err(|error| error.to_string())?;
            return Ok(Self { base, socket: Some(PathBuf::from(path)) });
        }
        let mut base = Url::parse(text).map_err(|error| format!("the address is no URL: {error}"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(format!("unsupported protocol scheme {:?}", base.scheme()));
        }
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { base, socket: None })
    }

    /// What would be passed over in silence otherwise.
    fn check(&self, configuration: &Configuration) -> Result<(), String> {
        if configuration.lookup == Lookup::Service && self.base.port().is_none() && self.socket.is_none() {
            return Err(hinted(
                "VAULT_SRV_LOOKUP is set, but rsops does not look up SRV records",
                "write host and port into the address of the key, and unset VAULT_SRV_LOOKUP",
            ));
        }
        match &configuration.server_name {
            Some(name) if self.base.scheme() == "https" => {
                if configuration.proxy.is_some() {
                    return Err("VAULT_TLS_SERVER_NAME does not go together with a proxy".to_owned());
                }
                let named = Url::parse(&format!("https://{name}")).ok();
                let is_name =
                    named.and_then(|url| url.domain().map(|domain| domain.eq_ignore_ascii_case(name)));
                match is_name {
                    Some(true) => Ok(()),
                    _ => Err(format!("VAULT_TLS_SERVER_NAME: {name:?} is no host name")),
                }
            }
            _ => Ok(()),
        }
    }

    fn is_loopback(&self) -> bool {
        match self.base.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host.starts_with("127."),
            None => false,
        }
    }
}

fn dress(builder: ClientBuilder, configuration: &Configuration, address: &Address) -> ClientBuilder {
    let mut builder = match &configuration.trust {
        Trust::System => builder,
        Trust::Authorities(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
        Trust::Everybody => builder.tls_danger_accept_invalid_certs(true),
    };
    if let Some(identity) = &configuration.identity {
        builder = builder.identity(identity.clone());
    }
    #[cfg(unix)]
    if let Some(socket) = &address.socket {
        return builder.unix_socket(socket.as_path());
    }
    if configuration.server_name.is_some() && address.base.scheme() == "https" {
        let host = address.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        return builder.no_proxy().dns_resolver(Alias(host));
    }
    match &configuration.proxy {
        Some(proxy) => builder.no_proxy().proxy(proxy.clone()),
        // the reference asks no proxy for what is on this machine
        None if address.is_loopback() => builder.no_proxy(),
        None => builder,
    }
}

/// Leads every name to one host: for certificates with another name than the host has.
struct Alias(String);

impl Resolve for Alias {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn with_total(limits: Limits, total: Duration) -> Limits {
    Limits { connect: limits.connect.min(total), total }
}

/// `VAULT_TOKEN`, else what `vault login` has left in the home directory (keys.md §8.3).
fn token(settings: &VaultSettings) -> Result<Option<Zeroizing<String>>, String> {
    if let Some(token) = &settings.token {
        return Ok(Some(token.clone()));
    }
    let Some(file) = settings.home.as_ref().map(|home| home.join(".vault-token")) else { return Ok(None) };
    let token = match fs::read_to_string(&file) {
        Ok(token) => Zeroizing::new(token),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("read {}: {}", file.display(), os_text(&error))),
    };
    let token = token.trim();
    Ok(if token.is_empty() { None } else { Some(Zeroizing::new(token.to_owned())) })
}

fn headers(
    configuration: &Configuration,
    namespace: Option<&str>,
    token: Option<&String>,
) -> Result<HeaderMap, String> {
    let mut headers = configuration.headers.clone();
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    if let Some(namespace) = namespace {
        let value = HeaderValue::from_str(namespace);
        let value = value.map_err(|_| format!("VAULT_NAMESPACE: {namespace:?} cannot be sent"))?;
        headers.insert("x-vault-namespace", value);
    }
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token).map_err(|_| {
            "configured Vault token contains non-printable characters and cannot be used".to_owned()
        })?;
        value.set_sensitive(true);
        headers.insert("x-vault-token", value);
    }
    Ok(headers)
}

/// How long the server wants us to wait.
fn asked_pause(reply: &Reply) -> Option<Duration> {
    reply.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

fn location(reply: &Reply) -> Option<&str> {
    reply.headers.get(LOCATION)?.to_str().ok()
}

/// The URL without a name, a password and a query, in which others may have put secrets.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // only URLs without a host refuse that
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

fn no_json(url: &Url) -> VaultError {
    VaultError::Failed(hinted(
        &format!("what {} answers is no JSON", place(url)),
        "check that the address is that of a Vault server and of no other",
    ))
}

fn elsewhere(reply: &Reply, url: &Url) -> String {
    let target = location(reply).and_then(|location| url.join(location).ok());
    let target =
        target.map_or_else(|| "somewhere else".to_owned(), |target| format!("to {}", shown(&target)));
    hinted(
        &format!("{} answers with code {} and redirects {target}", shown(url), reply.status),
        "one redirect is followed, none with VAULT_DISABLE_REDIRECTS; name the right address in the key",
    )
}

fn reasons(answer: &serde_json::Map<String, Value>) -> Vec<String> {
    let errors = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(Value::as_str).take(MAX_REASONS).map(excerpt).collect()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error making API request.\n\n")?;
        if let Some(namespace) = &self.namespace {
            writeln!(f, "Namespace: {namespace}")?;
        }
        writeln!(f, "URL: {} {}", self.method, self.url)?;
        match &self.raw {
            Some(raw) => write!(f, "Code: {}. Raw Message:\n\n{raw}", self.status),
            None => {
                writeln!(f, "Code: {}. Errors:", self.status)?;
                self.errors.iter().try_for_each(|error| write!(f, "\n* {}", error.trim_end()))
            }
        }
    }
}
