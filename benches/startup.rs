//! What it costs to start: a process that says its version, and one that decrypts six leaves for age.
//!
//! To be run with all features and with age alone (`--no-default-features --features age`): the clouds must not be felt
//! by those who do not use them.

use std::fs;
use std::path::Path;
use std::process::Command;

use divan::Bencher;

fn main() {
    divan::main();
}

const IDENTITY: &str = include_str!("../tests/fixtures/keys/age-alice.txt");
const RECIPIENT: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";

fn rsops(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_rsops"))
        .args(arguments)
        .current_dir(folder)
        .env("SOPS_AGE_KEY", IDENTITY)
        .output()
        .expect("our own program");
    assert!(output.status.success(), "rsops {arguments:?}");
    output.stdout
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn version(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    bencher.bench(|| rsops(folder.path(), &["--version"]));
}

#[divan::bench(sample_count = 500, sample_size = 1)]
fn decrypt_small(bencher: Bencher) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    fs::write(folder.path().join("plain.yaml"), "a: 1\nb: two\nc:\n  d: 3.5\n  e: true\n  f: [x, y]\n")
        .expect("our own folder");
    let sealed = rsops(folder.path(), &["encrypt", "--age", RECIPIENT, "plain.yaml"]);
    fs::write(folder.path().join("small.yaml"), sealed).expect("our own folder");
    bencher.bench(|| rsops(folder.path(), &["decrypt", "small.yaml"]));
}
