//! OpenSSH and PEM private keys as identities (keys.md §2.6).

use std::fmt;
use std::sync::OnceLock;

use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use curve25519_dalek::edwards::EdwardsPoint;
use rsa::pkcs8::PrivateKeyInfo;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256, Sha512};
use zeroize::{Zeroize, Zeroizing};

use super::opened::Opened;
use super::pem::{PemBlock, Protection};
use super::recipient::RecipientError;
use super::unwrap::Cause;
use super::{recipient, unwrap};
use crate::keys::Prompt;
use crate::os_error::os_text;

/// age makes no stanza for smaller keys.
pub(super) const MIN_RSA_BITS: usize = 2048;
/// What OpenSSH makes at most.
pub(super) const MAX_RSA_BITS: usize = 16384;

const WRONG_PASSPHRASE: &str = "x509: decryption password incorrect";
const OPENSSH_MAGIC: &[u8] = b"openssh-key-v1\0";
/// The object identifier 1.3.101.112, in DER.
const ED25519_OID: &[u8] = &[0x2b, 0x65, 0x70];
/// rsaEncryption, 1.2.840.113549.1.1.1.
const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// Where a key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(String),
    /// `SOPS_AGE_SSH_PRIVATE_KEY_CMD`.
    Command,
}

/// Why a private key cannot serve. Displays the reference's text where the crates can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeyError {
    origin: Origin,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    NoKey,
    UnsupportedType(&'static str),
    UnsupportedLabel(String),
    UnsupportedCipher(String),
    Protected,
    /// The public key's file does not open.
    OpenPublic(String),
    /// The public key's file holds none.
    NoPublic,
    /// The public key is of no use.
    UnusablePublic(String),
    Malformed(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("ssh: no key found"),
            Self::UnsupportedType(name) => write!(f, "unsupported SSH identity type: {name}"),
            Self::UnsupportedLabel(label) => write!(f, "ssh: unsupported key type {label:?}"),
            Self::UnsupportedCipher(cipher) => write!(f, "ssh: unsupported cipher {cipher:?}"),
            Self::Protected => f.write_str("ssh: this private key is passphrase protected"),
            Self::Malformed(what) => f.write_str(what),
            Self::OpenPublic(reason) => f.write_str(reason),
            Self::NoPublic => f.write_str("ssh: no key found"),
            Self::UnusablePublic(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for SshKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = &self.reason;
        match (&self.origin, reason) {
            (Origin::File(path), Reason::OpenPublic(why)) => write!(
                f,
                "failed to obtain public \"{path}.pub\" key for {path:?} SSH key: open {path}.pub: {why}"
            ),
            (Origin::File(path), Reason::NoPublic) => {
                write!(f, "failed to parse \"{path}.pub\": {reason}")
            }
            (Origin::File(_), Reason::UnusablePublic(why)) => {
                write!(f, "could not create encrypted SSH identity: {why}")
            }
            (Origin::File(path), _) => write!(f, "malformed SSH identity in {path:?}: {reason}"),
            (Origin::Command, Reason::Protected) => write!(
                f,
                "the SSH key returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD is password protected, which is \
                 unsupported. ({:?})",
                Reason::Protected.to_string()
            ),
            (Origin::Command, _) => write!(
                f,
                "malformed SSH identity returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD: {:?}",
                reason.to_string()
            ),
        }
    }
}

impl std::error::Error for SshKeyError {}

/// A private key. Its numbers are read only when a stanza asks for them: RSA keys are slow to check.
pub(super) struct SshKey {
    origin: Origin,
    label: String,
    content: Zeroizing<Vec<u8>>,
    /// For a PEM block with a pass phrase: how it is protected, and the public key from the file beside it.
    protected: Option<(Protection, Vec<u8>)>,
    identity: OnceLock<Result<age::ssh::Identity, SshKeyError>>,
    unlocked: Opened<age::ssh::Identity>,
}

impl SshKey {
    /// Finds the first PEM block.
    pub(super) fn new(origin: Origin, text: &[u8]) -> Result<Self, SshKeyError> {
        let wrong = |reason| SshKeyError { origin: origin.clone(), reason };
        let block = PemBlock::parse(text).ok_or_else(|| wrong(Reason::NoKey))?;
        let protected = match (block.protection, &origin) {
            (None, _) => None,
            (Some(_), Origin::Command) => return Err(wrong(Reason::Protected)),
            (Some(protection), Origin::File(path)) => Some((protection, read_public(path).map_err(wrong)?)),
        };
        let key = Self {
            origin: origin.clone(),
            label: block.label,
            content: block.content,
            protected,
            identity: OnceLock::new(),
            unlocked: Opened::new(),
        };
        if origin == Origin::Command && key.is_protected() {
            return Err(wrong(Reason::Protected));
        }
        Ok(key)
    }

    fn is_protected(&self) -> bool {
        let cipher = self.openssh_strings().and_then(|mut rest| wire_string(&mut rest));
        cipher.is_some_and(|cipher| cipher != b"none")
    }

    /// The strings of an OpenSSH container: cipher, key derivation, its options, then the number of keys.
    fn openssh_strings(&self) -> Option<&[u8]> {
        self.content.strip_prefix(OPENSSH_MAGIC).filter(|_| self.label == "OPENSSH PRIVATE KEY")
    }

    /// The public key, if it is to be had without the private one.
    fn public(&self) -> Option<&[u8]> {
        if let Some((_, public)) = &self.protected {
            return Some(public);
        }
        let mut rest = self.openssh_strings()?;
        for _ in 0..3 {
            wire_string(&mut rest)?;
        }
        wire_string(&mut rest.split_at_checked(4)?.1)
    }

    /// Whether the stanza may be for this key, found out without reading the private part.
    fn may_match(&self, stanza: &Stanza) -> bool {
        match self.public() {
            Some(public) => {
                let tag = BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(public)[..4]);
                wire_string(&mut &*public) == Some(stanza.tag.as_bytes()) && stanza.args.first() == Some(&tag)
            }
            None if self.label == "RSA PRIVATE KEY" => stanza.tag == "ssh-rsa",
            None => matches!(stanza.tag.as_str(), "ssh-rsa" | "ssh-ed25519"),
        }
    }

    /// Reads the private part, unless a pass phrase is needed for that.
    pub(super) fn check(&self) -> Result<(), &SshKeyError> {
        if self.protected.is_some() { Ok(()) } else { self.identity().map(drop) }
    }

    fn identity(&self) -> Result<&age::ssh::Identity, &SshKeyError> {
        self.identity.get_or_init(|| self.read()).as_ref()
    }

    fn read(&self) -> Result<age::ssh::Identity, SshKeyError> {
        let wrong = |reason| SshKeyError { origin: self.origin.clone(), reason };
        match self.label.as_str() {
            "OPENSSH PRIVATE KEY" => self.read_openssh().map_err(wrong),
            label @ "RSA PRIVATE KEY" => from_pem(label, &self.content)
                .map_err(|_| wrong(Reason::Malformed("invalid RSA private key"))),
            "PRIVATE KEY" => read_pkcs8(&self.content).map_err(wrong),
            "EC PRIVATE KEY" => Err(wrong(Reason::UnsupportedType("*ecdsa.PrivateKey"))),
            "DSA PRIVATE KEY" => Err(wrong(Reason::UnsupportedType("*dsa.PrivateKey"))),
            label => Err(wrong(Reason::UnsupportedLabel(label.to_owned()))),
        }
    }

    fn read_openssh(&self) -> Result<age::ssh::Identity, Reason> {
        let malformed = Reason::Malformed("ssh: invalid openssh private key format");
        if !self.is_protected() && !has_sound_numbers(&self.content) {
            return Err(malformed);
        }
        match from_pem("OPENSSH PRIVATE KEY", &self.content) {
            Ok(age::ssh::Identity::Unsupported(key)) => Err(match key {
                age::ssh::UnsupportedKey::EncryptedSsh(cipher) => Reason::UnsupportedCipher(cipher),
                age::ssh::UnsupportedKey::Type(name) if name.starts_with("ecdsa-") => {
                    Reason::UnsupportedType("*ecdsa.PrivateKey")
                }
                _ => Reason::Malformed("ssh: unhandled key type"),
            }),
            Ok(identity) => Ok(identity),
            Err(_) => Err(malformed),
        }
    }

    /// The file key, if a stanza is for this key. The person is asked only then (keys.md §2.6).
    pub(super) fn unwrap(&self, stanzas: &[Stanza], prompt: &dyn Prompt) -> Result<Option<FileKey>, Cause> {
        let ours: Vec<_> = stanzas.iter().filter(|stanza| self.may_match(stanza)).collect();
        if ours.is_empty() {
            return Ok(None);
        }
        let identity = match &self.protected {
            Some(_) => self.unlock(|passphrase| self.open_pem(passphrase), prompt)?,
            None => match self.identity() {
                // a key that cannot be read is among the load errors
                Err(_) => return Ok(None),
                Ok(age::ssh::Identity::Encrypted(key)) => {
                    self.unlock(|text| open_openssh(key, text), prompt)?
                }
                Ok(identity) => identity,
            },
        };
        ours.iter().find_map(|stanza| unwrap::one(identity, stanza)).transpose()
    }

    /// Asks for the pass phrase, unless it was given before.
    fn unlock(
        &self,
        open: impl FnOnce(SecretString) -> Result<age::ssh::Identity, Cause>,
        prompt: &dyn Prompt,
    ) -> Result<&age::ssh::Identity, Cause> {
        self.unlocked.get_or_open(|| {
            let path = match &self.origin {
                Origin::File(path) => path.as_str(),
                Origin::Command => "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
            };
            let passphrase = prompt
                .passphrase(&format!("Enter passphrase for {path:?}:"))
                .map_err(|reason| Cause::SshPassphrase { path: path.to_owned(), reason })?;
            open(passphrase)
        })
    }

    fn open_pem(&self, passphrase: SecretString) -> Result<age::ssh::Identity, Cause> {
        let opened = self.protected.as_ref().and_then(|(protection, public)| {
            let content = protection.open(&self.content, passphrase.expose_secret().as_bytes())?;
            Some((from_pem(&self.label, &content).ok()?, public))
        });
        let (identity, public) = opened.ok_or(Cause::SshDecrypt(WRONG_PASSPHRASE))?;
        match age::ssh::Recipient::try_from(identity.clone()) {
            Ok(age::ssh::Recipient::SshRsa(wire, _)) if wire != *public => Err(Cause::SshMismatch),
            _ => Ok(identity),
        }
    }
}

