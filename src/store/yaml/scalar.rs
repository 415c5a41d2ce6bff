//! Scanning scalars: plain, quoted and block (yaml.md §2.5–2.10).

use super::scan::{ScalarStyle, Scanner, break_length, hex_digit};
use super::{Piece, YamlError};

type Scan<T> = Result<T, YamlError>;

/// Blanks and line breaks inside a scalar, until it is known whether they fold.
#[derive(Default)]
struct Gap {
    /// Blanks on the line where the gap began.
    blanks: String,
    /// The first line break, normalised.
    first_break: String,
    /// The others.
    more_breaks: String,
    /// Whether a line ended in the gap.
    broken: bool,
}

impl Gap {
    /// One line break becomes a blank, several lose the first; LS and PS stay.
    fn fold_into(&mut self, text: &mut Piece<'_>) {
        if !self.broken {
            text.push_str(&self.blanks);
        } else if self.first_break.starts_with('\n') {
            text.push_str(if self.more_breaks.is_empty() { " " } else { &self.more_breaks });
        } else {
            text.push_str(&self.first_break);
            text.push_str(&self.more_breaks);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.blanks.clear();
        self.first_break.clear();
        self.more_breaks.clear();
        self.broken = false;
    }
}

impl<'s> Scanner<'s> {
    pub(super) fn fetch_plain(&mut self) -> Scan<()> {
        self.begin_scalar(true)?;
        let start = self.mark;
        let indent = self.indent + 1;
        let mut text = Piece::default();
        let mut gap = Gap::default();
        loop {
            if self.at_document_marker() || self.byte(0) == b'#' {
                break;
            }
            let from = self.mark.index as usize;
            let length = self.plain_length(from);
            if length == 0 {
                break;
            }
            if !text.is_empty() {
                gap.fold_into(&mut text);
            }
            text.append(&self.text[from..from + length]);
            self.advance(length);
            if !self.pass_gap(&mut gap, Some(indent))? {
                break;
            }
            if !self.in_flow() && (self.mark.column as i32) < indent {
                break;
            }
        }
        if text.is_empty() {
            return self.error("found character that cannot start any token");
        }
        if gap.broken {
            self.allow_simple_key();
        }
        self.push_scalar(text, ScalarStyle::Plain, start);
        Ok(())
    }

    /// Length of the piece of a plain scalar on this line, trailing blanks not counted.
    fn plain_length(&self, from: usize) -> usize {
        let flow = self.in_flow();
        let bytes = self.bytes;
        let mut end = from;
        let mut at = from;
        loop {
            let ordinary = bytes[at..].iter().take_while(|b| !MAY_END_PLAIN[**b as usize]).count();
            if ordinary > 0 {
                at += ordinary;
                end = at;
            }
            let Some(&byte) = bytes.get(at) else { break };
            match byte {
                b' ' | b'\t' => {
                    at += 1;
                    continue;
                }
                b'#' if at > end => break,
                b':' if self.blank_or_end_at(at + 1 - self.mark.index as usize) => break,
                b',' | b'?' | b'[' | b']' | b'{' | b'}' if flow => break,
                b'\n' | b'\r' => break,
                0xC2 | 0xE2 if break_length(bytes, at) > 0 => break,
                _ => {}
            }
            at += 1;
            end = at;
        }
        end - from
    }

    /// Collects blanks and breaks. Whether there were any. `indent` guards plain scalars against tabs.
    fn pass_gap(&mut self, gap: &mut Gap, indent: Option<i32>) -> Scan<bool> {
        let from = self.mark.index;
        loop {
            match self.byte(0) {
                b'\t' if gap.broken && indent.is_some_and(|i| (self.mark.column as i32) < i) => {
                    return self.error("found a tab character that violates indentation");
                }
                blank @ (b' ' | b'\t') => {
                    if !gap.broken {
                        gap.blanks.push(char::from(blank));
                    }
                    self.advance(1);
                }
                _ if self.is_break(0) => {
                    if gap.broken {
                        self.take_break(&mut gap.more_breaks);
                    } else {
                        gap.blanks.clear();
                        self.take_break(&mut gap.first_break);
                        gap.broken = true;
                    }
                }
                _ => return Ok(self.mark.index > from),
            }
        }
    }

