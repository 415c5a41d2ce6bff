//! JSON text → branch, in one pass (stores.md §3.1).

use memchr::{memchr_iter, memchr2};

use crate::store::StoreError;
use crate::tree::{Branch, Element, Item, MAX_DEPTH, Scalar, Source, Text, Value, parse_float};

/// Reads a document: one object and nothing else. The reference ignores text behind it and takes some truncated
/// documents for complete ones, which loses data silently (policy.md §3).
pub(super) fn read(source: &Source) -> Result<Branch, StoreError> {
    let reader = Reader { source, bytes: source.as_bytes(), at: 0, depth: 0 };
    reader.document().map_err(|error| StoreError::new(format!("Could not unmarshal input data: {error}")))
}

/// Reads a value of any type and nothing else.
pub(super) fn read_value(source: &Source) -> Result<Value, StoreError> {
    Reader { source, bytes: source.as_bytes(), at: 0, depth: 0 }.single_value()
}

const ONLY_OBJECTS: &str = "SOPS only supports JSON files with a top-level object (starting with '{'), not";

/// Before a value, and behind a comma in a list.
const VALUE: &str = " looking for beginning of value";

struct Reader<'a> {
    source: &'a Source,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn document(mut self) -> Result<Branch, StoreError> {
        let branch = match self.token() {
            Some(b'{') => self.object()?,
            Some(b'[') => {
                return Err(self.error(format!(
                    "{ONLY_OBJECTS} arrays or other types. Got delimiter [ instead. \
                     To encrypt this file, wrap it in an object, e.g., {{\"data\": [...]}}"
                )));
            }
            Some(_) => {
                let start = self.at;
                let found = self.value()?.type_name();
                self.at = start;
                return Err(self.error(format!("{ONLY_OBJECTS} other JSON types. Got {found} instead")));
            }
            None => return Err(StoreError::new("EOF\nthe file is empty")),
        };
        match self.token() {
            Some(_) => Err(self.error("unexpected text after the end of the document")),
            None => Ok(branch),
        }
    }

    fn single_value(mut self) -> Result<Value, StoreError> {
        let value = self.value()?;
        match self.token() {
            Some(_) => Err(self.error("unexpected text after the value")),
            None => Ok(value),
        }
    }

    fn value(&mut self) -> Result<Value, StoreError> {
        match self.token() {
            Some(b'{') => self.object().map(Value::Map),
            Some(b'[') => self.list().map(Value::List),
            Some(b'"') => self.string().map(|text| Value::Scalar(Scalar::Text(text))),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Scalar),
            Some(b't') => self.literal("true", Scalar::Bool(true)),
            Some(b'f') => self.literal("false", Scalar::Bool(false)),
            Some(b'n') => self.literal("null", Scalar::Null),
            other => Err(self.stray(other, VALUE)),
        }
    }

    /// The opening brace is next.
    fn object(&mut self) -> Result<Branch, StoreError> {
        self.enter()?;
        let mut items = Vec::new();
        loop {
            let key = match self.token() {
                Some(b'"') => self.string()?,
                Some(b'}') if items.is_empty() => break,
                other if items.is_empty() => return Err(self.stray(other, "")),
                other => return Err(self.stray(other, " looking for beginning of object key string")),
            };
            match self.token() {
                Some(b':') => self.at += 1,
                other => return Err(self.stray(other, " after object key")),
            }
            items.push(Item::entry(key, self.value()?));
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                other => return Err(self.stray(other, " after object key:value pair")),
            }
        }
        self.leave();
        Ok(Branch { items })
    }

    /// The opening bracket is next.
    fn list(&mut self) -> Result<Vec<Element>, StoreError> {
        self.enter()?;
        let mut elements = Vec::new();
        if self.token() != Some(b']') {
            loop {
                elements.push(Element::Value(self.value()?));
                match self.token() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    other => return Err(self.stray(other, " after array element")),
                }
            }
        }
        self.leave();
        Ok(elements)
    }

    fn enter(&mut self) -> Result<(), StoreError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("objects and arrays nest deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    fn literal(&mut self, word: &str, scalar: Scalar) -> Result<Value, StoreError> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                other => {
                    let expected = char::from(expected);
                    return Err(self.stray(other, &format!(" in literal {word} (expecting '{expected}')")));
                }
            }
        }
        Ok(Value::Scalar(scalar))
    }

    /// An integer if the text is one of 64 bits, else a float.
    fn number(&mut self) -> Result<Scalar, StoreError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits(" in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits(" after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits(" in exponent of numeric literal")?;
        }
        let text = &self.bytes[start..self.at];
        let int = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        if let Some(int) = int {
            return Ok(Scalar::Int(int));
        }
        let float = parse_float(text);
        self.at = if float.is_ok() { self.at } else { start };
        // the reference quotes the number here, which may be a secret
        float.map(Scalar::Float).map_err(|_| self.error("a number is out of range"))
    }

    /// One digit or more.
    fn digits(&mut self, place: &str) -> Result<(), StoreError> {
        let count = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.stray(self.peek(), place)) } else { Ok(()) }
    }

    /// The opening quote is next. Most texts stand in the file as they are.
    fn string(&mut self) -> Result<Text, StoreError> {
        self.at += 1;
        let (end, escaped) = self.closing_quote()?;
        let raw = &self.bytes[self.at..end];
        let text = if escaped || std::str::from_utf8(raw).is_err() {
            self.unescaped(end)?
        } else {
            self.no_control_characters(raw.len())?;
            self.source.text(raw)
        };
        self.at = end + 1;
        Ok(text)
    }

    /// What the string stands for that ends there. It is allocated once: growing it would leave parts in memory.
    fn unescaped(&mut self, end: usize) -> Result<Text, StoreError> {
        let mut text = Unescaped(Vec::with_capacity(end - self.at));
        while self.at < end {
            let rest = &self.bytes[self.at..end];
            let run = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
            self.no_control_characters(run)?;
            text.push_repaired(&rest[..run]);
            self.at += run;
            if self.at < end {
                let escaped = self.escape()?;
                text.push(escaped);
            }
        }
        Ok(Text::from(text.0))
    }

    /// Where it is, and whether there are backslashes before it.
    fn closing_quote(&self) -> Result<(usize, bool), StoreError> {
        let mut at = self.at;
        let mut escaped = false;
        while let Some(found) = self.bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
            if self.bytes[at + found] == b'"' {
                return Ok((at + found, escaped));
            }
            escaped = true;
            at += found + 2;
        }
        Err(self.error("unexpected EOF: a string has no closing quote"))
    }

    fn no_control_characters(&mut self, count: usize) -> Result<(), StoreError> {
        let run = &self.bytes[self.at..self.at + count];
        // without a branch per byte this runs at the speed of memory
        if run.iter().fold(false, |found, b| found | (*b < b' ')) {
            self.at += run.iter().position(|b| *b < b' ').unwrap_or(0);
            return Err(self.stray(self.peek(), " in string literal"));
        }
        Ok(())
    }

    /// The backslash is next.
    fn escape(&mut self) -> Result<char, StoreError> {
        self.at += 1;
        let character = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            other => return Err(self.stray(other, " in string escape code")),
        };
        self.at += 1;
        Ok(character)
    }

    /// The `u` is next. Half of a surrogate pair alone becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, StoreError> {
        self.at += 1;
        let first = self.hex()?;
        if let 0xd800..0xdc00 = first
            && self.bytes[self.at..].starts_with(b"\\u")
        {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if let 0xdc00..0xe000 = second {
                let pair = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, StoreError> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.peek();
            let Some(digit) = byte.and_then(|b| char::from(b).to_digit(16)) else {
                return Err(self.stray(byte, " in \\u hexadecimal character escape"));
            };
            number = number * 16 + digit;
            self.at += 1;
        }
        Ok(number)
    }

    /// The next byte that is not a blank.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte, if there is one, cannot stand here.
    fn stray(&self, byte: Option<u8>, place: &str) -> StoreError {
        match byte {
            Some(byte) => self.error(format!("invalid character {}{place}", quoted(byte))),
            None => self.error("unexpected EOF: the document is not complete"),
        }
    }

    /// The first line is the reference's, the second says where.
    fn error(&self, problem: impl AsRef<str>) -> StoreError {
        let before = &self.bytes[..self.at.min(self.bytes.len())];
        let line = memchr_iter(b'\n', before).count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let problem = problem.as_ref();
        StoreError::new(format!("{problem}\nline {line}, column {column}"))
    }
}

