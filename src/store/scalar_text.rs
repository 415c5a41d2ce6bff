//! Values as text, for the formats that know nothing else: dotenv and INI (stores.md §1.3).

use std::borrow::Cow;

use memchr::memmem;

use crate::tree::{Comment, Element, FloatStyle, Item, Scalar, Timestamp, Value, float_text};

/// A leaf as dotenv and INI write it. The type is lost, and null becomes the word `<nil>`: both are fine for a file
/// that is only read by people and programs, not for one that we want to decrypt again.
pub(crate) fn scalar_text(scalar: &Scalar) -> Cow<'_, [u8]> {
    let text = match scalar {
        Scalar::Text(text) => return Cow::Borrowed(text.as_bytes()),
        Scalar::Null => return Cow::Borrowed(b"<nil>"),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Float(value) => float_text(*value, FloatStyle::General),
        Scalar::Time(value) => value.whole_seconds(),
    };
    Cow::Owned(text.into_bytes())
}

/// A list or mapping as the reference shows it in plain INI: `[a 1 <nil>]`, `[{key value}]`. Nothing reads this back.
pub(crate) fn nested_text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Scalar(scalar) => write_scalar(out, scalar),
        Value::List(elements) => write_all(out, elements, |out, element| match element {
            Element::Comment(comment) => write_comment(out, comment),
            Element::Value(value) => write_value(out, value),
        }),
        Value::Map(branch) => write_all(out, &branch.items, |out, item| {
            out.push(b'{');
            match item {
                Item::Comment(comment) => {
                    write_comment(out, comment);
                    out.extend_from_slice(b" <nil>");
                }
                Item::Entry { key, value } => {
                    write_scalar(out, key);
                    out.push(b' ');
                    write_value(out, value);
                }
            }
            out.push(b'}');
        }),
    }
}

fn write_all<T>(out: &mut Vec<u8>, all: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, one) in all.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        write(out, one);
    }
    out.push(b']');
}

fn write_comment(out: &mut Vec<u8>, comment: &Comment) {
    out.push(b'{');
    out.extend_from_slice(comment.text.as_bytes());
    out.extend_from_slice(if comment.inline { b" true}" } else { b" false}" });
}

/// Inside containers, floats and times look different from those that stand alone.
fn write_scalar(out: &mut Vec<u8>, scalar: &Scalar) {
    match scalar {
        Scalar::Float(value) if value.is_finite() => {
            out.extend_from_slice(float_text(*value, FloatStyle::Yaml).as_bytes());
        }
        Scalar::Time(time) => out.extend_from_slice(spaced_time(time).as_bytes()),
        scalar => out.extend_from_slice(&scalar_text(scalar)),
    }
}

/// `2020-01-02 03:04:05.25 +0100 +0100`; the second offset stands for a time zone without a name.
fn spaced_time(time: &Timestamp) -> String {
    let text = time.to_string();
    let (date, rest) = text.split_once('T').unwrap_or((&text, ""));
    match rest.strip_suffix('Z') {
        Some(clock) => format!("{date} {clock} +0000 UTC"),
        None => {
            let (clock, offset) = rest.split_at(rest.rfind(['+', '-']).unwrap_or(rest.len()));
            let offset = offset.replace(':', "");
            format!("{date} {clock} {offset} {offset}")
        }
    }
}

/// Line feeds as the two characters `\n`: values in dotenv, metadata in INI (stores.md §2, §5.2).
pub(crate) fn escape_newlines(text: &[u8]) -> Vec<u8> {
    let newlines = memchr::memchr_iter(b'\n', text).count();
    let mut out = Vec::with_capacity(text.len() + newlines);
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            out.extend_from_slice(br"\n");
        }
        out.extend_from_slice(line);
    }
    out
}

/// Every pair of characters `\n` as a line feed. A backslash in front of it escapes nothing.
pub(crate) fn unescape_newlines(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut start = 0;
    for pair in memmem::find_iter(text, br"\n") {
        out.extend_from_slice(&text[start..pair]);
        out.push(b'\n');
        start = pair + 2;
    }
    out.extend_from_slice(&text[start..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Branch;

    fn time(text: &str) -> Scalar {
        Scalar::Time(Timestamp::parse(text).expect(text))
    }

    #[test]
    fn leaves_lose_their_type() {
        for (scalar, text) in [
            (Scalar::Text("a b".into()), "a b"),
            (Scalar::Null, "<nil>"),
            (Scalar::Bool(true), "true"),
            (Scalar::Int(-7), "-7"),
            (Scalar::Uint(u64::MAX), "18446744073709551615"),
            (Scalar::Float(1.0), "1.0"),
            (Scalar::Float(1e6), "1E+06"),
            (Scalar::Float(f64::INFINITY), "+Inf"),
            (time("2020-01-02T03:04:05.25+01:00"), "2020-01-02T03:04:05+01:00"),
        ] {
            assert_eq!(String::from_utf8_lossy(&scalar_text(&scalar)), text);
        }
    }

    #[test]
    fn containers_look_like_the_structures_of_the_reference() {
        let scalars = [
            time("2020-01-02T03:04:05.25+01:00"),
            time("2020-01-02T00:00:00Z"),
            Scalar::Float(1.0),
            Scalar::Float(1e6),
            Scalar::Float(0.00001),
            Scalar::Float(f64::NAN),
            Scalar::Null,
            Scalar::Text("x y".into()),
        ];
        let mut elements: Vec<Element> =
            scalars.into_iter().map(|s| Element::Value(Value::Scalar(s))).collect();
        elements.push(Element::Comment(Comment::own_line(" c")));
        let items = vec![
            Item::Comment(Comment::own_line("top")),
            Item::entry("l", Value::List(elements)),
            Item::entry("e", Value::Map(Branch::default())),
        ];
        assert_eq!(
            String::from_utf8_lossy(&nested_text(&Value::Map(Branch { items }))),
            "[{{top false} <nil>} {l [2020-01-02 03:04:05.25 +0100 +0100 2020-01-02 00:00:00 +0000 UTC \
             1 1e+06 1e-05 NaN <nil> x y { c false}]} {e []}]"
        );
    }

    #[test]
    fn newlines_become_two_characters_and_return() {
        for (text, escaped) in [("a\nb\n", r"a\nb\n"), ("", ""), ("\\\n", r"\\n"), ("a\\b", r"a\b")] {
            assert_eq!(escape_newlines(text.as_bytes()), escaped.as_bytes());
            assert_eq!(unescape_newlines(escaped.as_bytes()), text.as_bytes());
        }
    }
}
