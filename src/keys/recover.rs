//! The data key: wrapping it for all keys, recovering it from any (cli.md §7, format.md §10).

use std::fmt;

use zeroize::Zeroizing;

use super::failure::{GroupOutcome, KeyFailure, RecoverError};
use super::{KeyGroup, Kind, MasterKey};
use crate::data_key::DataKey;
use crate::shamir::{self, ShamirError};

/// Something that wraps and unwraps: this process, or a server.
pub trait KeyService {
    /// Wraps a data key, or a share of one, for this key.
    fn wrap(&self, key: &super::Key, data_key: &[u8]) -> Result<String, String>;

    /// Unwraps it.
    fn unwrap(&self, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, String>;
}

/// In which order the keys of a group are tried (cli.md §7.2): listed kinds first, the others as they stand.
#[derive(Clone, Debug)]
pub struct DecryptionOrder(Vec<Kind>);

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
        Self(vec![Kind::Age, Kind::Pgp])
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
        Ok(Self(words.iter().filter_map(kind).collect()))
    }

    /// Keys as they stand in the file, for commands without `--decryption-order`.
    pub fn stored() -> Self {
        Self(Vec::new())
    }

    fn sort<'a>(&self, keys: &'a [MasterKey]) -> Vec<&'a MasterKey> {
        let mut sorted: Vec<&MasterKey> = keys.iter().collect();
        let rank = |kind| self.0.iter().position(|k| *k == kind).unwrap_or(self.0.len());
        sorted.sort_by_key(|key| rank(key.key.kind()));
        sorted
    }
}

/// Recovers the data key. All groups are tried, each until one of its keys succeeds.
pub fn recover(
    groups: &[KeyGroup],
    threshold: usize,
    order: &DecryptionOrder,
    services: &[&dyn KeyService],
) -> Result<DataKey, RecoverError> {
    let mut shares = Vec::new();
    let mut outcomes = Vec::new();
    for group in groups {
        match recover_group(&order.sort(&group.keys), services) {
            Ok(share) => {
                shares.push(share);
                outcomes.push(GroupOutcome::Recovered);
            }
            Err(failures) => outcomes.push(GroupOutcome::Failed(failures)),
        }
    }
    let needed = if groups.len() > 1 { threshold } else { 1 };
    if shares.len() < needed || shares.is_empty() {
        return Err(RecoverError::NotEnough { groups: outcomes, threshold, recovered: shares.len() });
    }
    let secret = match (groups.len(), shares.as_slice()) {
        (1, [only]) => only.clone(),
        _ => shamir::combine(&shares).map_err(RecoverError::Shamir)?,
    };
    DataKey::from_bytes(&secret).map_err(RecoverError::Length)
}

fn recover_group(
    keys: &[&MasterKey],
    services: &[&dyn KeyService],
) -> Result<Zeroizing<Vec<u8>>, Vec<KeyFailure>> {
    let mut failures = Vec::new();
    for key in keys {
        let mut errors = Vec::new();
        for service in services {
            match service.unwrap(key) {
                Ok(share) => return Ok(share),
                Err(error) => errors.push(error),
            }
        }
        failures.push(KeyFailure { name: key.key.to_string(), errors });
    }
    Err(failures)
}

/// Why the data key could not be wrapped. Displays the reference's wording, one line.
#[derive(Debug)]
pub enum WrapFailure {
    /// No group has keys, or there is none.
    NoGroups,
    /// A group has no keys.
    EmptyGroup,
    /// The local key service is switched off and there is no other.
    NoServices,
    /// The threshold does not fit the groups.
    Shamir(ShamirError),
    /// Keys are of kinds that this release does not know, so they would keep the old data key.
    UnknownKinds(Vec<String>),
    /// Keys that no service could wrap for.
    Keys(Vec<KeyFailure>),
}

impl fmt::Display for WrapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGroups => f.write_str("[no key groups provided]"),
            Self::EmptyGroup => f.write_str("[empty key group provided]"),
            Self::NoServices => f.write_str("[no key services provided, cannot update master keys]"),
            Self::Shamir(error) => write!(f, "[could not split data key into parts for Shamir: {error}]"),
            Self::UnknownKinds(kinds) => {
                write!(
                    f,
                    "[the file has keys of a kind that this release does not know: {}]",
                    kinds.join(", ")
                )
            }
            Self::Keys(failures) => {
                let texts: Vec<String> = failures
                    .iter()
                    .map(|failure| {
                        let reason = failure.errors.join("; ");
                        format!("failed to encrypt new data key with master key {:?}: {reason}", failure.name)
                    })
                    .collect();
                write!(f, "[{}]", texts.join(" "))
            }
        }
    }
}

impl std::error::Error for WrapFailure {}

