//! Where the metadata lies in a tree (format.md §9.1, §9.6, §9.7).

use std::fmt;

use crate::store::Layout;
use crate::store::flatten::{FlattenError, flatten, unflatten};
use crate::store::scalar_text::{escape_newlines, unescape_newlines};
use crate::tree::{Branch, Item, Scalar, Text, Tree, Value};

const ENTRY: &[u8] = b"sops";
const PREFIX: &[u8] = b"sops_";

/// Why metadata cannot be found, or put in. Displays the reference's wording.
#[derive(Debug)]
pub enum LayoutError {
    /// The file is not encrypted.
    NotFound,
    /// The entry is something else.
    NotAMapping,
    /// There are two.
    Duplicate,
    /// Flat metadata are contradictory.
    Flat(FlattenError),
    /// The data have a key that is reserved for metadata.
    Reserved {
        /// The key.
        key: String,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("sops metadata not found"),
            Self::NotAMapping => f.write_str("Found sops entry that is not a mapping"),
            Self::Duplicate => f.write_str("Found duplicate sops entry"),
            Self::Flat(error) => error.fmt(f),
            Self::Reserved { key } if key.as_bytes() == ENTRY => f.write_str(
                "Found key \"sops\" in encrypted data, which is a reserved key used for SOPS metadata",
            ),
            Self::Reserved { key } => write!(
                f,
                "Found key {key:?} in encrypted data, which starts with the reserved key prefix \"sops_\" for SOPS \
                 metadata"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

impl From<FlattenError> for LayoutError {
    fn from(error: FlattenError) -> Self {
        Self::Flat(error)
    }
}

fn belongs(item: &Item, layout: Layout) -> bool {
    item.text_key().is_some_and(|key| match layout {
        Layout::Nested | Layout::Section => key.as_bytes() == ENTRY,
        Layout::Prefixed => key.as_bytes().starts_with(PREFIX),
    })
}

/// Whether a document has metadata, or keys that are reserved for them.
pub fn has_metadata(branch: &Branch, layout: Layout) -> bool {
    branch.items.iter().any(|item| belongs(item, layout))
}

/// Takes the metadata out of all documents; those of the first count.
pub fn lift(tree: &mut Tree, layout: Layout) -> Result<Branch, LayoutError> {
    let mut branches = tree.branches.iter_mut();
    let first = branches.next().ok_or(LayoutError::NotFound)?;
    let taken: Vec<Item> = first.items.extract_if(.., |item| belongs(item, layout)).collect();
    for branch in branches {
        branch.items.retain(|item| !belongs(item, layout));
    }
    match layout {
        Layout::Nested => entry(taken),
        Layout::Section => Ok(unflatten(&map_text(entry(taken)?, unescape_newlines))?),
        Layout::Prefixed if taken.is_empty() => Err(LayoutError::NotFound),
        Layout::Prefixed => {
            let items = taken.into_iter().filter_map(without_prefix).collect();
            Ok(unflatten(&Branch { items })?)
        }
    }
}

/// The one `sops` mapping.
fn entry(taken: Vec<Item>) -> Result<Branch, LayoutError> {
    let mut values = taken.into_iter().filter_map(|item| match item {
        Item::Entry { value, .. } => Some(value),
        Item::Comment(_) => None,
    });
    match (values.next(), values.next()) {
        (None, _) => Err(LayoutError::NotFound),
        (Some(_), Some(_)) => Err(LayoutError::Duplicate),
        (Some(Value::Map(branch)), None) if branch.items.is_empty() => Err(LayoutError::NotFound),
        (Some(Value::Map(branch)), None) => Ok(branch),
        (Some(_), None) => Err(LayoutError::NotAMapping),
    }
}

fn without_prefix(item: Item) -> Option<Item> {
    match item {
        Item::Entry { key: Scalar::Text(key), value } if key.len() > PREFIX.len() => {
            Some(Item::entry(&key.as_bytes()[PREFIX.len()..], value))
        }
        _ => None,
    }
}

fn map_text(branch: Branch, map: impl Fn(&[u8]) -> Vec<u8>) -> Branch {
    let items = branch.items.into_iter().map(|item| match item {
        Item::Entry { key, value: Value::Scalar(Scalar::Text(text)) } => {
            let text = Text::from(map(text.as_bytes()));
            Item::Entry { key, value: Value::Scalar(Scalar::Text(text)) }
        }
        other => other,
    });
    Branch { items: items.collect() }
}

/// Adds the metadata to every document, as its last items.
pub fn append(tree: &mut Tree, metadata: Branch, layout: Layout) -> Result<(), LayoutError> {
    let reserved = tree.branches.iter().flat_map(|b| &b.items).find(|item| belongs(item, layout));
    if let Some(key) = reserved.and_then(Item::text_key) {
        return Err(LayoutError::Reserved { key: key.to_string_lossy().into_owned() });
    }
    let items = match layout {
        Layout::Nested => vec![Item::entry(ENTRY, Value::Map(metadata))],
        Layout::Section => {
            let flat = map_text(flatten(&metadata)?, escape_newlines);
            vec![Item::entry(ENTRY, Value::Map(flat))]
        }
        Layout::Prefixed => flatten(&metadata)?.items.into_iter().map(with_prefix).collect(),
    };
    let Some((last, others)) = tree.branches.split_last_mut() else { return Ok(()) };
    for branch in others {
        branch.items.extend(items.iter().cloned());
    }
    last.items.extend(items);
    Ok(())
}

fn with_prefix(item: Item) -> Item {
    match item {
        Item::Entry { key: Scalar::Text(key), value } => {
            Item::entry([PREFIX, key.as_bytes()].concat(), value)
        }
        other => other,
    }
}

/// Takes appended metadata away again.
pub fn remove(tree: &mut Tree, layout: Layout) {
    for branch in &mut tree.branches {
        branch.items.retain(|item| !belongs(item, layout));
    }
}
