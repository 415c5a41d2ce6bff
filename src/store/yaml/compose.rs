//! Nodes → tree: comments become items, aliases copies, scalars typed values (yaml.md §5 and §6.8).

use std::collections::HashMap;

use super::YamlError;
use super::comment::Notes;
use super::parse::{Document, Kind, Node, NodeId, Stream};
use super::resolve::resolve;
use crate::tree::{Branch, Comment, Element, Item, MAX_DEPTH, Scalar, Source, Tree, Value};

type Compose<T> = Result<T, YamlError>;

/// The tree of a file. The first document is held to stricter rules than the others.
pub(super) fn compose(stream: &Stream<'_>) -> Compose<Tree> {
    let mut branches = Vec::with_capacity(stream.documents.len());
    for document in &stream.documents {
        let first = branches.is_empty();
        let mut composer =
            Composer { stream, first, open: Vec::new(), in_aliases: 0, steps: 0, alias_steps: 0 };
        branches.push(composer.document(document)?);
    }
    Ok(Tree { branches })
}

/// Checks the rules for the first document without composing it, for readers of nodes.
pub(super) fn check_keys(stream: &Stream<'_>, pairs: &[NodeId]) -> Compose<()> {
    Composer { stream, first: true, open: Vec::new(), in_aliases: 0, steps: 0, alias_steps: 0 }
        .unique_keys(pairs)
}

struct Composer<'a, 's> {
    stream: &'a Stream<'s>,
    first: bool,
    /// The collections around the current node.
    open: Vec<NodeId>,
    in_aliases: usize,
    steps: u64,
    alias_steps: u64,
}

/// Whether the comments of a collection are told inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Inside,
    /// They were already told by the list around.
    Told,
}

impl<'a, 's> Composer<'a, 's> {
    fn document(&mut self, document: &Document<'s>) -> Compose<Branch> {
        let root = self.stream.node(document.root);
        let mut items = Vec::new();
        comments(self.stream.source, &mut items, &document.head, false);
        match &root.kind {
            Kind::Mapping(pairs) => self.mapping(document.root, root, pairs, Own::Inside, &mut items)?,
            Kind::Scalar { text, plain } => {
                if !matches!(self.scalar(root, text, *plain)?, Scalar::Null) {
                    return Err(YamlError::at(
                        root.line - 1,
                        "YAML documents that are values are not supported: the top level must be a mapping",
                    ));
                }
                if let Some(notes) = root.notes() {
                    comments(self.stream.source, &mut items, &notes.head, false);
                    comments(self.stream.source, &mut items, &notes.line, false);
                    comments(self.stream.source, &mut items, &notes.foot, false);
                }
            }
            Kind::Sequence(_) => {
                return Err(YamlError::at(
                    root.line - 1,
                    "YAML documents that are sequences are not supported: the top level must be a mapping",
                ));
            }
            Kind::Alias { .. } => {
                return Err(YamlError::at(root.line - 1, "a document cannot be an alias"));
            }
        }
        comments(self.stream.source, &mut items, &document.foot, false);
        Ok(Branch { items })
    }

    fn mapping(
        &mut self,
        id: NodeId,
        node: &Node<'s>,
        pairs: &[NodeId],
        own: Own,
        items: &mut Vec<Item>,
    ) -> Compose<()> {
        if self.first {
            self.unique_keys(pairs)?;
        }
        let notes = if own == Own::Inside { node.notes() } else { None };
        if let Some(notes) = notes {
            comments(self.stream.source, items, &notes.head, false);
            comments(self.stream.source, items, &notes.line, false);
        }
        self.open.push(id);
        items.reserve(pairs.len() / 2);
        for pair in pairs.chunks_exact(2) {
            self.pair(pair[0], pair[1], items)?;
        }
        self.open.pop();
        if let Some(notes) = notes {
            comments(self.stream.source, items, &notes.foot, false);
        }
        Ok(())
    }

