//! Post-quantum keys, `age1pq1…`: ML-KEM-768 with X25519 (X-Wing) in HPKE (keys.md §2.10).
//!
//! Composed here from the parts that the age crate brings along: the `hpke` crate's X-Wing needs a version of
//! `kem` that cannot stand in one build with the one of `age`.

use std::collections::HashSet;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use curve25519_dalek::constants::X25519_BASEPOINT;
use curve25519_dalek::montgomery::MontgomeryPoint;
use hkdf::Hkdf;
use ml_kem::kem::Decapsulate;
use ml_kem::{EncapsulateDeterministic, EncodedSizeUser, KemCore, MlKem768};
use sha2::Sha256;
use sha3::digest::{Digest, ExtendableOutput, Update, XofReader};
use sha3::{Sha3_256, Shake256};
use zeroize::Zeroizing;

use super::envelope;

const STANZA: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// ML-KEM-768 key or ciphertext, before the 32 bytes of X25519.
const MLKEM_KEY: usize = 1184;
const MLKEM_CIPHERTEXT: usize = 1088;
const BODY: usize = FILE_KEY_BYTES + 16;
/// X-Wing, HKDF-SHA256, ChaCha20-Poly1305.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
const XWING_LABEL: &[u8] = br"\.//^\";

type EncapsulationKey = <MlKem768 as KemCore>::EncapsulationKey;
type DecapsulationKey = <MlKem768 as KemCore>::DecapsulationKey;

/// A public key.
pub(super) struct Recipient {
    mlkem: EncapsulationKey,
    x25519: MontgomeryPoint,
}

/// A private key: the seed, from which the halves are made when they are needed.
pub(super) struct Identity(Zeroizing<[u8; 32]>);

impl Recipient {
    /// From the bytes of the Bech32 text.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mlkem, x25519) = bytes.split_at_checked(MLKEM_KEY)?;
        let key = EncapsulationKey::from_bytes(mlkem.try_into().ok()?);
        // the crate reduces coefficients; FIPS 203 §7.2 refuses keys that have to be
        let canonical = *key.as_bytes() == *mlkem;
        let x25519 = MontgomeryPoint(x25519.try_into().ok()?);
        (canonical && !is_low_order(&x25519.0)).then_some(Self { mlkem: key, x25519 })
    }
}

impl Identity {
    /// From the seed in the Bech32 text.
    pub(super) fn from_bytes(seed: &[u8]) -> Option<Self> {
        seed.try_into().ok().map(|seed| Self(Zeroizing::new(seed)))
    }

    /// The ML-KEM key and the X25519 scalar.
    fn expand(&self) -> (DecapsulationKey, Zeroizing<[u8; 32]>) {
        let mut hash = Shake256::default();
        hash.update(&*self.0);
        let mut stream = hash.finalize_xof();
        let mut next = || {
            let mut part = Zeroizing::new([0; 32]);
            stream.read(&mut *part);
            part
        };
        let (d, z, scalar) = (next(), next(), next());
        let (mlkem, _) = MlKem768::generate_deterministic((&*d).into(), (&*z).into());
        (mlkem, scalar)
    }
}

/// The points of Curve25519 and of its twist whose order divides the cofactor, but for 0 and ±1: u as it is encoded.
const ORDER_EIGHT: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// Whether a Diffie-Hellman with this point gives zero whatever the secret is: then it protects nothing.
///
/// A list, because to try costs as much as to wrap a key.
pub(super) fn is_low_order(point: &[u8]) -> bool {
    let Ok(mut u) = <[u8; 32]>::try_from(point) else { return false };
    // X25519 does not look at the highest bit (RFC 7748 §5)
    u[31] &= 0x7f;
    let [low, middle @ .., high] = u;
    let small = middle == [0; 30] && high == 0;
    // 2²⁵⁵ - 19, and its neighbours, which are 0 and ±1 too
    let large = middle == [0xff; 30] && high == 0x7f;
    small && low <= 1 || large && (0xec..=0xee).contains(&low) || ORDER_EIGHT.contains(&u)
}

/// The shared secret of both halves (X-Wing's combiner).
fn shared_secret(
    mlkem: &[u8],
    x25519: &MontgomeryPoint,
    ephemeral: &MontgomeryPoint,
    recipient: &MontgomeryPoint,
) -> Zeroizing<[u8; 32]> {
    let hash = Sha3_256::new().chain(mlkem).chain(x25519.0).chain(ephemeral.0).chain(recipient.0);
    Zeroizing::new(hash.chain(XWING_LABEL).finalize().into())
}

