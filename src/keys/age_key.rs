//! age recipients as they stand in files; what can be done with them is in `age`, which is a feature.

use std::fmt;

use super::ParseKeyError;

/// An age key: a recipient by its text, an ssh comment included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeKey {
    /// `age1…`, `ssh-…`.
    pub recipient: String,
}

impl AgeKey {
    /// Reads a recipient, as lists in flags and rules have it.
    pub fn parse(text: &str) -> Result<Self, ParseKeyError> {
        #[cfg(feature = "age")]
        super::age::Recipient::parse(text).map_err(|e| ParseKeyError::new(e.to_string()))?;
        Ok(Self { recipient: text.to_owned() })
    }
}

impl fmt::Display for AgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.recipient)
    }
}
