//! Leaves in clear → sealed leaves.

use std::collections::HashMap;
use std::fmt;
use std::thread;

use super::transcript::Transcript;
use crate::cipher::{Cipher, Kind, NoRandomness};
use crate::mac::{Mac, with_plaintext};
use crate::metadata::Metadata;
use crate::nonces::Nonces;
use crate::selection::Selection;
use crate::tree::{Comment, Place, Scalar, Text, Tree, Unwalkable, Visit, Visited, walk};

/// Why a tree cannot be sealed. Displays the reference's wording.
#[derive(Debug)]
pub enum SealError {
    /// The tree holds something that the format cannot.
    Unwalkable(Unwalkable),
    /// The operating system gives no random numbers.
    NoRandomness,
    /// A sealed comment would itself switch encryption off.
    CommentMatches {
        /// The sealed text.
        sealed: String,
    },
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwalkable(error) => error.fmt(f),
            Self::NoRandomness => f.write_str("the operating system gives no random numbers"),
            Self::CommentMatches { sealed } => write!(
                f,
                "Encrypted comment {sealed:?} matches UnencryptedCommentRegex! Make sure that \
                 UnencryptedCommentRegex cannot match an encrypted comment."
            ),
        }
    }
}

impl std::error::Error for SealError {}

impl From<Unwalkable> for SealError {
    fn from(error: Unwalkable) -> Self {
        Self::Unwalkable(error)
    }
}

impl From<NoRandomness> for SealError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// Seals selected leaves and comments, and hashes what is covered.
pub(super) struct Sealer<'a> {
    cipher: &'a mut Cipher,
    mac: Mac,
    transcript: Transcript,
    nonces: &'a Nonces,
    selection: &'a Selection,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(cipher: &'a mut Cipher, metadata: &'a Metadata, nonces: &'a Nonces) -> Self {
        let Metadata { coverage, ref selection, .. } = *metadata;
        Self { cipher, mac: Mac::new(coverage), transcript: Transcript::new(coverage), nonces, selection }
    }

    pub(super) fn finish(self) -> Transcript {
        self.transcript.close(self.mac)
    }
}

impl Visit for Sealer<'_> {
    type Error = SealError;

    fn leaf(&mut self, place: &Place<'_>, leaf: Scalar) -> Result<Visited, SealError> {
        let data = place.additional_data();
        let Self { cipher, mac, nonces, .. } = self;
        let sealed = with_plaintext(&leaf, |plaintext| {
            let mut absorb = || mac.absorb(plaintext, place.selected);
            match Kind::of(&leaf) {
                Some(kind) if place.selected => beside(plaintext.len(), absorb, || {
                    let nonce = nonces.recall(kind, plaintext, data);
                    cipher.seal(kind, plaintext, data, nonce).map(Some)
                }),
                _ => {
                    absorb();
                    Ok(None)
                }
            }
        });
        Ok(Visited::Leaf(match sealed.transpose()?.flatten() {
            None => {
                self.transcript.record(leaf.clone(), place.selected);
                leaf
            }
            Some(sealed) => {
                self.transcript.record(leaf, place.selected);
                Scalar::Text(sealed)
            }
        }))
    }

    /// An empty comment has nothing to hide and stays where it is; the reference makes a list element of it
    /// (policy.md §3).
    fn comment(&mut self, place: &Place<'_>, comment: Comment) -> Result<Visited, SealError> {
        if !place.selected || comment.text.is_empty() {
            return Ok(Visited::Comment(comment));
        }
        let sealed = seal_comment(self.cipher, self.nonces, place, &comment.text)?;
        if matches!(self.selection, Selection::UnencryptedCommentRegex(_))
            && self.selection.matches_comment(sealed.as_bytes())
        {
            return Err(SealError::CommentMatches { sealed: sealed.to_string_lossy().into_owned() });
        }
        Ok(Visited::Leaf(Scalar::Text(sealed)))
    }
}

