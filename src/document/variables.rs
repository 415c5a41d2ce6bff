//! A document as environment variables (cli.md §14.1).

use std::fmt;

use super::PlainDocument;
use crate::store::scalar_text::scalar_text;
use crate::tree::{Item, Text, Value, key_text};

/// A variable and its value.
pub struct Variable {
    /// The key.
    pub name: Text,
    /// The value as text.
    pub value: Text,
}

/// Why a document cannot be variables.
#[derive(Debug)]
pub enum VariableError {
    /// A list or mapping.
    Complex {
        /// Its key.
        key: String,
    },
    /// A key with `=` in it.
    EqualsSign {
        /// The key.
        key: String,
    },
    /// A key or value with a zero byte, which ends it for the system.
    ZeroByte {
        /// The key.
        key: String,
    },
}

impl fmt::Display for VariableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complex { key } => {
                write!(f, "cannot use complex value in environment; offending key {key}")
            }
            Self::EqualsSign { key } => write!(f, "cannot use keys with '=' in environment: {key}"),
            Self::ZeroByte { key } => {
                write!(f, "cannot use a zero byte in environment; offending key {}", key.escape_debug())
            }
        }
    }
}

impl std::error::Error for VariableError {}

impl PlainDocument {
    /// The variables of the first document, in order; of those with one name the last counts.
    pub fn variables(&self) -> Result<Vec<Variable>, VariableError> {
        let items = self.tree.branches.first().map(|branch| branch.items.as_slice()).unwrap_or_default();
        let entries = items.iter().filter_map(|item| match item {
            Item::Comment(_) => None,
            Item::Entry { key, value } => Some((key_text(key), value)),
        });
        entries.map(|(key, value)| variable(key, value)).collect()
    }
}

fn variable(key: String, value: &Value) -> Result<Variable, VariableError> {
    let Value::Scalar(scalar) = value else { return Err(VariableError::Complex { key }) };
    if key.contains('=') {
        return Err(VariableError::EqualsSign { key });
    }
    let value = Text::from(scalar_text(scalar).into_owned());
    if key.contains('\0') || value.as_bytes().contains(&0) {
        return Err(VariableError::ZeroByte { key });
    }
    Ok(Variable { name: key.into(), value })
}
