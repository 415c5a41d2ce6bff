//! The vendors' own clients for Python are the judges of our servers: each must work against its server before that
//! server judges us.

use std::path::Path;

use crate::support::fetched::python_with;
use crate::support::scratch::Scratch;

/// Runs `tests/keys/python/<script>` with this package. It fails by itself if something is not as it should be.
pub(crate) fn judge(package: &str, script: &str, variables: &[(&str, &str)]) {
    let Some(python) = python_with(package) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/python").join(script);
    let scratch = Scratch::new();
    let call = scratch.call_other(python, [script.display().to_string()]);
    variables.iter().fold(call, |call, (name, value)| call.variable(name, value)).stdout();
}
