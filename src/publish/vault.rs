//! Key-value engines of Vault (publish-audit.md A7).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Number, Value as Json, json};
use zeroize::Zeroizing;

use crate::config::KvVersion;
use crate::keys::hc_vault::client::{Refusal, VaultClient, VaultError};
use crate::keys::hc_vault::uri::without_credentials;
use crate::keys::remote::{block_on, hinted};
use crate::keys::{Limits, VaultSettings};
use crate::tree::{Branch, Element, Item, Scalar, Tree, Value};

/// Which server is meant: its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The one that a rule names.
    OfRule(String),
    /// The one of the environment, in whose place an agent may stand (`VAULT_AGENT_ADDR`).
    OfEnvironment(String),
}

impl Server {
    fn address(&self) -> &str {
        match self {
            Self::OfRule(address) | Self::OfEnvironment(address) => address,
        }
    }
}

/// Where a document goes. Displays as the prompt shows it: without a password that the address may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    server: Server,
    path: String,
    version: KvVersion,
}

/// What Vault has under the path of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The same document.
    Same,
    /// Another one, or none.
    Other,
    /// That cannot be seen, for this reason.
    Unseen(String),
}

/// A document that Vault has not got yet.
pub struct SecretUpload {
    client: Arc<VaultClient>,
    secret: Secret,
    new: Json,
}

impl Secret {
    /// From a rule, in which slashes and the mount may be missing.
    pub fn new(server: Server, mount: &str, version: KvVersion, path: &str, name: &str) -> Self {
        let ended = |text: &str| if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
        let mount = ended(if mount.is_empty() { "secret" } else { mount });
        let data = match version {
            KvVersion::V1 => "",
            KvVersion::V2 => "data/",
        };
        Self { server, path: format!("{mount}{data}{}{name}", ended(path)), version }
    }

    /// The server.
    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// The path behind `/v1/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1/{}", without_credentials(self.server.address()), self.path)
    }
}

/// A client of this server. Unlike for keys, of the tokens only `VAULT_TOKEN` counts, and no agent stands in for a server
/// that a rule names: the document is in clear.
pub(super) fn client(settings: &VaultSettings, server: &Server) -> Result<VaultClient, String> {
    let limits = match settings.client_timeout {
        Some(_) => Limits::default(),
        None => Limits { total: Duration::from_secs(60), ..Limits::default() },
    };
    let mut settings = VaultSettings { home: None, ..settings.clone() };
    if let Server::OfRule(_) = server {
        settings.agent_addr = None;
    }
    VaultClient::new(&settings, server.address(), limits)
}

impl SecretUpload {
    /// Fails if the document cannot be JSON.
    pub(super) fn new(client: Arc<VaultClient>, secret: Secret, tree: &Tree) -> Result<Self, String> {
        Ok(Self { client, secret, new: Json::Object(document(tree)?) })
    }

    /// What is there already.
    pub fn existing(&self) -> Result<Existing, String> {
        let found = block_on(self.client.request(Method::GET, &self.secret.path, Bytes::new()))?;
        Ok(match &found {
            Ok(answer) if same(stored(answer, self.secret.version), &self.new) => Existing::Same,
            Ok(_) => Existing::Other,
            Err(VaultError::Refused(refusal)) if refusal.status == 404 => Existing::Other,
            Err(VaultError::Refused(refusal)) => Existing::Unseen(in_a_line(refusal)),
            Err(VaultError::Failed(reason)) => {
                Existing::Unseen(reason.lines().next().unwrap_or_default().to_owned())
            }
        })
    }

