//! Splitting a secret into shares of which some restore it (format.md §10.2, §10.3).
//!
//! Shares end with their x coordinate; no crate that was tried writes them so.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

/// A share: one byte a byte of the secret, then x.
pub type Share = Zeroizing<Vec<u8>>;

/// Why splitting or combining failed. Displays the reference's wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say what the texts say")]
pub enum ShamirError {
    FewerPartsThanThreshold,
    TooManyParts,
    ThresholdTooSmall,
    ThresholdTooLarge,
    EmptySecret,
    TooFewParts,
    PartTooShort,
    UnequalLengths,
    DuplicatePart,
    NoRandomness,
}

impl fmt::Display for ShamirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FewerPartsThanThreshold => "parts cannot be less than threshold",
            Self::TooManyParts => "parts cannot exceed 255",
            Self::ThresholdTooSmall => "threshold must be at least 2",
            Self::ThresholdTooLarge => "threshold cannot exceed 255",
            Self::EmptySecret => "cannot split an empty secret",
            Self::TooFewParts => "less than two parts cannot be used to reconstruct the secret",
            Self::PartTooShort => "parts must be at least two bytes",
            Self::UnequalLengths => "all parts must be the same length",
            Self::DuplicatePart => "duplicate part detected",
            Self::NoRandomness => "the operating system gives no random numbers",
        })
    }
}

impl std::error::Error for ShamirError {}

/// Splits a secret into `parts` shares, any `threshold` of which restore it. Share i has x = i + 1.
pub fn split(secret: &[u8], parts: usize, threshold: usize) -> Result<Vec<Share>, ShamirError> {
    let mut random = Zeroizing::new(vec![0; secret.len() * threshold.saturating_sub(1).min(255)]);
    check(secret, parts, threshold)?;
    getrandom::fill(&mut random).map_err(|_| ShamirError::NoRandomness)?;
    Ok(split_with(secret, parts, threshold, &random))
}

fn check(secret: &[u8], parts: usize, threshold: usize) -> Result<(), ShamirError> {
    match () {
        () if parts < threshold => Err(ShamirError::FewerPartsThanThreshold),
        () if parts > 255 => Err(ShamirError::TooManyParts),
        () if threshold < 2 => Err(ShamirError::ThresholdTooSmall),
        () if threshold > 255 => Err(ShamirError::ThresholdTooLarge),
        () if secret.is_empty() => Err(ShamirError::EmptySecret),
        () => Ok(()),
    }
}

/// `coefficients`: threshold - 1 a byte of the secret, those of x first.
fn split_with(secret: &[u8], parts: usize, threshold: usize, coefficients: &[u8]) -> Vec<Share> {
    let degree = threshold - 1;
    (1..=parts)
        .map(|x| {
            let x = x as u8;
            let mut share = Zeroizing::new(Vec::with_capacity(secret.len() + 1));
            for (byte, own) in secret.iter().zip(coefficients.chunks_exact(degree)) {
                let higher = own.iter().rev().fold(0, |sum, c| multiply(sum, x) ^ c);
                share.push(multiply(higher, x) ^ byte);
            }
            share.push(x);
            share
        })
        .collect()
}

/// Restores the secret from all the shares given. With too few of them the result is wrong, which nothing shows.
pub fn combine(shares: &[Share]) -> Result<Zeroizing<Vec<u8>>, ShamirError> {
    let [first, _, ..] = shares else { return Err(ShamirError::TooFewParts) };
    if first.len() < 2 {
        return Err(ShamirError::PartTooShort);
    }
    if shares.iter().any(|share| share.len() != first.len()) {
        return Err(ShamirError::UnequalLengths);
    }
    let length = first.len() - 1;
    let xs: Vec<u8> = shares.iter().map(|share| share[length]).collect();
    if (1..xs.len()).any(|i| xs[..i].contains(&xs[i])) {
        return Err(ShamirError::DuplicatePart);
    }
    let mut secret = Zeroizing::new(vec![0; length]);
    for (i, share) in shares.iter().enumerate() {
        // the Lagrange basis at 0: the product of x_j / (x_j - x_i)
        let mut basis = (0..xs.len())
            .filter(|j| *j != i)
            .fold(1, |product, j| multiply(product, multiply(xs[j], invert(xs[j] ^ xs[i]))));
        for (byte, part) in secret.iter_mut().zip(share.iter()) {
            *byte ^= multiply(basis, *part);
        }
        basis.zeroize();
    }
    Ok(secret)
}

