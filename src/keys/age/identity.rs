//! Identities as text: what is in `SOPS_AGE_KEY` and in key files (keys.md §2.5).

use std::fmt;

use age_core::format::{FileKey, Stanza};

use super::bech32::{self, Bech32Error};
use super::hybrid;
use super::plugin::{self, PluginIdentityError};
use super::unwrap::{Cause, each};
use crate::keys::Prompt;

/// A longer line ends the reading, as in the reference.
const MAX_LINE: usize = 64 * 1024;

/// One identity.
pub(super) enum Identity {
    X25519(age::x25519::Identity),
    Hybrid(hybrid::Identity),
    Plugin(plugin::Identity),
}

/// Why a word is no identity. Never shows the word: it may be a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// No rule fits.
    UnknownType,
    /// A native key that is not Bech32.
    Bech32(Bech32Error),
    /// A native key with something else in front.
    Type(String),
    /// A native key of another length.
    Key(&'static str),
    /// A plugin's identity.
    Plugin(PluginIdentityError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType => f.write_str("unknown identity type"),
            Self::Bech32(error) => write!(f, "malformed secret key: {error}"),
            Self::Type(hrp) => write!(f, "malformed secret key: unknown type {hrp:?}"),
            Self::Key(kind) => write!(f, "malformed secret key: invalid {kind} secret key"),
            Self::Plugin(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// Reads one identity; nothing may stand around it.
    pub(super) fn parse(word: &str) -> Result<Self, IdentityError> {
        if word.starts_with("AGE-PLUGIN-") {
            plugin::Identity::parse(word).map(Self::Plugin).map_err(IdentityError::Plugin)
        } else if word.starts_with("AGE-SECRET-KEY-PQ-1") {
            let seed = native(word, "AGE-SECRET-KEY-PQ-")?;
            let identity = hybrid::Identity::from_bytes(&seed);
            identity.map(Self::Hybrid).ok_or(IdentityError::Key("MLKEM768-X25519"))
        } else if word.starts_with("AGE-SECRET-KEY-1") {
            native(word, "AGE-SECRET-KEY-")?;
            word.parse().map(Self::X25519).map_err(|_| IdentityError::Key("X25519"))
        } else {
            Err(IdentityError::UnknownType)
        }
    }

    /// Whether using it neither asks nor starts anything.
    pub(super) fn is_plain(&self) -> bool {
        !matches!(self, Self::Plugin(_))
    }

    /// The file key, if a stanza is for this identity.
    pub(super) fn unwrap(&self, stanzas: &[Stanza], prompt: &dyn Prompt) -> Result<Option<FileKey>, Cause> {
        match self {
            Self::X25519(identity) => each(identity, stanzas),
            Self::Hybrid(identity) => each(identity, stanzas),
            Self::Plugin(identity) => identity.unwrap(stanzas, prompt).map_err(Cause::Plugin),
        }
    }
}

fn native(word: &str, hrp: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, IdentityError> {
    let decoded = bech32::decode(word).map_err(IdentityError::Bech32)?;
    if decoded.hrp == hrp { Ok(decoded.data) } else { Err(IdentityError::Type(decoded.hrp.to_owned())) }
}

/// What a line holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// One identity, nothing around it.
    Identity,
    /// Any number of identities between blanks.
    Words,
}

/// The identities of a text, and the first error of each bad line with its number.
#[derive(Default)]
pub(super) struct IdentityText {
    pub(super) identities: Vec<Identity>,
    pub(super) bad: Vec<(usize, IdentityError)>,
}

impl IdentityText {
    /// Reads all lines but empty ones and comments. A bad line does not spoil the others (policy.md §3).
    pub(super) fn parse(text: &[u8], kind: Line) -> Self {
        let mut parsed = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.len() > MAX_LINE {
                break;
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            if let Err(error) = parsed.add_line(line, kind) {
                parsed.bad.push((index + 1, error));
            }
        }
        parsed
    }

    fn add_line(&mut self, line: &[u8], kind: Line) -> Result<(), IdentityError> {
        let line = std::str::from_utf8(line).map_err(|_| IdentityError::UnknownType)?;
        match kind {
            Line::Identity => self.identities.push(Identity::parse(line)?),
            Line::Words => {
                for word in line.split_whitespace() {
                    self.identities.push(Identity::parse(word)?);
                }
            }
        }
        Ok(())
    }
}
