//! Programs of other people that call `sops`, or read its files: rsops stands in for it, and they do not notice.
//!
//! `install.sh` fetches those that a machine seldom has. Without them a test says what is missing and passes; where
//! `CI=true`, it fails. `RSOPS_TEST_BINARY=path` puts another program in the place of the one just built.
#![cfg(all(unix, feature = "age"))]

mod age;
mod age_plugin;
mod ansible;
mod check;
mod git;
mod guides;
mod node;
mod python;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::path::{Path, PathBuf};

use support::fetched::{fetched, or_skip};
use support::keys::recipient;
use support::program::binary;
use support::scratch::{Call, Scratch};

/// A folder to work in, with the program on the search path under both names, and a rule for all of its files.
struct Desk {
    scratch: Scratch,
}

impl Desk {
    fn new() -> Self {
        let scratch = Scratch::new();
        for name in ["sops", "rsops"] {
            scratch.offer(name, &binary());
        }
        scratch.write(
            ".sops.yaml",
            format!("creation_rules:\n    - age: {}\n", recipient("age-alice")).as_bytes(),
        );
        Self { scratch }
    }

    /// A run of any program, by somebody who has alice's key.
    fn run(&self, program: impl Into<PathBuf>, arguments: &[&str]) -> Call<'_> {
        self.run_without_key(program, arguments).keys(["age-alice"])
    }

    fn run_without_key(&self, program: impl Into<PathBuf>, arguments: &[&str]) -> Call<'_> {
        self.scratch.call_other(program, arguments).with_programs()
    }

    /// Writes a file and encrypts it where it lies.
    fn seal(&self, name: &str, plaintext: &str) {
        self.scratch.write(name, plaintext.as_bytes());
        self.run("sops", &["encrypt", "--in-place", name]).stdout();
    }

    fn open(&self, name: &str) -> String {
        text(self.run("sops", &["decrypt", name]).stdout())
    }

    fn read(&self, name: &str) -> String {
        text(self.scratch.read(name).expect("a file"))
    }

    fn path(&self, name: &str) -> String {
        self.scratch.folder().join(name).display().to_string()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// A program of this machine.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    or_skip(program, found)
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripts").join(name).display().to_string()
}
