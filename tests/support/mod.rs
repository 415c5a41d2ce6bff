//! What the tests of the built program share: a scratch folder with keys, comparisons, a report.
//!
//! ```ignore
//! let scratch = Scratch::new();
//! scratch.write("a.yaml", b"a: 1\n");
//! let sealed = scratch.call(["encrypt", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
//! ```
// every test binary uses its own part of this
#![allow(dead_code)]

pub(crate) mod fetched;
pub(crate) mod keys;
#[cfg(unix)]
pub(crate) mod moments;
pub(crate) mod outcome;
pub(crate) mod program;
pub(crate) mod pty;
pub(crate) mod report;
pub(crate) mod repository;
#[cfg(unix)]
pub(crate) mod running;
pub(crate) mod scratch;
pub(crate) mod text;

/// Nothing to say, or what differs.
pub(crate) type Check = Result<(), String>;

/// Puts what was being done in front of what differs.
pub(crate) fn during(what: &str, check: Check) -> Check {
    check.map_err(|complaint| format!("{what}: {complaint}"))
}
