//! Wrapping and unwrapping by the vault (keys.md §7.2, §7.4).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::HttpClient;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, KeyClientEncryptOptions, KeyOperationParameters,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use zeroize::Zeroizing;

use super::AzureKvKey;
use super::credentials::{AzureSettings, Chain};
use super::reason::explain;
use super::transport::{Challenge, Route, http_client, patiently, vault_options};
use crate::keys::remote::{Limits, block_on};
use crate::keys::service::Share;

/// As lenient as the reference with bits that nothing depends on.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Access to the vaults of Azure. Nothing is set up before a key needs it, and then once.
pub struct AzureVaults {
    settings: Arc<AzureSettings>,
    limits: Limits,
    http: OnceLock<Result<Arc<dyn HttpClient>, String>>,
    chain: OnceLock<Result<Arc<Chain>, String>>,
    /// By their URLs.
    vaults: Mutex<HashMap<String, Arc<Vault>>>,
    /// Versions that were looked up: all files of a command get the same one.
    versions: Mutex<HashMap<AzureKvKey, String>>,
}

/// A vault, and who asks it.
struct Vault {
    client: KeyClient,
    chain: Arc<Chain>,
}

impl AzureVaults {
    /// Access with these credentials.
    pub fn new(settings: AzureSettings, limits: Limits) -> Self {
        Self {
            settings: Arc::new(settings),
            limits,
            http: OnceLock::new(),
            chain: OnceLock::new(),
            vaults: Mutex::default(),
            versions: Mutex::default(),
        }
    }

    /// The current version of a key. The same key is not asked for twice.
    pub fn current_version(&self, key: &AzureKvKey) -> Result<String, String> {
        let known = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = known().get(key) {
            return Ok(version.clone());
        }
        let version = block_on(self.ask_for_version(key))??;
        // somebody else may have asked meanwhile, and been told of an older one
        Ok(known().entry(key.clone()).or_insert(version).clone())
    }

    async fn ask_for_version(&self, key: &AzureKvKey) -> Result<String, String> {
        let chain = self.chain("to retrieve key version")?;
        let vault = self.vault(key, chain, "to retrieve key version")?;
        let asked = async {
            let ask = || async { vault.client.get_key(&key.name, None).await?.into_model() }.boxed();
            let answer = patiently(self.limits, ask).await.map_err(|error| vault.explain(error))?;
            let id = answer.key.and_then(|key| key.kid).unwrap_or_default();
            match id.rsplit_once('/') {
                Some((_, version)) if !version.is_empty() => Ok(version.to_owned()),
                _ => Err(format!("the answer names no version: {id:?}")),
            }
        };
        let answer = self.limits.within(asked).await;
        answer.map_err(|reason| format!("failed to fetch Azure Key to retrieve key version: {reason}"))
    }

    /// Wraps a data key, or a share of one.
    pub(in crate::keys) async fn wrap(&self, key: &AzureKvKey, share: &[u8]) -> Result<String, String> {
        let chain = self.chain("to encrypt data")?;
        let vault = self.vault(key, chain, "to encrypt data")?;
        let asked = async {
            let ask = || {
                async {
                    let options = KeyClientEncryptOptions { key_version: version(key), ..Default::default() };
                    let parameters = parameters(share).try_into()?;
                    vault.client.encrypt(&key.name, parameters, Some(options)).await?.into_model()
                }
                .boxed()
            };
            let answer = patiently(self.limits, ask).await.map_err(|error| vault.explain(error))?;
            let wrapped = answer.result.ok_or("the answer has no value")?;
            Ok(BASE64_URL_SAFE_NO_PAD.encode(wrapped))
        };
        let answer = self.limits.within(asked).await;
        answer.map_err(|reason| {
            format!("failed to encrypt sops data key with Azure Key Vault key '{key}': {reason}")
        })
    }

