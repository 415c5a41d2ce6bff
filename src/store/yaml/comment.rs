//! Which token a comment belongs to (yaml.md §3 and §4.1).

use std::collections::VecDeque;

use super::Piece;
use super::scan::{Mark, Passed, PassedKind, Scanner, break_length, line_end};

/// Where a comment stands to what it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// Above.
    Head,
    /// Behind, on the same line.
    Line,
    /// Below.
    Foot,
}

/// A comment that no token has claimed yet.
struct Entry<'s> {
    side: Side,
    /// With `#`, lines joined by LF.
    text: Piece<'s>,
    /// Where the search for it began.
    scan: Mark,
    /// The first token at or behind this offset claims it.
    anchor: u32,
    /// Its beginning. For comments on lines of their own the column counts from 1.
    start: Mark,
    /// Offset of its end; 0 for line comments.
    end: u32,
}

/// Comment texts that wait for a node, or that a node got. Empty if there is none.
#[derive(Clone, Default)]
pub(super) struct Notes<'s> {
    pub(super) head: Piece<'s>,
    pub(super) line: Piece<'s>,
    pub(super) foot: Piece<'s>,
}

impl Notes<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.line.is_empty() && self.foot.is_empty()
    }
}

/// The comments between the scanner and the parser.
#[derive(Default)]
pub(super) struct Comments<'s> {
    waiting: VecDeque<Entry<'s>>,
    /// Claimed, but not yet attached to a node.
    pub(super) pending: Notes<'s>,
}

impl<'s> Comments<'s> {
    /// Claims what is anchored up to this offset. The end of a block claims no head, and nothing behind one.
    pub(super) fn merge_up_to(&mut self, index: u32, is_block_end: bool) {
        while let Some(entry) = self.waiting.front() {
            if entry.anchor > index || (is_block_end && entry.side == Side::Head) {
                return;
            }
            if let Some(entry) = self.waiting.pop_front() {
                let pending = match entry.side {
                    Side::Head => &mut self.pending.head,
                    Side::Line => &mut self.pending.line,
                    Side::Foot => &mut self.pending.foot,
                };
                pending.join(entry.text);
            }
        }
    }

    /// Where the end of a block with this indentation lies, given where it would lie without comments.
    pub(super) fn block_end(&self, indent: i32, mut end: Mark) -> Mark {
        let mut reached = end.index;
        for entry in self.waiting.iter().rev() {
            if entry.end < reached {
                break;
            }
            if entry.start.column as i32 == indent + 1 {
                end = entry.start;
            }
            // entries that touch each other are looked through
            reached = entry.scan.index;
        }
        end
    }
}

/// Between comment lines no more characters than this are looked at.
const REACH: usize = 512;

