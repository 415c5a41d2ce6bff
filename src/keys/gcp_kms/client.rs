//! Encrypting and decrypting with Google Cloud KMS (keys.md §6).

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::client_builder;
use google_cloud_gax::options::RequestOptionsBuilder;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_kms_v1::Error;
use google_cloud_kms_v1::client::KeyManagementService;
use google_cloud_kms_v1::model::DecryptResponse;
use tokio::sync::Mutex;
use zeroize::{Zeroize as _, Zeroizing};

use super::GcpKmsKey;
use super::credentials::{Found, GcpCredentialSources, Identity};
use super::failure::{Failed, deepest, explained, is_distrust};
use super::resource_id::ResourceId;
use crate::keys::base64_text::decode;
use crate::keys::patience::Patience;
use crate::keys::remote::{Limits, hinted};
use crate::keys::service::Share;

/// How often a call is tried again before we give up, and the first of the pauses: five seconds at most in all. The
/// reference tries for a minute; whoever waits at a terminal would rather know.
const RETRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How to reach Google Cloud KMS.
#[derive(Clone, Default)]
pub struct GcpKmsSettings {
    /// In whose name.
    pub credentials: GcpCredentialSources,
    /// The project that is billed, and whose quota counts, in place of the one of the credentials.
    pub quota_project: Option<String>,
    /// The server: `host:port`, or a URL. The universe domain then counts for nothing.
    pub endpoint: Option<String>,
    /// The domain of a cloud of Google's that is not the public one.
    pub universe_domain: Option<String>,
}

/// Google Cloud KMS. Nothing is read or connected before the first key needs it.
pub(in crate::keys) struct GcpKms {
    settings: GcpKmsSettings,
    limits: Limits,
    /// What the first key has set up, for the keys that follow.
    session: Mutex<Option<Arc<Session>>>,
}

/// A client, and in whose name it calls.
struct Session {
    client: KeyManagementService,
    credentials: Credentials,
    identity: Identity,
}

impl GcpKms {
    pub(in crate::keys) fn new(settings: GcpKmsSettings, limits: Limits) -> Self {
        Self { settings, limits, session: Mutex::new(None) }
    }

    /// The base64 that files store.
    pub(in crate::keys) async fn wrap(&self, key: &GcpKmsKey, share: &[u8]) -> Result<String, String> {
        let call = async {
            let (id, session) = self.begin(key).await?;
            self.authenticate(&session, "encrypt").await?;
            let request = session.client.encrypt().set_name(&key.resource_id).set_plaintext(share.to_vec());
            let request = self.billed(request);
            let mut patience = Patience::new(RETRIES, FIRST_PAUSE, self.limits);
            loop {
                match request.clone().send().await {
                    Ok(answer) => return Ok(BASE64_STANDARD.encode(answer.ciphertext)),
                    Err(error) if may_pass(&error) && patience.wait(None).await => {}
                    Err(error) => return Err(refused("encrypt", &error, &session, id)),
                }
            }
        };
        self.limits.within(call).await
    }

    /// The share out of the base64 that files store.
    pub(in crate::keys) async fn unwrap(&self, key: &GcpKmsKey, enc: &str) -> Result<Share, String> {
        let call = async {
            let (id, session) = self.begin(key).await?;
            let ciphertext = decode(enc)?;
            self.authenticate(&session, "decrypt").await?;
            let request = session.client.decrypt().set_name(&key.resource_id).set_ciphertext(ciphertext);
            let request = self.billed(request);
            let mut patience = Patience::new(RETRIES, FIRST_PAUSE, self.limits);
            loop {
                match request.clone().send().await {
                    Ok(answer) => return Ok(plaintext(answer)),
                    Err(error) if may_pass(&error) && patience.wait(None).await => {}
                    Err(error) => return Err(refused("decrypt", &error, &session, id)),
                }
            }
        };
        self.limits.within(call).await
    }

