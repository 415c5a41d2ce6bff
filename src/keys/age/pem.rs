//! PEM blocks, and the old way to protect one with a pass phrase (RFC 1421 headers, keys.md §2.6).

use aes::{Aes128, Aes192, Aes256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockDecryptMut, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use zeroize::Zeroizing;

/// The first block of a text.
pub(super) struct PemBlock {
    pub(super) label: String,
    /// Set if a pass phrase protects the content.
    pub(super) protection: Option<Protection>,
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// The `DEK-Info` header: cipher and initialization vector in hexadecimal.
pub(super) struct Protection(String);

impl PemBlock {
    /// Finds the first block.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut begins = text.match_indices("-----BEGIN ");
        let (at, begin) = begins.find(|(at, _)| *at == 0 || text[..*at].ends_with('\n'))?;
        let (label, rest) = text[at + begin.len()..].split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let (mut protected, mut dek_info) = (false, String::new());
        let mut encoded = Zeroizing::new(String::with_capacity(body.len()));
        for line in body.lines() {
            match line.split_once(':') {
                Some(("Proc-Type", value)) => protected = value.contains("ENCRYPTED"),
                Some(("DEK-Info", value)) => dek_info = value.trim().to_owned(),
                Some(_) => {}
                None => encoded.extend(line.chars().filter(|c| !c.is_ascii_whitespace())),
            }
        }
        let content = Zeroizing::new(BASE64_STANDARD.decode(&*encoded).ok()?);
        let protection = protected.then_some(Protection(dek_info));
        Some(Self { label: label.to_owned(), protection, content })
    }
}

impl Protection {
    /// Decrypts. A wrong pass phrase shows in the padding, or later in a content that is none.
    pub(super) fn open(&self, content: &[u8], passphrase: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (cipher, iv) = self.0.split_once(',')?;
        let iv = hex(iv)?;
        match cipher {
            "AES-128-CBC" => decrypt::<cbc::Decryptor<Aes128>>(content, passphrase, &iv),
            "AES-192-CBC" => decrypt::<cbc::Decryptor<Aes192>>(content, passphrase, &iv),
            "AES-256-CBC" => decrypt::<cbc::Decryptor<Aes256>>(content, passphrase, &iv),
            "DES-EDE3-CBC" => decrypt::<cbc::Decryptor<TdesEde3>>(content, passphrase, &iv),
            _ => None,
        }
    }
}

fn decrypt<C: KeyIvInit + BlockDecryptMut>(
    content: &[u8],
    passphrase: &[u8],
    iv: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let key = derive_key(passphrase, iv.get(..8)?, C::key_size());
    let cipher = C::new_from_slices(&key, iv).ok()?;
    cipher.decrypt_padded_vec_mut::<Pkcs7>(content).ok().map(Zeroizing::new)
}

/// OpenSSL's derivation: MD5 over what came before, pass phrase and salt, until there is enough.
fn derive_key(passphrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    while key.len() < length {
        let before = &key[key.len().saturating_sub(16)..];
        let next = Md5::new().chain_update(before).chain_update(passphrase).chain_update(salt).finalize();
        key.extend_from_slice(&next);
    }
    key.truncate(length);
    key
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}
