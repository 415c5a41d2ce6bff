//! PyPI's packages that call `sops` or look at its files.

use std::path::{Path, PathBuf};

use super::support::keys::recipient;
use super::support::outcome::Ending;
use super::{Desk, fetched, script, text};

const PLAINTEXT: &str = "user: app\nport: 5432\npassword: secret\n";

fn python() -> Option<PathBuf> {
    fetched("venv/bin/python")
}

/// Runs a script that fails by itself if something is not as it should be.
fn run(desk: &Desk, python: &Path, name: &str) -> String {
    text(desk.run(python, &[&script(name)]).stdout())
}

#[test]
fn sopsy_encrypts_and_decrypts() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.scratch.write("secrets.yaml", PLAINTEXT.as_bytes());
    run(&desk, &python, "sopsy_files.py");
    assert!(desk.read("secrets.yaml").contains("password: ENC["));
    assert_eq!(desk.open("secrets.yaml"), PLAINTEXT);
}

#[test]
fn sopsy_rotates() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secrets.yaml", PLAINTEXT);
    let before = desk.read("secrets.yaml");
    run(&desk, &python, "sopsy_rotate.py");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(&before), lines(&desk.read("secrets.yaml")));
    assert!(before.iter().zip(&after).take(3).all(|(before, after)| before != after), "{after:?}");
    assert_eq!(desk.open("secrets.yaml"), PLAINTEXT);
}

#[test]
fn settings_of_pydantic_come_from_an_encrypted_file() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("secrets.yaml", PLAINTEXT);
    assert_eq!(run(&desk, &python, "settings.py"), "app secret 5432\n");
}

#[test]
fn sops_wrapper_encrypts_what_a_rule_names() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    let rule = format!("creation_rules:\n  - path_regex: prod/\n    age: {}\n", recipient("age-alice"));
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.scratch.write("prod/a.yaml", PLAINTEXT.as_bytes());
    desk.scratch.write("test/a.yaml", PLAINTEXT.as_bytes());
    desk.run(&python, &["-m", "sops_wrapper", "encrypt", "--in-place"]).stdout();
    assert_eq!(desk.read("test/a.yaml"), PLAINTEXT);
    assert!(desk.read("prod/a.yaml").contains("password: ENC["));
    assert_eq!(desk.open("prod/a.yaml"), PLAINTEXT);
}

#[test]
fn a_hook_that_looks_for_values_in_clear_is_content() {
    let Some(python) = python() else { return };
    let desk = Desk::new();
    desk.seal("a.yaml", PLAINTEXT);
    desk.seal("a.json", "{\"user\": \"app\", \"list\": [1, true, {\"a\": \"b\"}]}");
    let check = ["-m", "pre_commit_hook_ensure_sops", "a.yaml", "a.json"];
    desk.run(&python, &check).stdout();
    desk.scratch.write("a.yaml", PLAINTEXT.as_bytes());
    assert_eq!(desk.run(&python, &check).outcome().ending, Ending::Exited(1));
}
