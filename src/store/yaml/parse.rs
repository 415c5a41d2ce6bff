//! Tokens → nodes, with their comments (yaml.md §4).
//!
//! The order in which tokens are looked at decides which node a comment goes to, so that order is part of the
//! contract: a comment becomes pending when its token is looked at, and an attaching node takes all that is pending.

use std::collections::HashMap;

use super::comment::Notes;
use super::scan::{Mark, ScalarStyle, Scanner, Token, TokenKind};
use super::sort::Sort;
use super::{Piece, YamlError};
use crate::tree::Source;

/// Index of a node in its [`Stream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

/// A node of a YAML file.
pub struct Node<'s> {
    /// What it is.
    pub kind: Kind<'s>,
    /// Line on which it begins, from 1.
    pub line: u32,
    extras: Option<Box<Extras<'s>>>,
}

/// What few nodes have.
#[derive(Default)]
struct Extras<'s> {
    tag: Option<Box<str>>,
    notes: Notes<'s>,
}

impl<'s> Node<'s> {
    /// The resolved tag, `!!x` for YAML's own, if one was written.
    pub fn tag(&self) -> Option<&str> {
        self.extras.as_ref()?.tag.as_deref()
    }

    /// Its comments.
    pub(super) fn notes(&self) -> Option<&Notes<'s>> {
        self.extras.as_ref().map(|extras| &extras.notes)
    }
}

/// What a node holds.
pub enum Kind<'s> {
    /// A scalar.
    Scalar {
        /// Its text, escapes resolved.
        text: Piece<'s>,
        /// Whether it was written without quotes.
        plain: bool,
    },
    /// A list.
    Sequence(Box<[NodeId]>),
    /// Key, value, key, value, …
    Mapping(Box<[NodeId]>),
    /// Another name for a node.
    Alias {
        /// The anchor.
        name: &'s str,
        /// The node that has it.
        target: NodeId,
    },
}

/// One document.
pub struct Document<'s> {
    /// Its only node.
    pub root: NodeId,
    pub(super) head: Piece<'s>,
    pub(super) foot: Piece<'s>,
}

/// All documents of a file; their nodes lie side by side, since aliases reach over documents (yaml.md §6.10).
pub struct Stream<'s> {
    /// What typed texts are pieces of.
    pub(super) source: &'s Source,
    nodes: Vec<Node<'s>>,
    /// In file order.
    pub documents: Vec<Document<'s>>,
}

impl<'s> Stream<'s> {
    /// The node with this index.
    pub fn node(&self, id: NodeId) -> &Node<'s> {
        &self.nodes[id.0 as usize]
    }
}

type Parse<T> = Result<T, YamlError>;

/// Files have fewer nodes than this suggests; memory that is not used is not touched either.
const BYTES_PER_NODE: usize = 16;

/// Reads all documents. `text` is that of the source, decoded.
pub(super) fn parse<'s>(source: &'s Source, text: &'s str) -> Parse<Stream<'s>> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        nodes: Vec::with_capacity(text.len() / BYTES_PER_NODE),
        anchors: HashMap::new(),
        tag_handles: Vec::new(),
        stem: Piece::default(),
    };
    let mut documents = Vec::new();
    while let Some(document) = parser.document(documents.is_empty())? {
        documents.push(document);
    }
    Ok(Stream { source, nodes: parser.nodes, documents })
}

struct Parser<'s> {
    scanner: Scanner<'s>,
    nodes: Vec<Node<'s>>,
    anchors: HashMap<&'s str, NodeId>,
    /// `%TAG` directives of the document.
    tag_handles: Vec<(&'s str, String)>,
    /// The head of a list item that is itself a collection (yaml.md §4.4).
    stem: Piece<'s>,
}

/// Where a node stands decides which forms it can have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A key or value of a block mapping: a list may stand at its column.
    BlockMapping,
    /// A document or an item of a block list.
    Block,
    Flow,
}

impl<'s> Parser<'s> {
    fn peek(&mut self) -> Parse<Sort> {
        self.scanner.peek().map(Sort::of)
    }

