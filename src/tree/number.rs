//! Numbers and booleans as text, the way files of the format spell them (format.md §4.5, §5).

use std::fmt;

/// The styles in which a float is written (format.md §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatStyle {
    /// Never an exponent, no trailing `.0`: what is encrypted and what the MAC hashes.
    Plain,
    /// Dotenv and INI: an upper-case exponent below 1e-4 and from 1e6 on, else at least one decimal.
    General,
    /// JSON: an exponent, not padded, below 1e-6 and from 1e21 on. Only for finite numbers.
    Json,
    /// YAML: an exponent of at least two digits below 1e-4 and from 1e6 on, `.inf` and `.nan` (yaml.md §7.2).
    Yaml,
}

/// The float in the given style.
///
/// The digits are the shortest that read back to the same number, the even one of two equally near ones. `ryu`
/// agrees with the reference there; `std` does not, and a differing digit changes the MAC (format.md §5.1).
pub fn float_text(value: f64, style: FloatStyle) -> String {
    if !value.is_finite() {
        return match (style, value.is_nan(), value > 0.0) {
            (FloatStyle::Yaml, true, _) => ".nan",
            (FloatStyle::Yaml, false, true) => ".inf",
            (FloatStyle::Yaml, false, false) => "-.inf",
            (_, true, _) => "NaN",
            (_, false, true) => "+Inf",
            (_, false, false) => "-Inf",
        }
        .to_owned();
    }
    let decimal = Decimal::of(value);
    let exponent = decimal.exponent;
    match style {
        FloatStyle::Plain => decimal.plain(),
        FloatStyle::General if !(-4..6).contains(&exponent) => decimal.scientific('E', 2),
        FloatStyle::General => {
            let text = decimal.plain();
            if text.contains('.') { text } else { text + ".0" }
        }
        FloatStyle::Json if value != 0.0 && !(-6..21).contains(&exponent) => decimal.scientific('e', 1),
        FloatStyle::Json => decimal.plain(),
        FloatStyle::Yaml if !(-4..6).contains(&exponent) => decimal.scientific('e', 2),
        FloatStyle::Yaml => decimal.plain(),
    }
}

/// A finite float as ±d.ddd × 10^exponent.
struct Decimal {
    negative: bool,
    /// Without leading or trailing zeros; `0` for zero.
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    fn of(value: f64) -> Self {
        if value == 0.0 {
            return Self { negative: value.is_sign_negative(), digits: vec![b'0'], exponent: 0 };
        }
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value.abs());
        let (mantissa, shift) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let leading = all.iter().take_while(|d| **d == b'0').count();
        let trailing = all.iter().rev().take_while(|d| **d == b'0').count();
        let shift: i32 = shift.parse().unwrap_or(0);
        Self {
            negative: value < 0.0,
            digits: all[leading..all.len() - trailing].to_vec(),
            exponent: shift + whole.len() as i32 - 1 - leading as i32,
        }
    }

    fn plain(&self) -> String {
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        let point = self.exponent + 1;
        if point <= 0 {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', -point as usize));
        }
        for (i, digit) in self.digits.iter().enumerate() {
            if point > 0 && i == point as usize {
                text.push('.');
            }
            text.push(char::from(*digit));
        }
        text.extend(std::iter::repeat_n('0', (point - self.digits.len() as i32).max(0) as usize));
        text
    }

    fn scientific(&self, marker: char, width: usize) -> String {
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        for (i, digit) in self.digits.iter().enumerate() {
            if i == 1 {
                text.push('.');
            }
            text.push(char::from(*digit));
        }
        let sign = if self.exponent < 0 { '-' } else { '+' };
        text + &format!("{marker}{sign}{:0width$}", self.exponent.abs())
    }
}

/// Why a text is no number or boolean; displays the reference's wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseNumberError {
    /// Not of the required form.
    Syntax,
    /// Of the form, but too large.
    Range,
}

impl fmt::Display for ParseNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "invalid syntax",
            Self::Range => "value out of range",
        })
    }
}

impl std::error::Error for ParseNumberError {}

/// A decimal integer with optional sign (format.md §4.5).
pub fn parse_int(text: &[u8]) -> Result<i64, ParseNumberError> {
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ParseNumberError::Syntax);
    }
    std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).ok_or(ParseNumberError::Range)
}

