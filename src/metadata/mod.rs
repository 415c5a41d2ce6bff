//! What an encrypted file says of itself (format.md §9).
//!
//! `layout` finds the entries in a tree and puts them back, `wire` reads and writes them.

mod layout;
mod wire;

use crate::keys::KeyGroup;
use crate::mac::Coverage;
use crate::selection::Selection;
use crate::tree::{Text, Timestamp, Value};

pub use layout::{LayoutError, append, has_metadata, lift, remove};
pub use wire::MetadataError;

/// The level of the format that we write. Not our own release number, which never goes into files (policy.md §1).
pub const FORMAT_VERSION: &str = "3.13.2";

/// The metadata of a file.
#[derive(Clone)]
pub struct Metadata {
    /// Whom the data key is wrapped for.
    pub key_groups: Vec<KeyGroup>,
    /// How many groups are needed; 0 if the file does not say.
    pub shamir_threshold: usize,
    /// When the file was last encrypted. The MAC is bound to it. Very old files have none.
    pub last_modified: Option<Timestamp>,
    /// The encrypted MAC; empty if there is none.
    pub mac: Text,
    /// Which leaves are encrypted.
    pub selection: Selection,
    /// Which leaves the MAC covers.
    pub coverage: Coverage,
    /// Level of the format. Anything is accepted.
    pub version: String,
    /// Entries that this release does not know, kept for those that do.
    pub unknown: Vec<(Text, Value)>,
}

impl Metadata {
    /// For a new file; `encrypt` fills in the rest.
    pub fn new(key_groups: Vec<KeyGroup>, selection: Selection, coverage: Coverage) -> Self {
        Self {
            key_groups,
            shamir_threshold: 0,
            last_modified: None,
            mac: Text::default(),
            selection,
            coverage,
            version: FORMAT_VERSION.to_owned(),
            unknown: Vec::new(),
        }
    }
}
