//! Master keys: whom the data key is wrapped for, and how it is recovered (keys.md, cli.md §7).
//!
//! A new kind is a file here, a variant of [`Key`] and a row of [`Kind::ALL`]; the compiler finds the rest.

#[cfg(feature = "age")]
pub mod age;
mod age_key;
#[cfg(any(feature = "age", feature = "pgp"))]
mod agent;
mod ask;
#[cfg(feature = "aws")]
pub(crate) mod aws;
mod aws_kms;
mod azure_kv;
#[cfg(any(feature = "age", feature = "aws", feature = "gcp", feature = "huawei"))]
mod base64_text;
mod changes;
mod failure;
#[cfg(test)]
mod fakes;
pub(crate) mod gcp_kms;
pub(crate) mod hc_vault;
mod hckms;
#[cfg(any(feature = "huawei", feature = "vault"))]
mod http;
mod local;
mod order;
#[cfg(any(feature = "azure", feature = "gcp", feature = "huawei", feature = "vault"))]
mod patience;
mod pgp;
#[cfg(any(feature = "age", feature = "pgp"))]
mod prompt;
mod recover;
pub(crate) mod remote;
mod service;
mod wrap;

use std::fmt;

use crate::tree::{Element, Text, Timestamp, Value};

/// Texts that are wiped, as the public surface takes them.
#[cfg(any(feature = "age", feature = "pgp"))]
pub use secrecy;

pub use age_key::AgeKey;
#[cfg(any(feature = "age", feature = "pgp"))]
pub use agent::Agent;
#[cfg(feature = "aws")]
pub use aws::{AccessKey, AwsSettings};
#[cfg(feature = "aws")]
pub use aws_kms::AwsKms;
pub use aws_kms::AwsKmsKey;
pub use azure_kv::AzureKvKey;
#[cfg(feature = "azure")]
pub use azure_kv::{AzureSettings, AzureVaults};
pub use changes::{GroupChanges, compare};
pub use failure::{KeyFailure, RecoverError, Words};
pub use gcp_kms::GcpKmsKey;
#[cfg(feature = "gcp")]
pub use gcp_kms::{GcpCredentialSources, GcpKmsSettings};
pub use hc_vault::HcVaultKey;
#[cfg(feature = "vault")]
pub use hc_vault::VaultSettings;
pub use hckms::HcKmsKey;
#[cfg(feature = "huawei")]
pub use hckms::HuaweiSettings;
pub use local::{LocalKeys, Settings};
pub use order::{DecryptionOrder, DuplicateKind};
pub use pgp::PgpKey;
#[cfg(feature = "pgp")]
pub use pgp::{GnupgHome, PgpSettings};
#[cfg(any(feature = "age", feature = "pgp"))]
pub use prompt::{Prompt, Silent};
pub use recover::recover;
#[cfg(feature = "audit")]
pub(crate) use remote::block_on;
#[cfg(feature = "keyservice")]
pub(crate) use remote::hinted;
pub use remote::{Limits, ParseLimitsError};
pub use service::{Answer, KeyService, Share};
pub use wrap::{WrapFailure, wrap};

/// A kind of master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the services")]
pub enum Kind {
    AwsKms,
    GcpKms,
    HcKms,
    AzureKv,
    HcVault,
    Pgp,
    Age,
}

impl Kind {
    /// All kinds, in the order in which the keys of a loaded group are kept (format.md §9.4).
    pub const ALL: [Self; 7] =
        [Self::AwsKms, Self::GcpKms, Self::HcKms, Self::AzureKv, Self::HcVault, Self::Pgp, Self::Age];

    /// Its name in metadata and in `--decryption-order` (keys.md §1.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsKms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HcKms => "hckms",
            Self::AzureKv => "azure_kv",
            Self::HcVault => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }
}

/// Who can unwrap a data key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the kinds")]
pub enum Key {
    AwsKms(AwsKmsKey),
    GcpKms(GcpKmsKey),
    HcKms(HcKmsKey),
    AzureKv(AzureKvKey),
    HcVault(HcVaultKey),
    Pgp(PgpKey),
    Age(AgeKey),
}

impl Key {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AwsKms(_) => Kind::AwsKms,
            Self::GcpKms(_) => Kind::GcpKms,
            Self::HcKms(_) => Kind::HcKms,
            Self::AzureKv(_) => Kind::AzureKv,
            Self::HcVault(_) => Kind::HcVault,
            Self::Pgp(_) => Kind::Pgp,
            Self::Age(_) => Kind::Age,
        }
    }
}

