//! A section, as it is read and as it is written.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::tree::{Branch, Comment, Item, Value};

/// A header with the keys below it. Comments stand in front of what they belong to; an empty one is none.
pub(super) struct Section<'a> {
    pub(super) name: &'a [u8],
    pub(super) comment: Cow<'a, [u8]>,
    pub(super) keys: Vec<Key<'a>>,
    /// Where each name stands in `keys`.
    positions: HashMap<Cow<'a, [u8]>, usize>,
    last: usize,
}

/// A key with its value.
pub(super) struct Key<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) value: Cow<'a, [u8]>,
    pub(super) comment: Cow<'a, [u8]>,
}

impl<'a> Section<'a> {
    pub(super) fn new(name: &'a [u8]) -> Self {
        let comment = Cow::Borrowed(&[][..]);
        Self { name, comment, keys: Vec::new(), positions: HashMap::new(), last: 0 }
    }

    /// Adds a key. A repeated one keeps its first position and gets the last value.
    pub(super) fn insert(&mut self, name: Cow<'a, [u8]>, value: Cow<'a, [u8]>) {
        if let Some(position) = self.positions.get(&name) {
            self.last = *position;
            self.keys[self.last].value = value;
        } else {
            self.last = self.keys.len();
            self.positions.insert(name.clone(), self.last);
            self.keys.push(Key { name, value, comment: Cow::Borrowed(&[]) });
        }
    }

    /// Gives a comment to the key that was inserted last, in place of what it had.
    pub(super) fn comment_last_key(&mut self, comment: Cow<'a, [u8]>) {
        if let Some(key) = self.keys.get_mut(self.last) {
            key.comment = comment;
        }
    }

    /// Section name, key name and value of each key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
        self.keys.iter().map(|key| (self.name, &*key.name, &*key.value))
    }

    /// The section's comment becomes its first item; that of a key follows the key (stores.md §6.2).
    pub(super) fn into_item(self) -> Item {
        let mut items = Vec::new();
        items.extend(comment_item(self.comment));
        for key in self.keys {
            items.push(Item::entry(key.name.into_owned(), Value::text(key.value.into_owned())));
            items.extend(comment_item(key.comment));
        }
        Item::entry(self.name, Value::Map(Branch { items }))
    }
}

/// Only the first line loses its marker; the others are told from text by theirs when they are written.
fn comment_item(comment: Cow<'_, [u8]>) -> Option<Item> {
    let marker = *comment.first()?;
    let mut text = comment.into_owned();
    if let b';' | b'#' = marker {
        let start = text.iter().position(|b| *b != marker && *b != b' ').unwrap_or(text.len());
        text.drain(..start);
    }
    Some(Item::Comment(Comment::own_line(text)))
}
