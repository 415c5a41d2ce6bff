//! The document in memory: what every store reads into and writes from (format.md §1).
//!
//! A [`Tree`] holds one [`Branch`] per document, a branch holds [`Item`]s in file order. Order, duplicate
//! keys and comments are kept; presentation (quotes, indentation, flow style) is not.

mod duplicate;
mod edit;
mod number;
mod path;
mod text;
mod timestamp;
mod walk;

pub use edit::{Change, EditError};
pub use number::{
    FloatStyle, ParseNumberError, float_text, parse_bool, parse_float, parse_int, parse_prefixed_int,
};
pub(crate) use path::key_text;
pub use path::{Found, Path, PathError, Step};
pub use text::{Source, Text, TextBuffer};
pub(crate) use timestamp::nanoseconds;
pub use timestamp::{ParseTimestampError, Timestamp};
pub use walk::{Place, Unwalkable, Visit, Visited, walk};

/// Containers may nest this deep, in every format. The reference stops at the same depth (yaml.md §2.12,
/// stores.md §3.1).
pub const MAX_DEPTH: usize = 10_000;

/// Stack, in bytes, on which a document of [`MAX_DEPTH`] levels can be read, walked, written and dropped.
/// Pages are only committed when they are touched.
pub const STACK_SIZE: usize = 512 << 20;

/// A whole file without its metadata: one branch per document.
#[derive(Clone, PartialEq, Default)]
pub struct Tree {
    /// The documents, in file order. Only YAML can have zero or several.
    pub branches: Vec<Branch>,
}

/// An ordered mapping: a document, or any mapping inside one.
#[derive(Clone, PartialEq, Default)]
pub struct Branch {
    /// Entries and comments in file order; duplicates of a key may coexist.
    pub items: Vec<Item>,
}

/// One line of a mapping, so to speak.
#[derive(Clone, PartialEq)]
pub enum Item {
    /// A comment between entries.
    Comment(Comment),
    /// A key with its value. Only YAML yields keys that are not text.
    Entry {
        /// The key.
        key: Scalar,
        /// What stands under it.
        value: Value,
    },
}

/// One element of a list.
#[derive(Clone, PartialEq)]
pub enum Element {
    /// A comment between elements. It counts as a position in paths (format.md §12).
    Comment(Comment),
    /// A value.
    Value(Value),
}

/// Anything that can stand under a key.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// A leaf.
    Scalar(Scalar),
    /// A list.
    List(Vec<Element>),
    /// A mapping.
    Map(Branch),
}

/// A leaf, or a key. Equality compares floats by their bits, so that NaN equals itself.
#[derive(Clone)]
pub enum Scalar {
    /// Null is never encrypted and never hashed.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit signed integer.
    Int(i64),
    /// An integer from 2^63 to 2^64-1: YAML can hold it, encryption cannot (format.md §1).
    Uint(u64),
    /// A 64-bit float.
    Float(f64),
    /// An instant with its offset.
    Time(Timestamp),
    /// Bytes, normally UTF-8.
    Text(Text),
}

/// A comment, without its marker.
#[derive(Clone)]
pub struct Comment {
    /// The text behind `#` or `;`, leading blank included.
    pub text: Text,
    /// Whether it stands behind a value on the same line. Only YAML sets it.
    pub inline: bool,
}

/// Comments are the same if they say the same; where they stand does not count (format.md §1).
impl PartialEq for Comment {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Comment {
    /// A comment on a line of its own.
    pub fn own_line(text: impl Into<Text>) -> Self {
        Self { text: text.into(), inline: false }
    }
}

impl Scalar {
    /// The text of a text scalar.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The word that messages of the reference use for the type (cli.md §8.5).
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Time(_) => "time.Time",
            Self::Text(_) => "string",
        }
    }
}

impl Value {
    /// A text leaf.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Scalar(Scalar::Text(text.into()))
    }

    /// The word that messages of the reference use for the type (cli.md §8.5).
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(scalar) => scalar.type_name(),
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "sops.TreeBranch",
        }
    }
}

impl Value {
    fn text_size(&self, frame: usize) -> usize {
        match self {
            Self::Scalar(scalar) => scalar.as_text().map_or(8, Text::len),
            Self::Map(branch) => branch.text_size(frame),
            Self::List(elements) => elements
                .iter()
                .map(|element| match element {
                    Element::Comment(comment) => frame + comment.text.len(),
                    Element::Value(value) => frame + value.text_size(frame),
                })
                .sum(),
        }
    }
}

impl Item {
    /// An entry with a text key.
    pub fn entry(key: impl Into<Text>, value: Value) -> Self {
        Self::Entry { key: Scalar::Text(key.into()), value }
    }

    /// The text of the key, for entries that have one.
    pub fn text_key(&self) -> Option<&Text> {
        match self {
            Self::Entry { key: Scalar::Text(key), .. } => Some(key),
            _ => None,
        }
    }
}

impl Tree {
    /// About how many bytes its text takes, for writers that want room enough at once. `frame`: bytes beside key and
    /// value of an entry.
    pub(crate) fn text_size(&self, frame: usize) -> usize {
        self.branches.iter().map(|branch| branch.text_size(frame)).sum()
    }
}

impl Branch {
    fn text_size(&self, frame: usize) -> usize {
        let size = |scalar: &Scalar| scalar.as_text().map_or(8, Text::len);
        let items = self.items.iter().map(|item| match item {
            Item::Comment(comment) => frame + comment.text.len(),
            Item::Entry { key, value } => frame + size(key) + value.text_size(frame),
        });
        items.sum()
    }

    /// The value of the first entry with this key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Value> {
        let key = key.as_ref();
        self.items.iter().find_map(|item| match item {
            Item::Entry { key: Scalar::Text(k), value } if k.as_bytes() == key => Some(value),
            _ => None,
        })
    }
}