fn open_openssh(key: &age::ssh::EncryptedKey, passphrase: SecretString) -> Result<age::ssh::Identity, Cause> {
    if passphrase.expose_secret().is_empty() {
        return Err(Cause::SshDecrypt("bcrypt_pbkdf: empty password"));
    }
    let key = key.decrypt(passphrase).map_err(|_| Cause::SshDecrypt(WRONG_PASSPHRASE))?;
    Ok(age::ssh::Identity::Unencrypted(key))
}

/// The public key in the file beside a private one, in wire encoding.
fn read_public(path: &str) -> Result<Vec<u8>, Reason> {
    let text = std::fs::read(format!("{path}.pub")).map_err(|error| Reason::OpenPublic(os_text(&error)))?;
    let text = String::from_utf8(text).map_err(|_| Reason::NoPublic)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let line = line.ok_or(Reason::NoPublic)?;
    match recipient::ssh_key(line) {
        Ok(age::ssh::Recipient::SshRsa(wire, _) | age::ssh::Recipient::SshEd25519(wire, _)) => Ok(wire),
        Err(RecipientError::SshType(name)) => {
            Err(Reason::UnusablePublic(format!("unsupported SSH key type: {name}")))
        }
        Err(RecipientError::Ssh(_, reason)) if reason.starts_with("RSA") => {
            Err(Reason::UnusablePublic(reason))
        }
        Err(_) => Err(Reason::NoPublic),
    }
}

