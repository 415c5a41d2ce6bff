//! `updatekeys`: the keys of files follow the creation rules.

#[path = "support/mod.rs"]
mod support;

use support::keys::{recipient, rule};
use support::outcome::{Outcome, fails_with, refused};
use support::scratch::Scratch;

const PLAIN: &[u8] = b"a: secret value\nb_unencrypted: in clear\n";

/// A scratch folder with files, encrypted by this rule.
fn encrypted_by(rule: &[u8], names: &[&str]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(".sops.yaml", rule);
    for name in names {
        scratch.write(name, PLAIN);
        scratch.call(["encrypt", "-i", name]).stdout();
    }
    scratch
}

/// `a.yaml` is for alice, the rule is for alice and bob.
fn bob_is_missing() -> Scratch {
    let scratch = encrypted_by(&rule(0, &[&["age-alice"]]), &["a.yaml"]);
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    scratch
}

fn update(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    scratch.call([&["updatekeys"], arguments].concat()).keys(["age-alice", "age-bob"]).outcome()
}

fn answer(scratch: &Scratch, answers: &str, files: &[&str]) -> Outcome {
    let call = scratch.call([&["updatekeys"], files].concat()).keys(["age-alice"]);
    call.stdin(answers.as_bytes()).outcome()
}

fn stdout(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.stdout).into_owned()
}

/// What is printed about changes, recipients shortened to names.
fn changes(outcome: &Outcome) -> String {
    let names = ["alice", "bob", "carol", "dave"];
    let text = names
        .iter()
        .fold(stdout(outcome), |text, name| text.replace(&recipient(&format!("age-{name}")), name));
    text.replace("The following changes will be made to the file's groups:\n", "")
}

fn opens_with(scratch: &Scratch, keys: &[&str]) -> bool {
    let outcome = scratch.call(["decrypt", "a.yaml"]).keys(keys).outcome();
    assert!(!outcome.succeeded() || outcome.stdout == PLAIN, "{}", outcome.messages());
    outcome.succeeded()
}

#[test]
fn keys_follow_the_rule_and_values_stay() {
    let scratch = bob_is_missing();
    let before = scratch.text("a.yaml");
    let outcome = update(&scratch, &["-y", "a.yaml"]);
    assert!(outcome.succeeded());
    assert_eq!(changes(&outcome), "Group 1\n    alice\n+++ bob\n");
    assert_eq!(
        outcome.messages(),
        "<DATE> Syncing keys for file <DIR>/a.yaml\n<DATE> File <DIR>/a.yaml synced with new keys\n"
    );
    let after = scratch.text("a.yaml");
    for line in before.lines().filter(|line| line.contains(": ") && !line.contains("enc: |")) {
        assert!(after.lines().any(|other| other.trim() == line.trim_start_matches(['-', ' '])), "{line}");
    }
    assert!(opens_with(&scratch, &["age-bob"]));
}

#[test]
fn nothing_is_done_and_no_key_is_needed_where_all_is_well() {
    let scratch = encrypted_by(&rule(0, &[&["age-alice", "age-bob"]]), &["a.yaml"]);
    scratch.write(".sops.yaml", &rule(0, &[&["age-bob", "age-alice"]]));
    let before = scratch.text("a.yaml");
    let outcome = scratch.call(["updatekeys", "a.yaml"]).outcome();
    assert!(outcome.succeeded() && outcome.stdout.is_empty());
    assert!(outcome.messages().ends_with("File <DIR>/a.yaml already up to date\n"), "{}", outcome.messages());
    assert_eq!(scratch.text("a.yaml"), before);
}

#[test]
fn answers_are_one_word() {
    let question = "Is this okay? (y/n):";
    for (answers, status, said, questions) in [
        ("y\n", 0, "synced with new keys", 1),
        ("y", 0, "synced with new keys", 1),
        (" \ty \r\n", 0, "synced with new keys", 1),
        ("n\n", 0, "left unchanged", 1),
        ("n", 0, "left unchanged", 1),
        ("yes\nY\nN\ny\n", 0, "synced with new keys", 4),
        ("maybe", 1, "EOF", 2),
        ("", 1, "EOF", 1),
        ("\ny\n", 1, "unexpected newline", 1),
        ("y y\n", 1, "expected newline", 1),
    ] {
        let scratch = bob_is_missing();
        let before = scratch.text("a.yaml");
        let outcome = answer(&scratch, answers, &["a.yaml"]);
        fails_with(&outcome, status, &[said]);
        assert_eq!(stdout(&outcome).matches(question).count(), questions, "{answers:?}");
        assert!(stdout(&outcome).ends_with(question), "{answers:?}");
        assert_eq!(scratch.text("a.yaml") != before, said.starts_with("synced"), "{answers:?}");
    }
}

