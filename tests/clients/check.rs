//! `rsops check` where it is meant to run: as a hook of pre-commit, and before code scanning.

use std::path::{Path, PathBuf};

use super::support::outcome::{Ending, Outcome};
use super::{Desk, fetched, on_path, script, text};

fn git(desk: &Desk, arguments: &[&str]) -> Outcome {
    let identity = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"];
    desk.run("git", &[&identity[..], arguments].concat()).outcome()
}

fn done(outcome: &Outcome) {
    assert!(outcome.succeeded(), "{}: {}", outcome.ending, outcome.messages());
}

/// A repository that takes its hooks from ours.
fn repository() -> Option<(Desk, PathBuf)> {
    on_path("git")?;
    let pre_commit = fetched("venv/bin/pre-commit")?;
    let desk = Desk::new();
    let hooks = desk.scratch.root().join("hooks");
    std::fs::create_dir(&hooks).expect("our own folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml");
    std::fs::copy(ours, hooks.join(".pre-commit-hooks.yaml")).expect("our own folder");
    let there = hooks.display().to_string();
    for arguments in [
        &["-C", &there, "init", "--quiet"][..],
        &["-C", &there, "add", "."],
        &["-C", &there, "commit", "--quiet", "--message", "Hooks"],
        &["-C", &there, "tag", "v1"],
        &["init", "--quiet"],
    ] {
        done(&git(&desk, arguments));
    }
    let config = format!("repos:\n  - repo: {there}\n    rev: v1\n    hooks:\n      - id: rsops-check\n");
    desk.scratch.write(".pre-commit-config.yaml", config.as_bytes());
    done(&desk.run(&pre_commit, &["install"]).outcome());
    Some((desk, pre_commit))
}

#[test]
fn pre_commit_stops_a_leak_and_lets_a_good_commit_pass() {
    let Some((desk, pre_commit)) = repository() else { return };
    let rules = desk.read(".sops.yaml").replace("- age:", "- path_regex: ^secrets/\n      age:");
    desk.scratch.write(".sops.yaml", rules.as_bytes());
    desk.seal("secrets/good.yaml", "password: hunter2\n");
    desk.scratch.write("README.md", b"Read me.\n");
    done(&git(&desk, &["add", "."]));
    done(&git(&desk, &["commit", "--quiet", "--message", "Good"]));

    desk.scratch.write("secrets/leak.yaml", b"password: hunter2\n");
    done(&git(&desk, &["add", "."]));
    let stopped = git(&desk, &["commit", "--quiet", "--message", "Leak"]);
    assert_eq!(stopped.ending, Ending::Exited(1), "{}", stopped.messages());
    let told = stopped.messages() + &text(stopped.stdout);
    assert!(told.contains("secrets/leak.yaml: plaintext-file"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");

    // what lies on disk does not help, what is added does
    desk.seal("secrets/leak.yaml", "password: hunter2\n");
    let still = git(&desk, &["commit", "--quiet", "--message", "Leak"]);
    assert_eq!(still.ending, Ending::Exited(1), "{}", still.messages());
    done(&git(&desk, &["add", "."]));
    done(&git(&desk, &["commit", "--quiet", "--message", "No leak"]));
    done(&desk.run(&pre_commit, &["run", "--all-files"]).outcome());
}

#[test]
fn the_log_is_sarif() {
    let (Some(python), Some(schema)) = (fetched("venv/bin/python"), fetched("sarif-2.1.0.json")) else {
        return;
    };
    let desk = Desk::new();
    desk.scratch.write("a folder/s.yaml", b"apiVersion: v1\nkind: Secret\ndata:\n  password: aHVudGVyMg==\n");
    desk.scratch.write("copy.dec.yaml", b"a: 1\n");
    desk.seal("copy.yaml", "a: 1\n");
    let check = desk.run("rsops", &["check", "--format", "sarif"]).outcome();
    assert_eq!(check.ending, Ending::Exited(1), "{}", check.messages());
    desk.scratch.write("log.sarif", &check.stdout);
    let validate = script("sarif.py");
    done(&desk.run(python, &[&validate, &schema.display().to_string(), "log.sarif", "2"]).outcome());
    // no findings are a valid log too
    let none = desk.run("rsops", &["check", "--format", "sarif", "copy.yaml"]).stdout();
    desk.scratch.write("log.sarif", &none);
    let python = fetched("venv/bin/python").expect("it was there");
    done(&desk.run(python, &[&validate, &schema.display().to_string(), "log.sarif", "0"]).outcome());
}
