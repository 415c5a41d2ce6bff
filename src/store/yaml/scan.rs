//! Text → tokens, with the comments beside them (yaml.md §2).
//!
//! The shape is that of libyaml 0.1: indentation is turned into block tokens, and a `KEY` token is put in front of
//! a token that turns out to be a simple key. Where comments go is decided in [`super::comment`].

use std::collections::VecDeque;

use super::comment::Comments;
use super::{Piece, YamlError};
use crate::tree::MAX_DEPTH;

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Byte offset.
    pub(super) index: u32,
    /// 0-based.
    pub(super) line: u32,
    /// 0-based, in characters.
    pub(super) column: u32,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScalarStyle {
    Plain,
    Quoted,
    Block,
}

#[derive(Clone, PartialEq)]
pub(super) enum TokenKind<'s> {
    StreamEnd,
    VersionDirective,
    TagDirective {
        handle: &'s str,
        prefix: String,
    },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'s str),
    Anchor(&'s str),
    Tag {
        handle: &'s str,
        suffix: String,
    },
    Scalar {
        text: Piece<'s>,
        style: ScalarStyle,
    },
    /// The usual line, which is four tokens elsewhere.
    Pair(Pair<'s>),
}

/// A plain key, a colon and a value.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Pair<'s> {
    pub(super) key: &'s str,
    pub(super) value: &'s str,
    /// Whether the value stands without quotes.
    pub(super) plain: bool,
    pub(super) value_start: Mark,
}

#[derive(Clone, PartialEq)]
pub(super) struct Token<'s> {
    pub(super) kind: TokenKind<'s>,
    pub(super) start: Mark,
}

/// What comments need to know of a token that was already handed out.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Passed {
    pub(super) kind: PassedKind,
    pub(super) start: Mark,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum PassedKind {
    BlockSequenceStart,
    BlockEntry,
    FlowEntry,
    Value,
    Other,
}

impl PassedKind {
    fn of(kind: &TokenKind<'_>) -> Self {
        match kind {
            TokenKind::BlockSequenceStart => Self::BlockSequenceStart,
            TokenKind::BlockEntry => Self::BlockEntry,
            TokenKind::FlowEntry => Self::FlowEntry,
            TokenKind::Value => Self::Value,
            _ => Self::Other,
        }
    }
}

/// A token that may turn out to be the key of a mapping.
#[derive(Clone, Copy)]
struct SimpleKey {
    /// It stands where nothing but a key can stand.
    required: bool,
    /// Its number, counted from the first token of the file.
    token: usize,
    mark: Mark,
}

pub(super) struct Scanner<'s> {
    pub(super) text: &'s str,
    pub(super) bytes: &'s [u8],
    /// Every character is one byte, so that columns are differences of offsets.
    ascii: bool,
    pub(super) mark: Mark,
    tokens: VecDeque<Token<'s>>,
    /// Tokens that were taken out of the queue.
    taken: usize,
    /// The newest token and the one before it.
    pub(super) newest: [Option<Passed>; 2],
    /// The front token was looked at; until it is taken, nothing changes.
    peeked: bool,
    ended: bool,
    /// Columns of the open block collections but the innermost.
    indents: Vec<i32>,
    /// Column of the innermost block collection, -1 outside of all.
    pub(super) indent: i32,
    /// One entry a flow level, the block level first.
    simple_keys: Vec<Option<SimpleKey>>,
    simple_key_allowed: bool,
    pub(super) comments: Comments<'s>,
}

/// A simple key ends within this many characters (yaml.md §2.2).
const SIMPLE_KEY_LIMIT: usize = 1024;

/// The queue holds this many tokens before one is handed out, so that the comments behind a token are known when it
/// is looked at (yaml.md §2.13). A pair stands for four, but what is behind it
/// must be known too.
const LOOK_AHEAD: usize = 3;

type Scan<T> = Result<T, YamlError>;

