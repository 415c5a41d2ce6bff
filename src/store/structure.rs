//! The structures in which the reference keeps items and comments: `--extract` shows them when a path leads to a
//! position of a mapping, or to a comment (cli.md §8.2).

use crate::tree::{Branch, Comment, Element, Found, Item, Scalar, Value};

/// How a format spells the fields of the structures.
pub(super) struct Structure {
    key: &'static str,
    value: &'static str,
    inline: &'static str,
}

/// For JSON, and for INI, which shows values as JSON.
pub(super) const JSON: Structure = Structure { key: "Key", value: "Value", inline: "Inline" };

/// For YAML.
pub(super) const YAML: Structure = Structure { key: "key", value: "value", inline: "inline" };

impl Structure {
    /// What was found, mappings at every depth as lists of their items.
    pub(super) fn of(&self, found: Found<'_>) -> Value {
        match found {
            // a whole document is emitted as such and does not come here
            Found::Document => Value::Scalar(Scalar::Null),
            Found::Value(value) => self.of_value(value),
            Found::Comment(comment) => self.of_comment(comment),
            Found::Item(item) => self.of_item(item),
        }
    }

    fn of_value(&self, value: &Value) -> Value {
        match value {
            Value::Scalar(_) => value.clone(),
            Value::List(elements) => list(elements.iter().map(|element| match element {
                Element::Comment(comment) => self.of_comment(comment),
                Element::Value(value) => self.of_value(value),
            })),
            Value::Map(branch) => list(branch.items.iter().map(|item| self.of_item(item))),
        }
    }

    fn of_item(&self, item: &Item) -> Value {
        let (key, value) = match item {
            Item::Comment(comment) => (self.of_comment(comment), Value::Scalar(Scalar::Null)),
            Item::Entry { key, value } => (Value::Scalar(key.clone()), self.of_value(value)),
        };
        map([(self.key, key), (self.value, value)])
    }

    fn of_comment(&self, comment: &Comment) -> Value {
        let text = Value::Scalar(Scalar::Text(comment.text.clone()));
        map([(self.value, text), (self.inline, Value::Scalar(Scalar::Bool(comment.inline)))])
    }
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::List(values.map(Element::Value).collect())
}

fn map(entries: [(&str, Value); 2]) -> Value {
    Value::Map(Branch { items: entries.into_iter().map(|(key, value)| Item::entry(key, value)).collect() })
}

#[cfg(test)]
mod tests {
    use crate::store::{Indent, Store};
    use crate::tree::Path;

    #[test]
    fn a_position_in_a_mapping_shows_its_item() {
        let yaml = super::super::Format::Yaml.store(Indent::default());
        let tree = yaml.load(b"m:\n    a: 1\n    # c\n    l: [{q: 2}]\n".to_vec().into()).expect("YAML");
        let found = Path::parse("[0]").expect("a path");
        let found = found.find(&tree.branches[0]).expect("an item");
        let text = |store: &dyn Store| {
            String::from_utf8(store.emit_value(found).expect("a value").to_vec()).expect("text")
        };
        assert_eq!(
            text(&*yaml),
            "key: m\nvalue:\n    - key: a\n      value: 1\n    - key:\n        value: ' c'\n        inline: false\n      \
             value: null\n    - key: l\n      value:\n        - - key: q\n            value: 2\n"
        );
        let json = super::super::Format::Json.store(Indent { json: 0, ..Indent::default() });
        assert!(
            text(&*json)
                .starts_with("{\n\"Key\": \"m\",\n\"Value\": [\n{\n\"Key\": \"a\",\n\"Value\": 1\n},")
        );
    }
}
