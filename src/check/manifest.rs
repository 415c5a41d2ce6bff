//! Kubernetes manifests whose secrets are in clear.

use memchr::memmem;

use super::{Code, Finding, Position, Subject};
use crate::cipher::is_sealed;
use crate::tree::{Branch, Element, Item, Scalar, Text, Value};

/// Whether it is worth to parse a file.
pub(super) fn may_be_secret(bytes: &[u8]) -> bool {
    memmem::find(bytes, b"Secret").is_some() && memmem::find(bytes, b"kind").is_some()
}

/// The fields of a Secret that hold secrets.
const FIELDS: [&str; 2] = ["data", "stringData"];

pub(super) fn secrets(branches: &[Branch], subject: &Subject<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    branches.iter().for_each(|branch| resource(branch, subject, &mut findings));
    findings
}

/// A Secret, a list of resources, or the operator's template of several Secrets.
fn resource(branch: &Branch, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    match text(branch.get("kind")) {
        Some("Secret") => secret(branch, subject, findings),
        Some("SopsSecret") => {
            if let Some(Value::Map(spec)) = branch.get("spec") {
                mappings(spec.get("secretTemplates"))
                    .for_each(|template| secret(template, subject, findings));
            }
        }
        Some("List" | "SecretList") => {
            mappings(branch.get("items")).for_each(|item| resource(item, subject, findings));
        }
        _ => {}
    }
}

fn secret(branch: &Branch, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for field in FIELDS {
        let Some(Value::Map(values)) = branch.get(field) else { continue };
        for item in &values.items {
            let Item::Entry { key: Scalar::Text(key), value: Value::Scalar(value) } = item else { continue };
            if is_in_clear(value) {
                let offset = key.offset();
                findings.push(Finding {
                    code: Code::KubernetesSecret,
                    position: offset.map(|offset| Position::of(subject.source.as_bytes(), offset)),
                    message: format!("the Secret has {field}.{} in clear", shown(key)),
                    fix: format!(
                        "rsops encrypt --encrypted-regex '^(data|stringData)$' --in-place {}",
                        subject.shown
                    ),
                });
            }
        }
    }
}

/// Control characters are not for terminals.
fn shown(key: &Text) -> String {
    key.to_string_lossy().chars().filter(|c| !c.is_control()).collect()
}

/// Neither encrypted, nor empty, nor a place that something else fills in: `${VARIABLE}`, `{{ template }}`, `<path>`,
/// `ref+vault://…`.
fn is_in_clear(value: &Scalar) -> bool {
    let Scalar::Text(text) = value else { return !matches!(value, Scalar::Null) };
    let text = text.as_bytes().trim_ascii();
    let between = |start: &[u8], end: &[u8]| text.starts_with(start) && text.ends_with(end);
    let is_filled_in =
        between(b"${", b"}") || between(b"{{", b"}}") || between(b"<", b">") || text.starts_with(b"ref+");
    !(text.is_empty() || is_sealed(text) || is_filled_in)
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Scalar(Scalar::Text(text))) => text.as_str(),
        _ => None,
    }
}

fn mappings(value: Option<&Value>) -> impl Iterator<Item = &Branch> {
    let elements = match value {
        Some(Value::List(elements)) => elements.as_slice(),
        _ => &[],
    };
    elements.iter().filter_map(|element| match element {
        Element::Value(Value::Map(branch)) => Some(branch),
        _ => None,
    })
}
