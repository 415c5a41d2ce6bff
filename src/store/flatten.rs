//! Metadata as flat keys, for the formats that cannot nest: `age__list_0__map_enc` (stores.md §2).
//!
//! Data is never flattened. There is no escaping: a key with `__map_` or `__list_` in it does not survive.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use memchr::memchr_iter;

use super::scalar_text::scalar_text;
use crate::tree::{Branch, Element, Item, MAX_DEPTH, Scalar, Value, key_text};

const MAP: &[u8] = b"__map_";
const LIST: &[u8] = b"__list_";

/// Why metadata cannot be flattened, or flat keys are no metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlattenError {
    /// Two places flatten to the same key.
    KeyCollision(String),
    /// A key is not text.
    NonTextKey(String),
    /// The same place is given twice.
    DuplicateValue(String),
    /// A place is both a value and a container, or both a list and a mapping.
    TypeMismatch(String),
    /// The positions of a list are not 0, 1, … without a gap.
    IncompleteList,
    /// More levels than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for FlattenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyCollision(key) => {
                write!(f, "Error while flattening metadata: Found key collision {key:?} while flattening")
            }
            Self::NonTextKey(key) => write!(f, "found non-string key {key:?} in metadata"),
            Self::DuplicateValue(key) => write!(f, "Error while unflattening {key:?}: Duplicate value"),
            Self::TypeMismatch(key) => write!(f, "Error while unflattening {key:?}: Type mismatch"),
            Self::IncompleteList => f.write_str("Error while unflattening: Incomplete list"),
            Self::TooDeep => write!(f, "metadata nests deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl std::error::Error for FlattenError {}

/// The leaves of a mapping, each under the key that spells its path, in the order of the tree. They become text, as
/// flat formats know nothing else; comments and empty containers vanish.
pub fn flatten(branch: &Branch) -> Result<Branch, FlattenError> {
    let mut flattener = Flattener::default();
    for item in &branch.items {
        if let Item::Entry { key, value } = item {
            flattener.step(b"", text_key(key)?, value)?;
        }
    }
    Ok(Branch { items: flattener.items })
}

#[derive(Default)]
struct Flattener {
    items: Vec<Item>,
    seen: HashSet<Vec<u8>>,
    /// The flat key of where we are.
    path: Vec<u8>,
    depth: usize,
}

impl Flattener {
    fn value(&mut self, value: &Value) -> Result<(), FlattenError> {
        match value {
            Value::Scalar(scalar) => self.leaf(scalar),
            Value::Map(branch) => branch.items.iter().try_for_each(|item| match item {
                Item::Comment(_) => Ok(()),
                Item::Entry { key, value } => self.step(MAP, text_key(key)?, value),
            }),
            Value::List(elements) => {
                let values = elements.iter().filter_map(|element| match element {
                    Element::Comment(_) => None,
                    Element::Value(value) => Some(value),
                });
                let mut numbered = values.enumerate();
                numbered.try_for_each(|(index, value)| self.step(LIST, index.to_string().as_bytes(), value))
            }
        }
    }

    fn step(&mut self, separator: &[u8], name: &[u8], value: &Value) -> Result<(), FlattenError> {
        if self.depth == MAX_DEPTH {
            return Err(FlattenError::TooDeep);
        }
        let above = self.path.len();
        self.path.extend_from_slice(separator);
        self.path.extend_from_slice(name);
        self.depth += 1;
        self.value(value)?;
        self.depth -= 1;
        self.path.truncate(above);
        Ok(())
    }

    fn leaf(&mut self, scalar: &Scalar) -> Result<(), FlattenError> {
        if !self.seen.insert(self.path.clone()) {
            return Err(FlattenError::KeyCollision(String::from_utf8_lossy(&self.path).into_owned()));
        }
        self.items.push(Item::entry(self.path.as_slice(), Value::text(scalar_text(scalar).into_owned())));
        Ok(())
    }
}

/// The nested mapping that flat keys spell, sorted by key at every level. Comments are left out.
pub fn unflatten(branch: &Branch) -> Result<Branch, FlattenError> {
    let mut root = Node::Map(BTreeMap::new());
    for item in &branch.items {
        let Item::Entry { key, value } = item else { continue };
        let key = text_key(key)?;
        let place = place(&mut root, key)?;
        match place {
            Node::Unknown => *place = Node::Leaf(value),
            Node::Leaf(_) => return Err(FlattenError::DuplicateValue(lossy(key))),
            Node::List(_) | Node::Map(_) => return Err(FlattenError::TypeMismatch(lossy(key))),
        }
    }
    match root.into_value()? {
        Value::Map(branch) => Ok(branch),
        _ => Ok(Branch::default()),
    }
}

/// A value under construction.
enum Node<'a> {
    /// Just made, on the way to something inside.
    Unknown,
    Leaf(&'a Value),
    List(BTreeMap<i64, Node<'a>>),
    Map(BTreeMap<&'a [u8], Node<'a>>),
}

/// One step of a flat key.
enum Token<'a> {
    Key(&'a [u8]),
    Index(i64),
}

/// Follows a flat key from the root; what is missing is made.
fn place<'n, 'a>(root: &'n mut Node<'a>, key: &'a [u8]) -> Result<&'n mut Node<'a>, FlattenError> {
    let mut node = root;
    for (depth, token) in tokens(key).enumerate() {
        if depth == MAX_DEPTH {
            return Err(FlattenError::TooDeep);
        }
        if let Node::Unknown = node {
            *node = match token {
                Token::Key(_) => Node::Map(BTreeMap::new()),
                Token::Index(_) => Node::List(BTreeMap::new()),
            };
        }
        node = match (node, token) {
            (Node::Map(map), Token::Key(key)) => map.entry(key).or_insert(Node::Unknown),
            (Node::List(list), Token::Index(index)) => list.entry(index).or_insert(Node::Unknown),
            _ => return Err(FlattenError::TypeMismatch(lossy(key))),
        };
    }
    Ok(node)
}

/// The first token is always a key, possibly an empty one.
fn tokens(key: &[u8]) -> impl Iterator<Item = Token<'_>> {
    let mut next = Some((MAP, key));
    std::iter::from_fn(move || {
        let (separator, text) = next?;
        let (name, rest) = match next_separator(text) {
            Some((at, separator)) => (&text[..at], Some((separator, &text[at + separator.len()..]))),
            None => (text, None),
        };
        next = rest;
        Some(if separator == MAP { Token::Key(name) } else { Token::Index(list_index(name)) })
    })
}

fn next_separator(text: &[u8]) -> Option<(usize, &'static [u8])> {
    memchr_iter(b'_', text).find_map(|at| {
        [MAP, LIST].into_iter().find(|s| text[at..].starts_with(s)).map(|separator| (at, separator))
    })
}

/// What the reference makes of the text behind `__list_`: 0 if it is no number, the limit if it is too large.
fn list_index(text: &[u8]) -> i64 {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let limit = if text.starts_with(b"-") { i64::MIN } else { i64::MAX };
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(limit)
}

impl Node<'_> {
    fn into_value(self) -> Result<Value, FlattenError> {
        match self {
            Node::Unknown => Ok(Value::Map(Branch::default())),
            Node::Leaf(value) => Ok(value.clone()),
            Node::Map(map) => {
                let items = map.into_iter().map(|(key, node)| Ok(Item::entry(key, node.into_value()?)));
                Ok(Value::Map(Branch { items: items.collect::<Result<_, _>>()? }))
            }
            Node::List(list) => {
                let elements = (0..).zip(list).map(|(expected, (index, node))| {
                    if index != expected {
                        return Err(FlattenError::IncompleteList);
                    }
                    node.into_value().map(Element::Value)
                });
                Ok(Value::List(elements.collect::<Result<_, _>>()?))
            }
        }
    }
}

