//! Data keys through KMS (keys.md §9.1, §9.4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::HcKmsKey;
use super::credentials::{Credentials, JSON};
use super::refusal::Refusal;
use super::region::{iam_endpoint, kms_endpoint};
use super::settings::HuaweiSettings;
use super::sign;
use crate::keys::http::{Http, Reply};
use crate::keys::patience::Patience;
use crate::keys::remote::{Limits, hinted};
use crate::keys::{Share, base64_text};

/// How often a call is tried again, and the first of the pauses, which double. The reference gives up at once: a tree of
/// files may ask for more than KMS likes to do in a second.
const RETRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Wraps and unwraps with keys of every region, each with credentials and a project of its own.
pub(in crate::keys) struct Huawei {
    settings: HuaweiSettings,
    limits: Limits,
    http: Http,
    regions: Mutex<BTreeMap<String, Arc<OnceCell<Kms>>>>,
}

/// KMS of a region, and who asks it.
struct Kms {
    credentials: Credentials,
    endpoint: Url,
    project: String,
}

impl Huawei {
    pub(in crate::keys) fn new(settings: HuaweiSettings, limits: Limits) -> Self {
        let trust = "SSL_CERT_FILE names the PEM file of an authority to trust";
        Self { settings, limits, http: Http::new(limits, trust, Ok), regions: Mutex::default() }
    }

    /// The ciphertext as the service gives it.
    pub(in crate::keys) async fn wrap(&self, key: &HcKmsKey, share: &[u8]) -> Result<String, String> {
        let failed = |reason| format!("failed to encrypt sops data key with HuaweiCloud KMS: {reason}");
        let plaintext = Zeroizing::new(STANDARD.encode(share));
        // base64 needs no escapes; the text is wiped once it is sent
        let body = Zeroizing::new(
            format!(
                "{{\"key_id\":{},\"plain_text\":\"{}\",\"encryption_algorithm\":\"SYMMETRIC_DEFAULT\"}}",
                Value::from(key.uuid.trim()),
                *plaintext
            )
            .into_bytes(),
        );
        let call = self.call(key, "encrypt-data", Bytes::from_owner(body));
        let mut answer =
            self.limits.within(async { Ok(call.await) }).await.map_err(failed)?.map_err(|e| e.of(failed))?;
        text(&mut answer, "cipher_text").ok_or_else(|| "encryption response missing ciphertext".to_owned())
    }

    /// The data key, or a share of it.
    pub(in crate::keys) async fn unwrap(&self, key: &HcKmsKey, enc: &str) -> Result<Share, String> {
        let failed = |reason| format!("failed to decrypt sops data key with HuaweiCloud KMS: {reason}");
        let body = format!(
            "{{\"cipher_text\":{},\"encryption_algorithm\":\"SYMMETRIC_DEFAULT\",\"key_id\":{}}}",
            Value::from(enc),
            Value::from(key.uuid.trim())
        );
        let call = self.call(key, "decrypt-data", Bytes::from(body));
        let mut answer =
            self.limits.within(async { Ok(call.await) }).await.map_err(failed)?.map_err(|e| e.of(failed))?;
        let plaintext = text(&mut answer, "plain_text").map(Zeroizing::new);
        let plaintext = plaintext.ok_or_else(|| "decryption response missing plaintext".to_owned())?;
        STANDARD.decode(plaintext.as_bytes()).map(Zeroizing::new).map_err(|error| {
            format!(
                "failed to base64 decode decrypted data key: {}",
                base64_text::reason(plaintext.len(), &error)
            )
        })
    }

    async fn call(&self, key: &HcKmsKey, action: &str, body: Bytes) -> Result<Value, Trouble> {
        let region = key.region.trim();
        let cell = {
            // nobody panics with it in hand
            let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
            regions.entry(region.to_owned()).or_default().clone()
        };
        let kms = cell.get_or_try_init(|| self.connect(region)).await;
        let kms = kms.map_err(|reason| {
            Trouble::Client(format!("failed to create HuaweiCloud KMS client: {reason}"))
        })?;
        let mut url = kms.endpoint.clone();
        url.set_path(&format!("/v1.0/{}/kms/{action}", kms.project));
        let reply = self.insist(kms, &url, &body).await.map_err(Trouble::Call)?;
        if !(200..300).contains(&reply.status) {
            let refusal = Refusal::of(&reply);
            return Err(Trouble::Call(match remedy(&refusal, key, kms) {
                Some(hint) => hinted(&refusal.to_string(), &hint),
                None => refusal.to_string(),
            }));
        }
        serde_json::from_slice(&reply.body).map_err(|_| Trouble::Call("the answer is no JSON".to_owned()))
    }

