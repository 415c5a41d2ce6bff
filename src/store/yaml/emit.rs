//! Tree → text (yaml.md §7–§9).
//!
//! The reference's emitter reacts to events; comments that an event brings wait until some later step prints them.
//! Which step that is decides the bytes, so those steps keep their names here: [`Emitter::head`],
//! [`Emitter::line`], [`Emitter::foot`] and [`Emitter::indent`].

use zeroize::Zeroizing;

use super::NegativeIndent;
use super::style::{Shape, Style};
use crate::tree::{Branch, Element, Item, Scalar, TextBuffer, Tree, Value};

/// Configured indentation, 2 to 9.
#[derive(Clone, Copy)]
pub(super) struct BlanksPerLevel(i32);

impl Default for BlanksPerLevel {
    fn default() -> Self {
        Self(4)
    }
}

impl TryFrom<i64> for BlanksPerLevel {
    type Error = NegativeIndent;

    fn try_from(configured: i64) -> Result<Self, NegativeIndent> {
        match configured {
            ..0 => Err(NegativeIndent),
            0 => Ok(Self::default()),
            2..=9 => Ok(Self(configured as i32)),
            _ => Ok(Self(2)),
        }
    }
}

/// All documents.
pub(super) fn documents(tree: &Tree, blanks: BlanksPerLevel) -> Zeroizing<Vec<u8>> {
    let mut emitter = Emitter::new(blanks, tree.text_size(ENTRY_FRAME));
    for (number, branch) in tree.branches.iter().enumerate() {
        emitter.document(number, |e| e.root_mapping(branch));
    }
    emitter.out.into_bytes()
}

/// One value as a document of its own.
pub(super) fn value(value: &Value, blanks: BlanksPerLevel) -> Zeroizing<Vec<u8>> {
    let mut emitter = Emitter::new(blanks, 0);
    emitter.document(0, |e| {
        let mut around = Around::default();
        e.announce(value, &mut around);
        e.head();
        e.body(value, around, Parent::Document);
    });
    emitter.out.into_bytes()
}

struct Emitter {
    out: TextBuffer,
    blanks: BlanksPerLevel,
    column: i32,
    /// -1 before the root.
    indent: i32,
    /// The last output is a blank, or something that counts so.
    after_blank: bool,
    /// So far the line holds indentation and indicators only.
    at_indent: bool,
    /// At this indentation, a blank line separates a foot comment from what follows. -1: none.
    foot_indent: i32,
    waiting: Waiting,
}

/// Comments that wait to be printed.
#[derive(Default)]
struct Waiting {
    head: Vec<u8>,
    line: Vec<u8>,
    foot: Vec<u8>,
    /// The foot of the key before.
    tail: Vec<u8>,
    /// A line comment that waited when a key came.
    key_line: Vec<u8>,
}

/// The comments of a value.
#[derive(Default)]
struct Around {
    head: Vec<u8>,
    line: Vec<u8>,
    foot: Vec<u8>,
}

/// What a value stands under.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    Document,
    Item,
    Key,
}

/// A scalar that stands as a simple key must fit on one line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    SimpleKey,
    Other,
}

/// Indentation, colon, blank and line end of an entry that is not nested very deep.
const ENTRY_FRAME: usize = 16;

/// A simple key has at most this many bytes, tag included.
const SIMPLE_KEY_LIMIT: usize = 128;

/// Replaces what waits, if there is something new.
fn set(waiting: &mut Vec<u8>, comment: Vec<u8>) {
    if !comment.is_empty() {
        *waiting = comment;
    }
}

fn add_comment(lines: &mut Vec<u8>, text: &[u8]) {
    if !lines.is_empty() {
        lines.push(b'\n');
    }
    lines.push(b'#');
    lines.extend_from_slice(text);
}

impl Emitter {
    fn new(blanks: BlanksPerLevel, capacity: usize) -> Self {
        Self {
            out: TextBuffer::with_capacity(capacity),
            blanks,
            column: 0,
            indent: -1,
            after_blank: true,
            at_indent: true,
            foot_indent: -1,
            waiting: Waiting::default(),
        }
    }