/// Multiplication in GF(2^8) with 0x11b, in constant time.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & 0_u8.wrapping_sub(b >> bit & 1);
        a = a << 1 ^ 0x1b & 0_u8.wrapping_sub(a >> 7);
    }
    product
}

/// a^254; 0 for 0.
fn invert(a: u8) -> u8 {
    let square = |a| multiply(a, a);
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let (mut power, mut result) = (a, 1);
    for _ in 0..7 {
        power = square(power);
        result = multiply(result, power);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Share {
        Zeroizing::new(
            (0..text.len()).step_by(2).filter_map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect(),
        )
    }

    #[test]
    fn the_field_is_that_of_the_reference() {
        for (a, b, product) in [
            (3, 7, 9),
            (0x53, 0xca, 1),
            (0x57, 0x83, 0xc1),
            (0x57, 0x13, 0xfe),
            (2, 0x80, 0x1b),
            (0xff, 0xff, 0x13),
        ] {
            assert_eq!(multiply(a, b), product);
        }
        for (a, inverse) in [(0, 0), (2, 0x8d), (3, 0xf6), (0x53, 0xca), (0x80, 0x83), (0xff, 0x1c)] {
            assert_eq!(invert(a), inverse);
        }
    }

    #[test]
    fn shares_are_those_of_the_reference() {
        let shares = split_with(b"test", 3, 2, &[0x11, 0x22, 0x33, 0x44]);
        assert_eq!(shares, [hex("6547403001"), hex("562115fc02"), hex("470326b803")]);

        let secret: Vec<u8> = (0..32).collect();
        let coefficients: Vec<u8> =
            (0..32_u32).flat_map(|i| [(7 * i + 1) as u8, (11 * i + 3) as u8]).collect();
        let shares = split_with(&secret, 5, 3, &coefficients);
        assert_eq!(shares[0], hex("02071431361b68656a2f3c39dec3f0cdd2d7a441466b78b5babf8c89ee93809d01"));
        assert_eq!(shares[4], hex("36c7a31f8406f8da490e6a9b394b7410c83967801b2feb0b983240b18ac25d2f05"));
        assert_eq!(combine(&shares[1..4]).as_deref(), Ok(&secret));
        assert_eq!(
            combine(&shares[..2]).map(|s| s.to_vec()),
            Ok(hex("061d304b5a718ca7bec5e8f319322f446d769ba0b1dae7170e355843729984af").to_vec()),
            "too few shares restore something else"
        );
    }

    #[test]
    fn any_threshold_of_random_shares_restores_the_secret() {
        let secret: Vec<u8> = (0..32).map(|i| i * 7).collect();
        let shares = split(&secret, 5, 3).expect("5 of 3");
        for skip in 0..3 {
            assert_eq!(combine(&shares[skip..skip + 3]).as_deref(), Ok(&secret));
        }
        assert_eq!(combine(&shares).as_deref(), Ok(&secret));
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert_eq!(split(b"x", 2, 3).err(), Some(ShamirError::FewerPartsThanThreshold));
        assert_eq!(split(b"x", 2, 1).err(), Some(ShamirError::ThresholdTooSmall));
        assert_eq!(split(b"x", 256, 2).err(), Some(ShamirError::TooManyParts));
        assert_eq!(combine(&[hex("0101")]).err(), Some(ShamirError::TooFewParts));
        assert_eq!(combine(&[hex("0101"), hex("0201")]).err(), Some(ShamirError::DuplicatePart));
        assert_eq!(combine(&[hex("0101"), hex("010203")]).err(), Some(ShamirError::UnequalLengths));
    }
}
