//! Help, mistakes in the arguments, and what `--verbose` says.

#[path = "support/mod.rs"]
mod support;

use std::os::unix::fs::symlink;
use std::process::Command;

use support::keys::recipient;
use support::outcome::{Ending, Outcome};
use support::program::binary;
use support::scratch::Scratch;

fn called(arguments: &[&str]) -> Outcome {
    Scratch::new().call(arguments).outcome()
}

fn stdout(outcome: &Outcome) -> String {
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}: {}", outcome.ending, outcome.messages());
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

fn refused(outcome: &Outcome, status: i32, words: &[&str]) {
    let messages = outcome.messages();
    assert_eq!(outcome.ending, Ending::Exited(status), "{messages}");
    assert!(outcome.stdout.is_empty());
    for word in words {
        assert!(messages.contains(word), "{word:?} is missing in {messages:?}");
    }
}

#[test]
fn the_page_shows_commands_environment_and_examples() {
    let page = stdout(&called(&["--help"]));
    for part in ["Usage: rsops COMMAND", "Files:\n", "  decrypt ", "SOPS_AGE_KEY_FILE", "Examples:\n"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    for same in [&["help"][..], &["h"], &["-h"], &["-help"], &["--h"], &["-h=true"], &["--help", "decrypt"]] {
        assert_eq!(stdout(&called(same)), page, "{same:?}");
    }
}

#[test]
fn every_command_has_a_page() {
    let page = stdout(&called(&["decrypt", "--help"]));
    assert!(page.contains("--extract <PATH>") && page.contains("SOPS_CONFIG"));
    assert!(page.contains("--verbose\n"), "switches are shown plainly: {page}");
    assert_eq!(stdout(&called(&["help", "decrypt"])), page);
    assert_eq!(stdout(&called(&["decrypt", "a.yaml", "--verbose=false", "--help=1"])), page);
    assert!(stdout(&called(&["completion"])).contains("bash"), "a command with commands shows them");
    for unknown in [&["help", "nonsense"][..], &["completion", "nonsense"], &["h", "decrypt", "nonsense"]] {
        refused(&called(unknown), 3, &["No help topic for 'nonsense'"]);
    }
    refused(&called(&["-h=false"]), 100, &["no file specified"]);
}

#[test]
fn the_program_calls_itself_as_it_was_called() {
    let scratch = Scratch::new();
    let link = scratch.folder().join("sops");
    symlink(binary(), &link).expect("a link");
    let run = |arguments: &[&str]| Command::new(&link).args(arguments).output().expect("it runs");
    let page = run(&["--help"]).stdout;
    assert!(page.windows(12).any(|part| part == b"Usage: sops "), "{}", String::from_utf8_lossy(&page));
    let page = run(&["decrypt", "-h"]).stdout;
    assert!(page.windows(20).any(|part| part == b"Usage: sops decrypt "));
    let hint = run(&[]).stderr;
    assert!(hint.windows(13).any(|part| part == b"`sops --help`"), "{}", String::from_utf8_lossy(&hint));
}

#[test]
fn mistakes_name_the_flag_and_the_one_that_may_be_meant() {
    refused(&called(&["decrypt", "--extrakt", "x"]), 1, &["--extrakt", "--extract"]);
    refused(&called(&["--extrakt", "x"]), 1, &["--extrakt", "--extract"]);
    refused(&called(&["--extrakt", "decrypt", "x"]), 1, &["--extrakt", "--extract"]);
    refused(&called(&["decrypt", "--extract"]), 1, &["--extract"]);
    refused(&called(&["--config"]), 1, &["--config"]);
    refused(&called(&["decrypt", "--ignore-mac=maybe", "x"]), 1, &["maybe"]);
    refused(&called(&["-d=maybe", "x"]), 1, &["maybe"]);
    refused(&called(&["-di", "x"]), 1, &["--di"]);
    refused(&called(&["--ignore-mac", "encrypt", "x"]), 1, &["encrypt cannot use --ignore-mac", "hint:"]);
}

/// The reference refuses two spellings of a flag; here the last one counts (policy.md §2).
#[test]
fn the_last_of_two_spellings_counts() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: 1\n");
    let [alice, bob] = ["age-alice", "age-bob"].map(recipient);
    let sealed = scratch.call(["encrypt", "-a", &bob, "--age", &alice, "a.yaml"]).stdout();
    let sealed = String::from_utf8(sealed).expect("text");
    assert!(sealed.contains(&alice) && !sealed.contains(&bob));
}

#[test]
fn verbose_tells_every_step_in_order() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: [secret]\n");
    let [alice, bob] = ["age-alice", "age-bob"].map(recipient);
    let groups = format!("creation_rules:\n  - key_groups: [{{age: [{alice}]}}, {{age: [{bob}]}}]\n");
    scratch.write(".sops.yaml", groups.as_bytes());
    let line = |component: &str, level: &str, rest: &str| {
        format!("[{component}]\t time=\"<TIME>\" level={level} msg={rest}\n")
    };
    let sealed = scratch.call(["--verbose", "encrypt", "-i", "a.yaml"]).outcome();
    assert_eq!(
        sealed.messages(),
        line("SOPS", "info", "\"Splitting data key with Shamir Secret Sharing\" parts=2 quorum=2")
            + &line("AGE", "info", &format!("\"Encryption succeeded\" recipient={alice}"))
            + &line("AGE", "info", &format!("\"Encryption succeeded\" recipient={bob}"))
            + &line("CMD", "info", "\"File written successfully\"")
    );
    let opened = scratch.call(["decrypt", "--verbose", "--extract", "[\"a\"][0]", "a.yaml"]);
    let opened = opened.keys(["age-alice", "age-bob"]).outcome();
    assert_eq!(opened.stdout, b"secret");
    assert_eq!(
        opened.messages(),
        line("AGE", "info", "\"Decryption succeeded\"").repeat(2)
            + &line("SOPS", "info", "\"Data key recovered successfully\"")
            + &line("SOPS", "debug", "\"Decrypting tree\"")
            + &line("SOPS", "info", "\"Truncating tree\" path=\"[a 0]\"")
    );
    let failed = scratch.call(["--verbose", "-d", "a.yaml"]).keys(["age-alice"]).outcome();
    refused(&failed, 128, &["msg=\"Decryption succeeded\"", "msg=\"Decryption failed\""]);
}
