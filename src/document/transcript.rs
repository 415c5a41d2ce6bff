//! What was sealed, held against what is read back.

use std::slice;

use crate::mac::{Coverage, Mac, with_plaintext};
use crate::tree::{Scalar, Text};

/// The leaves that the MAC covers, in clear and in document order.
pub(super) struct Transcript {
    coverage: Coverage,
    leaves: Vec<Scalar>,
    mac: String,
}

impl Transcript {
    pub(super) fn new(coverage: Coverage) -> Self {
        Self { coverage, leaves: Vec::new(), mac: String::new() }
    }

    /// Keeps a leaf, unless it adds nothing to the MAC.
    pub(super) fn record(&mut self, leaf: Scalar, selected: bool) {
        let nothing = matches!(leaf, Scalar::Null) || leaf.as_text().is_some_and(Text::is_empty);
        if self.coverage.covers(selected) && !nothing {
            self.leaves.push(leaf);
        }
    }

    /// All leaves are recorded; this is their MAC.
    pub(super) fn close(self, mac: Mac) -> Self {
        Self { mac: mac.finish(), ..self }
    }

    pub(super) fn mac(&self) -> &str {
        &self.mac
    }
}

/// Tells the MAC of leaves that are being opened.
pub(super) enum Witness<'a> {
    /// By hashing them.
    Hash(Mac),
    /// By comparing them with those that were sealed. If the same bytes come out again, so does the same MAC: this is no
    /// weaker than hashing them, and many times faster. Stricter it is, for leaves are told apart.
    Comparison { with: &'a Transcript, ahead: slice::Iter<'a, Scalar>, same: bool },
}

impl<'a> Witness<'a> {
    pub(super) fn hash(coverage: Coverage) -> Self {
        Self::Hash(Mac::new(coverage))
    }

    pub(super) fn comparison(with: &'a Transcript) -> Self {
        Self::Comparison { with, ahead: with.leaves.iter(), same: true }
    }

    /// Takes in the plaintext of a leaf.
    pub(super) fn absorb(&mut self, plaintext: &[u8], selected: bool) {
        match self {
            Self::Hash(mac) => mac.absorb(plaintext, selected),
            Self::Comparison { with, ahead, same } => {
                if with.coverage.covers(selected) && !plaintext.is_empty() {
                    let is_next = |leaf| with_plaintext(leaf, |sealed| sealed == plaintext);
                    *same &= ahead.next().and_then(is_next) == Some(true);
                }
            }
        }
    }

    /// The MAC, unless the leaves are others than those that were sealed.
    pub(super) fn mac(self) -> Option<String> {
        match self {
            Self::Hash(mac) => Some(mac.finish()),
            Self::Comparison { with, ahead, same } => (same && ahead.len() == 0).then(|| with.mac.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.into())
    }

    fn transcript(leaves: Vec<(Scalar, bool)>) -> Transcript {
        let mut transcript = Transcript::new(Coverage::OnlyEncrypted);
        for (leaf, selected) in leaves {
            transcript.record(leaf, selected);
        }
        transcript.close(Mac::new(Coverage::OnlyEncrypted))
    }

    #[test]
    fn only_the_same_leaves_have_the_mac() {
        let sealed = transcript(vec![
            (text("ab"), true),
            (Scalar::Null, true),
            (text(""), true),
            (text("in clear"), false),
            (Scalar::Bool(true), true),
        ]);
        let has_mac = |leaves: &[&str]| {
            let mut witness = Witness::comparison(&sealed);
            for leaf in leaves {
                witness.absorb(leaf.as_bytes(), true);
            }
            witness.absorb(b"another in clear", false);
            witness.mac().is_some()
        };
        assert!(has_mac(&["ab", "True"]));
        assert!(has_mac(&["", "ab", "True", ""]));
        for others in [&["ab"][..], &["ab", "True", "c"], &["True", "ab"], &["a", "bTrue"], &["abTrue"], &[]]
        {
            assert!(!has_mac(others), "{others:?}");
        }
    }
}
