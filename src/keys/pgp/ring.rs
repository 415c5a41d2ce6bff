//! Keyring files of GnuPG 1 and 2.0: transferable keys, one after the other (keys.md §3.2).

use std::fs;
use std::path::{Path, PathBuf};

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::raw::{RawCert, RawCertParser};
use sequoia_openpgp::parse::Parse as _;
use zeroize::Zeroizing;

use crate::os_error::os_text;

/// A file, not yet parsed.
pub(super) struct Ring(Zeroizing<Vec<u8>>);

impl Ring {
    /// The public keys.
    pub(super) fn public(home: &Path) -> Result<Self, String> {
        Self::read(home.join("pubring.gpg"))
    }

    /// The secret keys: in a file of their own, else perhaps among the public ones.
    pub(super) fn secret(home: &Path) -> Result<Self, String> {
        let own = home.join("secring.gpg");
        // a link that leads nowhere is there
        if own.symlink_metadata().is_ok() { Self::read(own) } else { Self::public(home) }
    }

    fn read(path: PathBuf) -> Result<Self, String> {
        let bytes =
            fs::read(&path).map_err(|error| format!("open {}: {}", path.display(), os_text(&error)))?;
        match bytes.first() {
            Some(first) if first & 0x80 == 0 => {
                Err("openpgp: invalid data: tag byte does not have MSB set".to_owned())
            }
            _ => Ok(Self(Zeroizing::new(bytes))),
        }
    }

    /// The keys that `is_wanted`, which sees them before they are parsed: rings may be long. Broken ones are left out.
    pub(super) fn find(&self, is_wanted: impl Fn(&RawCert<'_>) -> bool) -> Vec<Cert> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let Ok(keys) = RawCertParser::from_bytes(&**self.0) else { return Vec::new() };
        keys.flatten().filter(is_wanted).filter_map(|key| Cert::try_from(key).ok()).collect()
    }
}