    /// Passes a line break and appends its normal form: LF, but LS and PS as they are.
    fn take_break(&mut self, into: &mut String) {
        let at = self.mark.index as usize;
        if self.bytes.get(at) == Some(&0xE2) {
            into.push_str(&self.text[at..at + break_length(self.bytes, at)]);
        } else if self.is_break(0) {
            into.push('\n');
        }
        self.advance_line();
    }

    pub(super) fn fetch_quoted(&mut self, quote: u8) -> Scan<()> {
        self.begin_scalar(true)?;
        let start = self.mark;
        self.advance(1);
        let mut text = Piece::default();
        let mut gap = Gap::default();
        loop {
            if self.at_document_marker() {
                return self.error("found unexpected document indicator");
            }
            if self.byte(0) == 0 {
                return Err(YamlError::at(start.line, "found unexpected end of stream"));
            }
            self.take_quoted_run(quote, &mut text, &mut gap)?;
            if self.byte(0) == quote {
                break;
            }
            self.pass_gap(&mut gap, None)?;
            gap.fold_into(&mut text);
        }
        self.advance(1);
        self.push_scalar(text, ScalarStyle::Quoted, start);
        Ok(())
    }

    /// Takes characters up to the closing quote, the end of the line, or blanks at the end of the line.
    fn take_quoted_run(&mut self, quote: u8, text: &mut Piece<'s>, gap: &mut Gap) -> Scan<()> {
        loop {
            let from = self.mark.index as usize;
            let length = self.quoted_length(from, quote);
            text.append(&self.text[from..from + length]);
            self.advance(length);
            match self.byte(0) {
                b'\'' if quote == b'\'' && self.byte(1) == b'\'' => {
                    text.push_str("'");
                    self.advance(2);
                }
                b'\\' if quote == b'"' && self.is_break(1) => {
                    // an escaped break joins the lines without a blank
                    self.advance(1);
                    self.advance_line();
                    gap.broken = true;
                    return Ok(());
                }
                b'\\' if quote == b'"' => self.take_escape(text)?,
                _ => return Ok(()),
            }
        }
    }

