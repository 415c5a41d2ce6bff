//! The command line as people and scripts meet it: files, modes, mistakes, messages.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use support::keys::recipient;
use support::outcome::{Ending, Outcome, refused};
use support::scratch::Scratch;

/// A scratch folder with `a.yaml`, encrypted for alice.
fn encrypted() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: secret value\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch
}

fn decrypt(scratch: &Scratch, arguments: &[&str]) -> Outcome {
    scratch.call([&["decrypt"], arguments].concat()).keys(["age-alice"]).outcome()
}

#[test]
fn success_is_silent() {
    let scratch = encrypted();
    let outcome = decrypt(&scratch, &["a.yaml"]);
    assert!(outcome.succeeded());
    assert_eq!(outcome.stdout, b"a: secret value\n");
    assert!(outcome.stderr.is_empty());
}

#[test]
fn flags_count_wherever_they_stand() {
    let scratch = encrypted();
    for arguments in [
        &["a.yaml", "--extract", "[\"a\"]"][..],
        &["--extract", "[\"a\"]", "a.yaml"],
        &["-extract=[\"a\"]", "a.yaml"],
        &["--ignore-mac=false", "a.yaml", "--extract", "x", "--extract", "[\"a\"]"],
    ] {
        assert_eq!(decrypt(&scratch, arguments).stdout, b"secret value", "{arguments:?}");
    }
    let legacy = scratch.call(["-d", "a.yaml", "--extract", "[\"a\"]"]).keys(["age-alice"]).stdout();
    assert_eq!(legacy, b"secret value");
}

#[test]
fn mistakes_are_told_with_the_next_step() {
    let scratch = encrypted();
    scratch.write("plain.yaml", b"a: secret value\n");
    refused(
        &decrypt(&scratch, &["plain.yaml"]),
        1,
        &["sops metadata not found", "plain.yaml is not encrypted", "hint:"],
    );
    refused(&decrypt(&scratch, &["nothing.yaml"]), 100, &["nothing.yaml"]);
    refused(&decrypt(&scratch, &["."]), 2, &["is a directory"]);
    refused(&decrypt(&scratch, &["--extract", "[\"b\"]", "a.yaml"]), 1, &["component ['b'] not found"]);
    refused(&decrypt(&scratch, &["--decryption-order", "age,age", "a.yaml"]), 112, &["Duplicate"]);
    refused(&decrypt(&scratch, &["-i", "--output", "x", "a.yaml"]), 8, &["--output", "--in-place"]);
    refused(&scratch.call(["encrypt", "plain.yaml"]).outcome(), 1, &["no keys provided", "hint:", "--age"]);
    refused(&scratch.call(Vec::<String>::new()).outcome(), 100, &["no file specified"]);
    let unknown = decrypt(&scratch, &["--extrakt", "x", "a.yaml"]);
    assert_eq!(unknown.ending, Ending::Exited(1));
    assert!(unknown.messages().contains("--extract"), "the nearest flag is named: {}", unknown.messages());
}

#[test]
fn a_missing_key_is_explained() {
    let scratch = encrypted();
    let outcome = scratch.call(["decrypt", "a.yaml"]).outcome();
    refused(
        &outcome,
        128,
        &["Failed to get the data key", "Group 0: FAILED", &recipient("age-alice"), "SOPS_AGE_KEY"],
    );
}

#[test]
fn damage_is_found_and_named_without_showing_values() {
    let scratch = encrypted();
    let text = String::from_utf8(scratch.read("a.yaml").expect("written")).expect("text");
    let end = text.find('\n').expect("a line");
    scratch.write("a.yaml", format!("a: other value{}", &text[end..]).as_bytes());
    let outcome = decrypt(&scratch, &["a.yaml"]);
    refused(&outcome, 25, &["the value at [\"a\"]", "is not encrypted"]);
    assert!(!outcome.messages().contains("other value"));
}

#[test]
fn a_value_in_clear_that_was_changed_breaks_the_mac() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a_unencrypted: one\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    let text = String::from_utf8(scratch.read("a.yaml").expect("written")).expect("text");
    scratch.write("a.yaml", text.replace("one", "two").as_bytes());
    refused(&decrypt(&scratch, &["a.yaml"]), 51, &["MAC mismatch", "--ignore-mac"]);
    assert_eq!(decrypt(&scratch, &["--ignore-mac", "a.yaml"]).stdout, b"a_unencrypted: two\n");
}

