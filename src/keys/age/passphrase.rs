//! Identity files that are themselves encrypted with a pass phrase (keys.md §2.7).

use std::fmt;

use age_core::format::{FileKey, Stanza};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::armor::{self, ArmorError};
use super::envelope::{Envelope, OpenError};
use super::identity::{Identity, IdentityText, Line};
use super::opened::Opened;
use super::unwrap::{self, Cause};
use crate::keys::Prompt;
use crate::keys::agent::{Agent, AgentError, Request};

/// A file of this size is refused.
pub(super) const MAX_SIZE: usize = 16 * 1024 * 1024;
/// What scrypt may cost, as a power of two.
const MAX_WORK_FACTOR: u8 = 22;

/// An encrypted identity file: opened only when nothing else fits, and once.
pub(super) struct EncryptedFile {
    location: String,
    file: Vec<u8>,
    opened: Opened<Vec<Identity>>,
}

/// Why an encrypted identity file cannot be used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncryptedFileError {
    /// 16 MiB or more.
    TooLong,
    /// A broken armor.
    Armor(ArmorError),
}

impl fmt::Display for EncryptedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("file too long"),
            // the line is not shown: in an identity file it may be a secret key
            Self::Armor(ArmorError::FirstLine(_)) => f.write_str("invalid armor: invalid first line"),
            Self::Armor(ArmorError::ClosingLine(_)) => f.write_str("invalid armor: invalid closing line"),
            Self::Armor(error) => error.fmt(f),
        }
    }
}

/// Whether a text is an age file and not a list of identities: its first 14 bytes decide.
pub(super) fn is_encrypted(text: &[u8]) -> bool {
    text.starts_with(b"age-encryption") || text.starts_with(b"-----BEGIN AGE")
}

impl EncryptedFile {
    /// Takes the armor off, no more.
    pub(super) fn new(location: &str, text: &[u8]) -> Result<Self, EncryptedFileError> {
        if text.len() >= MAX_SIZE {
            return Err(EncryptedFileError::TooLong);
        }
        let file = if text.starts_with(b"-----BEGIN") {
            let unarmored = armor::decode(text);
            match unarmored.error {
                Some(error) => return Err(EncryptedFileError::Armor(error)),
                None => unarmored.bytes,
            }
        } else {
            text.to_vec()
        };
        Ok(Self { location: location.to_owned(), file, opened: Opened::new() })
    }

    /// The file key, if one of its identities fits; asks for the pass phrase if it was not opened before.
    pub(super) fn unwrap(
        &self,
        stanzas: &[Stanza],
        agent: Option<&Agent>,
        prompt: &dyn Prompt,
    ) -> Result<Option<FileKey>, Cause> {
        for identity in self.opened.get_or_open(|| self.open(agent, prompt))? {
            if let Some(key) = identity.unwrap(stanzas, prompt)? {
                return Ok(Some(key));
            }
        }
        prompt.warn(&format!("encrypted identity '{}' didn't match file's recipients", self.location));
        Ok(None)
    }

    fn open(&self, agent: Option<&Agent>, prompt: &dyn Prompt) -> Result<Vec<Identity>, Cause> {
        let envelope = Envelope::parse(&self.file, None);
        let envelope = envelope.map_err(|error| Cause::IdentityFile(error.to_string()))?;
        if !is_passphrase_encrypted(&envelope) {
            return Err(Cause::IncorrectPassphrase);
        }
        let cache_key = self.cache_key();
        let (passphrase, from_agent) = self.passphrase(agent, &cache_key, prompt)?;
        let forget = || {
            if let Some(Err(error)) = from_agent.map(|agent| agent.forget(&cache_key)) {
                prompt.warn(&format!("gpg-agent remove cache request errored: {error}"));
            }
        };
        if passphrase.expose_secret().is_empty() {
            forget();
            return Err(Cause::IdentityFile("passphrase can't be empty".to_owned()));
        }
        let text = decrypt(&envelope, passphrase).inspect_err(|cause| {
            if *cause == Cause::IncorrectPassphrase {
                forget();
            }
        })?;
        let IdentityText { identities, bad } = IdentityText::parse(&text, Line::Identity);
        if let Some((line, error)) = bad.into_iter().next() {
            return Err(Cause::IdentityLine { line, error });
        }
        match identities {
            identities if identities.is_empty() => Err(Cause::NoIdentities),
            identities if identities.iter().all(Identity::is_plain) => Ok(identities),
            _ => Err(Cause::IdentityFile("plugin identities are not supported here".to_owned())),
        }
    }

    /// Asks the agent, if there is one, else the person. A failure of the agent is final (keys.md §2.7).
    fn passphrase<'a>(
        &self,
        agent: Option<&'a Agent>,
        cache_key: &str,
        prompt: &dyn Prompt,
    ) -> Result<(SecretString, Option<&'a Agent>), Cause> {
        let description = format!("Enter passphrase for identity '{}':", self.location);
        let unread = |reason| Cause::IdentityFile(format!("could not read passphrase: {reason}"));
        let request = Request { cache_key, prompt: "Passphrase", description: &description };
        match agent.map(|agent| (agent, agent.get(&request))) {
            Some((agent, Ok(passphrase))) => Ok((passphrase, Some(agent))),
            None | Some((_, Err(AgentError::Unreachable(_)))) => {
                prompt.passphrase(&description).map(|passphrase| (passphrase, None)).map_err(unread)
            }
            Some((_, Err(error))) => Err(unread(format!("gpg-agent passphrase request errored: {error}"))),
        }
    }

    /// What the agent files the pass phrase under.
    fn cache_key(&self) -> String {
        let digest = Sha256::digest(&self.file);
        let (groups, _) = digest[..25].as_chunks::<5>();
        groups.iter().fold("SopsAge".to_owned(), |mut key, group| {
            let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            // standard Base32: five bytes are eight letters
            let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
            key.extend(
                (0..8).rev().map(|at| char::from(letters[usize::from((bits >> (5 * at)) as u8 & 31)])),
            );
            key
        })
    }
}

/// Whether a pass phrase opens this file: it must be the only way (age's rule for scrypt).
pub(super) fn is_passphrase_encrypted(envelope: &Envelope<'_>) -> bool {
    matches!(envelope.stanzas.as_slice(), [stanza] if stanza.tag == "scrypt")
}

/// Opens a file with a pass phrase.
pub(super) fn decrypt(
    envelope: &Envelope<'_>,
    passphrase: SecretString,
) -> Result<Zeroizing<Vec<u8>>, Cause> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let file_key = unwrap::each(&identity, &envelope.stanzas).map_err(|cause| match cause {
        Cause::Stanza(reason) => Cause::IdentityFile(reason),
        _ => Cause::IncorrectPassphrase,
    })?;
    let file_key = file_key.ok_or(Cause::IncorrectPassphrase)?;
    envelope.open(&file_key).map_err(|error| match error {
        OpenError::Mac => Cause::IdentityFile(Cause::Mac.to_string()),
        OpenError::Payload => Cause::IdentityFile(unwrap::BAD_CHUNK.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::EncryptedFile;

    #[test]
    fn the_cache_key_is_that_of_the_specification() {
        let text = include_bytes!("../../../tests/fixtures/age/a3-identity.age");
        let file = EncryptedFile::new("here", text).unwrap();
        assert_eq!(file.cache_key(), "SopsAgeVV5LJI3BHTTGUMLJBDIXMKJDOXWJSOAVYGTFHLLN");
    }
}
