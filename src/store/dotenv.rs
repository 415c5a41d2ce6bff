//! `KEY=value` lines (stores.md §5).

use memchr::{memchr, memmem};
use zeroize::Zeroizing;

use super::scalar_text::{escape_newlines, scalar_text, unescape_newlines};
use super::{Layout, Store, StoreError};
use crate::tree::{Branch, Comment, Found, Item, Scalar, Source, TextBuffer, Tree, Value, key_text};

/// The dotenv store.
#[derive(Clone, Copy, Debug)]
pub struct DotenvStore;

impl Store for DotenvStore {
    /// Reads lines. Quotes, `export`, `$`, blanks and carriage returns are text like any other.
    fn load(&self, source: Source) -> Result<Tree, StoreError> {
        let mut items = Vec::new();
        for (index, line) in source.as_bytes().split(|b| *b == b'\n').enumerate() {
            match line {
                [] => {}
                [b'#', comment @ ..] => items.push(Item::Comment(Comment::own_line(comment))),
                _ => items.push(entry(line).ok_or_else(|| no_equals_sign(index + 1))?),
            }
        }
        Ok(Tree { branches: vec![Branch { items }] })
    }

    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut out = TextBuffer::with_capacity(0);
        for item in tree.branches.first().map_or(&[][..], |branch| &branch.items) {
            match item {
                Item::Comment(comment) => {
                    out.push(b'#');
                    out.extend(comment.text.as_bytes());
                }
                Item::Entry { key, value } => {
                    let Value::Scalar(value) = value else { return Err(complex_value(key)) };
                    out.extend(&scalar_text(key));
                    out.push(b'=');
                    out.extend(&Zeroizing::new(escape_newlines(&scalar_text(value))));
                }
            }
            out.push(b'\n');
        }
        Ok(out.into_bytes())
    }

    /// Writes what can be read back, or nothing: the format has no way to say more than a line does.
    fn emit_encrypted(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if tree.branches.len() > 1 {
            return Err(StoreError::new("a dotenv file holds one document, not several"));
        }
        tree.branches.iter().flat_map(|branch| &branch.items).try_for_each(readable)?;
        self.emit(tree)
    }

    fn emit_value(&self, found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let found = match found {
            Found::Value(Value::Scalar(Scalar::Text(text))) => {
                return Ok(Zeroizing::new(text.as_bytes().to_vec()));
            }
            Found::Value(value) => value.type_name(),
            Found::Document => "sops.TreeBranch",
            Found::Comment(_) => "sops.Comment",
            Found::Item(_) => "sops.TreeItem",
        };
        Err(StoreError::new(format!("the dotenv store only supports emitting strings, got {found}")))
    }

    fn layout(&self) -> Layout {
        Layout::Prefixed
    }

    fn example(&self) -> Branch {
        Branch {
            items: vec![
                Item::Comment(Comment::own_line(" This is an example file.")),
                Item::entry("hello", Value::text("Welcome to SOPS! Edit this file as you please!")),
                Item::entry("example_key", Value::text("example_value")),
                Item::entry("example_multiline", Value::text("foo\nbar\nbaz")),
            ],
        }
    }
}

fn entry(line: &[u8]) -> Option<Item> {
    let equals = memchr(b'=', line)?;
    let value = Value::text(unescape_newlines(&line[equals + 1..]));
    Some(Item::entry(&line[..equals], value))
}

/// The line itself may hold a secret, so its number must do.
fn no_equals_sign(line: usize) -> StoreError {
    StoreError::new(format!(
        "invalid dotenv input line: line {line} is neither KEY=value nor a comment that starts with #"
    ))
}

fn complex_value(key: &Scalar) -> StoreError {
    StoreError::new(format!("cannot use complex value in dotenv file; offending key {}", key_text(key)))
}

