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
//! implements [`Prompt`](super::Prompt).

mod armor;
mod bech32;
mod command;
mod envelope;
mod hybrid;
mod identity;
mod keygen;
mod opened;
mod passphrase;
mod pem;
mod plugin;
mod recipient;
mod sources;
mod ssh;
mod unwrap;
#[cfg(test)]
mod vectors;

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
