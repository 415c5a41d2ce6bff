//! YAML nodes → typed fields (config.md §1.2).
//!
//! A mapping is taken apart by naming its keys one after the other; what is left then is unknown. Aliases are
//! followed and merge keys applied on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::unknown_key::UnknownKey;
use crate::store::yaml::{Kind, Node, NodeId, Stream, YamlError};
use crate::tree::Scalar;

pub(super) type Decode<T> = Result<T, YamlError>;

/// Reads the nodes of a file.
pub(super) struct Decoder<'a, 's> {
    stream: &'a Stream<'s>,
    /// Aliases of aliases must not make a small file expensive.
    work_left: usize,
    /// What aliases refer to.
    aliased: BTreeSet<NodeId>,
    /// Keys that had a meaning, by their nodes. Merged mappings are read several times, and a key that means nothing
    /// in one place may have a meaning in another.
    known: BTreeSet<NodeId>,
    unknown: BTreeMap<NodeId, Unknown>,
}

struct Unknown {
    key: UnknownKey,
    value: NodeId,
}

impl<'a, 's> Decoder<'a, 's> {
    /// The unit of work is about one byte that is copied. `bytes` is the length of the file.
    pub(super) fn new(stream: &'a Stream<'s>, bytes: usize) -> Self {
        Self {
            stream,
            work_left: (16 << 20) + 128 * bytes,
            aliased: BTreeSet::new(),
            known: BTreeSet::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// The keys without meaning, in the order of the file. Those that only lend their values to aliases
    /// (`keys: [&alice age1…]`) are there on purpose.
    pub(super) fn unknown_keys(self) -> Vec<UnknownKey> {
        let Self { stream, aliased, known, unknown, .. } = self;
        let on_purpose = |unknown: &Unknown| subtree(stream, unknown.value).any(|id| aliased.contains(&id));
        unknown
            .into_iter()
            .filter(|(id, unknown)| !known.contains(id) && !on_purpose(unknown))
            .map(|(_, unknown)| unknown.key)
            .collect()
    }

    /// The fields of a mapping. `what` is its name in errors.
    pub(super) fn mapping(&mut self, id: NodeId, what: &str) -> Decode<Fields<'_, 'a, 's>> {
        let id = self.resolve(id)?;
        let node = self.stream.node(id);
        if !matches!(node.kind, Kind::Mapping(_)) {
            return Err(self.mismatch(id, what, "a mapping"));
        }
        let pairs = self.pairs(id)?;
        Ok(Fields { decoder: self, line: node.line, pairs, names: Vec::new() })
    }

    /// Whether there is nothing, or a word for it.
    pub(super) fn is_null(&self, id: NodeId) -> Decode<bool> {
        Ok(matches!(self.scalar(id)?, Some(Scalar::Null)))
    }

    /// The pairs of a mapping and of those that are merged into it: what stands nearer, or first, wins.
    fn pairs(&mut self, id: NodeId) -> Decode<Vec<Pair<'a>>> {
        let mut pairs = Vec::new();
        let mut taken = HashSet::new();
        let mut visited = BTreeSet::new();
        let mut waiting = vec![id];
        while let Some(mapping) = waiting.pop() {
            // all that a mapping has to say is said the first time, which ends cycles too
            if !visited.insert(mapping) {
                continue;
            }
            let Kind::Mapping(nodes) = &self.stream.node(mapping).kind else { continue };
            let mut lines = HashMap::with_capacity(nodes.len() / 2);
            for pair in nodes.chunks_exact(2) {
                let (key_id, value) = (pair[0], pair[1]);
                let (key, line) = self.key(key_id)?;
                if let Some(first) = lines.insert(key, line) {
                    let problem = format!("mapping key {key:?} already defined at line {first}");
                    return Err(YamlError::on_line(line, problem));
                }
                if self.stream.is_merge(self.stream.node(key_id)) {
                    waiting.extend(self.merged(value)?.into_iter().rev());
                } else if taken.insert(key) {
                    pairs.push(Pair { key, key_id, value });
                }
            }
        }
        Ok(pairs)
    }

