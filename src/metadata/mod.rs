//! What an encrypted file says of itself (format.md §9).
//!
//! `layout` finds the entries in a tree and puts them back, `wire` reads and writes them.

mod layout;
mod wire;

use crate::data_key::DataKey;
use crate::keys::{KeyGroup, KeyService, WrapFailure, unknown_kinds, wrap};
use crate::mac::Coverage;
use crate::selection::Selection;
use crate::tree::{Text, Timestamp, Value};

pub use layout::{LayoutError, append, has_metadata, lift, remove};
pub use wire::MetadataError;

/// The level of the format that we write. Not our own release number, which never goes into files (policy.md §1).
pub const FORMAT_VERSION: &str = "3.13.2";

/// The metadata of a file.
#[derive(Clone)]
pub struct Metadata {
    /// Whom the data key is wrapped for.
    pub key_groups: Vec<KeyGroup>,
    /// How many groups are needed; 0 if the file does not say.
    pub shamir_threshold: usize,
    /// When the file was last encrypted. The MAC is bound to it. Very old files have none.
    pub last_modified: Option<Timestamp>,
    /// The encrypted MAC; empty if there is none.
    pub mac: Text,
    /// Which leaves are encrypted.
    pub selection: Selection,
    /// Which leaves the MAC covers.
    pub coverage: Coverage,
    /// Level of the format. Anything is accepted.
    pub version: String,
    /// Entries that this release does not know, kept for those that do.
    pub unknown: Vec<(Text, Value)>,
}

impl Metadata {
    /// For a new file; `encrypt` fills in the rest.
    pub fn new(key_groups: Vec<KeyGroup>, selection: Selection, coverage: Coverage) -> Self {
        Self {
            key_groups,
            shamir_threshold: 0,
            last_modified: None,
            mac: Text::default(),
            selection,
            coverage,
            version: FORMAT_VERSION.to_owned(),
            unknown: Vec::new(),
        }
    }

    /// Wraps a data key for all keys, and notes how many groups are needed. Must succeed for all.
    pub fn wrap(&mut self, data_key: &DataKey, services: &[&dyn KeyService]) -> Result<(), WrapFailure> {
        let unknown = self.unknown_kinds();
        if !unknown.is_empty() {
            return Err(WrapFailure::UnknownKinds(unknown));
        }
        self.shamir_threshold = wrap(data_key, &mut self.key_groups, self.shamir_threshold, services)?;
        Ok(())
    }

    /// Kinds of keys of the file that this release does not know. It cannot wrap anything for them (policy.md §3).
    pub fn unknown_kinds(&self) -> Vec<String> {
        let in_groups = self.key_groups.iter().flat_map(|group| unknown_kinds(&group.unknown));
        let mut kinds: Vec<String> = unknown_kinds(&self.unknown).chain(in_groups).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Whether the file was written by a release before this one, as far as its version tells.
    pub fn is_older_than(&self, version: &str) -> bool {
        let own = self.version.trim_start_matches('v');
        // what the first generation wrote is no version of three numbers
        own.starts_with("1.") || release(own).is_some_and(|own| Some(own) < release(version))
    }

    /// Raises the version to ours if it is older, or none at all. It is never lowered (cli.md §7.7).
    pub fn raise_version(&mut self) {
        if release(&self.version) < release(FORMAT_VERSION) {
            FORMAT_VERSION.clone_into(&mut self.version);
        }
    }
}

/// The numbers of a version, and whether it is a release rather than something before one.
fn release(version: &str) -> Option<([u64; 3], bool)> {
    let (version, _) = version.split_once('+').unwrap_or((version, ""));
    let (numbers, before) = version.split_once('-').unwrap_or((version, ""));
    let numbers: Vec<u64> = numbers.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    Some((numbers.try_into().ok()?, before.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Branch, Element, Item};

    fn list_of(field: &str) -> Value {
        Value::List(vec![Element::Value(Value::Map(Branch {
            items: vec![Item::entry(field, Value::text("x"))],
        }))])
    }

    #[test]
    fn keys_of_unknown_kinds_are_told_from_other_entries() {
        let mut metadata = Metadata::new(vec![KeyGroup::default()], Selection::All, Coverage::All);
        metadata.unknown = vec![
            ("note".into(), Value::text("x")),
            ("tags".into(), list_of("name")),
            ("z".into(), list_of("enc")),
        ];
        metadata.key_groups[0].unknown = vec![("a".into(), list_of("enc")), ("z".into(), list_of("enc"))];
        assert_eq!(metadata.unknown_kinds(), ["a", "z"]);
        let data_key = DataKey::generate().expect("random numbers");
        let refused = metadata.wrap(&data_key, &[]).expect_err("nobody can wrap for them");
        assert!(refused.to_string().ends_with("does not know: a, z]"), "{refused}");
    }

    #[test]
    fn versions_that_are_none_are_not_older() {
        let is_old = |version: &str| {
            let mut metadata = Metadata::new(Vec::new(), Selection::All, Coverage::All);
            version.clone_into(&mut metadata.version);
            metadata.is_older_than("3.3.0")
        };
        for older in ["1.18", "1.x", "2.0.0", "3.2.99", "v3.0.0", "3.3.0-rc.1", "3.2.0+build"] {
            assert!(is_old(older), "{older}");
        }
        for other in ["3.3.0", "v3.3.0", "3.3.0+build", "3.13.2", "", "x", "3.2", "0.9"] {
            assert!(!is_old(other), "{other}");
        }
    }

    #[test]
    fn versions_are_raised_and_never_lowered() {
        let raised = |version: &str| {
            let mut metadata = Metadata::new(Vec::new(), Selection::All, Coverage::All);
            version.clone_into(&mut metadata.version);
            metadata.raise_version();
            metadata.version
        };
        for older in ["1.18", "3.9.4", "3.13.1", "3.13.2-rc.1", "", "x"] {
            assert_eq!(raised(older), FORMAT_VERSION, "{older}");
        }
        for newer in ["3.13.3", "3.100.0", "4.0.0-beta", "3.13.2"] {
            assert_eq!(raised(newer), newer);
        }
    }
}
