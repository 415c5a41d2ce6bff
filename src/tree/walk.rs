//! The only traversal (format.md §2, §3).
//!
//! Values are visited in document order, each with its additional data (the path) and whether the selection
//! encrypts it. Encryption, decryption and the MAC all ride on it.

use super::{Branch, Comment, Element, Item, Scalar, Text, Tree, Value, key_text};
use crate::selection::Selection;

/// Where a visited leaf or comment stands.
pub struct Place<'a> {
    /// The path as additional data: each key with a colon behind it.
    data: &'a [u8],
    /// Where the keys of the path end in `data`.
    ends: &'a [usize],
    /// Where the innermost key of the path begins in the file, in bytes, as far as that is known.
    pub offset: Option<usize>,
    /// Whether the selection encrypts it.
    pub selected: bool,
    /// Whether it is an element of a list: only there do comments turn into leaves and back (format.md §7.3).
    pub listed: bool,
}

/// What a visit makes of a leaf or a comment.
pub enum Visited {
    /// A leaf. In a mapping, the text of a leaf that a comment was turned into becomes the comment's text.
    Leaf(Scalar),
    /// A comment.
    Comment(Comment),
}

/// Something that visits all leaves and comments.
pub trait Visit {
    /// Why a visit can fail.
    type Error: From<Unwalkable>;

    /// Visits a leaf.
    fn leaf(&mut self, place: &Place<'_>, leaf: Scalar) -> Result<Visited, Self::Error>;

    /// Visits a comment.
    fn comment(&mut self, place: &Place<'_>, comment: Comment) -> Result<Visited, Self::Error>;
}

/// What the format has no place for. Displays the reference's wording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwalkable {
    /// A key that is not text.
    Key {
        /// Its type.
        type_name: &'static str,
        /// The key.
        key: String,
    },
    /// An integer beyond 64 bits with sign.
    Uint {
        /// Where it stands.
        path: String,
    },
    /// A time whose offset is a day: the reference reads it and can neither write nor decrypt it.
    Offset {
        /// Where it stands.
        path: String,
    },
}

impl std::fmt::Display for Unwalkable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key { type_name, key } => write!(
                f,
                "Tree contains a non-string key (type {type_name}): {key}. Only string keys are supported\n\
                 hint: put the key {key} in quotes"
            ),
            Self::Uint { path } => write!(
                f,
                "Cannot walk value, unknown type: uint64\n\
                 hint: the integer at {path} is larger than 64 bits with sign can hold; put it in quotes"
            ),
            Self::Offset { path } => write!(
                f,
                "timezone hour outside of range [0,23]\nhint: put the time at {path} in quotes, or correct it"
            ),
        }
    }
}

impl std::error::Error for Unwalkable {}

impl Place<'_> {
    /// Additional authenticated data (format.md §2). Outside of all mappings, a lone colon.
    pub fn additional_data(&self) -> &[u8] {
        if self.data.is_empty() { b":" } else { self.data }
    }

    /// The additional data of the mappings around, from the inside out.
    pub fn around(&self) -> impl Iterator<Item = &[u8]> {
        let outer = self.ends.iter().rev().skip(1).map(|end| &self.data[..*end]);
        outer.chain((!self.ends.is_empty()).then_some(b":".as_slice()))
    }

    /// The keys of the path, from the outside in.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(self.ends);
        starts.zip(self.ends).map(|(start, end)| &self.data[*start..end - 1])
    }

    /// The path in the form that `--extract` takes, list positions left out.
    pub fn path(&self) -> String {
        // control characters are not for terminals
        let path: String = self.keys().map(|key| format!("[{:?}]", String::from_utf8_lossy(key))).collect();
        if path.is_empty() { "the top of the document".to_owned() } else { path }
    }
}

/// Visits every leaf and comment of all branches, in order; what a visit returns takes its place.
pub fn walk<V: Visit>(tree: &mut Tree, selection: &Selection, visitor: &mut V) -> Result<(), V::Error> {
    let mut walk = Walk { selection, visitor, data: Vec::new(), ends: Vec::new(), offset: None };
    tree.branches.iter_mut().try_for_each(|branch| walk.branch(branch, false))
}

struct Walk<'a, V> {
    selection: &'a Selection,
    visitor: &'a mut V,
    data: Vec<u8>,
    ends: Vec<usize>,
    offset: Option<usize>,
}

