//! Syntax: bytes ⇄ [`Tree`]. A store knows nothing of secrets, keys or configuration.

pub mod binary;
pub mod dotenv;
pub mod flatten;
pub mod ini;
pub mod json;
pub(crate) mod scalar_text;
mod structure;
pub mod yaml;
mod yaml_store;

use std::fmt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::tree::{Branch, Found, Source, Tree};

pub use yaml_store::YamlStore;

/// A file format. The name decides, else the end of the path (stores.md §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Opaque bytes; encrypted, a JSON file with the single item `data`.
    Binary,
    /// `KEY=value` lines.
    Dotenv,
    /// Sections of keys.
    Ini,
    /// JSON.
    Json,
    /// YAML, of one or several documents.
    Yaml,
}

/// Indentation of the output, as configured (config.md §7, cli.md §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indent {
    /// YAML: blanks per level; 0 means 4.
    pub yaml: i64,
    /// JSON: blanks per level; -1 means one tab.
    pub json: i64,
    /// Encrypted binary files: as for JSON.
    pub json_binary: i64,
}

impl Default for Indent {
    fn default() -> Self {
        Self { yaml: 0, json: -1, json_binary: -1 }
    }
}

/// Where a format keeps the metadata of an encrypted file (format.md §9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A mapping under the top-level key `sops`.
    Nested,
    /// A section `sops`, flattened inside.
    Section,
    /// Top-level keys that start with `sops_`, flattened.
    Prefixed,
}

/// Bytes ⇄ tree for one format.
///
/// The encrypted form of a file has another syntax only for [`Format::Binary`]; but it must be readable again, so
/// writing it refuses what the format cannot hold, where plain output is a help for the eye. Metadata items are
/// ordinary items here: `metadata::layout` takes them out and puts them in.
pub trait Store {
    /// Reads a plain file.
    fn load(&self, source: Source) -> Result<Tree, StoreError>;

    /// Reads an encrypted file, metadata items included.
    fn load_encrypted(&self, source: Source) -> Result<Tree, StoreError> {
        self.load(source)
    }

    /// Writes a plain file.
    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Writes an encrypted file, metadata items included.
    fn emit_encrypted(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.emit(tree)
    }

    /// Writes what a path of `--extract` led to, if it is neither text nor a mapping (stores.md §8.2).
    fn emit_value(&self, found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Where metadata lies.
    fn layout(&self) -> Layout;

    /// The example that `edit` offers for a new file (stores.md §1.4).
    fn example(&self) -> Branch;
}

/// Why a store refused. The message is complete but for the file name.
#[derive(Debug)]
pub struct StoreError {
    message: String,
}

impl StoreError {
    /// An error with this message. It must hold no value of the document.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

impl Format {
    /// Every format with the name that `--input-type` takes.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("binary", Self::Binary),
        ("dotenv", Self::Dotenv),
        ("ini", Self::Ini),
        ("json", Self::Json),
        ("yaml", Self::Yaml),
    ];

    /// The format with exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, format)| *format)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// The format that the end of a path tells. The comparison is of bytes over the whole path, so that a file
    /// called `.env` is dotenv and `A.YAML` is binary (stores.md §1.1).
    pub fn from_path(path: &Path) -> Self {
        let path = path.as_os_str().as_encoded_bytes();
        let ends = |suffix: &str| path.ends_with(suffix.as_bytes());
        match () {
            () if ends(".yaml") || ends(".yml") => Self::Yaml,
            () if ends(".json") => Self::Json,
            () if ends(".env") => Self::Dotenv,
            () if ends(".ini") => Self::Ini,
            () => Self::Binary,
        }
    }
}

impl Format {
    /// The store of this format.
    pub fn store(self, indent: Indent) -> Box<dyn Store> {
        match self {
            Self::Binary => Box::new(binary::BinaryStore { indent: indent.json_binary }),
            Self::Dotenv => Box::new(dotenv::DotenvStore),
            Self::Ini => Box::new(ini::IniStore),
            Self::Json => Box::new(json::JsonStore { indent: indent.json }),
            Self::Yaml => Box::new(YamlStore { indent: indent.yaml }),
        }
    }
}

/// The example of the nested formats (stores.md §1.4).
fn complex_example() -> Branch {
    use crate::tree::{Comment, Element, Item, Scalar, Value};
    let list = |values: [Value; 2]| Value::List(values.into_iter().map(Element::Value).collect());
    Branch {
        items: vec![
            Item::entry("hello", Value::text("Welcome to SOPS! Edit this file as you please!")),
            Item::entry("example_key", Value::text("example_value")),
            Item::Comment(Comment::own_line(" Example comment")),
            Item::entry(
                "example_array",
                list([Value::text("example_value1"), Value::text("example_value2")]),
            ),
            Item::entry("example_number", Value::Scalar(Scalar::Float(1234.56789))),
            Item::entry(
                "example_booleans",
                list([Value::Scalar(Scalar::Bool(true)), Value::Scalar(Scalar::Bool(false))]),
            ),
        ],
    }
}
