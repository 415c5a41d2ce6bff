//! The exit statuses of cli.md §4 and the phrases of policy.md §1: one row each, a tiny story.
//!
//! `RSOPS_TEST_BINARY=… RSOPS_AS_REFERENCE=1` holds sops itself to all rows that are not policy of ours.

#[path = "support/mod.rs"]
mod support;

use std::sync::LazyLock;

use support::keys::recipient;
use support::outcome::Exit;
use support::program::Bar;
use support::report::{check_all, say};
use support::scratch::Scratch;
use support::{Check, during};

/// Encrypted for alice, whose key is in reach unless a row says otherwise.
const SEALED: &str = "sealed.yaml";
const PLAIN: &str = "a: secret\nb_unencrypted: clear\n";

static FOR_ALICE: LazyLock<String> = LazyLock::new(|| recipient("age-alice"));
static FOR_BOB: LazyLock<String> = LazyLock::new(|| recipient("age-bob"));

/// One call, and what is to come of it.
struct Row {
    status: i32,
    /// On standard error.
    says: &'static str,
    arguments: Vec<String>,
    files: Vec<(&'static str, String)>,
    /// Done to the sealed file.
    damage: Option<fn(&str) -> String>,
    variables: Vec<(&'static str, &'static str)>,
    stdin: &'static str,
    without_keys: bool,
    /// The reference does something else, and this is better.
    policy: bool,
}

/// A row; `ALICE` and `BOB` stand for their recipients.
fn row(status: i32, says: &'static str, arguments: &[&str]) -> Row {
    let place = |argument: &&str| argument.replace("ALICE", &FOR_ALICE).replace("BOB", &FOR_BOB);
    Row {
        status,
        says,
        arguments: arguments.iter().map(place).collect(),
        files: Vec::new(),
        damage: None,
        variables: Vec::new(),
        stdin: "",
        without_keys: false,
        policy: false,
    }
}

impl Row {
    fn file(mut self, name: &'static str, text: &str) -> Self {
        self.files.push((name, text.replace("ALICE", &FOR_ALICE).replace("BOB", &FOR_BOB)));
        self
    }

    /// A configuration with one rule.
    fn rule(self, rule: &str) -> Self {
        self.file(".sops.yaml", &format!("creation_rules:\n  - {rule}\n"))
    }

