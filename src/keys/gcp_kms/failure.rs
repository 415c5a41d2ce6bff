//! What went wrong in Google's words, and what helps.

use std::error::Error as StdError;
use std::iter;

use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::rpc::StatusDetails;
use google_cloud_kms_v1::Error;
use serde_json::Value;

use super::credentials::Identity;
use super::resource_id::ResourceId;
use crate::keys::remote::hinted;

/// An error, or one that it comes from.
type Link<'a> = &'a (dyn StdError + 'static);

/// A step that failed.
#[derive(Clone, Copy)]
pub(super) enum Failed<'a> {
    /// There is no token to call with.
    Credentials(&'a CredentialsError),
    /// The call for this key was refused, or came to nothing.
    Call { error: &'a Error, id: ResourceId<'a> },
}

/// What a server has said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// `PERMISSION_DENIED`, or for tokens `invalid_grant`; empty if the server has not said it in its usual way.
    code: String,
    http_status: Option<u16>,
    message: String,
    /// The cause in one word, such as `SERVICE_DISABLED`; mostly empty.
    cause: String,
}

/// The reason, with the usual remedy on a line of its own. Never shows what was sent.
pub(super) fn explained(failed: Failed<'_>, identity: &Identity) -> String {
    let error: Link<'_> = match failed {
        Failed::Credentials(error) => error,
        Failed::Call { error, .. } => error,
    };
    let (reason, hint) = match Told::find(error) {
        Some(told) => (told.to_text(), told.remedy(failed, identity)),
        None => unanswered(error),
    };
    let reason = match failed {
        Failed::Credentials(_) => format!("no access token for {identity}: {reason}"),
        Failed::Call { .. } => reason,
    };
    match hint {
        Some(hint) => hinted(&reason, &hint),
        None => reason,
    }
}

/// The reason why a call to another service has failed, and the HTTP status if it has answered.
#[cfg(feature = "publish")]
pub(crate) fn told(error: Link<'_>, identity: &Identity) -> (String, Option<u16>) {
    if let Some(error) = chain(error).find_map(|error| error.downcast_ref::<CredentialsError>()) {
        return (explained(Failed::Credentials(error), identity), None);
    }
    match Told::find(error) {
        Some(told) => (told.to_text(), told.http_status),
        None => (unanswered(error).0, None),
    }
}

impl Told {
    /// What a server said, wherever in the chain of errors it is.
    fn find(error: Link<'_>) -> Option<Self> {
        let told = chain(error).find_map(|error| match error.downcast_ref::<Error>() {
            Some(error) => Self::by_call(error),
            None => Self::by_token_server(&error.to_string()),
        });
        let status = chain(error).find_map(|error| http_status(&error.to_string()));
        match told {
            Some(told) => Some(Self { http_status: told.http_status.or(status), ..told }),
            None => Some(Self { http_status: Some(status?), ..Self::default() }),
        }
    }

    fn by_call(error: &Error) -> Option<Self> {
        let http_status = error.http_status_code();
        if let Some(status) = error.status() {
            let cause = status.details.iter().find_map(|detail| match detail {
                StatusDetails::ErrorInfo(info) => Some(info.reason.clone()),
                _ => None,
            });
            return Some(Self {
                code: status.code.name().to_owned(),
                http_status,
                message: status.message.clone(),
                cause: cause.unwrap_or_default(),
            });
        }
        http_status?;
        let body = error.http_payload().and_then(|body| Self::by_body(body)).unwrap_or_default();
        Some(Self { http_status, ..body })
    }

    /// The library keeps answers to requests for tokens in its messages: `…, body=<{"error": …}>`.
    fn by_token_server(message: &str) -> Option<Self> {
        let (_, body) = message.split_once("body=<")?;
        let (body, _) = body.rsplit_once('>')?;
        Self::by_body(body.as_bytes())
    }

    /// Errors of either form that Google has for them. All else in a body may be secret.
    fn by_body(body: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(body).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match json.get("error")? {
            Value::String(code) => {
                let message = text(&json["error_description"]);
                Some(Self { code: code.clone(), message, ..Self::default() })
            }
            error => Some(Self {
                code: text(&error["status"]),
                message: text(&error["message"]),
                ..Self::default()
            }),
        }
    }