/// The next string of ssh's wire encoding.
pub(super) fn wire_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

/// Whether the numbers of an RSA key in an open container are in shape: the age crate panics on a zero that is
/// written with digits.
fn has_sound_numbers(container: &[u8]) -> bool {
    let walk = || {
        let mut rest = container.strip_prefix(OPENSSH_MAGIC)?;
        for _ in 0..3 {
            wire_string(&mut rest)?;
        }
        rest = rest.split_at_checked(4)?.1;
        let mut sound = numbers_are_sound(wire_string(&mut rest)?, 2)?;
        let (_, private) = wire_string(&mut rest)?.split_at_checked(8)?;
        sound &= numbers_are_sound(private, 6)?;
        Some(sound)
    };
    walk().unwrap_or(false)
}

fn numbers_are_sound(mut key: &[u8], count: usize) -> Option<bool> {
    if wire_string(&mut key)? != b"ssh-rsa" {
        return Some(true);
    }
    for _ in 0..count {
        let number = wire_string(&mut key)?;
        if !number.is_empty() && number.iter().all(|byte| *byte == 0) {
            return Some(false);
        }
    }
    Some(true)
}

/// Hands a key to the age crate, whose reader takes PEM only.
fn from_pem(label: &str, content: &[u8]) -> std::io::Result<age::ssh::Identity> {
    // one allocation that is large enough: growing would leave copies behind
    let mut text = Zeroizing::new(String::with_capacity(content.len() * 2 + 2 * label.len() + 100));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(content));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    age::ssh::Identity::from_buffer(text.as_bytes(), None)
}

