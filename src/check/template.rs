//! Manifests that are no documents before they are filled in: templates of Helm, Jinja and others, read line by line.
//!
//! What stands between braces is blanked out, so that what remains are lines of YAML at their places. Lines are told
//! apart by their columns alone; a value is judged as it stands in the file.

use super::manifest::{FIELDS, field_in_clear, printable};
use super::placeholder::template_length;
use super::{Code, Finding, Position, Subject};

/// Secrets with data in clear.
pub(super) fn secrets(subject: &Subject<'_>) -> Vec<Finding> {
    let bytes = subject.source.as_bytes();
    let blanked = blanked(bytes);
    let is_template = blanked != bytes;
    let mut findings = Vec::new();
    for document in documents(bytes, &blanked) {
        for secret in manifests(&document) {
            for (path, at) in in_clear(secret) {
                let (what, fix) = match is_template {
                    true => {
                        ("template of a Secret", "have the value filled in, from an encrypted file of values")
                    }
                    false => ("Secret", "correct the YAML, which cannot be read as a whole, then encrypt it"),
                };
                findings.push(Finding {
                    code: Code::KubernetesSecret,
                    position: Some(Position::of(bytes, at)),
                    message: format!("the {what} has {} in clear", printable(&path)),
                    fix: fix.to_owned(),
                });
            }
        }
    }
    findings
}

/// After so many braces that nothing closes, the others are text as well: whoever wants to have the whole file searched
/// for the end of each has to find something else.
const MOST_UNCLOSED: usize = 16;

/// The text with blanks in the place of templates.
fn blanked(bytes: &[u8]) -> Vec<u8> {
    let mut text = bytes.to_vec();
    let (mut at, mut unclosed) = (0, 0);
    while let Some(brace) = memchr::memchr(b'{', &bytes[at..])
        && unclosed < MOST_UNCLOSED
    {
        at += brace;
        let rest = &bytes[at..];
        let end = |end: &[u8]| memchr::memmem::find(rest, end).map(|end| end + 2);
        let length = match rest.get(1) {
            Some(b'{') => template_length(rest),
            Some(b'%') => end(b"%}"),
            Some(b'#') => end(b"#}"),
            _ => {
                at += 1;
                continue;
            }
        };
        unclosed += usize::from(length.is_none());
        // line breaks too: a value ends where its template does
        text[at..at + length.unwrap_or(0)].fill(b' ');
        at += length.unwrap_or(1);
    }
    text
}

/// A line with a key, and the lines that its value takes.
struct Entry<'a> {
    /// Where the key begins, behind dashes of lists.
    column: usize,
    /// Whether it is the first of an element of a list.
    is_first: bool,
    key: &'a [u8],
    /// The offset of the key.
    at: usize,
    /// As it stands in the file.
    value: &'a [u8],
}

/// The entries of each document.
fn documents<'a>(bytes: &'a [u8], blanked: &'a [u8]) -> Vec<Vec<Entry<'a>>> {
    let mut documents = vec![Vec::new()];
    let mut offset = 0;
    // where the value of the last entry begins
    let mut value_at = 0;
    for line in blanked.split_inclusive(|byte| *byte == b'\n') {
        let (start, end) = (offset, offset + line.len());
        offset = end;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if line.starts_with(b"---") {
            documents.push(Vec::new());
            continue;
        }
        let Some(document) = documents.last_mut() else { continue };
        let indented = line.len() - line.trim_ascii_start().len();
        let continued =
            document.last_mut().filter(|last: &&mut Entry<'_>| indented > last.column && takes_lines(last));
        if let Some(last) = continued {
            last.value = &bytes[value_at..end];
            continue;
        }
        if text.starts_with(b"#") {
            continue;
        }
        if let Some(mut entry) = entry(bytes, line, start) {
            value_at = entry.at + entry.key.len();
            if !entry.key.is_empty() || blanked[value_at] == b':' || bytes[value_at] == b'{' {
                value_at += memchr::memchr(b':', &blanked[value_at..end]).map_or(0, |colon| colon + 1);
            }
            entry.value = &bytes[value_at..end];
            document.push(entry);
        }
    }
    documents
}

/// Whether what follows farther to the right belongs to the value: a block, or text or a list of several lines.
fn takes_lines(entry: &Entry<'_>) -> bool {
    let value = entry.value.trim_ascii();
    !(value.is_empty() || value.starts_with(b"{{") || value.starts_with(b"&") || value.starts_with(b"#"))
}

/// An entry that begins on a line, without its value.
fn entry<'a>(bytes: &'a [u8], line: &[u8], start: usize) -> Option<Entry<'a>> {
    let blanks = |at: usize| line[at..].iter().take_while(|byte| **byte == b' ').count();
    let mut column = blanks(0);
    let mut is_first = false;
    while line[column..].starts_with(b"- ") {
        is_first = true;
        column += 1 + blanks(column + 1);
    }
    // a block without a key, in which there may be anything
    if is_first && line.get(column).is_some_and(|byte| b"|>".contains(byte)) {
        let dash = blanks(0);
        return Some(Entry { column: dash, is_first, key: b"", at: start + column, value: b"" });
    }
    let is_end = |at: &usize| line.get(at + 1).is_none_or(u8::is_ascii_whitespace);
    let colon = memchr::memchr_iter(b':', line).filter(|at| *at >= column).find(is_end)?;
    if colon == column {
        // the key is a template
        let original = &bytes[start..start + colon];
        column = original.iter().take_while(|byte| **byte == b' ').count();
    }
    let key = bytes[start + column..start + colon].trim_ascii_end();
    Some(Entry { column, is_first, key, at: start + column, value: b"" })
}

