//! Tree → JSON text, in one pass (stores.md §3.2).

use zeroize::Zeroizing;

use crate::store::StoreError;
use crate::tree::TextBuffer;
use crate::tree::{Branch, Element, FloatStyle, Item, MAX_DEPTH, Scalar, Value, float_text, key_text};

/// What the text is for: plain text loses a little in silence, as the reference's does; an encrypted file has to be
/// read back as it is (policy.md §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Plain,
    Encrypted,
}

/// What begins and indents a line.
enum Lines {
    /// Everything in one line, no blanks.
    Single,
    Indented {
        with: u8,
        per_level: usize,
    },
}

pub(super) struct Writer {
    out: TextBuffer,
    lines: Lines,
    purpose: Purpose,
    level: usize,
}

/// No reader wants more, and a mistyped number must not exhaust the memory.
const MAX_INDENT: i64 = 1000;

impl Writer {
    /// `capacity`: bytes that the text will have, roughly.
    pub(super) fn indented(indent: i64, purpose: Purpose, capacity: usize) -> Result<Self, StoreError> {
        let lines = match indent {
            -1 => Lines::Indented { with: b'\t', per_level: 1 },
            0..=MAX_INDENT => Lines::Indented { with: b' ', per_level: indent.unsigned_abs() as usize },
            ..-1 => return Err(refusal("JSON Indentation parameter smaller than -1 is not accepted")),
            _ => return Err(refusal("JSON Indentation parameter larger than 1000 is not accepted")),
        };
        Ok(Self { out: TextBuffer::with_capacity(capacity), lines, purpose, level: 0 })
    }

    pub(super) fn compact() -> Self {
        let out = TextBuffer::with_capacity(0);
        Self { out, lines: Lines::Single, purpose: Purpose::Plain, level: 0 }
    }

    pub(super) fn end_line(&mut self) {
        self.out.push(b'\n');
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.out.into_bytes()
    }

    pub(super) fn branch(&mut self, branch: &Branch) -> Result<(), StoreError> {
        self.try_branch(branch).map_err(StoreError::from)
    }

    pub(super) fn value(&mut self, value: &Value) -> Result<(), StoreError> {
        self.try_value(value).map_err(StoreError::from)
    }

    /// JSON has no comments: they are left out.
    fn try_branch(&mut self, branch: &Branch) -> Result<(), Unwritable> {
        let entries = branch.items.iter().filter_map(|item| match item {
            Item::Comment(_) => None,
            Item::Entry { key, value } => Some((key, value)),
        });
        self.container([b'{', b'}'], entries, |writer, (key, value)| {
            let Scalar::Text(name) = key else {
                return Err(Unwritable::new("a key of an object must be text").under(key));
            };
            writer.string(name.as_bytes()).map_err(|unwritable| unwritable.under(key))?;
            writer.out.extend(if let Lines::Single = writer.lines { b":" } else { b": " });
            writer.try_value(value).map_err(|unwritable| unwritable.under(key))
        })
    }

    fn try_value(&mut self, value: &Value) -> Result<(), Unwritable> {
        match value {
            Value::Scalar(scalar) => self.scalar(scalar),
            Value::Map(branch) => self.try_branch(branch),
            Value::List(elements) => {
                let values = elements.iter().filter_map(|element| match element {
                    Element::Comment(_) => None,
                    Element::Value(value) => Some(value),
                });
                self.container([b'[', b']'], values, Self::try_value)
            }
        }
    }

