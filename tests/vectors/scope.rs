//! Which cases the program is expected to pass today, and where it is meant to differ from the vectors.

use crate::case::{After, Case, Document, Expected, Steps, Story};
use crate::support::outcome::Exit;
use crate::support::program::setting;

/// Commands that work. Add one here to bring in its cases.
const COMMANDS: &[Command] = &[
    Command::Encrypt,
    Command::Decrypt,
    Command::Rotate,
    Command::UpdateKeys,
    Command::Groups,
    Command::ExecEnv,
    Command::ExecFile,
    Command::FileStatus,
    Command::Set,
    Command::Unset,
    Command::Edit,
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Encrypt,
    Decrypt,
    Rotate,
    Set,
    Unset,
    Edit,
    ExecEnv,
    ExecFile,
    FileStatus,
    UpdateKeys,
    Groups,
}

const NAMES: [(&str, Command); 11] = [
    ("encrypt", Command::Encrypt),
    ("decrypt", Command::Decrypt),
    ("rotate", Command::Rotate),
    ("set", Command::Set),
    ("unset", Command::Unset),
    ("edit", Command::Edit),
    ("exec-env", Command::ExecEnv),
    ("exec-file", Command::ExecFile),
    ("filestatus", Command::FileStatus),
    ("updatekeys", Command::UpdateKeys),
    ("groups", Command::Groups),
];

/// The flags that chose the command in the first generation of the command line.
const LEGACY_FLAGS: [(&str, Command); 7] = [
    ("-e", Command::Encrypt),
    ("--encrypt", Command::Encrypt),
    ("-d", Command::Decrypt),
    ("--decrypt", Command::Decrypt),
    ("-r", Command::Rotate),
    ("--rotate", Command::Rotate),
    ("--set", Command::Set),
];

/// Why a case does not run now; nothing is left out without one. `RSOPS_SCOPE=all` runs every case.
pub(crate) fn out_of_scope(case: &Case) -> Option<String> {
    if setting("RSOPS_SCOPE").as_deref() == Some("all") {
        return None;
    }
    // documents are only encrypted and decrypted
    let Story::Steps(steps) = &case.story else { return None };
    let missing =
        steps.steps.iter().map(|step| command(&step.argv)).find(|command| !COMMANDS.contains(command))?;
    NAMES.iter().find(|(_, command)| *command == missing).map(|(name, _)| format!("needs {name}"))
}

fn command(arguments: &[String]) -> Command {
    let find = |table: &[(&str, Command)]| {
        let named = |argument| table.iter().find(|(name, _)| argument == name).map(|(_, command)| *command);
        arguments.iter().find_map(named)
    };
    // a file without any flag is edited
    find(&NAMES).or_else(|| find(&LEGACY_FLAGS)).unwrap_or(Command::Edit)
}