#[test]
fn each_file_gets_its_own_answer() {
    let names = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"];
    let scratch = encrypted_by(&rule(0, &[&["age-alice"]]), &names);
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    let before = names.map(|name| scratch.text(name));
    let outcome = answer(&scratch, "y\nn\nwhat now\ny\n", &names);
    fails_with(&outcome, 1, &["a.yaml synced", "b.yaml left unchanged", "expected newline", "d.yaml synced"]);
    assert!(outcome.messages().ends_with("failed updating 1 key(s)\n"));
    let changed: Vec<bool> = (0..4).map(|i| scratch.text(names[i]) != before[i]).collect();
    assert_eq!(changed, [true, false, false, true]);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let scratch = bob_is_missing();
    scratch.write("plain.yaml", PLAIN);
    let outcome = update(&scratch, &["-y", "plain.yaml", "missing.yaml", ".", "a.yaml"]);
    let words = [
        "Syncing keys for file <DIR>/plain.yaml\nsops metadata not found\nhint: ",
        "stat <DIR>/missing.yaml: no such file or directory",
        "can't operate on a directory",
        "a.yaml synced with new keys",
        "failed updating 3 key(s)\n",
    ];
    fails_with(&outcome, 1, &words);
    assert_eq!(scratch.read("plain.yaml").expect("there"), PLAIN);
    assert!(opens_with(&scratch, &["age-bob"]));
}

#[test]
fn a_single_file_fails_with_its_own_code() {
    let scratch = bob_is_missing();
    let before = scratch.text("a.yaml");
    let outcome = scratch.call(["updatekeys", "-y", "a.yaml"]).keys(["age-mallory"]).outcome();
    fails_with(&outcome, 128, &["Failed to get the data key", "Group 0: FAILED"]);
    assert_eq!(changes(&outcome), "Group 1\n    alice\n+++ bob\n", "shown before the key is needed");
    assert_eq!(scratch.text("a.yaml"), before);

    refused(&update(&scratch, &["-y", "missing.yaml"]), 1, &["stat <DIR>/missing.yaml: no such file"]);
    refused(&update(&scratch, &["-y", "."]), 1, &["can't operate on a directory"]);
    refused(&update(&scratch, &[]), 100, &["no file specified"]);
    refused(&update(&scratch, &["-y", "--enable-local-keyservice=x", "a.yaml"]), 1, &["invalid value"]);
    let nobody = update(&scratch, &["-y", "--enable-local-keyservice=false", "a.yaml"]);
    fails_with(&nobody, 128, &["FAILED"]);
    assert_eq!(scratch.text("a.yaml"), before);
}

#[test]
fn there_must_be_a_rule() {
    let scratch = encrypted_by(&rule(0, &[&["age-alice"]]), &["a.yaml"]);
    scratch.write(".sops.yaml", b"stores: {}\n");
    let words = ["Syncing keys", "The config file .sops.yaml does not contain any creation rule"];
    refused(&update(&scratch, &["-y", "a.yaml"]), 1, &words);
    scratch.write(".sops.yaml", b"creation_rules:\n  - path_regex: json$\n");
    refused(&update(&scratch, &["-y", "a.yaml"]), 1, &["no matching creation rules found"]);
    // before the files are counted
    let elsewhere = Scratch::new();
    refused(&update(&elsewhere, &[]), 1, &["config file not found", "hint: "]);
    let named = scratch.call(["--config", "missing", "updatekeys", "a.yaml"]).outcome();
    refused(&named, 1, &["could not read config file"]);
}

#[test]
fn groups_are_made_changed_and_removed() {
    let scratch = encrypted_by(&rule(0, &[&["age-alice", "age-bob"]]), &["a.yaml"]);
    let sync = |rule: &[u8]| {
        scratch.write(".sops.yaml", rule);
        let outcome = update(&scratch, &["-y", "a.yaml"]);
        assert!(outcome.succeeded(), "{}", outcome.messages());
        changes(&outcome)
    };
    let three = [&["age-alice"][..], &["age-bob"], &["age-carol"]];
    assert_eq!(
        sync(&rule(2, &three)),
        "+++ shamir_threshold: 2\nGroup 1\n    alice\n--- bob\nGroup 2\n+++ bob\nGroup 3\n+++ carol\n"
    );
    assert!(opens_with(&scratch, &["age-carol", "age-alice"]) && !opens_with(&scratch, &["age-alice"]));
    // the threshold alone is a change, which the reference does not see
    assert_eq!(
        sync(&rule(3, &three)),
        "+++ shamir_threshold: 3\n--- shamir_threshold: 2\nGroup 1\n    alice\nGroup 2\n    bob\nGroup 3\n    carol\n"
    );
    assert!(!opens_with(&scratch, &["age-carol", "age-alice"]));
}

