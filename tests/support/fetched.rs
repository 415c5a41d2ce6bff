//! What `tests/clients/install.sh` fetches. Without it a test says what is missing and passes; where `CI=true`, it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::program::setting;
use super::report::say;

fn place(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("in the target directory");
    target.join("clients").join(name)
}

/// Something by its place below `target/clients`.
pub(crate) fn fetched(name: &str) -> Option<PathBuf> {
    let path = place(name);
    or_skip(name, path.exists().then_some(path))
}

/// The Python that has this package of PyPI.
pub(crate) fn python_with(package: &str) -> Option<PathBuf> {
    let python = place("venv/bin/python");
    let import = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    or_skip(package, import.is_ok_and(|output| output.status.success()).then_some(python))
}

/// Something else that the script installs.
pub(crate) fn or_skip(what: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let reason = format!("{what} is missing, which tests/clients/install.sh fetches");
        assert!(setting("CI").is_none_or(|ci| ci != "true"), "{reason}");
        say(&format!("skipped: {}: {reason}", thread::current().name().unwrap_or("a test")));
    }
    found
}
