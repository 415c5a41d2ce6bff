//! How requests leave: the SDK's pipeline over a client of our own, because the SDK's has no limits that can be set,
//! and panics where there are no certificates.

use std::error::Error as StdError;
use std::fmt;
use std::iter::successors;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Value;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{RETRY_AFTER, WWW_AUTHENTICATE};
use azure_core::http::{
    AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions, StatusCode,
    Transport,
};
use azure_core::json::from_json;
use azure_core::time;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt as _;

use super::reason::{NoToken, http_status};
use crate::keys::patience::Patience;
use crate::keys::remote::{Limits, hinted};

/// What to do where nobody can be trusted.
pub(super) const TRUST: &str =
    "SSL_CERT_FILE names a file with the authorities to trust, if a proxy or a server of your own is meant";

/// How often something is asked again, and the first of the pauses, which double (keys.md §1.5).
const RETRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(800);

/// No answer of these services is longer than this, in bytes. The SDK would take any length, and who answers may be
/// named by somebody else's file.
const LONGEST: usize = 1 << 20;

/// Whether proxies of the environment are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Environment,
    /// For services of this very machine: their answers are tokens in clear, which no proxy may see.
    Direct,
}

/// A client; connections are used again.
pub(super) fn http_client(limits: Limits, route: Route) -> Result<Arc<dyn HttpClient>, String> {
    let builder = reqwest::Client::builder()
        .connect_timeout(limits.connect)
        // no service of these redirects, and a token must not go elsewhere
        .redirect(reqwest::redirect::Policy::none());
    let builder = if route == Route::Direct { builder.no_proxy() } else { builder };
    // there are no certificates, or a proxy is none
    let client = builder.build().map_err(|error| hinted(&texts(&error).join(": "), TRUST))?;
    Ok(Arc::new(Wire { client: Arc::new(client), listener: Listener::Nobody }))
}

/// What the SDK is told for whoever gives tokens. It retries as often as the reference (keys.md §1.5), but never beyond
/// the limit.
pub(super) fn login_options(http: Arc<dyn HttpClient>, limits: Limits) -> ClientOptions {
    let retry = RetryOptions::exponential(ExponentialRetryOptions {
        initial_delay: time::Duration::try_from(FIRST_PAUSE).unwrap_or(time::Duration::SECOND),
        max_retries: RETRIES,
        max_total_elapsed: time::Duration::try_from(limits.total).unwrap_or(time::Duration::MAX),
        ..ExponentialRetryOptions::default()
    });
    let wire = Wire { client: http, listener: Listener::Login };
    ClientOptions { retry, transport: Some(Transport::new(Arc::new(wire))), ..ClientOptions::default() }
}

/// What the SDK is told for a vault. It retries nothing: what it sends again, if the first request met with a problem
/// before the challenge came, has lost its body.
pub(super) fn vault_options(http: Arc<dyn HttpClient>, challenge: Arc<Challenge>) -> ClientOptions {
    let wire = Wire { client: http, listener: Listener::Vault(challenge) };
    let transport = Some(Transport::new(Arc::new(wire)));
    ClientOptions { retry: RetryOptions::none(), transport, ..ClientOptions::default() }
}

/// Asks a vault, and again while it has problems that pass before the time is over.
pub(super) async fn patiently<'a, R>(
    limits: Limits,
    ask: impl Fn() -> BoxFuture<'a, azure_core::Result<R>>,
) -> azure_core::Result<R> {
    let mut patience = Patience::new(RETRIES, FIRST_PAUSE, limits);
    loop {
        match ask().await {
            Err(error) if passes(&error) && patience.wait(asked_pause(&error)).await => {}
            answer => return answer,
        }
    }
}

fn passes(error: &azure_core::Error) -> bool {
    // who gives no token has been asked often enough
    if find::<NoToken>(error).is_some() {
        return false;
    }
    let status = http_status(error).map(u16::from);
    let is_lost = matches!(error.kind(), ErrorKind::Io | ErrorKind::Connection);
    is_lost || matches!(status, Some(408 | 429 | 500 | 502 | 503 | 504))
}

/// How long the service wants us to wait.
fn asked_pause(error: &azure_core::Error) -> Option<Duration> {
    let ErrorKind::HttpResponse { raw_response: Some(response), .. } = error.kind() else { return None };
    response.headers().get_optional_str(&RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
}

/// The tenant that a vault names in its challenge (keys.md §7.2).
#[derive(Debug, Default)]
pub(super) struct Challenge(OnceLock<String>);

impl Challenge {
    /// Empty until the vault has named one.
    pub(super) fn tenant(&self) -> &str {
        self.0.get().map_or("", String::as_str)
    }

    /// Reads `Bearer authorization="https://<login host>/<tenant>", …`. The first one stays.
    fn read(&self, header: &str) {
        let url = ["authorization=\"", "authorization_uri=\""].iter().find_map(|name| {
            let (_, behind) = header.split_once(name)?;
            behind.split('"').next()
        });
        let path = url.and_then(|url| url.split_once("://")).and_then(|(_, rest)| rest.split_once('/'));
        if let Some(tenant) = path.and_then(|(_, path)| path.split('/').next()) {
            // a tenant goes into a URL and into a command line, where it must be no option
            let is_tenant = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            if tenant.starts_with(|c: char| c.is_ascii_alphanumeric()) && tenant.chars().all(is_tenant) {
                self.0.get_or_init(|| tenant.to_owned());
            }
        }
    }
}

/// Requests as the SDK wants them sent.
#[derive(Debug)]
struct Wire {
    client: Arc<dyn HttpClient>,
    listener: Listener,
}

/// Who wants to know what the SDK does not pass on.
#[derive(Debug)]
enum Listener {
    Nobody,
    /// It names its tenant.
    Vault(Arc<Challenge>),
    /// It says why nobody gets a token; the SDK fails to read that where it has more than one line.
    Login,
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.client.execute_request(request).await.map_err(|error| {
            let host = request.url().host_str().unwrap_or_default();
            NoConnection::found_in(error, host)
        })?;
        let response = bounded(response);
        match (&self.listener, response.status()) {
            (Listener::Vault(challenge), StatusCode::Unauthorized) => {
                let header = response.headers().get_optional_str(&WWW_AUTHENTICATE);
                header.into_iter().for_each(|header| challenge.read(header));
                Ok(response)
            }
            (Listener::Login, StatusCode::BadRequest | StatusCode::Unauthorized) => refused(response).await,
            _ => Ok(response),
        }
    }
}

