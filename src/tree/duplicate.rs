//! Keys that stand twice in a mapping.

use std::collections::HashSet;

use super::{Branch, Element, Item, Tree, Value, key_text};

impl Tree {
    /// The first key that stands twice in its mapping, as a path. JSON and later YAML documents can have such; they are
    /// kept, but most readers see only one of them (policy.md §3).
    pub fn duplicate_key(&self) -> Option<String> {
        self.branches.iter().find_map(in_branch).map(|mut path| {
            path.reverse();
            path.concat()
        })
    }
}

/// The path from the inside out.
fn in_branch(branch: &Branch) -> Option<Vec<String>> {
    let mut seen = HashSet::with_capacity(branch.items.len());
    for item in &branch.items {
        let Item::Entry { key, value } = item else { continue };
        let step = || format!("[{:?}]", key_text(key));
        if key.as_text().is_some_and(|text| !seen.insert(text.as_bytes())) {
            return Some(vec![step()]);
        }
        if let Some(mut path) = in_value(value) {
            path.push(step());
            return Some(path);
        }
    }
    None
}

fn in_value(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Scalar(_) => None,
        Value::Map(branch) => in_branch(branch),
        Value::List(elements) => elements.iter().enumerate().find_map(|(position, element)| {
            let Element::Value(value) = element else { return None };
            let mut path = in_value(value)?;
            path.push(format!("[{position}]"));
            Some(path)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_duplicate_is_named_by_its_path() {
        let twice =
            Branch { items: vec![Item::entry("b", Value::text("x")), Item::entry("b", Value::text("y"))] };
        let list = Value::List(vec![Element::Value(Value::text("z")), Element::Value(Value::Map(twice))]);
        let tree = Tree { branches: vec![Branch { items: vec![Item::entry("a", list)] }] };
        assert_eq!(tree.duplicate_key().as_deref(), Some(r#"["a"][1]["b"]"#));
        assert_eq!(Tree::default().duplicate_key(), None);
    }
}