    /// The text of a key and its line.
    fn key(&mut self, id: NodeId) -> Decode<(&'a str, u32)> {
        let line = self.stream.node(id).line;
        let id = self.resolve(id)?;
        match &self.stream.node(id).kind {
            Kind::Scalar { text, .. } => Ok((text, line)),
            _ => Err(self.mismatch(id, "a key", "text")),
        }
    }

    /// The mappings that the value of a merge key names.
    fn merged(&mut self, value: NodeId) -> Decode<Vec<NodeId>> {
        let value = self.resolve(value)?;
        let ids = match &self.stream.node(value).kind {
            Kind::Sequence(ids) => ids.iter().map(|id| self.resolve(*id)).collect::<Decode<_>>()?,
            _ => vec![value],
        };
        let is_mapping = |id: &NodeId| matches!(self.stream.node(*id).kind, Kind::Mapping(_));
        match ids.iter().find(|id| !is_mapping(id)) {
            None => Ok(ids),
            Some(id) => Err(self.mismatch(*id, "what is merged", "a mapping or a list of mappings")),
        }
    }

    /// The node itself, or the one that an alias means.
    fn resolve(&mut self, id: NodeId) -> Decode<NodeId> {
        let node = self.stream.node(id);
        let id = match node.kind {
            Kind::Alias { target, .. } => {
                self.aliased.insert(target);
                target
            }
            _ => id,
        };
        let bytes = match &self.stream.node(id).kind {
            Kind::Scalar { text, .. } => text.len(),
            _ => 0,
        };
        match self.work_left.checked_sub(16 + bytes) {
            Some(left) => {
                self.work_left = left;
                Ok(id)
            }
            None => Err(YamlError::on_line(node.line, "document contains excessive aliasing")),
        }
    }

    fn scalar(&self, id: NodeId) -> Decode<Option<Scalar>> {
        self.stream.scalar(self.stream.node(id)).transpose()
    }

    /// The elements of a list, without those that are null: the reference skips them.
    fn elements(&mut self, id: NodeId, what: &str) -> Decode<Vec<NodeId>> {
        let Kind::Sequence(ids) = &self.stream.node(id).kind else {
            return Err(self.mismatch(id, what, "a list"));
        };
        let mut elements = Vec::with_capacity(ids.len());
        for id in ids {
            let id = self.resolve(*id)?;
            if !self.is_null(id)? {
                elements.push(id);
            }
        }
        Ok(elements)
    }

    /// Any scalar as the text that was written; none for null.
    fn text(&self, id: NodeId, what: &str) -> Decode<Option<String>> {
        let node = self.stream.node(id);
        match (self.scalar(id)?, &node.kind) {
            (Some(Scalar::Null), _) => Ok(None),
            // binary text is decoded
            (Some(Scalar::Text(text)), _) => match text.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(self.mismatch(id, what, "text")),
            },
            (_, Kind::Scalar { text, .. }) => Ok(Some(text.to_string())),
            _ => Err(self.mismatch(id, what, "text")),
        }
    }

    /// Names types and no values: who names the wrong file as configuration should not see its secrets.
    fn mismatch(&self, id: NodeId, what: &str, expected: &str) -> YamlError {
        let node = self.stream.node(id);
        YamlError::on_line(node.line, format!("{what} must be {expected}, not {}", self.noun(node)))
    }

    fn noun(&self, node: &Node<'s>) -> &'static str {
        match (&node.kind, self.stream.scalar(node)) {
            (Kind::Sequence(_), _) => "a list",
            (Kind::Mapping(_), _) => "a mapping",
            (_, Some(Ok(Scalar::Null))) => "null",
            (_, Some(Ok(Scalar::Bool(_)))) => "a boolean",
            (_, Some(Ok(Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)))) => "a number",
            (_, Some(Ok(Scalar::Time(_)))) => "a time",
            _ => "text",
        }
    }

    /// The word of the reference for the type of a value (§4.1).
    fn go_type(&self, id: NodeId) -> Decode<&'static str> {
        Ok(match (&self.stream.node(id).kind, self.scalar(id)?) {
            (_, Some(scalar)) => scalar.type_name(),
            (Kind::Sequence(_), None) => "[]interface {}",
            (_, None) => "map[string]interface {}",
        })
    }
}