/// The same answer, which ends in an error where it becomes too long.
fn bounded(response: AsyncRawResponse) -> AsyncRawResponse {
    let (status, headers, body) = response.deconstruct();
    let mut left = LONGEST;
    let body = body.map(move |piece| {
        let piece = piece?;
        left = left.checked_sub(piece.len()).ok_or_else(|| {
            let text = format!("the answer is longer than {} MiB", LONGEST >> 20);
            azure_core::Error::with_message(ErrorKind::Other, text)
        })?;
        Ok(piece)
    });
    AsyncRawResponse::new(status, headers, Box::pin(body))
}

/// The login service has said no (RFC 6749, §5.2), or somebody who speaks otherwise: that is for the SDK.
async fn refused(response: AsyncRawResponse) -> azure_core::Result<AsyncRawResponse> {
    let (status, headers, body) = response.deconstruct();
    let body = body.collect().await?;
    let text = from_json::<_, Value>(&body)
        .ok()
        .and_then(|json| Some(json.get("error_description")?.as_str()?.to_owned()));
    match text {
        Some(text) => {
            let kind = ErrorKind::HttpResponse { status, error_code: None, raw_response: None };
            Err(azure_core::Error::with_message(kind, text))
        }
        None => Ok(AsyncRawResponse::from_bytes(status, headers, body)),
    }
}

/// Nobody was reached, or not whom we meant.
#[derive(Debug)]
pub(super) struct NoConnection {
    host: String,
    reason: String,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Certificate,
    Name,
    Other,
}

impl NoConnection {
    /// What the SDK shall see of an error of the client. Where trying again changes nothing it must not, and it tries
    /// again after errors of input and output only.
    fn found_in(error: azure_core::Error, host: &str) -> azure_core::Error {
        if find::<Self>(&error).is_some() {
            return error;
        }
        let texts = texts(&error);
        let says = |words: &str| texts.iter().any(|text| text.contains(words));
        let cause = if says("invalid peer certificate") {
            Cause::Certificate
        } else if says("dns error") {
            Cause::Name
        } else {
            Cause::Other
        };
        let kind = if cause == Cause::Other { error.kind().clone() } else { ErrorKind::Other };
        let reason = texts.last().cloned().unwrap_or_default();
        azure_core::Error::new(kind, Self { host: host.to_owned(), reason, cause })
    }

    /// What helps.
    pub(super) fn hint(&self) -> &'static str {
        match self.cause {
            Cause::Certificate => TRUST,
            Cause::Name => "check the name of the vault, and the network settings",
            Cause::Other => "check the network, the firewall and the proxy settings (HTTPS_PROXY, NO_PROXY)",
        }
    }
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Certificate => {
                write!(f, "the certificate of {} is not trusted: {}", self.host, self.reason)
            }
            Cause::Name => write!(f, "there is no host {}: {}", self.host, self.reason),
            Cause::Other => write!(f, "cannot connect to {}: {}", self.host, self.reason),
        }
    }
}

impl StdError for NoConnection {}

/// The error and what is behind it, from the outside in.
pub(super) fn layers<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |layer: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> {
        (*layer).source()
    })
}

/// The first of a type among the error and what is behind it.
pub(super) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    layers(error).find_map(|layer| layer.downcast_ref::<E>())
}

/// What each layer says, without repetitions.
fn texts(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = layers(error).map(ToString::to_string).collect();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_the_tenant() {
        for (header, tenant) in [
            ("Bearer authorization=\"https://login.example/t-1\", resource=\"https://vault.example\"", "t-1"),
            ("Bearer authorization_uri=\"https://login.example/t.2/\", scope=\"x\"", "t.2"),
            ("Bearer authorization=\"https://login.example/a;b\"", ""),
            ("Bearer authorization=\"https://login.example/--debug\"", ""),
            ("Bearer authorization=\"https://login.example/../x\"", ""),
            ("Bearer authorization=\"https://login.example\"", ""),
            ("Basic realm=\"x\"", ""),
        ] {
            let challenge = Challenge::default();
            challenge.read(header);
            assert_eq!(challenge.tenant(), tenant, "{header}");
        }
    }
}
