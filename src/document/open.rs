//! Sealed leaves → leaves in clear.

use std::fmt;

use super::transcript::Witness;
use crate::cipher::{Cipher, Kind, OpenError, Opened};
use crate::mac::{Coverage, with_plaintext};
use crate::nonces::Nonces;
use crate::tree::{Comment, Place, Scalar, Unwalkable, Visit, Visited, key_text};

/// Why a leaf cannot be opened. Displays the reference's wording, then where it stands.
#[derive(Debug)]
pub enum LeafError {
    /// The tree holds something that the format cannot.
    Unwalkable(Unwalkable),
    /// A leaf that should be sealed cannot be opened.
    Open {
        /// Where.
        path: String,
        /// Why.
        error: OpenError,
    },
    /// A leaf that should be sealed is no text.
    NotText {
        /// Where.
        path: String,
        /// What it is.
        found: &'static str,
    },
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwalkable(error) => error.fmt(f),
            Self::Open { path, error } => {
                write!(f, "Could not decrypt value: {error}\nhint: the value at {path} ")?;
                f.write_str(match error {
                    OpenError::Format => "is not encrypted but should be; encrypt it anew, or restore the file",
                    OpenError::Authentication => {
                        "was changed, moved or renamed after it was encrypted, or the file has another data key; \
                         restore it"
                    }
                    _ => "is damaged; restore it",
                })
            }
            Self::NotText { path, found } => write!(
                f,
                "Expected encrypted value as string, but got {found}\n\
                 hint: the value at {path} is not encrypted but should be; encrypt it anew, or restore the file"
            ),
        }
    }
}

impl std::error::Error for LeafError {}

impl From<Unwalkable> for LeafError {
    fn from(error: Unwalkable) -> Self {
        Self::Unwalkable(error)
    }
}

/// A comment that should be encrypted and is not, or does not open.
pub struct LooseComment {
    /// The text as it stands in the file.
    pub text: String,
    /// The mapping or list that it stands in.
    pub path: String,
}

/// Opens selected leaves and comments, and hashes what is covered.
pub(super) struct Opener<'a> {
    cipher: &'a Cipher,
    witness: Witness<'a>,
    nonces: Option<&'a mut Nonces>,
    purpose: Purpose,
    loose: Vec<LooseComment>,
}

/// What leaves are opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To have them. A comment's additional data may also be that of the mappings around: other writers seal comments
    /// for the place where they were, not for the one where they will be found (policy.md §3).
    Keep,
    /// To see that they open, where they stand. They are dropped at once: memory that is used again is faster than new
    /// memory for all of them.
    Verify,
}

impl<'a> Opener<'a> {
    /// For files that others wrote.
    pub(super) fn keeping(cipher: &'a Cipher, coverage: Coverage, nonces: Option<&'a mut Nonces>) -> Self {
        let witness = Witness::hash(coverage);
        Self { cipher, witness, nonces, purpose: Purpose::Keep, loose: Vec::new() }
    }

    /// For what we are about to write.
    pub(super) fn verifying(cipher: &'a Cipher, witness: Witness<'a>) -> Self {
        Self { cipher, witness, nonces: None, purpose: Purpose::Verify, loose: Vec::new() }
    }

    pub(super) fn finish(self) -> (Witness<'a>, Vec<LooseComment>) {
        (self.witness, self.loose)
    }

    fn remember(&mut self, opened: &Opened, data: &[u8]) {
        if let (Some(nonces), Some(nonce)) = (&mut self.nonces, opened.nonce) {
            with_plaintext(&opened.value, |plaintext| nonces.remember(opened.kind, plaintext, data, nonce));
        }
    }

    fn open_comment(&mut self, place: &Place<'_>, text: &[u8]) -> Option<Opened> {
        if let Ok(opened) = self.cipher.open(text, place.additional_data()) {
            self.remember(&opened, place.additional_data());
            return Some(opened);
        }
        if self.purpose == Purpose::Verify || !text.starts_with(b"ENC[") {
            return None;
        }
        place.around().find_map(|data| self.cipher.open(text, data).ok())
    }
}

impl Visit for Opener<'_> {
    type Error = LeafError;

    fn leaf(&mut self, place: &Place<'_>, leaf: Scalar) -> Result<Visited, LeafError> {
        let leaf = match leaf {
            leaf if !place.selected => leaf,
            Scalar::Null => Scalar::Null,
            Scalar::Text(text) if text.is_empty() => Scalar::Text(text),
            Scalar::Text(text) => {
                let data = place.additional_data();
                let opened = self
                    .cipher
                    .open(text.as_bytes(), data)
                    .map_err(|error| LeafError::Open { path: place.path(), error })?;
                self.remember(&opened, data);
                match (opened.kind, opened.value) {
                    // Comments in lists lie there as text; they were not hashed (format.md §7.3). Anywhere else nobody
                    // writes them, and nothing may escape the MAC by calling itself one: the type is not
                    // authenticated.
                    (Kind::Comment, Scalar::Text(text)) if place.listed => {
                        return Ok(Visited::Comment(Comment { text, inline: false }));
                    }
                    (_, value) => value,
                }
            }
            other => return Err(LeafError::NotText { path: place.path(), found: other.type_name() }),
        };
        with_plaintext(&leaf, |plaintext| self.witness.absorb(plaintext, place.selected));
        Ok(Visited::Leaf(match self.purpose {
            Purpose::Keep => leaf,
            Purpose::Verify => Scalar::Null,
        }))
    }

    fn comment(&mut self, place: &Place<'_>, comment: Comment) -> Result<Visited, LeafError> {
        if !place.selected || comment.text.is_empty() {
            return Ok(Visited::Comment(comment));
        }
        let Some(opened) = self.open_comment(place, comment.text.as_bytes()) else {
            let text = comment.text.to_string_lossy().into_owned();
            self.loose.push(LooseComment { text, path: place.path() });
            return Ok(Visited::Comment(comment));
        };
        let text = match opened.value {
            Scalar::Text(text) => text,
            other => key_text(&other).into(),
        };
        Ok(Visited::Comment(Comment { text, inline: comment.inline }))
    }
}
