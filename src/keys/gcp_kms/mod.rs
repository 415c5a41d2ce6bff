//! GCP KMS keys (keys.md §6).

#[cfg(feature = "gcp")]
mod client;
#[cfg(feature = "gcp")]
pub(crate) mod credentials;
#[cfg(feature = "gcp")]
pub(crate) mod failure;
#[cfg(feature = "gcp")]
mod resource_id;

use std::fmt;

#[cfg(feature = "gcp")]
pub(super) use client::GcpKms;
#[cfg(feature = "gcp")]
pub use client::GcpKmsSettings;
#[cfg(feature = "gcp")]
pub use credentials::GcpCredentialSources;

/// A key of Google Cloud KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpKmsKey {
    /// `projects/…/locations/…/keyRings/…/cryptoKeys/…`.
    pub resource_id: String,
}

impl fmt::Display for GcpKmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource_id)
    }
}
