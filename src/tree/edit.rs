//! Changing a document at a path: `set` and `unset` (cli.md §8.3, §8.5).

use std::fmt;

use super::{Branch, Element, Item, Path, Scalar, Step, Value};

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It differs from what it was.
    Changed,
    /// The value was there already.
    Unchanged,
}

/// Why a document cannot be changed there. Displays the reference's wording where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The path is empty.
    NoPath,
    /// No such key.
    NoSuchKey(String),
    /// No such position in a list.
    OutOfBounds(i64),
    /// A position before the first one.
    Negative(i64),
    /// A position in a mapping.
    PositionInMapping(i64),
    /// A key in a list.
    KeyInList(String),
    /// A step into something that holds nothing.
    IntoLeaf {
        /// The step.
        step: String,
        /// What stands there.
        found: &'static str,
    },
}

impl EditError {
    /// Whether there is nothing to remove, which is what `unset --idempotent` is content with (cli.md §8.5).
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchKey(_) | Self::OutOfBounds(_) | Self::PositionInMapping(_))
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPath => f.write_str("the path is empty: it names the whole document"),
            Self::NoSuchKey(key) => write!(f, "Key not found: {key}"),
            Self::OutOfBounds(index) => write!(f, "Index {index} out of bounds"),
            Self::Negative(index) => write!(f, "Index {index} out of bounds: positions count from 0"),
            Self::PositionInMapping(index) => {
                write!(
                    f,
                    "Key not found: {index} is a position, but what is there is a mapping, which has keys"
                )
            }
            Self::KeyInList(key) => {
                write!(f, "{key:?} is a key, but what is there is a list, which has positions")
            }
            Self::IntoLeaf { step, found } => write!(f, "Unsupported type: {found} for item '{step}'"),
        }
    }
}

impl std::error::Error for EditError {}

impl Branch {
    /// Puts a value at a path. What is missing on the way is made: a mapping for a key, a list of one element for a
    /// position, whatever its number; a leaf that is in the way is replaced. A position behind the end of a list
    /// appends (cli.md §8.3).
    pub fn set(&mut self, path: &Path, value: Value) -> Result<Change, EditError> {
        let (step, rest) = path.steps.split_first().ok_or(EditError::NoPath)?;
        check_positions(&path.steps)?;
        set_in_branch(self, step, rest, value)
    }

    /// Removes what is at a path. Containers stay, be they empty (cli.md §8.5).
    pub fn unset(&mut self, path: &Path) -> Result<(), EditError> {
        let (step, rest) = path.steps.split_first().ok_or(EditError::NoPath)?;
        check_positions(&path.steps)?;
        unset_in_branch(self, step, rest)
    }

    /// Where the first entry with this key is.
    fn position(&self, key: &[u8]) -> Option<usize> {
        self.items.iter().position(|item| item.text_key().is_some_and(|text| text.as_bytes() == key))
    }
}

fn check_positions(steps: &[Step]) -> Result<(), EditError> {
    match steps.iter().find(|step| matches!(step, Step::Index(..0))) {
        Some(Step::Index(index)) => Err(EditError::Negative(*index)),
        _ => Ok(()),
    }
}

fn set_in_branch(branch: &mut Branch, step: &Step, rest: &[Step], value: Value) -> Result<Change, EditError> {
    let key = match step {
        Step::Key(key) => key,
        // the reference drops the value without a word
        Step::Index(index) => return Err(EditError::PositionInMapping(*index)),
    };
    let found = branch.position(key).and_then(|at| branch.items.get_mut(at));
    match found {
        Some(Item::Entry { value: old, .. }) => set_in_value(old, rest, value),
        _ => {
            branch.items.push(Item::entry(key.as_slice(), nested(rest, value)));
            Ok(Change::Changed)
        }
    }
}

fn set_in_list(
    elements: &mut Vec<Element>,
    step: &Step,
    rest: &[Step],
    value: Value,
) -> Result<Change, EditError> {
    let index = index(step)?;
    match elements.get_mut(index) {
        Some(Element::Value(old)) => set_in_value(old, rest, value),
        Some(comment) => {
            *comment = Element::Value(nested(rest, value));
            Ok(Change::Changed)
        }
        None => {
            elements.push(Element::Value(nested(rest, value)));
            Ok(Change::Changed)
        }
    }
}

fn set_in_value(old: &mut Value, rest: &[Step], value: Value) -> Result<Change, EditError> {
    match (rest.split_first(), &mut *old) {
        (Some((step, rest)), Value::Map(branch)) => set_in_branch(branch, step, rest, value),
        (Some((step, rest)), Value::List(elements)) => set_in_list(elements, step, rest, value),
        (Some(_), Value::Scalar(_)) => {
            *old = nested(rest, value);
            Ok(Change::Changed)
        }
        (None, _) => {
            let change = if is_same(old, &value) { Change::Unchanged } else { Change::Changed };
            *old = value;
            Ok(change)
        }
    }
}

