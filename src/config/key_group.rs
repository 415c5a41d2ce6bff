//! The elements of `key_groups` (config.md §5).

use std::collections::{BTreeSet, HashSet};

use super::ConfigError;
use super::decode::{Decode, Decoder, Fields};
use crate::keys::{
    AwsKmsKey, AzureKvKey, Common, GcpKmsKey, HcKmsKey, HcVaultKey, Key, KeyGroup, Kind, PgpKey,
};
use crate::store::yaml::{NodeId, YamlError};
use crate::tree::MAX_DEPTH;

/// A group as configured: the keys of the groups that are merged into it, then its own.
pub(super) struct GroupRule {
    entries: Vec<Entry>,
}

/// One or several keys, not yet looked at: only the rule that matches must have good keys.
enum Entry {
    /// May hold several recipients, separated by commas.
    Age(String),
    Pgp(String),
    AwsKms {
        arn: String,
        role: String,
        context: Vec<(String, Option<String>)>,
        profile: String,
    },
    GcpKms(String),
    HcKms(String),
    AzureKv(AzureKvKey),
    HcVault(String),
}

impl GroupRule {
    pub(super) fn read(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Self> {
        let mut entries = Vec::new();
        read_into(&mut entries, decoder, id, &mut BTreeSet::new())?;
        Ok(Self { entries })
    }

    /// The group, without keys that it already has. To drop them once, at the end, leaves the same keys as to do so
    /// for each merged group: the first of its name stays.
    pub(super) fn resolve(&self) -> Result<KeyGroup, ConfigError> {
        let mut seen = HashSet::new();
        let mut keys = Vec::new();
        for entry in &self.entries {
            let found = entry.keys()?;
            keys.extend(found.into_iter().filter(|key| seen.insert((key.kind(), key.to_string()))));
        }
        Ok(KeyGroup::new(keys))
    }
}

/// Adds the entries of a group. `open` holds the groups around it.
fn read_into(
    entries: &mut Vec<Entry>,
    decoder: &mut Decoder<'_, '_>,
    id: NodeId,
    open: &mut BTreeSet<NodeId>,
) -> Decode<()> {
    let mut fields = decoder.mapping(id, "a key group")?;
    let line = fields.line();
    let merged = fields.list("merge", |_, id| Ok(id))?;
    let own = own_entries(&mut fields)?;
    fields.finish();
    if open.len() == MAX_DEPTH {
        return Err(YamlError::on_line(
            line,
            format!("key groups are merged over more than {MAX_DEPTH} levels"),
        ));
    }
    if !open.insert(id) {
        return Err(YamlError::on_line(line, "a key group is merged into itself"));
    }
    for id in merged {
        read_into(entries, decoder, id, open)?;
    }
    open.remove(&id);
    entries.extend(own);
    Ok(())
}

/// In the order in which the keys enter the group.
fn own_entries(fields: &mut Fields<'_, '_, '_>) -> Decode<Vec<Entry>> {
    let mut own: Vec<Entry> = fields.texts("age")?.into_iter().map(Entry::Age).collect();
    own.extend(fields.texts("pgp")?.into_iter().map(Entry::Pgp));
    own.extend(fields.list("kms", read_aws_kms)?);
    own.extend(fields.list("gcp_kms", |decoder, id| {
        let mut fields = decoder.mapping(id, "an element of \"gcp_kms\"")?;
        let key = Entry::GcpKms(fields.text("resource_id")?);
        fields.finish();
        Ok(key)
    })?);
    own.extend(fields.list("hckms", |decoder, id| {
        let mut fields = decoder.mapping(id, "an element of \"hckms\"")?;
        let key = Entry::HcKms(fields.text("key_id")?);
        fields.finish();
        Ok(key)
    })?);
    own.extend(fields.list("azure_keyvault", |decoder, id| {
        let mut fields = decoder.mapping(id, "an element of \"azure_keyvault\"")?;
        let key = Entry::AzureKv(AzureKvKey {
            vault_url: fields.text("vaultUrl")?,
            name: fields.text("key")?,
            version: fields.text("version")?,
        });
        fields.finish();
        Ok(key)
    })?);
    own.extend(fields.texts("hc_vault")?.into_iter().map(Entry::HcVault));
    Ok(own)
}

fn read_aws_kms(decoder: &mut Decoder<'_, '_>, id: NodeId) -> Decode<Entry> {
    let mut fields = decoder.mapping(id, "an element of \"kms\"")?;
    let key = Entry::AwsKms {
        arn: fields.text("arn")?,
        role: fields.text("role")?,
        context: fields.text_map("context")?,
        profile: fields.text("aws_profile")?,
    };
    fields.finish();
    Ok(key)
}

impl Entry {
    fn keys(&self) -> Result<Vec<Key>, ConfigError> {
        let without_spaces = |text: &str| text.replace(' ', "");
        Ok(match self {
            Self::Age(list) => Kind::Age.parse_list(list, &Common::default())?,
            Self::Pgp(text) => vec![Key::Pgp(PgpKey { fingerprint: without_spaces(text) })],
            Self::AwsKms { arn, role, context, profile } => {
                // the reference crashes: a context has no nulls
                if let Some((key, _)) = context.iter().find(|(_, value)| value.is_none()) {
                    return Err(ConfigError::NullInContext { arn: arn.clone(), key: key.clone() });
                }
                let mut context = context.clone();
                context.sort();
                let (arn, role, profile) = (arn.clone(), role.clone(), profile.clone());
                vec![Key::AwsKms(AwsKmsKey { arn, role, context, profile })]
            }
            Self::GcpKms(text) => vec![Key::GcpKms(GcpKmsKey { resource_id: without_spaces(text) })],
            Self::HcKms(text) => vec![Key::HcKms(HcKmsKey::parse(text)?)],
            Self::AzureKv(key) => vec![Key::AzureKv(key.clone())],
            Self::HcVault(uri) => vec![Key::HcVault(HcVaultKey::parse(uri)?)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::yaml::with_nodes;

    const ALICE: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";
    const BOB: &str = "age1rg7dyyp8m855ntxsjuvzfadqeekjwtr9dpv8hv6773ttvfwmyd6qr3tjzt";

    fn read(text: &str) -> Result<GroupRule, String> {
        with_nodes(text.as_bytes(), |stream| {
            GroupRule::read(&mut Decoder::new(stream, text.len()), stream.documents[0].root)
        })
        .map_err(|e| e.to_string())
    }

    /// The names of the keys of a group, with their kinds.
    fn names(text: &str) -> Result<Vec<String>, String> {
        let group = read(text)?.resolve().map_err(|e| e.to_string())?;
        let name = |key: &Key| format!("{} {key}", key.kind().name());
        Ok(group.keys.iter().map(|master_key| name(&master_key.key)).collect())
    }

    #[test]
    fn keys_come_in_the_order_of_their_kinds() {
        let text = format!(
            "hc_vault: ['https://v/v1/transit/keys/n']\n\
             azure_keyvault: [{{vaultUrl: 'https://v', key: k, version: x}}]\n\
             hckms: [{{key_id: 'r:u'}}]\n\
             gcp_kms: [{{resource_id: 'a b'}}]\n\
             kms: [{{arn: foo}}]\n\
             pgp: [A B, C]\n\
             age: ['{ALICE}, {BOB}', '']\n"
        );
        let expected = [
            &format!("age {ALICE}"),
            &format!("age {BOB}"),
            "pgp AB",
            "pgp C",
            "kms foo",
            "gcp_kms ab",
            "hckms r:u",
            "azure_kv https://v/keys/k/x",
            "hc_vault https://v/v1/transit/keys/n",
        ];
        assert_eq!(names(&text).expect(&text), expected);
    }

    #[test]
    fn merged_groups_come_first_and_what_comes_again_is_dropped() {
        let text = "merge: [{pgp: [foo], kms: [{arn: A}]}, {merge: [{pgp: [bar]}]}]\n\
                    pgp: [baz, bar]\n\
                    kms: [{arn: B}, {arn: A}]";
        let expected = ["pgp foo", "kms A", "pgp bar", "pgp baz", "kms B"];
        assert_eq!(names(text).expect(text), expected);
    }

    #[test]
    fn the_same_name_of_another_kind_or_context_is_another_key() {
        let text =
            "pgp: [foo, foo]\nkms: [{arn: foo}, {arn: foo, role: r}, {arn: foo, aws_profile: r}, {arn: foo}]";
        assert_eq!(names(text).expect(text), ["pgp foo", "kms foo", "kms foo+r", "kms foo||r"]);
    }

    #[test]
    fn kms_keys_are_named_by_role_context_and_profile() {
        for (key, name) in [
            ("{arn: foo, aws_profile: bar}", "foo||bar"),
            ("{arn: foo, context: {baz: bam}}", "foo|baz:bam"),
            ("{arn: foo, context: {baz: bam}, aws_profile: bar}", "foo|baz:bam|bar"),
            ("{arn: foo, role: 123}", "foo+123"),
            ("{arn: foo, role: 123, context: {baz: bam}, aws_profile: bar}", "foo+123|baz:bam|bar"),
            ("{arn: foo, context: {b: yes, a: 1}}", "foo|a:1,b:yes"),
            ("{arn: foo, context: ~}", "foo"),
            ("{arn: 'f oo+arn:bar'}", "f oo+arn:bar"),
        ] {
            assert_eq!(names(&format!("kms: [{key}]")).expect(key), [format!("kms {name}")]);
        }
    }

    #[test]
    fn a_context_holds_texts_only() {
        assert_eq!(
            names("kms: [{arn: foo, context: {a: b, c: ~}}]").expect_err("null"),
            "the encryption context of the KMS key \"foo\" has no value for \"c\""
        );
        assert_eq!(
            names("kms: [{arn: foo, context: {a: [b]}}]").expect_err("a list"),
            "yaml: line 1: \"a\" must be text, not a list"
        );
    }

    #[test]
    fn there_are_no_short_forms() {
        for text in ["age: x", "kms: [foo]", "gcp_kms: foo", "merge: {}", "pgp: [[x]]", "hc_vault: {}", "[]"]
        {
            assert!(read(text).err().expect(text).contains("must be"), "{text}");
        }
        assert!(names("hc_vault: ['']").expect_err("a crash of the reference").contains("missing scheme"));
        assert!(names("hckms: [{}]").is_err());
        #[cfg(feature = "age")]
        assert!(names(&format!("age: ['{ALICE},']")).is_err(), "lists have no empty elements");
    }

    #[test]
    fn empty_groups_are_left_for_encryption_to_complain_of() {
        for text in ["{}", "age: []", "age: ['']", "age: ~", "kms: [~]", "merge: [~, {}]"] {
            assert_eq!(names(text).expect(text), [""; 0]);
        }
    }

    #[test]
    fn a_group_that_is_merged_into_itself_is_refused() {
        let text = "&g\npgp: [a]\nmerge: [{merge: [*g]}]";
        assert!(names(text).expect_err("a cycle").contains("a key group is merged into itself"));
        assert_eq!(names("merge: [&g {pgp: [a]}, *g, {merge: [*g]}]").expect("no cycle"), ["pgp a"]);
    }

    #[test]
    fn aliases_of_aliases_do_not_make_a_small_file_expensive() {
        let mut text = "x0: &x0 {pgp: [a]}\n".to_owned();
        for i in 1..20 {
            let aliases = vec![format!("*x{}", i - 1); 10].join(", ");
            text += &format!("x{i}: &x{i} {{merge: [{aliases}]}}\n");
        }
        text += "merge: [*x19]\n";
        assert!(names(&text).expect_err("an alias bomb").contains("excessive aliasing"));
    }
}
