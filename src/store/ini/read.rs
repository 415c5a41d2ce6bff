//! INI text → sections (stores.md §6.1).

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem, memrchr};
use zeroize::Zeroizing;

use super::section::Section;
use crate::store::StoreError;

/// Reads a file. There is always a section `DEFAULT` in front, for keys above the first header.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Section<'_>>, StoreError> {
    let (sections, result) = read_until_error(bytes);
    result.map(|()| sections)
}

/// The sections up to the first error, and that.
pub(super) fn read_until_error(bytes: &[u8]) -> (Vec<Section<'_>>, Result<(), StoreError>) {
    let mut reader = Reader {
        bytes: without_byte_order_mark(bytes),
        at: 0,
        line: 0,
        comment: Zeroizing::default(),
        sections: Vec::new(),
        section: Section::new(b"DEFAULT"),
        unnamed: 0,
    };
    let result = reader.lines();
    reader.sections.push(reader.section);
    (reader.sections, result)
}

/// UTF-16 is not decoded, its mark is skipped all the same: that is what the reference does.
fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    let marks = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"];
    marks.iter().find_map(|mark| bytes.strip_prefix(*mark)).unwrap_or(bytes)
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the next line begins.
    at: usize,
    /// Number of the last line taken.
    line: usize,
    /// Comment lines that wait for the header or key they belong to.
    comment: Zeroizing<Vec<u8>>,
    /// The sections that are complete.
    sections: Vec<Section<'a>>,
    section: Section<'a>,
    /// How many keys of this section are named `-`.
    unnamed: usize,
}

impl<'a> Reader<'a> {
    fn lines(&mut self) -> Result<(), StoreError> {
        while let Some(line) = self.next_line() {
            self.line(trim_start(line))?;
        }
        Ok(())
    }

