//! YAML as a store.

use zeroize::Zeroizing;

use super::yaml::{self, NegativeIndent, YamlError};
use super::{Layout, Store, StoreError, complex_example, structure};
use crate::tree::{Branch, Found, Source, Tree};

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
        match found {
            Found::Document => Err(StoreError::new("a whole document is no value")),
            Found::Value(value) => Ok(yaml::write_value(value)),
            found => Ok(yaml::write_value(&structure::YAML.of(found))),
        }
    }

    fn layout(&self) -> Layout {
        Layout::Nested
    }

    fn example(&self) -> Branch {
        complex_example()
    }
}
