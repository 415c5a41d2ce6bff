//! YAML as a store.

use zeroize::Zeroizing;

use super::yaml::{self, NegativeIndent, YamlError};
use super::{Layout, Store, StoreError, complex_example};
use crate::tree::{Branch, Comment, Found, Item, Scalar, Source, Tree, Value};

/// The YAML store.
pub struct YamlStore {
    /// Blanks per level; 0 means 4. Other values below 2 or above 9 act as 2, negative ones are an error.
    pub indent: i64,
}

impl From<YamlError> for StoreError {
    fn from(error: YamlError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<NegativeIndent> for StoreError {
    fn from(error: NegativeIndent) -> Self {
        Self::new(error.to_string())
    }
}

impl Store for YamlStore {
    fn load(&self, source: Source) -> Result<Tree, StoreError> {
        Ok(yaml::read(&source)?)
    }

    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Ok(yaml::write(tree, self.indent)?)
    }

    fn emit_value(&self, found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let record = match found {
            Found::Document => return Err(StoreError::new("a whole document is no value")),
            Found::Value(value) => return Ok(yaml::write_value(value)),
            Found::Comment(comment) => comment_record(comment),
            Found::Item(Item::Comment(comment)) => {
                record([("key", Value::Map(comment_record(comment))), ("value", Value::Scalar(Scalar::Null))])
            }
            Found::Item(Item::Entry { key, value }) => {
                record([("key", Value::Scalar(key.clone())), ("value", value.clone())])
            }
        };
        Ok(yaml::write_value(&Value::Map(record)))
    }

    fn layout(&self) -> Layout {
        Layout::Nested
    }

    fn example(&self) -> Branch {
        complex_example()
    }
}

fn record<const N: usize>(entries: [(&str, Value); N]) -> Branch {
    Branch { items: entries.into_iter().map(|(key, value)| Item::entry(key, value)).collect() }
}

/// How `--extract` shows a comment (cli.md §8.2).
fn comment_record(comment: &Comment) -> Branch {
    let text = Value::Scalar(Scalar::Text(comment.text.clone()));
    record([("value", text), ("inline", Value::Scalar(Scalar::Bool(comment.inline)))])
}