/// Whether a reader would not see the difference. The reference makes floats of all numbers, so the integer that
/// stands there now may be the float that it wrote: they count as one, or two programs that set the same number in
/// turn would never come to rest.
fn is_same(old: &Value, new: &Value) -> bool {
    /// Integers up to here are floats without loss.
    const EXACT: u64 = 1 << 53;
    match (old, new) {
        (Value::Scalar(Scalar::Int(int)), Value::Scalar(Scalar::Float(float)))
        | (Value::Scalar(Scalar::Float(float)), Value::Scalar(Scalar::Int(int))) => {
            int.unsigned_abs() <= EXACT && *int as f64 == *float
        }
        _ => old == new,
    }
}

/// The value inside the containers that the steps ask for.
fn nested(steps: &[Step], value: Value) -> Value {
    steps.iter().rev().fold(value, |value, step| match step {
        Step::Key(key) => Value::Map(Branch { items: vec![Item::entry(key.as_slice(), value)] }),
        Step::Index(_) => Value::List(vec![Element::Value(value)]),
    })
}

fn unset_in_branch(branch: &mut Branch, step: &Step, rest: &[Step]) -> Result<(), EditError> {
    let key = match step {
        Step::Key(key) => key,
        Step::Index(index) => return Err(EditError::PositionInMapping(*index)),
    };
    let at = branch.position(key).ok_or_else(|| EditError::NoSuchKey(step.shown()))?;
    match (rest.split_first(), &mut branch.items[at]) {
        (Some((step, rest)), Item::Entry { value, .. }) => unset_in_value(value, step, rest),
        _ => {
            branch.items.remove(at);
            Ok(())
        }
    }
}

fn unset_in_value(value: &mut Value, step: &Step, rest: &[Step]) -> Result<(), EditError> {
    match value {
        Value::Map(branch) => unset_in_branch(branch, step, rest),
        Value::List(elements) => unset_in_list(elements, step, rest),
        Value::Scalar(scalar) => Err(EditError::IntoLeaf { step: step.shown(), found: scalar.type_name() }),
    }
}

fn unset_in_list(elements: &mut Vec<Element>, step: &Step, rest: &[Step]) -> Result<(), EditError> {
    let index = index(step)?;
    match (rest.split_first(), elements.get_mut(index)) {
        (_, None) => Err(EditError::OutOfBounds(index as i64)),
        (Some((step, rest)), Some(Element::Value(value))) => unset_in_value(value, step, rest),
        (Some((step, _)), Some(Element::Comment(_))) => {
            Err(EditError::IntoLeaf { step: step.shown(), found: "sops.Comment" })
        }
        (None, Some(_)) => {
            elements.remove(index);
            Ok(())
        }
    }
}

/// The position that a step into a list means.
fn index(step: &Step) -> Result<usize, EditError> {
    match step {
        Step::Key(_) => Err(EditError::KeyInList(step.shown())),
        Step::Index(index) => usize::try_from(*index).map_err(|_| EditError::Negative(*index)),
    }
}

