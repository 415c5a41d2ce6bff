//! Opaque bytes. Encrypted, they are a JSON file with the single item `data` (stores.md §4).

use zeroize::Zeroizing;

use super::json::JsonStore;
use super::{Layout, Store, StoreError};
use crate::tree::{Branch, Found, Item, Scalar, Source, Tree, Value};

/// The binary store.
#[derive(Clone, Copy, Debug)]
pub struct BinaryStore {
    /// Blanks per level of encrypted files; -1 means one tab.
    pub indent: i64,
}

/// The key of the content.
const DATA: &str = "data";

impl BinaryStore {
    fn json(&self) -> JsonStore {
        JsonStore { indent: self.indent }
    }
}

impl Store for BinaryStore {
    fn load(&self, source: Source) -> Result<Tree, StoreError> {
        let items = vec![Item::entry(DATA, Value::text(source.text(source.as_bytes())))];
        Ok(Tree { branches: vec![Branch { items }] })
    }

    fn load_encrypted(&self, source: Source) -> Result<Tree, StoreError> {
        self.json().load(source)
    }

    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let [branch] = tree.branches.as_slice() else {
            return Err(refusal("there must be exactly one tree branch"));
        };
        match branch.get(DATA) {
            Some(Value::Scalar(Scalar::Text(data))) => Ok(Zeroizing::new(data.as_bytes().to_vec())),
            Some(_) => Err(refusal("'data' key in tree does not have a string value")),
            None => Err(refusal("no binary data found in tree")),
        }
    }

    fn emit_encrypted(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.json().emit_encrypted(tree)
    }

    fn emit_value(&self, _: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        Err(StoreError::new("Binary files are not structured and extracting a single value is not possible"))
    }

    fn layout(&self) -> Layout {
        Layout::Nested
    }

    fn example(&self) -> Branch {
        Branch {
            items: vec![Item::entry(DATA, Value::text("Welcome to SOPS! Edit this file as you please!"))],
        }
    }
}

fn refusal(why: &str) -> StoreError {
    StoreError::new(format!("error emitting binary store: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: BinaryStore = BinaryStore { indent: -1 };

    #[test]
    fn any_bytes_pass_untouched() {
        for bytes in [&b""[..], b"{\"a\": 1}", b"\x00\xff\r\n\n", b"text"] {
            let tree = STORE.load(bytes.into()).expect("load");
            assert_eq!(STORE.emit(&tree).expect("emit").as_slice(), bytes);
        }
    }

    #[test]
    fn the_encrypted_form_is_json() {
        let tree = STORE.load("".into()).expect("load");
        let json = STORE.emit_encrypted(&tree).expect("emit");
        assert_eq!(json.as_slice(), b"{\n\t\"data\": \"\"\n}\n");
        assert!(STORE.load_encrypted(json.into()).expect("load") == tree);
    }

    #[test]
    fn trees_without_one_text_called_data_are_refused() {
        let refusal = |branches| STORE.emit(&Tree { branches }).expect_err("refused").to_string();
        let data = |value| Branch { items: vec![Item::entry("data", value)] };
        assert!(refusal(vec![]).ends_with("there must be exactly one tree branch"));
        assert!(refusal(vec![Branch::default()]).ends_with("no binary data found in tree"));
        assert!(refusal(vec![data(Value::List(vec![]))]).ends_with("does not have a string value"));
    }
}
