//! The serialized shape of metadata, and its order (format.md §9.2–§9.5).
//!
//! Reading is weakly typed, as in the reference: numbers are taken for texts and the reverse, names match in any
//! case, null is empty.

use std::fmt;

use super::Metadata;
use crate::keys::{
    AgeKey, AwsKmsKey, AzureKvKey, GcpKmsKey, HcKmsKey, HcVaultKey, Key, KeyGroup, Kind, MasterKey,
    ParseKeyError, PgpKey,
};
use crate::mac::Coverage;
use crate::selection::{Selection, SelectionError, Selectors};
use crate::tree::{
    Branch, Element, FloatStyle, Item, ParseTimestampError, Scalar, Text, Timestamp, Value, float_text,
    parse_bool, parse_prefixed_int,
};

/// Why metadata cannot be read.
#[derive(Debug)]
pub enum MetadataError {
    /// Entries of the wrong type, one text each.
    Types(Vec<String>),
    /// `lastmodified` is no time.
    LastModified(ParseTimestampError),
    /// A key is not of the form of its kind.
    Key(ParseKeyError),
    /// There is no key at all.
    NoKeys,
    /// The selectors do not fit together.
    Selection(SelectionError),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Types(errors) => {
                write!(f, "decoding failed due to the following error(s):\n\n{}", errors.join("\n"))
            }
            Self::LastModified(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::NoKeys => f.write_str("No keys found in file"),
            Self::Selection(SelectionError::Several) => f.write_str(
                "Cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, \
                 unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex in the same file",
            ),
            Self::Selection(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MetadataError {}

/// Names of the entries that this release knows, beside the lists of keys.
const OWN_ENTRIES: [&str; 12] = [
    "encrypted_comment_regex",
    "encrypted_regex",
    "encrypted_suffix",
    "key_groups",
    "lastmodified",
    "mac",
    "mac_only_encrypted",
    "shamir_threshold",
    "unencrypted_comment_regex",
    "unencrypted_regex",
    "unencrypted_suffix",
    "version",
];

// Reading

impl Metadata {
    /// Reads what `layout::lift` found.
    pub fn read(branch: &Branch) -> Result<Self, MetadataError> {
        let mut errors = Vec::new();
        let mut fields = Fields { branch, path: String::new(), errors: &mut errors };
        let shamir_threshold = fields.integer("shamir_threshold");
        let groups: Vec<ReadGroup> =
            fields.mappings("key_groups").into_iter().map(|group| fields.at(group).group()).collect();
        let inline = fields.group();
        let last_modified = fields.time("lastmodified");
        let mac = fields.text("mac");
        let selectors = Selectors {
            unencrypted_suffix: fields.text("unencrypted_suffix"),
            encrypted_suffix: fields.text("encrypted_suffix"),
            unencrypted_regex: fields.text("unencrypted_regex"),
            encrypted_regex: fields.text("encrypted_regex"),
            unencrypted_comment_regex: fields.text("unencrypted_comment_regex"),
            encrypted_comment_regex: fields.text("encrypted_comment_regex"),
        };
        let only_encrypted = fields.boolean("mac_only_encrypted");
        let version = fields.text("version");
        let unknown = fields.unknown(|name| OWN_ENTRIES.contains(&name) || is_key_list(name));
        if !errors.is_empty() {
            return Err(MetadataError::Types(errors));
        }
        // keys at the top make the groups count for nothing
        let read = if inline.keys.is_empty() { groups } else { vec![inline] };
        if read.is_empty() {
            return Err(MetadataError::NoKeys);
        }
        let key_groups = read.into_iter().map(ReadGroup::finish).collect::<Result<_, _>>();
        Ok(Self {
            key_groups: key_groups.map_err(MetadataError::Key)?,
            shamir_threshold,
            last_modified: match last_modified.as_str() {
                "" => None,
                text => Some(Timestamp::parse(text).map_err(MetadataError::LastModified)?),
            },
            mac: mac.into(),
            selection: selection(&selectors, &version).map_err(MetadataError::Selection)?,
            coverage: if only_encrypted { Coverage::OnlyEncrypted } else { Coverage::All },
            version,
            unknown,
        })
    }
}

/// The releases before 1.7 encrypted everything. Those in Python that did not always said which values they left out,
/// so that a file of version 0 or 1 that says nothing is older.
fn selection(selectors: &Selectors, version: &str) -> Result<Selection, SelectionError> {
    // 1.0 is a number in YAML, and may have become 1
    let is_of_python = matches!(version.split('.').next(), Some("0" | "1"));
    if is_of_python && *selectors == Selectors::default() {
        return Ok(Selection::All);
    }
    selectors.selection()
}

fn is_key_list(name: &str) -> bool {
    Kind::ALL.iter().any(|kind| kind.name() == name)
}

/// A mapping that is being read; what is wrong in it is collected.
struct Fields<'a, 'e> {
    branch: &'a Branch,
    /// Of the mapping, for messages.
    path: String,
    errors: &'e mut Vec<String>,
}

impl<'a> Fields<'a, '_> {
    /// The value of an entry: the exact name first, then any case; the last of duplicates.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let entries = || {
            self.branch.items.iter().rev().filter_map(|item| match item {
                Item::Entry { key: Scalar::Text(key), value } => Some((key.as_bytes(), value)),
                _ => None,
            })
        };
        let exact = entries().find(|(key, _)| *key == name.as_bytes());
        let found = exact.or_else(|| entries().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())));
        found.map(|(_, value)| value)
    }

    fn name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn wrong(&mut self, name: &str, problem: impl fmt::Display) {
        let name = self.name(name);
        self.errors.push(format!("'{name}' {problem}"));
    }

    fn text(&mut self, name: &str) -> String {
        match self.get(name).map(weak_text) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(found)) => {
                self.wrong(name, format_args!("expected type 'string', got unconvertible type '{found}'"));
                String::new()
            }
        }
    }

    /// A time as text. Without quotes YAML makes a time of it, which the reference refuses (policy.md §3).
    fn time(&mut self, name: &str) -> String {
        match self.get(name) {
            Some(Value::Scalar(Scalar::Time(time))) => time.to_string(),
            _ => self.text(name),
        }
    }

    fn integer(&mut self, name: &str) -> usize {
        let value = match self.get(name) {
            None | Some(Value::Scalar(Scalar::Null)) => Some(0),
            Some(Value::Scalar(Scalar::Int(value))) => Some(*value),
            Some(Value::Scalar(Scalar::Float(value))) => Some(*value as i64),
            Some(Value::Scalar(Scalar::Bool(value))) => Some(i64::from(*value)),
            Some(Value::Scalar(Scalar::Text(text))) => text.as_str().and_then(parse_prefixed_int),
            Some(_) => None,
        };
        match value.map(usize::try_from) {
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.wrong(name, "is out of range");
                0
            }
            None => {
                self.wrong(name, "cannot parse value as 'int': strconv.ParseInt: invalid syntax");
                0
            }
        }
    }

    fn boolean(&mut self, name: &str) -> bool {
        let value = match self.get(name) {
            None | Some(Value::Scalar(Scalar::Null)) => Some(false),
            Some(Value::Scalar(Scalar::Bool(value))) => Some(*value),
            Some(Value::Scalar(Scalar::Int(value))) => Some(*value != 0),
            Some(Value::Scalar(Scalar::Float(value))) => Some(*value != 0.0),
            Some(Value::Scalar(Scalar::Text(text))) if text.is_empty() => Some(false),
            Some(Value::Scalar(Scalar::Text(text))) => parse_bool(text.as_bytes()).ok(),
            Some(_) => None,
        };
        value.unwrap_or_else(|| {
            self.wrong(name, "cannot parse value as 'bool': strconv.ParseBool: invalid syntax");
            false
        })
    }

    /// The mappings of a list. A single mapping counts as a list of one, null as an empty one.
    fn mappings(&mut self, name: &str) -> Vec<(String, &'a Branch)> {
        const EMPTY: &Branch = &Branch { items: Vec::new() };
        let path = self.name(name);
        let mut found: Vec<(String, &'a Branch)> = Vec::new();
        match self.get(name) {
            None | Some(Value::Scalar(Scalar::Null)) => {}
            Some(Value::Map(branch)) if branch.items.is_empty() => {}
            Some(Value::Map(branch)) => found.push((format!("{path}[0]"), branch)),
            Some(Value::Scalar(scalar)) => {
                let text = format!("'{path}[0]' expected a map or struct, got {:?}", scalar.type_name());
                self.errors.push(text);
            }
            Some(Value::List(elements)) => {
                let values = elements.iter().filter_map(|element| match element {
                    Element::Value(value) => Some(value),
                    Element::Comment(_) => None,
                });
                for (i, value) in values.enumerate() {
                    let path = format!("{path}[{i}]");
                    match value {
                        Value::Map(branch) => found.push((path, branch)),
                        Value::Scalar(Scalar::Null) => found.push((path, EMPTY)),
                        other => {
                            let found = other.type_name();
                            self.errors.push(format!("'{path}' expected a map or struct, got {found:?}"));
                        }
                    }
                }
            }
        }
        found
    }

    fn at(&mut self, (path, branch): (String, &'a Branch)) -> Fields<'a, '_> {
        Fields { branch, path, errors: self.errors }
    }

    fn context(&mut self) -> Vec<(String, Option<String>)> {
        let mut context = Vec::new();
        let mut branches: Vec<&Branch> = Vec::new();
        match self.get("context") {
            None | Some(Value::Scalar(Scalar::Null)) => {}
            Some(Value::Map(branch)) => branches.push(branch),
            Some(Value::List(elements)) => {
                branches.extend(elements.iter().filter_map(|element| match element {
                    Element::Value(Value::Map(branch)) => Some(branch),
                    _ => None,
                }));
            }
            Some(other) => {
                let found = other.type_name();
                self.wrong(
                    "context",
                    format_args!("expected type 'map[string]*string', got unconvertible type '{found}'"),
                );
            }
        }
        for item in branches.into_iter().flat_map(|branch| &branch.items) {
            let Item::Entry { key: Scalar::Text(key), value } = item else { continue };
            let key = key.to_string_lossy().into_owned();
            match value {
                Value::Scalar(Scalar::Null) => context.push((key, None)),
                value => match weak_text(value) {
                    Ok(text) => context.push((key, Some(text))),
                    Err(found) => self.wrong(
                        &format!("context[{key}]"),
                        format_args!("expected type 'string', got unconvertible type '{found}'"),
                    ),
                },
            }
        }
        context.sort();
        context
    }

    fn unknown(&self, is_known: impl Fn(&str) -> bool) -> Vec<(Text, Value)> {
        let entries = self.branch.items.iter().filter_map(|item| match item {
            Item::Entry { key: Scalar::Text(key), value } => Some((key, value)),
            _ => None,
        });
        let unknown = entries.filter(|(key, _)| !is_known(&key.to_string_lossy().to_ascii_lowercase()));
        unknown.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn group(&mut self) -> ReadGroup {
        let mut keys = Vec::new();
        for kind in Kind::ALL {
            for key in self.mappings(kind.name()) {
                keys.push(self.at(key).key(kind));
            }
        }
        let unknown = if self.path.is_empty() { Vec::new() } else { self.unknown(is_key_list) };
        ReadGroup { keys, unknown }
    }

    fn key(&mut self, kind: Kind) -> ReadKey {
        let enc = self.text("enc");
        let created_at = if kind == Kind::Age { String::new() } else { self.time("created_at") };
        let key = match kind {
            Kind::Age => Ok(Key::Age(AgeKey { recipient: self.text("recipient") })),
            Kind::Pgp => Ok(Key::Pgp(PgpKey { fingerprint: self.text("fp") })),
            Kind::AwsKms => Ok(Key::AwsKms(AwsKmsKey {
                arn: self.text("arn"),
                role: self.text("role"),
                context: self.context(),
                profile: self.text("aws_profile"),
            })),
            Kind::GcpKms => Ok(Key::GcpKms(GcpKmsKey { resource_id: self.text("resource_id") })),
            Kind::AzureKv => Ok(Key::AzureKv(AzureKvKey {
                vault_url: self.text("vault_url"),
                name: self.text("name"),
                version: self.text("version"),
            })),
            Kind::HcVault => Ok(Key::HcVault(HcVaultKey {
                address: self.text("vault_address"),
                engine_path: self.text("engine_path"),
                key_name: self.text("key_name"),
            })),
            Kind::HcKms => HcKmsKey::parse(&self.text("key_id")).map(Key::HcKms),
        };
        let unknown = self.unknown(|name| key_fields(kind).contains(&name));
        ReadKey { key, enc, created_at, unknown }
    }
}

struct ReadGroup {
    keys: Vec<ReadKey>,
    unknown: Vec<(Text, Value)>,
}

struct ReadKey {
    key: Result<Key, ParseKeyError>,
    enc: String,
    created_at: String,
    unknown: Vec<(Text, Value)>,
}

impl ReadGroup {
    fn finish(self) -> Result<KeyGroup, ParseKeyError> {
        let keys = self.keys.into_iter().map(|read| {
            // the form that is written; what is no time is kept as it is
            let created_at =
                Timestamp::parse(&read.created_at).map_or(read.created_at, |t| t.whole_seconds());
            Ok(MasterKey { key: read.key?, enc: read.enc, created_at, unknown: read.unknown })
        });
        Ok(KeyGroup { keys: keys.collect::<Result<_, _>>()?, unknown: self.unknown })
    }
}

/// A scalar as text. The error names the type that has none.
fn weak_text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::Scalar(Scalar::Null) => Ok(String::new()),
        Value::Scalar(Scalar::Bool(value)) => Ok(if *value { "1" } else { "0" }.to_owned()),
        Value::Scalar(Scalar::Int(value)) => Ok(value.to_string()),
        Value::Scalar(Scalar::Uint(value)) => Ok(value.to_string()),
        Value::Scalar(Scalar::Float(value)) => Ok(float_text(*value, FloatStyle::Plain)),
        Value::Scalar(Scalar::Text(text)) => Ok(text.to_string_lossy().into_owned()),
        Value::Scalar(Scalar::Time(_)) => Err("time.Time"),
        Value::List(_) => Err("[]interface {}"),
        Value::Map(_) => Err("map[string]interface {}"),
    }
}