    /// Unwraps it.
    pub(in crate::keys) async fn unwrap(&self, key: &AzureKvKey, enc: &str) -> Result<Share, String> {
        let chain = self.chain("to decrypt")?;
        let wrapped = decode(enc)?;
        let vault = self.vault(key, chain, "to decrypt data")?;
        let asked = async {
            let ask = || {
                async {
                    let parameters = parameters(&wrapped).try_into()?;
                    vault.client.decrypt(&key.name, &key.version, parameters, None).await?.into_model()
                }
                .boxed()
            };
            let answer = patiently(self.limits, ask).await.map_err(|error| vault.explain(error))?;
            answer.result.map(Zeroizing::new).ok_or_else(|| "the answer has no value".to_owned())
        };
        let answer = self.limits.within(asked).await;
        answer.map_err(|reason| {
            format!("failed to decrypt sops data key with Azure Key Vault key '{key}': {reason}")
        })
    }

    fn http(&self) -> Result<Arc<dyn HttpClient>, String> {
        self.http.get_or_init(|| http_client(self.limits, Route::Environment)).clone()
    }

    fn chain(&self, purpose: &str) -> Result<Arc<Chain>, String> {
        let make = || Chain::new(self.settings.clone(), self.limits, self.http()?).map(Arc::new);
        let chain = self.chain.get_or_init(make).clone();
        chain.map_err(|reason| format!("failed to get Azure token credential {purpose}: {reason}"))
    }

    fn vault(&self, key: &AzureKvKey, chain: Arc<Chain>, purpose: &str) -> Result<Arc<Vault>, String> {
        let failed =
            |reason: String| format!("failed to construct Azure Key Vault client {purpose}: {reason}");
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = vaults.get(&key.vault_url) {
            return Ok(vault.clone());
        }
        let challenge = Arc::new(Challenge::default());
        let client_options = vault_options(self.http().map_err(failed)?, challenge.clone());
        let credential = Arc::new(Guest { chain: chain.clone(), challenge });
        let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
        let client = KeyClient::new(&key.vault_url, credential, Some(options))
            .map_err(|error| failed(error.to_string()))?;
        let vault = Arc::new(Vault { client, chain });
        vaults.insert(key.vault_url.clone(), vault.clone());
        Ok(vault)
    }
}

impl Vault {
    fn explain(&self, error: azure_core::Error) -> String {
        explain(error, self.chain.identity().as_deref())
    }
}

/// The chain in front of one vault: tokens come from the tenant that this vault names.
struct Guest {
    chain: Arc<Chain>,
    challenge: Arc<Challenge>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenCredential for Guest {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let token = self.chain.token(scope, self.challenge.tenant()).await;
        token.map_err(|error| azure_core::Error::new(ErrorKind::Credential, error))
    }
}

/// None addresses the newest one: a file may hold a key without a version.
fn version(key: &AzureKvKey) -> Option<String> {
    Some(key.version.clone()).filter(|version| !version.is_empty())
}

fn parameters(value: &[u8]) -> KeyOperationParameters {
    KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(value.to_vec()),
        ..KeyOperationParameters::default()
    }
}

/// The wrapped data key as bytes. Padding is an error; line breaks are passed over, as in the reference.
fn decode(enc: &str) -> Result<Vec<u8>, String> {
    let text: String = enc.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    LENIENT.decode(&text).map_err(|_| {
        let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        // without a wrong character it is a single one at the end that is too much
        let at = text.find(|c| !is_digit(c)).unwrap_or(text.len().saturating_sub(1));
        format!(
            "failed to base64 decode Azure Key Vault encrypted key: illegal base64 data at input byte {at}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_illegal() {
        let illegal = |at| {
            Err(format!(
                "failed to base64 decode Azure Key Vault encrypted key: illegal base64 data at input byte {at}"
            ))
        };
        assert_eq!(decode("_-8"), Ok(vec![0xff, 0xef]));
        assert_eq!(decode("_-8\n"), Ok(vec![0xff, 0xef]));
        // bits that stand for nothing
        assert_eq!(decode("_-9"), Ok(vec![0xff, 0xef]));
        assert_eq!(decode("_-8="), illegal(3));
        assert_eq!(decode("_/8"), illegal(1));
        assert_eq!(decode("AAAAA"), illegal(4));
    }
}
