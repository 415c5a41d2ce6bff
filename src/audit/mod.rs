//! The audit log: who does what with which file, written to databases before it is done (publish-audit.md §B).
//!
//! `connection_string` is what the administrator wrote, `target` what it comes to with the variables of libpq, `tls`
//! whom to trust, `postgres` the database itself.

#[cfg(feature = "audit")]
mod connection_string;
#[cfg(feature = "audit")]
mod password_file;
#[cfg(feature = "audit")]
mod postgres;
#[cfg(feature = "audit")]
mod target;
#[cfg(feature = "audit")]
mod tls;

#[cfg(feature = "audit")]
pub use self::postgres::{Database, Failure, connect};
#[cfg(feature = "audit")]
pub use self::target::Defaults;

/// What is recorded (publish-audit.md §B3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Values are about to be encrypted.
    Encrypt,
    /// Values are about to be decrypted: the data key is at hand.
    Decrypt,
    /// A file was read to get a new data key.
    Rotate,
}

impl Event {
    /// As in the column `action`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Rotate => "rotate",
        }
    }
}

/// A row of the table `audit_event`; the database fills in number and time.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What is done.
    pub event: Event,
    /// The name of the user of the operating system.
    pub user: &'a str,
    /// The absolute path of the file.
    pub file: &'a str,
}