// Writing

/// Entries of a mapping that is being written.
#[derive(Default)]
struct Entries(Vec<(Text, Value)>);

impl Entries {
    fn add(&mut self, name: &str, value: Value) {
        self.0.push((name.into(), value));
    }

    fn text(&mut self, name: &str, text: impl Into<Text>) {
        self.add(name, Value::text(text));
    }

    fn text_unless_empty(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// Sorted bytewise, as at every level of the metadata.
    fn branch(mut self, unknown: &[(Text, Value)]) -> Branch {
        self.0.extend(unknown.iter().cloned());
        self.0.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        Branch { items: self.0.into_iter().map(|(key, value)| Item::entry(key, value)).collect() }
    }
}

impl Metadata {
    /// The mapping that `layout::append` puts in.
    pub fn write(&self) -> Branch {
        let mut entries = Entries::default();
        match self.key_groups.as_slice() {
            [] => {}
            [only] => {
                key_lists(only, &mut entries, |keys| !keys.is_empty());
                // where a file has one group only, it is at the top; what is unknown about it goes there too
                entries.0.extend(only.unknown.iter().cloned());
            }
            several => {
                let groups = several.iter().map(|group| Element::Value(Value::Map(group_branch(group))));
                entries.add("key_groups", Value::List(groups.collect()));
            }
        }
        if self.shamir_threshold != 0 {
            entries.add("shamir_threshold", Value::Scalar(Scalar::Int(self.shamir_threshold as i64)));
        }
        entries.text("lastmodified", self.last_modified.map_or(String::new(), |time| time.whole_seconds()));
        entries.add("mac", Value::Scalar(Scalar::Text(self.mac.clone())));
        if self.coverage == Coverage::OnlyEncrypted {
            entries.add("mac_only_encrypted", Value::Scalar(Scalar::Bool(true)));
        }
        for (name, text) in self.selection.selectors().entries() {
            entries.text_unless_empty(name, text);
        }
        entries.text("version", self.version.as_str());
        entries.branch(&self.unknown)
    }
}

fn group_branch(group: &KeyGroup) -> Branch {
    let mut entries = Entries::default();
    key_lists(group, &mut entries, |_| true);
    // these two are there even when they are empty (format.md §9.4)
    entries.0.retain(|(name, value)| {
        let empty = matches!(value, Value::List(elements) if elements.is_empty());
        !empty
            || [Kind::Age.name(), Kind::HcVault.name()].iter().any(|kept| name.as_bytes() == kept.as_bytes())
    });
    entries.branch(&group.unknown)
}

/// One list a kind.
fn key_lists(group: &KeyGroup, entries: &mut Entries, keep: impl Fn(&[Element]) -> bool) {
    for kind in Kind::ALL {
        let of_kind = group.keys.iter().filter(|key| key.key.kind() == kind);
        let list: Vec<Element> = of_kind.map(|key| Element::Value(Value::Map(key_branch(key)))).collect();
        if keep(&list) {
            entries.add(kind.name(), Value::List(list));
        }
    }
}

/// The fields of a key that this release knows (format.md §9.3).
fn key_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Age => &["enc", "recipient"],
        Kind::Pgp => &["created_at", "enc", "fp"],
        Kind::AwsKms => &["arn", "aws_profile", "context", "created_at", "enc", "role"],
        Kind::GcpKms => &["created_at", "enc", "resource_id"],
        Kind::AzureKv => &["created_at", "enc", "name", "vault_url", "version"],
        Kind::HcVault => &["created_at", "enc", "engine_path", "key_name", "vault_address"],
        Kind::HcKms => &["created_at", "enc", "key_id"],
    }
}

