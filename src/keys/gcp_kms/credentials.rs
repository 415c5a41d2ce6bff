//! Whose name calls are made in (keys.md §6.2).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use google_cloud_auth::build_errors;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag, external_account, impersonated, mds,
    service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::retry_policy::{Aip194Strict, LimitedAttemptCount, RetryPolicyExt as _};
use google_cloud_gax::retry_throttler::CircuitBreaker;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::failure::deepest;
use crate::keys::remote::hinted;
use crate::os_error::os_text;

const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/cloudkms"];

/// How often a token is asked for before we give up: the servers that give them are seldom busy for long.
const TOKEN_ATTEMPTS: u32 = 3;

/// A builder of credentials that asks a busy server again. A macro, because each kind has a builder of its own, and they
/// have no trait in common.
macro_rules! patient {
    ($builder:expr) => {
        $builder
            .with_retry_policy(attempts())
            .with_backoff_policy(backoff())
            .with_retry_throttler(every_attempt())
    };
}

/// A metadata server is next door: where none answers at once, there is none.
const METADATA_LIMIT: Duration = Duration::from_secs(3);

/// Where credentials may be, in the order in which they are looked for.
#[derive(Clone, Default)]
pub struct GcpCredentialSources {
    /// The name of a file with credentials, or what would be in it.
    pub credentials: Option<Zeroizing<String>>,
    /// An access token, used as it is.
    pub access_token: Option<Zeroizing<String>>,
    /// The file that the user has named for all of Google's programs.
    pub application_credentials: Option<PathBuf>,
    /// The file that `gcloud auth application-default login` writes.
    pub well_known_file: Option<PathBuf>,
    /// Where the metadata server is, if not in its usual place: a host, or one with a port.
    pub metadata_host: Option<String>,
}

/// Credentials that were found.
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    pub(crate) identity: Identity,
}

/// Who that is, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// By a key of its own.
    ServiceAccount(String),
    /// Somebody who has logged in; files of gcloud seldom say who.
    User(Option<String>),
    /// By somebody who may act as this service account.
    Impersonated(String),
    /// A workload or person of another provider.
    Federated(String),
    /// Whoever the token in the environment was made for.
    Token,
    /// The service account of the machine that we run on.
    Machine,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount(email) | Self::Impersonated(email) => f.write_str(email),
            Self::User(Some(account)) => f.write_str(account),
            Self::User(None) => f.write_str("the user who has logged in with gcloud"),
            Self::Federated(audience) => write!(f, "the workload identity of {audience}"),
            Self::Token => f.write_str("the owner of the token in GOOGLE_OAUTH_ACCESS_TOKEN"),
            Self::Machine => f.write_str("the service account of this machine"),
        }
    }
}

impl GcpCredentialSources {
    /// The first that are there. Errors come without the prefix of keys.md §6.3.
    pub(crate) async fn find(&self, universe_domain: Option<&str>) -> Result<Found, String> {
        if let Some(value) = &self.credentials {
            return from_variable(value);
        }
        if let Some(token) = &self.access_token {
            let credentials = FixedToken::new(token, universe_domain)?;
            return Ok(Found { credentials: credentials.into(), identity: Identity::Token });
        }
        if let Some(path) = &self.application_credentials {
            let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
                hinted(
                    &format!("credentials: open {}: {}", path.display(), os_text(&error)),
                    "GOOGLE_APPLICATION_CREDENTIALS names this file",
                )
            })?;
            return from_json(&text, &path.display().to_string());
        }
        match self.well_known_file.as_deref().map(|path| (path, fs::read_to_string(path))) {
            Some((path, Ok(text))) => from_json(&Zeroizing::new(text), &path.display().to_string()),
            Some((path, Err(error))) if !is_absent(&error) => {
                Err(format!("credentials: open {}: {}", path.display(), os_text(&error)))
            }
            _ => self.of_this_machine().await,
        }
    }

    async fn of_this_machine(&self) -> Result<Found, String> {
        let host = self.metadata_host.as_deref().unwrap_or("metadata.google.internal");
        if !is_there(host).await {
            return Err(hinted(
                "credentials: could not find default credentials. See \
                 https://cloud.google.com/docs/authentication/external/set-up-adc for more information",
                &format!(
                    "run `gcloud auth application-default login`, or set GOOGLE_CREDENTIALS to a credentials file; \
                     no metadata server answers at {host}"
                ),
            ));
        }
        let builder = mds::Builder::default().with_scopes(SCOPES);
        let credentials =
            patient!(builder).build().map_err(|error| format!("credentials: {}", deepest(&error)))?;
        Ok(Found { credentials, identity: Identity::Machine })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether anybody listens there, over the protocol of metadata servers, which never is encrypted.
async fn is_there(host: &str) -> bool {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    tokio::time::timeout(METADATA_LIMIT, TcpStream::connect(address)).await.is_ok_and(|stream| stream.is_ok())
}

/// A file, if there is one of this name, else the credentials themselves.
fn from_variable(value: &Zeroizing<String>) -> Result<Found, String> {
    const NAME: &str = "GOOGLE_CREDENTIALS";
    let path = Path::new(value.as_str());
    if fs::metadata(path).is_ok() {
        let text = fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
            format!(
                "credentials: failed to obtain credentials from {NAME:?}: open {}: {}",
                path.display(),
                os_text(&error)
            )
        })?;
        return from_json(&text, &path.display().to_string());
    }
    if !value.trim_start().starts_with('{') {
        // the value may be half a secret, so it is not shown
        return Err(hinted(
            &format!("credentials: the value of {NAME} is neither the name of a file nor JSON"),
            "set it to the path of a credentials file, or to what such a file contains",
        ));
    }
    from_json(value, NAME)
}

