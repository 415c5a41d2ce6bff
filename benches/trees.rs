//! A thousand encrypted files: by one process each, and by one process for all.
//!
//! With `TMPDIR` on a file system in memory it is rsops that is measured; on others most of the time may be the disk's,
//! and what was deleted in the minutes before counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use divan::Bencher;
use tempfile::TempDir;

fn main() {
    divan::main();
}

const FILES: usize = 1000;

const IDENTITY: &str = include_str!("../tests/fixtures/keys/age-alice.txt");
const ALICE: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";
const BOB: &str = "age1rg7dyyp8m855ntxsjuvzfadqeekjwtr9dpv8hv6773ttvfwmyd6qr3tjzt";

fn rsops(folder: &Path, arguments: &[&str]) {
    let status = Command::new(env!("CARGO_BIN_EXE_rsops"))
        .args(arguments)
        .current_dir(folder)
        .env("SOPS_AGE_KEY", IDENTITY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("our own program");
    assert!(status.success(), "rsops {arguments:?}");
}

/// `secrets/` with the files for one recipient, and a rule that wants a second one.
fn tree() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path();
    let rule = |recipients: &str| {
        let text = format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {recipients}\n");
        fs::write(root.join(".sops.yaml"), text).expect("our own folder");
    };
    fs::create_dir(root.join("secrets")).expect("our own folder");
    for file in files() {
        fs::write(root.join(file), "a: 1\nb: two\nc: three\nd:\n    e: f\n    g: true\nh: 2.5\n")
            .expect("our own folder");
    }
    rule(ALICE);
    rsops(root, &["encrypt", "--in-place", "--recursive", "secrets"]);
    rule(&format!("{ALICE},{BOB}"));
    folder
}

fn files() -> impl Iterator<Item = String> {
    (0..FILES).map(|number| format!("secrets/{number}.yaml"))
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn updatekeys_one_by_one(bencher: Bencher) {
    bencher.with_inputs(tree).bench_refs(|tree| {
        files().for_each(|file| rsops(tree.path(), &["updatekeys", "--yes", &file]));
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn updatekeys_tree(bencher: Bencher) {
    bencher.with_inputs(tree).bench_refs(|tree| {
        rsops(tree.path(), &["updatekeys", "--yes", "--recursive", "secrets"]);
    });
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn decrypt_one_by_one(bencher: Bencher) {
    bencher.with_inputs(tree).bench_refs(|tree| {
        fs::create_dir_all(tree.path().join("clear/secrets")).expect("our own folder");
        for file in files() {
            rsops(tree.path(), &["decrypt", "--output", &format!("clear/{file}"), &file]);
        }
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn decrypt_tree(bencher: Bencher) {
    bencher.with_inputs(tree).bench_refs(|tree| {
        rsops(tree.path(), &["decrypt", "--recursive", "--output", "clear", "secrets"]);
    });
}
