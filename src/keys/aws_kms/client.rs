//! Asking AWS KMS (keys.md §5.3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::{Mutex, OnceCell};
use zeroize::Zeroizing;

use super::super::aws::reason::{Asked, reason};
use super::super::aws::{AwsSettings, load};
use super::super::base64_text::decode;
use super::super::remote::Limits;
use super::super::service::{Answer, Share};
use super::AwsKmsKey;
use super::session_name::session_name;

/// Wraps and unwraps with AWS KMS. Nothing is read or connected before a key needs it.
pub struct AwsKms {
    settings: AwsSettings,
    limits: Limits,
    /// One configuration for each profile.
    configs: Mutex<HashMap<String, Arc<OnceCell<SdkConfig>>>>,
    sessions: Mutex<HashMap<Access, Arc<Mutex<Option<Session>>>>>,
}

/// As whom a key is used, and where.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Access {
    profile: String,
    role: String,
    region: String,
}

/// A client with credentials that hold for some time.
struct Session {
    client: Client,
    /// Of a role that was assumed. Other credentials are renewed by the client.
    expires: Option<SystemTime>,
}

/// Requests must not begin so shortly before the end of a session.
const LAST_MINUTES: Duration = Duration::from_secs(300);

impl Session {
    fn holds(&self) -> bool {
        self.expires.is_none_or(|end| SystemTime::now() + LAST_MINUTES < end)
    }
}

impl AwsKms {
    /// With what the environment says.
    pub fn new(settings: AwsSettings, limits: Limits) -> Self {
        Self { settings, limits, configs: Mutex::default(), sessions: Mutex::default() }
    }

