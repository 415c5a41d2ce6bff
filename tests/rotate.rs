//! `rotate`: a new data key, and other keys on the way.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use support::keys::{recipient, rule};
use support::outcome::{Outcome, refused};
use support::scratch::Scratch;

const PLAIN: &[u8] = b"a: secret value\nb: secret value\nc_unencrypted: in clear\n";

/// A scratch folder with `a.yaml`, encrypted for alice.
fn encrypted() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", PLAIN);
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch
}

/// A scratch folder with `a.yaml`, encrypted for several groups.
fn encrypted_for(threshold: usize, groups: &[&[&str]]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(".sops.yaml", &rule(threshold, groups));
    scratch.write("a.yaml", PLAIN);
    scratch.call(["encrypt", "-i", "a.yaml"]).stdout();
    scratch
}

fn rotate(scratch: &Scratch, arguments: &[&str], keys: &[&str]) -> Outcome {
    scratch.call([&["rotate"], arguments].concat()).keys(keys).outcome()
}

fn opens_with(scratch: &Scratch, keys: &[&str]) -> bool {
    let outcome = scratch.call(["decrypt", "a.yaml"]).keys(keys).outcome();
    assert!(!outcome.succeeded() || outcome.stdout == PLAIN, "{}", outcome.messages());
    outcome.succeeded()
}

/// What is random in a file: IVs and the lines of wrapped data keys.
fn random_parts(text: &str) -> BTreeSet<&str> {
    let ivs = text.split(',').filter(|part| part.starts_with("iv:"));
    let is_armour = |line: &&str| line.len() > 40 && !line.contains([' ', ':', ',']);
    ivs.chain(text.lines().map(str::trim).filter(is_armour)).collect()
}

#[test]
fn nothing_random_is_used_again() {
    let scratch = encrypted();
    let before = scratch.text("a.yaml");
    let outcome = rotate(&scratch, &["-i", "a.yaml"], &["age-alice"]);
    assert!(outcome.succeeded() && outcome.stdout.is_empty() && outcome.stderr.is_empty());
    let after = scratch.text("a.yaml");
    let (old, new) = (random_parts(&before), random_parts(&after));
    assert!(!old.is_empty() && old.len() == new.len() && old.is_disjoint(&new), "{before}{after}");
    assert!(opens_with(&scratch, &["age-alice"]));
}

#[test]
fn the_result_goes_where_it_is_told_to() {
    let scratch = encrypted();
    let before = scratch.text("a.yaml");
    let printed = scratch.call(["rotate", "a.yaml"]).keys(["age-alice"]).stdout();
    scratch.call(["rotate", "--output", "b.yaml", "a.yaml"]).keys(["age-alice"]).stdout();
    assert_eq!(scratch.text("a.yaml"), before);
    scratch.write("c.yaml", &printed);
    for name in ["b.yaml", "c.yaml"] {
        assert_eq!(scratch.call(["decrypt", name]).keys(["age-alice"]).stdout(), PLAIN, "{name}");
    }
}

#[test]
fn keys_come_and_go() {
    let scratch = encrypted();
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    // flags count behind the file too, where the reference passes over them
    rotate(&scratch, &["-i", "a.yaml", "--add-age", &bob], &["age-alice"]);
    assert!(opens_with(&scratch, &["age-bob"]) && opens_with(&scratch, &["age-alice"]));
    rotate(&scratch, &["-i", "--rm-age", &alice, "a.yaml"], &["age-bob"]);
    assert!(opens_with(&scratch, &["age-bob"]) && !opens_with(&scratch, &["age-alice"]));
}

#[test]
fn a_key_that_is_there_twice_goes_as_a_whole() {
    let scratch = encrypted();
    let bob = recipient("age-bob");
    for _ in 0..2 {
        rotate(&scratch, &["-i", "--add-age", &format!("{bob},{bob}"), "a.yaml"], &["age-alice"]);
    }
    assert_eq!(scratch.text("a.yaml").matches(&bob).count(), 4);
    assert!(rotate(&scratch, &["-i", "--rm-age", &bob, "a.yaml"], &["age-alice"]).succeeded());
    assert_eq!(scratch.text("a.yaml").matches(&bob).count(), 0);
    assert!(opens_with(&scratch, &["age-alice"]) && !opens_with(&scratch, &["age-bob"]));
}

#[test]
fn groups_and_their_threshold_stay() {
    let scratch = encrypted_for(2, &[&["age-alice"], &["age-bob", "age-dave"], &["age-carol"]]);
    let outcome = rotate(
        &scratch,
        &["-i", "--add-age", &recipient("age-mallory"), "--rm-age", &recipient("age-dave"), "a.yaml"],
        &["age-alice", "age-bob"],
    );
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert!(scratch.text("a.yaml").contains("shamir_threshold: 2"));
    assert!(opens_with(&scratch, &["age-mallory", "age-carol"]), "the new key is in the first group");
    assert!(!opens_with(&scratch, &["age-mallory", "age-alice"]), "one group is not enough");
    assert!(!opens_with(&scratch, &["age-dave", "age-alice"]));
}