    /// What comes before any call: the name of the key, and credentials for it.
    async fn begin<'a>(&self, key: &'a GcpKmsKey) -> Result<(ResourceId<'a>, Arc<Session>), String> {
        let setup = |reason| format!("cannot create GCP KMS service: {reason}");
        let id = ResourceId::parse(&key.resource_id).ok_or_else(|| {
            setup(hinted(
                &format!("no valid resource ID found in {:?}", key.resource_id),
                "a key is called projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>, \
                 without a version",
            ))
        })?;
        let mut session = self.session.lock().await;
        let open = match &*session {
            Some(open) => open.clone(),
            None => session.insert(Arc::new(self.connect().await.map_err(setup)?)).clone(),
        };
        Ok((id, open))
    }

    async fn connect(&self) -> Result<Session, String> {
        let settings = &self.settings;
        let universe_domain = settings.universe_domain.as_deref().filter(|_| settings.endpoint.is_none());
        let Found { credentials, identity } = settings.credentials.find(universe_domain).await?;
        let mut builder = KeyManagementService::builder()
            .with_credentials(credentials.clone())
            // we do that ourselves: the library forgets what was the matter when its time is up
            .with_retry_policy(NeverRetry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(url(endpoint));
        } else if let Some(domain) = universe_domain {
            builder = builder.with_universe_domain(domain);
        }
        let client = builder.build().await.map_err(|error| self.not_built(&error, &identity))?;
        Ok(Session { client, credentials, identity })
    }

    fn not_built(&self, error: &client_builder::Error, identity: &Identity) -> String {
        if error.is_universe_domain_mismatch() {
            let hint = format!(
                "SOPS_GCP_KMS_UNIVERSE_DOMAIN has to name the universe that {identity} belongs to; without it, that is \
                 googleapis.com"
            );
            return hinted(&error.to_string(), &hint);
        }
        match &self.settings.endpoint {
            Some(endpoint) => hinted(
                &format!("{endpoint:?} is no endpoint: {}", deepest(error)),
                "SOPS_GCP_KMS_ENDPOINT names a host and a port, or a URL",
            ),
            None => deepest(error),
        }
    }

    /// Sees to it that there is a token. Calls do that by themselves, but do not tell failures of other servers from
    /// failures of their own.
    async fn authenticate(&self, session: &Session, what: &str) -> Result<(), String> {
        match session.credentials.headers(http::Extensions::new()).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // they would never try again, but a server may run for days
                *self.session.lock().await = None;
                Err(prefixed(what, &explained(Failed::Credentials(&error), &session.identity)))
            }
        }
    }

    /// With the project whose quota counts, if the user has named one.
    fn billed<B: RequestOptionsBuilder>(&self, request: B) -> B {
        match &self.settings.quota_project {
            Some(project) => request.with_quota_project(project),
            None => request,
        }
    }
}

/// Whether Google is busy or out of reach.
fn may_pass(error: &Error) -> bool {
    let busy = matches!(error.http_status_code(), Some(429 | 503 | 504));
    busy || error.is_io() || (error.is_connect() && !is_distrust(error))
}

/// What is said of an error of Google Cloud KMS.
fn refused(what: &str, error: &Error, session: &Session, id: ResourceId<'_>) -> String {
    prefixed(what, &explained(Failed::Call { error, id }, &session.identity))
}

/// The reference only takes `host:port`.
fn url(endpoint: &str) -> String {
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
}

fn prefixed(what: &str, reason: &str) -> String {
    format!("failed to {what} sops data key with GCP KMS key: {reason}")
}

/// The plaintext, out of a buffer of the library's, which is wiped if nobody else has it.
fn plaintext(answer: DecryptResponse) -> Share {
    match answer.plaintext.try_into_mut() {
        Ok(mut own) => {
            let share = Zeroizing::new(own.to_vec());
            own.as_mut().zeroize();
            share
        }
        Err(shared) => Zeroizing::new(shared.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_or_a_url() {
        assert_eq!(url("kms.example:443"), "https://kms.example:443");
        assert_eq!(url("http://127.0.0.1:8080"), "http://127.0.0.1:8080");
    }
}
