//! What is different between the keys of a file and those that it should have (cli.md §13.1).

use std::collections::HashSet;

use super::KeyGroup;

/// The changes to one group, as names of keys. Those that stay and those that come are in the order of the new group,
/// those that go in that of the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChanges {
    /// In both.
    pub kept: Vec<String>,
    /// Only in the new group.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
}

impl GroupChanges {
    /// Nobody comes and nobody goes. The order of keys does not matter.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Compares groups by their places, and keys by their names (cli.md §7.3).
pub fn compare(old: &[KeyGroup], new: &[KeyGroup]) -> Vec<GroupChanges> {
    let groups = 0..old.len().max(new.len());
    groups.map(|at| changes(&names(old.get(at)), &names(new.get(at)))).collect()
}

fn names(group: Option<&KeyGroup>) -> Vec<String> {
    group.into_iter().flat_map(|group| &group.keys).map(|key| key.key.to_string()).collect()
}

fn changes(old: &[String], new: &[String]) -> GroupChanges {
    let (was, will_be): (HashSet<&String>, HashSet<&String>) = (old.iter().collect(), new.iter().collect());
    let (kept, added) = new.iter().cloned().partition(|name| was.contains(name));
    let removed = old.iter().filter(|name| !will_be.contains(name)).cloned().collect();
    GroupChanges { kept, added, removed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Key, PgpKey};

    fn group(names: &[&str]) -> KeyGroup {
        KeyGroup::new(names.iter().map(|name| Key::Pgp(PgpKey { fingerprint: (*name).to_owned() })))
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn groups_are_compared_by_place_and_keys_by_name() {
        let changes = compare(&[group(&["a", "b", "c"]), group(&["x"])], &[group(&["d", "c", "a"])]);
        let first = GroupChanges { kept: texts(&["c", "a"]), added: texts(&["d"]), removed: texts(&["b"]) };
        let second = GroupChanges { kept: Vec::new(), added: Vec::new(), removed: texts(&["x"]) };
        assert_eq!(changes, [first, second]);
    }

    #[test]
    fn order_and_repetition_are_no_changes() {
        let changes = compare(&[group(&["a", "a", "b"])], &[group(&["b", "a"])]);
        assert!(changes.iter().all(GroupChanges::is_empty));
    }
}
