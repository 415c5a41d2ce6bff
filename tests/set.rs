//! `set` and `unset`: one value changes, everything else stays.

#[path = "support/mod.rs"]
mod support;

use support::keys::recipient;
use support::outcome::{Ending, Outcome};
use support::scratch::Scratch;

const TEXT: &[u8] = b"# about a\na: x\nn: 5\nlist:\n    - one\n    # between\n    - two\nm:\n    k: v\n";

fn encrypted() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", TEXT);
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch
}

fn call(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    scratch.call(arguments).keys(["age-alice"]).outcome()
}

fn plain(scratch: &Scratch) -> String {
    let text = scratch.call(["decrypt", "a.yaml"]).keys(["age-alice"]).stdout();
    String::from_utf8(text).expect("text")
}

/// The lines of the file that are neither `mac` nor `lastmodified`.
fn lines(scratch: &Scratch) -> Vec<String> {
    let text = String::from_utf8(scratch.read("a.yaml").expect("there")).expect("text");
    let changes = |line: &&str| !line.contains(" mac: ") && !line.contains(" lastmodified: ");
    text.lines().filter(changes).map(str::to_owned).collect()
}

fn refused(scratch: &Scratch, arguments: &[&str], status: i32, words: &str) {
    let before = scratch.read("a.yaml").expect("there");
    let outcome = call(scratch, arguments);
    let messages = outcome.messages();
    assert_eq!(outcome.ending, Ending::Exited(status), "{arguments:?}: {messages}");
    assert!(messages.contains(words), "{words:?} is missing in {messages:?}");
    assert!(outcome.stdout.is_empty());
    assert_eq!(scratch.read("a.yaml").expect("there"), before, "{arguments:?}");
}

#[test]
fn only_the_value_that_is_set_gets_a_new_ciphertext() {
    let scratch = encrypted();
    let before = lines(&scratch);
    let outcome = call(&scratch, &["set", "a.yaml", "[\"m\"][\"k\"]", "\"w\""]);
    assert!(outcome.succeeded() && outcome.stdout.is_empty() && outcome.stderr.is_empty());
    let after = lines(&scratch);
    let changed: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert_eq!((before.len(), changed.len()), (after.len(), 1), "{changed:?}");
    assert!(plain(&scratch).ends_with("m:\n    k: w\n"));
}

#[test]
fn only_the_value_that_is_unset_goes() {
    let scratch = encrypted();
    let before = lines(&scratch);
    assert!(call(&scratch, &["unset", "a.yaml", "[\"list\"][0]"]).stderr.is_empty());
    let after = lines(&scratch);
    assert_eq!(after.len(), before.len() - 1);
    assert!(after.iter().all(|line| before.contains(line)));
    assert!(plain(&scratch).contains("list:\n    # between\n    - two\n"));
}

