//! The hooks that `init` installs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rsops::config::absolute;

use super::plan::{Plan, Step, one_line};
use crate::cli::error::CommandError;
use crate::cli::repository::{common_directory, hook_path, is_repository, top_level};

const GIT_HOOK: &str = "#!/bin/sh\n# refuses secrets in clear\nexec rsops check --staged\n";

/// A merge that Git finishes by itself does not come past the first.
const HOOKS: [&str; 2] = ["pre-commit", "pre-merge-commit"];

const PRE_COMMIT: &str = ".pre-commit-config.yaml";

/// What a new file says first, so that `pre-commit install` is about merges too.
const BOTH_HOOKS: &str = "default_install_hook_types: [pre-commit, pre-merge-commit]\n";

/// Lines for `.pre-commit-config.yaml`, below `repos:`. The program is that of this machine.
const ENTRY: &str = "- repo: local
  hooks:
    - id: rsops-check
      name: find plaintext secrets
      entry: rsops check
      language: system
      require_serial: true
";

pub(super) fn plan_git_hooks(folder: &Path, plan: &mut Plan) -> Result<(), CommandError> {
    let own = [top_level(folder)?, common_directory(folder)?].map(|place| resolved(&place));
    for name in HOOKS {
        let path = of_husky(absolute(folder, &hook_path(folder, name)?));
        let shown = one_line(&path);
        let real = resolved(&path);
        match read(&path)? {
            Some(text) if calls_us(&text) && (is_executable(&path) || is_sourced(&path)) => {
                plan.note(format!("the Git hook {name} is there already"));
            }
            Some(text) if calls_us(&text) => {
                plan.request(format!("Git ignores {shown}, because it is not executable: chmod +x {shown}"));
            }
            Some(_) => plan.request(format!(
                "{shown} is there already and stays as it is; add this line to it: rsops check --staged || exit 1"
            )),
            // other repositories may have the same
            None if !own.iter().any(|place| real.starts_with(place)) => plan.request(format!(
                "core.hooksPath leads out of this repository, to {shown}, where nothing is written; have it call: rsops \
                 check --staged || exit 1"
            )),
            None => plan.add(Step::File {
                path,
                what: "a Git hook",
                text: GIT_HOOK.to_owned(),
                executable: true,
            }),
        }
    }
    Ok(())
}

/// Husky makes the folder that Git looks in anew; what it calls lies beside it.
fn of_husky(path: PathBuf) -> PathBuf {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else { return path };
    match folder.parent() {
        Some(husky) if folder.ends_with(".husky/_") => husky.join(name),
        _ => path,
    }
}

/// Husky gives its files to a shell.
fn is_sourced(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with(".husky") && folder.join("_").is_dir())
}

pub(super) fn plan_pre_commit(folder: &Path, plan: &mut Plan) -> Result<(), CommandError> {
    // it is looked for nowhere else
    let top = if is_repository(folder)? { top_level(folder)? } else { folder.to_owned() };
    let path = top.join(PRE_COMMIT);
    let text = match read(&path)? {
        None => format!("{BOTH_HOOKS}repos:\n{}", indented(2)),
        Some(text) if text.contains("rsops check") || text.contains("rsops-check") => {
            plan.note(format!("the hook is in {PRE_COMMIT} already"));
            return Ok(());
        }
        Some(text) => match with_entry(&text) {
            Some(text) => text,
            None => {
                let entry = indented(4);
                plan.request(format!("{PRE_COMMIT} stays as it is; add this below repos:\n{entry}"));
                return Ok(());
            }
        },
    };
    plan.add(Step::File { path, what: "a hook of pre-commit", text, executable: false });
    plan.request(
        "pre-commit has to be told once: pre-commit install --hook-type pre-commit --hook-type pre-merge-commit"
            .to_owned(),
    );
    Ok(())
}

/// A path through no links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return path.strip_prefix(ancestor).map_or_else(|_| real.clone(), |rest| real.join(rest));
        }
    }
    path.to_owned()
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

/// The text of a file, if there is one. A link that leads nowhere is something that somebody has put there, and a hook
/// may be a program.
fn read(path: &Path) -> Result<Option<String>, CommandError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::NotADirectory => {
            Ok(path.symlink_metadata().is_ok().then(String::new))
        }
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
