//! INI: sections of keys, in the dialect of go-ini 1.67.3 (stores.md §6).

mod read;
mod section;
mod write;

use std::borrow::Cow;

use zeroize::Zeroizing;

use self::section::Section;
use super::json;
use super::scalar_text::{nested_text, scalar_text};
use super::{Layout, Store, StoreError};
use crate::tree::{Branch, Comment, Found, Item, Scalar, Source, Tree, Value, key_text};

/// The INI store.
#[derive(Clone, Copy, Debug)]
pub struct IniStore;

impl Store for IniStore {
    fn load(&self, source: Source) -> Result<Tree, StoreError> {
        let items = read::read(source.as_bytes())?.into_iter().map(Section::into_item).collect();
        Ok(Tree { branches: vec![Branch { items }] })
    }

    /// Writes what people and programs can read. Nested values become the text that the reference makes of them.
    fn emit(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let sections = sections(tree, |_, _, value| Ok(value_text(value)))?;
        Ok(write::write(&sections))
    }

    /// Writes what can be read back, or nothing.
    fn emit_encrypted(&self, tree: &Tree) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if tree.branches.len() > 1 {
            return Err(StoreError::new("an INI file holds one document, not several"));
        }
        let sections = sections(tree, |section, key, value| match value {
            Value::Scalar(Scalar::Null) => Err(unwritable(section, key, "null")),
            Value::Scalar(_) => Ok(value_text(value)),
            Value::List(_) | Value::Map(_) => {
                Err(unwritable(section, key, "lists and mappings inside a section"))
            }
        })?;
        let bytes = write::write(&sections);
        let (found, _) = read::read_until_error(&bytes);
        match first_loss(&sections, &found) {
            None => Ok(bytes),
            Some((section, key @ [b'#', ..])) => Err(unwritable(
                section,
                key,
                "keys that are named '-' or begin with '#', which marks comments",
            )),
            Some((section, key)) => {
                Err(unwritable(section, key, "this name or value: it would be read back differently"))
            }
        }
    }

    fn emit_value(&self, found: Found<'_>) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        json::compact(found)
    }

    fn layout(&self) -> Layout {
        Layout::Section
    }

    fn example(&self) -> Branch {
        let section = Branch {
            items: vec![
                Item::Comment(Comment::own_line("This is an example file.")),
                Item::entry("hello", Value::text("Welcome to SOPS! Edit this file as you please!")),
                Item::entry("example_key", Value::text("example_value")),
            ],
        };
        Branch { items: vec![Item::entry("Welcome!", Value::Map(section))] }
    }
}

/// The sections of all documents. Comments between sections have no place in the format and are left out.
fn sections<'a>(
    tree: &'a Tree,
    text: impl Fn(&[u8], &[u8], &'a Value) -> Result<Cow<'a, [u8]>, StoreError>,
) -> Result<Vec<Section<'a>>, StoreError> {
    let items = tree.branches.iter().flat_map(|branch| &branch.items);
    let entries = items.filter_map(|item| match item {
        Item::Comment(_) => None,
        Item::Entry { key, value } => Some((key, value)),
    });
    entries.map(|(key, value)| section(key, value, &text)).collect()
}

fn section<'a>(
    name: &'a Scalar,
    value: &'a Value,
    text: impl Fn(&[u8], &[u8], &'a Value) -> Result<Cow<'a, [u8]>, StoreError>,
) -> Result<Section<'a>, StoreError> {
    let Value::Map(branch) = value else {
        return Err(refusal(&format!(
            "Error encoding section: Section values should always be TreeBranches\n\
             INI holds sections of keys, but {:?} is not a mapping",
            key_text(name)
        )));
    };
    let name = name_bytes(name)?;
    if name.is_empty() {
        return Err(refusal("Error encoding section: empty section name"));
    }
    let mut section = Section::new(name);
    for (position, item) in branch.items.iter().enumerate() {
        match item {
            Item::Comment(comment) if position == 0 => section.comment = comment.text.as_bytes().into(),
            Item::Comment(comment) => section.comment_last_key(comment.text.as_bytes().into()),
            Item::Entry { key, value } => {
                let key = name_bytes(key)?;
                if key.is_empty() {
                    let section = String::from_utf8_lossy(name);
                    return Err(refusal(&format!(
                        "Error encoding key: empty key name in section {section:?}"
                    )));
                }
                section.insert(key.into(), text(name, key, value)?);
            }
        }
    }
    Ok(section)
}

