//! Which text and style a scalar gets (yaml.md §7).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::resolve::{is_text, looks_like_base_60, looks_like_old_bool};
use crate::tree::{FloatStyle, Scalar, TextBuffer, float_text};

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|`.
    Literal,
}

/// A scalar as it will stand in the file.
pub(super) struct Shape<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) style: Style,
    pub(super) tag: Option<&'static str>,
}

/// Base64 of bytes that are no text is cut into lines of this many characters.
const BINARY_LINE: usize = 70;

impl<'a> Shape<'a> {
    pub(super) fn of(scalar: &'a Scalar) -> Self {
        let plain = |text: String| Self { text: text.into(), style: Style::Plain, tag: None };
        match scalar {
            Scalar::Null => Self { text: "null".into(), style: Style::Plain, tag: None },
            Scalar::Bool(value) => plain(value.to_string()),
            Scalar::Int(value) => plain(value.to_string()),
            Scalar::Uint(value) => plain(value.to_string()),
            Scalar::Float(value) => plain(float_text(*value, FloatStyle::Yaml)),
            Scalar::Time(value) => plain(value.to_string()),
            Scalar::Text(text) => match text.as_str() {
                Some("<<") => Self { text: "<<".into(), style: Style::Plain, tag: Some("!!merge") },
                Some(text) => Self { text: text.into(), style: style_of(text), tag: None },
                None => Self::binary(text.as_bytes()),
            },
        }
    }

    fn binary(bytes: &[u8]) -> Self {
        let packed = STANDARD.encode(bytes);
        let (text, style) = if packed.len() < BINARY_LINE {
            (packed, Style::Plain)
        } else {
            let lines = packed.as_bytes().chunks(BINARY_LINE);
            let cut = lines.flat_map(|line| line.iter().chain(b"\n")).map(|b| char::from(*b)).collect();
            (cut, Style::Literal)
        };
        Self { text: text.into(), style, tag: Some("!!binary") }
    }

    pub(super) fn is_single_line(&self) -> bool {
        !self.text.contains(is_break)
    }

    /// Bytes of the text and its tag.
    pub(super) fn length(&self) -> usize {
        self.text.len() + self.tag.map_or(0, str::len)
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}')
}

fn style_of(text: &str) -> Style {
    if is_plainly_plain(text) {
        return if needs_no_quotes(text) { Style::Plain } else { Style::DoubleQuoted };
    }
    let facts = Facts::of(text);
    if text.contains('\n') {
        // A tab in front of a literal makes the reference lose the text (yaml.md §11, D1).
        return if facts.literal && !text.starts_with('\t') { Style::Literal } else { Style::DoubleQuoted };
    }
    match () {
        () if !needs_no_quotes(text) => Style::DoubleQuoted,
        () if facts.plain => Style::Plain,
        () if facts.single => Style::SingleQuoted,
        () => Style::DoubleQuoted,
    }
}

/// Read without quotes it would be text, in YAML 1.1 too.
fn needs_no_quotes(text: &str) -> bool {
    is_text(text) && !looks_like_old_bool(text) && !looks_like_base_60(text)
}

/// Whether a text can stand without quotes, told without looking at its inside: without blanks, nothing but its first
/// and last characters could be an indicator. Most texts of an encrypted file are like this.
fn is_plainly_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let [first, .., last] = bytes else { return false };
    (first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/' | b'+' | b'='))
        && *last != b':'
        // without a way out of the loop, the compiler looks at many bytes at a time
        && bytes.iter().fold(true, |all, b| all & b.is_ascii_graphic())
}

/// Which styles can hold a text (yaml.md §7.5).
struct Facts {
    plain: bool,
    single: bool,
    literal: bool,
}

impl Facts {
    fn of(text: &str) -> Self {
        let (mut special, mut tab, mut any_break) = (false, false, false);
        let (mut blank_before_break, mut blank_after_break) = (false, false);
        let mut indicator = text.starts_with("---") || text.starts_with("...");
        let mut previous = None;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let before_gap = characters.peek().is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
            indicator |= match (c, previous) {
                (
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                    | '`',
                    None,
                ) => true,
                ('?' | '-', None) | (':', _) => before_gap,
                ('#', Some(p)) => matches!(p, ' ' | '\t') || is_break(p),
                _ => false,
            };
            tab |= c == '\t';
            special |= c != '\t' && !is_printable(c);
            any_break |= is_break(c);
            blank_before_break |= is_break(c) && previous == Some(' ');
            blank_after_break |= c == ' ' && previous.is_some_and(is_break);
            previous = Some(c);
        }
        let outer = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        let surrounded = outer(text.chars().next()) || outer(previous);
        Self {
            plain: !(surrounded || any_break || tab || special || indicator),
            single: !(blank_after_break || blank_before_break || tab || special),
            literal: !(text.is_empty() || previous == Some(' ') || blank_before_break || special),
        }
    }
}

/// The inside of a double-quoted scalar (yaml.md §7.7).
pub(super) fn escape(text: &str, out: &mut TextBuffer) {
    // a text that begins with a byte order mark is escaped throughout
    let all = text.starts_with('\u{FEFF}');
    for c in text.chars() {
        let short: Option<&[u8]> = match c {
            '\0' => Some(b"\\0"),
            '\u{7}' => Some(b"\\a"),
            '\u{8}' => Some(b"\\b"),
            '\t' => Some(b"\\t"),
            '\n' => Some(b"\\n"),
            '\u{B}' => Some(b"\\v"),
            '\u{C}' => Some(b"\\f"),
            '\r' => Some(b"\\r"),
            '\u{1B}' => Some(b"\\e"),
            '"' => Some(b"\\\""),
            '\\' => Some(b"\\\\"),
            '\u{85}' => Some(b"\\N"),
            '\u{2028}' => Some(b"\\L"),
            '\u{2029}' => Some(b"\\P"),
            _ => None,
        };
        let code = u32::from(c);
        match short {
            Some(short) => out.extend(short),
            None if is_printable(c) && !all => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None if code <= 0xFF => out.extend(format!("\\x{code:02X}").as_bytes()),
            None if code <= 0xFFFF => out.extend(format!("\\u{code:04X}").as_bytes()),
            None => out.extend(format!("\\U{code:08X}").as_bytes()),
        }
    }
}
