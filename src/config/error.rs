//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::keys::ParseKeyError;
use crate::store::yaml::YamlError;

/// Why the configuration cannot be used. The command line chooses the exit status.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// As given.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Not YAML, or something has the wrong type.
    Invalid(YamlError),
    /// There is no `creation_rules`, as if there were no file.
    NoCreationRules {
        /// The file.
        path: PathBuf,
    },
    /// No creation rule is meant for the file.
    NoMatchingRule,
    /// The `path_regex` of a rule does not compile, so nobody knows what the rule is meant for.
    BadPathRegex {
        /// The expression.
        pattern: String,
        /// Line of the rule, from 1.
        line: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The rule has more than one selector.
    SeveralSelectors,
    /// The rule has a key field of the wrong type.
    KeyField {
        /// What the reference calls the kind of keys.
        label: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The rule has a key that is none.
    Key(ParseKeyError),
    /// The encryption context of a KMS key has a null.
    NullInContext {
        /// The KMS key.
        arn: String,
        /// The key in the context.
        key: String,
    },
    /// The rule asks for fewer than no groups.
    NegativeThreshold(i64),
    /// The rule asks for one of several groups, or for more than there are. To encrypt fails then (format.md §10).
    Threshold {
        /// What it asks for.
        threshold: usize,
        /// How many there are.
        groups: usize,
    },
    /// No destination rule is meant for the file.
    NoMatchingDestination,
    /// The destination rule has more than one destination.
    SeveralDestinations,
    /// The destination rule has no destination.
    NoDestination,
}

impl ConfigError {
    /// The line that is to blame, from 1, where it is known.
    pub fn line(&self) -> Option<usize> {
        let line = match self {
            Self::Invalid(error) => error.line(),
            Self::BadPathRegex { line, .. } => Some(*line),
            _ => None,
        };
        line.and_then(|line| line.try_into().ok())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                let path = path.display();
                f.write_str("could not read config file: ")?;
                match error.kind() {
                    io::ErrorKind::NotFound => write!(f, "open {path}: no such file or directory"),
                    io::ErrorKind::PermissionDenied => write!(f, "open {path}: permission denied"),
                    io::ErrorKind::IsADirectory => write!(f, "read {path}: is a directory"),
                    _ => write!(f, "read {path}: {error}"),
                }
            }
            Self::Invalid(error) => {
                write!(f, "error loading config: Could not unmarshal config file: {error}")
            }
            Self::NoCreationRules { path } => {
                write!(f, "The config file {} does not contain any creation rule", path.display())
            }
            Self::NoMatchingRule => f.write_str("error loading config: no matching creation rules found"),
            Self::BadPathRegex { pattern, line, reason } => write!(
                f,
                "can not compile regexp: error parsing regexp: {reason}, in path_regex `{pattern}` of the rule on \
                 line {line}"
            ),
            Self::SeveralSelectors => f.write_str(
                "error loading config: cannot use more than one of encrypted_suffix, unencrypted_suffix, \
                 encrypted_regex, unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex for the \
                 same rule",
            ),
            Self::KeyField { label, field, problem } => {
                write!(f, "invalid {label} key configuration: invalid {field} key configuration: {problem}")
            }
            Self::Key(error) => error.fmt(f),
            Self::NullInContext { arn, key } => {
                write!(f, "the encryption context of the KMS key {arn:?} has no value for {key:?}")
            }
            Self::Threshold { threshold, groups } => write!(
                f,
                "a shamir_threshold of {threshold} does not fit {groups} key groups: it is 2 at least, and \
                 {groups} at most"
            ),
            Self::NegativeThreshold(threshold) => {
                write!(f, "shamir_threshold cannot be negative, but is {threshold}")
            }
            Self::NoMatchingDestination => {
                f.write_str("error loading config: no matching destination found in config")
            }
            Self::SeveralDestinations => f.write_str(
                "error loading config: more than one destinations were found in a single destination rule, you can \
                 only use one per rule",
            ),
            Self::NoDestination => f.write_str("no destination configured for this file"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Invalid(error) => Some(error),
            Self::Key(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ParseKeyError> for ConfigError {
    fn from(error: ParseKeyError) -> Self {
        Self::Key(error)
    }
}
