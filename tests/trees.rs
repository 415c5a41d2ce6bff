//! Whole trees at once: several files, folders, what became of each, and an interruption in the middle.
#![cfg(all(unix, feature = "age"))]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use support::keys::{recipient, rule};
use support::moments::Dice;
use support::outcome::{Ending, refused};
use support::pty::Pty;
use support::scratch::Scratch;

const NAMES: [&str; 4] = ["secrets/a.yaml", "secrets/b.json", "secrets/deep/c.env", "secrets/deep/d.ini"];
const TEXTS: [&str; 4] = ["a: 1\n", "{\n\t\"b\": 2\n}\n", "c=3\n", "[d]\ne = 4\n"];

/// Four files that the rule names, and two that it does not.
fn plain() -> Scratch {
    let scratch = Scratch::new();
    let rule = format!("creation_rules:\n  - path_regex: ^secrets/\n    age: {}\n", recipient("age-alice"));
    scratch.write(".sops.yaml", rule.as_bytes());
    for (name, text) in NAMES.iter().zip(TEXTS) {
        scratch.write(name, text.as_bytes());
    }
    scratch.write("README.md", b"lastmodified is a word of sops.\n");
    scratch.write("other.yaml", b"z: 1\n");
    scratch
}

/// The same, encrypted.
fn sealed() -> Scratch {
    let scratch = plain();
    succeed(&scratch, &["encrypt", "--in-place", "--recursive", "."]);
    scratch
}

/// A run that succeeds and says nothing.
fn succeed(scratch: &Scratch, arguments: &[&str]) -> String {
    let outcome = scratch.call(arguments).keys(["age-alice"]).outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{arguments:?}: {}", outcome.messages());
    String::from_utf8(outcome.stdout).expect("text")
}

fn opened(scratch: &Scratch) -> Vec<String> {
    NAMES.iter().map(|name| succeed(scratch, &["decrypt", name])).collect()
}

fn all(scratch: &Scratch) -> Vec<String> {
    NAMES.iter().map(|name| scratch.text(name)).collect()
}

#[test]
fn encrypt_takes_what_the_rules_name_and_can_be_called_again() {
    let scratch = plain();
    succeed(&scratch, &["encrypt", "--in-place", "--recursive", "."]);
    assert_eq!(opened(&scratch), TEXTS);
    assert_eq!(scratch.text("other.yaml"), "z: 1\n");
    let before = all(&scratch);
    succeed(&scratch, &["encrypt", "--in-place", "--recursive", "."]);
    assert_eq!(all(&scratch), before);
}

/// Git could not read what it needs to keep the folder.
#[test]
fn files_of_git_in_a_folder_are_not_encrypted() {
    let scratch = plain();
    let files = [("secrets/.gitignore", "*.tmp\n"), ("secrets/.gitkeep", ""), ("secrets/empty.yaml", "\n")];
    for (name, text) in files {
        scratch.write(name, text.as_bytes());
    }
    succeed(&scratch, &["encrypt", "--in-place", "--recursive", "."]);
    for (name, text) in files {
        assert_eq!(scratch.text(name), text, "{name}");
    }
    assert_eq!(opened(&scratch), TEXTS);
}

#[test]
fn binary_files_are_encrypted_once() {
    let scratch = plain();
    scratch.write("secrets/key.pem", b"hunter2\n");
    for _ in 0..3 {
        succeed(&scratch, &["encrypt", "-i", "--recursive", "."]);
    }
    assert_eq!(succeed(&scratch, &["decrypt", "secrets/key.pem"]), "hunter2\n");
    let again = scratch.call(["encrypt", "-i", "secrets/key.pem", NAMES[0]]).outcome();
    assert_eq!(again.ending, Ending::Exited(1), "{}", again.messages());
    assert_eq!(succeed(&scratch, &["decrypt", "secrets/key.pem"]), "hunter2\n");
}

