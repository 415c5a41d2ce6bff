//! Paths such as `["a"][0]["b"]`: `--extract`, `set`, `unset` (cli.md §8).

use std::fmt;

use super::{Branch, Element, Item, Scalar, Value};

/// Where something is, from the top of the first document.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path {
    /// From the outside in; empty means the whole document.
    pub steps: Vec<Step>,
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry of a mapping with this key.
    Key(Vec<u8>),
    /// A position in a list, comments counted; in a mapping, a position among its items.
    Index(i64),
}

/// What a path leads to.
#[derive(Clone, Copy)]
pub enum Found<'a> {
    /// The whole document.
    Document,
    /// A value.
    Value(&'a Value),
    /// A comment in a list.
    Comment(&'a super::Comment),
    /// An item of a mapping, by position.
    Item(&'a Item),
}

/// Why a path cannot be read, or leads nowhere. Displays the reference's wording where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A piece that does not end with `]`.
    Unclosed(String),
    /// A piece that is neither quoted nor an integer.
    NotAnIndex(String),
    /// `[]` or a lone quote.
    Empty,
    /// No such key.
    NoSuchKey(String),
    /// No such position.
    OutOfBounds(i64),
    /// A position in something that has none.
    NotAList(i64),
    /// A key in something that has none.
    NotAMapping {
        /// The key.
        key: String,
        /// What stands there instead.
        found: &'static str,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed(piece) => write!(f, "component {piece} doesn't end with ]"),
            Self::NotAnIndex(piece) => write!(f, "strconv.Atoi: parsing {piece:?}: invalid syntax"),
            Self::Empty => f.write_str("component [] holds neither a quoted key nor an index"),
            Self::NoSuchKey(key) => write!(f, "component ['{key}'] not found"),
            Self::OutOfBounds(index) => write!(f, "component [{index}] accesses out of bounds"),
            Self::NotAList(index) => {
                write!(f, "component [{index}] is integer, but tree part is not a slice")
            }
            Self::NotAMapping { key, found } => {
                write!(f, "component ['{key}'] is a key, but tree part is a {found}, not a mapping")
            }
        }
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Reads a path: cut at every `[`, whatever the quotes say; a piece is a quoted key or an integer (cli.md §8.1).
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let pieces = text.as_ref().split(|byte| *byte == b'[').filter(|piece| !piece.is_empty());
        Ok(Self { steps: pieces.map(Step::parse).collect::<Result<_, _>>()? })
    }

    /// What the path leads to in this document (cli.md §8.2).
    pub fn find<'a>(&self, branch: &'a Branch) -> Result<Found<'a>, PathError> {
        let Some((first, rest)) = self.steps.split_first() else { return Ok(Found::Document) };
        rest.iter().try_fold(first.in_branch(branch)?, |found, step| match found {
            Found::Value(Value::Map(branch)) => step.in_branch(branch),
            Found::Value(Value::List(elements)) => step.in_list(elements),
            Found::Value(value @ Value::Scalar(_)) => Err(step.on_leaf(value.type_name())),
            _ => Err(step.on_leaf("comment")),
        })
    }
}

impl Step {
    fn parse(piece: &[u8]) -> Result<Self, PathError> {
        match piece.strip_suffix(b"]").ok_or_else(|| PathError::Unclosed(lossy(piece)))? {
            [] | [b'"' | b'\''] => Err(PathError::Empty),
            // the two quotes need not match and nothing is escaped; the last byte goes, whatever it is
            [b'"' | b'\'', key @ .., _] => Ok(Self::Key(key.to_vec())),
            index => {
                super::parse_int(index).map(Self::Index).map_err(|_| PathError::NotAnIndex(lossy(index)))
            }
        }
    }

    fn in_branch<'a>(&self, branch: &'a Branch) -> Result<Found<'a>, PathError> {
        match self {
            Self::Key(key) => {
                branch.get(key).map(Found::Value).ok_or_else(|| PathError::NoSuchKey(lossy(key)))
            }
            Self::Index(index) => position(*index, &branch.items).map(Found::Item),
        }
    }

    fn in_list<'a>(&self, elements: &'a [Element]) -> Result<Found<'a>, PathError> {
        match self {
            Self::Key(key) => Err(PathError::NotAMapping { key: lossy(key), found: "list" }),
            Self::Index(index) => position(*index, elements).map(|element| match element {
                Element::Comment(comment) => Found::Comment(comment),
                Element::Value(value) => Found::Value(value),
            }),
        }
    }

    fn on_leaf(&self, found: &'static str) -> PathError {
        match self {
            Self::Key(key) => PathError::NotAMapping { key: lossy(key), found },
            Self::Index(index) => PathError::NotAList(*index),
        }
    }
}

fn position<T>(index: i64, of: &[T]) -> Result<&T, PathError> {
    usize::try_from(index).ok().and_then(|i| of.get(i)).ok_or(PathError::OutOfBounds(index))
}

fn lossy(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// A key as messages show it.
pub(crate) fn key_text(key: &Scalar) -> String {
    match key {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Float(value) => super::float_text(*value, super::FloatStyle::Yaml),
        Scalar::Time(value) => value.to_string(),
        Scalar::Text(text) => text.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Result<Vec<Step>, PathError> {
        Path::parse(text).map(|path| path.steps)
    }

    #[test]
    fn paths_are_read_as_leniently_as_the_reference_does() {
        let key = |k: &str| Step::Key(k.as_bytes().to_vec());
        assert_eq!(steps(r#"["a"][0]['b']"#), Ok(vec![key("a"), Step::Index(0), key("b")]));
        for text in [r#""a"]"#, r#"[[["a"]"#, r#"["a']"#] {
            assert_eq!(steps(text), Ok(vec![key("a")]), "{text}");
        }
        assert_eq!(steps(r#"["a]b"]"#), Ok(vec![key("a]b")]));
        assert_eq!(steps(r#"["a\"b"]"#), Ok(vec![key(r#"a\"b"#)]));
        assert_eq!(steps(r#"[""]"#), Ok(vec![key("")]));
        assert_eq!(steps("[+1][-1]"), Ok(vec![Step::Index(1), Step::Index(-1)]));
        assert_eq!(steps(""), Ok(vec![]));
    }

    #[test]
    fn broken_paths_are_refused_with_their_piece() {
        for text in
            ["a", r#"["a""#, r#"["a"]x"#, r#"["a"] ["b"]"#, r#"["b[c"]"#, "[a]", "[1.5]", "[]", r#"["]"#]
        {
            assert!(steps(text).is_err(), "{text}");
        }
    }
}
