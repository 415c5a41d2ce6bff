//! The names of keys (keys.md §6).

/// The parts of a resource id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResourceId<'a> {
    pub(super) project: &'a str,
    pub(super) location: &'a str,
    pub(super) key_ring: &'a str,
    pub(super) key: &'a str,
}

impl<'a> ResourceId<'a> {
    /// None for everything else, versions of keys included. `.` and `..` name nothing, but would lead a URL astray.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
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

#[cfg(test)]
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
