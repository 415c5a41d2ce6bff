//! AWS KMS keys.

use std::fmt;

use super::Common;

/// A key of AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKmsKey {
    /// ARN of the key or alias.
    pub arn: String,
    /// ARN of the role to assume; empty for none.
    pub role: String,
    /// Encryption context, sorted by key. A value can be null in old files.
    pub context: Vec<(String, Option<String>)>,
    /// Profile of the credentials; empty for the default.
    pub profile: String,
}

impl AwsKmsKey {
    /// Reads `<arn>` or `<arn>+<role arn>` (keys.md §5.1).
    pub fn parse(text: &str, common: &Common) -> Self {
        let (arn, role) = match text.find("+arn:") {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        let mut context: Vec<_> =
            common.encryption_context.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        context.sort();
        Self { arn: arn.to_owned(), role: role.to_owned(), context, profile: common.aws_profile.clone() }
    }
}

/// `<arn>[+<role>][|<context>][|<profile>]`.
impl fmt::Display for AwsKmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)?;
        if !self.role.is_empty() {
            write!(f, "+{}", self.role)?;
        }
        if self.context.is_empty() && self.profile.is_empty() {
            return Ok(());
        }
        f.write_str("|")?;
        for (i, (key, value)) in self.context.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{key}:{}", value.as_deref().unwrap_or_default())?;
        }
        if self.profile.is_empty() { Ok(()) } else { write!(f, "|{}", self.profile) }
    }
}