impl<V: Visit> Walk<'_, V> {
    /// `matched`: whether a key or comment of the containers around matches the selector.
    fn branch(&mut self, branch: &mut Branch, matched: bool) -> Result<(), V::Error> {
        // whether a comment since the last entry matches
        let mut noted = false;
        for item in &mut branch.items {
            match item {
                Item::Comment(comment) => {
                    let inline = comment.inline;
                    let taken = std::mem::replace(comment, Comment { text: Text::default(), inline });
                    let (visited, matches) = self.comment(taken, matched || noted, false)?;
                    noted |= matches;
                    *comment = match visited {
                        Visited::Comment(visited) => visited,
                        Visited::Leaf(Scalar::Text(text)) => Comment { text, inline },
                        Visited::Leaf(other) => Comment { text: key_text(&other).into(), inline },
                    };
                }
                Item::Entry { key: Scalar::Text(key), value } => {
                    let key_matches = self.selection.matches_key(key.as_bytes());
                    let outside = self.data.len();
                    // of a key that is written with escapes nothing is known but where the key around it stands
                    let around = self.offset;
                    self.offset = key.offset().or(around);
                    self.data.extend_from_slice(key.as_bytes());
                    self.data.push(b':');
                    self.ends.push(self.data.len());
                    self.value(value, matched || noted || key_matches)?;
                    self.ends.pop();
                    self.data.truncate(outside);
                    self.offset = around;
                    noted = false;
                }
                Item::Entry { key, .. } => {
                    let (type_name, key) = (key.type_name(), key_text(key));
                    return Err(Unwalkable::Key { type_name, key }.into());
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, elements: &mut [Element], matched: bool) -> Result<(), V::Error> {
        let mut noted = false;
        for element in elements {
            let visited = match element {
                Element::Comment(comment) => {
                    let taken = std::mem::replace(comment, Comment::own_line(""));
                    let (visited, matches) = self.comment(taken, matched || noted, true)?;
                    noted |= matches;
                    visited
                }
                Element::Value(Value::Scalar(leaf)) => {
                    let leaf = std::mem::replace(leaf, Scalar::Null);
                    let visited = self.leaf(leaf, matched || noted, true)?;
                    // an encrypted comment lies in a list as text; opened, it counts as the comment that it is
                    noted = match &visited {
                        Visited::Comment(comment) => {
                            noted || self.selection.matches_comment(comment.text.as_bytes())
                        }
                        Visited::Leaf(_) => false,
                    };
                    visited
                }
                Element::Value(value) => {
                    self.value(value, matched || noted)?;
                    noted = false;
                    continue;
                }
            };
            *element = match visited {
                Visited::Leaf(leaf) => Element::Value(Value::Scalar(leaf)),
                Visited::Comment(comment) => Element::Comment(comment),
            };
        }
        Ok(())
    }

    fn value(&mut self, value: &mut Value, matched: bool) -> Result<(), V::Error> {
        match value {
            Value::Map(branch) => self.branch(branch, matched),
            Value::List(elements) => self.list(elements, matched),
            Value::Scalar(leaf) => {
                let taken = std::mem::replace(leaf, Scalar::Null);
                *leaf = match self.leaf(taken, matched, false)? {
                    Visited::Leaf(leaf) => leaf,
                    Visited::Comment(comment) => Scalar::Text(comment.text),
                };
                Ok(())
            }
        }
    }

    fn leaf(&mut self, leaf: Scalar, matched: bool, listed: bool) -> Result<Visited, V::Error> {
        let selected = self.selection.selects(matched);
        let place = Place { data: &self.data, ends: &self.ends, offset: self.offset, selected, listed };
        match leaf {
            Scalar::Uint(_) => Err(Unwalkable::Uint { path: place.path() }.into()),
            Scalar::Time(time) if !time.has_usual_offset() => {
                Err(Unwalkable::Offset { path: place.path() }.into())
            }
            leaf => self.visitor.leaf(&place, leaf),
        }
    }

    /// Also whether the comment, in clear, matches the selector. Sealing turns comments into leaves, so a comment
    /// that stays one is in clear afterwards, and one that does not was so before.
    fn comment(
        &mut self,
        comment: Comment,
        matched: bool,
        listed: bool,
    ) -> Result<(Visited, bool), V::Error> {
        let selected = self.selection.selects_comment(matched, comment.text.as_bytes());
        let before = self.selection.matches_comment(comment.text.as_bytes());
        let place = Place { data: &self.data, ends: &self.ends, offset: self.offset, selected, listed };
        let visited = self.visitor.comment(&place, comment)?;
        let matches = match &visited {
            Visited::Comment(after) => self.selection.matches_comment(after.text.as_bytes()),
            Visited::Leaf(_) => before,
        };
        Ok((visited, matches))
    }
}
