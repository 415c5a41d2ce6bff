//! The vendors' own clients for Python are the judges of our servers: each must work against its server before that
//! server judges us.

use std::path::{Path, PathBuf};
use std::thread;

use crate::support::program::setting;
use crate::support::report::say;
use crate::support::scratch::Scratch;

/// Runs `tests/keys/python/<script>`, which fails by itself if something is not as it should be. Without what
/// `tests/clients/install.sh` fetches the test is skipped; where `CI=true`, it fails.
pub(crate) fn judge(script: &str, variables: &[(&str, &str)]) {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/python").join(script);
    let scratch = Scratch::new();
    let call = scratch.call_other(python, [script.display().to_string()]);
    variables.iter().fold(call, |call, (name, value)| call.variable(name, value)).stdout();
}

fn python() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("in the target directory");
    let python = target.join("clients/venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    let reason = "the vendor's client for Python is missing, which tests/clients/install.sh fetches";
    assert!(setting("CI").is_none_or(|ci| ci != "true"), "{reason}");
    let test = thread::current();
    say(&format!("skipped: {}: {reason}", test.name().unwrap_or("a test")));
    None
}