    fn to_text(&self) -> String {
        let status = self.http_status.map(|status| format!("HTTP {status}"));
        let head = match (self.code.as_str(), status) {
            ("", Some(status)) => status,
            (code, Some(status)) => format!("{code} ({status})"),
            (code, None) => code.to_owned(),
        };
        if self.message.is_empty() { head } else { format!("{head}: {}", self.message) }
    }

    fn remedy(&self, failed: Failed<'_>, identity: &Identity) -> Option<String> {
        match failed {
            Failed::Credentials(_) => Some(self.remedy_of_tokens(identity)),
            Failed::Call { id, .. } => self.remedy_of_calls(identity, id),
        }
    }

    fn remedy_of_tokens(&self, identity: &Identity) -> String {
        match (self.code.as_str(), identity) {
            ("PERMISSION_DENIED" | "NOT_FOUND", Identity::Impersonated(account)) => format!(
                "whoever acts as {account} needs the role roles/iam.serviceAccountTokenCreator on it, \
                 workload identities roles/iam.workloadIdentityUser"
            ),
            _ if self.http_status.is_some_and(|status| status >= 500) => later(),
            _ => login(identity),
        }
    }

    fn remedy_of_calls(&self, identity: &Identity, id: ResourceId<'_>) -> Option<String> {
        let ResourceId { project, location, key_ring, key } = id;
        let place = format!("--keyring {key_ring} --location {location} --project {project}");
        Some(match (self.code.as_str(), self.cause.as_str()) {
            ("PERMISSION_DENIED", "SERVICE_DISABLED") => "`gcloud services enable cloudkms.googleapis.com` switches it \
                 on; GOOGLE_CLOUD_QUOTA_PROJECT names another project to bill"
                .to_owned(),
            ("PERMISSION_DENIED", "USER_PROJECT_DENIED") => format!(
                "{identity} needs the role roles/serviceusage.serviceUsageConsumer on the project that is billed; \
                 GOOGLE_CLOUD_QUOTA_PROJECT names another"
            ),
            ("PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT") => {
                "the token needs the scope https://www.googleapis.com/auth/cloudkms; scopes of a machine are set where \
                 it is made"
                    .to_owned()
            }
            ("PERMISSION_DENIED", _) => format!(
                "{identity} needs the role roles/cloudkms.cryptoKeyEncrypterDecrypter on this key; Google says the \
                 same if the key does not exist"
            ),
            ("UNAUTHENTICATED", _) => login(identity),
            ("NOT_FOUND", _) => format!("`gcloud kms keys list {place}` shows which keys there are"),
            ("FAILED_PRECONDITION", _) => format!(
                "`gcloud kms keys versions list --key {key} {place}` shows the states of its versions; \
                 `gcloud kms keys versions enable` enables one that is disabled"
            ),
            ("INVALID_ARGUMENT", _) => "the key has to be one for symmetric encryption, and to decrypt, the one that \
                 `enc` in the file was made with"
                .to_owned(),
            ("RESOURCE_EXHAUSTED", _) => {
                "try again in a minute; GOOGLE_CLOUD_QUOTA_PROJECT names another project whose quota counts".to_owned()
            }
            ("UNAVAILABLE" | "INTERNAL" | "DEADLINE_EXCEEDED", _) => later(),
            _ if self.http_status.is_some_and(|status| status >= 500) => later(),
            _ => return None,
        })
    }
}

/// How to get a token that is good.
fn login(identity: &Identity) -> String {
    match identity {
        Identity::User(_) => "`gcloud auth application-default login` logs in again".to_owned(),
        Identity::Token => {
            "GOOGLE_OAUTH_ACCESS_TOKEN may have expired, as tokens do after an hour: set it to what \
             `gcloud auth print-access-token` prints"
                .to_owned()
        }
        Identity::ServiceAccount(email) => format!(
            "`gcloud iam service-accounts keys list --iam-account {email}` shows whether the key is still valid; \
             the clock of this machine has to be right too"
        ),
        Identity::Impersonated(email) => format!(
            "the credentials that act as {email} may have expired: `gcloud auth application-default login \
             --impersonate-service-account {email}` makes new ones"
        ),
        Identity::Federated(_) => {
            "the provider and the pool have to accept the token that the credentials file \
             names; it may have expired"
                .to_owned()
        }
        Identity::Machine => "the machine needs a service account, with the scope \
             https://www.googleapis.com/auth/cloud-platform"
            .to_owned(),
    }
}

