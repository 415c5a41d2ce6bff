//! Azure Key Vault keys (keys.md §7).

#[cfg(feature = "azure")]
mod certificate;
#[cfg(feature = "azure")]
mod client;
#[cfg(feature = "azure")]
mod credentials;
#[cfg(feature = "azure")]
mod executor;
#[cfg(feature = "azure")]
mod managed_identity;
#[cfg(feature = "azure")]
mod reason;
#[cfg(feature = "azure")]
mod transport;

use std::fmt;

#[cfg(feature = "azure")]
pub use client::AzureVaults;
#[cfg(feature = "azure")]
pub use credentials::AzureSettings;

use super::ParseKeyError;

/// A key of Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AzureKvKey {
    /// `https://<vault>`, without a slash at the end.
    pub vault_url: String,
    /// Name of the key.
    pub name: String,
    /// Its version; empty until it is looked up.
    pub version: String,
}

impl AzureKvKey {
    /// Reads `https://<host>/keys/<name>[/<version>]` (keys.md §7.1).
    pub fn parse(url: &str) -> Result<Self, ParseKeyError> {
        let parsed = url.strip_prefix("https://").and_then(|rest| {
            let (host, path) = rest.split_once('/')?;
            let (name, version) = match path.strip_prefix("keys/")?.split_once('/') {
                Some((name, version)) => (name, version),
                None => (&path["keys/".len()..], ""),
            };
            let fits = !host.is_empty() && !name.is_empty() && !version.contains('/');
            let owned = |text: &str| text.to_owned();
            fits.then(|| Self {
                vault_url: format!("https://{host}"),
                name: owned(name),
                version: owned(version),
            })
        });
        parsed.ok_or_else(|| {
            ParseKeyError::new(format!("could not parse {url:?} into a valid Azure Key Vault MasterKey []"))
        })
    }
}

impl fmt::Display for AzureKvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/keys/{}/{}", self.vault_url, self.name, self.version)
    }
}