#[test]
fn all_json_values_can_be_set() {
    let scratch = encrypted();
    for (value, text) in [
        ("5", "5"),
        ("-5", "-5"),
        ("9007199254740993", "9007199254740993"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("null", "null"),
        ("\"5\"", "\"5\""),
        ("[1, \"x\"]", "\n    - 1\n    - x"),
        ("{\"y\": {}}", "\n    \"y\": {}"),
    ] {
        let outcome = call(&scratch, &["set", "a.yaml", "[\"a\"]", value]);
        assert!(outcome.succeeded(), "{value}: {}", outcome.messages());
        let (got, want) = (plain(&scratch), format!("# about a\na: {text}\n").replace(": \n", ":\n"));
        assert!(got.starts_with(&want), "{value}: {got}");
    }
}

#[test]
fn the_value_need_not_be_an_argument() {
    let scratch = encrypted();
    scratch.write("value.json", b"\"from a file\"\n");
    assert!(call(&scratch, &["set", "a.yaml", "[\"a\"]", "--value-file", "value.json"]).succeeded());
    assert!(plain(&scratch).contains("a: from a file\n"));
    let stdin = scratch.call(["set", "--value-stdin", "a.yaml", "[\"a\"]"]).keys(["age-alice"]);
    assert!(stdin.stdin(b"\"from stdin\"").outcome().succeeded());
    assert!(plain(&scratch).contains("a: from stdin\n"));
}

#[test]
fn idempotent_leaves_the_file_alone() {
    let scratch = encrypted();
    let before = scratch.read("a.yaml").expect("there");
    for arguments in [
        &["set", "--idempotent", "a.yaml", "[\"a\"]", "\"x\""][..],
        &["set", "a.yaml", "[\"n\"]", "5", "--idempotent"],
        &["set", "--idempotent", "a.yaml", "[\"n\"]", "5.0"],
        &["unset", "--idempotent", "a.yaml", "[\"nothing\"][\"there\"]"],
        &["unset", "--idempotent", "a.yaml", "[\"list\"][9]"],
    ] {
        let outcome = call(&scratch, arguments);
        assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{arguments:?}: {}", outcome.messages());
        assert_eq!(scratch.read("a.yaml").expect("there"), before, "{arguments:?}");
    }
}

#[test]
fn mistakes_change_nothing_and_are_told_with_the_next_step() {
    let scratch = encrypted();
    refused(&scratch, &["set", "a.yaml", "[\"a\"]"], 100, "hint: as in");
    refused(&scratch, &["set", "a.yaml", "[\"a\"]", "1", "2"], 100, "Need precisely 3");
    refused(&scratch, &["set", "--value-stdin", "a.yaml"], 100, "Need precisely 2");
    refused(&scratch, &["set", "--value-stdin", "--value-file", "a.yaml", "[\"a\"]"], 1, "cannot use both");
    refused(&scratch, &["unset", "a.yaml"], 100, "index is missing");
    refused(&scratch, &["set", "a.yaml", "a", "1"], 7, "hint: a path");
    refused(&scratch, &["set", "a.yaml", "[\"a\"]", "hunter2"], 7, "hint: texts have quotes");
    refused(
        &scratch,
        &["set", "--value-file", "a.yaml", "[\"a\"]", "nothing"],
        1,
        "open nothing: no such file",
    );
    refused(&scratch, &["set", "a.yaml", "", "1"], 1, "path is empty");
    refused(&scratch, &["set", "a.yaml", "[0]", "1"], 1, "is a mapping");
    refused(&scratch, &["set", "a.yaml", "[\"list\"][-1]", "1"], 1, "positions count from 0");
    refused(&scratch, &["set", "a.yaml", "[\"sops\"]", "1"], 203, "sops");
    refused(&scratch, &["unset", "a.yaml", "[\"x\"]"], 1, "--idempotent");
    refused(
        &scratch,
        &["set", "b.yaml", "[\"a\"]", "1"],
        2,
        "Error reading file: open <DIR>/b.yaml: no such",
    );
    refused(&scratch, &["unset", "b.yaml", "[\"a\"]"], 2, "Error reading file: open <DIR>/b.yaml: no such");
}

#[test]
fn sops_v1_spelled_it_otherwise() {
    let scratch = encrypted();
    assert!(call(&scratch, &["-i", "--set", "[\"n\"] -7", "a.yaml"]).stderr.is_empty());
    assert!(plain(&scratch).contains("\nn: -7\n") || plain(&scratch).contains("\n\"n\": -7\n"));
    refused(&scratch, &["--set", "[\"n\"]", "a.yaml"], 7, "Invalid --set format");
    refused(&scratch, &["--set", "[\"n\"] 1", "b.yaml"], 2, "Error reading file");
    refused(&scratch, &["--add-age", "x", "b.yaml"], 49, "use `--kms` and `--pgp` instead");
    refused(&scratch, &["-d", "--rm-age=x", "b.yaml"], 49, "<DIR>/b.yaml");
    refused(&scratch, &["-r", "b.yaml"], 100, "<DIR>/b.yaml");
    let both = call(&scratch, &["-d", "--set", "[\"n\"] 1", "a.yaml", "surplus"]);
    assert!(both.succeeded() && both.messages().contains("More than one command"), "{}", both.messages());
    assert!(both.messages().contains("More than one positional argument"));
}