    fn container<T>(
        &mut self,
        [open, close]: [u8; 2],
        all: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T) -> Result<(), Unwritable>,
    ) -> Result<(), Unwritable> {
        if self.level == MAX_DEPTH {
            return Err(Unwritable::new(format!("containers nest deeper than {MAX_DEPTH} levels")));
        }
        self.out.push(open);
        self.level += 1;
        let mut empty = true;
        for one in all {
            if !empty {
                self.out.push(b',');
            }
            empty = false;
            self.begin_line();
            write(self, one)?;
        }
        self.level -= 1;
        if !empty {
            self.begin_line();
        }
        self.out.push(close);
        Ok(())
    }

    fn begin_line(&mut self) {
        if let Lines::Indented { with, per_level } = self.lines {
            self.out.push(b'\n');
            self.out.repeat(with, per_level * self.level);
        }
    }

    fn scalar(&mut self, scalar: &Scalar) -> Result<(), Unwritable> {
        match scalar {
            Scalar::Text(text) => return self.string(text.as_bytes()),
            Scalar::Null => self.out.extend(b"null"),
            Scalar::Bool(value) => self.out.extend(value.to_string().as_bytes()),
            Scalar::Int(value) => self.out.extend(value.to_string().as_bytes()),
            Scalar::Uint(value) => self.out.extend(value.to_string().as_bytes()),
            Scalar::Time(value) => return self.string(value.to_string().as_bytes()),
            Scalar::Float(value) => {
                let text = float_text(*value, FloatStyle::Json);
                if !value.is_finite() {
                    return Err(Unwritable::new(format!("json: unsupported value: {text}")));
                }
                self.out.extend(text.as_bytes());
                // alone, `-0` is read as the integer 0, which has another MAC
                if text == "-0" && self.purpose == Purpose::Encrypted {
                    self.out.extend(b".0");
                }
            }
        }
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Unwritable> {
        self.out.push(b'"');
        match std::str::from_utf8(bytes) {
            Ok(text) => self.escaped(text),
            Err(_) if self.purpose == Purpose::Encrypted => {
                return Err(Unwritable::new("text must be UTF-8"));
            }
            Err(_) => {
                for chunk in bytes.utf8_chunks() {
                    self.escaped(chunk.valid());
                    for _ in chunk.invalid() {
                        self.out.extend(br"\ufffd");
                    }
                }
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn escaped(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        loop {
            let (ordinary, special) = rest.split_at(ordinary(rest));
            self.out.extend(ordinary);
            let Some((byte, behind)) = special.split_first() else { return };
            rest = behind;
            match byte {
                b'"' => self.out.extend(br#"\""#),
                b'\\' => self.out.extend(br"\\"),
                8 => self.out.extend(br"\b"),
                9 => self.out.extend(br"\t"),
                b'\n' => self.out.extend(br"\n"),
                12 => self.out.extend(br"\f"),
                b'\r' => self.out.extend(br"\r"),
                // U+2028 and U+2029 end lines in JavaScript; other characters may begin with the same byte
                0xe2 => match behind {
                    [0x80, 0xa8, behind @ ..] => {
                        self.out.extend(br"\u2028");
                        rest = behind;
                    }
                    [0x80, 0xa9, behind @ ..] => {
                        self.out.extend(br"\u2029");
                        rest = behind;
                    }
                    _ => self.out.push(*byte),
                },
                byte => {
                    let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                    self.out.extend(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
                }
            }
        }
    }
}

/// How many bytes from the start can be copied. Whole blocks are looked at without a branch per byte, which lets
/// long texts pass at the speed of memory.
fn ordinary(bytes: &[u8]) -> usize {
    const BLOCK: usize = 64;
    let clean = |block: &&[u8]| !block.iter().fold(false, |found, b| found | is_special(*b));
    let blocks = bytes.chunks_exact(BLOCK).take_while(clean).count();
    let start = blocks * BLOCK;
    bytes[start..].iter().position(|b| is_special(*b)).map_or(bytes.len(), |special| start + special)
}

/// What is escaped, HTML's characters included. 0xe2 begins U+2028.
fn is_special(byte: u8) -> bool {
    byte < b' '
        || byte == b'"'
        || byte == b'\\'
        || byte == b'<'
        || byte == b'>'
        || byte == b'&'
        || byte == 0xe2
}

/// What JSON cannot hold, and the keys above it, innermost first.
struct Unwritable {
    what: String,
    keys: Vec<String>,
}

impl Unwritable {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), keys: Vec::new() }
    }

    fn under(mut self, key: &Scalar) -> Self {
        self.keys.push(key_text(key));
        self
    }
}

impl From<Unwritable> for StoreError {
    fn from(unwritable: Unwritable) -> Self {
        let Unwritable { what, mut keys } = unwritable;
        if keys.is_empty() {
            return refusal(&what);
        }
        keys.reverse();
        refusal(&format!("{what}; offending key {:?}", keys.join(".")))
    }
}

fn refusal(why: &str) -> StoreError {
    StoreError::new(format!("Error marshaling to json: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Comment, STACK_SIZE, Timestamp};

    fn compact(value: &Value) -> String {
        let mut writer = Writer::compact();
        writer.value(value).expect("writable");
        String::from_utf8(writer.finish().to_vec()).expect("UTF-8")
    }

    #[test]
    fn strings_are_escaped_like_the_reference_does() {
        for (text, json) in [
            (&b""[..], r#""""#),
            (b"a/b'\x7f", "\"a/b'\x7f\""),
            (b"\"\\\x08\x0c\n\r\t\x00\x1f", r#""\"\\\b\f\n\r\t\u0000\u001f""#),
            (b"<a>&", r#""\u003ca\u003e\u0026""#),
            ("\u{2028}\u{2029}\u{2027}€é😀\u{fffd}".as_bytes(), "\"\\u2028\\u2029\u{2027}€é😀\u{fffd}\""),
            (b"a\xe2\x82b\xff", r#""a\ufffd\ufffdb\ufffd""#),
        ] {
            assert_eq!(compact(&Value::text(text)), json);
        }
    }

    #[test]
    fn bytes_that_would_be_replaced_are_never_written_encrypted() {
        let write = |item: Item| {
            let mut writer = Writer::indented(-1, Purpose::Encrypted, 0)?;
            writer.branch(&Branch { items: vec![item] })
        };
        assert!(write(Item::entry("k", Value::text("\u{fffd}"))).is_ok());
        let message = write(Item::entry("k", Value::text(&b"\xff"[..]))).expect_err("refused").to_string();
        assert!(message.ends_with("text must be UTF-8; offending key \"k\""), "{message}");
        assert!(write(Item::entry(&b"\xff"[..], Value::text(""))).is_err());
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_stands() {
        for length in 0..200 {
            let mut text = vec![b'a'; length];
            assert_eq!(ordinary(&text), length);
            text.push(b'<');
            text.extend([b'b'; 70]);
            assert_eq!(ordinary(&text), length);
        }
    }

    #[test]
    fn comments_are_left_out() {
        let comment = || Comment::own_line("c");
        let list = vec![Element::Comment(comment()), Element::Value(Value::Scalar(Scalar::Int(1)))];
        let items = vec![
            Item::Comment(comment()),
            Item::entry("l", Value::List(list)),
            Item::entry("only", Value::List(vec![Element::Comment(comment())])),
            Item::entry("none", Value::Map(Branch { items: vec![Item::Comment(comment())] })),
        ];
        assert_eq!(compact(&Value::Map(Branch { items })), r#"{"l":[1],"only":[],"none":{}}"#);
    }

    #[test]
    fn times_are_quoted() {
        let time = Timestamp::parse("2020-01-02T03:04:05.6789+01:00").expect("time");
        assert_eq!(compact(&Value::Scalar(Scalar::Time(time))), r#""2020-01-02T03:04:05.6789+01:00""#);
    }

    #[test]
    fn what_json_cannot_hold_is_named() {
        let message = |value: &Value| Writer::compact().value(value).expect_err("refused").to_string();
        let float = Value::List(vec![Element::Value(Value::Scalar(Scalar::Float(f64::INFINITY)))]);
        let inner = Branch { items: vec![Item::entry("b", float)] };
        let outer = Branch { items: vec![Item::entry("a", Value::Map(inner))] };
        assert_eq!(
            message(&Value::Map(outer)),
            "Error marshaling to json: json: unsupported value: +Inf; offending key \"a.b\""
        );
        let item = Item::Entry { key: Scalar::Int(5), value: Value::text("") };
        assert!(message(&Value::Map(Branch { items: vec![item] })).ends_with("offending key \"5\""));
    }

    #[test]
    fn nesting_has_a_limit() {
        let write = |levels: usize| {
            let nested =
                (1..levels).fold(Value::List(vec![]), |inner, _| Value::List(vec![Element::Value(inner)]));
            Writer::compact().value(&nested)
        };
        let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
            assert!(write(MAX_DEPTH).is_ok());
            assert!(write(MAX_DEPTH + 1).is_err());
        });
        thread.expect("spawn").join().expect("no overflow");
    }
}
