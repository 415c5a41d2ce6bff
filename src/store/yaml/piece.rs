//! Text that is a piece of the file where that is possible.

use std::ops::Deref;

use zeroize::Zeroizing;

/// A borrowed piece of the file, or text that was put together and is wiped when dropped.
#[derive(Clone, PartialEq)]
pub enum Piece<'s> {
    /// As it stands in the file.
    Borrowed(&'s str),
    /// Put together, which is rare enough not to make all pieces larger.
    Owned(Box<Zeroizing<String>>),
}

impl Default for Piece<'_> {
    fn default() -> Self {
        Self::Borrowed("")
    }
}

impl Deref for Piece<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl<'s> Piece<'s> {
    /// Appends a piece of the file.
    pub(super) fn append(&mut self, text: &'s str) {
        if self.is_empty() {
            *self = Self::Borrowed(text);
        } else {
            self.push_str(text);
        }
    }

    /// Appends any text.
    pub(super) fn push_str(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self {
            Self::Owned(own) => {
                if own.capacity() - own.len() < text.len() {
                    // a plain reallocation would leave the old buffer behind unwiped
                    let mut larger = String::with_capacity((own.len() + text.len()).max(2 * own.len()));
                    larger.push_str(own);
                    **own = Zeroizing::new(larger);
                }
                own.push_str(text);
            }
            Self::Borrowed(begin) => {
                let mut own = String::with_capacity(begin.len() + text.len());
                own.push_str(begin);
                own.push_str(text);
                *self = Self::Owned(Box::new(Zeroizing::new(own)));
            }
        }
    }

    /// Puts another comment below, if there is one.
    pub(super) fn join(&mut self, below: Self) {
        if self.is_empty() {
            *self = below;
        } else if !below.is_empty() {
            self.push_str("\n");
            self.push_str(&below);
        }
    }

    /// Cuts the text in two and drops the bytes between.
    pub(super) fn split(&self, head: usize, tail: usize) -> (Self, Self) {
        match self {
            Self::Borrowed(text) => (Self::Borrowed(&text[..head]), Self::Borrowed(&text[tail..])),
            Self::Owned(text) => {
                let own = |part: &str| Self::Owned(Box::new(Zeroizing::new(part.to_owned())));
                (own(&text[..head]), own(&text[tail..]))
            }
        }
    }
}
