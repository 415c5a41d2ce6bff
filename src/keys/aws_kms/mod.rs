//! AWS KMS keys (keys.md §5).

#[cfg(feature = "aws")]
mod client;
#[cfg(feature = "aws")]
mod session_name;

use std::fmt;

#[cfg(feature = "aws")]
pub use self::client::AwsKms;

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

    /// Whether the encryption context has different values. Releases before 3.3.0 sent one of them for all names
    /// (format.md §11).
    pub fn has_mixed_context(&self) -> bool {
        self.context_values().len() > 1
    }

    /// The different values of the encryption context, in the order of their names. Null is none.
    pub fn context_values(&self) -> Vec<&str> {
        let mut values: Vec<&str> = Vec::new();
        for value in self.context.iter().filter_map(|(_, value)| value.as_deref()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// The key with the encryption context that such a release sent.
    #[must_use]
    pub fn with_uniform_context(&self, value: &str) -> Self {
        let mut key = self.clone();
        key.context
            .iter_mut()
            .filter(|(_, old)| old.is_some())
            .for_each(|(_, old)| *old = Some(value.to_owned()));
        key
    }

    /// The region of the key, which its ARN names; what the environment says of regions does not count (keys.md §5.1).
    #[cfg(feature = "aws")]
    fn region(&self) -> Result<&str, String> {
        region_of(&self.arn).ok_or_else(|| {
            super::remote::hinted(
                &format!("no valid ARN found in '{}'", self.arn),
                "a key is named by its ARN, as in arn:aws:kms:us-east-1:111122223333:key/… or …:alias/…",
            )
        })
    }
}

/// The region of `arn:aws…:kms:<region>:<account>:key/…` or `…:alias/…`.
#[cfg(feature = "aws")]
fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.strip_prefix("arn:aws")?.splitn(5, ':');
    let (partition, service, region, account, resource) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_word =
        |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
    let name = resource.strip_prefix("key/").or_else(|| resource.strip_prefix("alias/"))?;
    // the region becomes part of a host name, so that it must not be able to name another host
    let is_host_label = !region.is_empty() && is_word(region, "-");
    let is_account = !account.is_empty() && account.chars().all(|c| c.is_ascii_digit());
    let is_arn = is_word(partition, "-_") && service == "kms" && is_account && !name.is_empty();
    (is_arn && is_host_label).then_some(region)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with_context(context: &[(&str, Option<&str>)]) -> AwsKmsKey {
        let entry = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        let context = context.iter().map(entry).collect();
        AwsKmsKey { arn: String::new(), role: String::new(), context, profile: String::new() }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn the_arn_tells_the_region() {
        for (arn, region) in [
            ("arn:aws:kms:us-east-1:111122223333:key/1234abcd", Some("us-east-1")),
            ("arn:aws:kms:eu-central-1:1:alias/team/a:b", Some("eu-central-1")),
            ("arn:aws-cn:kms:cn-north-1:1:key/x", Some("cn-north-1")),
            ("arn:aws-us-gov:kms:us-gov-west-1:1:key/mrk-x", Some("us-gov-west-1")),
            ("1234abcd-12ab-34cd-56ef-1234567890ab", None),
            ("alias/team", None),
            ("arn:gcp:kms:us-east-1:1:key/x", None),
            ("arn:aws:s3:us-east-1:1:key/x", None),
            ("arn:aws:kms::1:key/x", None),
            ("arn:aws:kms:us-east-1:me:key/x", None),
            ("arn:aws:kms:us-east-1:1:key/", None),
            ("arn:aws:kms:us-east-1:1:secret/x", None),
            ("arn:aws:kms:evil.example/:1:key/x", None),
        ] {
            assert_eq!(region_of(arn), region, "{arn}");
        }
    }

    #[test]
    fn contexts_with_different_values_are_told_from_others() {
        assert!(with_context(&[("a", Some("1")), ("b", Some("2"))]).has_mixed_context());
        for uniform in [
            &[][..],
            &[("a", Some("1"))],
            &[("a", Some("1")), ("b", Some("1"))],
            &[("a", Some("1")), ("b", None)],
        ] {
            assert!(!with_context(uniform).has_mixed_context(), "{uniform:?}");
        }
    }

    #[test]
    fn old_releases_sent_one_value_for_all_names() {
        let key = with_context(&[("a", Some("1")), ("b", None), ("c", Some("2"))]);
        assert_eq!(key.context_values(), ["1", "2"]);
        assert_eq!(
            key.with_uniform_context("2"),
            with_context(&[("a", Some("2")), ("b", None), ("c", Some("2"))])
        );
    }
}