/// An integer in the base that its prefix tells, `_` between digits; empty is 0 (format.md §9.5, cli.md §1.2).
pub fn parse_prefixed_int(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let (digits, radix) = match digits.as_bytes() {
        [] if text.is_empty() => return Some(0),
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', b'o' | b'O', ..] => (&digits[2..], 8),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    let value = i64::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// One of the twelve words for a boolean (format.md §4.5).
pub fn parse_bool(text: &[u8]) -> Result<bool, ParseNumberError> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Ok(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Ok(false),
        _ => Err(ParseNumberError::Syntax),
    }
}

/// A float: decimal, hexadecimal with `p` exponent, `inf`, `infinity` or `nan`; `_` may stand between digits
/// (format.md §5.2). Overflow is an error, underflow is zero.
pub fn parse_float(text: &[u8]) -> Result<f64, ParseNumberError> {
    let text = std::str::from_utf8(text).map_err(|_| ParseNumberError::Syntax)?;
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => {
            return if unsigned.len() == text.len() { Ok(f64::NAN) } else { Err(ParseNumberError::Syntax) };
        }
        lower => {
            let digits = without_underscores(lower).ok_or(ParseNumberError::Syntax)?;
            finite(match digits.strip_prefix("0x") {
                Some(hex) => parse_hex_float(hex)?,
                None => parse_decimal_float(&digits)?,
            })?
        }
    };
    Ok(if negative { -magnitude } else { magnitude })
}

/// The lower-case number without `_`, each of which must stand between two digits; a base prefix is as good as a
/// digit in front of it.
fn without_underscores(text: &str) -> Option<String> {
    let hex = text.starts_with("0x");
    let mut after_digit = false;
    let mut after_underscore = false;
    for (i, c) in text.char_indices() {
        let digit = c.is_ascii_digit() || (hex && (i == 1 || c.is_ascii_hexdigit()));
        if (after_underscore && !digit) || (c == '_' && !after_digit) {
            return None;
        }
        (after_digit, after_underscore) = (digit, c == '_');
    }
    if after_underscore { None } else { Some(text.replace('_', "")) }
}

fn finite(value: f64) -> Result<f64, ParseNumberError> {
    if value.is_infinite() { Err(ParseNumberError::Range) } else { Ok(value) }
}

fn parse_decimal_float(text: &str) -> Result<f64, ParseNumberError> {
    let (mantissa, exponent) = text.split_once('e').map_or((text, None), |(m, e)| (m, Some(e)));
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let points = mantissa.bytes().filter(|b| *b == b'.').count();
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit())
    });
    if digits == 0 || points > 1 || digits + points != mantissa.len() || !exponent_ok {
        return Err(ParseNumberError::Syntax);
    }
    text.parse().map_err(|_| ParseNumberError::Syntax)
}

/// `h.hhhp±d` without its `0x`.
fn parse_hex_float(text: &str) -> Result<f64, ParseNumberError> {
    let (mantissa, exponent) = text.split_once('p').ok_or(ParseNumberError::Syntax)?;
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if exponent_digits.is_empty() || !exponent_digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseNumberError::Syntax);
    }
    // beyond these bounds every result is 0 or out of range
    let mut exponent: i64 =
        exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { -100_000 } else { 100_000 });
    exponent = exponent.clamp(-100_000, 100_000);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut bits: u128 = 0;
    let mut seen = false;
    let mut sticky = false;
    for (digits, fractional) in [(whole, false), (fraction, true)] {
        for c in digits.chars() {
            let digit = c.to_digit(16).ok_or(ParseNumberError::Syntax)?;
            seen = true;
            if bits >> 120 == 0 {
                bits = bits << 4 | u128::from(digit);
                exponent -= if fractional { 4 } else { 0 };
            } else {
                sticky |= digit != 0;
                exponent += if fractional { 0 } else { 4 };
            }
        }
    }
    if !seen {
        return Err(ParseNumberError::Syntax);
    }
    Ok(scale(bits | u128::from(sticky), exponent))
}

