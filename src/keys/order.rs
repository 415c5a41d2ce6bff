//! In which order the keys of a group are tried (cli.md §7.2).

use std::fmt;

use super::{Kind, MasterKey};

/// Listed kinds first, the others as they stand.
#[derive(Clone, Debug)]
pub struct DecryptionOrder {
    kinds: Vec<Kind>,
    pace: Pace,
}

/// Whether a key waits for those in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Keys of this machine are tried first; then all servers are asked at once.
    AtOnce,
    /// One after the other, because the user has said in which order.
    InTurn,
}

/// A kind stands twice in `--decryption-order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateKind(String);

impl fmt::Display for DuplicateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duplicate decryption key type: {}", self.0)
    }
}

impl std::error::Error for DuplicateKind {}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self { kinds: vec![Kind::Age, Kind::Pgp], pace: Pace::AtOnce }
    }
}

impl DecryptionOrder {
    /// Reads a comma-separated list. Unknown words match nothing; an empty list means the default.
    pub fn parse(text: &str) -> Result<Self, DuplicateKind> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let words: Vec<&str> = text.split(',').collect();
        if let Some(at) = (1..words.len()).find(|i| words[..*i].contains(&words[*i])) {
            return Err(DuplicateKind(words[at].to_owned()));
        }
        let kind = |word: &&str| Kind::ALL.into_iter().find(|kind| kind.name() == *word);
        Ok(Self { kinds: words.iter().filter_map(kind).collect(), pace: Pace::InTurn })
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// Keys as they stand in the file, for commands without `--decryption-order`.
    pub fn stored() -> Self {
        Self { kinds: Vec::new(), pace: Pace::AtOnce }
    }

    pub(super) fn sort<'a>(&self, keys: &'a [MasterKey]) -> Vec<&'a MasterKey> {
        let mut sorted: Vec<&MasterKey> = keys.iter().collect();
        let rank = |kind| self.kinds.iter().position(|k| *k == kind).unwrap_or(self.kinds.len());
        sorted.sort_by_key(|key| rank(key.key.kind()));
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_may_stand_once_in_the_decryption_order() {
        assert!(DecryptionOrder::parse("pgp,foo,age").is_ok());
        assert_eq!(
            DecryptionOrder::parse("pgp,age,pgp").map_err(|e| e.to_string()).err().as_deref(),
            Some("Duplicate decryption key type: pgp")
        );
    }
}
