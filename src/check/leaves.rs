//! Leaves that should be encrypted and are not, or are damaged.

use std::cell::OnceCell;
use std::collections::HashMap;

use super::{Code, Finding, Position, Subject};
use crate::cipher::well_formed;
use crate::document::EncryptedDocument;
use crate::tree::{Comment, Place, Scalar, Unwalkable, Visit, Visited};

pub(super) fn examine(subject: &Subject<'_>, document: &mut EncryptedDocument) -> Vec<Finding> {
    let mut inspector = Inspector {
        bytes: subject.source.as_bytes(),
        lines: OnceCell::new(),
        shown: subject.shown,
        findings: Vec::new(),
    };
    if let Err(error) = document.visit(&mut inspector) {
        let reason = error.to_string();
        inspector.findings.push(Finding {
            code: Code::BrokenValue,
            position: None,
            message: reason.lines().next().unwrap_or_default().to_owned(),
            fix: "restore the file from the last commit in which it could be decrypted".to_owned(),
        });
    }
    inspector.findings
}

/// How everything begins that was encrypted, be it whole or not. What only says `ENC[` was typed by somebody.
const SEALED: &[u8] = b"ENC[AES256_GCM,data:";

struct Inspector<'a> {
    bytes: &'a [u8],
    lines: OnceCell<Lines<'a>>,
    shown: &'a str,
    findings: Vec<Finding>,
}

impl Inspector<'_> {
    fn find(&mut self, code: Code, place: &Place<'_>, message: String, fix: String) {
        let lines = || self.lines.get_or_init(|| Lines::of(self.bytes));
        let offset = place.offset.or_else(|| lines().get(&place.keys().collect::<Vec<_>>()));
        let position = offset.map(|offset| Position::of(self.bytes, offset));
        self.findings.push(Finding { code, position, message, fix });
    }
}

/// Where the keys of a flat format begin, whose stores keep no places: lines with a key and what separates it from its
/// value. The first of a section counts, and the first of all.
#[derive(Default)]
struct Lines<'a> {
    first: HashMap<&'a [u8], usize>,
    of_sections: HashMap<(&'a [u8], &'a [u8]), usize>,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut lines = Self::default();
        let mut section = &b""[..];
        let mut offset = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let indented = line.len() - line.trim_ascii_start().len();
            let text = line.trim_ascii();
            if let Some(name) = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")) {
                section = name;
            } else if let Some(end) = memchr::memchr(b'=', text) {
                let key = text[..end].trim_ascii_end();
                lines.first.entry(key).or_insert(offset + indented);
                lines.of_sections.entry((section, key)).or_insert(offset + indented);
            }
            offset += line.len();
        }
        lines
    }

    fn get(&self, keys: &[&[u8]]) -> Option<usize> {
        match keys {
            [key] => self.first.get(key).copied(),
            [.., section, key] => self.of_sections.get(&(*section, *key)).copied(),
            [] => None,
        }
    }
}

impl Visit for Inspector<'_> {
    type Error = Unwalkable;

    fn leaf(&mut self, place: &Place<'_>, leaf: Scalar) -> Result<Visited, Unwalkable> {
        if place.selected {
            match &leaf {
                // neither is ever encrypted (format.md §4.3)
                Scalar::Null => {}
                Scalar::Text(text) if text.is_empty() => {}
                Scalar::Text(text) if text.as_bytes().starts_with(SEALED) => {
                    if let Err(error) = well_formed(text.as_bytes()) {
                        let message = format!("the value at {} is damaged: {error}", place.path());
                        let fix = "restore it from the last commit in which the file could be decrypted";
                        self.find(Code::BrokenValue, place, message, fix.to_owned());
                    }
                }
                _ => {
                    let message = format!("the value at {} is in clear", place.path());
                    let fix = format!(
                        "take it out, then put it in again with rsops edit {}; if it was pushed, replace it",
                        self.shown
                    );
                    self.find(Code::PlaintextValue, place, message, fix);
                }
            }
        }
        Ok(Visited::Leaf(leaf))
    }

    /// Old releases left comments in clear, so that says nothing.
    fn comment(&mut self, _: &Place<'_>, comment: Comment) -> Result<Visited, Unwalkable> {
        Ok(Visited::Comment(comment))
    }
}
