//! Recipients: who can open a data key (keys.md §2.1, §2.2).

use std::fmt;

use age::Recipient as _;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rsa::BigUint;
use zeroize::Zeroizing;

use super::bech32::{self, Bech32Error};
use super::plugin;
use super::{armor, envelope, hybrid, ssh};
use crate::keys::{Prompt, base64_text};

/// A recipient. Its text, an ssh comment included, is the name of the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    X25519,
    Hybrid,
    Plugin,
    Ssh,
}

/// Why a text is no recipient. Displays the reference's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientError {
    /// No rule fits.
    UnknownType(String),
    /// `age1…` or `age1pq1…`: the text and the cause.
    Native(String, NativeError),
    /// `age1name1…`.
    Plugin(PluginNameError),
    /// `ssh-…`: the text and the reason.
    Ssh(String, String),
    /// `ssh-…` of a type that age does not know.
    SshType(String),
}

/// What is wrong with a native key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NativeError {
    /// Not Bech32.
    Bech32(Bech32Error),
    /// Something else in front.
    Type(String),
    /// Another length, or a point that protects nothing.
    Key(&'static str),
}

/// What is wrong with the text of a plugin's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginNameError {
    /// Not Bech32.
    Bech32(Bech32Error),
    /// A name that could name another program.
    Name(String),
}

impl fmt::Display for NativeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bech32(error) => error.fmt(f),
            Self::Type(hrp) => write!(f, "invalid type {hrp:?}"),
            Self::Key(kind) => write!(f, "invalid {kind} public key"),
        }
    }
}

impl fmt::Display for PluginNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bech32(error) => write!(f, "invalid recipient encoding: {error}"),
            Self::Name(name) => write!(f, "invalid plugin name: {name:?}"),
        }
    }
}

impl fmt::Display for RecipientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(text) if is_identity(text) => f.write_str(
                "failed to parse input, unknown recipient type: this is an identity, which is secret\n\
                 hint: name its recipient, which begins with age1; `age-keygen -y` tells it",
            ),
            Self::UnknownType(text) => {
                write!(f, "failed to parse input, unknown recipient type: {text:?}")
            }
            Self::Native(text, error) => write!(
                f,
                "failed to parse input as Bech32-encoded age public key: malformed recipient {text:?}: {error}"
            ),
            Self::Plugin(error) => write!(f, "failed to parse input as age key from age plugin: {error}"),
            Self::Ssh(text, reason) => write!(
                f,
                "failed to parse input as age-ssh public key: malformed SSH recipient: {text:?}: {reason}"
            ),
            Self::SshType(name) => {
                write!(f, "failed to parse input as age-ssh public key: unknown SSH recipient type: {name:?}")
            }
        }
    }
}

/// Whether it is a secret key, which must not be shown.
fn is_identity(text: &str) -> bool {
    let text = text.trim().to_ascii_uppercase();
    ["AGE-SECRET-KEY-", "AGE-PLUGIN-"].iter().any(|prefix| text.starts_with(prefix))
}

impl std::error::Error for RecipientError {}

/// Why a data key cannot be wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrapError(String);

impl fmt::Display for WrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to create writer for encrypting sops data key with age: ")?;
        write!(f, "failed to wrap key for recipient #0: {}", self.0)
    }
}

