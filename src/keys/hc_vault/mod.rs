//! HashiCorp Vault transit keys (keys.md §8), which OpenBao has too.
//!
//! [`HcVaultKey`] names a key. `Transit` wraps and unwraps with it through a `VaultClient`, which knows nothing of
//! transit: it is for whoever talks to a Vault. [`VaultSettings`] hold what the environment says to both.

#[cfg(feature = "vault")]
mod allowlist;
#[cfg(feature = "vault")]
pub(crate) mod client;
#[cfg(feature = "vault")]
mod configuration;
#[cfg(feature = "vault")]
mod settings;
#[cfg(feature = "vault")]
mod transit;
pub(crate) mod uri;

use std::fmt;

use regex::Regex;

use super::ParseKeyError;
use uri::{Uri, resolve_dots, without_credentials};

#[cfg(feature = "vault")]
pub use settings::VaultSettings;
#[cfg(feature = "vault")]
pub(super) use transit::Transit;

/// A key of a Vault transit engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HcVaultKey {
    /// `https://host:port`.
    pub address: String,
    /// Where the transit engine is mounted.
    pub engine_path: String,
    /// Name of the key.
    pub key_name: String,
}

impl HcVaultKey {
    /// Reads `<scheme>://<host>/vN/<engine path>/keys/<name>` (keys.md §8.1).
    pub fn parse(uri: &str) -> Result<Self, ParseKeyError> {
        let parsed =
            Uri::parse(uri).map_err(|reason| ParseKeyError::new(format!("parse {uri:?}: {reason}")))?;
        let Some(parsed) = parsed else {
            return Err(ParseKeyError::new(format!(
                "missing scheme in Vault URL (should be like this: \
                 +https://vault.example.com:8200/v1/transit/keys/keyName), got: {uri}"
            )));
        };
        // query and fragment stay with the address, and the query with the key too, as in the reference
        let query = parsed.query.map_or(String::new(), |query| format!("?{query}"));
        let fragment = parsed.fragment.map_or(String::new(), |fragment| format!("#{fragment}"));
        let path = format!("{}{query}", parsed.path);
        let found = |text: &str| Regex::new(text).is_ok_and(|regex| regex.is_match(&path));
        if found(r"/[^/]+/v[0-9]+/[^/]+/[^/]+/[^/]+") {
            return Err(ParseKeyError::new(
                "running Vault with a prefixed URL is not supported! (Format has to be like \
                 https://vault.example.com:8200/v1/transit/keys/keyName)",
            ));
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let [_, engine @ .., _, key_name] = parts.as_slice() else { return Err(misformatted()) };
        if !found(r"/v[0-9]+/[^/]+/[^/]+/[^/]+") {
            return Err(misformatted());
        }
        Ok(Self {
            address: format!("{}://{}{query}{fragment}", parsed.scheme, parsed.authority),
            engine_path: resolve_dots(engine.iter().copied()),
            key_name: (*key_name).to_owned(),
        })
    }
}

impl HcVaultKey {
    /// The name without a name and a password that its address may have.
    pub(super) fn shown(&self) -> String {
        Self { address: without_credentials(&self.address).into_owned(), ..self.clone() }.to_string()
    }
}

fn misformatted() -> ParseKeyError {
    ParseKeyError::new(
        "vault path does not seem to be formatted correctly: \
         (eg. https://vault.example.com:8200/v1/transit/keys/keyName)",
    )
}

impl fmt::Display for HcVaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/v1/{}/keys/{}", self.address, self.engine_path, self.key_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_taken_apart_as_the_reference_does() {
        for (uri, address, engine, key) in [
            (
                "https://vault.example.com:8200/v1/transit/keys/keyName",
                "https://vault.example.com:8200",
                "transit",
                "keyName",
            ),
            ("https://v/v1/a/b/c/keys/n/", "https://v", "a/b/c", "n"),
            ("https://v/v2/transit/foo/n", "https://v", "transit", "n"),
            ("https://v/v1/t/keys/n?x=1#f", "https://v?x=1#f", "t", "n?x=1"),
            ("https://v/v1/a/../t/keys/a b", "https://v", "t", "a%20b"),
        ] {
            let parsed = HcVaultKey::parse(uri).unwrap_or_else(|e| panic!("{uri}: {e}"));
            assert_eq!((&*parsed.address, &*parsed.engine_path, &*parsed.key_name), (address, engine, key));
        }
        for (uri, word) in [
            ("https://v/v1/x/v2/a/b/c", "prefixed"),
            ("https://v/prefix/v1/t/keys/n", "prefixed"),
            ("https://v/v1/keys/n", "formatted"),
            ("https://v/v1//t/keys/n", "formatted"),
            ("https://v/V1/t/keys/n", "formatted"),
            ("https://v/v1/t/keys/", "formatted"),
            ("v/v1/t/keys/n", "missing scheme"),
            (
                " https://v/v1/t/keys/n",
                "parse \" https://v/v1/t/keys/n\": first path segment in URL cannot contain colon",
            ),
        ] {
            let error = HcVaultKey::parse(uri).expect_err(uri).to_string();
            assert!(error.contains(word), "{uri}: {error}");
        }
    }
}