/// A node and all below it, aliases not followed.
fn subtree<'a>(stream: &'a Stream<'_>, root: NodeId) -> impl Iterator<Item = NodeId> + 'a {
    let mut waiting = vec![root];
    std::iter::from_fn(move || {
        let id = waiting.pop()?;
        if let Kind::Sequence(ids) | Kind::Mapping(ids) = &stream.node(id).kind {
            waiting.extend(ids);
        }
        Some(id)
    })
}

struct Pair<'a> {
    key: &'a str,
    key_id: NodeId,
    value: NodeId,
}

/// A mapping that is being read: each key is asked for once, then [`Fields::finish`] notes what is left.
pub(super) struct Fields<'d, 'a, 's> {
    decoder: &'d mut Decoder<'a, 's>,
    line: u32,
    /// Those that were not asked for.
    pairs: Vec<Pair<'a>>,
    /// Those that were asked for.
    names: Vec<&'static str>,
}

/// The keys of a field that is text or a list, as [`crate::keys::Kind::parse_list`] takes them, or what is wrong
/// with its type.
pub(super) type KeyList = Result<String, String>;

impl<'a, 's> Fields<'_, 'a, 's> {
    /// Where the mapping begins, from 1.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The value of a key. Null counts as absent.
    fn take(&mut self, name: &'static str) -> Decode<Option<NodeId>> {
        self.names.push(name);
        let Some(at) = self.pairs.iter().position(|pair| pair.key == name) else { return Ok(None) };
        let pair = self.pairs.swap_remove(at);
        self.decoder.known.insert(pair.key_id);
        let id = self.decoder.resolve(pair.value)?;
        Ok(if self.decoder.is_null(id)? { None } else { Some(id) })
    }

    /// A text, empty if absent.
    pub(super) fn text(&mut self, name: &'static str) -> Decode<String> {
        let Some(id) = self.take(name)? else { return Ok(String::new()) };
        Ok(self.decoder.text(id, &quoted(name))?.unwrap_or_default())
    }

    /// A boolean, also in the words of YAML 1.1; false if absent.
    pub(super) fn flag(&mut self, name: &'static str) -> Decode<bool> {
        let Some(id) = self.take(name)? else { return Ok(false) };
        match self.decoder.scalar(id)? {
            Some(Scalar::Bool(flag)) => return Ok(flag),
            Some(Scalar::Text(text)) => match text.as_bytes() {
                b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => return Ok(true),
                b"n" | b"N" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => return Ok(false),
                _ => {}
            },
            _ => {}
        }
        Err(self.decoder.mismatch(id, &quoted(name), "true or false without quotes"))
    }

    /// An integer. A fraction is cut off, as in the reference.
    pub(super) fn integer(&mut self, name: &'static str) -> Decode<Option<i64>> {
        let Some(id) = self.take(name)? else { return Ok(None) };
        match self.decoder.scalar(id)? {
            Some(Scalar::Int(number)) => Ok(Some(number)),
            Some(Scalar::Float(number)) if number.abs() < i64::MAX as f64 => Ok(Some(number as i64)),
            _ => Err(self.decoder.mismatch(id, &quoted(name), "an integer of 64 bits")),
        }
    }

    /// A list, or none if absent.
    pub(super) fn list_if_present<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Decoder<'a, 's>, NodeId) -> Decode<T>,
    ) -> Decode<Option<Vec<T>>> {
        let Some(id) = self.take(name)? else { return Ok(None) };
        let elements = self.decoder.elements(id, &quoted(name))?;
        elements.into_iter().map(|id| read(self.decoder, id)).collect::<Decode<_>>().map(Some)
    }

    /// A list, empty if absent.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(&mut Decoder<'a, 's>, NodeId) -> Decode<T>,
    ) -> Decode<Vec<T>> {
        Ok(self.list_if_present(name, read)?.unwrap_or_default())
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str) -> Decode<Vec<String>> {
        let what = format!("an element of {name:?}");
        self.list(name, |decoder, id| Ok(decoder.text(id, &what)?.unwrap_or_default()))
    }

    /// Something with fields of its own, or none if absent.
    pub(super) fn nested<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Decoder<'a, 's>, NodeId) -> Decode<T>,
    ) -> Decode<Option<T>> {
        let id = self.take(name)?;
        id.map(|id| read(self.decoder, id)).transpose()
    }

    /// A mapping of texts, with nulls.
    pub(super) fn text_map(&mut self, name: &'static str) -> Decode<Vec<(String, Option<String>)>> {
        let map = self.nested(name, |decoder, id| {
            let fields = decoder.mapping(id, &quoted(name))?;
            let mut entries = Vec::with_capacity(fields.pairs.len());
            for pair in &fields.pairs {
                let id = fields.decoder.resolve(pair.value)?;
                let text = fields.decoder.text(id, &quoted(pair.key))?;
                entries.push((pair.key.to_owned(), text));
            }
            Ok(entries)
        })?;
        Ok(map.unwrap_or_default())
    }

    /// A mapping whose keys are free, and have no meaning for us.
    pub(super) fn free_map(&mut self, name: &'static str) -> Decode<()> {
        self.nested(name, |decoder, id| decoder.mapping(id, &quoted(name)).map(drop)).map(drop)
    }

    /// Keys as text or list (§4.1). The type is checked later, if the rule is used at all.
    pub(super) fn key_list(&mut self, name: &'static str) -> Decode<KeyList> {
        let Some(id) = self.take(name)? else { return Ok(Ok(String::new())) };
        let decoder = &mut *self.decoder;
        let ids = match (decoder.scalar(id)?, &decoder.stream.node(id).kind) {
            (Some(Scalar::Text(_)), _) => {
                let text = decoder.text(id, &quoted(name))?.unwrap_or_default();
                let keys: Vec<&str> = text.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
                return Ok(Ok(keys.join(",")));
            }
            (None, Kind::Sequence(ids)) => ids,
            _ => {
                let found = decoder.go_type(id)?;
                return Ok(Err(format!("expected string, []string, or nil, got {found}")));
            }
        };
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let id = decoder.resolve(*id)?;
            match decoder.scalar(id)? {
                Some(Scalar::Text(_)) => keys.extend(decoder.text(id, &quoted(name))?),
                _ => return Ok(Err(format!("expected string in list, got {}", decoder.go_type(id)?))),
            }
        }
        Ok(Ok(keys.join(",")))
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self) {
        for pair in self.pairs {
            let line = self.decoder.stream.node(pair.key_id).line;
            let key = UnknownKey::new(pair.key, line, &self.names);
            self.decoder.unknown.insert(pair.key_id, Unknown { key, value: pair.value });
        }
    }
}