    /// Wraps a data key, or a share of one: standard base64 of what the service gives.
    pub fn wrap<'a>(&'a self, key: &'a AwsKmsKey, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        let region = match key.region() {
            Ok(region) => region,
            Err(error) => return Answer::Now(Err(error)),
        };
        Answer::later(self.limits.within(async move {
            let request = self.client(key, region).await?.encrypt().key_id(&key.arn);
            let request = request.plaintext(Blob::new(share)).set_encryption_context(Some(context(key)));
            let failed = |reason: String| format!("failed to encrypt sops data key with AWS KMS: {reason}");
            let asked = Asked { action: "kms:Encrypt", resource: &key.arn, profile: &key.profile };
            let refused = |text: String| failed(without_secret(&text, share));
            let answer = request.send().await.map_err(|error| refused(reason(&error, &asked)))?;
            let blob =
                answer.ciphertext_blob.ok_or_else(|| failed("the answer holds no ciphertext".to_owned()))?;
            Ok(BASE64_STANDARD.encode(blob))
        }))
    }

    /// Unwraps it.
    pub fn unwrap<'a>(&'a self, key: &'a AwsKmsKey, enc: &'a str) -> Answer<'a, Result<Share, String>> {
        let decoded = decode(enc).map_err(|e| format!("error base64-decoding encrypted data key: {e}"));
        let checked = decoded.and_then(|blob| Ok((blob, key.region()?)));
        let (blob, region) = match checked {
            Ok(checked) => checked,
            Err(error) => return Answer::Now(Err(error)),
        };
        Answer::later(self.limits.within(async move {
            let request = self.client(key, region).await?.decrypt().key_id(&key.arn);
            let request = request.ciphertext_blob(Blob::new(blob)).set_encryption_context(Some(context(key)));
            let failed = |reason: String| format!("failed to decrypt sops data key with AWS KMS: {reason}");
            let asked = Asked { action: "kms:Decrypt", resource: &key.arn, profile: &key.profile };
            let answer = request.send().await.map_err(|error| failed(reason(&error, &asked)))?;
            let share = answer.plaintext.ok_or_else(|| failed("the answer holds no plaintext".to_owned()))?;
            Ok(Zeroizing::new(share.into_inner()))
        }))
    }

    /// A client for the key. Those with the same access share one.
    async fn client(&self, key: &AwsKmsKey, region: &str) -> Result<Client, String> {
        let (profile, role, region) = (key.profile.clone(), key.role.clone(), region.to_owned());
        let access = Access { profile, role, region };
        let place = self.sessions.lock().await.entry(access.clone()).or_default().clone();
        let mut session = place.lock().await;
        if let Some(session) = session.as_ref().filter(|session| session.holds()) {
            return Ok(session.client.clone());
        }
        let made = self.session(&access).await?;
        let client = made.client.clone();
        *session = Some(made);
        Ok(client)
    }

    async fn session(&self, access: &Access) -> Result<Session, String> {
        let region = Region::new(access.region.clone());
        let place = self.configs.lock().await.entry(access.profile.clone()).or_default().clone();
        let config = place
            .get_or_try_init(|| {
                load(&self.settings, "KMS", &access.profile, Some(region.clone()), self.limits)
            })
            .await
            .map_err(|reason| format!("could not load AWS config: {reason}"))?;
        // credentials hold in all regions, so that another one asks for no new ones
        let config = config.clone().into_builder().region(region).build();
        if access.role.is_empty() {
            return Ok(Session { client: self.kms(&config), expires: None });
        }
        let credentials = self.assume(&config, access).await?;
        let expires = credentials.expiry();
        let provider = SharedCredentialsProvider::new(credentials);
        let config = config.into_builder().credentials_provider(provider).build();
        Ok(Session { client: self.kms(&config), expires })
    }

    fn kms(&self, config: &SdkConfig) -> Client {
        let mut builder = aws_sdk_kms::config::Builder::from(config);
        if let Some(endpoint) = self.settings.endpoint_instead("KMS") {
            builder.set_endpoint_url(endpoint);
        }
        Client::from_conf(builder.build())
    }

    fn sts(&self, config: &SdkConfig) -> aws_sdk_sts::Client {
        let mut builder = aws_sdk_sts::config::Builder::from(config);
        if let Some(endpoint) = self.settings.endpoint_instead("STS") {
            builder.set_endpoint_url(endpoint);
        }
        aws_sdk_sts::Client::from_conf(builder.build())
    }

    /// Credentials of a role (keys.md §5.4). It is asked for in the region of the key.
    async fn assume(&self, config: &SdkConfig, access: &Access) -> Result<Credentials, String> {
        let role = &access.role;
        let failed = |reason: String| format!("failed to assume role '{role}': {reason}");
        let asked = Asked { action: "sts:AssumeRole", resource: role, profile: &access.profile };
        let request = self.sts(config).assume_role().role_arn(role);
        let answer = request.role_session_name(session_name()?).send().await;
        let given = answer.map_err(|error| failed(reason(&error, &asked)))?.credentials;
        let given = given.ok_or_else(|| failed("the answer holds no credentials".to_owned()))?;
        let expires = SystemTime::try_from(given.expiration).ok();
        let token = Some(given.session_token);
        Ok(Credentials::new(given.access_key_id, given.secret_access_key, token, expires, "AssumeRole"))
    }
}

/// What is sent of the encryption context: names whose value is null are left out.
fn context(key: &AwsKmsKey) -> HashMap<String, String> {
    key.context.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
}

/// Some errors of the SDK show the request that they are about. None is known to come this far with the data key in it.
fn without_secret(text: &str, share: &[u8]) -> String {
    let secret = Zeroizing::new(BASE64_STANDARD.encode(share));
    text.replace(secret.as_str(), "[redacted]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_values_are_not_sent() {
        let entry = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        let key = AwsKmsKey {
            arn: String::new(),
            role: String::new(),
            context: vec![entry("a", None), entry("b", Some(""))],
            profile: String::new(),
        };
        assert_eq!(context(&key), HashMap::from([("b".to_owned(), String::new())]));
    }

    #[test]
    fn sessions_end_before_their_credentials_do() {
        let config = aws_sdk_kms::Config::builder().behavior_version_latest().build();
        let ending = |seconds| {
            let expires = Some(SystemTime::now() + Duration::from_secs(seconds));
            Session { client: Client::from_conf(config.clone()), expires }
        };
        assert!(ending(3600).holds() && !ending(60).holds());
    }
}