/// From this many bytes on, a thread costs less than what it saves.
const LARGE: usize = 1 << 20;

/// Does two things, at the same time if there is much to do: hashing a large value takes longer than sealing it.
fn beside<T>(bytes: usize, first: impl FnOnce() + Send, second: impl FnOnce() -> T) -> T {
    if bytes < LARGE {
        first();
        return second();
    }
    let mut waiting = Some(first);
    let result = thread::scope(|scope| {
        // if there is no thread to be had, it is done afterwards
        let _ = thread::Builder::new().spawn_scoped(scope, || waiting.take().map(|first| first()));
        second()
    });
    if let Some(first) = waiting {
        first();
    }
    result
}

fn seal_comment(
    cipher: &mut Cipher,
    nonces: &Nonces,
    place: &Place<'_>,
    text: &Text,
) -> Result<Text, NoRandomness> {
    let data = place.additional_data();
    let nonce = nonces.recall(Kind::Comment, text.as_bytes(), data);
    cipher.seal(Kind::Comment, text.as_bytes(), data, nonce)
}

/// The comments of a tree that are sealed, and with which additional data.
pub(super) struct SealedComments(Vec<(Text, Vec<u8>)>);

impl SealedComments {
    /// Keeps them, and drops the rest of the tree.
    pub(super) fn of(mut tree: Tree, selection: &Selection) -> Result<Self, SealError> {
        let mut comments = Self(Vec::new());
        walk(&mut tree, selection, &mut comments)?;
        Ok(comments)
    }
}

impl Visit for SealedComments {
    type Error = SealError;

    fn leaf(&mut self, _: &Place<'_>, _: Scalar) -> Result<Visited, SealError> {
        Ok(Visited::Leaf(Scalar::Null))
    }

    fn comment(&mut self, place: &Place<'_>, comment: Comment) -> Result<Visited, SealError> {
        if comment.text.as_bytes().starts_with(b"ENC[") {
            self.0.push((comment.text, place.additional_data().to_vec()));
        }
        Ok(Visited::Leaf(Scalar::Null))
    }
}

/// Seals comments anew that were found elsewhere than they were sealed for. Leaves stay as they are.
pub(super) struct Mover<'a> {
    cipher: &'a mut Cipher,
    /// By the sealed text.
    sealed_for: HashMap<&'a [u8], &'a [u8]>,
}

impl<'a> Mover<'a> {
    pub(super) fn new(cipher: &'a mut Cipher, comments: &'a SealedComments) -> Self {
        let sealed_for = comments.0.iter().map(|(text, data)| (text.as_bytes(), data.as_slice())).collect();
        Self { cipher, sealed_for }
    }
}

impl Visit for Mover<'_> {
    type Error = SealError;

    fn leaf(&mut self, _: &Place<'_>, leaf: Scalar) -> Result<Visited, SealError> {
        Ok(Visited::Leaf(leaf))
    }

    fn comment(&mut self, place: &Place<'_>, comment: Comment) -> Result<Visited, SealError> {
        let text = comment.text.as_bytes();
        // a comment that was in clear where it stood is so where it stands
        let clear = match self.sealed_for.get(text).map(|data| self.cipher.open(text, data)) {
            Some(Ok(opened)) => match opened.value {
                Scalar::Text(text) => text,
                _ => return Ok(Visited::Comment(comment)),
            },
            Some(Err(_)) => return Ok(Visited::Comment(comment)),
            None => comment.text,
        };
        if !place.selected || clear.is_empty() {
            return Ok(Visited::Comment(Comment { text: clear, inline: comment.inline }));
        }
        let sealed = seal_comment(self.cipher, &Nonces::default(), place, &clear)?;
        // It stays a comment in a list too. As an element, which is what comments of lists become, it could not be
        // read by the one release that hashes such elements (format.md §7.3).
        Ok(Visited::Comment(Comment { text: sealed, inline: comment.inline }))
    }
}