fn quoted(name: &str) -> String {
    format!("{name:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::yaml::with_nodes;

    /// Reads the top mapping of a text.
    fn read<T>(text: &str, read: impl FnOnce(&mut Fields<'_, '_, '_>) -> Decode<T>) -> Result<T, String> {
        let read = |stream: &Stream<'_>| {
            let mut decoder = Decoder::new(stream, text.len());
            read(&mut decoder.mapping(stream.documents[0].root, "the file")?)
        };
        with_nodes(text.as_bytes(), read).map_err(|e| e.to_string())
    }

    fn unknown_keys(text: &str, known: &[&'static str]) -> Vec<String> {
        let read = |stream: &Stream<'_>| {
            let mut decoder = Decoder::new(stream, text.len());
            let mut fields = decoder.mapping(stream.documents[0].root, "the file")?;
            for name in known {
                fields.list(name, |decoder, id| decoder.mapping(id, "an element").map(Fields::finish))?;
            }
            fields.finish();
            Ok(decoder.unknown_keys())
        };
        let keys = with_nodes(text.as_bytes(), read).expect(text);
        keys.iter().map(UnknownKey::to_string).collect()
    }

    #[test]
    fn any_scalar_is_text_as_it_was_written() {
        for (value, expected) in [
            ("abc", "abc"),
            ("5", "5"),
            ("0x10", "0x10"),
            ("yes", "yes"),
            ("2001-01-01", "2001-01-01"),
            ("'~'", "~"),
            ("~", ""),
            ("", ""),
            ("!!binary aGk=", "hi"),
        ] {
            assert_eq!(read(&format!("a: {value}"), |f| f.text("a")).as_deref(), Ok(expected), "{value}");
        }
        let problem = |value: &str| read(&format!("\na: {value}"), |f| f.text("a")).expect_err(value);
        assert_eq!(problem("[b]"), "yaml: line 2: \"a\" must be text, not a list");
        assert_eq!(problem("{b: c}"), "yaml: line 2: \"a\" must be text, not a mapping");
        assert!(problem("!!int x").starts_with("yaml: line 2: "));
        assert!(problem("!!binary /w==").contains("must be text"), "bytes that are no text");
    }

    #[test]
    fn booleans_come_in_the_words_of_yaml_1_1() {
        let flag = |value: &str| read(&format!("a: {value}"), |f| f.flag("a"));
        for value in ["true", "True", "TRUE", "y", "yes", "On", "'yes'"] {
            assert_eq!(flag(value), Ok(true), "{value}");
        }
        for value in ["false", "n", "No", "OFF", "~", ""] {
            assert_eq!(flag(value), Ok(false), "{value}");
        }
        for value in ["1", "'true'", "yEs", "[]"] {
            assert!(flag(value).expect_err(value).contains("\"a\" must be true or false"), "{value}");
        }
    }

    #[test]
    fn integers_are_whole() {
        let integer = |value: &str| read(&format!("a: {value}"), |f| f.integer("a"));
        for (value, expected) in
            [("2", Some(2)), ("-1", Some(-1)), ("010", Some(8)), ("2.5", Some(2)), ("~", None)]
        {
            assert_eq!(integer(value), Ok(expected), "{value}");
        }
        for value in ["'2'", "x", ".nan", ".inf", "1e30", "18446744073709551615", "yes", "{}"] {
            assert!(integer(value).is_err(), "{value}");
        }
    }

    #[test]
    fn keys_are_text_or_a_list() {
        let keys = |value: &str| read(&format!("a: {value}"), |f| f.key_list("a")).expect(value);
        for (value, expected) in [
            ("' b, c ,, '", "b,c"),
            ("[b, ' c,d', '']", "b, c,d,"),
            ("['']", ""),
            ("[]", ""),
            ("~", ""),
            (">-\n  b,\n  c,\n", "b,c"),
        ] {
            assert_eq!(keys(value).as_deref(), Ok(expected), "{value}");
        }
        for (value, found) in [
            ("5", "string, []string, or nil, got int"),
            ("true", "string, []string, or nil, got bool"),
            ("1.5", "string, []string, or nil, got float64"),
            ("{b: c}", "string, []string, or nil, got map[string]interface {}"),
            ("[b, 5]", "string in list, got int"),
            ("[~]", "string in list, got <nil>"),
            ("[[b]]", "string in list, got []interface {}"),
        ] {
            assert_eq!(keys(value).expect_err(value), format!("expected {found}"));
        }
    }

    #[test]
    fn nulls_in_lists_are_skipped() {
        assert_eq!(read("a: [b, ~, 5,]", |f| f.texts("a")), Ok(vec!["b".to_owned(), "5".to_owned()]));
        assert_eq!(
            read("a:\n- b\n- [c]", |f| f.texts("a")),
            Err("yaml: line 3: an element of \"a\" must be text, not a list".to_owned())
        );
    }

    #[test]
    fn a_key_may_stand_once_only() {
        let text = |text: &str| read(text, |f| f.text("a"));
        let twice = Err("yaml: line 2: mapping key \"a\" already defined at line 1".to_owned());
        assert_eq!(text("a: b\na: b"), twice);
        assert_eq!(text("a: b\n'a': c"), twice);
        assert_eq!(text("&x a: b\n*x : c"), twice);
        let unused = text("a: b\nc: d\nc: d");
        assert_eq!(unused, Err("yaml: line 3: mapping key \"c\" already defined at line 2".to_owned()));
        let merges = text("<<: {}\n<<: {}");
        assert_eq!(merges, Err("yaml: line 2: mapping key \"<<\" already defined at line 1".to_owned()));
        let merged = text("a: b\n<<: {a: c, a: d}");
        assert_eq!(merged, Err("yaml: line 2: mapping key \"a\" already defined at line 2".to_owned()));
        assert!(text("[a]: b").expect_err("a list as key").contains("a key must be text"));
    }

    #[test]
    fn what_stands_nearer_or_first_wins_over_what_is_merged() {
        let text = |text: &str| read(text, |f| Ok(f.text("a")? + "," + &f.text("b")?));
        for (yaml, expected) in [
            ("<<: {a: 1, b: 2}\na: 3", "3,2"),
            ("a: ~\n<<: {a: 1, b: 2}", ",2"),
            ("<<: [{a: 1}, {a: 2, b: 3}]", "1,3"),
            ("<<: [{<<: {a: 1}}, {a: 2, b: 3}]", "1,3"),
            ("<<: {<<: {a: 1, b: 2}, a: 3}", "3,2"),
            ("x: &x {a: 1}\n<<: [*x, {b: 2}]", "1,2"),
            ("'<<': {a: 1}\nb: 2", ",2"),
            ("x: &x {<<: *x, a: 1}\n<<: *x", "1,"),
        ] {
            assert_eq!(text(yaml).as_deref(), Ok(expected), "{yaml}");
        }
        for yaml in ["<<: 5", "<<: ~", "<<: [5]", "<<: [[{}]]"] {
            assert!(
                text(yaml).expect_err(yaml).contains("must be a mapping or a list of mappings"),
                "{yaml}"
            );
        }
    }

    #[test]
    fn unknown_keys_are_told_in_the_order_of_the_file() {
        assert_eq!(
            unknown_keys("b: 1\na:\n- c: 1\n- q: 1\n  <<: {d: 1}\nstore: {x: y}\n5: z\n", &["a", "stores"]),
            [
                "line 1: the key \"b\" has no meaning here and is ignored",
                "line 3: the key \"c\" has no meaning here and is ignored",
                "line 4: the key \"q\" has no meaning here and is ignored",
                "line 5: the key \"d\" has no meaning here and is ignored",
                "line 6: the key \"store\" has no meaning here and is ignored; did you mean \"stores\"?",
                "line 7: the key \"5\" has no meaning here and is ignored",
            ]
        );
    }

    #[test]
    fn keys_that_only_hold_anchors_are_there_on_purpose() {
        assert_eq!(unknown_keys("keys:\n- &x {}\n- &y {}\na: [*x]", &["a"]), [""; 0]);
        assert_eq!(unknown_keys("defaults: &x {}\na: [<<: *x]", &["a"]), [""; 0]);
        assert_eq!(unknown_keys("keys:\n- &x {}\na: [{}]", &["a"]).len(), 1, "nobody refers to it");
    }

    #[test]
    fn a_merged_key_needs_a_meaning_in_one_place_only() {
        let text = "x: &x {a: []}\na: [*x]\n<<: *x";
        assert_eq!(unknown_keys(text, &["a"]), ["line 1: the key \"a\" has no meaning here and is ignored"]);
        assert_eq!(unknown_keys("x: &x {b: []}\na: [*x]\n<<: *x", &["a", "b"]), [""; 0]);
    }
}
