//! Which leaves are encrypted (format.md §3).

use std::fmt;

use crate::pattern::Pattern;

/// The rule of a file: at most one of the six selectors.
#[derive(Clone, Debug, Default)]
pub enum Selection {
    /// Everything: binary files.
    #[default]
    All,
    /// All but what has a key on its path that ends so.
    UnencryptedSuffix(String),
    /// Only what has a key on its path that ends so.
    EncryptedSuffix(String),
    /// All but what has a key on its path that matches.
    UnencryptedRegex(Pattern),
    /// Only what has a key on its path that matches.
    EncryptedRegex(Pattern),
    /// All but what follows a comment that matches, or lies in something that follows one.
    UnencryptedCommentRegex(Pattern),
    /// Only what follows a comment that matches, or lies in something that follows one.
    EncryptedCommentRegex(Pattern),
}

/// The suffix that is used when nothing is configured.
pub const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// The selectors as configuration and metadata spell them, before it is known that there is at most one. Empty
/// texts count as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the keys of the configuration")]
pub struct Selectors {
    pub unencrypted_suffix: String,
    pub encrypted_suffix: String,
    pub unencrypted_regex: String,
    pub encrypted_regex: String,
    pub unencrypted_comment_regex: String,
    pub encrypted_comment_regex: String,
}

/// Why selectors are no [`Selection`].
#[derive(Debug)]
pub enum SelectionError {
    /// More than one is set.
    Several,
    /// A regular expression does not compile.
    BadPattern {
        /// The key of the selector.
        selector: &'static str,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several => f.write_str(
                "cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, \
                 encrypted_comment_regex, or unencrypted_comment_regex",
            ),
            Self::BadPattern { selector, pattern, reason } => {
                write!(f, "{selector} {pattern:?} is not a valid regular expression: {reason}")
            }
        }
    }
}

impl std::error::Error for SelectionError {}

impl Selectors {
    /// Key and text of each selector, in the order of the metadata.
    pub fn entries(&self) -> [(&'static str, &str); 6] {
        [
            ("encrypted_comment_regex", &self.encrypted_comment_regex),
            ("encrypted_regex", &self.encrypted_regex),
            ("encrypted_suffix", &self.encrypted_suffix),
            ("unencrypted_comment_regex", &self.unencrypted_comment_regex),
            ("unencrypted_regex", &self.unencrypted_regex),
            ("unencrypted_suffix", &self.unencrypted_suffix),
        ]
    }

    /// Each selector from here, or from there where it is not set here (cli.md §9.1).
    pub fn or(&self, other: &Self) -> Self {
        let pick = |a: &String, b: &String| if a.is_empty() { b.clone() } else { a.clone() };
        Self {
            unencrypted_suffix: pick(&self.unencrypted_suffix, &other.unencrypted_suffix),
            encrypted_suffix: pick(&self.encrypted_suffix, &other.encrypted_suffix),
            unencrypted_regex: pick(&self.unencrypted_regex, &other.unencrypted_regex),
            encrypted_regex: pick(&self.encrypted_regex, &other.encrypted_regex),
            unencrypted_comment_regex: pick(
                &self.unencrypted_comment_regex,
                &other.unencrypted_comment_regex,
            ),
            encrypted_comment_regex: pick(&self.encrypted_comment_regex, &other.encrypted_comment_regex),
        }
    }

    /// The one selector that is set; without any, the default suffix.
    pub fn selection(&self) -> Result<Selection, SelectionError> {
        let mut set = self.entries().into_iter().filter(|(_, text)| !text.is_empty());
        let (first, second) = (set.next(), set.next());
        if second.is_some() {
            return Err(SelectionError::Several);
        }
        let Some((selector, text)) = first else {
            return Ok(Selection::UnencryptedSuffix(DEFAULT_UNENCRYPTED_SUFFIX.to_owned()));
        };
        let pattern = || {
            Pattern::new(text).map_err(|error| SelectionError::BadPattern {
                selector,
                pattern: text.to_owned(),
                reason: error.to_string(),
            })
        };
        Ok(match selector {
            "encrypted_comment_regex" => Selection::EncryptedCommentRegex(pattern()?),
            "encrypted_regex" => Selection::EncryptedRegex(pattern()?),
            "encrypted_suffix" => Selection::EncryptedSuffix(text.to_owned()),
            "unencrypted_comment_regex" => Selection::UnencryptedCommentRegex(pattern()?),
            "unencrypted_regex" => Selection::UnencryptedRegex(pattern()?),
            _ => Selection::UnencryptedSuffix(text.to_owned()),
        })
    }
}

impl Selection {
    /// The selector as metadata spells it. Nothing is stored for [`Selection::All`].
    pub fn selectors(&self) -> Selectors {
        let mut selectors = Selectors::default();
        match self {
            Self::All => {}
            Self::UnencryptedSuffix(text) => selectors.unencrypted_suffix.clone_from(text),
            Self::EncryptedSuffix(text) => selectors.encrypted_suffix.clone_from(text),
            Self::UnencryptedRegex(pattern) => selectors.unencrypted_regex = pattern.as_str().to_owned(),
            Self::EncryptedRegex(pattern) => selectors.encrypted_regex = pattern.as_str().to_owned(),
            Self::UnencryptedCommentRegex(pattern) => {
                selectors.unencrypted_comment_regex = pattern.as_str().to_owned()
            }
            Self::EncryptedCommentRegex(pattern) => {
                selectors.encrypted_comment_regex = pattern.as_str().to_owned()
            }
        }
        selectors
    }

    /// Whether a key is one of those that the selector speaks of.
    pub fn matches_key(&self, key: &[u8]) -> bool {
        match self {
            Self::UnencryptedSuffix(suffix) | Self::EncryptedSuffix(suffix) => {
                key.ends_with(suffix.as_bytes())
            }
            Self::UnencryptedRegex(pattern) | Self::EncryptedRegex(pattern) => pattern.matches(key),
            Self::All | Self::UnencryptedCommentRegex(_) | Self::EncryptedCommentRegex(_) => false,
        }
    }

    /// Whether a comment is one of those that the selector speaks of.
    pub fn matches_comment(&self, text: &[u8]) -> bool {
        match self {
            Self::UnencryptedCommentRegex(pattern) | Self::EncryptedCommentRegex(pattern) => {
                pattern.matches(text)
            }
            _ => false,
        }
    }

    /// Whether something is encrypted, given whether a key on its path, or a comment before it, matched.
    pub fn selects(&self, matched: bool) -> bool {
        match self {
            Self::All => true,
            Self::UnencryptedSuffix(_) | Self::UnencryptedRegex(_) | Self::UnencryptedCommentRegex(_) => {
                !matched
            }
            Self::EncryptedSuffix(_) | Self::EncryptedRegex(_) | Self::EncryptedCommentRegex(_) => matched,
        }
    }

    /// Whether a comment itself is encrypted, given whether one before it matched. A marker comment stays in clear
    /// under both selectors (format.md §3, rules 5 and 6).
    pub fn selects_comment(&self, matched: bool, text: &[u8]) -> bool {
        match self {
            Self::UnencryptedCommentRegex(_) => self.selects(matched || self.matches_comment(text)),
            _ => self.selects(matched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_selector_may_be_set() {
        let both = Selectors {
            encrypted_regex: "a".to_owned(),
            encrypted_suffix: "b".to_owned(),
            ..Selectors::default()
        };
        assert!(matches!(both.selection(), Err(SelectionError::Several)));
        assert!(
            matches!(Selectors::default().selection(), Ok(Selection::UnencryptedSuffix(s)) if s == "_unencrypted")
        );
    }
}
