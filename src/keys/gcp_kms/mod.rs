//! GCP KMS keys (keys.md §6).

#[cfg(feature = "gcp")]
mod client;
#[cfg(feature = "gcp")]
mod credentials;
#[cfg(feature = "gcp")]
mod failure;

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

/// The parts of a resource id.
#[cfg(feature = "gcp")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ResourceId<'a> {
    project: &'a str,
    location: &'a str,
    key_ring: &'a str,
    key: &'a str,
}

#[cfg(feature = "gcp")]
impl<'a> ResourceId<'a> {
    /// None for everything else, versions of keys included. `.` and `..` name nothing, but would lead a URL astray.
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let ["projects", project, "locations", location, "keyRings", key_ring, "cryptoKeys", key] = parts[..]
        else {
            return None;
        };
        let names = [project, location, key_ring, key];
        let named = names.iter().all(|name| !["", ".", ".."].contains(name));
        named.then_some(Self { project, location, key_ring, key })
    }
}

#[cfg(all(test, feature = "gcp"))]
mod tests {
    use super::*;

    #[test]
    fn a_resource_id_names_a_key_and_no_version_of_it() {
        let id = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
        let parts = ResourceId { project: "p", location: "global", key_ring: "r", key: "k" };
        assert_eq!(ResourceId::parse(id), Some(parts));
        for text in [
            "",
            "k",
            "projects/p/locations/global/keyRings/r/cryptoKeys/",
            "projects/p/locations/global/keyRings/r/cryptoKeys/k/",
            "projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "/projects/p/locations/global/keyRings/r/cryptoKeys/k",
            "projects//locations/global/keyRings/r/cryptoKeys/k",
            "projects/../locations/global/keyRings/r/cryptoKeys/k",
        ] {
            assert_eq!(ResourceId::parse(text), None, "{text}");
        }
    }
}
