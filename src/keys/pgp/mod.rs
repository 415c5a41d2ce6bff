//! PGP keys, named by fingerprint: data keys wrapped into OpenPGP messages (keys.md §3).
//!
//! Two implementations are asked in turn. The built-in one reads the keyring files of GnuPG 1 and 2.0, which most
//! homes no longer have: then it says so after one attempt to open a file. The other is the user's `gpg`, with all
//! that it knows of keyrings, cards and agents. Either reads what the other wrote.
//!
//! ```text
//! wrap    pubring.gpg ─► native::encrypt ─► enc          unwrap    secring.gpg ─► native::decrypt ─► data key
//!            └ else ─► gpg --encrypt ─► enc                           └ else ─► gpg -d ─► data key
//! ```

#[cfg(feature = "pgp")]
mod armor;
#[cfg(feature = "pgp")]
mod client;
#[cfg(feature = "pgp")]
mod gpg;
#[cfg(feature = "pgp")]
mod native;
#[cfg(feature = "pgp")]
mod passphrase;
#[cfg(feature = "pgp")]
mod ring;
#[cfg(feature = "pgp")]
mod settings;
#[cfg(feature = "pgp")]
#[cfg(test)]
mod tests;

use std::fmt;

#[cfg(feature = "pgp")]
pub(super) use client::Pgp;
#[cfg(feature = "pgp")]
pub use settings::{GnupgHome, PgpSettings};

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