    fn damage(mut self, damage: fn(&str) -> String) -> Self {
        self.damage = Some(damage);
        self
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn stdin(mut self, text: &'static str) -> Self {
        self.stdin = text;
        self
    }

    fn without_keys(mut self) -> Self {
        self.without_keys = true;
        self
    }

    fn policy(mut self) -> Self {
        self.policy = true;
        self
    }

    /// The command that it needs; v1 flags come first and stand for one.
    fn command(&self) -> &str {
        match self.arguments.iter().find(|argument| *argument != "--verbose").map(String::as_str) {
            Some("-d") => "decrypt",
            Some("-e") => "encrypt",
            Some("-r") => "rotate",
            Some("--set") => "set",
            Some(word) if word.starts_with('-') || word == "help" || word == "h" => "decrypt",
            Some(word) if word.contains('.') => "edit",
            Some(word) => word,
            None => "decrypt",
        }
    }

    fn check(&self) -> Check {
        let scratch = Scratch::new();
        scratch.write("plain.yaml", PLAIN.as_bytes());
        let sealed = SEALED_TEXT.as_str();
        scratch.write(SEALED, self.damage.map_or(sealed.to_owned(), |damage| damage(sealed)).as_bytes());
        for (name, text) in &self.files {
            scratch.write(name, text.as_bytes());
        }
        let keys: &[&str] = if self.without_keys { &[] } else { &["age-alice"] };
        let mut call = scratch.call(&self.arguments).keys(keys).stdin(self.stdin.as_bytes());
        for (name, value) in &self.variables {
            call = call.variable(name, value);
        }
        let outcome = call.outcome();
        let messages = outcome.messages();
        let check =
            outcome.wants(Exit::Status(self.status)).and_then(|()| match messages.contains(self.says) {
                true => Ok(()),
                false => Err(format!("{:?} is missing in {messages:?}", self.says)),
            });
        during(&format!("{}: {}", self.status, self.arguments.join(" ")), check)
    }
}

static SEALED_TEXT: LazyLock<String> = LazyLock::new(|| {
    let scratch = Scratch::new();
    scratch.write(SEALED, PLAIN.as_bytes());
    let sealed = scratch.call(["encrypt", "--age", &FOR_ALICE, SEALED]).stdout();
    String::from_utf8(sealed).expect("YAML is text")
});

/// The commands that `--help` shows.
static BUILT: LazyLock<Vec<String>> = LazyLock::new(|| {
    let page = Scratch::new().call(["--help"]).stdout();
    let page = String::from_utf8_lossy(&page).into_owned();
    page.lines().filter_map(|line| line.split_whitespace().next()).map(|word| word.replace(',', "")).collect()
});

/// Whether `--help` shows the command. Rows of others are written by the contract, and counted as not run.
fn is_built(row: &Row) -> bool {
    BUILT.iter().any(|command| command == row.command())
}

#[test]
fn every_status_and_phrase_is_kept() {
    let mut rows: Vec<Row> =
        [success(), general(), input_and_output(), parameters(), content(), editor(), children()]
            .into_iter()
            .flatten()
            .collect();
    if Bar::from_environment() == Bar::Reference {
        rows.retain(|row| !row.policy);
    }
    let total = rows.len();
    let mut absent: Vec<String> =
        rows.iter().filter(|row| !is_built(row)).map(|row| row.command().to_owned()).collect();
    rows.retain(is_built);
    absent.sort();
    absent.dedup();
    if !absent.is_empty() {
        let missing = total - rows.len();
        say(&format!("exit_codes: {missing} of {total} rows not run, for want of {}", absent.join(", ")));
    }
    let failures: Vec<String> = check_all(&rows, Row::check).into_iter().filter_map(Result::err).collect();
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// 0, and phrases of successes.
fn success() -> Vec<Row> {
    const ALREADY: &str = "age: ALICE";
    vec![
        row(0, "", &["decrypt", SEALED]),
        row(0, "Data key recovered successfully", &["--verbose", "-d", SEALED]),
        row(0, "", &["-d", "-i", SEALED]),
        row(0, "", &["encrypt", "--age", "ALICE", "plain.yaml"]),
        row(0, "", &["-e", "--age", "ALICE", "plain.yaml"]),
        row(0, "", &["--help"]),
        row(0, "", &["help"]),
        row(0, "", &["h"]),
        row(0, "", &["-h"]),
        row(0, "", &["help", "decrypt"]),
        row(0, "", &["decrypt", "--help"]),
        row(0, "", &["--version"]),
        row(0, "", &["completion"]),
        row(0, "", &["completion", "bash"]),
        row(0, "", &["--generate-bash-completion"]),
        row(0, "", &["groups"]),
        row(0, "", &["filestatus", SEALED]),
        row(0, "", &["filestatus", "plain.yaml"]),
        row(0, "", &["set", SEALED, "[\"a\"]", "\"other\""]),
        row(0, "", &["--set", "[\"a\"] \"other\"", SEALED]),
        row(0, "", &["set", "--idempotent", SEALED, "[\"a\"]", "\"secret\""]),
        row(0, "", &["unset", SEALED, "[\"a\"]"]),
        row(0, "", &["unset", "--idempotent", SEALED, "[\"missing\"]"]),
        row(0, "", &["rotate", "-i", SEALED]),
        row(0, "", &["-r", SEALED]),
        row(0, "already up to date", &["updatekeys", SEALED]).rule(ALREADY),
        row(0, "synced with", &["updatekeys", "-y", SEALED]).rule("age: ALICE,BOB"),
        row(0, "synced with", &["updatekeys", SEALED]).rule("age: ALICE,BOB").stdin("y\n"),
        row(0, "left unchanged", &["updatekeys", SEALED]).rule("age: ALICE,BOB").stdin("n\n"),
        row(0, "", &["groups", "add", "-f", SEALED, "--age", "BOB"]),
        row(0, "", &["exec-env", SEALED, "true"]),
        row(0, "", &["exec-file", SEALED, "test -e {}"]),
        // removing the only group would leave a file without keys
        row(1, "", &["groups", "delete", "-f", SEALED, "0"]).policy(),
    ]
}

/// 1, the status of everything without one of its own.
fn general() -> Vec<Row> {
    const NO_KEYS: &str = "config file not found, or has no creation rules, and no keys provided through command line \
                           options";
    vec![
        row(1, "nonsense", &["--nonsense"]),
        row(1, "nonsense", &["decrypt", "--nonsense", SEALED]),
        row(1, "config", &["--config"]),
        row(1, "maybe", &["decrypt", "--ignore-mac=maybe", SEALED]),
        row(1, "maybe", &["-d=maybe", SEALED]),
        row(1, "indent", &["--indent", "x", "-d", SEALED]),
        row(1, "cannot use --ignore-mac", &["--ignore-mac", "encrypt", "plain.yaml"]).policy(),
        row(1, "sops metadata not found", &["decrypt", "plain.yaml"]),
        row(1, "sops metadata not found", &["set", "plain.yaml", "[\"a\"]", "1"]),
        row(1, "sops metadata not found", &["rotate", "plain.yaml"]),
        row(1, "", &["decrypt", "x.yaml"]).file("x.yaml", "a: [\n"),
        row(1, "", &["decrypt", SEALED]).damage(|text| text.replace("    age:\n", "    nothing:\n")).policy(),
        row(1, NO_KEYS, &["encrypt", "plain.yaml"]),
        row(1, NO_KEYS, &["edit", "new.yaml"]),
        row(1, "no matching creation rules found", &["encrypt", "plain.yaml"])
            .rule("{path_regex: nowhere, age: ALICE}"),
        row(1, "no matching creation rules found", &["edit", "new.yaml"])
            .rule("{path_regex: nowhere, age: ALICE}"),
        row(1, "", &["encrypt", "--age", "nobody", "plain.yaml"]),
        row(1, "", &["encrypt", "plain.yaml"]).file(".sops.yaml", "creation_rules: [\n"),
        row(1, "", &["--config", "missing.yaml", "encrypt", "plain.yaml"]),
        row(
            1,
            "no key services provided",
            &["encrypt", "--enable-local-keyservice=false", "--age", "ALICE", "plain.yaml"],
        ),
        row(1, "", &["decrypt", "--extract", "[\"missing\"]", SEALED]),
        row(1, "", &["decrypt", "--extract", "[\"a\"][0]", SEALED]),
        row(1, "missing", &["unset", SEALED, "[\"missing\"]"]),
        row(1, "", &["set", "--value-file", SEALED, "[\"a\"]", "missing.json"]),
        row(
            1,
            "--value-file and --value-stdin",
            &["set", "--value-file", "--value-stdin", SEALED, "[\"a\"]"],
        ),
        row(1, "missing file to decrypt", &["exec-env", SEALED]),
        row(1, "missing file to decrypt", &["exec-file", SEALED]),
        row(1, "", &["exec-env", "x.yaml", "true"]).file("x.yaml", "a: 1\n"),
        row(1, "", &["exec-file", "--no-fifo", "--filename", "../x", SEALED, "true"]),
        row(1, "positional", &["groups", "add", "-f", SEALED, "--age", "BOB", "surplus"]),
        row(1, "index", &["groups", "delete", "-f", SEALED]),
        row(1, "index", &["groups", "delete", "-f", SEALED, "x"]),
        row(1, "", &["groups", "delete", "-f", SEALED, "7"]).policy(),
        row(1, "", &["filestatus", "x.yaml"]).file("x.yaml", "a: [\n"),
        row(1, "", &["filestatus", "missing.yaml"]),
        row(1, "config file not found", &["updatekeys", SEALED]),
        row(1, "missing.yaml", &["updatekeys", "missing.yaml"]).rule("age: ALICE"),
        row(1, "directory", &["updatekeys", "."]).rule("age: ALICE"),
        row(1, "no matching creation rules found", &["updatekeys", SEALED])
            .rule("{path_regex: nowhere, age: ALICE}"),
        row(1, "", &["updatekeys", SEALED]).rule("age: ALICE,BOB").stdin("\n"),
        row(1, "", &["updatekeys", SEALED]).rule("age: ALICE,BOB"),
        row(1, "config file not found", &["publish", SEALED]),
    ]
}

/// 2, 3 and 4; 100 for files that are not there.
fn input_and_output() -> Vec<Row> {
    const NO_FILE: &str = "no file specified";
    const GONE: &str = "missing.yaml";
    vec![
        row(2, "is a directory", &["decrypt", "."]),
        row(2, "is a directory", &["encrypt", "--age", "ALICE", "."]),
        row(2, "", &["encrypt", "--age", "ALICE", "x.yaml"]).file("x.yaml", "a: [\n"),
        row(2, "", &["encrypt", "--age", "ALICE", "x.json"]).file("x.json", "{\"a\": ").policy(),
        row(2, "", &["encrypt", "--age", "ALICE", "x.json"]).file("x.json", "{} {}").policy(),
        row(2, "", &["encrypt", "--age", "ALICE", "x.yaml"]).file("x.yaml", "# only this\n"),
        row(2, GONE, &["rotate", GONE]),
        row(2, GONE, &["set", GONE, "[\"a\"]", "1"]),
        row(2, GONE, &["unset", GONE, "[\"a\"]"]),
        row(2, GONE, &["exec-env", GONE, "true"]),
        row(2, GONE, &["exec-file", GONE, "true"]),
        row(2, GONE, &["groups", "add", "-f", GONE, "--age", "BOB"]),
        row(2, GONE, &["groups", "delete", "-f", GONE, "0"]),
        row(3, "missing/x.yaml", &["decrypt", "--output", "missing/x.yaml", SEALED]),
        row(3, "missing/x.yaml", &["encrypt", "--age", "ALICE", "--output", "missing/x.yaml", "plain.yaml"]),
        row(3, "missing/x.yaml", &["rotate", "--output", "missing/x.yaml", SEALED]),
        row(3, "No help topic for 'nonsense'", &["help", "nonsense"]),
        row(3, "No help topic for 'nonsense'", &["completion", "nonsense"]),
        row(3, "No help topic for 'nonsense'", &["groups", "nonsense"]),
        row(4, "Error dumping file", &["decrypt", "--output-type", "ini", SEALED]),
        row(4, "--output-type", &["decrypt", "--output-type", "binary", SEALED]),
        row(4, "sops", &["encrypt", "--age", "ALICE", "x.yaml"]).file("x.yaml", "a: 1\n---\nsops: 1\n"),
        row(4, "", &["encrypt", "--age", "ALICE", "--output-type", "ini", "plain.yaml"]),
        row(100, NO_FILE, &[]),
        row(100, NO_FILE, &["--verbose"]),
        row(100, NO_FILE, &["-h=false"]),
        row(100, NO_FILE, &["rotate"]),
        row(100, NO_FILE, &["edit"]),
        row(100, NO_FILE, &["filestatus"]),
        row(100, NO_FILE, &["publish"]).rule("age: ALICE"),
        row(100, NO_FILE, &["updatekeys"]).rule("age: ALICE"),
        row(100, NO_FILE, &["set", SEALED]),
        row(100, "--value-stdin", &["set", "--value-stdin", SEALED, "[\"a\"]", "1"]),
        row(100, NO_FILE, &["unset", SEALED]),
        row(100, "cannot operate on non-existent file", &["decrypt", GONE]),
        row(100, "cannot operate on non-existent file", &["encrypt", "--age", "ALICE", GONE]),
        row(100, "cannot operate on non-existent file", &["-d", GONE]),
        row(100, "cannot operate on non-existent file", &["-r", GONE]),
        row(49, "cannot add or remove keys on non-existent file", &["rotate", "--add-age", "ALICE", GONE]),
        row(49, "cannot add or remove keys on non-existent file", &["-r", "--add-age", "ALICE", GONE]),
    ]
}

/// 5 to 8, 91 and 112: what is asked for makes no sense.
fn parameters() -> Vec<Row> {
    const BOTH: &str = "cannot operate on both --output and --in-place";
    const SELECTORS: &str = "cannot use more than one of encrypted_suffix";
    vec![
        row(5, "encrypted_regex", &["encrypt", "plain.yaml"])
            .rule("{age: ALICE, encrypted_regex: \"(\"}")
            .policy(),
        row(
            6,
            "Invalid KMS encryption context format",
            &[
                "encrypt",
                "--kms",
                "arn:aws:kms:eu-west-1:1:key/x",
                "--encryption-context",
                "nonsense",
                "plain.yaml",
            ],
        ),
        row(7, "Invalid set index format", &["set", SEALED, "a", "1"]),
        row(7, "not valid JSON", &["set", SEALED, "[\"a\"]", "nonsense"]),
        row(7, "not valid JSON", &["set", "--value-stdin", SEALED, "[\"a\"]"]).stdin("nonsense"),
        row(7, "Invalid unset index format", &["unset", SEALED, "a"]),
        row(7, "Invalid --set format", &["--set", "nonsense", SEALED]),
        row(8, BOTH, &["decrypt", "-i", "--output", "x", SEALED]),
        row(8, BOTH, &["encrypt", "-i", "--output", "x", "plain.yaml"]),
        row(8, BOTH, &["rotate", "-i", "--output", "x", SEALED]),
        row(8, BOTH, &["-d", "-i", "--output", "x", SEALED]),
        row(8, "cannot use --in-place when reading from stdin", &["decrypt", "-i"]),
        row(
            8,
            "cannot use --in-place when reading from stdin",
            &["encrypt", "-i", "--filename-override", "x.yaml"],
        ),
        row(8, "must specify --filename-override", &["encrypt", "--age", "ALICE"]),
        row(
            8,
            SELECTORS,
            &["encrypt", "--age", "ALICE", "--encrypted-regex", "a", "--encrypted-suffix", "b", "plain.yaml"],
        ),
        row(8, SELECTORS, &["encrypt", "--encrypted-regex", "a", "plain.yaml"])
            .rule("{age: ALICE, encrypted_suffix: b}"),
        row(8, "encrypted_regex", &["encrypt", "--age", "ALICE", "--encrypted-regex", "(", "plain.yaml"])
            .policy(),
        row(8, "--same-process", &["exec-env", "--same-process", "--background", SEALED, "true"]),
        row(91, "error parsing --extract path", &["decrypt", "--extract", "a", SEALED]),
        row(91, "error parsing --extract path", &["decrypt", "--extract", "[]", SEALED]).policy(),
        row(112, "Duplicate decryption key type: age", &["decrypt", "--decryption-order", "age,age", SEALED]),
        row(112, "Duplicate decryption key type: age", &["rotate", "--decryption-order", "age,age", SEALED]),
        row(
            112,
            "Duplicate decryption key type: age",
            &["exec-env", "--decryption-order", "age,age", SEALED, "true"],
        ),
        row(112, "Duplicate decryption key type: age", &["decrypt", SEALED])
            .variable("SOPS_DECRYPTION_ORDER", "age,age"),
    ]
}

/// 23, 25, 51, 92, 128 and 203. 21, a MAC that cannot be encrypted, cannot be brought about.
fn content() -> Vec<Row> {
    const NO_DATA_KEY: &str = "Failed to get the data key required to decrypt the SOPS file.";
    const MAC: &str = "MAC mismatch";
    let garbled = |text: &str| {
        let (_, rest) = text.split_once('\n').expect("a line");
        format!("a: ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]\n{rest}")
    };
    let changed = |text: &str| text.replace("clear", "other");
    let without_mac = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("mac:"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    vec![
        row(23, "", &["encrypt", "--age", "ALICE", "x.yaml"]).file("x.yaml", "1: a\n"),
        row(25, "Error decrypting tree", &["decrypt", SEALED]).damage(garbled),
        row(25, "Error decrypting tree", &["rotate", SEALED]).damage(garbled),
        row(25, "Error decrypting tree", &["exec-env", SEALED, "true"]).damage(garbled),
        row(51, MAC, &["decrypt", SEALED]).damage(changed),
        row(51, MAC, &["rotate", SEALED]).damage(changed),
        row(51, MAC, &["set", SEALED, "[\"a\"]", "1"]).damage(changed),
        row(51, MAC, &["exec-env", SEALED, "true"]).damage(changed),
        row(51, MAC, &["decrypt", SEALED]).damage(without_mac),
        row(0, "", &["decrypt", "--ignore-mac", SEALED]).damage(changed),
        row(92, "completely empty", &["encrypt", "--age", "ALICE", "x.yaml"]).file("x.yaml", ""),
        row(128, NO_DATA_KEY, &["decrypt", SEALED]).without_keys(),
        row(128, NO_DATA_KEY, &["-d", SEALED]).without_keys(),
        row(128, NO_DATA_KEY, &["rotate", SEALED]).without_keys(),
        row(128, NO_DATA_KEY, &["set", SEALED, "[\"a\"]", "1"]).without_keys(),
        row(128, NO_DATA_KEY, &["unset", SEALED, "[\"a\"]"]).without_keys(),
        row(128, NO_DATA_KEY, &["edit", SEALED]).without_keys().variable("SOPS_EDITOR", "true"),
        row(128, NO_DATA_KEY, &["exec-env", SEALED, "true"]).without_keys(),
        row(128, NO_DATA_KEY, &["exec-file", SEALED, "true"]).without_keys(),
        row(128, NO_DATA_KEY, &["updatekeys", "-y", SEALED]).rule("age: ALICE,BOB").without_keys(),
        row(203, "already being encrypted", &["encrypt", "--age", "ALICE", SEALED]),
        row(203, "already being encrypted", &["-e", "--age", "ALICE", SEALED]),
        row(203, "", &["set", SEALED, "[\"sops\"]", "1"]),
    ]
}

/// 200 and 201. 202, versions that cannot be compared, is refused when the file is loaded.
fn editor() -> Vec<Row> {
    vec![
        row(200, "File has not changed, exiting.", &["edit", SEALED]).variable("SOPS_EDITOR", "true"),
        row(200, "File has not changed, exiting.", &[SEALED]).variable("EDITOR", "true"),
        row(200, "File has not changed, exiting.", &["edit", "new.yaml"])
            .rule("age: ALICE")
            .variable("SOPS_EDITOR", "true"),
        row(201, "Could not run editor", &["edit", SEALED]).variable("SOPS_EDITOR", "false"),
        row(201, "Could not run editor", &["edit", SEALED]).variable("SOPS_EDITOR", "no-such-editor"),
        row(201, "Could not run editor", &["edit", SEALED]).variable("SOPS_EDITOR", "'"),
        row(0, "", &["edit", SEALED])
            .file("edit.sh", "#!/bin/sh\necho 'c: 3' >> \"$1\"\n")
            .variable("SOPS_EDITOR", "./edit.sh"),
    ]
}

/// The status of a child is that of the program.
fn children() -> Vec<Row> {
    vec![
        row(7, "", &["exec-env", SEALED, "exit 7"]),
        row(7, "", &["exec-file", SEALED, "exit 7"]),
        row(7, "", &["exec-env", "--same-process", SEALED, "exit 7"]),
        row(143, "", &["exec-env", SEALED, "kill -TERM $$"]).policy(),
        row(143, "", &["exec-file", SEALED, "kill -TERM $$"]).policy(),
    ]
}
