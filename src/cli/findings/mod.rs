//! Findings of `check` as people and programs read them.

mod sarif;

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rsops::check::Finding;
use serde_json::{Value, json};

use super::ui::printable;

/// A finding and the file that it is in.
pub(super) struct Located {
    /// As the user names it.
    pub(super) path: PathBuf,
    /// From the root of the system.
    pub(super) full: PathBuf,
    pub(super) finding: Finding,
}

/// How findings are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One line each, and what to do about it
    Human,
    /// A list of objects
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

impl Located {
    /// As GitHub wants it, which knows nothing of a working directory. What lies elsewhere has its full path.
    fn below(&self, root: &Path) -> &Path {
        self.full.strip_prefix(root).unwrap_or(&self.full)
    }
}

/// All findings in a format. Human output of no findings is nothing. The root is that of the repository.
pub(super) fn render(findings: &[Located], format: Format, root: &Path) -> String {
    match format {
        Format::Human => findings.iter().map(human).collect(),
        Format::Json => pretty(&Value::Array(findings.iter().map(object).collect())),
        Format::Sarif => pretty(&sarif::log(findings, root)),
        Format::Github => findings.iter().map(|located| annotation(located, root)).collect(),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn human(located: &Located) -> String {
    let Located { path, finding, .. } = located;
    let mut text = printable(&path.display().to_string());
    if let Some(at) = finding.position {
        let _ = write!(text, ":{}:{}", at.line, at.column);
    }
    let _ = writeln!(text, ": {}: {}", finding.code.name(), printable(&finding.message));
    let _ = writeln!(text, "    fix: {}", printable(&finding.fix));
    text
}

fn object(located: &Located) -> Value {
    let Located { path, finding, .. } = located;
    json!({
        "code": finding.code.name(),
        // what is no text in it is lost
        "path": path.to_string_lossy(),
        "uri": uri(path),
        "line": finding.position.map(|at| at.line),
        "column": finding.position.map(|at| at.column),
        "message": finding.message,
        "fix": finding.fix,
    })
}

/// A command of the log of GitHub Actions.
fn annotation(located: &Located, root: &Path) -> String {
    let finding = &located.finding;
    let path = located.below(root);
    let mut command = format!("::error file={}", escaped(&path.display().to_string(), true));
    if let Some(at) = finding.position {
        let _ = write!(command, ",line={},col={}", at.line, at.column);
    }
    let message = escaped(&format!("{}\nfix: {}", finding.message, finding.fix), false);
    format!("{command},title=rsops {}::{message}\n", finding.code.name())
}

/// A path as a reference to be resolved against the folder where it begins (RFC 3986): every byte that is special is
/// escaped, so that it names files whose names are no text.
fn uri(path: &Path) -> String {
    let mut uri = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push((*byte).into());
            }
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

/// In properties, what separates them is escaped too.
fn escaped(text: &str, is_property: bool) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    if is_property { text.replace(':', "%3A").replace(',', "%2C") } else { text }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use rsops::check::{Code, Position};

    use super::*;

    fn shown(findings: &[Located], format: Format) -> String {
        render(findings, format, Path::new("/r"))
    }

    fn example() -> Vec<Located> {
        let finding = |code, position, message: &str| Finding {
            code,
            position,
            message: message.to_owned(),
            fix: "rsops edit a.yaml".to_owned(),
        };
        vec![
            Located {
                path: "a,b:c.yaml".into(),
                full: "/r/sub/a,b:c.yaml".into(),
                finding: finding(
                    Code::PlaintextValue,
                    Some(Position { line: 3, column: 5 }),
                    "100% in clear",
                ),
            },
            Located {
                path: "b\u{1b}.json".into(),
                full: "/r/sub/b\u{1b}.json".into(),
                finding: finding(Code::PlaintextFile, None, "not encrypted"),
            },
        ]
    }

    #[test]
    fn people_get_a_line_and_what_to_do() {
        assert_eq!(
            shown(&example(), Format::Human),
            "a,b:c.yaml:3:5: plaintext-value: 100% in clear\n    fix: rsops edit a.yaml\n\
             b\u{FFFD}.json: plaintext-file: not encrypted\n    fix: rsops edit a.yaml\n"
        );
        assert_eq!(shown(&[], Format::Human), "");
    }

    #[test]
    fn github_gets_annotations_that_cannot_be_broken_out_of() {
        assert_eq!(
            shown(&example()[..1], Format::Github),
            "::error file=sub/a%2Cb%3Ac.yaml,line=3,col=5,title=rsops plaintext-value::100%25 in clear%0Afix: rsops edit \
             a.yaml\n"
        );
    }

    #[test]
    fn programs_get_a_list() {
        let list: Value = serde_json::from_str(&shown(&example(), Format::Json)).expect("JSON");
        assert_eq!(list[0]["code"], "plaintext-value");
        assert_eq!(list[0]["column"], 5);
        assert_eq!(list[1]["line"], Value::Null);
        assert_eq!(shown(&[], Format::Json), "[]\n");
    }

    #[test]
    fn paths_become_references_that_name_every_file() {
        let reference = |bytes: &[u8]| uri(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(reference("a b/ü:c.yaml".as_bytes()), "a%20b/%C3%BC%3Ac.yaml");
        assert_eq!(reference(b"\xff%\n"), "%FF%25%0A");
    }
}