/// Wraps the data key for every key of every group; all must succeed. With several groups each gets a share, and a
/// threshold of 0 becomes the number of groups. The threshold to store is returned.
pub fn wrap(
    data_key: &DataKey,
    groups: &mut [KeyGroup],
    threshold: usize,
    services: &[&dyn KeyService],
) -> Result<usize, WrapFailure> {
    if services.is_empty() {
        return Err(WrapFailure::NoServices);
    }
    if groups.is_empty() {
        return Err(WrapFailure::NoGroups);
    }
    let (shares, threshold) = if groups.len() == 1 {
        (vec![Zeroizing::new(data_key.expose().to_vec())], threshold)
    } else {
        let threshold = if threshold == 0 { groups.len() } else { threshold };
        let shares =
            shamir::split(data_key.expose(), groups.len(), threshold).map_err(WrapFailure::Shamir)?;
        (shares, threshold)
    };
    if groups.iter().any(|group| group.keys.is_empty()) {
        return Err(WrapFailure::EmptyGroup);
    }
    let mut failures = Vec::new();
    for (group, share) in groups.iter_mut().zip(&shares) {
        for key in &mut group.keys {
            let mut errors = Vec::new();
            for service in services {
                match service.wrap(&key.key, share) {
                    Ok(enc) => {
                        key.enc = enc;
                        errors.clear();
                        break;
                    }
                    Err(error) => errors.push(error),
                }
            }
            if !errors.is_empty() {
                failures.push(KeyFailure { name: key.key.to_string(), errors });
            }
        }
    }
    if failures.is_empty() { Ok(threshold) } else { Err(WrapFailure::Keys(failures)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, PgpKey};

    /// "Wraps" for fingerprints that it knows by writing the share in hexadecimal.
    struct Knows(&'static [&'static str]);

    impl KeyService for Knows {
        fn wrap(&self, key: &Key, data_key: &[u8]) -> Result<String, String> {
            if self.0.contains(&key.to_string().as_str()) {
                Ok(data_key.iter().map(|b| format!("{b:02x}")).collect())
            } else {
                Err("unknown".to_owned())
            }
        }

        fn unwrap(&self, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, String> {
            if !self.0.contains(&key.key.to_string().as_str()) {
                return Err("unknown".to_owned());
            }
            let digits = key.enc.as_bytes().chunks(2).filter_map(|c| std::str::from_utf8(c).ok());
            Ok(Zeroizing::new(digits.filter_map(|d| u8::from_str_radix(d, 16).ok()).collect()))
        }
    }

    fn group(names: &[&str]) -> KeyGroup {
        KeyGroup::new(names.iter().map(|name| Key::Pgp(PgpKey { fingerprint: (*name).to_owned() })))
    }

    #[test]
    fn a_threshold_of_groups_restores_the_data_key() {
        let all = Knows(&["a", "b", "c"]);
        let key = DataKey::generate().expect("random numbers");
        let mut groups = [group(&["a"]), group(&["b"]), group(&["c"])];
        assert!(matches!(wrap(&key, &mut groups, 2, &[&all]), Ok(2)));
        let order = DecryptionOrder::default();
        let recovered = recover(&groups, 2, &order, &[&Knows(&["a", "c"])]);
        assert!(recovered.is_ok_and(|recovered| recovered == key));
        let error = recover(&groups, 2, &order, &[&Knows(&["b"])]).expect_err("one group is too few");
        assert!(error.to_string().contains("Group 0: FAILED"), "{error}");
    }

    #[test]
    fn the_threshold_defaults_to_all_groups_and_is_kept_for_one() {
        let all = Knows(&["a", "b"]);
        let key = DataKey::generate().expect("random numbers");
        assert!(matches!(wrap(&key, &mut [group(&["a"]), group(&["b"])], 0, &[&all]), Ok(2)));
        assert!(matches!(wrap(&key, &mut [group(&["a"])], 3, &[&all]), Ok(3)));
    }

    #[test]
    fn every_key_must_be_wrapped() {
        let key = DataKey::generate().expect("random numbers");
        let message = |groups: &mut [KeyGroup]| match wrap(&key, groups, 0, &[&Knows(&["a"])]) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(message(&mut [group(&[])]), "[empty key group provided]");
        assert_eq!(
            message(&mut [group(&["a", "x"])]),
            "[failed to encrypt new data key with master key \"x\": unknown]"
        );
    }

    #[test]
    fn a_kind_may_stand_once_in_the_decryption_order() {
        assert!(DecryptionOrder::parse("pgp,foo,age").is_ok());
        assert_eq!(
            DecryptionOrder::parse("pgp,age,pgp").map_err(|e| e.to_string()).err().as_deref(),
            Some("Duplicate decryption key type: pgp")
        );
    }
}
