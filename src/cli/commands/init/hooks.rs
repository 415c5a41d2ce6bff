//! The hooks that `init` installs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Step;
use crate::cli::error::CommandError;
use crate::cli::repository::hook_path;

const GIT_HOOK: &str = "#!/bin/sh\n# refuses secrets in clear\nexec rsops check --staged\n";

const PRE_COMMIT: &str = ".pre-commit-config.yaml";

/// Lines for `.pre-commit-config.yaml`, below `repos:`. The program is that of this machine.
const ENTRY: &str = "- repo: local
  hooks:
    - id: rsops-check
      name: find plaintext secrets
      entry: rsops check
      language: system
      require_serial: true
";

pub(super) fn plan_git_hook(
    folder: &Path,
    steps: &mut Vec<Step>,
    notes: &mut Vec<String>,
) -> Result<(), CommandError> {
    let path = hook_path(folder, "pre-commit")?;
    match read(&path)? {
        None => {
            steps.push(Step::File { path, what: "a Git hook", text: GIT_HOOK.to_owned(), executable: true })
        }
        Some(text) if calls_us(&text) && is_executable(&path) => {
            notes.push("the Git hook is there already".to_owned());
        }
        Some(text) if calls_us(&text) => {
            notes
                .push(format!("Git ignores {0}, because it is not executable: chmod +x {0}", path.display()));
        }
        Some(_) => notes.push(format!(
            "{} is there already and stays as it is; add this line to it: rsops check --staged || exit 1",
            path.display()
        )),
    }
    Ok(())
}

pub(super) fn plan_pre_commit(
    folder: &Path,
    steps: &mut Vec<Step>,
    notes: &mut Vec<String>,
) -> Result<(), CommandError> {
    let path = folder.join(PRE_COMMIT);
    let text = match read(&path)? {
        None => format!("repos:\n{}", indented(2)),
        Some(text) if text.contains("rsops check") || text.contains("rsops-check") => {
            notes.push(format!("the hook is in {PRE_COMMIT} already"));
            return Ok(());
        }
        Some(text) => match with_entry(&text) {
            Some(text) => text,
            None => {
                let entry = indented(4);
                notes.push(format!("{PRE_COMMIT} stays as it is; add this below repos:\n{entry}"));
                return Ok(());
            }
        },
    };
    steps.push(Step::File { path, what: "a hook of pre-commit", text, executable: false });
    Ok(())
}

/// Whether a hook does it, rather than only to speak of it.
fn calls_us(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("rsops check"))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

/// The entry as the first of the list, as far to the right as the others. Without a list in block style there is no
/// place for it.
fn with_entry(text: &str) -> Option<String> {
    let at = if text.starts_with("repos:\n") { 0 } else { text.find("\nrepos:\n")? + 1 };
    let (before, after) = text.split_at(at + "repos:\n".len());
    let is_item = |line: &&str| line.trim_start().starts_with("- ");
    let first = after.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let column = is_item(&first).then(|| first.len() - first.trim_start().len())?;
    Some(format!("{before}{}{after}", indented(column)))
}

fn indented(column: usize) -> String {
    ENTRY.lines().map(|line| format!("{}{line}\n", " ".repeat(column))).collect()
}

fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CommandError::Read { path: PathBuf::from(path), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_joins_those_that_are_there() {
        let text = "# ours\nrepos:\n# first\n- repo: https://x\n  rev: v1\nfail_fast: true\n";
        let joined = with_entry(text).expect("a list");
        assert!(
            joined.starts_with("# ours\nrepos:\n- repo: local\n  hooks:\n    - id: rsops-check\n"),
            "{joined}"
        );
        assert!(joined.ends_with("# first\n- repo: https://x\n  rev: v1\nfail_fast: true\n"), "{joined}");
        let nested = with_entry("repos:\n    - repo: x\n").expect("a list");
        assert!(nested.starts_with("repos:\n    - repo: local\n      hooks:\n"), "{nested}");
        for other in ["repos: []\n", "repos:\n", "fail_fast: true\n", "repos:\n  x: y\n"] {
            assert_eq!(with_entry(other), None, "{other}");
        }
    }
}
