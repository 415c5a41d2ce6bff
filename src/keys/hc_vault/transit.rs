//! Data keys through a transit engine (keys.md §8.3, §8.4).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::{Authenticated, Refusal, VaultClient, VaultError};
use super::settings::VaultSettings;
use super::{HcVaultKey, allowlist};
use crate::keys::Share;
use crate::keys::remote::{Limits, hinted};

/// Wraps and unwraps with keys of any Vault, each with a client of its own.
pub(in crate::keys) struct Transit {
    settings: VaultSettings,
    limits: Limits,
    /// By address.
    clients: Mutex<BTreeMap<String, Arc<VaultClient>>>,
}

impl Transit {
    pub(in crate::keys) fn new(settings: VaultSettings, limits: Limits) -> Self {
        Self { settings, limits, clients: Mutex::default() }
    }

    /// The ciphertext as the server gives it.
    pub(in crate::keys) async fn wrap(&self, key: &HcVaultKey, share: &[u8]) -> Result<String, String> {
        let client = self.client(key)?;
        let path = format!("{}/encrypt/{}", key.engine_path, key.key_name);
        let plaintext = Zeroizing::new(STANDARD.encode(share));
        // base64 needs no escapes; the text is wiped once it is sent
        let body = Zeroizing::new(format!("{{\"plaintext\":\"{}\"}}", *plaintext).into_bytes());
        let failed =
            |reason| format!("failed to encrypt sops data key to Vault transit backend '{path}': {reason}");
        let answer = client.request(Method::PUT, &path, Bytes::from_owner(body)).await;
        let mut answer = answer.map_err(|error| failed(reason(error, &path, key, &client)))?;
        let missing = ("no encrypted data", "encrypted ciphertext cannot be cast to string");
        member(&mut answer, "ciphertext", missing).map_err(failed)
    }

    /// The data key, or a share of it.
    pub(in crate::keys) async fn unwrap(&self, key: &HcVaultKey, enc: &str) -> Result<Share, String> {
        let client = self.client(key)?;
        let path = format!("{}/decrypt/{}", key.engine_path, key.key_name);
        let body = Bytes::from(format!("{{\"ciphertext\":{}}}", Value::from(enc)));
        let failed =
            |reason| format!("failed to decrypt sops data key from Vault transit backend '{path}': {reason}");
        let answer = client.request(Method::PUT, &path, body).await;
        let mut answer = answer.map_err(|error| failed(reason(error, &path, key, &client)))?;
        let missing = ("no decrypted data", "decrypted plaintext data cannot be cast to string");
        let plaintext = member(&mut answer, "plaintext", missing).map(Zeroizing::new).map_err(failed)?;
        let share = STANDARD.decode(plaintext.as_bytes());
        share
            .map(Zeroizing::new)
            .map_err(|_| failed("cannot decode base64 plaintext into data key bytes".to_owned()))
    }

    /// One for each address; what the list of servers says comes first.
    fn client(&self, key: &HcVaultKey) -> Result<Arc<VaultClient>, String> {
        allowlist::check(self.settings.allowlist.as_deref(), &key.address)?;
        // nobody panics with it in hand
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key.address) {
            return Ok(client.clone());
        }
        let client = Arc::new(VaultClient::new(&self.settings, &key.address, self.limits)?);
        clients.insert(key.address.clone(), client.clone());
        Ok(client)
    }
}

/// A text below `data`, or what is wrong with it: that it is missing, or no text.
fn member(answer: &mut Value, name: &str, problems: (&str, &str)) -> Result<String, String> {
    let Some(data) = answer.get_mut("data").and_then(Value::as_object_mut) else {
        return Err(hinted(
            "transit backend is empty",
            "the server answers as Vault does, but without data: check the address and the path of the engine",
        ));
    };
    match data.remove(name) {
        None => Err(problems.0.to_owned()),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(problems.1.to_owned()),
    }
}

fn reason(error: VaultError, path: &str, key: &HcVaultKey, client: &VaultClient) -> String {
    match error {
        VaultError::Failed(reason) => reason,
        VaultError::Refused(refusal) => match remedy(&refusal, path, key, client) {
            Some(hint) => hinted(&refusal.to_string(), &hint),
            None => refusal.to_string(),
        },
    }
}

/// What usually helps.
fn remedy(refusal: &Refusal, path: &str, key: &HcVaultKey, client: &VaultClient) -> Option<String> {
    let says = |words: &str| refusal.errors.iter().any(|error| error.to_lowercase().contains(words));
    let HcVaultKey { engine_path: engine, key_name: name, .. } = key;
    Some(if says("sealed") {
        "somebody has to unseal the server: `vault operator unseal`".to_owned()
    } else if matches!(refusal.status, 400..=403)
        && (says("missing client token") || client.authenticated() == Authenticated::WithoutToken)
    {
        "there is no token: set VAULT_TOKEN, or let `vault login` write ~/.vault-token".to_owned()
    } else if says("invalid token") || says("bad token") || says("token expired") {
        "the token has expired, was revoked, or is of another server or namespace: `vault login`".to_owned()
    } else if refusal.status == 403 {
        let namespace = match client.namespace() {
            Some(name) => format!(" in the namespace {name}"),
            None => " (VAULT_NAMESPACE is not set)".to_owned(),
        };
        format!(
            "the policy of the token must allow update on {path}{namespace}; `vault token lookup` tells whether the \
             token has expired"
        )
    } else if says("encryption key not found") {
        format!("{engine} has no key {name}: `vault write -f {engine}/keys/{name}` makes one")
    } else if says("no handler for route") || says("unsupported path") || says("route entry not found") {
        let namespace = match client.namespace() {
            Some(name) => format!("the namespace {name}"),
            None => "the root namespace, which VAULT_NAMESPACE changes".to_owned(),
        };
        format!(
            "there is no transit engine at {engine} in {namespace}: `vault secrets enable -path={engine} transit`"
        )
    } else if says("too old") || says("disallowed by policy") {
        format!(
            "the min_decryption_version of {name} is higher than the version with which this was encrypted"
        )
    } else if says("invalid ciphertext") || says("authentication failed") || says("unable to decrypt") {
        format!("the enc of this key is damaged, or was not made with {name}")
    } else if refusal.status == 429 {
        match refusal.pause {
            Some(pause) if !pause.is_zero() => {
                format!("too many requests for the quota of the server: try again in {} s", pause.as_secs())
            }
            _ => "too many requests for the quota of the server: try again later".to_owned(),
        }
    } else if refusal.status == 404 {
        "check the address and the path of the engine".to_owned()
    } else if matches!(refusal.status, 412 | 472 | 473 | 500..) {
        "the server cannot answer now: try again, or ask those who run it".to_owned()
    } else {
        return None;
    })
}