    fn take(&mut self) -> Parse<Token<'s>> {
        self.scanner.take().ok_or_else(|| YamlError::new("found unexpected end of stream"))
    }

    /// Passes the token that was looked at and looks at the next.
    fn next(&mut self) -> Parse<Sort> {
        self.take()?;
        self.peek()
    }

    fn mark(&mut self) -> Parse<Mark> {
        Ok(self.scanner.peek()?.start)
    }

    fn error<T>(&mut self, problem: &'static str) -> Parse<T> {
        let line = self.mark()?.line;
        Err(YamlError::at(line, problem))
    }

    /// All pending comments, which are then no longer pending.
    fn attach(&mut self) -> Notes<'s> {
        self.stem = Piece::default();
        std::mem::take(&mut self.scanner.comments.pending)
    }

    fn add(&mut self, kind: Kind<'s>, tag: Option<Box<str>>, mark: Mark, notes: Notes<'s>) -> NodeId {
        let plain = tag.is_none() && notes.is_empty();
        let extras = if plain { None } else { Some(Box::new(Extras { tag, notes })) };
        self.nodes.push(Node { kind, line: mark.line + 1, extras });
        NodeId(self.nodes.len() as u32 - 1)
    }

    fn notes(&mut self, id: NodeId) -> &mut Notes<'s> {
        &mut self.nodes[id.0 as usize].extras.get_or_insert_default().notes
    }

    fn has_notes(&self, id: NodeId) -> bool {
        self.nodes[id.0 as usize].extras.is_some()
    }

    /// Where a value is missing: null, without comments.
    fn empty(&mut self) -> Parse<NodeId> {
        let mark = self.mark()?;
        Ok(self.add(Kind::Scalar { text: Piece::default(), plain: true }, None, mark, Notes::default()))
    }

    // Documents

    fn document(&mut self, first: bool) -> Parse<Option<Document<'s>>> {
        let mut sort = self.peek()?;
        while !first && sort == Sort::DocumentEnd {
            sort = self.next()?;
        }
        let mut head = Piece::default();
        let root = match sort {
            Sort::StreamEnd => return Ok(None),
            Sort::Directive | Sort::DocumentStart => {
                self.directives()?;
                if self.peek()? != Sort::DocumentStart {
                    return self.error("did not find expected <document start>");
                }
                self.take()?;
                match self.peek()? {
                    Sort::Directive | Sort::DocumentStart | Sort::DocumentEnd | Sort::StreamEnd => {
                        self.empty()?
                    }
                    _ => self.node(Place::Block)?,
                }
            }
            _ if first => {
                head = self.document_head();
                self.node(Place::Block)?
            }
            _ => return self.error("did not find expected <document start>"),
        };
        if self.peek()? == Sort::DocumentEnd {
            self.take()?;
        }
        self.tag_handles.clear();
        let notes = self.attach();
        let foot = if notes.foot.is_empty() { notes.head } else { notes.foot };
        Ok(Some(Document { root, head, foot }))
    }

    /// The pending comment up to its last empty line belongs to the document, what is behind it to the first key
    /// (yaml.md §4.6).
    fn document_head(&mut self) -> Piece<'s> {
        let pending = &mut self.scanner.comments.pending.head;
        let bytes = pending.as_bytes();
        let last = bytes.len().saturating_sub(1);
        let cut = (1..bytes.len()).rev().filter(|i| bytes[*i] == b'\n').find_map(|i| match i {
            _ if i == last => Some((i, i + 1)),
            _ if bytes[i - 1] == b'\n' => Some((i - 1, i + 1)),
            _ => None,
        });
        let Some((head, tail)) = cut else { return Piece::default() };
        let (document, rest) = pending.split(head, tail);
        *pending = rest;
        document
    }

    fn directives(&mut self) -> Parse<()> {
        let mut version = false;
        while self.peek()? == Sort::Directive {
            match self.take()?.kind {
                TokenKind::VersionDirective if version => {
                    return self.error("found duplicate %YAML directive");
                }
                TokenKind::VersionDirective => version = true,
                TokenKind::TagDirective { handle, .. }
                    if self.tag_handles.iter().any(|(h, _)| *h == handle) =>
                {
                    return self.error("found duplicate %TAG directive");
                }
                TokenKind::TagDirective { handle, prefix } => self.tag_handles.push((handle, prefix)),
                _ => {}
            }
        }
        Ok(())
    }

    // Nodes

    fn node(&mut self, place: Place) -> Parse<NodeId> {
        let mark = self.mark()?;
        if self.peek()? == Sort::Alias {
            let notes = self.attach();
            let TokenKind::Alias(name) = self.take()?.kind else {
                return self.error("did not find an alias");
            };
            let target = *self.anchors.get(name).ok_or_else(|| {
                YamlError::at(
                    mark.line,
                    "unknown anchor referenced\nhint: put text that begins with `*` in quotes",
                )
            })?;
            return Ok(self.add(Kind::Alias { name, target }, None, mark, notes));
        }
        let (anchor, tag) = self.properties()?;
        let sort = self.peek()?;
        // an anchor names its node from the beginning: what refers to it inside is found out as a cycle
        let next = NodeId(self.nodes.len() as u32);
        if let Some(name) = anchor {
            self.anchors.insert(name, next);
        }
        match (sort, place) {
            (Sort::BlockEntry, Place::BlockMapping) => self.indentless_sequence(tag, mark),
            (Sort::Scalar, _) => {
                let notes = self.attach();
                let TokenKind::Scalar { text, style } = self.take()?.kind else {
                    return self.error("did not find a scalar");
                };
                let plain = style == ScalarStyle::Plain;
                Ok(self.add(Kind::Scalar { text, plain }, tag, mark, notes))
            }
            (Sort::FlowSequenceStart, _) => self.flow_sequence(tag, mark),
            (Sort::FlowMappingStart, _) => self.flow_mapping(tag, mark),
            (Sort::BlockSequenceStart, Place::Block | Place::BlockMapping) => self.block_sequence(tag, mark),
            (Sort::BlockMappingStart, Place::Block | Place::BlockMapping) => self.block_mapping(tag, mark),
            _ if anchor.is_some() || tag.is_some() => {
                let text = Piece::default();
                Ok(self.add(Kind::Scalar { text, plain: true }, tag, mark, Notes::default()))
            }
            _ => self.error("did not find expected node content"),
        }
    }

    /// Anchor and tag, in either order.
    fn properties(&mut self) -> Parse<(Option<&'s str>, Option<Box<str>>)> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            let sort = self.peek()?;
            if !(sort == Sort::Anchor && anchor.is_none() || sort == Sort::Tag && tag.is_none()) {
                return Ok((anchor, tag));
            }
            let token = self.take()?;
            match token.kind {
                TokenKind::Anchor(name) => anchor = Some(name),
                TokenKind::Tag { handle, suffix } => tag = Some(self.tag(handle, &suffix, token.start)?),
                _ => {}
            }
        }
    }

    /// The full tag, YAML's own prefix written as `!!`.
    fn tag(&self, handle: &str, suffix: &str, mark: Mark) -> Parse<Box<str>> {
        const OWN: &str = "tag:yaml.org,2002:";
        let prefix = match (self.tag_handles.iter().find(|(h, _)| *h == handle), handle) {
            (Some((_, prefix)), _) => prefix.as_str(),
            (None, "") => "",
            (None, "!") => "!",
            (None, "!!") => OWN,
            _ => return Err(YamlError::at(mark.line, "found undefined tag handle")),
        };
        let full = format!("{prefix}{suffix}");
        Ok(match full.strip_prefix(OWN) {
            Some(own) => format!("!!{own}").into(),
            None => full.into(),
        })
    }

    /// A collection node, its children to be filled in. What the start got as line or foot is lost (yaml.md §4.7).
    fn open(&mut self, kind: Kind<'s>, tag: Option<Box<str>>, mark: Mark, head: Piece<'s>) -> NodeId {
        self.add(kind, tag, mark, Notes { head, ..Notes::default() })
    }

    /// The end of a collection brings its line and foot comment.
    fn close(&mut self, id: NodeId, children: Vec<NodeId>, end: Notes<'s>) -> NodeId {
        if !end.line.is_empty() || !end.foot.is_empty() {
            let notes = self.notes(id);
            (notes.line, notes.foot) = (end.line, end.foot);
        }
        match &mut self.nodes[id.0 as usize].kind {
            Kind::Sequence(nodes) | Kind::Mapping(nodes) => *nodes = children.into(),
            Kind::Scalar { .. } | Kind::Alias { .. } => {}
        }
        id
    }

    fn block_sequence(&mut self, tag: Option<Box<str>>, mark: Mark) -> Parse<NodeId> {
        let head = std::mem::take(&mut self.stem);
        let id = self.open(Kind::Sequence(Box::default()), tag, mark, head);
        self.take()?;
        let mut items = Vec::new();
        loop {
            match self.peek()? {
                Sort::BlockEntry => {
                    let item = match self.entry()? {
                        Sort::BlockEntry | Sort::BlockEnd => self.empty()?,
                        _ => self.node(Place::Block)?,
                    };
                    items.push(item);
                }
                Sort::BlockEnd => {
                    self.take()?;
                    return Ok(self.close(id, items, Notes::default()));
                }
                _ => return self.error("did not find expected '-' indicator"),
            }
        }
    }

    /// A list at the column of the key that it belongs to.
    fn indentless_sequence(&mut self, tag: Option<Box<str>>, mark: Mark) -> Parse<NodeId> {
        let id = self.open(Kind::Sequence(Box::default()), tag, mark, Piece::default());
        let mut items = Vec::new();
        while self.peek()? == Sort::BlockEntry {
            let item = match self.entry()? {
                Sort::BlockEntry | Sort::Key | Sort::Pair | Sort::Value | Sort::BlockEnd => self.empty()?,
                _ => self.node(Place::Block)?,
            };
            items.push(item);
        }
        Ok(self.close(id, items, Notes::default()))
    }

    /// Passes a `-`. A head above it goes to the item as a whole if the item is a block collection, and what stands
    /// behind the dash to its first entry (yaml.md §4.4).
    fn entry(&mut self) -> Parse<Sort> {
        let above = self.scanner.comments.pending.head.len();
        let sort = self.next()?;
        if above > 0 && matches!(sort, Sort::BlockSequenceStart | Sort::BlockMappingStart) {
            let pending = &mut self.scanner.comments.pending.head;
            let (stem, rest) = pending.split(above, (above + 1).min(pending.len()));
            (self.stem, *pending) = (stem, rest);
        }
        Ok(sort)
    }

    fn block_mapping(&mut self, tag: Option<Box<str>>, mark: Mark) -> Parse<NodeId> {
        let head = std::mem::take(&mut self.stem);
        let id = self.open(Kind::Mapping(Box::default()), tag, mark, head);
        self.take()?;
        let mut pairs = Vec::new();
        loop {
            match self.peek()? {
                Sort::Pair => self.usual_pair(&mut pairs)?,
                Sort::Key => {
                    let key = match self.next()? {
                        Sort::Key | Sort::Pair | Sort::Value | Sort::BlockEnd => self.empty()?,
                        _ => self.node(Place::BlockMapping)?,
                    };
                    self.lift_key_foot(&pairs, key);
                    let value = self.block_value()?;
                    self.lift_foot(key, value);
                    pairs.extend([key, value]);
                }
                Sort::BlockEnd => {
                    let mut end = self.attach();
                    self.take()?;
                    // a foot that waits at the end belongs to the last key
                    if let [.., last, _] = pairs[..]
                        && !end.foot.is_empty()
                    {
                        self.notes(last).foot = std::mem::take(&mut end.foot);
                    }
                    return Ok(self.close(id, pairs, end));
                }
                _ => return self.error("did not find expected key"),
            }
        }
    }

    /// A key with its value in one token. Comments go where they would go if there were four.
    fn usual_pair(&mut self, pairs: &mut Vec<NodeId>) -> Parse<()> {
        let notes = self.attach();
        let Token { kind: TokenKind::Pair(pair), start } = self.take()? else {
            return self.error("did not find expected key");
        };
        let scalar = |text, plain| Kind::Scalar { text: Piece::Borrowed(text), plain };
        let key = self.add(scalar(pair.key, true), None, start, notes);
        self.lift_key_foot(pairs, key);
        self.scanner.comments.merge_up_to(pair.value_start.index, false);
        let notes = self.attach();
        let value = self.add(scalar(pair.value, pair.plain), None, start, notes);
        self.lift_foot(key, value);
        pairs.extend([key, value]);
        Ok(())
    }

    fn block_value(&mut self) -> Parse<NodeId> {
        if self.peek()? != Sort::Value {
            return self.empty();
        }
        match self.next()? {
            Sort::Key | Sort::Pair | Sort::Value | Sort::BlockEnd => self.empty(),
            _ => self.node(Place::BlockMapping),
        }
    }

    /// The foot that a key got belongs to the key above (yaml.md §4.3).
    fn lift_key_foot(&mut self, pairs: &[NodeId], key: NodeId) {
        if self.has_notes(key)
            && let [.., previous, _] = *pairs
        {
            let foot = std::mem::take(&mut self.notes(key).foot);
            if !foot.is_empty() {
                self.notes(previous).foot = foot;
            }
        }
    }

    /// The foot that a value got belongs to its key (yaml.md §4.3).
    fn lift_foot(&mut self, key: NodeId, value: NodeId) {
        if self.has_notes(value) {
            let foot = std::mem::take(&mut self.notes(value).foot);
            if !foot.is_empty() {
                let target = if self.notes(key).foot.is_empty() { key } else { value };
                self.notes(target).foot = foot;
            }
        }
    }

    fn flow_sequence(&mut self, tag: Option<Box<str>>, mark: Mark) -> Parse<NodeId> {
        let head = self.attach().head;
        let id = self.open(Kind::Sequence(Box::default()), tag, mark, head);
        self.take()?;
        let mut items = Vec::new();
        loop {
            let mut sort = self.peek()?;
            if sort != Sort::FlowSequenceEnd && !items.is_empty() {
                if sort != Sort::FlowEntry {
                    return self.error("did not find expected ',' or ']'");
                }
                sort = self.next()?;
            }
            match sort {
                Sort::Key => items.push(self.single_pair()?),
                Sort::FlowSequenceEnd => {
                    let end = self.attach();
                    self.take()?;
                    return Ok(self.close(id, items, end));
                }
                _ => items.push(self.node(Place::Flow)?),
            }
        }
    }

    /// `[key: value]`: a mapping of one pair.
    fn single_pair(&mut self) -> Parse<NodeId> {
        let mark = self.mark()?;
        let id = self.open(Kind::Mapping(Box::default()), None, mark, Piece::default());
        let key = match self.next()? {
            Sort::Value | Sort::FlowEntry | Sort::FlowSequenceEnd => {
                // the reference passes this token, whatever it is
                let key = self.empty()?;
                self.take()?;
                key
            }
            _ => self.node(Place::Flow)?,
        };
        let value = match self.peek()? {
            Sort::Value => match self.next()? {
                Sort::FlowEntry | Sort::FlowSequenceEnd => self.empty()?,
                _ => self.node(Place::Flow)?,
            },
            _ => self.empty()?,
        };
        Ok(self.close(id, vec![key, value], Notes::default()))
    }

    fn flow_mapping(&mut self, tag: Option<Box<str>>, mark: Mark) -> Parse<NodeId> {
        let head = self.attach().head;
        let id = self.open(Kind::Mapping(Box::default()), tag, mark, head);
        self.take()?;
        let mut pairs = Vec::new();
        loop {
            let mut sort = self.peek()?;
            if sort != Sort::FlowMappingEnd && !pairs.is_empty() {
                if sort != Sort::FlowEntry {
                    return self.error("did not find expected ',' or '}'");
                }
                sort = self.next()?;
            }
            let (key, value) = match sort {
                Sort::Key => {
                    let key = match self.next()? {
                        Sort::Value | Sort::FlowEntry | Sort::FlowMappingEnd => self.empty()?,
                        _ => self.node(Place::Flow)?,
                    };
                    let value = match self.peek()? {
                        Sort::Value => match self.next()? {
                            Sort::FlowEntry | Sort::FlowMappingEnd => self.empty()?,
                            _ => self.node(Place::Flow)?,
                        },
                        _ => self.empty()?,
                    };
                    (key, value)
                }
                Sort::FlowMappingEnd => {
                    let end = self.attach();
                    self.take()?;
                    return Ok(self.close(id, pairs, end));
                }
                // a key without a colon
                _ => (self.node(Place::Flow)?, self.empty()?),
            };
            self.lift_foot(key, value);
            pairs.extend([key, value]);
        }
    }
}