/// HPKE's key schedule in base mode (RFC 9180 §5.1): the cipher and the nonce of the first message.
fn schedule(shared_secret: &[u8; 32]) -> Option<(ChaCha20Poly1305, [u8; 12])> {
    let extract = |salt: &[u8], label: &[u8], input: &[u8]| {
        let input = Zeroizing::new([b"HPKE-v1", SUITE, label, input].concat());
        Hkdf::<Sha256>::extract(Some(salt), &input)
    };
    let (psk_id_hash, _) = extract(&[], b"psk_id_hash", &[]);
    let (info_hash, _) = extract(&[], b"info_hash", INFO);
    let (_, secret) = extract(shared_secret, b"secret", &[]);
    let expand = |label: &[u8], length: [u8; 2], output: &mut [u8]| {
        // the zero says base mode
        let info: [&[u8]; 7] = [&length, b"HPKE-v1", SUITE, label, &[0], &psk_id_hash, &info_hash];
        secret.expand_multi_info(&info, output).ok()
    };
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    expand(b"key", [0, 32], &mut *key)?;
    expand(b"base_nonce", [0, 12], &mut nonce)?;
    Some((ChaCha20Poly1305::new((&*key).into()), nonce))
}

impl age::Recipient for Recipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        let failed = |_| std::io::Error::other("post-quantum encryption failed");
        let (mut message, mut scalar) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        getrandom::fill(&mut *message).map_err(std::io::Error::other)?;
        getrandom::fill(&mut *scalar).map_err(std::io::Error::other)?;
        let encapsulated = self.mlkem.encapsulate_deterministic((&*message).into());
        let (ciphertext, mlkem) = encapsulated.map_err(failed)?;
        let ephemeral = X25519_BASEPOINT.mul_clamped(*scalar);
        let x25519 = Zeroizing::new(self.x25519.mul_clamped(*scalar));
        let secret = shared_secret(&mlkem, &x25519, &ephemeral, &self.x25519);
        let (cipher, nonce) = schedule(&secret).ok_or(()).map_err(failed)?;
        let body = cipher.encrypt(&nonce.into(), file_key.expose_secret().as_slice());
        let body = body.map_err(|_| failed(()))?;
        let enc = [ciphertext.as_slice(), &ephemeral.0].concat();
        let args = vec![BASE64_STANDARD_NO_PAD.encode(enc)];
        let stanza = Stanza { tag: STANZA.to_owned(), args, body };
        Ok((vec![stanza], HashSet::from(["postquantum".to_owned()])))
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        if stanza.tag != STANZA {
            return None;
        }
        let Some((ciphertext, ephemeral)) = encapsulated_key(&stanza.args) else {
            return Some(Err(age::DecryptError::InvalidHeader));
        };
        if stanza.body.len() != BODY {
            let error = std::io::Error::other("encrypted value has unexpected length");
            return Some(Err(age::DecryptError::Io(error)));
        }
        let (decapsulator, scalar) = self.expand();
        let mlkem = decapsulator.decapsulate(&ciphertext).ok()?;
        let x25519 = Zeroizing::new(ephemeral.mul_clamped(*scalar));
        let recipient = X25519_BASEPOINT.mul_clamped(*scalar);
        let (cipher, nonce) = schedule(&shared_secret(&mlkem, &x25519, &ephemeral, &recipient))?;
        // a key that does not fit shows only here
        let opened = cipher.decrypt(&nonce.into(), stanza.body.as_slice());
        opened.ok().and_then(envelope::file_key).map(Ok)
    }
}

fn encapsulated_key(args: &[String]) -> Option<(ml_kem::Ciphertext<MlKem768>, MontgomeryPoint)> {
    let [encoded] = args else { return None };
    let bytes = BASE64_STANDARD_NO_PAD.decode(encoded).ok()?;
    let (ciphertext, x25519) = bytes.split_at_checked(MLKEM_CIPHERTEXT)?;
    let point = MontgomeryPoint(x25519.try_into().ok()?);
    (!is_low_order(&point.0)).then_some((ciphertext.try_into().ok()?, point))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the list stands for: any clamped scalar is a multiple of the cofactor.
    fn gives_zero(point: [u8; 32]) -> bool {
        MontgomeryPoint(point).mul_clamped([0; 32]).0 == [0; 32]
    }

    #[test]
    fn points_of_low_order_are_those_that_give_zero() {
        let mut points = ORDER_EIGHT.to_vec();
        for low in 0..=u8::MAX {
            for rest in [0, 0xff] {
                let mut point = [rest; 32];
                point[0] = low;
                point[31] = rest & 0x7f;
                points.push(point);
            }
        }
        let mut found = 0;
        for point in points {
            for high in [0, 0x80] {
                let mut point = point;
                point[31] |= high;
                assert_eq!(is_low_order(&point), gives_zero(point), "{point:02x?}");
                found += usize::from(is_low_order(&point));
            }
        }
        assert_eq!(found, 14);
    }
}