#[test]
fn a_file_with_two_names_is_taken_once_and_links_are_not_followed() {
    let scratch = plain();
    scratch.write("outside.yaml", b"a: precious\n");
    for (target, link) in [("a.yaml", "secrets/current"), ("../outside.yaml", "secrets/link.yaml")] {
        std::os::unix::fs::symlink(target, scratch.folder().join(link)).expect("our own folder");
    }
    scratch.call_other("git", ["init", "--quiet"]).stdout();
    succeed(&scratch, &["encrypt", "-i", "--recursive", "."]);
    assert_eq!(opened(&scratch), TEXTS);
    assert_eq!(scratch.text("outside.yaml"), "a: precious\n");
    succeed(&scratch, &["rotate", "-i", NAMES[0], "./secrets/a.yaml"]);
    assert_eq!(opened(&scratch), TEXTS);
}

#[test]
fn no_output_takes_the_place_of_its_input() {
    let scratch = sealed();
    let before = all(&scratch);
    let outcome =
        scratch.call(["decrypt", "--recursive", "secrets", "--output", "."]).keys(["age-alice"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    assert!(outcome.messages().contains("--in-place"), "{}", outcome.messages());
    assert_eq!(all(&scratch), before);
}

#[test]
fn what_git_ignores_is_left_alone() {
    let scratch = plain();
    scratch.write(".gitignore", b"deep/\n");
    scratch.call_other("git", ["init", "--quiet"]).stdout();
    succeed(&scratch, &["encrypt", "--in-place", "--recursive", "."]);
    assert!(scratch.text(NAMES[0]).contains("ENC["));
    assert_eq!(scratch.text(NAMES[2]), TEXTS[2]);
}

#[test]
fn several_files_can_be_named() {
    let scratch = plain();
    succeed(&scratch, &["encrypt", "-i", NAMES[0], NAMES[2]]);
    let sealed: Vec<bool> = all(&scratch).iter().map(|text| text.contains("ENC[")).collect();
    assert_eq!(sealed, [true, false, true, false]);
    succeed(&scratch, &["decrypt", "-i", NAMES[0], NAMES[2]]);
    assert_eq!(all(&scratch), TEXTS);
}

#[test]
fn without_a_place_for_all_results_only_the_first_file_counts_as_ever() {
    let scratch = sealed();
    let outcome = scratch.call(["decrypt", NAMES[0], NAMES[1]]).keys(["age-alice"]).outcome();
    assert_eq!(outcome.stdout, TEXTS[0].as_bytes());
    assert!(outcome.messages().contains("Only the first one will be used!"), "{}", outcome.messages());
    refused(
        &scratch.call(["decrypt", "--recursive", "secrets"]).outcome(),
        1,
        &["standard output", "--in-place"],
    );
}

#[test]
fn decrypt_fills_a_folder() {
    let scratch = sealed();
    let before = all(&scratch);
    succeed(&scratch, &["decrypt", "--recursive", ".", "--output", "clear"]);
    for (name, text) in NAMES.iter().zip(TEXTS) {
        assert_eq!(scratch.text(&format!("clear/{name}")), text);
    }
    assert!(!scratch.exists("clear/README.md"), "it was never encrypted");
    assert_eq!(all(&scratch), before);
}

#[test]
fn rotate_gives_every_file_a_new_key() {
    let scratch = sealed();
    let before = all(&scratch);
    succeed(&scratch, &["rotate", "-i", "--recursive", "secrets", "--add-age", &recipient("age-bob")]);
    for (name, before) in NAMES.iter().zip(before) {
        let after = scratch.text(name);
        assert!(after != before && after.contains(&recipient("age-bob")), "{name}");
    }
    assert_eq!(opened(&scratch), TEXTS);
}

#[test]
fn updatekeys_brings_a_tree_in_line() {
    let scratch = sealed();
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    succeed(&scratch, &["updatekeys", "--yes", "--recursive", "."]);
    for name in NAMES {
        assert!(scratch.text(name).contains(&recipient("age-bob")), "{name}");
    }
    let before = all(&scratch);
    succeed(&scratch, &["updatekeys", "--yes", "--recursive", "."]);
    assert_eq!(all(&scratch), before);
}

#[test]
fn updatekeys_asks_about_one_file_after_the_other() {
    let scratch = sealed();
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    let call = scratch.call(["updatekeys", "--recursive", "secrets"]).keys(["age-alice"]);
    let mut pty = Pty::start(call.variable("TERM", "xterm").command());
    for answer in ["y", "n", "y", "n"] {
        pty.expect("Is this okay? (y/n):");
        pty.type_line(answer);
    }
    let (screen, status) = pty.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("2 changed, 2 unchanged, 0 failed"), "{screen}");
    let changed = all(&scratch).iter().filter(|text| text.contains(&recipient("age-bob"))).count();
    assert_eq!(changed, 2);
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let scratch = plain();
    let told = |scratch: &Scratch, arguments: &[&str]| {
        let outcome = scratch.call(arguments).keys(["age-alice"]).outcome();
        assert!(outcome.succeeded(), "{}", outcome.messages());
        let mut lines: Vec<String> =
            String::from_utf8(outcome.stdout).expect("text").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let would: Vec<String> = NAMES.iter().map(|name| format!("{name}: would be changed")).collect();
    assert_eq!(told(&scratch, &["encrypt", "-i", "--recursive", "--dry-run", "."]), would);
    assert_eq!(all(&scratch), TEXTS);
    succeed(&scratch, &["encrypt", "-i", "--recursive", "."]);
    let before = all(&scratch);
    for command in [&["rotate", "-i"][..], &["decrypt", "-i"]] {
        assert_eq!(told(&scratch, &[command, &["--recursive", "--dry-run", "."]].concat()), would);
    }
    assert_eq!(told(&scratch, &["updatekeys", "--recursive", "--dry-run", "."]), [""; 0]);
    scratch.write(".sops.yaml", &rule(0, &[&["age-alice", "age-bob"]]));
    assert_eq!(told(&scratch, &["updatekeys", "--recursive", "--dry-run", "."]), would);
    assert_eq!(all(&scratch), before);
}

#[test]
fn a_failure_does_not_stop_the_others() {
    let scratch = sealed();
    let broken = scratch.text(NAMES[1]).replace(",iv:", ",iv:!");
    scratch.write(NAMES[1], broken.as_bytes());
    let outcome = scratch.call(["rotate", "-i", "--recursive", "secrets"]).keys(["age-alice"]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    let messages = outcome.messages();
    assert!(messages.starts_with("secrets/b.json: "), "{messages}");
    assert!(messages.ends_with("3 changed, 0 unchanged, 1 failed\n"), "{messages}");
    assert_eq!(scratch.text(NAMES[1]), broken);
    // a file that was named must be one to work on, a file in a folder need not
    let named = scratch.call(["rotate", "-i", "README.md", NAMES[0]]).keys(["age-alice"]).outcome();
    assert_eq!(named.ending, Ending::Exited(1));
    assert!(named.messages().contains("README.md: "), "{}", named.messages());
}

#[test]
fn what_fails_alike_is_explained_once() {
    let scratch = sealed();
    let outcome = scratch.call(["decrypt", "-i", "--recursive", "--jobs", "1", "."]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    let said = outcome.messages();
    assert_eq!(said.matches("Failed to get the data key").count(), 1, "{said}");
    let [first, others @ ..] = NAMES;
    assert!(said.contains(&format!("{first}: Failed to get the data key")), "{said}");
    for other in others {
        assert!(said.contains(&format!("{other}: failed as {first} did\n")), "{said}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let scratch = sealed();
    let before = all(&scratch);
    refused(
        &scratch.call(["rotate", "-i", NAMES[0], "secrets"]).outcome(),
        1,
        &["secrets is a folder", "--recursive"],
    );
    refused(&scratch.call(["rotate", "-i", NAMES[0], "nothing"]).outcome(), 100, &["nothing"]);
    refused(
        &scratch.call(["decrypt", "--recursive", "secrets", "-i", "--output", "x"]).outcome(),
        8,
        &["--output"],
    );
    refused(&scratch.call(["rotate", "-i", "--recursive"]).outcome(), 100, &["no file specified"]);
    refused(&scratch.call(["rotate", "-i", "--jobs", "0", NAMES[0]]).outcome(), 1, &["--jobs"]);
    assert_eq!(all(&scratch), before);
}

#[test]
fn verbose_says_a_line_a_file_and_sums() {
    let scratch = sealed();
    let call = scratch.call(["rotate", "-i", "--recursive", "--verbose", "secrets"]).keys(["age-alice"]);
    let messages = call.outcome().messages();
    for name in NAMES {
        assert!(messages.contains(&format!("{name}: changed\n")), "{messages}");
    }
    assert!(messages.ends_with("4 changed, 0 unchanged, 0 failed\n"), "{messages}");
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let scratch = sealed();
    let text = scratch.text(NAMES[0]);
    for number in 0..400 {
        scratch.write(&format!("secrets/many/{number}.yaml"), text.as_bytes());
    }
    let call = scratch.call(["rotate", "-i", "--recursive", "--jobs", "1", "secrets"]).keys(["age-alice"]);
    let mut pty = Pty::start(call.variable("TERM", "xterm").command());
    pty.expect(" of 404 files");
    let (screen, status) = pty.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("404 changed, 0 unchanged, 0 failed"), "{screen}");
}

#[test]
fn a_killed_rotation_of_a_thousand_files_loses_none_and_can_be_called_again() {
    let scratch = sealed();
    let text = scratch.text(NAMES[0]);
    for number in 0..1000 {
        scratch.write(&format!("many/{number}.yaml"), text.as_bytes());
    }
    let rotate = || scratch.call(["rotate", "-i", "--recursive", "many"]).keys(["age-alice"]);
    let mut killed = 0;
    let mut dice = Dice::new(1000);
    for _ in 0..4 {
        let moment = Duration::from_millis(dice.roll() % 400);
        let mut child = rotate().command().spawn().expect("the program");
        std::thread::sleep(moment);
        child.kill().expect("our own child");
        killed += usize::from(!child.wait().expect("our own child").success());
        // every file is the old one or the new one
        succeed(&scratch, &["decrypt", "--recursive", "many", "--output", "clear"]);
        fs::remove_dir_all(scratch.folder().join("clear")).expect("our own folder");
    }
    assert!(killed > 0, "it was never caught");
    assert!(rotate().outcome().succeeded());
    succeed(&scratch, &["decrypt", "--recursive", "many", "--output", "clear"]);
    for number in 0..1000 {
        assert_eq!(scratch.text(&format!("clear/many/{number}.yaml")), TEXTS[0]);
    }
}

#[test]
fn modes_stay_and_plaintext_is_not_left_behind() {
    let scratch = sealed();
    let path = scratch.folder().join(NAMES[0]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("our own file");
    succeed(&scratch, &["rotate", "-i", "--recursive", "secrets"]);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    let names: Vec<String> = fs::read_dir(scratch.folder().join("secrets"))
        .expect("our own folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with(".rsops-")), "{names:?}");
}

/// Guards against encrypted files that no tree command sees because of their names: keys would be rotated in all files
/// but these.
#[test]
fn an_encrypted_file_that_its_name_hides_fails_and_says_how_it_is_read() {
    let scratch = sealed();
    let hidden = ["secrets/x.txt", "secrets/x.YAML", "secrets/noext"];
    for name in hidden {
        scratch.write(name, scratch.text(NAMES[0]).as_bytes());
    }
    scratch
        .write("secrets/README.md", b"```yaml\na: ENC[AES256_GCM,data:x]\nsops:\n    lastmodified: x\n```\n");
    let before: Vec<String> = hidden.iter().map(|name| scratch.text(name)).collect();
    for command in [
        &["rotate", "-i"][..],
        &["decrypt", "--output", "clear"],
        &["updatekeys", "--yes"],
        &["encrypt", "-i"],
    ] {
        // as one of the files that rules name, a document is encrypted
        scratch.write("secrets/README.md", scratch.text("secrets/README.md").as_bytes());
        let call = scratch.call([command, &["--recursive", "secrets"]].concat()).keys(["age-alice"]);
        let outcome = call.outcome();
        assert_eq!(outcome.ending, Ending::Exited(1), "{command:?}");
        let messages = outcome.messages();
        let expected = "this is an encrypted file of the format yaml, but it is read as binary";
        assert!(messages.contains(expected), "{command:?}: {messages}");
        for name in hidden {
            assert!(messages.contains(&format!("{name}: ")), "{command:?}: {messages}");
        }
        assert!(messages.contains("hint: work on it alone with --input-type yaml "), "{messages}");
        assert!(messages.ends_with(" 3 failed\n"), "{messages}");
        let after: Vec<String> = hidden.iter().map(|name| scratch.text(name)).collect();
        assert_eq!(after, before, "{command:?}");
    }
    // the hint helps
    for name in hidden {
        succeed(&scratch, &["rotate", "-i", "--input-type", "yaml", "--output-type", "yaml", name]);
        assert_eq!(
            succeed(&scratch, &["decrypt", "--input-type", "yaml", "--output-type", "yaml", name]),
            TEXTS[0]
        );
    }
}

#[test]
fn a_format_that_is_named_counts_for_all_files_of_a_tree() {
    let scratch = sealed();
    fs::create_dir(scratch.folder().join("odd")).expect("our own folder");
    scratch.write("odd/x.txt", scratch.text(NAMES[0]).as_bytes());
    scratch.write("odd/README.md", b"nothing\n");
    let yaml = ["--input-type", "yaml", "--output-type", "yaml"];
    let before = scratch.text("odd/x.txt");
    succeed(&scratch, &[&["rotate", "-i", "--recursive", "odd"], &yaml[..]].concat());
    assert_ne!(scratch.text("odd/x.txt"), before);
    assert_eq!(succeed(&scratch, &[&["decrypt", "odd/x.txt"], &yaml[..]].concat()), TEXTS[0]);
}

/// Guards against files of a folder that are encrypted for whom the working directory says, while `check` goes by the
/// nearest configuration.
#[test]
fn files_of_folders_go_with_the_nearest_configuration_and_named_files_with_that_of_the_working_directory() {
    let scratch = plain();
    let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
    let team =
        format!("creation_rules:\n  - path_regex: ^x\n    age: {bob}\nstores:\n  json:\n    indent: 1\n");
    scratch.write("secrets/team/.sops.yaml", team.as_bytes());
    scratch.write("secrets/team/x.json", b"{\"a\": 1}");
    scratch.write("secrets/team/y.json", b"{\"a\": 1}");
    succeed(&scratch, &["encrypt", "-i", "--recursive", "."]);
    let sealed = scratch.text("secrets/team/x.json");
    assert!(sealed.contains(&bob) && !sealed.contains(&alice), "{sealed}");
    assert!(sealed.contains("\n \"a\""), "{sealed}");
    assert_eq!(scratch.text("secrets/team/y.json"), "{\"a\": 1}", "no rule of the team names it");
    assert!(scratch.text(NAMES[0]).contains(&alice));

    // as sops does
    succeed(&scratch, &["encrypt", "-i", "secrets/team/y.json"]);
    assert!(scratch.text("secrets/team/y.json").contains(&alice));
    scratch.write("secrets/team/x.json", b"{\"a\": 1}");
    succeed(&scratch, &["encrypt", "-i", "--recursive", "secrets", "secrets/team/x.json"]);
    let named = scratch.text("secrets/team/x.json");
    assert!(named.contains(&alice) && !named.contains(&bob), "{named}");
    // what has a rule goes by it, what has none stays
    let before = scratch.text("secrets/team/y.json");
    let outcome = scratch
        .call(["updatekeys", "--yes", "--recursive", "secrets"])
        .keys(["age-alice", "age-bob"])
        .outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert_eq!(scratch.text("secrets/team/y.json"), before);
    // and what is named counts for all
    scratch.write("all.yaml", format!("creation_rules:\n  - age: {alice},{bob}\n").as_bytes());
    let everything = ["updatekeys", "--yes", "--recursive", "--config", "all.yaml", "secrets"];
    let outcome = scratch.call(everything).keys(["age-alice", "age-bob"]).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    for name in ["secrets/team/x.json", "secrets/team/y.json", NAMES[0]] {
        assert!([&alice, &bob].iter().all(|key| scratch.text(name).contains(*key)), "{name}");
    }
}

/// Guards against one broken configuration that keeps a whole tree from being worked on.
#[test]
fn a_broken_configuration_fails_the_files_below_it_and_no_others() {
    let scratch = plain();
    scratch.write("secrets/deep/.sops.yaml", b"creation_rules: [\n");
    let outcome = scratch.call(["encrypt", "-i", "--recursive", "."]).outcome();
    assert_eq!(outcome.ending, Ending::Exited(1));
    let messages = outcome.messages();
    assert!(messages.contains("secrets/deep/c.env: secrets/deep/.sops.yaml: "), "{messages}");
    assert!(messages.contains("2 changed, 0 unchanged, "), "{messages}");
    let sealed: Vec<bool> = all(&scratch).iter().map(|text| text.contains("ENC[")).collect();
    assert_eq!(sealed, [true, true, false, false]);
    // for indentation alone nothing fails
    let outcome = scratch
        .call(["decrypt", "--recursive", "secrets", "--output", "clear"])
        .keys(["age-alice"])
        .outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
}

#[test]
fn where_no_rule_can_be_found_a_tree_is_an_error() {
    let scratch = plain();
    fs::remove_file(scratch.folder().join(".sops.yaml")).expect("our own file");
    let alice = recipient("age-alice");
    for command in [&["encrypt", "-i", "--age", &alice][..], &["updatekeys", "--yes"]] {
        refused(
            &scratch.call([command, &["--recursive", "secrets"]].concat()).outcome(),
            1,
            &["config file not found", "hint: "],
        );
    }
    assert_eq!(all(&scratch), TEXTS);
}

/// Guards against a mistyped or ignored folder that looks as if all were done.
#[test]
fn a_folder_with_no_file_that_counts_is_an_error() {
    let scratch = sealed();
    fs::create_dir(scratch.folder().join("empty")).expect("our own folder");
    scratch.write(".gitignore", b"ignored/\n");
    scratch.write("ignored/x.yaml", scratch.text(NAMES[0]).as_bytes());
    scratch.call_other("git", ["init", "--quiet"]).stdout();
    for folder in ["empty", "ignored"] {
        for command in
            [&["rotate", "-i"][..], &["decrypt", "-i"], &["encrypt", "-i"], &["updatekeys", "--yes"]]
        {
            let outcome = scratch.call([command, &["--recursive", folder]].concat()).outcome();
            refused(&outcome, 100, &[folder, "hint: "]);
        }
    }
}

#[test]
fn a_folder_behind_a_link_or_in_another_repository_is_worked_on() {
    let scratch = sealed();
    scratch.call_other("git", ["init", "--quiet"]).stdout();
    scratch.call_other("git", ["init", "--quiet", "other"]).stdout();
    scratch.write("other/x.yaml", scratch.text(NAMES[0]).as_bytes());
    std::os::unix::fs::symlink("secrets/deep", scratch.folder().join("link")).expect("our own folder");
    for (folder, name) in [("link", NAMES[2]), ("other", "other/x.yaml")] {
        let before = scratch.text(name);
        succeed(&scratch, &["rotate", "-i", "--recursive", folder]);
        assert_ne!(scratch.text(name), before);
    }
}