    /// Writes it, as a new version where the engine has versions.
    pub fn write(self) -> Result<(), String> {
        let body = match self.secret.version {
            KvVersion::V1 => self.new,
            KvVersion::V2 => json!({ "data": self.new }),
        };
        let body = serde_json::to_vec(&body).map_err(|error| format!("the document is no JSON: {error}"))?;
        // the document in clear is wiped once it is sent
        let body = Bytes::from_owner(Zeroizing::new(body));
        match block_on(self.client.request(Method::PUT, &self.secret.path, body))? {
            Ok(_) => Ok(()),
            Err(VaultError::Failed(reason)) => Err(reason),
            Err(VaultError::Refused(refusal)) => Err(match refusal.status {
                403 => hinted(
                    &refusal.to_string(),
                    "VAULT_TOKEN needs a policy with create and update for this path",
                ),
                404 => hinted(
                    &refusal.to_string(),
                    "check vault_kv_mount_name and vault_kv_version of the rule, and VAULT_NAMESPACE",
                ),
                _ => refusal.to_string(),
            }),
        }
    }
}

fn in_a_line(refusal: &Refusal) -> String {
    let reasons = refusal.errors.join("; ");
    let reasons: Vec<&str> = reasons.split_whitespace().collect();
    format!("HTTP {}: {}", refusal.status, reasons.join(" "))
}

fn stored(answer: &Json, version: KvVersion) -> &Json {
    match version {
        KvVersion::V1 => &answer["data"],
        KvVersion::V2 => &answer["data"]["data"],
    }
}

/// Equal as JSON: a number is its value, however it is written.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// All documents in one; of equal keys at the top the last counts.
fn document(tree: &Tree) -> Result<Map<String, Json>, String> {
    let mut all = Map::new();
    for branch in &tree.branches {
        all.extend(map(branch)?);
    }
    Ok(all)
}

/// Comments have no place in JSON.
fn map(branch: &Branch) -> Result<Map<String, Json>, String> {
    let entries = branch.items.iter().filter_map(|item| match item {
        Item::Comment(_) => None,
        Item::Entry { key, value } => Some((key, value)),
    });
    entries.map(|(key, value)| Ok((name(key)?, json_of(value)?))).collect()
}

fn name(key: &Scalar) -> Result<String, String> {
    Ok(match scalar(key)? {
        Json::String(text) => text,
        other => other.to_string(),
    })
}

fn json_of(value: &Value) -> Result<Json, String> {
    match value {
        Value::Scalar(leaf) => scalar(leaf),
        Value::Map(branch) => map(branch).map(Json::Object),
        Value::List(elements) => {
            let values = elements.iter().filter_map(|element| match element {
                Element::Comment(_) => None,
                Element::Value(value) => Some(json_of(value)),
            });
            values.collect::<Result<_, _>>().map(Json::Array)
        }
    }
}

fn scalar(leaf: &Scalar) -> Result<Json, String> {
    Ok(match leaf {
        Scalar::Null => Json::Null,
        Scalar::Bool(value) => Json::Bool(*value),
        Scalar::Int(value) => Json::from(*value),
        Scalar::Uint(value) => Json::from(*value),
        Scalar::Float(value) => {
            Json::Number(Number::from_f64(*value).ok_or("Vault cannot hold a number that is not finite")?)
        }
        Scalar::Time(time) => Json::String(time.to_string()),
        Scalar::Text(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => Json::String(text.to_owned()),
            Err(_) => return Err("Vault cannot hold text that is not UTF-8".to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_the_mount_are_filled_in() {
        let server = |address: &str| Server::OfRule(address.to_owned());
        let path = |mount, version, path| Secret::new(server("a"), mount, version, path, "barfoo").path;
        assert_eq!(path("", KvVersion::V2, "foobar"), "secret/data/foobar/barfoo");
        assert_eq!(path("kv/", KvVersion::V1, "barfoo/"), "kv/barfoo/barfoo");
        let shown = Secret::new(server("https://x/"), "", KvVersion::V2, "p", "n").to_string();
        assert_eq!(shown, "https://x//v1/secret/data/p/n");
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        assert!(same(&json!({"a": 1, "b": [1.0]}), &json!({"b": [1], "a": 1.0})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 2})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": null})));
        assert!(!same(&Json::Null, &json!({})));
    }
}
