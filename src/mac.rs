//! The message authentication code of a document (format.md §7).

use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};

use crate::tree::{FloatStyle, Scalar, float_text};

/// What is hashed first if only encrypted values count: SHA-256 of `sops`, which tells such files apart
/// (format.md §7.2).
const ONLY_ENCRYPTED_PREFIX: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Which values the MAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All values.
    All,
    /// Values that are encrypted.
    OnlyEncrypted,
}

impl Coverage {
    /// Whether a leaf is covered. `selected`: whether it is one of the encrypted ones.
    pub fn covers(self, selected: bool) -> bool {
        selected || self == Self::All
    }
}

/// SHA-512 over the plaintext of all covered values, in document order, nothing between them.
pub struct Mac {
    hash: Sha512,
    coverage: Coverage,
}

impl Mac {
    /// A MAC that has seen nothing.
    pub fn new(coverage: Coverage) -> Self {
        let mut hash = Sha512::new();
        if coverage == Coverage::OnlyEncrypted {
            hash.update(ONLY_ENCRYPTED_PREFIX);
        }
        Self { hash, coverage }
    }

    /// Takes in the plaintext of a leaf. `selected`: whether it is one of the encrypted ones.
    pub fn absorb(&mut self, plaintext: &[u8], selected: bool) {
        if self.coverage.covers(selected) {
            self.hash.update(plaintext);
        }
    }

    /// 128 upper-case hexadecimal digits.
    pub fn finish(self) -> String {
        self.hash.finalize().iter().fold(String::with_capacity(128), |mut text, byte| {
            let _ = write!(text, "{byte:02X}");
            text
        })
    }
}

/// The bytes of a leaf that are encrypted and hashed (format.md §4.2, §7.1), and handed to `with`. Null has none.
pub fn with_plaintext<T>(leaf: &Scalar, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let short = match leaf {
        Scalar::Null => return None,
        Scalar::Text(text) => return Some(with(text.as_bytes())),
        Scalar::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Float(value) => float_text(*value, FloatStyle::Plain),
        Scalar::Time(value) => value.to_string(),
    };
    let short = zeroize::Zeroizing::new(short);
    Some(with(short.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Timestamp;

    /// The values of format.md §13, the last one unencrypted.
    fn mac_of_the_vector(coverage: Coverage) -> String {
        let time = Timestamp::parse("2020-01-02T00:00:00Z").expect("a time");
        let values = [
            Scalar::Text("hello".into()),
            Scalar::Int(-42),
            Scalar::Float(1.5),
            Scalar::Bool(true),
            Scalar::Bool(false),
            Scalar::Time(time),
            Scalar::Text("".into()),
            Scalar::Text("plain".into()),
        ];
        let mut mac = Mac::new(coverage);
        for (i, value) in values.iter().enumerate() {
            with_plaintext(value, |bytes| mac.absorb(bytes, i != 7));
        }
        mac.finish()
    }

    #[test]
    fn macs_are_those_of_the_reference() {
        assert_eq!(
            mac_of_the_vector(Coverage::All),
            "B141418482A7C6011AF0C73B326001BBD84B1DA1BEBEDD52E20F552D1598F05BAA362BF2CE039CF915FA7B9E50D590138C8596A09825A2F5BBD22306FD4CAC1C"
        );
        assert_eq!(
            mac_of_the_vector(Coverage::OnlyEncrypted),
            "F1D064AD4F7B704EAAB037524A9E98C62B7EB804AECE64C4FFA6EC7B3472990AF0D5D77CBDB004A906F153F01D3131AC1F5044A85A4014CEDDEF8A1640EC68A6"
        );
        assert_eq!(
            Mac::new(Coverage::OnlyEncrypted).finish(),
            "1EE9AD533B409ABB860E3F836F93434DD393834C3D25963ED4DF84DA948472B4C0FE49F92A6E7EB408269999429CF03720535D236983DC0A551DB5AF3D466F7B"
        );
    }
}
