//! age: data keys wrapped for people's age and ssh keys (keys.md §2).
//!
//! A [`Recipient`] wraps a data key into an armored age file of its own; [`Identities`] opens it again, with
//! whatever [`IdentitySources`] hold. What a stanza holds is the business of the `age` crate (`hybrid` and
//! `plugin` are ours), the file around it and the messages are ours:
//!
//! ```text
//! recipient ── wrap ──► stanza ──► envelope (header, MAC, payload) ──► armor ──► enc
//! enc ──► armor ──► envelope ──► stanzas ◄── unwrap: plain identities, then ssh, encrypted files, plugins
//!                                                └── sources: text (identity), ssh, commands, passphrase
//! ```
//!
//! Nothing here reads the environment or touches a terminal: the command line resolves the sources and
//! implements [`Prompt`].

mod agent;
mod armor;
mod bech32;
mod command;
mod envelope;
mod hybrid;
mod identity;
mod keygen;
mod passphrase;
mod pem;
mod plugin;
mod recipient;
mod sources;
mod ssh;
mod unwrap;
#[cfg(test)]
mod vectors;

use age::secrecy::SecretString;

/// Texts that are wiped, as the public surface takes them.
pub use age::secrecy;

pub use agent::Agent;
pub use armor::ArmorError;
pub use bech32::Bech32Error;
pub use command::CommandError;
pub use envelope::{HeaderError, ReadError};
pub use identity::IdentityError;
pub use keygen::{NewIdentity, recipients_of};
pub use passphrase::EncryptedFileError;
pub use plugin::PluginIdentityError;
pub use recipient::{NativeError, PluginNameError, Recipient, RecipientError, WrapError};
pub use sources::{IdentitySources, LoadError};
pub use ssh::{Origin, SshKeyError};
pub use unwrap::{Cause, Identities, Report, UnwrapError};

/// The person at the terminal (keys.md §4.1). Implemented by the command line.
///
/// Questions come without a trailing blank. The errors are the reasons why there is no answer.
pub trait Prompt: Send + Sync {
    /// Asks for something secret.
    fn passphrase(&self, question: &str) -> Result<SecretString, String>;

    /// Asks for something that may be seen.
    fn read_public(&self, question: &str) -> Result<String, String>;

    /// Asks to choose: `yes`, or `no` if there is one.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String>;

    /// Says something of a plugin.
    fn message(&self, text: &str);

    /// Warns.
    fn warn(&self, text: &str);
}

/// Nobody is there: every question fails, nothing is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Silent {
    const REASON: &str = "standard input is not a terminal, and /dev/tty is not available: \
                          open /dev/tty: no such device or address";
}

impl Prompt for Silent {
    fn passphrase(&self, _: &str) -> Result<SecretString, String> {
        Err(Self::REASON.to_owned())
    }

    fn read_public(&self, _: &str) -> Result<String, String> {
        Err(Self::REASON.to_owned())
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Result<bool, String> {
        Err(Self::REASON.to_owned())
    }

    fn message(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}