#[test]
fn failures_leave_the_file_as_it_was() {
    let scratch = encrypted();
    let before = scratch.text("a.yaml");
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let refuses = |arguments: &[&str], keys: &[&str], status, words: &[&str]| {
        refused(&rotate(&scratch, arguments, keys), status, words);
        assert_eq!(scratch.text("a.yaml"), before, "{arguments:?}");
    };
    let keys = &["age-alice"][..];
    refuses(&["-i", "--rm-age", &alice, "a.yaml"], keys, 1, &["empty key group"]);
    refuses(&["-i", "a.yaml"], &["age-bob"], 128, &["Failed to get the data key", &alice]);
    refuses(&["-i", "--add-age", "nobody", "a.yaml"], keys, 1, &["unknown recipient type: \"nobody\""]);
    refuses(&["-i", "--rm-hckms", "x", "a.yaml"], keys, 1, &["invalid key ID format"]);
    refuses(&["-i", "--add-pgp", "FF", "--add-age", &bob, "a.yaml"], keys, 1, &["master key \"FF\""]);
    refuses(&["-i", "--output", "b.yaml", "a.yaml"], keys, 8, &["--output", "--in-place"]);
    refuses(&["--decryption-order", "age,age", "a.yaml"], keys, 112, &["Duplicate"]);
    refuses(&["--enable-local-keyservice=false", "a.yaml"], keys, 128, &["FAILED"]);
    refuses(&[], keys, 100, &["no file specified"]);
    refuses(&["b.yaml"], keys, 2, &["b.yaml: no such file"]);
    refuses(&["."], keys, 2, &["is a directory"]);
    refuses(&["--rm-age", &bob, "b.yaml"], keys, 49, &["non-existent file", "b.yaml"]);
    refuses(&["--add-age", &bob, "b.yaml"], keys, 49, &["non-existent file", "b.yaml"]);
}

#[test]
fn what_differs_from_its_mac_is_only_rotated_if_that_is_asked_for() {
    let scratch = encrypted();
    let changed = scratch.text("a.yaml").replace("in clear", "changed");
    scratch.write("a.yaml", changed.as_bytes());
    refused(&rotate(&scratch, &["-i", "a.yaml"], &["age-alice"]), 51, &["MAC mismatch"]);
    assert_eq!(scratch.text("a.yaml"), changed);
    // in the reference only the first generation of the command line can do that
    let legacy = scratch.call(["-r", "-i", "--ignore-mac", "a.yaml"]).keys(["age-alice"]).outcome();
    assert!(legacy.succeeded() && legacy.stderr.is_empty(), "{}", legacy.messages());
    assert!(scratch.call(["decrypt", "a.yaml"]).keys(["age-alice"]).outcome().succeeded());
}

#[test]
fn the_first_file_is_rotated_and_no_rule_is_needed() {
    let scratch = encrypted();
    scratch.write(".sops.yaml", b"creation_rules:\n  - path_regex: nothing\nstores: {yaml: {indent: 2}}\n");
    let outcome = rotate(&scratch, &["a.yaml", "b.yaml", "--output", "new.yaml"], &["age-alice"]);
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert!(outcome.messages().contains("More than one positional argument"));
    assert!(scratch.text("new.yaml").contains("\n  mac: "), "indented as the configuration says");
    scratch.write(".sops.yaml", b"creation_rules: 1\n");
    refused(&rotate(&scratch, &["a.yaml"], &["age-alice"]), 1, &["error loading config"]);
}

#[test]
fn a_malformed_encryption_context_is_only_warned_of() {
    let scratch = encrypted();
    let outcome = rotate(&scratch, &["--encryption-context", "x", "a.yaml"], &["age-alice"]);
    assert!(outcome.succeeded());
    assert!(outcome.messages().starts_with("[AWSKMS]"), "{}", outcome.messages());
}

#[test]
fn keys_of_unknown_kinds_would_lose_the_file() {
    let scratch = encrypted();
    let text = scratch.text("a.yaml");
    let newer = text.replace("    lastmodified:", "    future_kms:\n        - enc: abc\n    lastmodified:");
    scratch.write("a.yaml", newer.as_bytes());
    assert!(opens_with(&scratch, &["age-alice"]));
    refused(&rotate(&scratch, &["-i", "a.yaml"], &["age-alice"]), 1, &["future_kms", "hint:"]);
    assert_eq!(scratch.text("a.yaml"), newer);

    let newer = text.replace("    lastmodified:", "    future_note: 1\n    lastmodified:");
    scratch.write("a.yaml", newer.as_bytes());
    assert!(rotate(&scratch, &["-i", "a.yaml"], &["age-alice"]).succeeded());
    assert!(scratch.text("a.yaml").contains("    future_note: 1\n"), "other entries are kept");
}

#[test]
fn entries_of_groups_that_nobody_knows_are_kept() {
    let note = |scratch: &Scratch| {
        let text =
            scratch.text("a.yaml").replacen("hc_vault: []", "future_note: 1\n          hc_vault: []", 1);
        scratch.write("a.yaml", text.as_bytes());
    };
    let scratch = encrypted_for(2, &[&["age-alice"], &["age-bob"]]);
    note(&scratch);
    assert!(rotate(&scratch, &["-i", "a.yaml"], &["age-alice", "age-bob"]).succeeded());
    assert!(scratch.text("a.yaml").contains("          future_note: 1\n"));
    // the group is the only one then, and has no mapping of its own
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice"]]));
    let sync = scratch.call(["updatekeys", "-y", "a.yaml"]).keys(["age-alice", "age-bob"]).outcome();
    assert!(sync.succeeded(), "{}", sync.messages());
    assert!(scratch.text("a.yaml").contains("\n    future_note: 1\n"));
}