    /// Asks until there is an answer that would not be another in a moment. Each request is signed for its own time.
    async fn insist(&self, kms: &Kms, url: &Url, body: &Bytes) -> Result<Reply, String> {
        let mut patience = Patience::new(RETRIES, FIRST_PAUSE, self.limits);
        loop {
            let mut headers = sign::headers(&kms.credentials, Some(&kms.project), &Method::POST, url, body)?;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            let reply = self.http.send(Method::POST, url, headers, body.clone()).await;
            let passing = match &reply {
                Ok(reply) => matches!(reply.status, 429 | 500 | 502..=504),
                Err(silence) => silence.passing,
            };
            if !passing || !patience.wait(None).await {
                return reply.map_err(|silence| silence.text);
            }
        }
    }

    async fn connect(&self, region: &str) -> Result<Kms, String> {
        let credentials = Credentials::find(&self.settings, &self.http, region).await;
        let credentials =
            credentials.map_err(|reason| format!("failed to get HuaweiCloud credentials: {reason}"))?;
        let endpoint = kms_endpoint(&self.settings, region);
        let endpoint = endpoint.map_err(|reason| format!("invalid region {region:?}: {reason}"))?;
        let project = match credentials.project_id.clone() {
            Some(project) => project,
            None => self.project(&credentials, region).await.map_err(|reason| {
                format!("failed to get project id of region '{region}' automatically: {reason}")
            })?,
        };
        Ok(Kms { credentials, endpoint, project })
    }

    /// The project that has the name of the region.
    async fn project(&self, credentials: &Credentials, region: &str) -> Result<String, String> {
        let hint = "HUAWEICLOUD_SDK_PROJECT_ID, or project_id in the file of credentials, names the project";
        let mut url = iam_endpoint(&self.settings, credentials.iam_endpoint.as_deref(), region)?;
        url.set_path("/v3/projects");
        url.set_query(Some(&format!("name={region}")));
        let headers = sign::headers(credentials, None, &Method::GET, &url, b"")?;
        let reply = self.http.send(Method::GET, &url, headers, Bytes::new()).await;
        let reply = reply.map_err(|silence| silence.text)?;
        if !(200..300).contains(&reply.status) {
            return Err(hinted(&Refusal::of(&reply).to_string(), hint));
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let projects =
            answer.get("projects").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<&str> = projects.iter().filter_map(|project| project.get("id")?.as_str()).collect();
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => Err(hinted(&format!("{} has no such project", credentials.access_key), hint)),
            several => Err(hinted(&format!("there are several: {}", several.join(", ")), hint)),
        }
    }
}

/// Where a request came to its end.
enum Trouble {
    /// Before it could be made. The text is complete.
    Client(String),
    /// After that.
    Call(String),
}

impl Trouble {
    fn of(self, failed: impl FnOnce(String) -> String) -> String {
        match self {
            Self::Client(text) => text,
            Self::Call(reason) => failed(reason),
        }
    }
}

/// A text that is not empty.
fn text(answer: &mut Value, name: &str) -> Option<String> {
    match answer.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// What usually helps.
fn remedy(refusal: &Refusal, key: &HcKmsKey, kms: &Kms) -> Option<String> {
    let says = |words: &str| refusal.message.to_lowercase().contains(words);
    let (who, project) = (&kms.credentials.access_key, &kms.project);
    Some(match refusal.status {
        401 => format!(
            "the access key {who} or its secret is wrong or has expired, or the clock of this machine is: a temporary \
             key needs its HUAWEICLOUD_SDK_SECURITY_TOKEN too"
        ),
        403 if says("signature") || says("authentication") => {
            format!("the secret of the access key {who} is wrong, or the clock of this machine is")
        }
        403 => format!(
            "the access key {who} must be allowed to encrypt and decrypt data with this key in the project {project}"
        ),
        400..=404 if says("key id") || says("not exist") || says("not found") || refusal.status == 404 => {
            format!("there is no key {} in the region {} and the project {project}", key.uuid, key.region)
        }
        400..500 if says("disabled") || says("pending deletion") => {
            "the key is disabled or about to be deleted: enable it again".to_owned()
        }
        400..500 if says("cipher") || says("decrypt") => {
            "the enc of this key is damaged, or was made with another key".to_owned()
        }
        429 => "too many requests: try again later".to_owned(),
        500.. => "the service cannot answer now: try again later".to_owned(),
        _ => return None,
    })
}