/// The byte as the reference quotes it: as if it were a character of its own, whatever the encoding.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        7 => r"'\a'".to_owned(),
        8 => r"'\b'".to_owned(),
        9 => r"'\t'".to_owned(),
        10 => r"'\n'".to_owned(),
        11 => r"'\v'".to_owned(),
        12 => r"'\f'".to_owned(),
        13 => r"'\r'".to_owned(),
        0..b' ' | 0x7f => format!(r"'\x{byte:02x}'"),
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// The content of a string. What it outgrows is not wiped, but it only grows where bad bytes are replaced.
struct Unescaped(Vec<u8>);

impl Unescaped {
    fn push(&mut self, character: char) {
        self.0.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Appends bytes, U+FFFD in place of each one that is not part of valid UTF-8.
    fn push_repaired(&mut self, bytes: &[u8]) {
        if std::str::from_utf8(bytes).is_ok() {
            return self.0.extend_from_slice(bytes);
        }
        for chunk in bytes.utf8_chunks() {
            self.0.extend_from_slice(chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                self.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::STACK_SIZE;

    /// The value of `{"v": <text>}`.
    fn value(text: &str) -> Value {
        let object = [b"{\"v\": ", text.as_bytes(), b"}"].concat();
        let mut branch = read(&object.into()).expect(text);
        match branch.items.pop() {
            Some(Item::Entry { value, .. }) => value,
            _ => panic!("no entry: {text}"),
        }
    }

    fn first_line(text: &[u8]) -> String {
        let message = read(&text.into()).err().expect("refused").to_string();
        let line = message.lines().next().unwrap_or_default();
        line.strip_prefix("Could not unmarshal input data: ").unwrap_or(line).to_owned()
    }

    #[test]
    fn numbers_are_integers_as_long_as_they_fit() {
        for (text, scalar) in [
            ("0", Scalar::Int(0)),
            ("-0", Scalar::Int(0)),
            ("9223372036854775807", Scalar::Int(i64::MAX)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("9223372036854775808", Scalar::Float(9_223_372_036_854_775_808.0)),
            ("1.0", Scalar::Float(1.0)),
            ("1e3", Scalar::Float(1000.0)),
            ("-0.0", Scalar::Float(-0.0)),
            ("1E-400", Scalar::Float(0.0)),
        ] {
            assert!(value(text) == Value::Scalar(scalar), "{text}");
        }
        assert_eq!(first_line(br#"{"a":1e400}"#), "a number is out of range");
    }

    #[test]
    fn strings_are_unescaped_and_repaired() {
        for (text, content) in [
            (r#""""#, ""),
            (r#""a\"b\\c\/d""#, "a\"b\\c/d"),
            (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\u20AC\u0000""#, "é€\0"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ] {
            assert!(value(text) == Value::text(content), "{text}");
        }
        let bad =
            read(&b"{\"\xff\": \"a\xe2\x82\\n\xed\xa0\x80b\"}"[..].into()).expect("bad bytes are replaced");
        let text = "a\u{fffd}\u{fffd}\n\u{fffd}\u{fffd}\u{fffd}b";
        assert!(bad.get("\u{fffd}") == Some(&Value::text(text)));
    }

    #[test]
    fn order_and_duplicates_of_keys_are_kept() {
        let branch = read(&"{\"b\":1,\"a\":2,\"b\":3,\"\":null}\r\n\t ".into()).expect("read");
        let keys: Vec<_> = branch.items.iter().filter_map(Item::text_key).map(Text::as_bytes).collect();
        assert_eq!(keys, [&b"b"[..], b"a", b"b", b""]);
    }

    #[test]
    fn syntax_errors_read_like_the_reference() {
        for (text, problem) in [
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            (r#"{"a":1,b:2}"#, "invalid character 'b' looking for beginning of object key string"),
            (r#"{"a":[1,]}"#, "invalid character ']' looking for beginning of value"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":[1 2]}"#, "invalid character '2' after array element"),
            ("{a:2}", "invalid character 'a'"),
            ("{'a':2}", r"invalid character '\''"),
            ("{,}", "invalid character ','"),
            ("{\"a\":\"\t\"}", r"invalid character '\t' in string literal"),
            (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
            (r#"{"a":"\ud83d\ude"}"#, "invalid character '\"' in \\u hexadecimal character escape"),
            (r#"{"a":"\u12"}"#, "invalid character '\"' in \\u hexadecimal character escape"),
            (r#"{"a":01}"#, "invalid character '1' after object key:value pair"),
            (r#"{"a":1.}"#, "invalid character '}' after decimal point in numeric literal"),
            (r#"{"a":1e}"#, "invalid character '}' in exponent of numeric literal"),
            (r#"{"a":-}"#, "invalid character '}' in numeric literal"),
            (r#"{"a":+1}"#, "invalid character '+' looking for beginning of value"),
            (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
            ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
            ("{\"a\":\u{7f}}", r"invalid character '\x7f' looking for beginning of value"),
            (" \n", "EOF"),
        ] {
            assert_eq!(first_line(text.as_bytes()), problem, "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        let message = read(&"{\n  \"a\": x\n}".into()).err().expect("refused").to_string();
        assert!(message.ends_with("\nline 2, column 8"), "{message}");
    }

    #[test]
    fn only_objects_can_be_documents_and_errors_do_not_show_values() {
        assert!(first_line(b"[1]").contains("top-level object (starting with '{'), not arrays"));
        for (text, found) in
            [("42", "int"), ("1.5", "float64"), ("\"secret\"", "string"), ("true", "bool"), ("null", "<nil>")]
        {
            let line = first_line(text.as_bytes());
            assert!(line.ends_with(&format!("Got {found} instead")), "{line}");
            assert!(!line.contains("secret"));
        }
    }

    #[test]
    fn text_behind_the_document_is_refused() {
        for text in ["{}x", "{} {}", "{} // c", "{},"] {
            assert_eq!(first_line(text.as_bytes()), "unexpected text after the end of the document");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let text = br#"{"a": {"b": [1.5, "x\u00e9", {"c": true}]}, "d": null, "e": -1}"#;
        assert!(read(&text[..].into()).is_ok());
        for end in 0..text.len() {
            let line = first_line(&text[..end]);
            assert!(line.starts_with(if end == 0 { "EOF" } else { "unexpected EOF" }), "{end}: {line}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels: usize| {
            let mut text = b"{\"a\":".to_vec();
            text.extend(b"[".repeat(levels - 1));
            text.extend(b"]".repeat(levels - 1));
            text.push(b'}');
            read(&text.into()).map(drop)
        };
        let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
            assert!(nested(MAX_DEPTH).is_ok());
            assert!(nested(MAX_DEPTH + 1).is_err());
        });
        thread.expect("spawn").join().expect("no overflow");
    }
}
