//! The usual line, `key: value` or `key: "value"`, read at one go.
//!
//! Most lines of most files are like that, and nearly all lines of encrypted ones. Nothing is decided here: a line that
//! is not as plain as can be, or that is followed by anything but another entry or a comment, is left to `scan` and
//! `scalar`, which would make four tokens of this one.

use super::YamlError;
use super::scan::{Mark, Pair, Scanner, length_without};

impl Scanner<'_> {
    /// Reads such a line if one begins here. Whether it did.
    pub(super) fn fetch_usual_line(&mut self) -> Result<bool, YamlError> {
        let begins =
            self.indent == self.mark.column as i32 && !self.in_flow() && self.simple_key_is_allowed();
        if !begins {
            return Ok(false);
        }
        let from = self.mark.index as usize;
        let Some(line) = UsualLine::at(&self.bytes[from..], self.mark.column as usize) else {
            return Ok(false);
        };
        let text = &self.text[from..];
        let mark = |ahead: usize| Mark {
            index: self.mark.index + ahead as u32,
            line: self.mark.line,
            column: self.mark.column + ahead as u32,
        };
        let value = &text[line.value_start..line.value_end];
        let pair = Pair {
            key: &text[..line.key_end],
            value: if line.plain { value } else { &value[1..value.len() - 1] },
            plain: line.plain,
            value_start: mark(line.value_start),
        };
        let end = mark(line.value_end);
        // the search for more of a plain value ends at what follows it
        let next = match line.next_column {
            Some(column) => {
                Mark { index: end.index + 1 + column as u32, line: end.line + 1, column: column as u32 }
            }
            None => end,
        };
        self.push_pair(pair, mark(line.key_end), next)?;
        Ok(true)
    }
}

/// Offsets into the text from the beginning of the key.
struct UsualLine {
    key_end: usize,
    /// Quotes included.
    value_start: usize,
    value_end: usize,
    plain: bool,
    /// Column of the entry or comment on the next line, which a plain value has to know.
    next_column: Option<usize>,
}

impl UsualLine {
    /// `column`: where the key stands.
    fn at(bytes: &[u8], column: usize) -> Option<Self> {
        let is_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        let key_end = bytes.iter().take(LONGEST_KEY).take_while(|b| is_key(b)).count();
        if !bytes.first()?.is_ascii_alphanumeric() || !bytes[key_end..].starts_with(b": ") {
            return None;
        }
        let value_start = key_end + 2;
        let value = &bytes[value_start..];
        let (plain, length) = match value.first()? {
            b'"' => (false, quoted_length(value)?),
            first if first.is_ascii_alphanumeric() => (true, plain_length(value)?),
            _ => return None,
        };
        let value_end = value_start + length;
        let next_column = if plain { Some(column_below(&bytes[value_end + 1..], column)?) } else { None };
        Some(Self { key_end, value_start, value_end, plain, next_column })
    }
}

/// The column of what follows a plain value in a block with this column. Text that stands deeper would belong to the
/// value, and empty lines are not for here.
fn column_below(next: &[u8], column: usize) -> Option<usize> {
    let next_column = next.iter().take(column + 1).take_while(|b| **b == b' ').count();
    let first = next.get(next_column)?;
    (next_column <= column && (first.is_ascii_alphanumeric() || *first == b'#')).then_some(next_column)
}

/// Well below the limit for simple keys, which is in characters.
const LONGEST_KEY: usize = 256;

/// Length of a plain value that goes to the end of the line; `None` if anything in it could end it before.
fn plain_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += length_without(&bytes[at..], needs_a_look);
        let next = bytes.get(at + 1)?;
        match bytes[at] {
            b'\n' => return Some(at),
            // a blank that is followed by more of the value, a colon that separates nothing
            b' ' if next.is_ascii_alphanumeric() => {}
            b':' if next.is_ascii_graphic() => {}
            _ => return None,
        }
        at += 1;
    }
}

/// Length of a quoted value that goes to the end of the line; `None` if it is not just what it looks like.
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let is_special = |b: u8| !(b' '..=b'~').contains(&b) | (b == b'"') | (b == b'\\');
    let end = 1 + length_without(&bytes[1..], is_special);
    bytes[end..].starts_with(b"\"\n").then_some(end + 1)
}

/// Whether a plain value may end at this byte, or it is not ASCII.
fn needs_a_look(byte: u8) -> bool {
    !byte.is_ascii_graphic() | (byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plainest_lines_are_usual() {
        for text in [
            "a: b\nc: d",
            "a: b\n# c",
            "a: \"b: #\"\n\n",
            "a: \"\"\n",
            "  a: b c:d#e\n  c",
            "a-b.c/d: ENC[AES256_GCM,data:x=,type:str]\nx: y",
        ] {
            let column = text.len() - text.trim_start().len();
            assert!(UsualLine::at(text.trim_start().as_bytes(), column).is_some(), "{text:?}");
        }
        for text in [
            "a: b",
            "a: b\n",
            "a: b\n  c: d",
            "a: b\n  # c",
            "a: b\n\nc: d",
            "a: b # c\nd: e",
            "a: b \nc: d",
            "a:\nb: c",
            "a: 'b'\nc: d",
            "a: \"b",
            "a: \"b\" # c\nd: e",
            "a: \"b\nc\"\n",
            "a: \"\\n\"\nb: c",
            "a: \"é\"\nb: c",
            "a: b: c\nd: e",
            "a: b:\nc: d",
            "a: -b\nc: d",
            "\"a\": b\nc: d",
            "a: é\nc: d",
            "a: b\r\nc: d",
            "a: b\tc\nd: e",
            "a : b\nc: d",
            "a: b\n- c",
        ] {
            assert!(UsualLine::at(text.as_bytes(), 0).is_none(), "{text:?}");
        }
    }
}