    /// Length of ordinary characters, blanks between them included.
    fn quoted_length(&self, from: usize, quote: u8) -> usize {
        let mut end = from;
        let mut at = from;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b' ' | b'\t' => {
                    at += 1;
                    continue;
                }
                b'\n' | b'\r' => return end - from,
                0xC2 | 0xE2 if break_length(self.bytes, at) > 0 => return end - from,
                b'\\' if quote == b'"' => break,
                _ if byte == quote => break,
                _ => {}
            }
            at += 1;
            end = at;
        }
        // blanks before the quote or an escape belong to the text
        at - from
    }

    fn take_escape(&mut self, text: &mut Piece<'s>) -> Scan<()> {
        let digits = match self.byte(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            simple => {
                let Some(meaning) = escape_meaning(simple) else {
                    return self.error("found unknown escape character");
                };
                text.push_str(meaning);
                self.advance(2);
                return Ok(());
            }
        };
        let mut code = 0;
        for i in 0..digits {
            let Some(digit) = hex_digit(self.byte(2 + i)) else {
                return self.error("did not find expected hexdecimal number");
            };
            code = code << 4 | digit;
        }
        let Some(character) = char::from_u32(code) else {
            return self.error("found invalid Unicode character escape code");
        };
        text.push_str(character.encode_utf8(&mut [0; 4]));
        self.advance(2 + digits);
        Ok(())
    }

    pub(super) fn fetch_block_scalar(&mut self, literal: bool) -> Scan<()> {
        self.begin_scalar(false)?;
        let start = self.mark;
        self.advance(1);
        let (chomp, explicit) = self.take_block_header()?;
        while matches!(self.byte(0), b' ' | b'\t') {
            self.advance(1);
        }
        if self.byte(0) == b'#' {
            self.take_line_comment(start);
        }
        if self.byte(0) != 0 && !self.is_break(0) {
            return self.error("did not find expected comment or line break");
        }
        self.advance_line();

        let mut trailing = String::new();
        let indent = match explicit {
            // relative to the block around; outside of all blocks to column 0
            Some(digit) => {
                let indent = self.indent.max(0) as u32 + digit;
                self.pass_block_breaks(Some(indent), &mut trailing)?;
                indent
            }
            None => self.pass_block_breaks(None, &mut trailing)?.max((self.indent + 1) as u32).max(1),
        };
        let mut text = Piece::default();
        let mut line_break = String::new();
        let mut after_blank = false;
        while self.mark.column == indent && self.byte(0) != 0 {
            let blank = matches!(self.byte(0), b' ' | b'\t');
            if !literal && !after_blank && !blank && line_break.starts_with('\n') {
                if trailing.is_empty() {
                    text.push_str(" ");
                }
            } else {
                text.push_str(&line_break);
            }
            line_break.clear();
            text.push_str(&trailing);
            trailing.clear();
            after_blank = blank;
            let from = self.mark.index as usize;
            let to = super::scan::line_end(self.bytes, from);
            text.append(&self.text[from..to]);
            self.advance(to - from);
            self.take_break(&mut line_break);
            self.pass_block_breaks(Some(indent), &mut trailing)?;
        }
        if chomp != Chomp::Strip {
            text.push_str(&line_break);
        }
        if chomp == Chomp::Keep {
            text.push_str(&trailing);
        }
        self.push_scalar(text, ScalarStyle::Block, start);
        Ok(())
    }

    /// `+`, `-` and the digit, in either order.
    fn take_block_header(&mut self) -> Scan<(Chomp, Option<u32>)> {
        let mut chomp = None;
        let mut digit = None;
        loop {
            match self.byte(0) {
                b'+' if chomp.is_none() => chomp = Some(Chomp::Keep),
                b'-' if chomp.is_none() => chomp = Some(Chomp::Strip),
                b'0' if digit.is_none() => {
                    return self.error("found an indentation indicator equal to 0");
                }
                d @ b'1'..=b'9' if digit.is_none() => digit = Some(u32::from(d - b'0')),
                _ => return Ok((chomp.unwrap_or(Chomp::Clip), digit)),
            }
            self.advance(1);
        }
    }

    /// Passes indentation and empty lines. The deepest column reached by blanks, which is the indentation if none
    /// was given.
    fn pass_block_breaks(&mut self, indent: Option<u32>, breaks: &mut String) -> Scan<u32> {
        let mut deepest = 0;
        loop {
            while indent.is_none_or(|i| self.mark.column < i) && self.byte(0) == b' ' {
                self.advance(1);
            }
            deepest = deepest.max(self.mark.column);
            if indent.is_none_or(|i| self.mark.column < i) && self.byte(0) == b'\t' {
                return self.error("found a tab character where an indentation space is expected");
            }
            if !self.is_break(0) {
                return Ok(deepest);
            }
            self.take_break(breaks);
        }
    }
}

/// Bytes at which a plain scalar may end; all others belong to it.
const MAY_END_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b" \t#:,?[]{}\n\r\xC2\xE2";
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] = true;
        i += 1;
    }
    table
};

/// What happens to the line breaks at the end of a block scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

/// What `\c` stands for, hexadecimal escapes aside.
fn escape_meaning(c: u8) -> Option<&'static str> {
    Some(match c {
        b'0' => "\0",
        b'a' => "\u{7}",
        b'b' => "\u{8}",
        b't' | b'\t' => "\t",
        b'n' => "\n",
        b'v' => "\u{B}",
        b'f' => "\u{C}",
        b'r' => "\r",
        b'e' => "\u{1B}",
        b' ' => " ",
        b'"' => "\"",
        b'\'' => "'",
        b'\\' => "\\",
        b'N' => "\u{85}",
        b'_' => "\u{A0}",
        b'L' => "\u{2028}",
        b'P' => "\u{2029}",
        _ => return None,
    })
}