/// What rsops does instead of what the vector says.
pub(crate) enum Instead {
    EncryptFails(i32),
    /// The vector refuses; what is written instead opens to the input.
    EncryptSucceeds,
    DecryptFails(Exit),
    /// It opens, to the plaintext of another case.
    DecryptsLike(&'static str),
    /// The same result, and a warning about it.
    Warns,
    /// The last step fails with this status, and leaves the files as they were before the first.
    StepFails(i32),
    /// The last step prints other words.
    StepPrints {
        instead_of: &'static str,
        words: &'static str,
    },
    /// A file has other words in the end.
    FileHas {
        file: &'static str,
        instead_of: &'static str,
        words: &'static str,
    },
    /// The last step ends so.
    StepEnds {
        status: i32,
        stdout: &'static str,
    },
    /// All steps succeed, and the first file that one leaves opens to this text.
    Leaves(&'static str),
    /// All steps succeed, and the files are as they were.
    LeavesAlone,
    /// What must be gone and ends so is still there.
    Keeps(&'static str),
}

/// Cases that contradict docs/compatibility.md, why, and what holds in their place. What holds is checked; an
/// exception whose vector holds as it is fails the test.
pub(crate) const POLICY_EXCEPTIONS: &[(&str, &str, &[Instead])] = &[
    ("json/trailing-text-ignored", "text after the document is an error", &[Instead::EncryptFails(2)]),
    ("json/truncated-accepted", "a truncated document is an error", &[Instead::EncryptFails(2)]),
    (
        "corrupt/json-trailing-text",
        "text after the document is an error",
        &[Instead::DecryptFails(Exit::CleanFailure)],
    ),
    ("cross/ini-to-json", "keys that stand twice are kept, with a warning", &[Instead::Warns]),
    ("json/key-duplicate", "kept, with a warning", &[Instead::Warns]),
    ("yaml/multi-document-duplicate-keys-accepted", "kept, with a warning", &[Instead::Warns]),
    ("selectors/encrypted-regex-invalid-never-matches", BAD_REGEX, BAD_REGEX_FAILS),
    ("selectors/encrypted-regex-lookahead-never-matches", BAD_REGEX, BAD_REGEX_FAILS),
    ("selectors/unencrypted-regex-invalid-never-matches", BAD_REGEX, BAD_REGEX_FAILS),
    (
        "keys/config-no-match-refused",
        "with keys on the command line no rule is needed",
        &[Instead::EncryptSucceeds],
    ),
    ("keys/config-unknown-keys-ignored", "ignored, with a warning", &[Instead::Warns]),
    ("corrupt/lastmodified-unquoted", "a time without quotes is a time", INTACT),
    (
        "corrupt/lastmodified-removed",
        "without the time the MAC cannot be checked: as if it did not match",
        &[Instead::DecryptFails(Exit::Status(51))],
    ),
    ("corrupt/pgp-entry-bad-created-at", "no reader depends on the date of a key", INTACT),
    ("corrupt/version-bad", ODD_VERSION, INTACT),
    ("corrupt/version-float", ODD_VERSION, INTACT),
    ("corrupt/version-leading-zero", ODD_VERSION, INTACT),
    ("corrupt/version-removed", ODD_VERSION, INTACT),
    ("corrupt/version-two-parts", ODD_VERSION, INTACT),
    (
        "updatekeys/to-groups",
        "the threshold of the rule is applied, and shown",
        &[
            Instead::StepPrints { instead_of: "Group 1\n", words: "+++ shamir_threshold: 2\nGroup 1\n" },
            Instead::FileHas {
                file: "after.yaml",
                instead_of: "shamir_threshold: 3",
                words: "shamir_threshold: 2",
            },
        ],
    ),
    ("updatekeys/wrong-mac-accepted", "what cannot be verified is not written", &[Instead::StepFails(4)]),
    ("exec/env-duplicate-key", "the last counts, with a warning", &[Instead::Warns]),
    (
        "exec/env-signal",
        "128 and the number of the signal, as shells have it",
        &[Instead::StepEnds { status: 137, stdout: "" }],
    ),
    (
        "filestatus/sops-empty-yaml",
        "an empty entry holds no metadata, as in JSON",
        &[Instead::StepEnds { status: 0, stdout: "{\"encrypted\":false}\n" }],
    ),
    (
        "edit/nan-never-kept",
        "a value that did not change keeps its ciphertext, NaN too",
        &[Instead::Keeps("type:float]")],
    ),
    (
        "set/array-refused",
        "arrays are values like others",
        &[Instead::Leaves(
            "# top\na:\n    - 1\n\"n\": 5\nfl: 2\nm:\n    k: v\n    # c\n    l: w\nlist:\n    - one\n    - two\n\
             open_unencrypted: \"y\"\nz: last\n",
        )],
    ),
    ("set/dotenv-number", INTEGERS, &[Instead::Leaves("# c\nA=5\nB=y\n")]),
    ("set/idempotent-int-is-not-float", "the number is there already", &[Instead::LeavesAlone]),
    (
        "set/number-is-float",
        INTEGERS,
        &[
            Instead::Keeps("type:int]"),
            Instead::Leaves(
                "# top\na: x\n\"n\": 5\nfl: 2\nm:\n    k: v\n    # c\n    l: w\nlist:\n    - one\n    - two\n\
             open_unencrypted: \"y\"\nz: last\n",
            ),
        ],
    ),
    (
        "set/number-large",
        INTEGERS,
        &[Instead::Leaves(
            "# top\na: 9007199254740993\n\"n\": 5\nfl: 2\nm:\n    k: v\n    # c\n    l: w\nlist:\n    - one\n    - two\n\
             open_unencrypted: \"y\"\nz: last\n",
        )],
    ),
];

const INTEGERS: &str = "integers stay integers";

const BAD_REGEX: &str = "a selector that does not compile would leave secrets in clear";
const BAD_REGEX_FAILS: &[Instead] = &[Instead::EncryptFails(8), Instead::DecryptFails(Exit::Status(1))];
const ODD_VERSION: &str = "no reader depends on the version";
/// The file that the damaged ones were made of.
const INTACT: &[Instead] = &[Instead::DecryptsLike("corrupt/version-newer")];

/// The case with what holds instead. `find` gives the other cases.
pub(crate) fn amended<'a>(case: &Case, changes: &[Instead], find: impl Fn(&str) -> &'a Case) -> Case {
    let mut case = case.clone();
    for change in changes {
        if let Instead::FileHas { file, instead_of, words } = change {
            let text = String::from_utf8_lossy(case.file(file)).replace(instead_of, words);
            case.add_file(file, text.as_bytes());
        }
        if let Instead::DecryptsLike(other) = change {
            case.add_file("decrypted.yaml", find(other).file("decrypted.yaml"));
        }
        if let Instead::Leaves(text) = change {
            case.add_file(INSTEAD, text.as_bytes());
        }
        match &mut case.story {
            Story::Document(document) => amend_document(document, change),
            Story::Steps(steps) => amend_steps(steps, change),
        }
    }
    case
}

fn amend_document(document: &mut Document, change: &Instead) {
    match change {
        Instead::EncryptFails(status) => document.encrypt = Some(Expected::exits(Exit::Status(*status))),
        Instead::EncryptSucceeds => {
            document.encrypt = Some(Expected::exits(Exit::Status(0)));
            document.own_expected_any = document.input.clone().map(|input| vec![input]);
            document.keys = vec![vec!["age-alice".to_owned()]];
        }
        Instead::DecryptFails(exit) => document.decrypt = Some(Expected::exits(*exit)),
        Instead::DecryptsLike(_) => {
            document.decrypt = Some(Expected::exits(Exit::Status(0)));
            document.decrypted = Some("decrypted.yaml".to_owned());
        }
        Instead::Warns => {
            for expected in [&mut document.encrypt, &mut document.decrypt].into_iter().flatten() {
                expected.stderr = None;
            }
        }
        Instead::FileHas { .. } => {}
        _ => {
            panic!("a document has no steps")
        }
    }
}

fn amend_steps(steps: &mut Steps, change: &Instead) {
    let last = steps.steps.last_mut().expect("a step");
    match change {
        Instead::StepFails(status) => {
            last.exit = Exit::Status(*status);
            (last.stdout, last.stdout_shape, last.stderr, last.stderr_all) = (None, None, None, None);
            last.after =
                steps.files.iter().map(|(name, file)| (name.clone(), After::same_as(file))).collect();
        }
        Instead::StepPrints { instead_of, words } => {
            last.stdout = last.stdout.take().map(|text| text.replace(instead_of, words));
        }
        Instead::FileHas { .. } => {}
        Instead::StepEnds { status, stdout } => {
            last.exit = Exit::Status(*status);
            (last.stdout, last.stderr) = (Some((*stdout).to_owned()), None);
        }
        Instead::Warns => last.stderr = None,
        Instead::Leaves(_) | Instead::LeavesAlone | Instead::Keeps(_) => amend_files(steps, change),
        _ => panic!("steps are no document"),
    }
}

/// What a file opens to instead.
const INSTEAD: &str = "instead";

/// All steps succeed, and the files that they leave are others.
fn amend_files(steps: &mut Steps, change: &Instead) {
    let before = steps.files.clone();
    for step in &mut steps.steps {
        (step.exit, step.stderr) = (Exit::Status(0), None);
        for (name, after) in &mut step.after {
            match change {
                Instead::Leaves(_) => {
                    (after.same_as, after.shape_of) = (None, None);
                    after.decrypts_to = Some(INSTEAD.to_owned());
                }
                Instead::Keeps(end) => {
                    let kept = after.gone.extract_if(.., |text| text.ends_with(end));
                    after.kept.extend(kept);
                }
                _ => *after = After { same_as: before.get(name).cloned(), ..After::default() },
            }
        }
    }
}
