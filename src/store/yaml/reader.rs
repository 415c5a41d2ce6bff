//! Bytes → checked UTF-8 text (yaml.md §1).

use std::borrow::Cow;

use super::YamlError;

/// The text of a YAML file: byte order mark dropped, UTF-16 decoded, only characters that YAML allows.
pub(super) fn read(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(utf8(rest)?),
        _ => Cow::Borrowed(utf8(bytes)?),
    };
    if u32::try_from(text.len()).is_err() {
        return Err(YamlError::new("a YAML file of 4 GiB or more cannot be read"));
    }
    // without a way out of the loop, the compiler looks at many bytes at a time
    let allowed = |b: u8| (b' '..=b'~').contains(&b) | (b == b'\n') | (b == b'\t') | (b == b'\r');
    if text.bytes().fold(true, |all, b| all & allowed(b)) {
        return Ok(text);
    }
    match text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        None => Ok(text),
        Some((at, _)) => {
            Err(YamlError::at(line_of(&text.as_bytes()[..at]), "control characters are not allowed"))
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, YamlError> {
    std::str::from_utf8(bytes)
        .map_err(|e| YamlError::at(line_of(&bytes[..e.valid_up_to()]), "invalid UTF-8: the file is no text"))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, YamlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(YamlError::new("invalid UTF-16: the file is no text")),
    }
}

fn line_of(before: &[u8]) -> u32 {
    memchr::memchr_iter(b'\n', before).count() as u32
}

/// What may stand in a YAML file (yaml.md §1.2).
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}'
        | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}
