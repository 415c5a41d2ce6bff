//! The key of one file (format.md §10).

use std::fmt;

use zeroize::Zeroizing;

/// 32 random bytes that encrypt the leaves of one file. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(Zeroizing<[u8; DataKey::LENGTH]>);

/// What was recovered is no data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// Length in bytes.
    pub length: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the recovered data key has {} bytes, not {}", self.length, DataKey::LENGTH)
    }
}

impl std::error::Error for WrongLength {}

impl DataKey {
    /// Bytes.
    pub const LENGTH: usize = 32;

    /// A new key from the operating system's random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; Self::LENGTH]);
        getrandom::fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// A key that was unwrapped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WrongLength> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(Zeroizing::new(bytes))),
            Err(_) => Err(WrongLength { length: bytes.len() }),
        }
    }

    /// The secret. The only way to it.
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
