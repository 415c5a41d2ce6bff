//! Bech32 as age uses it: without a length limit, and with errors that say where (keys.md §2.1).

use std::fmt;

use zeroize::Zeroizing;

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

/// A decoded text: the part before the last `1`, case kept, and the bytes after it.
pub(super) struct Decoded<'a> {
    pub(super) hrp: &'a str,
    pub(super) data: Zeroizing<Vec<u8>>,
}

/// Why a text is not Bech32. Positions and codes, never the text: it may be a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bech32Error {
    /// Upper and lower case in one text.
    MixedCase,
    /// No `1`, or too near to an end. The position is -1 if there is none.
    Separator {
        /// Where the last `1` is.
        position: i64,
        /// Length of the text.
        length: usize,
    },
    /// A character that must not stand before the separator.
    PrefixCharacter {
        /// Index.
        index: usize,
        /// Code point.
        code: u32,
    },
    /// A character that must not stand after the separator.
    DataCharacter {
        /// Index after the separator.
        index: usize,
        /// Code point.
        code: u32,
    },
    /// Mistyped or cut.
    Checksum,
    /// A surplus character at the end.
    IllegalPadding,
    /// Bits set where there must be none.
    NonZeroPadding,
}

impl fmt::Display for Bech32Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedCase => f.write_str("mixed case"),
            Self::Separator { position, length } => {
                write!(f, "separator '1' at invalid position: pos={position}, len={length}")
            }
            Self::PrefixCharacter { index, code } => {
                write!(f, "invalid character human-readable part: s[{index}]={code}")
            }
            Self::DataCharacter { index, code } => {
                write!(f, "invalid character data part: s[{index}]={code}")
            }
            Self::Checksum => f.write_str("invalid checksum"),
            Self::IllegalPadding => f.write_str("illegal zero padding"),
            Self::NonZeroPadding => f.write_str("non-zero padding"),
        }
    }
}

impl std::error::Error for Bech32Error {}

/// Decodes. The checks come in the reference's order, since the first one gives the message.
pub(super) fn decode(text: &str) -> Result<Decoded<'_>, Bech32Error> {
    let lower = Zeroizing::new(text.to_lowercase());
    let upper = Zeroizing::new(text.to_uppercase());
    if *lower != text && *upper != text {
        return Err(Bech32Error::MixedCase);
    }
    let separator = |position: i64| Bech32Error::Separator { position, length: text.len() };
    let one = text.rfind('1').ok_or(separator(-1))?;
    if one < 1 || one + 7 > text.len() {
        return Err(separator(i64::try_from(one).unwrap_or(i64::MAX)));
    }
    let hrp = &text[..one];
    if let Some((index, c)) = hrp.char_indices().find(|(_, c)| !('!'..='~').contains(c)) {
        return Err(Bech32Error::PrefixCharacter { index, code: c.into() });
    }
    // the prefix is ASCII now, so the separator is where it was
    let mut values = Zeroizing::new(Vec::with_capacity(lower.len() - one));
    for (index, c) in lower[one + 1..].char_indices() {
        let value = CHARSET.iter().position(|&known| char::from(known) == c);
        let value = value.and_then(|value| u8::try_from(value).ok());
        values.push(value.ok_or(Bech32Error::DataCharacter { index, code: c.into() })?);
    }
    if !checksum_holds(lower[..one].as_bytes(), &values) {
        return Err(Bech32Error::Checksum);
    }
    let data = to_bytes(&values[..values.len() - 6])?;
    Ok(Decoded { hrp, data })
}

fn checksum_holds(hrp: &[u8], values: &[u8]) -> bool {
    let high = hrp.iter().map(|byte| byte >> 5);
    let low = hrp.iter().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(values.iter().copied());
    let checksum = all.fold(1_u32, |checksum, value| {
        let mixed = ((checksum & 0x01ff_ffff) << 5) ^ u32::from(value);
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| (checksum >> 25 >> bit) & 1 == 1)
            .fold(mixed, |mixed, (_, generator)| mixed ^ generator)
    });
    checksum == 1
}

/// Groups of five bits to bytes; what is left over must be padding.
fn to_bytes(values: &[u8]) -> Result<Zeroizing<Vec<u8>>, Bech32Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(values.len() * 5 / 8));
    let (mut pending, mut bits) = (0_u16, 0_u32);
    for value in values {
        pending = pending << 5 | u16::from(*value);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let [_, byte] = (pending >> bits).to_be_bytes();
            bytes.push(byte);
            pending &= (1 << bits) - 1;
        }
    }
    match (bits, pending) {
        (5.., _) => Err(Bech32Error::IllegalPadding),
        (_, 0) => Ok(bytes),
        _ => Err(Bech32Error::NonZeroPadding),
    }
}

#[cfg(test)]
mod tests {
    use super::{Bech32Error, decode};

    fn error(text: &str) -> String {
        decode(text).err().map_or_else(|| "decoded".to_owned(), |e| e.to_string())
    }

    #[test]
    fn decodes_in_either_case_and_keeps_the_prefix() {
        let key = "age1mnzycxqwvmxc0waj8jw4lsseyjdaje2u97l4acpq6w6lhdfcuqhqxruuj4";
        let lower = decode(key).unwrap();
        assert_eq!((lower.hrp, lower.data.len()), ("age", 32));
        let upper = key.to_uppercase();
        let upper = decode(&upper).unwrap();
        assert_eq!((upper.hrp, upper.data), ("AGE", lower.data));
    }

    #[test]
    fn says_where_it_fails() {
        assert_eq!(error("age1ABC"), "mixed case");
        assert_eq!(error("age"), "separator '1' at invalid position: pos=-1, len=3");
        assert_eq!(error("age1x"), "separator '1' at invalid position: pos=3, len=5");
        assert_eq!(error("a e1qqqqqqq"), "invalid character human-readable part: s[1]=32");
        assert_eq!(error("age1qqqbqqqq"), "invalid character data part: s[3]=98");
        assert_eq!(error("AGE1QQQBQQQQ"), "invalid character data part: s[3]=98");
        assert_eq!(decode("age1qqqqqqqq").err(), Some(Bech32Error::Checksum));
    }
}
