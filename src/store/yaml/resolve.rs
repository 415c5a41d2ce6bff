//! The text of a scalar → its value (yaml.md §6).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroize as _;

use crate::tree::{Scalar, Source, Timestamp, nanoseconds, parse_float};

/// Base64 as the reference reads it: padding required, the unused bits of the last character ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The value of a scalar with this tag. The error says what is wrong, without the text.
pub(super) fn resolve(text: &str, plain: bool, tag: Option<&str>, source: &Source) -> Result<Scalar, String> {
    let expected = match tag {
        None | Some("!") if plain => return Ok(resolve_plain(text, source)),
        Some("!!binary") => return decode_binary(text),
        Some(tag @ ("!!int" | "!!float" | "!!bool" | "!!null" | "!!timestamp")) => tag,
        _ => return Ok(Scalar::Text(source.text(text.as_bytes()))),
    };
    match (expected, resolve_plain(text, source)) {
        ("!!float", Scalar::Int(value)) => Ok(Scalar::Float(value as f64)),
        ("!!float", Scalar::Uint(value)) => Ok(Scalar::Float(value as f64)),
        ("!!int", value @ (Scalar::Int(_) | Scalar::Uint(_)))
        | ("!!float", value @ Scalar::Float(_))
        | ("!!bool", value @ Scalar::Bool(_))
        | ("!!null", value @ Scalar::Null)
        | ("!!timestamp", value @ Scalar::Time(_)) => Ok(value),
        (_, other) => Err(format!("cannot decode {} as a {expected}", tag_of(&other))),
    }
}

fn tag_of(value: &Scalar) -> &'static str {
    match value {
        Scalar::Null => "!!null",
        Scalar::Bool(_) => "!!bool",
        Scalar::Int(_) | Scalar::Uint(_) => "!!int",
        Scalar::Float(_) => "!!float",
        Scalar::Time(_) => "!!timestamp",
        Scalar::Text(_) => "!!str",
    }
}

fn decode_binary(text: &str) -> Result<Scalar, String> {
    let mut packed: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    let decoded = BASE64.decode(&packed);
    packed.zeroize();
    match decoded {
        Ok(bytes) => Ok(Scalar::Text(bytes.into())),
        Err(_) => Err("!!binary value contains invalid base64 data".to_owned()),
    }
}

/// The value of a plain scalar without a tag.
fn resolve_plain(text: &str, source: &Source) -> Scalar {
    resolve_typed(text).unwrap_or_else(|| Scalar::Text(source.text(text.as_bytes())))
}

/// Whether a plain scalar with this text would be read as text.
pub(super) fn is_text(text: &str) -> bool {
    resolve_typed(text).is_none()
}

