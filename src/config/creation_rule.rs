//! How new files are encrypted: `creation_rules` (config.md §3, §4).

use std::sync::OnceLock;

use super::ConfigError;
use super::decode::{Decode, Decoder, KeyList};
use super::key_group::GroupRule;
use crate::keys::{Common, KeyGroup, Kind};
use crate::pattern::{Pattern, PatternError};
use crate::selection::Selectors;
use crate::store::yaml::NodeId;

/// What a rule says about a file.
#[derive(Default)]
pub struct ResolvedRule {
    /// Whom the file is encrypted for. A rule without keys has one empty group.
    pub key_groups: Vec<KeyGroup>,
    /// So many groups are needed; 0 means all.
    pub shamir_threshold: usize,
    /// Of which at most one is set. They become a selection together with those of the command line, which win.
    pub selectors: Selectors,
    /// Whether the MAC covers encrypted values only.
    pub mac_only_encrypted: bool,
}

/// A rule as configured. Its keys are looked at when it matches.
pub(super) struct CreationRule {
    path: PathRegex,
    /// One list for each kind, in the order of [`KEY_FIELDS`].
    keys: Vec<KeyList>,
    aws_profile: String,
    /// If there are any, they stand in place of `keys`.
    key_groups: Vec<GroupRule>,
    shamir_threshold: i64,
    selectors: Selectors,
    mac_only_encrypted: bool,
}

/// The fields for keys, in the order in which their keys enter the group (§4.2), and how messages call them.
const KEY_FIELDS: [(Kind, &str, &str); 7] = [
    (Kind::Age, "age", "age"),
    (Kind::Pgp, "pgp", "pgp"),
    (Kind::AwsKms, "kms", "kms"),
    (Kind::GcpKms, "gcp_kms", "gcpkms"),
    (Kind::HcKms, "hckms", "hckms"),
    (Kind::AzureKv, "azure_keyvault", "azure_keyvault"),
    (Kind::HcVault, "hc_vault_transit_uri", "vault"),
];

impl CreationRule {
    pub(super) fn read(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Self> {
        let mut fields = decoder.mapping(id, "a creation rule")?;
        let mut keys = Vec::with_capacity(KEY_FIELDS.len());
        for (kind, field, _) in KEY_FIELDS {
            keys.push(match kind {
                Kind::HcKms => Ok(fields.texts(field)?.join(",")),
                _ => fields.key_list(field)?,
            });
        }
        let rule = Self {
            path: PathRegex::new(fields.text("path_regex")?, fields.line()),
            keys,
            aws_profile: fields.text("aws_profile")?,
            key_groups: fields.list("key_groups", GroupRule::read)?,
            shamir_threshold: fields.integer("shamir_threshold")?.unwrap_or_default(),
            selectors: Selectors {
                unencrypted_suffix: fields.text("unencrypted_suffix")?,
                encrypted_suffix: fields.text("encrypted_suffix")?,
                unencrypted_regex: fields.text("unencrypted_regex")?,
                encrypted_regex: fields.text("encrypted_regex")?,
                unencrypted_comment_regex: fields.text("unencrypted_comment_regex")?,
                encrypted_comment_regex: fields.text("encrypted_comment_regex")?,
            },
            mac_only_encrypted: fields.flag("mac_only_encrypted")?,
        };
        fields.finish();
        Ok(rule)
    }

    pub(super) fn matches(&self, subject: &[u8]) -> Result<bool, ConfigError> {
        self.path.matches(subject)
    }

    /// Whether it has a `path_regex`.
    pub(super) fn names_files(&self) -> bool {
        !self.path.text.is_empty()
    }

    /// Checks the rule and parses its keys. The context goes to flat `kms` keys, which have none of their own.
    pub(super) fn resolve(
        &self,
        encryption_context: &[(String, String)],
    ) -> Result<ResolvedRule, ConfigError> {
        let set = self.selectors.entries().into_iter().filter(|(_, text)| !text.is_empty());
        if set.count() > 1 {
            return Err(ConfigError::SeveralSelectors);
        }
        let key_groups = if self.key_groups.is_empty() {
            vec![self.flat_group(encryption_context)?]
        } else {
            self.key_groups.iter().map(GroupRule::resolve).collect::<Result<_, _>>()?
        };
        let shamir_threshold = usize::try_from(self.shamir_threshold)
            .map_err(|_| ConfigError::NegativeThreshold(self.shamir_threshold))?;
        Ok(ResolvedRule {
            key_groups,
            shamir_threshold,
            selectors: self.selectors.clone(),
            mac_only_encrypted: self.mac_only_encrypted,
        })
    }

    /// Duplicates stay: only `key_groups` drop them (§4.1).
    fn flat_group(&self, encryption_context: &[(String, String)]) -> Result<KeyGroup, ConfigError> {
        let common =
            Common { aws_profile: self.aws_profile.clone(), encryption_context: encryption_context.to_vec() };
        let mut keys = Vec::new();
        for ((kind, field, label), list) in KEY_FIELDS.into_iter().zip(&self.keys) {
            let list = list.as_ref().map_err(|problem| ConfigError::KeyField {
                label,
                field,
                problem: problem.clone(),
            })?;
            keys.extend(kind.parse_list(list, &common)?);
        }
        Ok(KeyGroup::new(keys))
    }
}

/// For which paths a rule is meant.
pub(super) struct PathRegex {
    /// Empty: for all.
    pub(super) text: String,
    /// Line of the rule.
    pub(super) line: u32,
    /// Made when the rule is first reached: later rules may hold anything.
    compiled: OnceLock<Result<Pattern, PatternError>>,
}

impl PathRegex {
    pub(super) fn new(text: String, line: u32) -> Self {
        Self { text, line, compiled: OnceLock::new() }
    }