    /// The next line with its end.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        self.at += length;
        self.line += 1;
        Some(&rest[..length])
    }

    fn line(&mut self, line: &'a [u8]) -> Result<(), StoreError> {
        match line.first() {
            None => Ok(()),
            Some(b'#' | b';') => {
                self.comment.extend_from_slice(line);
                Ok(())
            }
            Some(b'[') => self.header(line),
            Some(_) => self.key(line),
        }
    }

    /// The name reaches to the last bracket of the line, even to one in a comment behind it. Every header opens a
    /// new section, whatever its name.
    fn header(&mut self, line: &'a [u8]) -> Result<(), StoreError> {
        let end = memrchr(b']', line).ok_or_else(|| self.error("unclosed section"))?;
        if end == 1 {
            return Err(self.error("empty section name"));
        }
        self.comment.extend_from_slice(without_comment(&line[end + 1..]).1);
        let mut section = Section::new(&line[1..end]);
        section.comment = Cow::Owned(self.take_comment());
        self.sections.push(std::mem::replace(&mut self.section, section));
        self.unnamed = 0;
        Ok(())
    }

    fn key(&mut self, line: &'a [u8]) -> Result<(), StoreError> {
        let (name, behind) = self.key_name(line)?;
        let value = self.value(trim_start(behind))?;
        let name = match name {
            b"" => return Err(self.error("error creating new key: empty key name")),
            b"-" => {
                self.unnamed += 1;
                Cow::Owned(format!("#{}", self.unnamed).into_bytes())
            }
            name => Cow::Borrowed(name),
        };
        self.section.insert(name, value);
        let comment = self.take_comment();
        self.section.comment_last_key(Cow::Owned(comment));
        Ok(())
    }

    /// The name, and what follows the delimiter.
    fn key_name(&self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), StoreError> {
        let quote: &[u8] = match line {
            [b'"', b'"', b'"', ..] if line.len() > 6 => b"\"\"\"",
            [b'"', ..] => b"\"",
            [b'`', ..] => b"`",
            _ => b"",
        };
        let inner = &line[quote.len()..];
        let name_end = match quote {
            b"" => None,
            _ => Some(memmem::find(inner, quote).ok_or_else(|| self.error("missing closing key quote"))?),
        };
        let start = name_end.map_or(0, |end| end + quote.len());
        let delimiter = memchr2(b'=', b':', &inner[start..])
            .ok_or_else(|| self.error("key-value delimiter not found: there is neither = nor :"))?;
        if start + delimiter == 0 {
            return Err(self.error("empty key name"));
        }
        let name = &inner[..name_end.unwrap_or(delimiter)];
        Ok((trim(name), &inner[start + delimiter + 1..]))
    }

    /// The value that begins with this rest of a line; it may take further lines.
    fn value(&mut self, rest: &'a [u8]) -> Result<Cow<'a, [u8]>, StoreError> {
        match rest {
            [b'"', b'"', b'"', _, ..] => return self.quoted(&rest[3..], b"\"\"\""),
            [b'`', ..] => return self.quoted(&rest[1..], b"`"),
            _ => {}
        }
        let text = trim(rest);
        if let Some(begun) = text.strip_suffix(b"\\") {
            return Ok(Cow::Owned(self.continued(begun)));
        }
        let (text, comment) = without_comment(text);
        self.comment.extend_from_slice(comment);
        Ok(Cow::Borrowed(unquoted(trim(text))))
    }

    /// Up to the last closing quote of the first line that has one; `rest` is what this line has of it.
    fn quoted(&mut self, rest: &'a [u8], quote: &[u8]) -> Result<Cow<'a, [u8]>, StoreError> {
        if let Some(end) = memmem::rfind(rest, quote) {
            return Ok(Cow::Borrowed(&rest[..end]));
        }
        let start = self.at - rest.len();
        let opened = self.line;
        while let Some(line) = self.next_line() {
            let Some(end) = memmem::rfind(line, quote) else { continue };
            if trim(&line[end + quote.len()..]).ends_with(b"\\") {
                continue;
            }
            self.comment.extend_from_slice(trim(without_comment(&line[end..]).1));
            return Ok(Cow::Borrowed(&self.bytes[start..self.at - line.len() + end]));
        }
        self.line = opened;
        Err(self.error("missing closing key quote: the value that begins here has no end"))
    }

    /// Lines joined as long as they end with a backslash.
    fn continued(&mut self, begun: &'a [u8]) -> Vec<u8> {
        let mut pieces = vec![begun];
        while let Some(line) = self.next_line().map(trim).filter(|line| !line.is_empty()) {
            let Some(piece) = line.strip_suffix(b"\\") else {
                pieces.push(line);
                break;
            };
            pieces.push(piece);
        }
        pieces.concat()
    }

    fn take_comment(&mut self) -> Vec<u8> {
        let comment = trim(&self.comment).to_vec();
        self.comment.clear();
        comment
    }

    /// The line itself may hold a secret, so its number must do.
    fn error(&self, problem: &str) -> StoreError {
        StoreError::new(format!("Could not unmarshal input data: {problem} (line {})", self.line))
    }
}

/// Text before and from the first comment marker, wherever it stands.
fn without_comment(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(memchr2(b'#', b';', text).unwrap_or(text.len()))
}

/// The value without quotes around it, if there are no others like them inside.
fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [quote @ (b'\'' | b'"'), inner @ .., last] if quote == last && !inner.contains(quote) => inner,
        _ => text,
    }
}

pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = (1..=3).find_map(|n| text.split_at_checked(n).filter(|(start, _)| is_space(start)))
    {
        text = rest.1;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    let split = |text: &'_ [u8], n| text.len().checked_sub(n).filter(|at| is_space(&text[*at..]));
    while let Some(end) = (1..=3).find_map(|n| split(text, n)) {
        text = &text[..end];
    }
    text
}

/// Whether these bytes are white space; in UTF-8 no such character takes more than three.
fn is_space(bytes: &[u8]) -> bool {
    match bytes {
        [] => false,
        [byte] => matches!(byte, b'\t'..=b'\r' | b' '),
        _ => std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(char::is_whitespace)),
    }
}