/// The value of a plain scalar, if it is not text. Mostly, the first character tells (yaml.md §6.5).
fn resolve_typed(text: &str) -> Option<Scalar> {
    match text.bytes().next() {
        None => return Some(Scalar::Null),
        Some(b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') => return word(text),
        Some(b'.') => {}
        Some(b'+' | b'-' | b'0'..=b'9') => {}
        _ => return None,
    }
    if let Some(value) = word(text) {
        return Some(value);
    }
    if text.starts_with('.') {
        return parse_float(text.as_bytes()).ok().map(Scalar::Float);
    }
    timestamp(text).map(Scalar::Time).or_else(|| number(text))
}

fn word(text: &str) -> Option<Scalar> {
    Some(match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Scalar> {
    let plain;
    let text = if text.contains('_') {
        plain = text.replace('_', "");
        plain.as_str()
    } else {
        text
    };
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (Some(true), &text[1..]),
        b'+' => (Some(false), &text[1..]),
        _ => (None, text),
    };
    if let Some(magnitude) = integer(digits) {
        match (sign, magnitude) {
            (Some(true), 0..=0x8000_0000_0000_0000) => {
                return Some(Scalar::Int((magnitude as i64).wrapping_neg()));
            }
            (_, 0..=0x7FFF_FFFF_FFFF_FFFF) => return Some(Scalar::Int(magnitude as i64)),
            (None, _) => return Some(Scalar::Uint(magnitude)),
            _ => {}
        }
    }
    // neither hexadecimal nor words: those are text here
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    parse_float(text.as_bytes()).ok().map(Scalar::Float)
}

/// An unsigned integer in the base that its prefix tells; a leading zero means octal.
fn integer(digits: &str) -> Option<u64> {
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// The three spellings of a time (yaml.md §6.6).
fn timestamp(text: &str) -> Option<Timestamp> {
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    if year != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let (month, rest) = one_or_two_digits(&text.as_bytes()[5..])?;
    let (day, rest) = one_or_two_digits(rest.strip_prefix(b"-")?)?;
    let mut time = Timestamp {
        year: text[..4].parse().ok()?,
        month,
        day,
        hour: 0,
        minute: 0,
        second: 0,
        nanosecond: 0,
        offset_minutes: 0,
    };
    if !Timestamp::is_day(time.year, month, day) {
        return None;
    }
    let (zoned, rest) = match rest {
        [] => return Some(time),
        [b'T' | b't', rest @ ..] => (true, rest),
        [b' ', ..] => (false, rest.trim_ascii_start()),
        _ => return None,
    };
    let (hour, rest) = one_or_two_digits(rest)?;
    let (minute, rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = one_or_two_digits(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    (time.hour, time.minute, time.second) = (hour, minute, second);
    if let [b'.' | b',', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            time.nanosecond = nanoseconds(&fraction[..digits]);
            rest = &fraction[digits..];
        }
    }
    match (zoned, rest) {
        (false, []) | (true, b"Z") => Some(time),
        (true, _) => {
            time.offset_minutes = offset(rest)?;
            Some(time)
        }
        _ => None,
    }
}

fn one_or_two_digits(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let count = bytes.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let number = bytes[..count].iter().fold(0, |n, d| n * 10 + (d - b'0'));
    Some((number, &bytes[count..]))
}

/// `±hh:mm` in minutes.
fn offset(text: &[u8]) -> Option<i16> {
    let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |a: u8, b: u8| i16::from(a - b'0') * 10 + i16::from(b - b'0');
    let (hours, minutes) = (number(h1, h2), number(m1, m2));
    if hours > 24 || minutes > 59 {
        return None;
    }
    let offset = hours * 60 + minutes;
    Some(if sign == b'-' { -offset } else { offset })
}

/// Texts that YAML 1.1 parsers take for a number of base 60 (yaml.md §7.4).
pub(super) fn looks_like_base_60(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || !digits.contains(':') {
        return false;
    }
    let (places, fraction) = digits.split_once('.').map_or((digits, ""), |(p, f)| (p, f));
    let mut places = places.split(':');
    let digits_only = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    places.next().is_some_and(digits_only)
        && digits_only(fraction)
        && places.all(|place| matches!(place.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

/// Words that YAML 1.1 parsers take for booleans (yaml.md §7.4).
pub(super) fn looks_like_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> String {
        let value = resolve_plain(text, &"".into());
        let shown = crate::tree::key_text(&value);
        format!("{} {shown}", tag_of(&value))
    }

    #[test]
    fn plain_scalars_get_the_type_that_the_reference_gives_them() {
        for (text, expected) in [
            ("", "!!null null"),
            ("~", "!!null null"),
            ("True", "!!bool true"),
            ("yes", "!!str yes"),
            ("0x1F", "!!int 31"),
            ("010", "!!int 8"),
            ("09", "!!float 9"),
            ("-0b11", "!!int -3"),
            ("1_000", "!!int 1000"),
            ("-9223372036854775808", "!!int -9223372036854775808"),
            ("9223372036854775808", "!!int 9223372036854775808"),
            ("18446744073709551616", "!!float 1.8446744073709552e+19"),
            ("5.", "!!float 5"),
            (".1_0", "!!float 0.1"),
            ("+.5", "!!float 0.5"),
            ("1e3", "!!float 1000"),
            ("1e400", "!!str 1e400"),
            ("-.INF", "!!float -.inf"),
            ("0o8", "!!str 0o8"),
            ("1:30", "!!str 1:30"),
            ("--1", "!!str --1"),
            ("2001-12-14", "!!timestamp 2001-12-14T00:00:00Z"),
            ("2001-1-4t1:2:3.50-05:00", "!!timestamp 2001-01-04T01:02:03.5-05:00"),
            ("2001-12-14  21:59:43.1", "!!timestamp 2001-12-14T21:59:43.1Z"),
            ("2001-12-14T21:59:43", "!!str 2001-12-14T21:59:43"),
            ("2001-02-30", "!!str 2001-02-30"),
        ] {
            assert_eq!(typed(text), expected, "{text}");
        }
    }

    #[test]
    fn explicit_tags_must_fit() {
        let tagged = |text, tag| resolve(text, true, Some(tag), &"".into()).map(|value| tag_of(&value));
        assert_eq!(tagged("1", "!!float"), Ok("!!float"));
        assert_eq!(tagged("1", "!!str"), Ok("!!str"));
        assert_eq!(tagged("1", "!"), Ok("!!int"));
        assert_eq!(tagged("1", "!mine"), Ok("!!str"));
        assert!(tagged("x", "!!int").is_err());
        assert!(tagged("aGk", "!!binary").is_err());
    }

    #[test]
    fn base_60_look_alikes_are_recognised() {
        for text in ["1:30", "12:30:45", "190:20:30.5"] {
            assert!(looks_like_base_60(text), "{text}");
        }
        for text in ["60:70", "1:3:", "1", "a:1", ":30"] {
            assert!(!looks_like_base_60(text), "{text}");
        }
    }
}
