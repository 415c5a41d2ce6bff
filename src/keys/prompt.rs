//! The person who may be asked, as the command line reaches them.

use secrecy::SecretString;

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

    /// Says how PGP goes on, to those who want to follow it.
    fn remark(&self, text: &str);

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

    fn remark(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}
