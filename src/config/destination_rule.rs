//! Where `publish` sends files: `destination_rules` (config.md §6).

use super::ConfigError;
use super::creation_rule::{CreationRule, PathRegex, ResolvedRule};
use super::decode::{Decode, Decoder};
use crate::store::yaml::NodeId;

/// What a rule says about a file.
pub struct ResolvedDestination {
    /// Where it goes.
    pub destination: Destination,
    /// How it is encrypted again; none if it goes as it is.
    pub recreation: Option<ResolvedRule>,
    /// Whether the name loses its extension.
    pub omit_extensions: bool,
}

/// A place for files. What is not configured is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A bucket of Amazon S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// Stands before the name.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// Stands before the name.
        prefix: String,
    },
    /// A key-value engine of HashiCorp Vault.
    Vault {
        /// The server.
        address: String,
        /// Stands before the name.
        path: String,
        /// Where the engine is mounted.
        kv_mount_name: String,
        /// The interface of the engine.
        kv_version: KvVersion,
    },
}

/// The interface of a key-value engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum KvVersion {
    V1,
    V2,
}

/// A rule as configured.
pub(super) struct DestinationRule {
    path: PathRegex,
    s3_bucket: String,
    s3_prefix: String,
    gcs_bucket: String,
    gcs_prefix: String,
    vault_path: String,
    vault_address: String,
    vault_kv_mount_name: String,
    vault_kv_version: Option<i64>,
    recreation_rule: Option<CreationRule>,
    omit_extensions: bool,
}

impl DestinationRule {
    pub(super) fn read(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Self> {
        let mut fields = decoder.mapping(id, "a destination rule")?;
        let rule = Self {
            path: PathRegex::new(fields.text("path_regex")?, fields.line()),
            s3_bucket: fields.text("s3_bucket")?,
            s3_prefix: fields.text("s3_prefix")?,
            gcs_bucket: fields.text("gcs_bucket")?,
            gcs_prefix: fields.text("gcs_prefix")?,
            vault_path: fields.text("vault_path")?,
            vault_address: fields.text("vault_address")?,
            vault_kv_mount_name: fields.text("vault_kv_mount_name")?,
            vault_kv_version: fields.integer("vault_kv_version")?,
            recreation_rule: fields.nested("recreation_rule", CreationRule::read)?,
            omit_extensions: fields.flag("omit_extensions")?,
        };
        fields.finish();
        Ok(rule)
    }

    /// The reference skips rules whose expression does not compile, and so may publish to another place than the one
    /// that was meant. Here that is an error.
    pub(super) fn matches(&self, path: &[u8]) -> Result<bool, ConfigError> {
        self.path.matches(path)
    }

    pub(super) fn resolve(&self) -> Result<ResolvedDestination, ConfigError> {
        let places = [&self.s3_bucket, &self.gcs_bucket, &self.vault_path];
        if places.iter().filter(|place| !place.is_empty()).count() > 1 {
            return Err(ConfigError::SeveralDestinations);
        }
        let recreation = self.recreation_rule.as_ref().map(|rule| rule.resolve(&[])).transpose()?;
        Ok(ResolvedDestination {
            destination: self.destination().ok_or(ConfigError::NoDestination)?,
            recreation: recreation
                .filter(|rule| rule.key_groups.first().is_some_and(|group| !group.keys.is_empty())),
            omit_extensions: self.omit_extensions,
        })
    }

    fn destination(&self) -> Option<Destination> {
        if !self.s3_bucket.is_empty() {
            Some(Destination::S3 { bucket: self.s3_bucket.clone(), prefix: self.s3_prefix.clone() })
        } else if !self.gcs_bucket.is_empty() {
            Some(Destination::Gcs { bucket: self.gcs_bucket.clone(), prefix: self.gcs_prefix.clone() })
        } else if !self.vault_path.is_empty() {
            Some(Destination::Vault {
                address: self.vault_address.clone(),
                path: self.vault_path.clone(),
                kv_mount_name: self.vault_kv_mount_name.clone(),
                kv_version: if self.vault_kv_version == Some(1) { KvVersion::V1 } else { KvVersion::V2 },
            })
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::yaml::with_nodes;

    fn resolve(text: &str) -> Result<ResolvedDestination, String> {
        with_nodes(text.as_bytes(), |stream| {
            DestinationRule::read(&mut Decoder::new(stream, text.len()), stream.documents[0].root)
        })
        .map_err(|e| e.to_string())?
        .resolve()
        .map_err(|e| e.to_string())
    }

    fn good(text: &str) -> ResolvedDestination {
        resolve(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn each_rule_has_one_destination() {
        assert_eq!(
            good("s3_bucket: b\ns3_prefix: p/").destination,
            Destination::S3 { bucket: "b".to_owned(), prefix: "p/".to_owned() }
        );
        assert_eq!(
            good("gcs_bucket: b\ns3_prefix: p/").destination,
            Destination::Gcs { bucket: "b".to_owned(), prefix: String::new() }
        );
        let several = "error loading config: more than one destinations were found in a single destination rule, \
                       you can only use one per rule";
        let both = resolve("s3_bucket: a\ngcs_bucket: b\nrecreation_rule: {age: 5}");
        assert_eq!(both.err().as_deref(), Some(several));
        assert_eq!(
            resolve("s3_prefix: p/").err().as_deref(),
            Some("no destination configured for this file")
        );
    }

    #[test]
    fn vault_speaks_version_2_unless_told_otherwise() {
        for (version, expected) in
            [("1", KvVersion::V1), ("2", KvVersion::V2), ("~", KvVersion::V2), ("7", KvVersion::V2)]
        {
            let text = format!(
                "vault_path: a/\nvault_address: b\nvault_kv_mount_name: c/\nvault_kv_version: {version}"
            );
            let expected = Destination::Vault {
                address: "b".to_owned(),
                path: "a/".to_owned(),
                kv_mount_name: "c/".to_owned(),
                kv_version: expected,
            };
            assert_eq!(good(&text).destination, expected);
        }
        assert!(resolve("vault_path: a/\nvault_kv_version: x").is_err());
    }

    #[test]
    fn the_recreation_rule_is_a_creation_rule_whose_path_does_not_count() {
        let rule = good(
            "s3_bucket: b\nomit_extensions: on\nrecreation_rule: {path_regex: '(', pgp: a, encrypted_regex: r}",
        );
        let recreation = rule.recreation.expect("a rule");
        assert_eq!(recreation.key_groups[0].keys[0].key.to_string(), "a");
        assert_eq!(recreation.selectors.encrypted_regex, "r");
        assert!(rule.omit_extensions);
        let bad = resolve("vault_path: a/\nrecreation_rule: {encrypted_regex: r, encrypted_suffix: s}");
        assert!(bad.err().is_some_and(|e| e.contains("cannot use more than one of")));
        assert!(resolve("recreation_rule: {age: 5}").err().is_some_and(|e| e.contains("invalid age key")));
    }

    #[test]
    fn without_keys_files_go_as_they_are() {
        for rule in ["~", "{}", "{encrypted_regex: r}", "{key_groups: [{}, {pgp: [a]}]}"] {
            assert!(good(&format!("s3_bucket: b\nrecreation_rule: {rule}")).recreation.is_none(), "{rule}");
        }
        assert!(good("s3_bucket: b").recreation.is_none());
    }
}