fn later() -> String {
    "try again later; https://status.cloud.google.com tells of outages".to_owned()
}

fn chain<'a>(error: Link<'a>) -> impl Iterator<Item = Link<'a>> {
    iter::successors(Some(error), |error: &Link<'a>| StdError::source(*error))
}

/// The innermost reason, which is the one that tells something.
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Whether the certificate of a server is not to be trusted.
pub(super) fn is_distrust(error: &dyn StdError) -> bool {
    deepest(error).contains("certificate")
}

/// An error without an answer, and what helps if it is one of the connection.
fn unanswered(error: Link<'_>) -> (String, Option<String>) {
    // what cannot be read may be secret
    if chain(error).filter_map(|error| error.downcast_ref()).any(Error::is_deserialization) {
        return ("the server's answer is none of Google Cloud KMS".to_owned(), None);
    }
    let reason = deepest(error);
    // answers that we make nothing of, and what the library says to them
    let reason = reason.split(", body=<").next().unwrap_or_default();
    let reason = [" and future attempts will not succeed", " but future attempts may succeed"]
        .iter()
        .fold(reason, |reason, ending| reason.trim_end_matches(ending));
    match chain(error).find_map(|error| server(&error.to_string())) {
        Some(server) => (format!("cannot connect to {server}: {reason}"), Some(remedy_of_connections(error))),
        None => (reason.to_owned(), None),
    }
}

/// The status that a message is about: `HTTP status client error (400 Bad Request) for url …`.
fn http_status(message: &str) -> Option<u16> {
    let (_, rest) = message.strip_prefix("HTTP status ")?.split_once(" error (")?;
    rest.get(..3)?.parse().ok()
}

/// The server that a message is about: `… for url (https://host:port/…)`.
fn server(message: &str) -> Option<String> {
    let (_, url) = message.split_once("for url (")?;
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', ')']).next()?;
    Some(format!("{scheme}://{host}"))
}

fn remedy_of_connections(error: Link<'_>) -> String {
    if is_distrust(error) {
        return "SSL_CERT_FILE names a file with the certificates of authorities to trust in place of the system's"
            .to_owned();
    }
    "check the network, and HTTPS_PROXY and SOPS_GCP_KMS_ENDPOINT if they are set".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_token_server(body: &str) -> Option<Told> {
        Told::by_token_server(&format!("failed to refresh user access token, body=<{body}> and so on"))
    }

    #[test]
    fn errors_of_either_form_are_read() {
        let oauth = by_token_server(r#"{"error": "invalid_grant", "error_description": "Bad Request"}"#);
        assert_eq!(oauth.map(|told| told.to_text()).as_deref(), Some("invalid_grant: Bad Request"));
        let api =
            by_token_server(r#"{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "No."}}"#);
        assert_eq!(api.map(|told| told.to_text()).as_deref(), Some("PERMISSION_DENIED: No."));
    }

    #[test]
    fn whatever_else_a_body_has_is_not_shown() {
        assert_eq!(by_token_server(r#"{"id_token": "secret"}"#), None);
        assert_eq!(by_token_server("secret"), None);
        let message = "failed to read subject token field `a` as string, body=<{\"b\": \"secret\"}>";
        let error = CredentialsError::from_msg(false, message);
        let identity = Identity::Federated("//iam.example/pool".to_owned());
        let text = explained(Failed::Credentials(&error), &identity);
        assert!(text.contains("failed to read subject token field `a` as string"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn the_status_of_an_answer_is_found() {
        let message = "HTTP status server error (503 Service Unavailable) for url (http://localhost:1/token)";
        assert_eq!(http_status(message), Some(503));
        assert_eq!(http_status("error (503)"), None);
    }

    #[test]
    fn a_server_is_named_without_the_path() {
        let message = "error sending request for url (https://localhost:1/v1/projects/p?%24alt=json)";
        assert_eq!(server(message).as_deref(), Some("https://localhost:1"));
        assert_eq!(server("no url"), None);
    }
}
