//! The messages of the protocol (keyservice.md §1), and the keys in them.

use std::collections::BTreeMap;
use std::fmt;

use prost::{Message, Oneof};
use zeroize::Zeroize as _;

use crate::keys;

/// A question that has one answer.
pub(super) trait Call: Message + Clone + Default + 'static {
    /// What is answered.
    type Answer: Message + Default + 'static;
    /// How the method is called.
    const PATH: &'static str;
}

/// Please wrap this data key.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct EncryptRequest {
    #[prost(message, optional, tag = "1")]
    pub key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub plaintext: Vec<u8>,
}

/// It is wrapped.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct EncryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub ciphertext: Vec<u8>,
}

/// Please unwrap this data key.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct DecryptRequest {
    #[prost(message, optional, tag = "1")]
    pub key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub ciphertext: Vec<u8>,
}

/// It is unwrapped.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub plaintext: Vec<u8>,
}

impl Call for EncryptRequest {
    type Answer = EncryptResponse;
    const PATH: &'static str = "/KeyService/Encrypt";
}

impl Call for DecryptRequest {
    type Answer = DecryptResponse;
    const PATH: &'static str = "/KeyService/Decrypt";
}

impl fmt::Debug for EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecryptResponse([redacted])")
    }
}

impl Drop for EncryptRequest {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Drop for DecryptResponse {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

/// A key of any kind.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct Key {
    #[prost(oneof = "KeyType", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub key_type: Option<KeyType>,
}

/// The kind with what it consists of.
#[derive(Clone, PartialEq, Eq, Oneof)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub enum KeyType {
    #[prost(message, tag = "1")]
    Kms(KmsKey),
    #[prost(message, tag = "2")]
    Pgp(PgpKey),
    #[prost(message, tag = "3")]
    GcpKms(GcpKmsKey),
    #[prost(message, tag = "4")]
    AzureKeyVault(AzureKeyVaultKey),
    #[prost(message, tag = "5")]
    Vault(VaultKey),
    #[prost(message, tag = "6")]
    Age(AgeKey),
    #[prost(message, tag = "7")]
    Hckms(HckmsKey),
}

/// A PGP key.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct PgpKey {
    #[prost(string, tag = "1")]
    pub fingerprint: String,
}

/// A key of AWS KMS.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct KmsKey {
    #[prost(string, tag = "1")]
    pub arn: String,
    #[prost(string, tag = "2")]
    pub role: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub context: BTreeMap<String, String>,
    #[prost(string, tag = "4")]
    pub aws_profile: String,
}

/// A key of Google Cloud KMS.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct GcpKmsKey {
    #[prost(string, tag = "1")]
    pub resource_id: String,
}

/// A key of a Vault transit engine.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct VaultKey {
    #[prost(string, tag = "1")]
    pub vault_address: String,
    #[prost(string, tag = "2")]
    pub engine_path: String,
    #[prost(string, tag = "3")]
    pub key_name: String,
}

/// A key of Azure Key Vault.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct AzureKeyVaultKey {
    #[prost(string, tag = "1")]
    pub vault_url: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub version: String,
}

/// An age recipient.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct AgeKey {
    #[prost(string, tag = "1")]
    pub recipient: String,
}

/// A key of HuaweiCloud KMS.
#[derive(Clone, PartialEq, Eq, Message)]
#[expect(missing_docs, reason = "the names of the protocol")]
pub struct HckmsKey {
    #[prost(string, tag = "1")]
    pub key_id: String,
}

impl From<&keys::Key> for Key {
    fn from(key: &keys::Key) -> Self {
        let key_type = match key {
            keys::Key::AwsKms(key) => {
                // the protocol has no values that are null
                let pair = |(name, value): &(String, Option<String>)| {
                    (name.clone(), value.clone().unwrap_or_default())
                };
                KeyType::Kms(KmsKey {
                    arn: key.arn.clone(),
                    role: key.role.clone(),
                    context: key.context.iter().map(pair).collect(),
                    aws_profile: key.profile.clone(),
                })
            }
            keys::Key::GcpKms(key) => KeyType::GcpKms(GcpKmsKey { resource_id: key.resource_id.clone() }),
            keys::Key::HcKms(key) => KeyType::Hckms(HckmsKey { key_id: key.to_string() }),
            keys::Key::AzureKv(key) => KeyType::AzureKeyVault(AzureKeyVaultKey {
                vault_url: key.vault_url.clone(),
                name: key.name.clone(),
                version: key.version.clone(),
            }),
            keys::Key::HcVault(key) => KeyType::Vault(VaultKey {
                vault_address: key.address.clone(),
                engine_path: key.engine_path.clone(),
                key_name: key.key_name.clone(),
            }),
            keys::Key::Pgp(key) => KeyType::Pgp(PgpKey { fingerprint: key.fingerprint.clone() }),
            keys::Key::Age(key) => KeyType::Age(AgeKey { recipient: key.recipient.clone() }),
        };
        Self { key_type: Some(key_type) }
    }
}

/// What is wrong with a key that came over the wire. Displays the reference's wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadKeyError {
    /// There is none, or it is of a kind that did not exist when this was written.
    Missing,
    /// Its parts are none of such a key.
    Malformed(keys::ParseKeyError),
}

impl fmt::Display for ReadKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Must provide a key"),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadKeyError {}

impl TryFrom<Key> for keys::Key {
    type Error = ReadKeyError;

    fn try_from(key: Key) -> Result<Self, ReadKeyError> {
        Ok(match key.key_type.ok_or(ReadKeyError::Missing)? {
            KeyType::Kms(key) => Self::AwsKms(keys::AwsKmsKey {
                arn: key.arn,
                role: key.role,
                context: key.context.into_iter().map(|(name, value)| (name, Some(value))).collect(),
                profile: key.aws_profile,
            }),
            KeyType::Pgp(key) => Self::Pgp(keys::PgpKey { fingerprint: key.fingerprint }),
            KeyType::GcpKms(key) => Self::GcpKms(keys::GcpKmsKey { resource_id: key.resource_id }),
            KeyType::AzureKeyVault(key) => Self::AzureKv(keys::AzureKvKey {
                vault_url: key.vault_url,
                name: key.name,
                version: key.version,
            }),
            KeyType::Vault(key) => Self::HcVault(keys::HcVaultKey {
                address: key.vault_address,
                engine_path: key.engine_path,
                key_name: key.key_name,
            }),
            KeyType::Age(key) => Self::Age(keys::AgeKey { recipient: key.recipient }),
            KeyType::Hckms(key) => {
                Self::HcKms(keys::HcKmsKey::parse(&key.key_id).map_err(ReadKeyError::Malformed)?)
            }
        })
    }
}