    pub(super) fn matches(&self, subject: &[u8]) -> Result<bool, ConfigError> {
        if self.text.is_empty() {
            return Ok(true);
        }
        match self.compiled.get_or_init(|| Pattern::new(&self.text)) {
            Ok(pattern) => Ok(pattern.matches(subject)),
            Err(error) => Err(ConfigError::BadPathRegex {
                pattern: self.text.clone(),
                line: self.line,
                reason: error.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;
    use crate::store::yaml::with_nodes;

    const ALICE: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";
    const BOB: &str = "age1rg7dyyp8m855ntxsjuvzfadqeekjwtr9dpv8hv6773ttvfwmyd6qr3tjzt";

    fn read(text: &str) -> CreationRule {
        with_nodes(text.as_bytes(), |stream| {
            CreationRule::read(&mut Decoder::new(stream, text.len()), stream.documents[0].root)
        })
        .unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn resolve(text: &str) -> Result<ResolvedRule, String> {
        read(text).resolve(&[]).map_err(|e| e.to_string())
    }

    fn problem(text: &str) -> String {
        resolve(text).err().unwrap_or_else(|| panic!("{text} is a good rule"))
    }

    fn names(text: &str) -> Vec<Vec<String>> {
        let rule = resolve(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let name = |key: &Key| format!("{} {key}", key.kind().name());
        let names = |group: &KeyGroup| group.keys.iter().map(|master_key| name(&master_key.key)).collect();
        rule.key_groups.iter().map(names).collect()
    }

    #[test]
    fn flat_keys_form_one_group_in_the_order_of_their_kinds() {
        let text = format!(
            "hc_vault_transit_uri: 'https://v/v1/transit/keys/n , '\n\
             azure_keyvault: https://v/keys/k/x\n\
             hckms: ['r:u, r:w', '']\n\
             gcp_kms: a b\n\
             kms: [foo+arn:bar, ba r]\n\
             aws_profile: p\n\
             pgp: A B,C\n\
             age:\n- {BOB}\n- ' {ALICE}'\n- {BOB}\n"
        );
        let expected = [
            &format!("age {BOB}"),
            &format!("age {ALICE}"),
            &format!("age {BOB}"),
            "pgp AB",
            "pgp C",
            "kms foo+arn:bar||p",
            "kms bar||p",
            "gcp_kms ab",
            "hckms r:u",
            "hckms r:w",
            "azure_kv https://v/keys/k/x",
            "hc_vault https://v/v1/transit/keys/n",
        ];
        assert_eq!(names(&text), [expected]);
    }

    #[test]
    fn a_rule_without_keys_has_one_empty_group() {
        for text in ["{}", "age: ~", "age: ''", "age: []", "age: ['']", "key_groups: [~]", "age: ','"] {
            assert_eq!(names(text), [[""; 0]], "{text}");
        }
    }

    #[test]
    fn key_groups_stand_in_place_of_flat_keys() {
        assert_eq!(names("pgp: x\nage: 5\nkey_groups: [{pgp: [a]}, {}, {pgp: [a]}]").concat(), ["pgp a"; 2]);
        assert_eq!(names("pgp: x\nkey_groups: []"), [["pgp x"]]);
        assert_eq!(names("pgp: x\nkey_groups: ~"), [["pgp x"]]);
    }

    #[test]
    fn wrong_types_of_keys_are_told_in_the_words_of_the_reference() {
        for (text, expected) in [
            (
                "age: 5",
                "invalid age key configuration: invalid age key configuration: \
                 expected string, []string, or nil, got int",
            ),
            (
                "gcp_kms: {a: b}",
                "invalid gcpkms key configuration: invalid gcp_kms key configuration: \
                 expected string, []string, or nil, got map[string]interface {}",
            ),
            (
                "hc_vault_transit_uri: [5]",
                "invalid vault key configuration: invalid hc_vault_transit_uri key configuration: \
                 expected string in list, got int",
            ),
        ] {
            assert_eq!(problem(text), expected);
        }
    }

    #[test]
    fn malformed_keys_are_told_in_the_order_of_their_kinds() {
        let hckms = "invalid key ID format: expected 'region:key-uuid', got \"a\"";
        assert_eq!(problem("azure_keyvault: x\nhckms: [a]"), hckms);
        assert!(
            problem("azure_keyvault: x\nhc_vault_transit_uri: y").starts_with("could not parse \"x\" into")
        );
        #[cfg(feature = "age")]
        assert!(problem(&format!("azure_keyvault: x\nage: ['{ALICE}', '']")).contains("\"\""));
    }

    #[test]
    fn the_encryption_context_goes_to_flat_keys_only() {
        let context = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
        for (text, name) in [("kms: foo", "foo|a:1,b:2"), ("key_groups: [{kms: [{arn: foo}]}]", "foo")] {
            let rule = read(text).resolve(&context).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rule.key_groups[0].keys[0].key.to_string(), name);
        }
    }

    #[test]
    fn at_most_one_selector_may_be_set() {
        let rule = resolve("encrypted_suffix: 5\nencrypted_regex: ''\nunencrypted_suffix: ~")
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rule.selectors, Selectors { encrypted_suffix: "5".to_owned(), ..Selectors::default() });
        assert_eq!(
            problem("age: wrong\nencrypted_regex: a\nunencrypted_comment_regex: b"),
            "error loading config: cannot use more than one of encrypted_suffix, unencrypted_suffix, \
             encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex for the \
             same rule"
        );
    }

    #[test]
    fn threshold_and_mac_setting_have_defaults() {
        let settings = |text: &str| {
            let rule = resolve(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            (rule.shamir_threshold, rule.mac_only_encrypted)
        };
        assert_eq!(settings("{}"), (0, false));
        assert_eq!(settings("shamir_threshold: 2\nmac_only_encrypted: yes"), (2, true));
        assert_eq!(problem("shamir_threshold: -1"), "shamir_threshold cannot be negative, but is -1");
    }
}
