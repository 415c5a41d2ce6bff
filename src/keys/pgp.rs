//! PGP keys, named by fingerprint.

use std::fmt;

/// A PGP key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgpKey {
    /// Without blanks; otherwise as given.
    pub fingerprint: String,
}

impl fmt::Display for PgpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}