fn name_bytes(name: &Scalar) -> Result<&[u8], StoreError> {
    match name {
        Scalar::Text(text) => Ok(text.as_bytes()),
        other => Err(refusal(&format!("names must be text, but {} is not", key_text(other)))),
    }
}

fn value_text(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::Scalar(scalar) => scalar_text(scalar),
        nested => Cow::Owned(nested_text(nested)),
    }
}

/// Section and name of the first key that is not found again as it was. The format has no escapes: some names and
/// values look like comments, headers, continued lines or quotes. Comments are not compared: the format places
/// them anew, and the MAC leaves them out.
fn first_loss<'s>(written: &'s [Section<'_>], found: &'s [Section<'_>]) -> Option<(&'s [u8], &'s [u8])> {
    let mut found = found.iter().flat_map(Section::entries);
    let mut written = written.iter().flat_map(Section::entries);
    let lost = written.find(|entry| found.next().as_ref() != Some(entry)).or_else(|| found.next());
    lost.map(|(section, key, _)| (section, key))
}

fn unwritable(section: &[u8], key: &[u8], what: &str) -> StoreError {
    let (section, key) = (String::from_utf8_lossy(section), String::from_utf8_lossy(key));
    refusal(&format!("an INI file cannot hold {what}; offending key {key:?} in section {section:?}"))
}

fn refusal(why: &str) -> StoreError {
    StoreError::new(format!("Error marshaling to INI: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Element;

    fn load(text: &str) -> Tree {
        IniStore.load(text.into()).expect(text)
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn emit(tree: &Tree) -> String {
        text(&IniStore.emit(tree).expect("emit"))
    }

    fn refused(text: &str) -> String {
        IniStore.load(text.into()).err().expect(text).to_string()
    }

    fn section(name: &str, items: Vec<Item>) -> Item {
        Item::entry(name, Value::Map(Branch { items }))
    }

    fn tree(items: Vec<Item>) -> Tree {
        Tree { branches: vec![Branch { items }] }
    }

    fn comment(text: &str) -> Item {
        Item::Comment(Comment::own_line(text))
    }

    /// The value of the only key.
    fn value(file: &str) -> String {
        let tree = load(file);
        let [Item::Entry { value: Value::Map(section), .. }] = tree.branches[0].items.as_slice() else {
            panic!("one section: {file}");
        };
        match section.items.first() {
            Some(Item::Entry { value: Value::Scalar(Scalar::Text(value)), .. }) => text(value.as_bytes()),
            _ => panic!("one key: {file}"),
        }
    }

    #[test]
    fn files_are_brought_to_the_usual_form() {
        for (input, output) in [
            ("; c1\n# c2\n[s]\n; k1\na=1 ; in\n# tail\n", "; c1\n# c2\n[s]\n; k1\n; in\na = 1\n"),
            ("[s] ; inl\na=1\n", "; inl\n[s]\na = 1\n"),
            ("[s] ; x]\n", "[s] ; x]\n"),
            ("[DEFAULT]\na=1\n", "[DEFAULT]\na = 1\n"),
            ("x=0\n[DEFAULT]\na=1\n", "x = 0\n\n[DEFAULT]\na = 1\n"),
            ("[s]\na=1\nb=2\na=3\n", "[s]\na = 3\nb = 2\n"),
            ("a:b=c\n", "a = b=c\n"),
            ("a=\"b;c\"\n", "; c\"\na = \"b\n"),
            ("a=`b;c`\n", "a = `b;c`\n"),
            ("a=\"\"\"b\nc\"\"\" ; cm\n", "; cm\na = \"\"\"b\nc\"\"\"\n"),
            ("a=\"\"\"b\"\"\" ; lost\n", "a = b\n"),
            ("a=b ; c \\\nd\n", "a = `b ; c d`\n"),
            ("a=b\\\\\n", "a = b\\\n"),
            ("-=1\n-=2\n[s]\n-=3\n", "#1 = 1\n#2 = 2\n\n[s]\n#1 = 3\n"),
            ("a=\" b \"\n", "a = \" b \"\n"),
            ("\"\"\"a\"b\"\"\"=c\n", "`a\"b` = c\n"),
            ("\"a`b\"=c\n", "\"\"\"a`b\"\"\" = c\n"),
            (";;; foo\n[s]\n", "; foo\n[s]\n"),
            ("#!x\n[s]\n", "; !x\n[s]\n"),
            ("[a]\n[b]\n[a]\n", "[a]\n\n[b]\n\n[a]\n"),
            ("ключ=1\nab=2", "ключ = 1\nab       = 2\n"),
            ("\u{feff}a=1\r\n\u{a0}b = 2\u{2003}\n", "a = 1\nb = 2\n"),
            ("a=\n", "a = \n"),
            ("", ""),
        ] {
            assert_eq!(emit(&load(input)), output, "{input}");
        }
    }

    #[test]
    fn values_are_unquoted_once_and_may_take_several_lines() {
        for (file, expected) in [
            ("a=\"b\"", "b"),
            ("a='b'", "b"),
            ("a='b'c'", "'b'c'"),
            ("a=\"", "\""),
            ("a=`b`", "b"),
            ("a=`b`c` rest", "b`c"),
            ("a=\"\"\"\nb\n\"\"\"", "\nb\n"),
            ("a=`b\nc` \\\nd`", "b\nc` \\\nd"),
            ("a=b \\\n  c \\\n  d\n", "b c d"),
            ("a=b \\\n\nc=d", "b "),
            ("a=b \\", "b "),
            ("a=%(b)s", "%(b)s"),
            ("a=b#c", "b"),
        ] {
            assert_eq!(value(file), expected, "{file}");
        }
    }

    #[test]
    fn comments_follow_their_key_and_lead_their_section() {
        let expected = tree(vec![
            section("DEFAULT", vec![]),
            section("s", vec![comment("top"), Item::entry("a", Value::text("1")), comment("key\n; in")]),
        ]);
        assert!(load("; top\n[s]\n# key\na=1 ; in") == expected);
    }

    #[test]
    fn a_bare_marker_is_a_line_of_a_comment() {
        for (input, output) in [
            (";\n; foo\n[s]\na=1\n", ";\n; foo\n[s]\na = 1\n"),
            ("[s]\n#\n# x\na=1\n", "[s]\n;\n# x\na = 1\n"),
            ("[s]\n; x\n;\n; y\na=1\n", "[s]\n; x\n; \n; y\na = 1\n"),
            ("[s]\n;\na=1\n", "[s]\na = 1\n"),
        ] {
            let tree = load(input);
            assert_eq!(emit(&tree), output);
            assert_eq!(emit(&load(output)), output, "a second pass changes nothing");
        }
    }

    #[test]
    fn errors_give_the_line_and_not_its_text() {
        for (file, problem) in [
            ("secret", "key-value delimiter not found: there is neither = nor : (line 1)"),
            ("a=1\n=secret", "empty key name (line 2)"),
            ("\n\"secret", "missing closing key quote (line 2)"),
            ("\"\"=secret", "error creating new key: empty key name (line 1)"),
            ("[secret", "unclosed section (line 1)"),
            ("[]", "empty section name (line 1)"),
            (
                "\na=\"\"\"secret\nb\n",
                "missing closing key quote: the value that begins here has no end (line 2)",
            ),
        ] {
            assert_eq!(refused(file), format!("Could not unmarshal input data: {problem}"));
        }
    }

    #[test]
    fn trees_without_sections_are_refused() {
        let refusal = |items| IniStore.emit(&tree(items)).expect_err("refused").to_string();
        let prefix = "Error marshaling to INI: Error encoding";
        let scalar = refusal(vec![Item::entry("flat", Value::text("secret"))]);
        assert!(
            scalar.starts_with(&format!("{prefix} section: Section values should always be TreeBranches\n"))
        );
        assert!(scalar.contains("\"flat\"") && !scalar.contains("secret"));
        assert_eq!(refusal(vec![section("", vec![])]), format!("{prefix} section: empty section name"));
        let nameless = section("s", vec![Item::entry("", Value::text(""))]);
        assert_eq!(refusal(vec![nameless]), format!("{prefix} key: empty key name in section \"s\""));
    }

    #[test]
    fn comments_of_other_formats_find_the_place_that_ini_has_for_them() {
        let tree = tree(vec![
            comment("between sections"),
            section(
                "s",
                vec![
                    comment(" of the section"),
                    comment("no key yet"),
                    Item::entry("a", Value::text("1")),
                    comment(" replaced"),
                    comment(" of the key "),
                ],
            ),
        ]);
        assert_eq!(emit(&tree), ";  of the section\n[s]\n; of the key\na = 1\n");
    }

    #[test]
    fn what_would_be_read_differently_is_never_written_encrypted() {
        let list =
            Value::List(vec![Element::Value(Value::text("x")), Element::Value(Value::Scalar(Scalar::Null))]);
        for (key, value, plain) in [
            ("null", Value::Scalar(Scalar::Null), "null = <nil>"),
            ("list", list, "list = [x <nil>]"),
            ("#1", Value::text("x"), "#1 = x"),
            ("[k", Value::text("x"), "[k = x"),
            (" k", Value::text("x"), " k = x"),
            ("k\"`", Value::text("x"), "`k\"`` = x"),
            ("k", Value::text("x\\"), "k = x\\"),
            ("k", Value::text("'x'"), "k = 'x'"),
            ("k", Value::text(" a\"b"), "k = \" a\"b\""),
        ] {
            let tree = tree(vec![section("s", vec![Item::entry(key, value)])]);
            assert_eq!(emit(&tree), format!("[s]\n{plain}\n"));
            let message = IniStore.emit_encrypted(&tree).expect_err("refused").to_string();
            assert!(message.ends_with(&format!("offending key {key:?} in section \"s\"")), "{message}");
        }
        let headless = tree(vec![section("default", vec![Item::entry("k", Value::text("x"))])]);
        assert!(IniStore.emit_encrypted(&headless).is_err());
        assert!(IniStore.emit_encrypted(&Tree { branches: vec![Branch::default(); 2] }).is_err());
    }

    #[test]
    fn what_is_read_back_is_written_encrypted() {
        let file = "a = 1\n\n[s]\n; c\nb   = `#;`\nc=d = \" x \"\n\n[s]\ne = \"\"\"\n`\"\"\"\n";
        let tree = load(file);
        assert!(IniStore.emit_encrypted(&tree).expect("fine") == IniStore.emit(&tree).expect("fine"));
        let without_default = self::tree(vec![section("s", vec![Item::entry("k", Value::text("x"))])]);
        assert_eq!(text(&IniStore.emit_encrypted(&without_default).expect("fine")), "[s]\nk = x\n");
    }

    #[test]
    fn the_example_is_the_documented_one() {
        assert_eq!(
            emit(&tree(IniStore.example().items)),
            "; This is an example file.\n[Welcome!]\n\
             hello       = Welcome to SOPS! Edit this file as you please!\nexample_key = example_value\n"
        );
    }
}