impl<'s> Scanner<'s> {
    /// Passes blanks, line breaks and comments.
    pub(super) fn skip_to_token(&mut self, from: Mark) -> Result<(), super::YamlError> {
        loop {
            // a tab may separate, but not indent
            while self.byte(0) == b' '
                || (self.byte(0) == b'\t' && (self.in_flow() || !self.simple_key_is_allowed()))
            {
                self.advance(1);
            }
            self.lift_entry_comment();
            if self.byte(0) == b'#' {
                self.take_own_lines(from);
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.advance_line();
            if !self.in_flow() {
                self.allow_simple_key();
            }
        }
    }

    /// Takes the comment behind a token, which goes to what starts at `anchor`.
    pub(super) fn take_line_comment(&mut self, anchor: Mark) {
        if self.byte(0) != b'#' && !matches!(self.byte(0), b' ' | b'\t') {
            return;
        }
        let here = self.mark.index as usize;
        let blanks = self.bytes[here..].iter().take(REACH).take_while(|b| matches!(b, b' ' | b'\t')).count();
        if blanks == REACH || self.byte(blanks) != b'#' || self.newlines_before() > 0 {
            return;
        }
        self.advance(blanks);
        let start = self.mark;
        let text = Piece::Borrowed(self.take_line());
        let zero = Mark::default();
        self.comments.waiting.push_back(Entry {
            side: Side::Line,
            text,
            scan: zero,
            anchor: anchor.index,
            start,
            end: 0,
        });
    }

    /// A line comment right below the first `-` of a list becomes the head of what follows (yaml.md §3.3).
    fn lift_entry_comment(&mut self) {
        let first_entry = matches!(
            self.newest,
            [
                Some(Passed { kind: PassedKind::BlockEntry, .. }),
                Some(Passed { kind: PassedKind::BlockSequenceStart, .. })
            ]
        );
        if !first_entry || self.is_break(0) {
            return;
        }
        let (line, index) = (self.mark.line, self.mark.index);
        if let Some(entry) = self.comments.waiting.back_mut()
            && entry.side == Side::Line
        {
            entry.side = Side::Head;
            if entry.start.line + 1 == line {
                entry.anchor = index;
            }
        }
    }

    /// Takes comments on lines of their own, and those behind `-`, `---` and `...` (yaml.md §3.2).
    ///
    /// `from` is where the search for the next token began. Columns are counted from 1 in here.
    fn take_own_lines(&mut self, from: Mark) {
        let previous = match self.newest {
            [Some(Passed { kind: PassedKind::FlowEntry, .. }), Some(before)] => before,
            [Some(newest), _] => newest,
            [None, _] => Passed { kind: PassedKind::Other, start: Mark::default() },
        };
        let newlines = self.newlines_before();
        let next_indent = self.indent.max(0);
        let foot_line = self.foot_line(from, newlines);
        let mut first_empty = newlines <= 1;
        let mut recent_empty = false;
        let mut run =
            Run { scan: from, anchor: previous.start, start: Mark::default(), text: Piece::default() };
        let (mut line, mut column) = (self.mark.line, self.mark.column);
        let mut ahead = 0;
        while ahead < REACH {
            column += 1;
            let byte = self.byte(ahead);
            if matches!(byte, b' ' | b'\t') {
                ahead += 1;
                continue;
            }
            let here = Mark { index: self.mark.index + ahead as u32, line, column };
            let dedented = (run.start.column as i32) - 1 < next_indent;
            let closes_flow = self.in_flow() && matches!(byte, b']' | b'}');
            let breaks = break_length(self.bytes, here.index as usize) > 0;
            if closes_flow || breaks || byte == 0 {
                if closes_flow || !recent_empty {
                    let below = i64::from(run.start.line) == foot_line && previous.kind != PassedKind::Value;
                    if closes_flow || (first_empty && (below || dedented)) {
                        if dedented {
                            run.anchor = run.start;
                        }
                        self.end_run(&mut run, here);
                    } else if !run.text.is_empty() && byte != 0 {
                        // an empty line is remembered: it may separate the document's head
                        run.text.push_str("\n");
                    }
                }
                if !breaks {
                    break;
                }
                (first_empty, recent_empty) = (false, true);
                (line, column) = (line + 1, 0);
                ahead += 1;
                continue;
            }
            let column_changed = (column as i32) - 1 < next_indent && column != run.start.column;
            if column_changed {
                // what follows is less indented: so far it was the foot of what stands above
                self.end_run(&mut run, here);
            }
            if byte != b'#' {
                break;
            }
            if run.text.is_empty() {
                run.start = here;
            } else {
                run.text.push_str("\n");
            }
            recent_empty = false;
            self.advance_to(here.index);
            run.text.append(self.take_line());
            // the break behind the comment is passed without counting a line; in CRLF, the LF then looks like an
            // empty line (yaml.md §3.4)
            (line, column) = (self.mark.line, 0);
            ahead = 1;
        }
        if !run.text.is_empty() {
            self.comments.waiting.push_back(Entry {
                side: Side::Head,
                text: run.text,
                scan: run.scan,
                anchor: run.start.index,
                start: run.start,
                end: self.mark.index + ahead as u32 - 1,
            });
        }
    }

    /// The line on which a comment must begin to be the foot of what stands above; -1 on the first line.
    fn foot_line(&self, from: Mark, newlines: u32) -> i64 {
        if from.line == 0 {
            return -1;
        }
        let below = i64::from(self.mark.line) - i64::from(newlines) + 1;
        below + i64::from(newlines == 0 && self.mark.column > 1)
    }

    /// What was collected is a foot; the next comment begins anew.
    fn end_run(&mut self, run: &mut Run<'s>, here: Mark) {
        if run.text.is_empty() {
            return;
        }
        self.comments.waiting.push_back(Entry {
            side: Side::Foot,
            text: std::mem::take(&mut run.text),
            scan: run.scan,
            anchor: run.anchor.index,
            start: run.start,
            end: here.index,
        });
        (run.scan, run.anchor) = (here, here);
    }

    fn advance_to(&mut self, index: u32) {
        while self.mark.index < index {
            if self.is_break(0) {
                self.advance_line();
            } else {
                self.advance(1);
            }
        }
    }

    /// The rest of the line, without its break.
    fn take_line(&mut self) -> &'s str {
        let from = self.mark.index as usize;
        let to = line_end(self.bytes, from);
        self.advance(to - from);
        &self.text[from..to]
    }

    /// Line breaks since the last character that is neither blank nor break.
    fn newlines_before(&self) -> u32 {
        let mut at = self.mark.index as usize;
        let mut newlines = 0;
        while at > 0 {
            let length = match &self.bytes[..at] {
                [.., b' ' | b'\t'] => 1,
                [.., b'\r', b'\n'] => 2,
                [.., b'\n' | b'\r'] => 1,
                [.., 0xC2, 0x85] => 2,
                [.., 0xE2, 0x80, 0xA8 | 0xA9] => 3,
                _ => break,
            };
            newlines += u32::from(!matches!(self.bytes[at - 1], b' ' | b'\t'));
            at -= length;
        }
        newlines
    }
}

/// Comment lines that are being collected.
struct Run<'s> {
    scan: Mark,
    anchor: Mark,
    start: Mark,
    text: Piece<'s>,
}