impl<'s> Scanner<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            ascii: text.is_ascii(),
            mark: Mark::default(),
            tokens: VecDeque::new(),
            taken: 0,
            newest: [None, None],
            peeked: false,
            ended: false,
            indents: Vec::new(),
            indent: -1,
            simple_keys: vec![None],
            simple_key_allowed: true,
            comments: Comments::default(),
        }
    }

    /// The next token, left in place; comments that belong to it become pending.
    pub(super) fn peek(&mut self) -> Scan<&Token<'s>> {
        if !self.peeked {
            self.fill()?;
        }
        let front =
            self.tokens.front().ok_or_else(|| YamlError::new("did not find expected <stream-end>"))?;
        if !self.peeked {
            self.peeked = true;
            let is_block_end = matches!(front.kind, TokenKind::BlockEnd);
            self.comments.merge_up_to(front.start.index, is_block_end);
        }
        Ok(front)
    }

    /// Takes the token that was peeked at.
    pub(super) fn take(&mut self) -> Option<Token<'s>> {
        self.taken += 1;
        self.peeked = false;
        self.tokens.pop_front()
    }

    /// Bytes ahead; 0 behind the end of the file.
    #[inline]
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.mark.index as usize + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'s [u8] {
        &self.bytes[self.mark.index as usize..]
    }

    /// Passes bytes that hold no line break.
    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        let from = self.mark.index as usize;
        let characters = if self.ascii { bytes } else { count_characters(&self.bytes[from..from + bytes]) };
        self.mark.index += bytes as u32;
        self.mark.column += characters as u32;
    }

    /// Passes the line break that stands here, if one does.
    #[inline]
    pub(super) fn advance_line(&mut self) {
        let length = break_length(self.bytes, self.mark.index as usize);
        if length > 0 {
            self.mark = Mark { index: self.mark.index + length as u32, line: self.mark.line + 1, column: 0 };
        }
    }

    #[inline]
    pub(super) fn is_break(&self, ahead: usize) -> bool {
        break_length(self.bytes, self.mark.index as usize + ahead) > 0
    }

    #[inline]
    fn is_blank_or_end(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), b' ' | b'\t' | 0) || self.is_break(ahead)
    }

    pub(super) fn in_flow(&self) -> bool {
        self.simple_keys.len() > 1
    }

    pub(super) fn error<T>(&self, problem: &'static str) -> Scan<T> {
        Err(YamlError::at(self.mark.line, problem))
    }

    // The queue

    fn fill(&mut self) -> Scan<()> {
        while !self.ended && (!self.looked_ahead() || self.head_may_be_a_key()?) {
            self.fetch()?;
        }
        Ok(())
    }

    fn looked_ahead(&self) -> bool {
        let is_pair = |token: &Token<'_>| matches!(token.kind, TokenKind::Pair(_));
        self.tokens.len() >= LOOK_AHEAD || (self.tokens.len() > 1 && self.tokens.iter().any(is_pair))
    }

    fn head_may_be_a_key(&mut self) -> Scan<bool> {
        for level in (0..self.simple_keys.len()).rev() {
            match self.simple_keys[level] {
                Some(key) if key.token == self.taken => return Ok(self.valid_simple_key(level)?.is_some()),
                Some(key) if key.token < self.taken => return Ok(false),
                _ => {}
            }
        }
        Ok(false)
    }

    fn push(&mut self, kind: TokenKind<'s>, start: Mark) {
        self.newest = [Some(Passed { kind: PassedKind::of(&kind), start }), self.newest[0]];
        self.tokens.push_back(Token { kind, start });
    }

    /// Reads at least one token more.
    fn fetch(&mut self) -> Scan<()> {
        let skipped_from = self.mark;
        self.skip_to_token(skipped_from)?;
        self.close_blocks(self.mark.column as i32, skipped_from);
        if self.fetch_usual_line()? {
            return Ok(());
        }
        let start = self.mark;
        match (self.byte(0), start.column) {
            (0, _) => return self.fetch_stream_end(),
            (b'%', 0) => return self.fetch_directive(),
            (b'-', 0) if self.is_document_marker(b"---") => {
                return self.fetch_marker(TokenKind::DocumentStart);
            }
            (b'.', 0) if self.is_document_marker(b"...") => return self.fetch_marker(TokenKind::DocumentEnd),
            _ => {}
        }
        // comments behind `:` and `,` belong to what stands before them
        let anchor = match (self.byte(0), self.in_flow(), self.newest[0]) {
            (b':', false, Some(token)) | (b',', true, Some(token)) => token.start,
            _ => start,
        };
        self.fetch_content()?;
        if self.newest[0].is_none_or(|token| token.kind != PassedKind::BlockEntry) {
            self.take_line_comment(anchor);
        }
        Ok(())
    }

    fn fetch_content(&mut self) -> Scan<()> {
        let flow = self.in_flow();
        match self.byte(0) {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if flow || self.is_blank_or_end(1) => self.fetch_key(),
            b':' if flow || self.is_blank_or_end(1) => self.fetch_value(),
            b'*' => self.fetch_name(),
            b'&' => self.fetch_name(),
            b'!' => self.fetch_tag(),
            b'|' if !flow => self.fetch_block_scalar(true),
            b'>' if !flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_quoted(b'\''),
            b'"' => self.fetch_quoted(b'"'),
            b'\t' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                self.error("found character that cannot start any token")
            }
            _ => self.fetch_plain(),
        }
    }

    fn is_document_marker(&self, marker: &[u8]) -> bool {
        self.rest().starts_with(marker) && self.is_blank_or_end(3)
    }

    // Simple keys and indentation

    /// The simple key of a flow level, if it can still be one: on the same line, not too far away.
    fn valid_simple_key(&mut self, level: usize) -> Scan<Option<SimpleKey>> {
        let Some(key) = self.simple_keys[level] else { return Ok(None) };
        let (from, to) = (key.mark.index as usize, self.mark.index as usize);
        let near = to - from <= SIMPLE_KEY_LIMIT
            || (!self.ascii && count_characters(&self.bytes[from..to]) <= SIMPLE_KEY_LIMIT);
        if key.mark.line == self.mark.line && near {
            return Ok(Some(key));
        }
        if key.required {
            return Err(YamlError::at(key.mark.line, "could not find expected ':'"));
        }
        self.simple_keys[level] = None;
        Ok(None)
    }

    /// Notes that the token which is about to be read may be a key.
    fn save_simple_key(&mut self) -> Scan<()> {
        if self.simple_key_allowed {
            self.remove_simple_key()?;
            let required = !self.in_flow() && self.indent == self.mark.column as i32;
            let key = SimpleKey { required, token: self.taken + self.tokens.len(), mark: self.mark };
            self.set_simple_key(Some(key));
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Scan<()> {
        let level = self.simple_keys.len() - 1;
        if let Some(SimpleKey { required: true, mark, .. }) = self.simple_keys[level] {
            return Err(YamlError::at(mark.line, "could not find expected ':'"));
        }
        self.set_simple_key(None);
        Ok(())
    }

    fn set_simple_key(&mut self, key: Option<SimpleKey>) {
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
    }

    /// Opens a block collection if the column asks for it. `number` is the token in front of which it opens.
    fn open_block(
        &mut self,
        column: u32,
        number: Option<usize>,
        kind: TokenKind<'s>,
        start: Mark,
    ) -> Scan<()> {
        if self.in_flow() || self.indent >= column as i32 {
            return Ok(());
        }
        if self.indents.len() >= MAX_DEPTH {
            return self.error("exceeded max depth of 10000");
        }
        self.indents.push(self.indent);
        self.indent = column as i32;
        match number {
            None => self.push(kind, start),
            Some(number) => self.tokens.insert(number - self.taken, Token { kind, start }),
        }
        Ok(())
    }

    /// Closes the block collections that are indented deeper than `column`.
    ///
    /// A comment in the closed block's column belongs to the block that stays open, so the end is put in front of it
    /// (yaml.md §3.5).
    fn close_blocks(&mut self, column: i32, from: Mark) {
        if self.in_flow() {
            return;
        }
        let mut end = Mark { index: from.index.wrapping_sub(1), ..from };
        while self.indent > column {
            end = self.comments.block_end(self.indent, end);
            self.push(TokenKind::BlockEnd, end);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    // One method a kind of token

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark = Mark { line: self.mark.line + 1, column: 0, ..self.mark };
        }
        self.close_blocks(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark);
        self.ended = true;
        Ok(())
    }

    fn fetch_marker(&mut self, kind: TokenKind<'s>) -> Scan<()> {
        self.close_blocks(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.advance(3);
        self.push(kind, start);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.close_blocks(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.advance(1);
        let kind = match self.take_word() {
            "YAML" => {
                self.skip_blanks();
                if self.take_word_until_blank() != "1.1" {
                    return self.error("found incompatible YAML document");
                }
                TokenKind::VersionDirective
            }
            "TAG" => {
                self.skip_blanks();
                let handle = self.take_tag_handle(true)?;
                if !matches!(self.byte(0), b' ' | b'\t') {
                    return self.error("did not find expected whitespace");
                }
                self.skip_blanks();
                let prefix = self.take_tag_uri(true)?;
                if !self.is_blank_or_end(0) {
                    return self.error("did not find expected whitespace or line break");
                }
                TokenKind::TagDirective { handle, prefix }
            }
            "" => return self.error("could not find expected directive name"),
            _ => return self.error("found unknown directive name"),
        };
        self.skip_blanks();
        if self.byte(0) == b'#' {
            // comments behind directives are lost (yaml.md §3.1)
            self.advance(line_end(self.bytes, self.mark.index as usize) - self.mark.index as usize);
        }
        if self.byte(0) != 0 && !self.is_break(0) {
            return self.error("did not find expected comment or line break");
        }
        self.advance_line();
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'s>) -> Scan<()> {
        self.save_simple_key()?;
        if self.simple_keys.len() > MAX_DEPTH {
            return self.error("exceeded max depth of 10000");
        }
        self.simple_keys.push(None);
        self.simple_key_allowed = true;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'s>) -> Scan<()> {
        self.remove_simple_key()?;
        if self.simple_keys.len() > 1 {
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        // in flow context the parser reports it
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return self.error("block sequence entries are not allowed in this context");
            }
            self.open_block(self.mark.column, None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if !self.in_flow() {
            if !self.simple_key_allowed {
                return self.error("mapping keys are not allowed in this context");
            }
            self.open_block(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = !self.in_flow();
        self.push_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        if let Some(key) = self.valid_simple_key(self.simple_keys.len() - 1)? {
            let position = key.token - self.taken;
            self.tokens.insert(position, Token { kind: TokenKind::Key, start: key.mark });
            self.open_block(key.mark.column, Some(key.token), TokenKind::BlockMappingStart, key.mark)?;
            self.set_simple_key(None);
            self.simple_key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.simple_key_allowed {
                    return self.error("mapping values are not allowed in this context");
                }
                self.open_block(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = !self.in_flow();
        }
        self.push_indicator(TokenKind::Value);
        Ok(())
    }

    /// A token of one character.
    fn push_indicator(&mut self, kind: TokenKind<'s>) {
        let start = self.mark;
        self.advance(1);
        self.push(kind, start);
    }

    /// An alias or an anchor.
    fn fetch_name(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let alias = self.byte(0) == b'*';
        self.advance(1);
        let name = self.take_word();
        let ended = self.is_blank_or_end(0) || b"?:,]}%@`".contains(&self.byte(0));
        if name.is_empty() || !ended {
            return self.error("did not find expected alphabetic or numeric character");
        }
        self.push(if alias { TokenKind::Alias(name) } else { TokenKind::Anchor(name) }, start);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (handle, suffix) = if self.byte(1) == b'<' {
            self.advance(2);
            let suffix = self.take_tag_uri(true)?;
            if self.byte(0) != b'>' {
                return self.error("did not find the expected '>'");
            }
            self.advance(1);
            ("", suffix)
        } else {
            let handle = self.take_tag_handle(false)?;
            if handle.len() >= 2 && handle.ends_with('!') {
                (handle, self.take_tag_uri(false)?)
            } else {
                // `!suffix`, or a lone `!`
                let suffix = handle.trim_start_matches('!').to_owned() + &self.take_tag_uri(true)?;
                if suffix.is_empty() { ("", "!".to_owned()) } else { ("!", suffix) }
            }
        };
        let ended = self.is_blank_or_end(0) || (self.in_flow() && self.byte(0) == b',');
        if !ended {
            return self.error("did not find expected whitespace or line break");
        }
        self.push(TokenKind::Tag { handle, suffix }, start);
        Ok(())
    }

    // Words

    fn skip_blanks(&mut self) {
        let blanks = self.rest().iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.advance(blanks);
    }

    /// A run of `[A-Za-z0-9_-]`.
    fn take_word(&mut self) -> &'s str {
        self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    }

    fn take_word_until_blank(&mut self) -> &'s str {
        self.take_while(|b| b.is_ascii_graphic())
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'s str {
        let from = self.mark.index as usize;
        let length = self.rest().iter().take_while(|b| belongs(**b)).count();
        self.advance(length);
        &self.text[from..from + length]
    }

    /// `!`, `!!` or `!name!`; in a tag, as opposed to a directive, also the beginning `!name` of a suffix.
    fn take_tag_handle(&mut self, directive: bool) -> Scan<&'s str> {
        if self.byte(0) != b'!' {
            return self.error("did not find expected '!'");
        }
        let from = self.mark.index as usize;
        self.advance(1);
        self.take_word();
        if self.byte(0) == b'!' {
            self.advance(1);
        } else if directive && &self.text[from..self.mark.index as usize] != "!" {
            return self.error("did not find expected '!'");
        }
        Ok(&self.text[from..self.mark.index as usize])
    }

    fn take_tag_uri(&mut self, may_be_empty: bool) -> Scan<String> {
        let raw = self.take_while(|b| b.is_ascii_alphanumeric() || b"-_;/?:@&=+$,.!~*'()[]%".contains(&b));
        // `,` and brackets end a tag in flow context, as they would end a plain scalar
        let raw = if self.in_flow() {
            let end = raw.find([',', '[', ']']).unwrap_or(raw.len());
            let back = (raw.len() - end) as u32;
            self.mark = Mark { index: self.mark.index - back, column: self.mark.column - back, ..self.mark };
            &raw[..end]
        } else {
            raw
        };
        if raw.is_empty() && !may_be_empty {
            return self.error("did not find expected tag URI");
        }
        let mut bytes = Vec::with_capacity(raw.len());
        let mut rest = raw.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            let (byte, tail) = match (first, tail) {
                (b'%', &[high, low, ref tail @ ..]) => match (hex_digit(high), hex_digit(low)) {
                    (Some(high), Some(low)) => ((high << 4 | low) as u8, tail),
                    _ => return self.error("did not find URI escaped octet"),
                },
                (b'%', _) => return self.error("did not find URI escaped octet"),
                _ => (first, tail),
            };
            bytes.push(byte);
            rest = tail;
        }
        String::from_utf8(bytes).or_else(|_| self.error("found an incorrect UTF-8 octet in a tag"))
    }

    // For the scalars and the usual line, in their own files

    /// A pair in a block mapping that is open already. `next`: where the search for the next token begins.
    pub(super) fn push_pair(&mut self, pair: Pair<'s>, colon: Mark, next: Mark) -> Scan<()> {
        self.remove_simple_key()?;
        // behind a plain value the line has ended already
        self.simple_key_allowed = pair.plain;
        self.tokens.push_back(Token { kind: TokenKind::Pair(pair), start: self.mark });
        let passed = |kind, start| Some(Passed { kind, start });
        self.newest = [passed(PassedKind::Other, pair.value_start), passed(PassedKind::Value, colon)];
        self.mark = next;
        Ok(())
    }

    pub(super) fn begin_scalar(&mut self, may_be_key: bool) -> Scan<()> {
        if may_be_key {
            self.save_simple_key()?;
        } else {
            self.remove_simple_key()?;
        }
        self.simple_key_allowed = !may_be_key;
        Ok(())
    }

    pub(super) fn allow_simple_key(&mut self) {
        self.simple_key_allowed = true;
    }

    pub(super) fn simple_key_is_allowed(&self) -> bool {
        self.simple_key_allowed
    }

    pub(super) fn push_scalar(&mut self, text: Piece<'s>, style: ScalarStyle, start: Mark) {
        self.push(TokenKind::Scalar { text, style }, start);
    }

    pub(super) fn at_document_marker(&self) -> bool {
        self.mark.column == 0 && (self.is_document_marker(b"---") || self.is_document_marker(b"..."))
    }

    pub(super) fn blank_or_end_at(&self, ahead: usize) -> bool {
        self.is_blank_or_end(ahead)
    }
}

pub(super) fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// Length of the line break at this offset, 0 if there is none: LF, CR, CRLF, NEL, LS, PS (yaml.md §1.3).
#[inline]
pub(super) fn break_length(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'\n') => 1,
        Some(b'\r') => 1 + usize::from(bytes.get(at + 1) == Some(&b'\n')),
        Some(0xC2) if bytes.get(at + 1) == Some(&0x85) => 2,
        Some(0xE2) if bytes.get(at + 1) == Some(&0x80) && matches!(bytes.get(at + 2), Some(0xA8 | 0xA9)) => 3,
        _ => 0,
    }
}

/// Offset of the next line break, or of the end.
pub(super) fn line_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at += length_without(&bytes[at..], |b| (b == b'\n') | (b == b'\r') | (b == 0xC2) | (b == 0xE2));
        if at == bytes.len() || break_length(bytes, at) > 0 {
            return at;
        }
        at += 1;
    }
}

/// How many bytes from the start are not special. Encrypted texts are long, so blocks are passed without a branch per
/// byte.
pub(super) fn length_without(bytes: &[u8], special: impl Fn(u8) -> bool) -> usize {
    let (blocks, _) = bytes.as_chunks::<16>();
    let clean = |block: &&[u8; 16]| !block.iter().fold(false, |found, b| found | special(*b));
    let start = 16 * blocks.iter().take_while(clean).count();
    start + bytes[start..].iter().take_while(|b| !special(**b)).count()
}

pub(super) fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| (**b as i8) >= -0x40).count()
}
