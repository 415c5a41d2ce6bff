//! The configuration of the audit log (publish-audit.md §B1).

use zeroize::Zeroizing;

use super::decode::{Decode, Decoder};
use crate::store::yaml::{Stream, YamlError, with_nodes};

/// What `/etc/sops/audit.yaml` says. Keys that mean nothing are passed over.
#[derive(Default)]
pub struct AuditConfig {
    /// How to connect to each database; an empty text means all defaults. Passwords may stand in them.
    pub postgres: Vec<Zeroizing<String>>,
}

impl AuditConfig {
    /// Reads the text of the file; an empty one names no database. Files that nest deep need a stack of
    /// [`crate::tree::STACK_SIZE`].
    pub fn parse(bytes: &[u8]) -> Result<Self, YamlError> {
        with_nodes(bytes, |stream| Self::read(stream, bytes.len()))
    }

    fn read(stream: &Stream<'_>, bytes: usize) -> Decode<Self> {
        let Some(document) = stream.documents.first() else { return Ok(Self::default()) };
        let mut decoder = Decoder::new(stream, bytes);
        if decoder.is_null(document.root)? {
            return Ok(Self::default());
        }
        let mut fields = decoder.mapping(document.root, "the configuration of the audit log")?;
        let postgres = fields.nested("backends", |decoder, id| {
            if decoder.is_null(id)? {
                return Ok(Vec::new());
            }
            decoder.mapping(id, "\"backends\"")?.list("postgres", |decoder, id| {
                let mut entry = decoder.mapping(id, "an element of \"postgres\"")?;
                entry.text("connection_string").map(Zeroizing::new)
            })
        })?;
        Ok(Self { postgres: postgres.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Result<Vec<String>, String> {
        let config = AuditConfig::parse(text.as_bytes()).map_err(|error| error.to_string())?;
        Ok(config.postgres.iter().map(|text| text.to_string()).collect())
    }

    #[test]
    fn every_entry_is_a_database() {
        let text =
            "backends:\n  postgres:\n    - connection_string: 'host=a'\n    - {connection_string: b}\n";
        assert_eq!(strings(text), Ok(vec!["host=a".to_owned(), "b".to_owned()]));
        assert_eq!(strings("backends: {postgres: [{}]}"), Ok(vec![String::new()]), "all defaults");
    }

    #[test]
    fn nothing_is_named_by_nothing() {
        for text in [
            "",
            "~",
            "a: b",
            "backends:",
            "backends: {mysql: [x]}",
            "backends: {postgres: }",
            "backends: {postgres: []}",
            "backends: {postgres: [~]}",
        ] {
            assert_eq!(strings(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn wrong_types_are_told_without_their_values() {
        for text in [
            "backends: [",
            "secret",
            "[secret]",
            "backends: [secret]",
            "backends: {postgres: {secret: secret}}",
            "backends: {postgres: [secret]}",
            "backends: {postgres: [{connection_string: [secret]}]}",
        ] {
            let error = strings(text).expect_err(text);
            assert!(error.contains("yaml: line ") && !error.contains("secret"), "{text}: {error}");
        }
    }
}
