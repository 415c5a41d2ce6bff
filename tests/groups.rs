//! `groups add` and `groups delete`.

#[path = "support/mod.rs"]
mod support;

use support::keys::{recipient, rule};
use support::outcome::{Ending, Outcome, refused};
use support::scratch::Scratch;

const PLAIN: &[u8] = b"a: secret value\nb_unencrypted: in clear\n";

/// A scratch folder with `a.yaml`, encrypted for these groups.
fn encrypted_for(threshold: usize, groups: &[&[&str]]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(".sops.yaml", &rule(threshold, groups));
    scratch.write("a.yaml", PLAIN);
    scratch.call(["encrypt", "-i", "a.yaml"]).stdout();
    // these commands need no rule
    scratch.write(".sops.yaml", b"creation_rules: []\n");
    scratch
}

fn two_of_three() -> Scratch {
    encrypted_for(2, &[&["age-alice"], &["age-bob"], &["age-carol"]])
}

fn groups(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    scratch.call([&["groups"], arguments].concat()).keys(["age-alice", "age-bob"]).outcome()
}

fn opens_with(scratch: &Scratch, keys: &[&str]) -> bool {
    let outcome = scratch.call(["decrypt", "a.yaml"]).keys(keys).outcome();
    assert!(!outcome.succeeded() || outcome.stdout == PLAIN, "{}", outcome.messages());
    outcome.succeeded()
}

fn silently(outcome: &Outcome) {
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
}

#[test]
fn a_group_joins_and_values_stay() {
    let scratch = two_of_three();
    let before = scratch.text("a.yaml");
    let (dave, mallory) = (recipient("age-dave"), recipient("age-mallory"));
    silently(&groups(&scratch, &["add", "-f", "a.yaml", "-i", "--age", &dave, "--age", &mallory]));
    let after = scratch.text("a.yaml");
    for entry in ["\na: ENC", "    lastmodified: ", "    mac: ", "    shamir_threshold: 2"] {
        let line = |text: &str| {
            text.lines().find(|line| line.starts_with(entry.trim_start_matches('\n'))).map(str::to_owned)
        };
        assert!(line(&before).is_some() && line(&before) == line(&after), "{entry:?}");
    }
    assert!(
        opens_with(&scratch, &["age-dave", "age-carol"]) && opens_with(&scratch, &["age-mallory", "age-bob"])
    );
    assert!(!opens_with(&scratch, &["age-dave", "age-mallory"]), "they are one group");
}

#[test]
fn without_in_place_the_result_is_printed() {
    let scratch = two_of_three();
    let before = scratch.text("a.yaml");
    for arguments in
        [&["add", "-f", "a.yaml", "--age", &recipient("age-dave")][..], &["delete", "-f", "a.yaml", "2"]]
    {
        let outcome = groups(&scratch, arguments);
        silently(&outcome);
        assert_eq!(scratch.text("a.yaml"), before);
        scratch.write("b.yaml", &outcome.stdout);
        assert_eq!(scratch.call(["decrypt", "b.yaml"]).keys(["age-alice", "age-bob"]).stdout(), PLAIN);
    }
}

#[test]
fn the_threshold_is_all_groups_unless_it_is_stored_or_given() {
    let scratch = encrypted_for(0, &[&["age-alice"]]);
    silently(&groups(&scratch, &["add", "-f", "a.yaml", "-i", "--age", &recipient("age-bob")]));
    assert!(scratch.text("a.yaml").contains("shamir_threshold: 2"));
    assert!(!opens_with(&scratch, &["age-bob"]) && opens_with(&scratch, &["age-alice", "age-bob"]));
    let three = [
        "add",
        "-f",
        "a.yaml",
        "-i",
        "--shamir-secret-sharing-threshold",
        "3",
        "--age",
        &recipient("age-carol"),
    ];
    silently(&groups(&scratch, &three));
    assert!(!opens_with(&scratch, &["age-alice", "age-bob"]));
    assert!(opens_with(&scratch, &["age-alice", "age-bob", "age-carol"]));
}

#[test]
fn a_threshold_of_one_left_behind_by_one_group_does_not_count() {
    let scratch = encrypted_for(1, &[&["age-alice"]]);
    silently(&groups(&scratch, &["add", "-f", "a.yaml", "-i", "--age", &recipient("age-bob")]));
    assert!(scratch.text("a.yaml").contains("shamir_threshold: 2"));
}

#[test]
fn a_group_leaves() {
    let scratch = two_of_three();
    silently(&groups(&scratch, &["delete", "-f", "a.yaml", "-i", "0"]));
    assert!(!scratch.text("a.yaml").contains(&recipient("age-alice")));
    assert!(
        opens_with(&scratch, &["age-carol", "age-bob"]) && !opens_with(&scratch, &["age-alice", "age-bob"])
    );

    let scratch = two_of_three();
    let one = ["delete", "--file", "a.yaml", "--in-place", "1", "--shamir-secret-sharing-threshold", "2"];
    silently(&groups(&scratch, &one));
    let last = ["delete", "-f", "a.yaml", "-i", "--shamir-secret-sharing-threshold", "1", "1"];
    let outcome = scratch.call([&["groups"], &last[..]].concat()).keys(["age-alice", "age-carol"]).outcome();
    silently(&outcome);
    assert!(opens_with(&scratch, &["age-alice"]));
}