/// PKCS#8 is a wrapping: a PKCS#1 key or an ed25519 seed is in it.
fn read_pkcs8(der: &[u8]) -> Result<age::ssh::Identity, Reason> {
    let malformed = Reason::Malformed("invalid PKCS#8 private key");
    let Ok(info) = PrivateKeyInfo::try_from(der) else { return Err(malformed) };
    let identity = match info.algorithm.oid.as_bytes() {
        ED25519_OID => {
            let seed = info.private_key.strip_prefix(&[4, 32]).and_then(|seed| seed.try_into().ok());
            let Some(seed) = seed else { return Err(malformed) };
            from_pem("OPENSSH PRIVATE KEY", &ed25519_container(seed))
        }
        RSA_OID => from_pem("RSA PRIVATE KEY", info.private_key),
        _ => return Err(Reason::UnsupportedType("*ecdsa.PrivateKey")),
    };
    identity.map_err(|_| malformed)
}

/// An open OpenSSH container with this key.
fn ed25519_container(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut hash = Sha512::digest(seed);
    let mut scalar = Zeroizing::new([0; 32]);
    scalar.copy_from_slice(&hash[..32]);
    hash.as_mut_slice().zeroize();
    let public = EdwardsPoint::mul_base_clamped(*scalar).compress().to_bytes();
    let mut wire = Vec::with_capacity(64);
    push_wire_strings(&mut wire, &[b"ssh-ed25519", &public]);
    let pair = Zeroizing::new([seed.as_slice(), &public].concat());
    // two equal check numbers, the key, an empty comment, padding to a multiple of eight
    let mut private = Zeroizing::new(Vec::with_capacity(256));
    private.extend_from_slice(&[0; 8]);
    push_wire_strings(&mut private, &[b"ssh-ed25519", &public, &pair, b""]);
    let padding = private.len().wrapping_neg() % 8;
    private.extend((1..=7).take(padding));
    let mut container = Zeroizing::new(Vec::with_capacity(512));
    container.extend_from_slice(OPENSSH_MAGIC);
    push_wire_strings(&mut container, &[b"none", b"none", b""]);
    container.extend_from_slice(&1_u32.to_be_bytes());
    push_wire_strings(&mut container, &[&wire, &private]);
    container
}

fn push_wire_strings(wire: &mut Vec<u8>, strings: &[&[u8]]) {
    for string in strings {
        // keys are far below four gigabytes
        wire.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
        wire.extend_from_slice(string);
    }
}
