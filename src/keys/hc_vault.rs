//! HashiCorp Vault transit keys.

use std::fmt;

use regex::Regex;

use super::ParseKeyError;

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
        let Some((scheme, rest)) = uri.split_once("://") else {
            return Err(ParseKeyError::new(format!(
                "missing scheme in Vault URL (should be like this: \
                 +https://vault.example.com:8200/v1/transit/keys/keyName), got: {uri}"
            )));
        };
        let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(r, f)| (r, Some(f)));
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let found = |text: &str| Regex::new(text).is_ok_and(|regex| regex.is_match(path));
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
        // query and fragment stay with the address, as in the reference
        let query = path.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let fragment = fragment.map_or(String::new(), |f| format!("#{f}"));
        Ok(Self {
            address: format!("{}://{host}{query}{fragment}", scheme.to_ascii_lowercase()),
            engine_path: resolve_dots(engine),
            key_name: (*key_name).to_owned(),
        })
    }
}

fn misformatted() -> ParseKeyError {
    ParseKeyError::new(
        "vault path does not seem to be formatted correctly: \
         (eg. https://vault.example.com:8200/v1/transit/keys/keyName)",
    )
}

fn resolve_dots(parts: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in parts {
        match *part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    kept.join("/")
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
        ] {
            let error = HcVaultKey::parse(uri).expect_err(uri).to_string();
            assert!(error.contains(word), "{uri}: {error}");
        }
    }
}