impl std::error::Error for WrapError {}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipient").field(&self.text).finish()
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Recipient {
    /// Reads one recipient, white space around it allowed (keys.md §2.1). No plugin is started for it.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let kind = match text {
            _ if text.starts_with("age1pq1") => {
                native(text, "age1pq", "MLKEM768-X25519", |key| {
                    hybrid::Recipient::from_bytes(key).is_some()
                })?;
                Kind::Hybrid
            }
            _ if text.strip_prefix("age1").is_some_and(|rest| rest.contains('1')) => {
                plugin::recipient_name(text).map_err(RecipientError::Plugin)?;
                Kind::Plugin
            }
            _ if text.starts_with("age1") => {
                native(text, "age", "X25519", |key| key.len() == 32)?;
                Kind::X25519
            }
            _ if text.starts_with("ssh-") => {
                ssh_key(text)?;
                Kind::Ssh
            }
            _ => return Err(RecipientError::UnknownType(text.to_owned())),
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// The text as given, trimmed: the name of the key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Wraps a data key: an armored age file for this one recipient, final newline included (keys.md §2.2).
    pub fn wrap(&self, data_key: &[u8], prompt: &dyn Prompt) -> Result<String, WrapError> {
        let file_key = envelope::new_file_key().map_err(|error| WrapError(error.0))?;
        let refused = |error: age::EncryptError| WrapError(error.to_string());
        let stanzas = match self.kind {
            Kind::Plugin => plugin::wrap(&self.text, &file_key, prompt).map_err(WrapError)?,
            Kind::X25519 => {
                let key = native(&self.text, "age", "X25519", |key| !hybrid::is_low_order(key));
                key.map_err(|error| WrapError(error.to_string()))?;
                let recipient: age::x25519::Recipient =
                    self.text.parse().map_err(|reason: &str| WrapError(reason.to_owned()))?;
                recipient.wrap_file_key(&file_key).map_err(refused)?.0
            }
            Kind::Hybrid => {
                let key = native(&self.text, "age1pq", "MLKEM768-X25519", |_| true);
                let key = key.map_err(|error| WrapError(error.to_string()))?;
                let recipient = hybrid::Recipient::from_bytes(&key)
                    .ok_or_else(|| WrapError("invalid MLKEM768-X25519 public key".to_owned()))?;
                recipient.wrap_file_key(&file_key).map_err(refused)?.0
            }
            Kind::Ssh => {
                let recipient = ssh_key(&self.text).map_err(|error| WrapError(error.to_string()))?;
                recipient.wrap_file_key(&file_key).map_err(refused)?.0
            }
        };
        let file = envelope::seal(&stanzas, &file_key, data_key).map_err(|error| WrapError(error.0))?;
        Ok(armor::encode(&file))
    }
}

fn native(
    text: &str,
    hrp: &str,
    kind: &'static str,
    is_key: impl FnOnce(&[u8]) -> bool,
) -> Result<Zeroizing<Vec<u8>>, RecipientError> {
    let wrong = |error| RecipientError::Native(text.to_owned(), error);
    let decoded = bech32::decode(text).map_err(|error| wrong(NativeError::Bech32(error)))?;
    match decoded {
        decoded if decoded.hrp != hrp => Err(wrong(NativeError::Type(decoded.hrp.to_owned()))),
        decoded if !is_key(&decoded.data) => Err(wrong(NativeError::Key(kind))),
        decoded => Ok(decoded.data),
    }
}

/// Reads `ssh-… base64 [comment]`. As in the reference the type counts that the key itself states.
///
/// RSA keys are read here because the age crate refuses those above 4096 bits and panics on some numbers.
pub(super) fn ssh_key(text: &str) -> Result<age::ssh::Recipient, RecipientError> {
    let wrong = |reason: &str| RecipientError::Ssh(text.to_owned(), reason.to_owned());
    let ignored =
        |why: &str| wrong(&format!("ssh: no key found; last parsing error for ignored line: {why}"));
    let short = || ignored("ssh: short read");
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty()).skip(1);
    let encoded = words.next().ok_or_else(|| wrong("ssh: no key found"))?;
    let wire = BASE64_STANDARD.decode(encoded);
    let wire = wire.map_err(|error| ignored(&base64_text::reason(encoded.len(), &error)))?;
    let mut rest = wire.as_slice();
    match ssh::wire_string(&mut rest).ok_or_else(short)? {
        b"ssh-ed25519" => match ssh::wire_string(&mut rest).ok_or_else(short)?.len() {
            32 => format!("ssh-ed25519 {encoded}")
                .parse()
                .map_err(|_| wrong("invalid Ed25519 public key: edwards25519: invalid point encoding")),
            length => Err(ignored(&format!("invalid size {length} for Ed25519 public key"))),
        },
        b"ssh-rsa" => {
            let mut number = || ssh::wire_string(&mut rest).map(BigUint::from_bytes_be).ok_or_else(short);
            let (e, n) = (number()?, number()?);
            match e.bits() {
                25.. => return Err(ignored("ssh: exponent too large")),
                bits if bits < 2 || e.to_bytes_le().first().is_some_and(|low| low % 2 == 0) => {
                    return Err(ignored("ssh: incorrect exponent"));
                }
                _ if n.bits() < ssh::MIN_RSA_BITS => return Err(wrong("RSA key size is too small")),
                _ => {}
            }
            let key = rsa::RsaPublicKey::new_with_max_size(n, e, ssh::MAX_RSA_BITS);
            let key = key.map_err(|error| wrong(&error.to_string()))?;
            Ok(age::ssh::Recipient::SshRsa(wire, key))
        }
        other => match String::from_utf8_lossy(other) {
            name if ["ssh-dss", "ecdsa-sha2-", "sk-"].iter().any(|known| name.starts_with(known)) => {
                Err(RecipientError::SshType(name.into_owned()))
            }
            name => Err(ignored(&format!("ssh: unknown key algorithm: {name}"))),
        },
    }
}