fn text_key(key: &Scalar) -> Result<&[u8], FlattenError> {
    match key {
        Scalar::Text(text) => Ok(text.as_bytes()),
        other => Err(FlattenError::NonTextKey(key_text(other))),
    }
}

fn lossy(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Comment, STACK_SIZE};

    fn map(entries: &[(&str, Value)]) -> Branch {
        Branch { items: entries.iter().map(|(key, value)| Item::entry(*key, value.clone())).collect() }
    }

    fn list(values: &[Value]) -> Value {
        Value::List(values.iter().cloned().map(Element::Value).collect())
    }

    /// Flat keys, each with the value `v` unless one is given behind `=`.
    fn flat(keys: &[&str]) -> Branch {
        let entry = |key: &&str| {
            let (key, value) = key.split_once('=').unwrap_or((key, "v"));
            Item::entry(key, Value::text(value))
        };
        Branch { items: keys.iter().map(entry).collect() }
    }

    #[test]
    fn keys_spell_the_path_of_each_leaf() {
        let pgp = list(&[Value::Map(map(&[("fp", Value::text("v"))]))]);
        let branch = map(&[
            (
                "kms",
                list(&[
                    Value::Map(map(&[("arn", Value::text("a"))])),
                    Value::Map(map(&[(
                        "context",
                        Value::Map(map(&[("env", Value::Scalar(Scalar::Null)), ("x", Value::text("y"))])),
                    )])),
                ]),
            ),
            ("key_groups", list(&[Value::Map(map(&[("age", list(&[])), ("pgp", pgp)]))])),
            ("mac_only_encrypted", Value::Scalar(Scalar::Bool(true))),
            ("shamir_threshold", Value::Scalar(Scalar::Int(2))),
        ]);
        let expected = flat(&[
            "kms__list_0__map_arn=a",
            "kms__list_1__map_context__map_env=<nil>",
            "kms__list_1__map_context__map_x=y",
            "key_groups__list_0__map_pgp__list_0__map_fp",
            "mac_only_encrypted=true",
            "shamir_threshold=2",
        ]);
        assert!(flatten(&branch) == Ok(expected));
    }

    #[test]
    fn comments_take_no_position() {
        let elements = vec![Element::Comment(Comment::own_line("c")), Element::Value(Value::text("v"))];
        let mut branch = map(&[("l", Value::List(elements))]);
        branch.items.push(Item::Comment(Comment::own_line("c")));
        assert!(flatten(&branch) == Ok(flat(&["l__list_0"])));
    }

    #[test]
    fn flat_keys_in_any_order_give_the_sorted_tree() {
        let v = Value::text("v");
        let expected = map(&[
            ("", Value::Map(map(&[("k", v.clone())]))),
            (
                "a",
                list(&[
                    Value::Map(map(&[("x", v.clone()), ("y", v.clone())])),
                    list(std::slice::from_ref(&v)),
                ]),
            ),
            ("b_", Value::Map(map(&[("c", v.clone())]))),
            ("z", v),
        ]);
        let keys =
            ["z", "a__list_1__list_0", "a__list_0__map_y", "b___map_c", "a__list_00__map_x", "__map_k"];
        assert!(unflatten(&flat(&keys)) == Ok(expected));
        assert!(unflatten(&Branch::default()) == Ok(Branch::default()));
    }

    #[test]
    fn positions_are_read_leniently() {
        for (text, index) in [
            ("", 0),
            ("x", 0),
            ("01", 1),
            ("+1", 1),
            ("-1", -1),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(list_index(text.as_bytes()), index, "{text}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let error = |keys: &[&str]| unflatten(&flat(keys)).err();
        let mismatch = |key: &str| Some(FlattenError::TypeMismatch(key.to_owned()));
        assert_eq!(error(&["a", "a"]), Some(FlattenError::DuplicateValue("a".to_owned())));
        assert_eq!(
            error(&["l__list_0", "l__list_x"]),
            Some(FlattenError::DuplicateValue("l__list_x".to_owned()))
        );
        assert_eq!(error(&["a", "a__map_b"]), mismatch("a__map_b"));
        assert_eq!(error(&["a__map_b", "a"]), mismatch("a"));
        assert_eq!(error(&["a__map_b", "a__list_0"]), mismatch("a__list_0"));
        for keys in [&["l__list_1"][..], &["l__list_0", "l__list_2"], &["l__list_-1"]] {
            assert_eq!(error(keys), Some(FlattenError::IncompleteList));
        }
        let collision =
            map(&[("a__map_b", Value::text("")), ("a", Value::Map(map(&[("b", Value::text(""))])))]);
        assert!(flatten(&collision) == Err(FlattenError::KeyCollision("a__map_b".to_owned())));
        let number = Branch { items: vec![Item::Entry { key: Scalar::Int(5), value: Value::text("") }] };
        assert!(flatten(&number) == Err(FlattenError::NonTextKey("5".to_owned())));
        assert!(unflatten(&number) == Err(FlattenError::NonTextKey("5".to_owned())));
    }

    #[test]
    fn a_key_cannot_nest_without_end() {
        let thread = std::thread::Builder::new().stack_size(STACK_SIZE).spawn(|| {
            let key = |levels: usize| format!("a{}", "__list_0".repeat(levels - 1));
            let deep = unflatten(&flat(&[&key(MAX_DEPTH)])).expect("at the limit");
            assert!(flatten(&deep) == Ok(flat(&[&key(MAX_DEPTH)])));
            assert!(unflatten(&flat(&[&key(MAX_DEPTH + 1)])) == Err(FlattenError::TooDeep));
        });
        thread.expect("spawn").join().expect("no overflow");
    }
}
