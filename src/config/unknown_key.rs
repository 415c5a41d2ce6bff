//! Keys without meaning. The reference ignores them, and says nothing.

use std::fmt;

/// A key that means nothing where it stands: probably a misspelt one. Displays a warning without the file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// Its line, from 1.
    pub line: u32,
    /// What may be meant.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: the key {:?} has no meaning here and is ignored", self.line, self.key)?;
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
            None => Ok(()),
        }
    }
}

impl UnknownKey {
    /// A key that is none of those that have a meaning in its place.
    pub(super) fn new(key: &str, line: u32, known: &[&'static str]) -> Self {
        Self { key: key.to_owned(), line, nearest: nearest(key, known) }
    }
}

/// The known key that a misspelt one resembles most, if it does.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    const RESEMBLING: f64 = 0.8;
    // nobody misspells a key by more than its length, and the comparison takes its time
    if key.len() > 64 {
        return None;
    }
    let similar = known.iter().map(|name| (strsim::jaro_winkler(key, name), *name));
    let best = similar.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(similarity, _)| *similarity >= RESEMBLING).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_keys_are_recognised() {
        let known = ["path_regex", "encrypted_regex", "unencrypted_regex", "encrypted_suffix", "age", "kms"];
        for (key, expected) in [
            ("path_regexp", Some("path_regex")),
            ("encrypted_sufix", Some("encrypted_suffix")),
            ("unencryped_regex", Some("unencrypted_regex")),
            ("ages", Some("age")),
            ("comment", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, &known), expected, "{key}");
        }
        assert_eq!(nearest(&"path_regex".repeat(7), &known), None);
    }
}