#[test]
fn without_a_threshold_in_the_rule_that_of_the_file_stays() {
    let three = [&["age-alice"][..], &["age-bob"], &["age-carol"]];
    let scratch = encrypted_by(&rule(2, &three), &["a.yaml"]);
    let sync = |rule: &[u8]| {
        scratch.write(".sops.yaml", rule);
        changes(&update(&scratch, &["-y", "a.yaml"]))
    };
    assert_eq!(sync(&rule(0, &three)), "");
    let two = sync(&rule(0, &three[..2]));
    assert_eq!(two, "shamir_threshold: 2\nGroup 1\n    alice\nGroup 2\n    bob\nGroup 3\n--- carol\n");
    let one = sync(&rule(0, &three[..1]));
    assert_eq!(
        one,
        "+++ shamir_threshold: 1\n--- shamir_threshold: 2\nGroup 1\n    alice\nGroup 2\n--- bob\n"
    );
    // nothing can be split so that one part is enough: the reference fails from here on
    let two = sync(&rule(0, &three[..2]));
    assert_eq!(
        two,
        "+++ shamir_threshold: 2\n--- shamir_threshold: 1\nGroup 1\n    alice\nGroup 2\n+++ bob\n"
    );
    assert!(opens_with(&scratch, &["age-alice", "age-bob"]) && !opens_with(&scratch, &["age-bob"]));
}

#[test]
fn merged_groups_are_one_group() {
    let scratch = encrypted_by(&rule(0, &[&["age-alice"]]), &["a.yaml"]);
    let [alice, bob, carol] = ["age-alice", "age-bob", "age-carol"].map(recipient);
    let rule = format!(
        "creation_rules:\n  - key_groups:\n      - merge:\n          - age: [{bob}]\n          - age: [{alice}, {bob}]\n        \
         age: [{carol}, {alice}]\n"
    );
    scratch.write(".sops.yaml", rule.as_bytes());
    assert_eq!(changes(&update(&scratch, &["-y", "a.yaml"])), "Group 1\n    alice\n+++ bob\n+++ carol\n");
    assert!(
        scratch.text("a.yaml").find(&bob) < scratch.text("a.yaml").find(&alice),
        "in the order of the rule"
    );
}

#[test]
fn a_threshold_that_cannot_be_met_changes_nothing() {
    let scratch = encrypted_by(&rule(0, &[&["age-alice"]]), &["a.yaml"]);
    let before = scratch.text("a.yaml");
    for (threshold, groups, reason) in [
        (3, &[&["age-alice"][..], &["age-bob"]][..], "parts cannot be less than threshold"),
        (1, &[&["age-alice"], &["age-bob"]], "threshold must be at least 2"),
        (0, &[&[]], "empty key group"),
    ] {
        scratch.write(".sops.yaml", &rule(threshold, groups));
        let outcome = update(&scratch, &["-y", "a.yaml"]);
        fails_with(&outcome, 1, &["error updating one or more master keys: ", reason]);
        assert_eq!(scratch.text("a.yaml"), before);
    }
}

#[test]
fn what_cannot_be_verified_keeps_its_keys() {
    let scratch = bob_is_missing();
    let changed = scratch.text("a.yaml").replace("in clear", "changed");
    scratch.write("a.yaml", changed.as_bytes());
    let outcome = update(&scratch, &["-y", "a.yaml"]);
    fails_with(&outcome, 4, &["a.yaml cannot be verified", "MAC mismatch", "hint: ", "--ignore-mac"]);
    assert_eq!(scratch.text("a.yaml"), changed);
}

#[test]
fn what_a_newer_release_wrote_is_kept_or_refused() {
    let scratch = bob_is_missing();
    let text = scratch.text("a.yaml");
    let newer = text.replace("    lastmodified:", "    future_kms:\n        - enc: abc\n    lastmodified:");
    scratch.write("a.yaml", newer.as_bytes());
    refused(&update(&scratch, &["a.yaml"]), 1, &["future_kms", "hint: "]);
    assert_eq!(scratch.text("a.yaml"), newer);

    let newer = text.replace("          recipient:", "          future: 1\n          recipient:");
    scratch.write("a.yaml", newer.as_bytes());
    assert!(update(&scratch, &["-y", "a.yaml"]).succeeded());
    assert_eq!(scratch.text("a.yaml").matches("future: 1\n").count(), 1, "alice's key keeps it");
}

#[test]
fn the_format_can_be_named() {
    let scratch = bob_is_missing();
    scratch.write("a.txt", scratch.text("a.yaml").as_bytes());
    fails_with(&update(&scratch, &["-y", "a.txt"]), 1, &["hint: ", "--input-type"]);
    assert!(update(&scratch, &["-y", "--input-type", "yaml", "a.txt"]).succeeded());
    assert!(scratch.text("a.txt").contains(&recipient("age-bob")));
    assert!(scratch.text("a.txt").starts_with("a: ENC["), "it is written in the format in which it is read");
}
