//! Kubernetes manifests whose secrets are in clear.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use super::placeholder::is_in_clear;
use super::{Code, Finding, Position, Subject};
use crate::store::Format;
use crate::tree::{Branch, Element, Item, Scalar, Value};

/// Whether it is worth to parse a file: somewhere it says `kind: Secret`, however that is written.
pub(super) fn may_be_secret(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"Secret").any(|at| is_kind(&bytes[..at]))
}

/// Whether a value of `kind` begins behind these bytes.
fn is_kind(before: &[u8]) -> bool {
    let mut before = before.strip_suffix(b"Sops").unwrap_or(before);
    let mut has_colon = false;
    // more than an anchor and a tag are none, and a file full of them is not to be read again for each
    for _ in 0..3 {
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || b"\"':".contains(byte);
        let length = before.iter().rposition(|byte| !is_between(byte)).map_or(0, |last| last + 1);
        has_colon |= before[length..].contains(&b':');
        before = &before[..length];
        if before.ends_with(b"kind") {
            return has_colon;
        }
        // an anchor, or a tag
        let word = before.iter().rposition(u8::is_ascii_whitespace).map_or(0, |blank| blank + 1);
        if !before[word..].starts_with(b"&") && !before[word..].starts_with(b"!") {
            return false;
        }
        before = &before[..word];
    }
    false
}

/// As what a file is read that may be a manifest. Names count as people mean them: for `X.YAML`, which is a binary file
/// to be encrypted, and for templates of manifests, such as `secret.yaml.j2`.
pub(super) fn syntax(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let has = |extension: &str| name.ends_with(extension) || name.contains(&format!("{extension}."));
    match () {
        () if has(".yaml") || has(".yml") || name.ends_with(".tpl") => Some(Format::Yaml),
        () if name.ends_with(".json") => Some(Format::Json),
        () => None,
    }
}

/// The fields of a Secret that hold secrets.
pub(super) const FIELDS: [&str; 2] = ["data", "stringData"];

pub(super) fn secrets(branches: &[Branch], subject: &Subject<'_>) -> Vec<Finding> {
    let mut search = Search { subject, findings: Vec::new() };
    branches.iter().for_each(|branch| search.resource(branch));
    // an alias stands where its anchor does
    search.findings.dedup();
    search.findings
}

struct Search<'a> {
    subject: &'a Subject<'a>,
    findings: Vec<Finding>,
}

impl Search<'_> {
    /// A Secret, the operator's template of several, or something that has them in it: a list, a template, values of a
    /// chart.
    fn resource(&mut self, branch: &Branch) {
        match kind(branch) {
            Some("Secret") => return self.secret(branch),
            Some("SopsSecret") => {
                if let Some(Value::Map(spec)) = branch.get("spec") {
                    let templates = spec.get("secretTemplates").or(spec.get("secret_templates"));
                    return mappings(templates).for_each(|template| self.secret(template));
                }
            }
            // its items need not say what they are
            Some("SecretList") => {
                let items = mappings(branch.get("items")).filter(|item| kind(item).is_none());
                items.for_each(|item| self.secret(item));
            }
            _ => {}
        }
        for item in &branch.items {
            if let Item::Entry { value, .. } = item {
                self.inside(value);
            }
        }
    }

    fn inside(&mut self, value: &Value) {
        match value {
            Value::Map(branch) => self.resource(branch),
            Value::List(_) => elements(Some(value)).for_each(|value| self.inside(value)),
            Value::Scalar(_) => {}
        }
    }

    fn secret(&mut self, branch: &Branch) {
        for field in FIELDS {
            if let Some(value) = branch.get(field) {
                self.values(field, value);
            }
        }
    }

    fn values(&mut self, field: &str, value: &Value) {
        let Value::Map(values) = value else { return };
        for item in &values.items {
            match item {
                Item::Entry { key, value: Value::Scalar(value) } if says_something(field, value) => {
                    let offset = [key, value].into_iter().find_map(|scalar| scalar.as_text()?.offset());
                    self.find(offset, &format!("{field}.{}", name(key)));
                }
                // mappings that are merged in
                Item::Entry { key, value } if name(key) == "<<" => {
                    self.values(field, value);
                    mappings(Some(value)).for_each(|branch| self.values(field, &Value::Map(branch.clone())));
                }
                _ => {}
            }
        }
    }

    fn find(&mut self, offset: Option<usize>, path: &str) {
        let position = offset.map(|offset| Position::of(self.subject.source.as_bytes(), offset));
        self.findings.push(Finding {
            code: Code::KubernetesSecret,
            position,
            message: format!("the Secret has {} in clear", printable(path)),
            fix: encrypt(self.subject),
        });
    }
}

/// What makes it right.
fn encrypt(subject: &Subject<'_>) -> String {
    let shown = subject.shown;
    let types = match (Format::from_path(subject.path), syntax(subject.path)) {
        (Format::Binary, Some(Format::Json)) => " --input-type json --output-type json",
        (Format::Binary, Some(_)) => " --input-type yaml --output-type yaml",
        _ => "",
    };
    format!("rsops encrypt{types} --encrypted-regex '^(data|stringData)$' --in-place {shown}")
}

/// Control characters are not for terminals.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn says_something(field: &str, value: &Scalar) -> bool {
    match value {
        Scalar::Null => false,
        Scalar::Text(text) => field_in_clear(field, text.as_bytes()),
        _ => true,
    }
}

/// Whether a value is in clear. In `data` they are in base64, places that something fills in too.
pub(super) fn field_in_clear(field: &str, value: &[u8]) -> bool {
    is_in_clear(value)
        && (field != "data"
            || STANDARD.decode(value.trim_ascii()).map_or(true, |decoded| is_in_clear(&decoded)))
}

/// A key as a message shows it.
fn name(key: &Scalar) -> String {
    match key {
        Scalar::Text(text) => text.to_string_lossy().into_owned(),
        Scalar::Int(number) => number.to_string(),
        Scalar::Uint(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Null | Scalar::Time(_) => key.type_name().to_owned(),
    }
}

fn kind(branch: &Branch) -> Option<&str> {
    match branch.get("kind") {
        Some(Value::Scalar(Scalar::Text(text))) => text.as_str(),
        _ => None,
    }
}

fn elements(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let elements = match value {
        Some(Value::List(elements)) => elements.as_slice(),
        _ => &[],
    };
    elements.iter().filter_map(|element| match element {
        Element::Value(value) => Some(value),
        Element::Comment(_) => None,
    })
}

fn mappings(value: Option<&Value>) -> impl Iterator<Item = &Branch> {
    elements(value).filter_map(|element| match element {
        Value::Map(branch) => Some(branch),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_full_of_anchors_is_read_once() {
        assert!(!may_be_secret(&b"&Secret ".repeat(100_000)));
    }

    #[test]
    fn what_says_that_it_is_a_secret_is_worth_to_be_parsed() {
        for text in [
            "kind: Secret",
            "\"kind\":\"Secret\"",
            "kind:   'SopsSecret'",
            "kind: SecretList",
            "kind: !!str &a Secret",
            "kind:\n  Secret",
            "? kind\n: Secret",
        ] {
            assert!(may_be_secret(text.as_bytes()), "{text}");
        }
        for text in [
            "kind: ConfigMap\nname: Secret",
            "kinds: Secret",
            "a kind Secretary",
            "Secret",
            "&Secret",
            "!Secret",
        ] {
            assert!(!may_be_secret(text.as_bytes()), "{text}");
        }
    }
}