/// A Secret: its entries, its column, and whether it is a template of several, whose data are farther inside.
struct Manifest<'a> {
    entries: &'a [Entry<'a>],
    column: usize,
    is_operators: bool,
}

fn manifests<'a>(entries: &'a [Entry<'a>]) -> Vec<Manifest<'a>> {
    let mut manifests = Vec::new();
    let mut seen = 0;
    for (at, entry) in entries.iter().enumerate() {
        let kind = plain(entry.value);
        let is_secret = unquoted(entry.key) == b"kind" && (kind == b"Secret" || kind == b"SopsSecret");
        // a kind for each branch of a condition
        if !is_secret || at < seen {
            continue;
        }
        let column = entry.column;
        let is_boundary =
            |entry: &Entry<'_>| entry.column < column || entry.is_first && entry.column == column;
        let above = &entries[..=at];
        let start = match above.iter().rposition(is_boundary) {
            Some(boundary) if above[boundary].column < column => boundary + 1,
            Some(first) => first,
            None => 0,
        };
        let end = entries[at + 1..].iter().position(is_boundary).map_or(entries.len(), |end| at + 1 + end);
        seen = end;
        manifests.push(Manifest {
            entries: &entries[start..end],
            column,
            is_operators: kind == b"SopsSecret",
        });
    }
    manifests
}

/// The paths of values in clear, and where they are.
fn in_clear(manifest: Manifest<'_>) -> Vec<(String, usize)> {
    let Manifest { entries, column, is_operators } = manifest;
    let mut found = Vec::new();
    for (at, field) in entries.iter().enumerate() {
        let name = String::from_utf8_lossy(unquoted(field.key));
        if !FIELDS.contains(&name.as_ref()) || !(field.column == column || is_operators) {
            continue;
        }
        if let Some(flow) = flow(field.value) {
            let in_clear =
                |(key, value): &(&[u8], &[u8])| !key.is_empty() && field_in_clear(&name, plain(value));
            let key =
                |(key, _): (&[u8], &[u8])| (format!("{name}.{}", String::from_utf8_lossy(key)), field.at);
            found.extend(flow.into_iter().filter(in_clear).map(key));
        }
        let inside = entries[at + 1..].iter().take_while(|entry| entry.column > field.column);
        let values = inside.filter(|entry| field_in_clear(&name, plain(entry.value)));
        found.extend(
            values
                .map(|entry| (format!("{name}.{}", String::from_utf8_lossy(unquoted(entry.key))), entry.at)),
        );
    }
    found
}

/// The entries of a mapping on one line.
fn flow(value: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let inside = value.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    if inside.starts_with(b"{") {
        return None;
    }
    Some(inside.split(|byte| *byte == b',').filter_map(pair).collect())
}

fn pair(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', item)?;
    Some((unquoted(item[..colon].trim_ascii()), &item[colon + 1..]))
}

/// A value without quotes, the sign of a block, anchors, tags and comments.
fn plain(value: &[u8]) -> &[u8] {
    let mut value = value.trim_ascii();
    while value.starts_with(b"&") || value.starts_with(b"!") {
        let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
        value = value[end..].trim_ascii_start();
    }
    match value.first() {
        Some(b'|' | b'>') => {
            let end = memchr::memchr(b'\n', value).unwrap_or(value.len());
            &value[end..]
        }
        Some(b'#') => b"",
        Some(quote @ (b'"' | b'\'')) => {
            let end = memchr::memrchr(*quote, value).filter(|end| *end > 0).unwrap_or(value.len());
            &value[1..end]
        }
        _ => {
            let comment = memchr::memmem::find(value, b" #").unwrap_or(value.len());
            value[..comment].trim_ascii_end()
        }
    }
}

fn unquoted(key: &[u8]) -> &[u8] {
    let quote = key.first().filter(|quote| b"\"'".contains(quote));
    quote.and_then(|quote| key[1..].strip_suffix(&[*quote])).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(text: &str) -> Vec<(usize, usize)> {
        let subject = Subject {
            path: Path::new("/t.yaml"),
            word: "t.yaml",
            shown: "t.yaml",
            source: text.as_bytes().to_vec().into(),
        };
        secrets(&subject).iter().filter_map(|found| found.position).map(|at| (at.line, at.column)).collect()
    }

    #[test]
    fn data_in_clear_are_found_between_templates() {
        for (text, at) in [
            ("{{- if .x }}\nkind: Secret\ndata:\n  p: aHVudGVyMg==\n{{- end }}\n", (4, 3)),
            ("data:\n{{- if .x }}\n  p: aHVudGVyMg==\n{{- end }}\nkind: \"Secret\"\n", (3, 3)),
            (
                "kind: Secret\nstringData:\n  {{- range .x }}\n  {{ .k }}: hunter2 # why not\n  {{- end }}\n",
                (4, 3),
            ),
            ("kind: Secret\nstringData:\n  {{ if .x }}p: hunter2{{ end }}\n", (3, 14)),
            (
                "a: {{ x }}\n---\nkind: Secret\nstringData:\n  p: |\n    hunter2\n    more: {{ y }}\n    password: x\n",
                (5, 3),
            ),
            ("kind: Secret\nstringData:\n  p: >-\n\n    hunter2\n", (3, 3)),
            ("kind: Secret\ndata: {p: hunter2, q: \"{{ x }}\"}\n{{ y }}\n", (2, 1)),
            ("kind: Secret\ndata:\n  p: {{ \"hunter2\" | b64enc }}\n", (3, 3)),
            (
                "items:\n{{ x }}\n- kind: ConfigMap\n  data:\n    a: b\n- kind: Secret\n  data:\n    p: q\n",
                (8, 5),
            ),
            (
                "kind: SopsSecret\nspec:\n  secretTemplates:\n  - name: x\n    data:\n      {{ x }}\n      p: q\n",
                (7, 7),
            ),
            ("{% if x %}\nkind: Secret\nstringData:\n  \u{e4}: hunter2\n{% endif %}\n", (4, 3)),
            ("{{/* kind: Secret }} */}}\r\nkind: Secret\r\nstringData:\r\n  p: hunter2\r\n", (4, 3)),
        ] {
            assert_eq!(found(text), [at], "{text}");
        }
    }

    #[test]
    fn whatever_a_file_has_it_is_read_in_one_go() {
        let text = "{{/* x */}}\n- kind: \"Secret\"\n  data: &a\n    {{ k }}: 'x'\n    p: |\n      {{ \"y\" }}\n  stringData: {a: b, \"c\": d}\n- >\n  e\n";
        for at in 0..text.len() {
            found(&text[..at]);
            found(&format!("{}{}", &text[..at], &text[at + 1..]));
        }
        for piece in ["{{", "{{/*", "{%", "{#", "- ", "<", "${", "{{ \"", "p: {{\n"] {
            found(&format!("kind: Secret\ndata:\n  p: {}\n", piece.repeat(30_000)));
        }
    }

    #[test]
    fn what_is_filled_in_or_no_secret_is_not_found() {
        for text in [
            "kind: Secret\ndata:\n  {{- toYaml .x | nindent 2 }}\n",
            "kind: Secret\ndata:\n  p: {{ .x | b64enc | quote }}\n  q: \"{{ .y }}\"\n  r: |-\n    {{ .z }}\n  s:\n  t: \"\"\n",
            "kind: Secret\ndata:\n  p: {{ include \"x\" (dict\n    \"a\" .b\n    \"c\" .d) | b64enc }}\n",
            "kind: Secret\nmetadata:\n  name: {{ x }}\n  labels:\n    data: y\ntype: Opaque\n",
            "kind: ConfigMap\ndata:\n  x: {{ y }}\n  manifest: |\n    kind: Secret\n    data:\n      p: q\n",
            "kind: ConfigMap\ndata:\n  p: q\n---\nkind: Secret\ndata:\n  p: {{ x }}\n",
            "valuesFrom:\n- kind: Secret\n  name: x\n- kind: ConfigMap\n  data:\n    a: {{ b }}\n",
            "args:\n- -c\n- |\n  kubectl create <<EOF\n  kind: Secret\n  data:\n    token: $token\n  EOF\n- {{ x }}\n",
            "# kind: Secret\n{{ x }}\ndata:\n  p: q\n",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