    fn pair(&mut self, key_id: NodeId, value_id: NodeId, items: &mut Vec<Item>) -> Compose<()> {
        let (key_node, value_node) = (self.stream.node(key_id), self.stream.node(value_id));
        if let Some(notes) = key_node.notes() {
            comments(self.stream.source, items, &notes.head, false);
            comments(self.stream.source, items, &notes.line, false);
        }
        // a collection tells its comments inside
        let value_notes = match value_node.kind {
            Kind::Scalar { .. } | Kind::Alias { .. } => value_node.notes(),
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        };
        if let Some(notes) = value_notes {
            comments(self.stream.source, items, &notes.head, false);
            comments(self.stream.source, items, &notes.line, true);
        }
        let key = self.key(key_node)?;
        if self.first && is_merge(key_node) {
            self.check_merge(value_node)?;
        }
        let value = self.value(value_id, Own::Inside)?;
        items.push(Item::Entry { key, value });
        if let Some(notes) = value_notes {
            comments(self.stream.source, items, &notes.foot, false);
        }
        if let Some(notes) = key_node.notes() {
            comments(self.stream.source, items, &notes.foot, false);
        }
        Ok(())
    }

    fn key(&mut self, node: &Node<'s>) -> Compose<Scalar> {
        self.step(node)?;
        match &node.kind {
            Kind::Scalar { text, plain } => self.scalar(node, text, *plain),
            Kind::Alias { target, .. } => match &self.stream.node(*target).kind {
                Kind::Scalar { text, plain } => self.scalar(self.stream.node(*target), text, *plain),
                _ => Err(YamlError::at(node.line - 1, "invalid map key: an alias of a collection")),
            },
            Kind::Sequence(_) => Err(YamlError::at(node.line - 1, "invalid map key: a list")),
            Kind::Mapping(_) => Err(YamlError::at(node.line - 1, "invalid map key: a mapping")),
        }
    }

    fn value(&mut self, id: NodeId, own: Own) -> Compose<Value> {
        let node = self.stream.node(id);
        self.step(node)?;
        match &node.kind {
            Kind::Scalar { text, plain } => self.scalar(node, text, *plain).map(Value::Scalar),
            Kind::Sequence(nodes) => self.sequence(id, node, nodes, own).map(Value::List),
            Kind::Mapping(pairs) => {
                let mut items = Vec::new();
                self.mapping(id, node, pairs, own, &mut items)?;
                Ok(Value::Map(Branch { items }))
            }
            Kind::Alias { name, target } => {
                if self.open.contains(target) {
                    return Err(YamlError::at(
                        node.line - 1,
                        format!("anchor '{name}' value contains itself"),
                    ));
                }
                self.in_aliases += 1;
                let value = self.value(*target, Own::Inside);
                self.in_aliases -= 1;
                value
            }
        }
    }

    fn sequence(&mut self, id: NodeId, node: &Node<'s>, nodes: &[NodeId], own: Own) -> Compose<Vec<Element>> {
        let mut elements = Vec::with_capacity(nodes.len());
        let notes = if own == Own::Inside { node.notes() } else { None };
        if let Some(notes) = notes {
            comments(self.stream.source, &mut elements, &notes.head, false);
            comments(self.stream.source, &mut elements, &notes.line, false);
        }
        self.open.push(id);
        for item in nodes {
            let item_notes: Option<&Notes<'_>> = self.stream.node(*item).notes();
            if let Some(notes) = item_notes {
                comments(self.stream.source, &mut elements, &notes.head, false);
                comments(self.stream.source, &mut elements, &notes.line, true);
            }
            elements.push(Element::Value(self.value(*item, Own::Told)?));
            if let Some(notes) = item_notes {
                comments(self.stream.source, &mut elements, &notes.foot, false);
            }
        }
        self.open.pop();
        if let Some(notes) = notes {
            comments(self.stream.source, &mut elements, &notes.foot, false);
        }
        Ok(elements)
    }

    fn scalar(&self, node: &Node<'s>, text: &str, plain: bool) -> Compose<Scalar> {
        resolve(text, plain, node.tag(), self.stream.source)
            .map_err(|problem| YamlError::at(node.line - 1, problem))
    }