#[test]
fn replaced_files_keep_their_mode_and_links_are_followed() {
    let scratch = Scratch::new();
    scratch.write("real/a.yaml", b"a: 1\n");
    let real = scratch.folder().join("real/a.yaml");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("our own file");
    symlink("real/a.yaml", scratch.folder().join("link.yaml")).expect("a link");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "link.yaml"]).stdout();
    assert!(fs::symlink_metadata(scratch.folder().join("link.yaml")).expect("there").is_symlink());
    assert_eq!(fs::metadata(&real).expect("there").mode() & 0o777, 0o640);
    assert!(scratch.read("real/a.yaml").expect("there").starts_with(b"a: ENC["));
    let left: Vec<_> = fs::read_dir(scratch.folder().join("real")).expect("ours").collect();
    assert_eq!(left.len(), 1, "no temporary file is left");
}

#[test]
fn a_failure_leaves_the_file_as_it_was() {
    let scratch = encrypted();
    let before = scratch.read("a.yaml").expect("there");
    refused(&scratch.call(["decrypt", "-i", "a.yaml"]).outcome(), 128, &[]);
    refused(
        &scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).outcome(),
        203,
        &["already being encrypted"],
    );
    assert_eq!(scratch.read("a.yaml").expect("there"), before);
    let output =
        scratch.call(["decrypt", "--output", "missing/b.yaml", "a.yaml"]).keys(["age-alice"]).outcome();
    refused(&output, 3, &["missing/b.yaml"]);
}

#[test]
fn pipes_and_devices_are_written_through() {
    let scratch = encrypted();
    let through = decrypt(&scratch, &["--output", "/dev/stdout", "a.yaml"]);
    assert_eq!(through.stdout, b"a: secret value\n");
    let sealed = scratch.read("a.yaml").expect("there");
    let piped = scratch
        .call(["decrypt", "--filename-override", "x.yaml"])
        .keys(["age-alice"])
        .stdin(&sealed)
        .stdout();
    assert_eq!(piped, b"a: secret value\n");
}

#[test]
fn rules_are_chosen_by_the_path_below_the_configuration() {
    let scratch = Scratch::new();
    scratch.write(
        ".sops.yaml",
        format!("creation_rules:\n  - path_regex: ^prod/\n    age: {}\n", recipient("age-alice")).as_bytes(),
    );
    scratch.write("prod/a.yaml", b"a: 1\n");
    scratch.write("b.yaml", b"b: 1\n");
    assert!(scratch.call(["encrypt", "prod/a.yaml"]).outcome().succeeded());
    refused(&scratch.call(["encrypt", "b.yaml"]).outcome(), 1, &["no matching creation rules found"]);
}

