//! IV memory: an unchanged value keeps its ciphertext (format.md §6).

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::cipher::{Kind, Nonce};

/// Which IV a value had when it was decrypted. Holds digests, not values.
#[derive(Default)]
pub struct Nonces {
    known: HashMap<[u8; 32], Nonce>,
}

impl Nonces {
    /// Remembers the IV of a value. Equal values under the same path share one; the last wins.
    pub fn remember(&mut self, kind: Kind, plaintext: &[u8], additional_data: &[u8], nonce: Nonce) {
        self.known.insert(digest(kind, plaintext, additional_data), nonce);
    }

    /// The IV that this value had.
    pub fn recall(&self, kind: Kind, plaintext: &[u8], additional_data: &[u8]) -> Option<Nonce> {
        // a new file has no past
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&digest(kind, plaintext, additional_data)).copied()
    }
}

fn digest(kind: Kind, plaintext: &[u8], additional_data: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(kind.name());
    hash.update((additional_data.len() as u64).to_le_bytes());
    hash.update(additional_data);
    hash.update(plaintext);
    hash.finalize().into()
}
