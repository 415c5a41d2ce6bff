//! JSON, with an object at the top (stores.md §3).

mod read;
mod write;

use zeroize::Zeroizing;

use self::write::{Purpose, Writer};
use super::{Layout, Store, StoreError, complex_example, structure};
use crate::tree::{Branch, Found, Source, Tree, Value};

/// Indentation, quotes, colon, comma and line end of an entry that is not nested very deep.
const ENTRY_FRAME: usize = 16;

/// The JSON store.
#[derive(Clone, Copy, Debug)]
pub struct JsonStore {
    /// Blanks per level; -1 means one tab.
    pub indent: i64,
}

impl Store for JsonStore {
    fn load(&self, source: Source) -> Result<Tree, StoreError> {
        Ok(Tree { branches: vec![read::read(&source)?] })
    }

    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        self.document(tree, Purpose::Plain)
    }

    fn emit_encrypted(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if tree.branches.len() > 1 {
            return Err(StoreError::new("a JSON file holds one document, not several"));
        }
        self.document(tree, Purpose::Encrypted)
    }

    fn emit_value(&self, found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut writer = Writer::indented(self.indent, Purpose::Plain, 0)?;
        match found {
            Found::Value(value) => writer.value(value)?,
            found => writer.value(&structure::JSON.of(found))?,
        }
        Ok(writer.finish())
    }

    fn layout(&self) -> Layout {
        Layout::Nested
    }

    fn example(&self) -> Branch {
        complex_example()
    }
}

impl JsonStore {
    /// The first document; the format has no place for others.
    fn document(&self, tree: &Tree, purpose: Purpose) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut writer = Writer::indented(self.indent, purpose, tree.text_size(ENTRY_FRAME))?;
        let branch = tree.branches.first().ok_or_else(|| StoreError::new("there is no document to write"))?;
        writer.branch(branch)?;
        writer.end_line();
        Ok(writer.finish())
    }
}

/// A single JSON value of any type: what `set` stores (cli.md §8.4). Integers of 64 bits stay integers (policy.md §3).
pub fn read_value(source: &Source) -> Result<Value, StoreError> {
    read::read_value(source)
}

/// A value in one line, mappings and comments as the structures that the reference keeps them in: what
/// `--extract` prints for INI (stores.md §8.2).
pub(super) fn compact(found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let mut writer = Writer::compact();
    writer.value(&structure::JSON.of(found))?;
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Comment, Item, Scalar};

    const STORE: JsonStore = JsonStore { indent: -1 };

    fn load(text: &str) -> Tree {
        STORE.load(text.into()).expect(text)
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn value(value: &Value, store: impl Fn(Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError>) -> String {
        text(&store(Found::Value(value)).expect("emit"))
    }

    #[test]
    fn a_document_comes_back_indented() {
        let tree = load(r#" {"foo":[{"foo":3,"bar":false},2],"foo":{}, "":[]}"#);
        assert_eq!(
            text(&STORE.emit(&tree).expect("emit")),
            "{\n\t\"foo\": [\n\t\t{\n\t\t\t\"foo\": 3,\n\t\t\t\"bar\": false\n\t\t},\n\t\t2\n\t],\n\t\"foo\": {},\n\t\"\": []\n}\n"
        );
        let two = JsonStore { indent: 2 };
        assert!(text(&two.emit(&tree).expect("emit")).starts_with("{\n  \"foo\": [\n    {\n"));
        let none = JsonStore { indent: 0 };
        assert!(text(&none.emit(&tree).expect("emit")).starts_with("{\n\"foo\": [\n{\n\"foo\": 3"));
        for indent in [-2, i64::MIN, i64::MAX] {
            assert!(JsonStore { indent }.emit(&tree).is_err());
        }
    }

    #[test]
    fn negative_zero_stays_a_float_where_it_is_read_again() {
        let tree = load(r#"{"a": -0.0, "b": -0}"#);
        assert_eq!(text(&STORE.emit(&tree).expect("emit")), "{\n\t\"a\": -0,\n\t\"b\": 0\n}\n");
        assert_eq!(text(&STORE.emit_encrypted(&tree).expect("emit")), "{\n\t\"a\": -0.0,\n\t\"b\": 0\n}\n");
    }

    #[test]
    fn only_one_document_fits_into_an_encrypted_file() {
        let tree = Tree { branches: vec![Branch::default(), Branch::default()] };
        assert_eq!(text(&STORE.emit(&tree).expect("emit")), "{}\n");
        assert!(STORE.emit_encrypted(&tree).is_err());
        assert!(STORE.emit(&Tree::default()).is_err());
    }

    #[test]
    fn extracted_values_have_no_final_newline() {
        let tree = load(r#"{"l": ["a", 1, null, {"k": "v"}, []]}"#);
        let l = tree.branches[0].get("l").expect("l");
        assert_eq!(
            value(l, |found| STORE.emit_value(found)),
            "[\n\t\"a\",\n\t1,\n\tnull,\n\t{\n\t\t\"k\": \"v\"\n\t},\n\t[]\n]"
        );
        assert_eq!(value(l, compact), r#"["a",1,null,[{"Key":"k","Value":"v"}],[]]"#);
        assert_eq!(value(&Value::Scalar(Scalar::Float(1e21)), compact), "1e+21");
    }

    #[test]
    fn extracted_comments_and_items_are_structures() {
        let comment = Comment::own_line(" c");
        let emitted = STORE.emit_value(Found::Comment(&comment)).expect("emit");
        assert_eq!(text(&emitted), "{\n\t\"Value\": \" c\",\n\t\"Inline\": false\n}");
        let item = Item::entry("a", Value::Map(Branch { items: vec![Item::Comment(comment)] }));
        assert_eq!(
            text(&compact(Found::Item(&item)).expect("emit")),
            r#"{"Key":"a","Value":[{"Key":{"Value":" c","Inline":false},"Value":null}]}"#
        );
    }

    #[test]
    fn the_example_is_the_documented_one() {
        let tree = Tree { branches: vec![STORE.example()] };
        assert_eq!(
            text(&STORE.emit(&tree).expect("emit")),
            "{\n\t\"hello\": \"Welcome to SOPS! Edit this file as you please!\",\n\
             \t\"example_key\": \"example_value\",\n\
             \t\"example_array\": [\n\t\t\"example_value1\",\n\t\t\"example_value2\"\n\t],\n\
             \t\"example_number\": 1234.56789,\n\
             \t\"example_booleans\": [\n\t\ttrue,\n\t\tfalse\n\t]\n}\n"
        );
    }
}