#[test]
fn a_selector_that_does_not_compile_leaves_nothing_in_clear() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: 1\n");
    let flag =
        scratch.call(["encrypt", "--age", &recipient("age-alice"), "--encrypted-regex", "(", "a.yaml"]);
    refused(&flag.outcome(), 8, &["encrypted_regex", "not a valid regular expression"]);
    let rule = format!("creation_rules:\n  - age: {}\n    encrypted_regex: (\n", recipient("age-alice"));
    scratch.write(".sops.yaml", rule.as_bytes());
    refused(&scratch.call(["encrypt", "a.yaml"]).outcome(), 5, &["encrypted_regex"]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let scratch = Scratch::new();
    let version = scratch.call(["--version"]).outcome();
    assert_eq!((version.succeeded(), version.stdout.as_slice()), (true, b"sops 3.13.2\n".as_slice()));
    let own = scratch.call(["--version"]).variable("SOPS_DISABLE_VERSION_CHECK", "0").stdout();
    assert!(own.starts_with(b"sops 3.13.2 (rsops "));
    for arguments in [&["--help"][..], &["help"], &["decrypt", "--help"], &["help", "encrypt"]] {
        let help = scratch.call(arguments).outcome();
        assert!(help.succeeded() && help.stderr.is_empty() && !help.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn verbose_says_what_is_done() {
    let scratch = encrypted();
    let outcome = decrypt(&scratch, &["--verbose", "a.yaml"]);
    assert!(outcome.messages().contains("Data key recovered successfully"));
}

/// The type of a sealed value is not authenticated. As a comment it would not be hashed: a value copied from elsewhere
/// in the file, or from its history, would go unnoticed.
#[test]
fn a_value_that_calls_itself_a_comment_does_not_escape_the_mac() {
    let scratch = encrypted();
    let text = String::from_utf8(scratch.read("a.yaml").expect("written")).expect("text");
    let line = text.lines().next().expect("a line");
    let forged = line.replace("a: ENC[", "b: ENC[").replace("type:str", "type:comment");
    scratch.write("a.yaml", text.replacen(line, &format!("{line}\n{forged}"), 1).as_bytes());
    refused(&decrypt(&scratch, &["a.yaml"]), 25, &["[\"b\"]"]);
    // under the same path it opens
    // in JSON and dotenv keys can stand twice
    scratch.write("c.env", b"PASSWORD=old\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "c.env"]).stdout();
    let text = String::from_utf8(scratch.read("c.env").expect("written")).expect("text");
    let line = text.lines().next().expect("a line");
    let twice = format!("{line}\n{}\n", line.replace("type:str", "type:comment"));
    scratch.write("c.env", text.replacen(&format!("{line}\n"), &twice, 1).as_bytes());
    refused(&decrypt(&scratch, &["c.env"]), 51, &["MAC mismatch"]);
}

#[test]
fn errors_do_not_show_what_may_be_secret() {
    let scratch = encrypted();
    scratch.write("alias.yaml", b"password: *S3cr3t\n");
    let alias = scratch.call(["encrypt", "--age", &recipient("age-alice"), "alias.yaml"]).outcome();
    refused(&alias, 2, &["unknown anchor", "hint:"]);
    assert!(!alias.messages().contains("S3cr3t"));
    let identity = "AGE-SECRET-KEY-1QQQQ";
    let swapped = scratch.call(["encrypt", "--age", identity, "a.yaml"]).outcome();
    refused(&swapped, 1, &["identity", "hint:"]);
    assert!(!swapped.messages().contains(identity));
}

#[test]
fn what_the_reference_could_not_decrypt_is_not_encrypted() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: 2020-01-02T03:04:05+24:00\n");
    refused(
        &scratch.call(["encrypt", "--age", &recipient("age-alice"), "a.yaml"]).outcome(),
        23,
        &["[\"a\"]"],
    );
}

#[test]
fn a_program_without_room_for_its_stack_says_so() {
    let outcome = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v 400000; exec {} --version", env!("CARGO_BIN_EXE_rsops"))])
        .output()
        .expect("a shell");
    assert_eq!(outcome.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("hint:"));
}

#[test]
fn a_comment_that_selects_other_values_when_it_is_read_again_is_refused() {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"k:\n  - # in\n# c\n    s: y\n    t: 1\n");
    let arguments = ["encrypt", "--age", &recipient("age-alice"), "--encrypted-comment-regex", "c", "a.yaml"];
    let outcome = scratch.call(arguments).outcome();
    refused(&outcome, 4, &["could not be read again", "hint:", "comments"]);
    assert_eq!(outcome.messages().matches("hint:").count(), 1);
}

#[test]
fn names_and_keys_need_not_be_utf_8() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt as _;
    let scratch = encrypted();
    let run = |arguments: &[&[u8]]| {
        let call = scratch.call(Vec::<String>::new()).keys(["age-alice"]);
        let arguments: Vec<OsString> =
            arguments.iter().map(|word| OsStr::from_bytes(word).to_owned()).collect();
        assert!(call.command().args(arguments).status().expect("it starts").success());
    };
    run(&[b"decrypt", b"-output=a\xff", b"a.yaml"]);
    assert!(scratch.folder().join(OsStr::from_bytes(b"a\xff")).exists());
    run(&[b"set", b"a.yaml", b"[\"\xff\"]", b"\"v\""]);
    run(&[b"set", b"a.yaml", b"[\"\xfe\"]", b"\"w\""]);
    run(&[b"unset", b"a.yaml", b"[\"\xff\"]"]);
    let text = decrypt(&scratch, &["a.yaml"]).stdout;
    assert_eq!(String::from_utf8_lossy(&text), "a: secret value\n!!binary /g==: w\n");
}