fn key_branch(key: &MasterKey) -> Branch {
    let mut entries = Entries::default();
    entries.text("enc", key.enc.as_str());
    if key.key.kind() != Kind::Age {
        entries.text("created_at", key.created_at.as_str());
    }
    match &key.key {
        Key::Age(age) => entries.text("recipient", age.recipient.as_str()),
        Key::Pgp(pgp) => entries.text("fp", pgp.fingerprint.as_str()),
        Key::AwsKms(kms) => {
            entries.text("arn", kms.arn.as_str());
            entries.text("aws_profile", kms.profile.as_str());
            entries.text_unless_empty("role", &kms.role);
            if !kms.context.is_empty() {
                let value = |text: &Option<String>| match text {
                    Some(text) => Value::text(text.as_str()),
                    None => Value::Scalar(Scalar::Null),
                };
                let items = kms.context.iter().map(|(name, text)| Item::entry(name.as_str(), value(text)));
                entries.add("context", Value::Map(Branch { items: items.collect() }));
            }
        }
        Key::GcpKms(gcp) => entries.text("resource_id", gcp.resource_id.as_str()),
        Key::AzureKv(azure) => {
            entries.text("vault_url", azure.vault_url.as_str());
            entries.text("name", azure.name.as_str());
            entries.text("version", azure.version.as_str());
        }
        Key::HcVault(vault) => {
            entries.text("vault_address", vault.address.as_str());
            entries.text("engine_path", vault.engine_path.as_str());
            entries.text("key_name", vault.key_name.as_str());
        }
        Key::HcKms(hckms) => entries.text("key_id", hckms.to_string()),
    }
    entries.branch(&key.unknown)
}