/// Credentials of any kind that a file may have.
fn from_json(text: &Zeroizing<String>, place: &str) -> Result<Found, String> {
    let wrong = |reason: String| {
        hinted(
            &format!("credentials: {place}: {reason}"),
            "a credentials file is what `gcloud auth application-default login`, \
             `gcloud iam service-accounts keys create` or `gcloud iam workload-identity-pools create-cred-config` \
             writes",
        )
    };
    // serde_json's errors tell the place and not the text
    let mut json: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let field = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let required = |name: &str| field(name).ok_or_else(|| wrong(format!("no member {name:?}")));
    let (built, identity) = match required("type")?.as_str() {
        "service_account" => {
            let identity = Identity::ServiceAccount(required("client_email")?);
            // the library wants it and has no use for it
            if let Some(members) = json.as_object_mut() {
                members.entry("project_id").or_insert_with(|| Value::String(String::new()));
            }
            let specifier = AccessSpecifier::from_scopes(SCOPES);
            (service_account::Builder::new(json).with_access_specifier(specifier).build(), identity)
        }
        "authorized_user" => {
            // who logs in says what for; to ask for other scopes here would be an error
            let identity = Identity::User(field("account").filter(|account| !account.is_empty()));
            let builder = user_account::Builder::new(json);
            (patient!(builder).build(), identity)
        }
        "impersonated_service_account" => {
            let identity = impersonated(&required("service_account_impersonation_url")?);
            let builder = impersonated::Builder::new(json).with_scopes(SCOPES);
            (patient!(builder).build(), identity)
        }
        "external_account" => {
            if let Some(file) = json["credential_source"]["file"].as_str() {
                // the library would not say which file is missing
                fs::metadata(file).map_err(|error| wrong(format!("open {file}: {}", os_text(&error))))?;
            }
            let identity = match field("service_account_impersonation_url") {
                Some(url) => impersonated(&url),
                None => Identity::Federated(required("audience")?),
            };
            let builder = external_account::Builder::new(json).with_scopes(SCOPES);
            (patient!(builder).build(), identity)
        }
        other => return Err(wrong(format!("credentials of type {other:?} cannot be used"))),
    };
    let credentials = built.map_err(|error: build_errors::Error| wrong(deepest(&error)))?;
    Ok(Found { credentials, identity })
}

/// The account at the end of `…/serviceAccounts/<account>:generateAccessToken`.
fn impersonated(url: &str) -> Identity {
    let account = url.rsplit('/').next().unwrap_or_default();
    Identity::Impersonated(account.split(':').next().unwrap_or_default().to_owned())
}

fn attempts() -> LimitedAttemptCount<Aip194Strict> {
    Aip194Strict.with_attempt_limit(TOKEN_ATTEMPTS)
}

pub(crate) fn backoff() -> ExponentialBackoff {
    let builder = ExponentialBackoffBuilder::new().with_initial_delay(Duration::from_millis(200));
    builder.with_maximum_delay(Duration::from_secs(5)).clamp()
}

/// The library would leave out attempts by chance, as a service does that calls all day, and wait all the longer.
pub(crate) fn every_attempt() -> CircuitBreaker {
    CircuitBreaker::clamp(1, 0, 0)
}

/// A token from the environment. It is good until Google says that it is not.
struct FixedToken {
    headers: HeaderMap,
    tag: EntityTag,
    universe_domain: Option<String>,
}

impl FixedToken {
    /// Nothing tells of a token to which universe it belongs, so it is taken for one of the universe that is asked.
    fn new(token: &Zeroizing<String>, universe_domain: Option<&str>) -> Result<Self, String> {
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut value = HeaderValue::from_str(&bearer).map_err(|_| {
            hinted(
                "credentials: the value of GOOGLE_OAUTH_ACCESS_TOKEN has characters that no token has",
                "line breaks at its end are an error too",
            )
        })?;
        value.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        Ok(Self { headers, tag: EntityTag::new(), universe_domain: universe_domain.map(str::to_owned) })
    }
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedToken([redacted])")
    }
}

impl CredentialsProvider for FixedToken {
    async fn headers(&self, _: http::Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        Ok(CacheableResource::New { entity_tag: self.tag.clone(), data: self.headers.clone() })
    }

    async fn universe_domain(&self) -> Option<String> {
        self.universe_domain.clone()
    }
}