    // The steps

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend(bytes);
        self.column += bytes.len() as i32;
    }

    fn newline(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.at_indent = true;
    }

    fn pad_to(&mut self, column: i32) {
        if self.column < column {
            self.out.repeat(b' ', (column - self.column) as usize);
            self.column = column;
        }
    }

    fn indent(&mut self) {
        let target = self.indent.max(0);
        if !self.at_indent || self.column > target || (self.column == target && !self.after_blank) {
            self.newline();
        }
        if self.foot_indent == target {
            self.newline();
        }
        self.pad_to(target);
        self.after_blank = true;
        self.foot_indent = -1;
    }

    fn space(&mut self) {
        if !self.after_blank {
            self.put(b" ");
        }
    }

    /// `-`, `?`, or `:` behind one of those: indentation goes on behind it.
    fn indicator(&mut self, text: &[u8]) {
        self.space();
        self.put(text);
        self.after_blank = false;
    }

    fn comment(&mut self, text: &[u8]) {
        for (number, line) in text.split(|b| *b == b'\n').enumerate() {
            if number > 0 && !line.is_empty() {
                self.indent();
            }
            if !line.is_empty() {
                if line[0] != b'#' {
                    self.put(b"# ");
                }
                self.put(line);
                self.at_indent = false;
            }
            self.newline();
        }
        self.after_blank = true;
    }

    fn head(&mut self) {
        if !self.waiting.tail.is_empty() {
            let tail = std::mem::take(&mut self.waiting.tail);
            self.indent();
            self.comment(&tail);
            self.foot_indent = self.indent.max(0);
        }
        if !self.waiting.head.is_empty() {
            let head = std::mem::take(&mut self.waiting.head);
            self.indent();
            self.comment(&head);
        }
    }

    fn line(&mut self) {
        if !self.waiting.line.is_empty() {
            let line = std::mem::take(&mut self.waiting.line);
            self.space();
            self.comment(&line);
        }
    }

    fn foot(&mut self) {
        if !self.waiting.foot.is_empty() {
            let foot = std::mem::take(&mut self.waiting.foot);
            self.indent();
            self.comment(&foot);
            self.foot_indent = self.indent.max(0);
        }
    }

    /// A block collection's level, or that of a scalar or an empty collection.
    fn deeper(&self, parent: Parent, block: bool) -> i32 {
        let blanks = self.blanks.0;
        match (self.indent, parent) {
            (..0, _) if block => 0,
            (..0, _) => blanks,
            (indent, Parent::Item) => indent + 2,
            (indent, _) => (indent + blanks) / blanks * blanks,
        }
    }

    // Documents and collections

    fn document(&mut self, number: usize, content: impl FnOnce(&mut Self)) {
        if number > 0 {
            self.indent();
            self.indicator(b"---");
            self.at_indent = false;
            self.indent();
        }
        content(self);
        // whatever foot is left is set apart
        self.foot_indent = 0;
        self.foot();
        self.foot_indent = -1;
        self.indent();
    }

    fn root_mapping(&mut self, branch: &Branch) {
        set(&mut self.waiting.head, mapping_head(branch));
        self.head();
        if has_entries(branch) {
            self.line();
            self.foot();
            self.mapping(branch, Around::default(), Parent::Document);
        } else {
            self.empty_mapping(Around::default());
        }
    }

    /// A value is reached: what stands above it now waits, and all comments of a scalar do.
    fn announce(&mut self, value: &Value, around: &mut Around) {
        let own_head = match value {
            Value::Scalar(_) => {
                set(&mut self.waiting.line, std::mem::take(&mut around.line));
                set(&mut self.waiting.foot, std::mem::take(&mut around.foot));
                Vec::new()
            }
            Value::Map(branch) => mapping_head(branch),
            Value::List(elements) => list_head(elements),
        };
        let mut head = std::mem::take(&mut around.head);
        if !head.is_empty() && !own_head.is_empty() {
            head.push(b'\n');
        }
        head.extend(own_head);
        set(&mut self.waiting.head, head);
    }

    /// The value itself, and the comments that wait behind it.
    fn body(&mut self, value: &Value, around: Around, parent: Parent) {
        match value {
            Value::Scalar(scalar) => {
                self.scalar(&Shape::of(scalar), Role::Other, parent);
                self.line();
                self.foot();
            }
            // The reference prints a waiting line comment before the braces and puts them at column 0, where they
            // cannot be read again (yaml.md §11, D3). Here it comes behind them.
            Value::Map(branch) if !has_entries(branch) => self.empty_mapping(around),
            Value::List(elements) if !has_values(elements) => self.empty_list(around),
            Value::Map(branch) => {
                self.line();
                self.foot();
                self.mapping(branch, around, parent);
            }
            Value::List(elements) => {
                self.line();
                self.foot();
                self.list(elements, around, parent);
            }
        }
    }

    fn empty_mapping(&mut self, around: Around) {
        self.space();
        self.put(b"{");
        (self.after_blank, self.at_indent) = (true, false);
        let outer = self.indent;
        self.indent = self.deeper(Parent::Key, false);
        set(&mut self.waiting.line, around.line);
        set(&mut self.waiting.foot, around.foot);
        self.head();
        self.indent = outer;
        self.close_empty(b"}");
    }

    fn empty_list(&mut self, around: Around) {
        self.space();
        self.put(b"[");
        (self.after_blank, self.at_indent) = (true, false);
        set(&mut self.waiting.line, around.line);
        set(&mut self.waiting.foot, around.foot);
        self.close_empty(b"]");
    }

    fn close_empty(&mut self, bracket: &[u8]) {
        if self.column == 0 && bracket == b"]" {
            self.indent();
        }
        self.put(bracket);
        (self.after_blank, self.at_indent) = (false, false);
        self.line();
        self.foot();
    }

    fn mapping(&mut self, branch: &Branch, around: Around, parent: Parent) {
        let outer = self.indent;
        self.indent = self.deeper(parent, true);
        let (mut head, mut line) = (Vec::new(), Vec::new());
        let mut first = true;
        for item in &branch.items {
            match item {
                Item::Comment(comment) if comment.inline => add_comment(&mut line, comment.text.as_bytes()),
                Item::Comment(comment) => add_comment(&mut head, comment.text.as_bytes()),
                Item::Entry { key, value } => {
                    // what stands above the first key was announced with the mapping
                    if std::mem::take(&mut first) {
                        head.clear();
                    }
                    set(&mut self.waiting.head, std::mem::take(&mut head));
                    self.entry(key, value, std::mem::take(&mut line));
                }
            }
        }
        set(&mut self.waiting.line, around.line);
        set(&mut self.waiting.foot, around.foot);
        set(&mut self.waiting.tail, below(head, line));
        self.head();
        self.indent = outer;
    }

    fn entry(&mut self, key: &Scalar, value: &Value, line: Vec<u8>) {
        self.head();
        self.indent();
        if !self.waiting.line.is_empty() {
            self.waiting.key_line = std::mem::take(&mut self.waiting.line);
        }
        let shape = Shape::of(key);
        if shape.is_single_line() && shape.length() <= SIMPLE_KEY_LIMIT {
            self.scalar(&shape, Role::SimpleKey, Parent::Key);
            self.put(b":");
            (self.after_blank, self.at_indent) = (false, false);
        } else {
            self.indicator(b"?");
            self.scalar(&shape, Role::Other, Parent::Key);
            self.indent();
            self.indicator(b":");
        }
        let mut around = Around { line, ..Around::default() };
        self.announce(value, &mut around);
        self.place_key_line(value);
        self.body(value, around, Parent::Key);
    }

    /// A line comment that waited before a key goes behind the key's scalar, or behind the key itself.
    fn place_key_line(&mut self, value: &Value) {
        let fits_behind = match value {
            Value::Scalar(_) => true,
            Value::Map(branch) => !has_entries(branch),
            Value::List(elements) => !has_values(elements),
        };
        if self.waiting.key_line.is_empty() {
            return;
        }
        if !fits_behind {
            let key_line = std::mem::take(&mut self.waiting.key_line);
            self.space();
            self.comment(&key_line);
        } else if self.waiting.line.is_empty() {
            self.waiting.line = std::mem::take(&mut self.waiting.key_line);
        }
    }

    fn list(&mut self, elements: &[Element], around: Around, parent: Parent) {
        let outer = self.indent;
        self.indent = self.deeper(parent, true);
        let last = elements.iter().rposition(|e| matches!(e, Element::Value(_))).unwrap_or(0);
        let (mut head, mut line) = (Vec::new(), Vec::new());
        let mut first = true;
        for (position, element) in elements[..=last].iter().enumerate() {
            match element {
                Element::Comment(comment) if comment.inline => {
                    add_comment(&mut line, comment.text.as_bytes())
                }
                Element::Comment(comment) => add_comment(&mut head, comment.text.as_bytes()),
                Element::Value(value) => {
                    // what stands above the first item was announced with the list
                    if std::mem::take(&mut first) {
                        head.clear();
                    }
                    let foot = if position == last { list_foot(&elements[last + 1..]) } else { Vec::new() };
                    let mut around =
                        Around { head: std::mem::take(&mut head), line: std::mem::take(&mut line), foot };
                    self.announce(value, &mut around);
                    self.head();
                    self.indent();
                    self.indicator(b"-");
                    self.body(value, around, Parent::Item);
                }
            }
        }
        set(&mut self.waiting.line, around.line);
        set(&mut self.waiting.foot, around.foot);
        self.indent = outer;
    }

    // Scalars

    fn scalar(&mut self, shape: &Shape<'_>, role: Role, parent: Parent) {
        let outer = self.indent;
        self.indent = self.deeper(parent, false);
        if let Some(tag) = shape.tag {
            self.space();
            self.put(tag.as_bytes());
            (self.after_blank, self.at_indent) = (false, false);
        }
        match shape.style {
            Style::Literal if role == Role::SimpleKey => self.double_quoted(&shape.text),
            Style::Plain => {
                self.space();
                self.put(shape.text.as_bytes());
                (self.after_blank, self.at_indent) = (false, false);
            }
            Style::SingleQuoted => self.single_quoted(&shape.text),
            Style::DoubleQuoted => self.double_quoted(&shape.text),
            Style::Literal => self.literal(&shape.text, self.indent - outer.max(0)),
        }
        self.indent = outer;
    }

    fn single_quoted(&mut self, text: &str) {
        self.space();
        self.put(b"'");
        // LS and PS end a line; what follows is indented (yaml.md §7.8)
        for piece in text.split_inclusive(['\u{2028}', '\u{2029}']) {
            if self.column == 0 {
                self.pad_to(self.indent);
            }
            self.put(piece.replace('\'', "''").as_bytes());
            if piece.ends_with(['\u{2028}', '\u{2029}']) {
                self.column = 0;
            }
        }
        self.put(b"'");
        (self.after_blank, self.at_indent) = (false, false);
    }

    fn double_quoted(&mut self, text: &str) {
        self.space();
        self.put(b"\"");
        super::style::escape(text, &mut self.out);
        self.put(b"\"");
        (self.after_blank, self.at_indent) = (false, false);
    }

    /// `depth`: columns between the block around and the text.
    fn literal(&mut self, text: &str, depth: i32) {
        self.space();
        self.put(b"|");
        let is_break = |c: &char| matches!(c, '\n' | '\u{2028}' | '\u{2029}');
        if text.starts_with(|c| c == ' ' || is_break(&c)) {
            // the reference writes the configured indentation, which is wrong inside lists (yaml.md §11, D2)
            self.put(depth.to_string().as_bytes());
        }
        let mut ending = text.chars().rev();
        match (ending.next().filter(is_break), ending.next()) {
            (None, _) => self.put(b"-"),
            (Some(_), None) => self.put(b"+"),
            (Some(_), Some(before)) if is_break(&before) => self.put(b"+"),
            _ => {}
        }
        self.after_blank = false;
        self.at_indent = false;
        if self.waiting.line.is_empty() {
            self.newline();
        } else {
            self.line();
        }
        self.after_blank = true;
        for piece in text.split_inclusive(['\n', '\u{2028}', '\u{2029}']) {
            let line = piece.trim_end_matches(['\n', '\u{2028}', '\u{2029}']);
            if !line.is_empty() {
                self.pad_to(self.indent);
                self.put(line.as_bytes());
                self.at_indent = false;
            }
            match &piece[line.len()..] {
                "" => {}
                "\n" => self.newline(),
                other => {
                    self.put(other.as_bytes());
                    (self.column, self.at_indent) = (0, true);
                }
            }
        }
    }
}

