//! SARIF 2.1.0, the format of code scanning.

use std::path::Path;

use rsops::check::Code;
use serde_json::{Value, json};

use super::{Located, uri};

/// A log of one run, its paths from this root. All rules are told, so that a viewer can explain them.
pub(super) fn log(findings: &[Located], root: &Path) -> Value {
    let rules: Vec<Value> = Code::ALL
        .into_iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": { "text": code.explanation() },
                "defaultConfiguration": { "level": "error" },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "rsops",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": findings.iter().map(|located| result(located, root)).collect::<Vec<_>>(),
        }],
    })
}

fn result(located: &Located, root: &Path) -> Value {
    let finding = &located.finding;
    let mut location = json!({ "artifactLocation": artifact(located.below(root)) });
    if let Some(at) = finding.position {
        location["region"] = json!({ "startLine": at.line, "startColumn": at.column });
    }
    json!({
        "ruleId": finding.code.name(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == finding.code),
        "level": "error",
        "message": { "text": format!("{}\nfix: {}", finding.message, finding.fix) },
        "locations": [{ "physicalLocation": location }],
    })
}

/// Where a file is; relative to the sources as a whole, where it lies in them.
fn artifact(path: &Path) -> Value {
    match path.is_absolute() {
        true => json!({ "uri": format!("file://{}", uri(path)) }),
        false => json!({ "uri": uri(path), "uriBaseId": "%SRCROOT%" }),
    }
}