impl Step {
    fn shown(&self) -> String {
        match self {
            Self::Key(key) => String::from_utf8_lossy(key).into_owned(),
            Self::Index(index) => index.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::json::{JsonStore, read_value};
    use crate::store::{Indent, Store as _};
    use crate::tree::Tree;

    const STORE: JsonStore = JsonStore { indent: -1 };

    fn document(text: &str) -> Branch {
        STORE.load(text.into()).expect(text).branches.remove(0)
    }

    fn path(text: &str) -> Path {
        Path::parse(text).expect(text)
    }

    /// The document in one line.
    fn shown(branch: Branch) -> String {
        let store = JsonStore { indent: Indent::default().json };
        let text = store.emit(&Tree { branches: vec![branch] }).expect("emit");
        String::from_utf8_lossy(&text).replace(['\n', '\t'], "").replace("\": ", "\":")
    }

    fn after_set(before: &str, at: &str, value: &str) -> Result<(String, Change), EditError> {
        let mut branch = document(before);
        let value = read_value(&value.into()).expect(value);
        branch.set(&path(at), value).map(|change| (shown(branch), change))
    }

    fn after_unset(before: &str, at: &str) -> Result<String, EditError> {
        let mut branch = document(before);
        branch.unset(&path(at)).map(|()| shown(branch))
    }

    #[test]
    fn values_are_replaced_in_place_and_what_is_missing_is_made() {
        for (before, at, value, after) in [
            (r#"{"a":1,"b":2}"#, r#"["a"]"#, "\"x\"", r#"{"a":"x","b":2}"#),
            (r#"{"a":1}"#, r#"["b"]"#, "[1,{}]", r#"{"a":1,"b":[1,{}]}"#),
            (r#"{"a":1}"#, r#"["b"]["c"][7]["d"]"#, "null", r#"{"a":1,"b":{"c":[{"d":null}]}}"#),
            (r#"{"a":[1,2]}"#, r#"["a"][1]"#, "3", r#"{"a":[1,3]}"#),
            (r#"{"a":[1,2]}"#, r#"["a"][99]["b"]"#, "3", r#"{"a":[1,2,{"b":3}]}"#),
            (r#"{"a":1}"#, r#"["a"][0]"#, "2", r#"{"a":[2]}"#),
            (r#"{"a":null}"#, r#"["a"]["b"]"#, "2", r#"{"a":{"b":2}}"#),
            (r#"{"a":{"b":1}}"#, r#"["a"]"#, "2", r#"{"a":2}"#),
        ] {
            assert_eq!(
                after_set(before, at, value),
                Ok((after.to_owned(), Change::Changed)),
                "{before} {at}"
            );
        }
    }

    #[test]
    fn a_value_that_is_there_already_is_no_change() {
        for (before, value) in [
            (r#"{"a":"x"}"#, "\"x\""),
            (r#"{"a":5}"#, "5"),
            (r#"{"a":5.0}"#, "5"),
            (r#"{"a":5}"#, "5.0"),
            (r#"{"a":[1,{"b":null}]}"#, r#"[1,{"b":null}]"#),
        ] {
            let change = after_set(before, r#"["a"]"#, value).map(|(_, change)| change);
            assert_eq!(change, Ok(Change::Unchanged), "{before}");
        }
        for (before, value) in [
            (r#"{"a":"5"}"#, "5"),
            (r#"{"a":9007199254740993}"#, "9007199254740992.0"),
            (r#"{"a":{"b":1,"c":2}}"#, r#"{"c":2,"b":1}"#),
            (r#"{"b":5}"#, "5"),
        ] {
            let change = after_set(before, r#"["a"]"#, value).map(|(_, change)| change);
            assert_eq!(change, Ok(Change::Changed), "{before}");
        }
    }

    #[test]
    fn a_value_is_never_dropped_silently() {
        let error = |at: &str| after_set(r#"{"m":{},"l":[1]}"#, at, "1").expect_err(at);
        assert_eq!(error(""), EditError::NoPath);
        assert_eq!(error("[0]"), EditError::PositionInMapping(0));
        assert_eq!(error(r#"["m"][2]"#), EditError::PositionInMapping(2));
        assert_eq!(error(r#"["l"]["x"]"#), EditError::KeyInList("x".to_owned()));
        assert_eq!(error(r#"["l"][-1]"#), EditError::Negative(-1));
        assert_eq!(error(r#"["new"][-1]"#), EditError::Negative(-1));
    }

    #[test]
    fn removing_leaves_the_containers() {
        for (before, at, after) in [
            (r#"{"a":1,"b":2}"#, r#"["a"]"#, r#"{"b":2}"#),
            (r#"{"a":1,"a":2}"#, r#"["a"]"#, r#"{"a":2}"#),
            (r#"{"a":{"b":1}}"#, r#"["a"]["b"]"#, r#"{"a":{}}"#),
            (r#"{"a":[1,[2]]}"#, r#"["a"][1][0]"#, r#"{"a":[1,[]]}"#),
        ] {
            assert_eq!(after_unset(before, at), Ok(after.to_owned()), "{before} {at}");
        }
    }

    #[test]
    fn what_is_absent_is_told_from_what_makes_no_sense() {
        let error = |at: &str| after_unset(r#"{"s":"x","m":{},"l":[1]}"#, at).expect_err(at);
        for (at, message) in [
            (r#"["x"]"#, "Key not found: x"),
            (r#"["m"]["x"]["y"]"#, "Key not found: x"),
            (r#"["l"][1]"#, "Index 1 out of bounds"),
        ] {
            assert_eq!(error(at).to_string(), message);
            assert!(error(at).is_absence());
        }
        assert!(error("[0]").is_absence());
        for (at, message) in [
            (r#"["s"]["x"]"#, "Unsupported type: string for item 'x'"),
            (r#"["l"][0][2]"#, "Unsupported type: int for item '2'"),
            (r#"["l"][-1]"#, "Index -1 out of bounds: positions count from 0"),
        ] {
            assert_eq!(error(at).to_string(), message);
            assert!(!error(at).is_absence());
        }
    }
}
