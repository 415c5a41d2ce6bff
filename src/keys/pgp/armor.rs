//! The text around a binary message. Nothing of it protects anything, so little of it has to be right (keys.md §3.4).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Whether padding is there and complete is of no interest.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes of the first block, whatever it is called; what stands around it, its headers and its checksum are
/// passed over, and it may end without a footer.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN"));
    if lines.next().is_none() {
        return Err("EOF".to_owned());
    }
    let is_end = |line: &str| line.starts_with("-----") || is_checksum(line);
    let body: String = lines.take_while(|line| !is_end(line)).filter(|line| !line.contains(':')).collect();
    LENIENT.decode(body).map_err(|error| error.to_string())
}

fn is_checksum(line: &str) -> bool {
    line.len() == 5 && line.starts_with('=')
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_is_around_a_message_does_not_matter() {
        for text in [
            "-----BEGIN PGP MESSAGE-----\n\nAQID\nBAU=\n=abcd\n-----END PGP MESSAGE-----",
            "-----BEGIN PGP MESSAGE-----\nVersion: 1\nComment: a: b\n\nAQIDBAU=\n-----END PGP MESSAGE-----\n",
            "before\n  -----BEGIN ANYTHING-----\r\n\r\n  AQID\r\n\r\n  BAU=\r\n  -----END ANYTHING-----\r\nafter",
            "-----BEGIN PGP MESSAGE-----\nAQIDBAU",
        ] {
            assert_eq!(decode(text), Ok(vec![1, 2, 3, 4, 5]), "{text}");
        }
    }

    #[test]
    fn no_message_is_told_from_a_broken_one() {
        assert_eq!(decode(""), Err("EOF".to_owned()));
        assert_eq!(decode("AQID"), Err("EOF".to_owned()));
        assert!(decode("-----BEGIN PGP MESSAGE-----\n\n?\n").is_err());
    }
}
