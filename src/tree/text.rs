//! Bytes that may be a secret.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize as _, Zeroizing};

/// Text of a document: bytes, normally UTF-8, wiped from memory when dropped and never printed by `Debug`.
///
/// Reach the content through [`Text::as_bytes`] or [`Text::as_str`].
#[derive(Clone)]
pub struct Text(Bytes);

#[derive(Clone)]
enum Bytes {
    Own(Vec<u8>),
    /// A piece of a file; offsets are small so that this variant is no larger than the other.
    Piece {
        source: Source,
        start: u32,
        length: u32,
    },
}

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Own(bytes) => bytes,
            Bytes::Piece { source, start, length } => {
                &source.as_bytes()[*start as usize..][..*length as usize]
            }
        }
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// The text for messages, bad bytes replaced. Not for values: messages hold no secrets.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_bytes())
    }

    /// Where the text begins in its file, in bytes, if it stands there as it is.
    pub fn offset(&self) -> Option<usize> {
        match &self.0 {
            Bytes::Own(_) => None,
            Bytes::Piece { start, .. } => Some(*start as usize),
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Bytes::Own(bytes) => bytes.len(),
            Bytes::Piece { length, .. } => *length as usize,
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Bytes::Own(bytes) = &mut self.0 {
            wipe(bytes);
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(Bytes::Own(Vec::new()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Bytes::Own(bytes))
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// The bytes of a file. What is read from it need not be copied: texts can be pieces of it. It is wiped from memory
/// when it and the last of its pieces are dropped.
#[derive(Clone)]
pub struct Source(Arc<Wiped>);

impl Source {
    /// The whole file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }

    /// A piece of the file as a text. Bytes that lie elsewhere are copied.
    pub fn text(&self, piece: &[u8]) -> Text {
        let offset = piece.as_ptr().addr().wrapping_sub(self.as_bytes().as_ptr().addr());
        let lies_inside = offset.checked_add(piece.len()).is_some_and(|end| end <= self.as_bytes().len());
        match (u32::try_from(offset), u32::try_from(piece.len())) {
            (Ok(start), Ok(length)) if lies_inside && length > 0 => {
                Text(Bytes::Piece { source: self.clone(), start, length })
            }
            _ => piece.into(),
        }
    }

    /// The bytes of the file; they are copied if there are still pieces of it.
    pub fn into_bytes(self) -> Vec<u8> {
        match Arc::try_unwrap(self.0) {
            Ok(mut bytes) => std::mem::take(&mut bytes.0),
            Err(shared) => shared.0.clone(),
        }
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Wiped(bytes)))
    }
}

impl From<Zeroizing<Vec<u8>>> for Source {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        std::mem::take(&mut *bytes).into()
    }
}

impl From<&[u8]> for Source {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// Bytes that are wiped when dropped.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// The elements of a vector would be wiped one by one. What lies behind its end is wiped at once, so all goes there.
fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.zeroize();
}

/// Bytes that are being put together. Growing leaves no copy behind, as a plain `Vec` would.
#[derive(Default)]
pub struct TextBuffer(Zeroizing<Vec<u8>>);

impl TextBuffer {
    /// An empty buffer with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    /// Appends one byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    /// Appends a byte so many times.
    pub fn repeat(&mut self, byte: u8, times: usize) {
        if self.0.capacity() - self.0.len() < times {
            self.grow(times);
        }
        let length = self.0.len() + times;
        self.0.resize(length, byte);
    }

    /// What is in it so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The finished bytes.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    #[cold]
    fn grow(&mut self, by: usize) {
        let mut larger =
            Zeroizing::new(Vec::with_capacity((2 * self.0.capacity()).max(self.0.len() + by).max(64)));
        larger.extend_from_slice(&self.0);
        self.0 = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_pieces_of_their_source() {
        let source = Source::from("key: value");
        let text = source.text(&source.as_bytes()[5..]);
        assert_eq!(text.as_bytes().as_ptr(), source.as_bytes()[5..].as_ptr());
        assert!(source.text(b"elsewhere") == Text::from("elsewhere"));
        assert!(source.text(&source.as_bytes()[10..]).is_empty());
        assert_eq!(source.into_bytes(), b"key: value");
        assert!(text == Text::from("value"));
    }

    #[test]
    fn pieces_take_no_more_room_than_vectors() {
        assert_eq!(size_of::<Text>(), size_of::<Vec<u8>>());
    }
}