/// `bits` × 2^`exponent`, rounded once, to even.
fn scale(bits: u128, exponent: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let top = 127 - i64::from(bits.leading_zeros()); // the value is 1.xxx × 2^(top + exponent)
    let power = top + exponent;
    if power > 1023 {
        return f64::INFINITY;
    }
    // bits of the result: 53, fewer for subnormal numbers
    let keep = if power >= -1022 { 53 } else { 53 - (-1022 - power) };
    if keep < 0 {
        return 0.0;
    }
    let drop = top + 1 - keep;
    let mut kept = if drop <= 0 { bits << -drop } else { bits.checked_shr(drop as u32).unwrap_or(0) };
    if drop > 0 {
        let rest = bits & ((1_u128 << drop.min(127)) - 1);
        let half = 1_u128 << (drop - 1);
        if rest > half || (rest == half && kept & 1 == 1) {
            kept += 1;
        }
    }
    // kept < 2^54: exact in f64; two steps keep the power of two in range for subnormal results
    let shift = exponent + drop;
    let value = kept as f64;
    let half_shift = shift / 2;
    value * 2_f64.powi(half_shift as i32) * 2_f64.powi((shift - half_shift) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_laid_out_as_the_table_of_the_specification_says() {
        let rows: [(f64, &str, &str, &str); 12] = [
            (1.0, "1", "1.0", "1"),
            (-0.0, "-0", "-0.0", "-0"),
            (123456.0, "123456", "123456.0", "123456"),
            (1e6, "1000000", "1E+06", "1000000"),
            (1234567.8, "1234567.8", "1.2345678E+06", "1234567.8"),
            (1e-4, "0.0001", "0.0001", "0.0001"),
            (1e-5, "0.00001", "1E-05", "0.00001"),
            (1e-7, "0.0000001", "1E-07", "1e-7"),
            (1e20, "100000000000000000000", "1E+20", "100000000000000000000"),
            (1e21, "1000000000000000000000", "1E+21", "1e+21"),
            (
                12345678901234567890.0,
                "12345678901234567000",
                "1.2345678901234567E+19",
                "12345678901234567000",
            ),
            (0.5, "0.5", "0.5", "0.5"),
        ];
        for (value, plain, general, json) in rows {
            assert_eq!(float_text(value, FloatStyle::Plain), plain);
            assert_eq!(float_text(value, FloatStyle::General), general);
            assert_eq!(float_text(value, FloatStyle::Json), json);
        }
        assert_eq!(float_text(5e-324, FloatStyle::Plain), format!("0.{}5", "0".repeat(323)));
    }

    #[test]
    fn ties_go_to_the_even_digit_as_in_the_reference() {
        for (bits, text) in [
            (0x431e_b7fc_d827_60ed, "2161636471855163.2"),
            (0x430f_ddec_d228_dcda, "1121216685743003.2"),
            (0xc2e7_b86e_d644_24d4, "-208647207657766.62"),
        ] {
            assert_eq!(float_text(f64::from_bits(bits), FloatStyle::Plain), text);
        }
    }

    #[test]
    fn yaml_floats_switch_to_an_exponent_at_a_million() {
        for (value, text) in [
            (999999.5, "999999.5"),
            (1e6, "1e+06"),
            (123456789.123, "1.23456789123e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (3.0, "3"),
            (f64::NEG_INFINITY, "-.inf"),
        ] {
            assert_eq!(float_text(value, FloatStyle::Yaml), text);
        }
    }

    #[test]
    fn floats_are_read_in_every_spelling() {
        for (text, value) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1e3", -1000.0),
            ("0x1p4", 16.0),
            ("0x1.8p1", 3.0),
            ("0X_1P-2", 0.25),
            ("1_000.5", 1000.5),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff8p1022", 8.98846567431158e307),
            ("1e-400", 0.0),
            ("Infinity", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["", ".", "e5", "1e", "0x1", "1__0", " 1", "1.2.3", "0x_p1", "+nan"] {
            assert_eq!(parse_float(text.as_bytes()), Err(ParseNumberError::Syntax), "{text}");
        }
        assert_eq!(parse_float(b"1e400"), Err(ParseNumberError::Range));
        assert_eq!(parse_float(b"0x1p1024"), Err(ParseNumberError::Range));
    }

    #[test]
    fn integers_and_booleans_allow_no_decoration() {
        assert_eq!(parse_int(b"+7"), Ok(7));
        assert_eq!(parse_int(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_int(b"9223372036854775808"), Err(ParseNumberError::Range));
        for text in ["", "-", "1 ", "1_0", "0x1"] {
            assert_eq!(parse_int(text.as_bytes()), Err(ParseNumberError::Syntax), "{text}");
        }
        assert_eq!(parse_bool(b"True"), Ok(true));
        assert_eq!(parse_bool(b"yes"), Err(ParseNumberError::Syntax));
    }
}