#[test]
fn failures_leave_the_file_as_it_was() {
    let scratch = two_of_three();
    let before = scratch.text("a.yaml");
    let dave = recipient("age-dave");
    let refuses = |arguments: &[&str], status, words: &[&str]| {
        refused(&groups(&scratch, arguments), status, words);
        assert_eq!(scratch.text("a.yaml"), before, "{arguments:?}");
    };
    let f = ["-f", "a.yaml", "-i"];
    let with = |command, rest: &[&'static str]| [&[command], &f[..], rest].concat();
    refuses(&with("add", &[]), 1, &["error updating one or more master keys", "empty key group"]);
    refuses(&with("add", &["--age", "nobody"]), 1, &["unknown recipient type: \"nobody\""]);
    refuses(&with("add", &["--pgp", "FF"]), 1, &["master key \"FF\""]);
    refuses(&with("add", &["--hckms", "r:u"]), 1, &["master key \"r:u\""]);
    refuses(&with("add", &["x"]), 1, &["no positional arguments allowed", "hint: "]);
    refuses(&["add", "--age", &dave], 2, &["no file specified", "--file"]);
    refuses(&["add", "-f", "missing.yaml", "--age", &dave], 2, &["missing.yaml: no such file"]);
    let much = ["add", "-f", "a.yaml", "-i", "--age", &dave, "--shamir-secret-sharing-threshold", "5"];
    refuses(&much, 1, &["parts cannot be less than threshold"]);

    refuses(&with("delete", &[]), 1, &["exactly one positional argument (index) required"]);
    refuses(&with("delete", &["0", "1"]), 1, &["exactly one positional argument"]);
    for index in ["x", "1.0", "", "0x1"] {
        refuses(&with("delete", &[index]), 1, &["failed to parse [index] argument", "hint: "]);
    }
    refuses(&with("delete", &["--", "-1"]), 1, &["failed to parse [index] argument"]);
    refuses(&with("delete", &["3"]), 1, &["there is no group 3", "a.yaml has 3"]);
    refuses(
        &with("delete", &["--shamir-secret-sharing-threshold", "3", "0"]),
        1,
        &["Shamir threshold is 3, but we only have 2 key groups", "hint: "],
    );
    refuses(&["delete", "0"], 2, &["no file specified"]);
}

#[test]
fn the_only_group_stays() {
    let scratch = encrypted_for(0, &[&["age-alice"]]);
    let before = scratch.text("a.yaml");
    refused(
        &groups(&scratch, &["delete", "-f", "a.yaml", "-i", "0"]),
        1,
        &["the only group of <DIR>/a.yaml"],
    );
    refused(&groups(&scratch, &["delete", "-f", "a.yaml", "-i", "1"]), 1, &["there is no group 1"]);
    assert_eq!(scratch.text("a.yaml"), before);
}

#[test]
fn too_few_keys_are_told_with_all_that_is_known() {
    let scratch = two_of_three();
    let add = ["groups", "add", "-f", "a.yaml", "-i", "--age", &recipient("age-dave")];
    let words = [
        "Error getting data key: 2 successful groups required, got 1\n",
        "Group 0: SUCCESS\n",
        "Group 1: FAILED\n",
        &recipient("age-bob"),
    ];
    refused(&scratch.call(add).keys(["age-alice"]).outcome(), 1, &words);
    let scratch = encrypted_for(0, &[&["age-alice"]]);
    refused(&scratch.call(add).outcome(), 1, &["1 successful groups required, got 0\n"]);
}

#[test]
fn what_cannot_be_verified_or_wrapped_is_not_written() {
    let scratch = two_of_three();
    let text = scratch.text("a.yaml");
    let add = ["add", "-f", "a.yaml", "-i", "--age", &recipient("age-dave")];
    scratch.write("a.yaml", text.replace("in clear", "changed").as_bytes());
    refused(&groups(&scratch, &add), 4, &["cannot be verified", "MAC mismatch"]);
    let newer = text.replacen(
        "          hc_vault: []\n",
        "          future_kms:\n            - enc: abc\n          hc_vault: []\n",
        1,
    );
    assert_ne!(newer, text);
    scratch.write("a.yaml", newer.as_bytes());
    refused(&groups(&scratch, &add), 1, &["future_kms", "hint: "]);
    assert_eq!(scratch.text("a.yaml"), newer);
    // without the group that has them there is nothing to fear
    silently(&groups(&scratch, &["delete", "-f", "a.yaml", "-i", "0"]));
}

#[test]
fn root_flags_and_the_configuration_reach_the_commands() {
    let scratch = two_of_three();
    scratch.write("other.yaml", b"stores: {yaml: {indent: 2}}\n");
    let dave = recipient("age-dave");
    let add = ["groups", "add", "-file", "a.yaml", "-age", &dave];
    let run = |before: &[&str]| {
        let outcome = scratch.call([before, &add[..]].concat()).keys(["age-alice", "age-bob"]).outcome();
        silently(&outcome);
        String::from_utf8(outcome.stdout).expect("text")
    };
    assert!(run(&["--config", "other.yaml"]).contains("\n  mac: "));
    assert!(run(&["--indent", "3"]).contains("\n   mac: "));
}

#[test]
fn the_commands_are_listed_and_others_are_no_topic() {
    let scratch = Scratch::new();
    let help = scratch.call(["groups"]).outcome();
    assert!(help.succeeded() && help.stderr.is_empty());
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("add") && text.contains("delete"), "{text}");
    let unknown = scratch.call(["groups", "foo"]).outcome();
    refused(&unknown, 3, &["No help topic for 'foo'"]);
    assert_eq!(scratch.call(["groups", "add", "--help"]).outcome().ending, Ending::Exited(0));
}
