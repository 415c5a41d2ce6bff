//! The ASCII armor around an age file, read as strictly as the reference does (keys.md §2.2, §2.3).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::keys::base64_text;

pub(super) const HEADER: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const FOOTER: &str = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;
const BYTES_PER_LINE: usize = COLUMNS / 4 * 3;
/// Blank bytes allowed before the header and after the footer.
const MAX_WHITESPACE: usize = 1024;

/// The bytes up to the first defect, and the defect: a reader meets them in this order.
pub(super) struct Unarmored {
    pub(super) bytes: Vec<u8>,
    pub(super) error: Option<ArmorError>,
}

/// What is wrong with an armor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmorError {
    /// It ends before its footer, or is empty.
    UnexpectedEof,
    /// Something else stands where the header should be.
    FirstLine(String),
    /// Too much white space around it.
    TooMuchWhitespace,
    /// A line of more than 64 characters.
    ColumnLimit,
    /// An empty line.
    EmptyLine,
    /// A line that is not base64, and where.
    Base64(String),
    /// A short line that is not the last one.
    ClosingLine(String),
    /// Text after the footer.
    TrailingData,
}

impl fmt::Display for ArmorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid armor: ")?;
        match self {
            Self::UnexpectedEof => f.write_str("unexpected EOF"),
            Self::FirstLine(line) => write!(f, "invalid first line: {line:?}"),
            Self::TooMuchWhitespace => f.write_str("too much whitespace"),
            Self::ColumnLimit => f.write_str("column limit exceeded"),
            Self::EmptyLine => f.write_str("empty line in armored data"),
            Self::Base64(reason) => f.write_str(reason),
            Self::ClosingLine(line) => write!(f, "invalid closing line: {line:?}"),
            Self::TrailingData => f.write_str("trailing data after armored file"),
        }
    }
}

impl std::error::Error for ArmorError {}

/// Takes the armor off.
pub(super) fn decode(text: &[u8]) -> Unarmored {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let error = decode_into(text, &mut bytes).err();
    Unarmored { bytes, error }
}

fn decode_into(text: &[u8], bytes: &mut Vec<u8>) -> Result<(), ArmorError> {
    let mut rest = text;
    let first = loop {
        let line = next_line(&mut rest).ok_or(ArmorError::UnexpectedEof)?;
        if !line.trim_ascii().is_empty() {
            break line;
        }
        if text.len() - rest.len() > MAX_WHITESPACE {
            return Err(ArmorError::TooMuchWhitespace);
        }
    };
    if first != HEADER.as_bytes() {
        return Err(ArmorError::FirstLine(String::from_utf8_lossy(first).into_owned()));
    }
    loop {
        let line = next_line(&mut rest).ok_or(ArmorError::UnexpectedEof)?;
        if line == FOOTER.as_bytes() {
            return only_whitespace(rest);
        }
        if line.len() > COLUMNS {
            return Err(ArmorError::ColumnLimit);
        }
        if line.is_empty() {
            return Err(ArmorError::EmptyLine);
        }
        let before = bytes.len();
        BASE64_STANDARD.decode_vec(line, bytes).map_err(|error| {
            bytes.truncate(before);
            ArmorError::Base64(base64_text::reason(line.len(), &error))
        })?;
        if bytes.len() - before < BYTES_PER_LINE {
            return match next_line(&mut rest) {
                Some(line) if line == FOOTER.as_bytes() => only_whitespace(rest),
                Some(line) => Err(ArmorError::ClosingLine(String::from_utf8_lossy(line).into_owned())),
                None => Err(ArmorError::UnexpectedEof),
            };
        }
    }
}

fn only_whitespace(rest: &[u8]) -> Result<(), ArmorError> {
    match rest {
        rest if !rest.trim_ascii().is_empty() => Err(ArmorError::TrailingData),
        rest if rest.len() > MAX_WHITESPACE => Err(ArmorError::TooMuchWhitespace),
        _ => Ok(()),
    }
}

/// The next line without its end, LF or CRLF; the last one may lack it.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', rest);
    let (line, after) = match end {
        Some(end) => (&rest[..end], &rest[end + 1..]),
        None => (*rest, &[][..]),
    };
    *rest = after;
    Some(if end.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line })
}

/// Puts an armor around it, final newline included.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + bytes.len() / BYTES_PER_LINE + 80);
    text.push_str(HEADER);
    text.push('\n');
    for line in bytes.chunks(BYTES_PER_LINE) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str(FOOTER);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{ArmorError, decode, encode};

    #[test]
    fn what_was_armored_comes_back() {
        for length in [0, 1, 47, 48, 49, 96, 200] {
            let bytes = vec![0xa5; length];
            let text = encode(&bytes);
            let dressed = format!(" \n\t\r\n{}\n  \n", text.replace('\n', "\r\n"));
            for text in [&text, &dressed, text.trim_end()] {
                let back = decode(text.as_bytes());
                assert_eq!((back.bytes, back.error), (bytes.clone(), None), "{length}");
            }
        }
    }

    #[test]
    fn defects_are_told_apart() {
        let error = |text: &str| decode(text.as_bytes()).error;
        let good = encode(&[7; 60]);
        assert_eq!(error(""), Some(ArmorError::UnexpectedEof));
        assert_eq!(error("x\n"), Some(ArmorError::FirstLine("x".to_owned())));
        assert_eq!(error(&good.replacen("Bw", " Bw", 1)), Some(ArmorError::ColumnLimit));
        assert_eq!(
            error(&good.replacen("Bw", "B!", 1)),
            Some(ArmorError::Base64("illegal base64 data at input byte 1".to_owned()))
        );
        assert_eq!(error(&good.replacen("Bw", "\nBw", 1)), Some(ArmorError::EmptyLine));
        assert_eq!(error(&format!("{good}x")), Some(ArmorError::TrailingData));
        assert_eq!(error(&" \n".repeat(600)), Some(ArmorError::TooMuchWhitespace));
        let cut = &good[..good.len() - 20];
        assert!(matches!(error(cut), Some(ArmorError::ClosingLine(_))));
    }
}