/// Whether [`DotenvStore::load`] will find the item as it is (the hazards of stores.md §5.2).
fn readable(item: &Item) -> Result<(), StoreError> {
    let (key, value) = match item {
        Item::Comment(comment) if memchr(b'\n', comment.text.as_bytes()).is_some() => {
            return Err(StoreError::new("a dotenv file cannot hold a comment of several lines"));
        }
        Item::Comment(_) => return Ok(()),
        Item::Entry { key, value } => (key, value),
    };
    let refuse = |why: &str| {
        let key = key_text(key);
        Err(StoreError::new(format!("a dotenv file cannot hold {why}; offending key {key:?}")))
    };
    match key {
        Scalar::Text(name) if name.as_bytes().iter().any(|b| matches!(b, b'=' | b'\n')) => {
            return refuse("a key with '=' or a line feed in it");
        }
        Scalar::Text(name) if name.as_bytes().starts_with(b"#") => {
            return refuse("a key that starts with '#'");
        }
        Scalar::Text(_) => {}
        _ => return refuse("a key that is not text"),
    }
    match value {
        Value::Scalar(Scalar::Null) => refuse("null"),
        Value::Scalar(Scalar::Text(text)) if memmem::find(text.as_bytes(), br"\n").is_some() => {
            refuse(r"text with a backslash in front of an n, which means a line feed there")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Tree {
        DotenvStore.load(text.into()).expect(text)
    }

    fn emit(tree: &Tree) -> String {
        String::from_utf8_lossy(&DotenvStore.emit(tree).expect("emit")).into_owned()
    }

    fn tree(items: Vec<Item>) -> Tree {
        Tree { branches: vec![Branch { items }] }
    }

    #[test]
    fn lines_come_back_as_they_were_but_for_blank_ones() {
        for text in [
            "A=1\n",
            "# c\n#\n#c\nA=1\n",
            "A=\n=1\nA=2\n",
            " A = \"quoted\" # no comment\nexport B='$x'\n",
            "A=x\r\n# c\r\n",
            "A=a=b\nB=x\\ny\nC=\\\\n\n",
            "\u{feff}A=1\n",
        ] {
            assert_eq!(emit(&load(text)), text);
        }
        assert_eq!(emit(&load("\nA=1\n\n\nB=2")), "A=1\nB=2\n");
        assert_eq!(emit(&load("")), "");
    }

    #[test]
    fn two_characters_stand_for_a_line_feed() {
        let tree = load(r"A=x\ny");
        assert!(tree.branches[0].get("A") == Some(&Value::text("x\ny")));
    }

    #[test]
    fn a_line_without_equals_sign_is_refused_without_showing_it() {
        for text in ["A=1\nsecret\n", "A=1\n # secret\n", "A=1\n\r\n"] {
            let message = DotenvStore.load(text.into()).err().expect(text).to_string();
            assert!(message.contains("line 2") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn other_types_become_text() {
        let tree = tree(vec![
            Item::entry("a", Value::Scalar(Scalar::Null)),
            Item::entry("b", Value::Scalar(Scalar::Float(1.0))),
        ]);
        assert_eq!(emit(&tree), "a=<nil>\nb=1.0\n");
    }

    #[test]
    fn containers_are_refused_with_their_key() {
        for value in [Value::List(vec![]), Value::Map(Branch::default())] {
            let tree = tree(vec![Item::entry("deep", value)]);
            let message = DotenvStore.emit(&tree).expect_err("refused").to_string();
            assert_eq!(message, "cannot use complex value in dotenv file; offending key deep");
        }
    }

    #[test]
    fn what_would_be_read_differently_is_never_written_encrypted() {
        for item in [
            Item::entry("k", Value::Scalar(Scalar::Null)),
            Item::entry("k", Value::text(r"a\nb")),
            Item::entry("a=k", Value::text("")),
            Item::entry("a\nk", Value::text("")),
            Item::entry("#k", Value::text("")),
            Item::Comment(Comment::own_line("k\nk")),
        ] {
            let tree = tree(vec![item]);
            assert!(DotenvStore.emit(&tree).is_ok(), "plain output is the reference's");
            assert!(DotenvStore.emit_encrypted(&tree).is_err());
        }
        let fine = load("#\nA=x\\ny\n=\n");
        assert!(DotenvStore.emit_encrypted(&fine).expect("fine") == DotenvStore.emit(&fine).expect("fine"));
    }

    #[test]
    fn the_example_is_the_documented_one() {
        assert_eq!(
            emit(&tree(DotenvStore.example().items)),
            "# This is an example file.\nhello=Welcome to SOPS! Edit this file as you please!\n\
             example_key=example_value\nexample_multiline=foo\\nbar\\nbaz\n"
        );
    }
}
