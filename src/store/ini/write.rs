//! Sections → INI text (stores.md §6.3).

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::read::trim;
use super::section::{Key, Section};
use crate::tree::TextBuffer;

/// Writes sections, an empty line between two of them. There are no escapes: see
/// [`emit_encrypted`](super::IniStore) for names and values that would be read back differently.
pub(super) fn write(sections: &[Section<'_>]) -> Zeroizing<Vec<u8>> {
    let mut out = TextBuffer::with_capacity(0);
    for (position, section) in sections.iter().enumerate() {
        write_comment(&mut out, &section.comment, |line| line);
        // keys above the first header belong to DEFAULT, so it needs none
        if position > 0 || !section.name.eq_ignore_ascii_case(b"DEFAULT") {
            out.push(b'[');
            out.extend(section.name);
            out.extend(b"]\n");
        } else if section.keys.is_empty() {
            continue;
        }
        write_keys(&mut out, &section.keys);
        if position + 1 < sections.len() {
            out.push(b'\n');
        }
    }
    out.into_bytes()
}

/// The equals signs of a section stand below each other; width is counted in bytes.
fn write_keys(out: &mut TextBuffer, keys: &[Key<'_>]) {
    let names: Vec<_> = keys.iter().map(|key| quoted_name(&key.name)).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    for (key, name) in keys.iter().zip(names) {
        write_comment(out, &key.comment, trim);
        out.extend(&name);
        out.repeat(b' ', width - name.len());
        out.extend(b" = ");
        let quote = value_quote(&key.value);
        out.extend(quote);
        out.extend(&key.value);
        out.extend(quote);
        out.push(b'\n');
    }
}

/// Lines that bring no marker get one. An empty line gets one too, where the reference crashes (policy.md §3).
fn write_comment(out: &mut TextBuffer, comment: &[u8], unmarked: impl Fn(&[u8]) -> &[u8]) {
    if comment.is_empty() {
        return;
    }
    for line in comment.split(|b| *b == b'\n') {
        match line {
            [] => out.push(b';'),
            [marker @ (b'#' | b';'), text @ ..] => {
                out.extend(&[*marker, b' ']);
                out.extend(trim(text));
            }
            text => {
                out.extend(b"; ");
                out.extend(unmarked(text));
            }
        }
        out.push(b'\n');
    }
}

fn quoted_name<'k>(name: &'k [u8]) -> Cow<'k, [u8]> {
    if name.iter().any(|b| matches!(b, b'"' | b'=' | b':')) {
        Cow::Owned([b"`", name, b"`"].concat())
    } else if name.contains(&b'`') {
        Cow::Owned([b"\"\"\"", name, b"\"\"\""].concat())
    } else {
        Cow::Borrowed(name)
    }
}

fn value_quote(value: &[u8]) -> &'static [u8] {
    let holds = |bytes: [u8; 2]| value.iter().any(|b| bytes.contains(b));
    if holds(*b"\n`") {
        b"\"\"\""
    } else if holds(*b"#;") {
        b"`"
    } else if trim(value).len() != value.len() {
        b"\""
    } else {
        b""
    }
}