/// The name under which keys are shown and compared (cli.md §7.3).
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwsKms(key) => key.fmt(f),
            Self::GcpKms(key) => key.fmt(f),
            Self::HcKms(key) => key.fmt(f),
            Self::AzureKv(key) => key.fmt(f),
            Self::HcVault(key) => key.fmt(f),
            Self::Pgp(key) => key.fmt(f),
            Self::Age(key) => key.fmt(f),
        }
    }
}

impl Key {
    /// The name for messages. Addresses of Vault may have a password, by which such keys are compared all the same.
    pub fn shown(&self) -> String {
        match self {
            Self::HcVault(key) => key.shown(),
            other => other.to_string(),
        }
    }
}

/// A text that names no key of its kind. Displays the reference's wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseKeyError(String);

impl ParseKeyError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for ParseKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseKeyError {}

/// What the keys of a list have in common.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// For AWS: the profile that is stored with the keys.
    pub aws_profile: String,
    /// For AWS: the encryption context.
    pub encryption_context: Vec<(String, String)>,
}

impl Kind {
    /// The keys of a comma-separated list, as flags, variables and rules have it (cli.md §6.2).
    pub fn parse_list(self, list: &str, common: &Common) -> Result<Vec<Key>, ParseKeyError> {
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let elements = list.split(',');
        let without_spaces = |text: &str| text.replace(' ', "");
        match self {
            Self::AwsKms => {
                elements.map(|e| Ok(Key::AwsKms(AwsKmsKey::parse(&without_spaces(e), common)))).collect()
            }
            Self::GcpKms => {
                elements.map(|e| Ok(Key::GcpKms(GcpKmsKey { resource_id: without_spaces(e) }))).collect()
            }
            Self::Pgp => elements.map(|e| Ok(Key::Pgp(PgpKey { fingerprint: without_spaces(e) }))).collect(),
            Self::HcKms => elements
                .map(str::trim)
                .filter(|e| !e.is_empty())
                .map(|e| HcKmsKey::parse(e).map(Key::HcKms))
                .collect(),
            Self::AzureKv => elements.map(|e| AzureKvKey::parse(e.trim()).map(Key::AzureKv)).collect(),
            Self::HcVault => {
                elements.filter(|e| !e.is_empty()).map(|e| HcVaultKey::parse(e).map(Key::HcVault)).collect()
            }
            Self::Age => elements.map(|e| AgeKey::parse(e.trim()).map(Key::Age)).collect(),
        }
    }
}

/// A key with the data key wrapped for it.
#[derive(Clone)]
pub struct MasterKey {
    /// Whom it is wrapped for.
    pub key: Key,
    /// The wrapped data key, or a share of it; empty until it is wrapped.
    pub enc: String,
    /// When the key was added to the file, RFC 3339; empty if the file does not say. Not stored for age.
    pub created_at: String,
    /// Fields that this release does not know, kept for those that do.
    pub unknown: Vec<(Text, Value)>,
}

impl MasterKey {
    /// A key that nothing is wrapped for yet, added now.
    pub fn new(key: Key) -> Self {
        Self { key, enc: String::new(), created_at: Timestamp::now().whole_seconds(), unknown: Vec::new() }
    }
}

/// Keys of which any one suffices. Of several groups, a threshold must succeed.
#[derive(Clone, Default)]
pub struct KeyGroup {
    /// In the order of the rule or the file.
    pub keys: Vec<MasterKey>,
    /// Lists of kinds that this release does not know.
    pub unknown: Vec<(Text, Value)>,
}

impl KeyGroup {
    /// A group of keys that nothing is wrapped for yet.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Self {
        Self { keys: keys.into_iter().map(MasterKey::new).collect(), unknown: Vec::new() }
    }

    /// Takes away every key of this name, of whatever kind and however often it is there (cli.md §9.3).
    pub fn remove(&mut self, key: &Key) {
        let name = key.to_string();
        self.keys.retain(|kept| kept.key.to_string() != name);
    }
}

/// Names of the lists of keys among entries that this release does not know: kinds that a newer one has. Keys of all
/// kinds hold what is wrapped for them in `enc` (format.md §9.3).
pub(crate) fn unknown_kinds(entries: &[(Text, Value)]) -> impl Iterator<Item = String> {
    let is_key = |element: &Element| match element {
        Element::Value(Value::Map(fields)) => fields.get("enc").is_some(),
        _ => false,
    };
    entries.iter().filter_map(move |(name, value)| match value {
        Value::List(elements) if elements.iter().any(is_key) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}
