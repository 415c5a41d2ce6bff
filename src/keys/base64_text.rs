//! Base64 that is wrong, told in the reference's words.

use base64::DecodeError;
#[cfg(any(feature = "aws", feature = "gcp"))]
use base64::prelude::{BASE64_STANDARD, Engine as _};

/// The bytes of an `enc` in standard base64, in which line breaks count for nothing.
#[cfg(any(feature = "aws", feature = "gcp"))]
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    BASE64_STANDARD.decode(&text).map_err(|error| reason(text.len(), &error))
}

/// Where it is wrong, in a text of this length: an incomplete end is reported where its group of four begins.
pub(super) fn reason(length: usize, error: &DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => length / 4 * 4,
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(all(test, any(feature = "aws", feature = "gcp")))]
mod tests {
    use super::decode;

    #[test]
    fn base64_that_is_none_is_told_by_its_place() {
        assert_eq!(decode("AQID\r\nBA==\n"), Ok(vec![1, 2, 3, 4]));
        for (text, at) in
            [("AQ*D", 2), ("AQ-D", 2), ("AQIDBA", 4), ("AQIDBA=", 4), ("AQIDA", 4), ("AQID====", 4)]
        {
            assert_eq!(decode(text), Err(format!("illegal base64 data at input byte {at}")), "{text}");
        }
    }
}