fn has_entries(branch: &Branch) -> bool {
    branch.items.iter().any(|item| matches!(item, Item::Entry { .. }))
}

fn has_values(elements: &[Element]) -> bool {
    elements.iter().any(|element| matches!(element, Element::Value(_)))
}

/// Ordinary comments first, then those meant to stand behind a value.
fn below(mut own_line: Vec<u8>, inline: Vec<u8>) -> Vec<u8> {
    if !own_line.is_empty() && !inline.is_empty() {
        own_line.push(b'\n');
    }
    own_line.extend(inline);
    own_line
}

/// The comments above the first entry. Without entries, all of them.
fn mapping_head(branch: &Branch) -> Vec<u8> {
    let (mut head, mut line) = (Vec::new(), Vec::new());
    for item in &branch.items {
        match item {
            Item::Comment(comment) => {
                add_comment(if comment.inline { &mut line } else { &mut head }, comment.text.as_bytes());
            }
            Item::Entry { .. } => return head,
        }
    }
    below(head, line)
}

/// The comments above the first value. Without values, all of them.
fn list_head(elements: &[Element]) -> Vec<u8> {
    let (mut head, mut line) = (Vec::new(), Vec::new());
    for element in elements {
        match element {
            Element::Comment(comment) => {
                add_comment(if comment.inline { &mut line } else { &mut head }, comment.text.as_bytes());
            }
            Element::Value(_) => return head,
        }
    }
    below(head, line)
}

/// The comments behind the last value.
fn list_foot(elements: &[Element]) -> Vec<u8> {
    list_head(elements)
}
