//! `rsops filestatus`: is this file encrypted?

#[path = "support/mod.rs"]
mod support;

use support::keys::recipient;
use support::outcome::refused;
use support::scratch::Scratch;

const YES: &[u8] = b"{\"encrypted\":true}\n";
const NO: &[u8] = b"{\"encrypted\":false}\n";

/// A scratch folder with `plain.yaml`, and `a.yaml`, which is encrypted.
fn files() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("plain.yaml", b"a: secret value\n");
    scratch.write("a.yaml", b"a: secret value\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch
}

#[test]
fn the_answer_is_json_and_no_key_is_needed() {
    let scratch = files();
    for (arguments, answer) in [
        (&["filestatus", "a.yaml"][..], YES),
        (&["filestatus", "plain.yaml"], NO),
        (&["filestatus", "a.yaml", "--input-type", "yaml"], YES),
        (&["--verbose", "filestatus", "--input-type=yaml", "a.yaml"], YES),
    ] {
        let outcome = scratch.call(arguments).outcome();
        assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{arguments:?}: {}", outcome.messages());
        assert_eq!(outcome.stdout, answer, "{arguments:?}");
    }
}

#[test]
fn a_broken_configuration_is_of_no_concern() {
    let scratch = files();
    scratch.write(".sops.yaml", b"creation_rules: [\n");
    let outcome = scratch.call(["filestatus", "a.yaml"]).outcome();
    assert_eq!((outcome.stdout.as_slice(), outcome.stderr.as_slice()), (YES, &b""[..]));
}

#[test]
fn what_cannot_be_told_is_an_error() {
    let scratch = files();
    let refuses = |arguments: &[&str], status, words: &[&str]| {
        let arguments = [&["filestatus"], arguments].concat();
        refused(&scratch.call(arguments).outcome(), status, words);
    };
    let cannot = "cannot check file status: cannot load encrypted file: ";
    refuses(&[], 100, &["no file specified"]);
    refuses(&["nothing.yaml"], 1, &[cannot, "nothing.yaml", "no such file"]);
    refuses(&["."], 1, &[cannot, "is a directory"]);
    refuses(&["a.yaml", "--input-type", "json"], 1, &[cannot, "--input-type"]);
    scratch.write("list.yaml", b"sops: [1]\n");
    refuses(&["list.yaml"], 1, &[cannot, "Found sops entry that is not a mapping"]);
}

#[test]
fn more_than_one_file_is_warned_of() {
    let outcome = files().call(["filestatus", "a.yaml", "plain.yaml"]).outcome();
    assert_eq!(outcome.stdout, YES);
    assert!(outcome.messages().contains("Only the first one will be used"), "{}", outcome.messages());
}