    /// Bounds the work that aliases of aliases can cause (yaml.md §6.8).
    fn step(&mut self, node: &Node<'s>) -> Compose<()> {
        // aliases of aliases nest deeper than the text does
        if self.open.len() > MAX_DEPTH {
            return Err(YamlError::at(node.line - 1, "exceeded max depth of 10000"));
        }
        self.steps += 1;
        self.alias_steps += u64::from(self.in_aliases > 0);
        if self.alias_steps > 100 && self.steps > 1000 {
            let allowed = match self.steps {
                ..=400_000 => 0.99,
                4_000_000.. => 0.10,
                steps => 0.99 - 0.89 * (steps - 400_000) as f64 / 3_600_000.0,
            };
            if self.alias_steps as f64 / self.steps as f64 > allowed {
                return Err(YamlError::at(node.line - 1, "document contains excessive aliasing"));
            }
        }
        Ok(())
    }

    /// Keys clash if they are spelled alike, whatever their type (yaml.md §6.8).
    fn unique_keys(&self, pairs: &[NodeId]) -> Compose<()> {
        // aliases are compared with aliases only, and collections cannot be keys
        let keys = || {
            pairs.chunks_exact(2).filter_map(|pair| {
                let node = self.stream.node(pair[0]);
                match &node.kind {
                    Kind::Scalar { text, .. } => Some((&**text, node)),
                    Kind::Alias { .. } | Kind::Sequence(_) | Kind::Mapping(_) => None,
                }
            })
        };
        // in a small mapping, comparing all keys is faster than hashing them
        if pairs.len() <= 2 * FEW_KEYS
            && !keys().enumerate().any(|(i, (key, _))| keys().take(i).any(|k| k.0 == key))
        {
            return Ok(());
        }
        let mut seen: HashMap<&str, u32> = HashMap::with_capacity(pairs.len() / 2);
        let mut clashes = String::new();
        for (text, node) in keys() {
            if let Some(line) = seen.get(text) {
                clashes +=
                    &format!("\n  line {}: mapping key {text:?} already defined at line {line}", node.line);
            } else {
                seen.insert(text, node.line);
            }
        }
        if clashes.is_empty() { Ok(()) } else { Err(YamlError::new(format!("unmarshal errors:{clashes}"))) }
    }

    fn check_merge(&self, value: &Node<'s>) -> Compose<()> {
        let is_map = |node: &Node<'s>| match node.kind {
            Kind::Mapping(_) => true,
            Kind::Alias { target, .. } => matches!(self.stream.node(target).kind, Kind::Mapping(_)),
            _ => false,
        };
        let fits = match &value.kind {
            Kind::Sequence(nodes) => nodes.iter().all(|id| is_map(self.stream.node(*id))),
            _ => is_map(value),
        };
        if fits {
            Ok(())
        } else {
            Err(YamlError::at(value.line - 1, "map merge requires map or sequence of maps as the value"))
        }
    }
}

const FEW_KEYS: usize = 16;

/// `<<` without quotes, or anything tagged so.
pub(super) fn is_merge(node: &Node<'_>) -> bool {
    match (&node.kind, node.tag()) {
        (Kind::Scalar { text, plain }, None | Some("!")) => *plain && &**text == "<<",
        (Kind::Scalar { .. }, Some(tag)) => tag == "!!merge",
        _ => false,
    }
}

/// What comments can be added to.
trait Commented {
    fn comment(&mut self, comment: Comment);
}

impl Commented for Vec<Item> {
    fn comment(&mut self, comment: Comment) {
        self.push(Item::Comment(comment));
    }
}

impl Commented for Vec<Element> {
    fn comment(&mut self, comment: Comment) {
        self.push(Element::Comment(comment));
    }
}

/// One comment a line, without the `#`; empty lines vanish (yaml.md §5.1).
fn comments(source: &Source, into: &mut impl Commented, text: &str, inline: bool) {
    if text.is_empty() {
        return;
    }
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        into.comment(Comment { text: source.text(&line.as_bytes()[1..]), inline });
    }
}
