//! SARIF 2.1.0, the format of code scanning.

use rsops::check::Code;
use serde_json::{Value, json};

use super::Located;

/// A log of one run. All rules are told, so that a viewer can explain them.
pub(super) fn log(findings: &[Located]) -> Value {
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
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(located: &Located) -> Value {
    let finding = &located.finding;
    let mut location = json!({ "artifactLocation": { "uri": uri(&located.path.display().to_string()) } });
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

/// A relative reference: everything that is special in one is escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into())
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("a b/ü:c.yaml"), "a%20b/%C3%BC%3Ac.yaml");
    }
}
