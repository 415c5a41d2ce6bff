//! Bytes that may be a secret.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

/// Text of a document: bytes, normally UTF-8, wiped from memory when dropped and never printed by `Debug`.
///
/// Reach the content through [`Text::as_bytes`] or [`Text::as_str`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text for messages, bad bytes replaced. Not for values: messages hold no secrets.
    pub fn to_string_lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Takes the bytes out; the caller wipes them.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
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
