//! `rsops exec-file`: a command with the plaintext in a temporary file. What signals at random moments leave behind is
//! tried in `leftovers.rs`.
#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;

use support::keys::{make_private, recipient};
use support::moments::entries;
use support::outcome::{Outcome, fails_with, refused};
use support::program::setting;
use support::report::say;
use support::running::{Running, SIGNALS};
use support::scratch::{Call, Scratch};

const PLAIN: &[u8] = b"a: secret value\n";
const BOTH: [&[&str]; 2] = [&[], &["--no-fifo"]];

fn encrypted(name: &str, text: &[u8]) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(name, text);
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), name]).stdout();
    scratch
}

fn exec_file<'a>(scratch: &'a Scratch, arguments: &[&str]) -> Call<'a> {
    scratch.call([&["exec-file"], arguments].concat()).keys(["age-alice"])
}

fn silent(outcome: &Outcome) -> &[u8] {
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}: {}", outcome.ending, outcome.messages());
    &outcome.stdout
}

/// Directories for plaintext that are there.
fn left(scratch: &Scratch) -> Vec<PathBuf> {
    let mut entries = entries(&scratch.root()).expect("our folder");
    entries.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".sops")));
    entries
}

#[test]
fn the_command_reads_the_plaintext_and_nothing_is_left() {
    let scratch = encrypted("a.yaml", PLAIN);
    for options in BOTH {
        for command in ["cat {}", "cat < {}", "cat '{}' | cat", "mkdir sub; cd sub && cat {}"] {
            let outcome = exec_file(&scratch, &[options, &["a.yaml", command]].concat()).outcome();
            assert_eq!(silent(&outcome), PLAIN, "{options:?} {command}");
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?} {command}");
            // there only after one of them
            let _ = fs::remove_dir(scratch.folder().join("sub"));
        }
    }
}

#[test]
fn only_the_owner_can_come_near() {
    let scratch = encrypted("a.yaml", PLAIN);
    let command = "stat -c %a $(dirname {}) {}; ls -A $(dirname {}) | wc -l";
    for options in BOTH {
        let outcome = exec_file(&scratch, &[options, &["a.yaml", command]].concat()).outcome();
        assert_eq!(silent(&outcome), b"700\n600\n1\n", "{options:?}");
    }
}

#[test]
fn a_pipe_holds_any_amount() {
    let much: Vec<u8> = (0..5_000_000_u32).map(|number| (number / 251) as u8).collect();
    let scratch = encrypted("a.bin", &much);
    let outcome = exec_file(&scratch, &["a.bin", "cat {}"]).outcome();
    assert!(silent(&outcome) == much, "{} bytes came back", outcome.stdout.len());
    let twice = exec_file(&scratch, &["a.bin", "cat {} {}"]).outcome();
    assert!(silent(&twice) == [much.as_slice(), &much].concat(), "{} bytes came back", twice.stdout.len());
    // whoever has seen enough may go
    assert_eq!(
        silent(&exec_file(&scratch, &["a.bin", "head -c 1 {}; exec 3< {}; true"]).outcome()),
        [much[0]]
    );
}

#[test]
fn every_reader_gets_all() {
    let scratch = encrypted("a.yaml", PLAIN);
    let again = |times: usize| PLAIN.repeat(times);
    for (command, wanted) in [
        ("cat {}; cat {}; cat {}", again(3)),
        // opened and not read
        ("true < {}; cat {}", again(1)),
        // one that has begun and keeps it open, and one that comes later
        ("exec 3< {}; read -r line <&3; cat {}; cat <&3; echo \"$line\"", again(2)),
        ("cat {} > one; test -p {} && rm {} && cat one", again(1)),
    ] {
        for _ in 0..20 {
            assert_eq!(silent(&exec_file(&scratch, &["a.yaml", command]).outcome()), wanted, "{command}");
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{command}");
        }
    }
}

#[test]
fn nobody_needs_to_read() {
    let scratch = encrypted("a.yaml", PLAIN);
    for options in BOTH {
        for command in ["true", "rm {}", "rm -r $(dirname {})"] {
            let outcome = exec_file(&scratch, &[options, &["a.yaml", command]].concat()).outcome();
            assert_eq!(silent(&outcome), b"", "{options:?} {command}");
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?} {command}");
        }
    }
}

#[test]
fn a_reader_that_outlives_the_command_is_not_waited_for() {
    let scratch = encrypted("a.bin", &vec![b'x'; 1 << 20]);
    let command = "(exec 3< {}; echo open > pid; exec sleep 60) > /dev/null 2>&1 & \
                   echo $!; while [ ! -e pid ]; do sleep 0.01; done";
    let outcome = exec_file(&scratch, &["a.bin", command]).outcome();
    let sleeper = String::from_utf8_lossy(silent(&outcome)).trim().to_owned();
    assert_eq!(left(&scratch), Vec::<PathBuf>::new());
    scratch.call_other("/bin/sh", ["-c", &format!("kill {sleeper}")]).stdout();
}

#[test]
fn standard_input_is_that_of_the_command() {
    let scratch = encrypted("a.yaml", PLAIN);
    let outcome = exec_file(&scratch, &["a.yaml", "cat; cat {}"]).stdin(b"typed\n").outcome();
    assert_eq!(silent(&outcome), b"typed\na: secret value\n");
}

#[test]
fn the_status_is_that_of_the_command() {
    let scratch = encrypted("a.yaml", PLAIN);
    for options in BOTH {
        for (command, status, words) in [
            ("exit 9", 9, "exit status 9"),
            ("kill -KILL $$", 137, "signal: killed"),
            ("cat {}; exit 1", 1, "exit status 1"),
        ] {
            let outcome = exec_file(&scratch, &[options, &["a.yaml", command]].concat()).outcome();
            fails_with(&outcome, status, &[words]);
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?} {command}");
        }
    }
}

#[test]
fn signals_reach_the_command_and_nothing_is_left() {
    let scratch = encrypted("a.yaml", PLAIN);
    for options in BOTH {
        for (name, signal, number) in SIGNALS {
            let read = "cat {} > /dev/null; echo ready; exec sleep 60";
            let mut running = Running::start(&exec_file(&scratch, &[options, &["a.yaml", read]].concat()));
            assert_eq!(running.line(), "ready");
            assert_eq!(left(&scratch).len(), 1);
            running.send(signal);
            assert_eq!(running.end(), (String::new(), Some(128 + number)), "{options:?} {name}");
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?} {name}");

            // it cleans up with the plaintext at hand
            let trap = format!("trap 'cat {{}}; exit 3' {name}; echo ready; while :; do sleep 0.01; done");
            let mut running = Running::start(&exec_file(&scratch, &[options, &["a.yaml", &trap]].concat()));
            assert_eq!(running.line(), "ready");
            running.send(signal);
            assert_eq!(running.end(), ("a: secret value\n".to_owned(), Some(3)), "{options:?} {name}");
            assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?} {name}");
        }
    }
}

#[test]
fn the_name_stays_in_the_directory() {
    let scratch = encrypted("a.yaml", PLAIN);
    for options in BOTH {
        let call = |name: &str| {
            let arguments = [options, &["--filename", name, "a.yaml", "basename {}; cat {}"]].concat();
            exec_file(&scratch, &arguments).outcome()
        };
        for name in ["my file.yaml", "./my file.yaml", "x/../my file.yaml", "my file.yaml/"] {
            let arguments = [options, &["--filename", name, "a.yaml", "basename '{}'; cat '{}'"]].concat();
            let outcome = exec_file(&scratch, &arguments).outcome();
            assert_eq!(silent(&outcome), b"my file.yaml\na: secret value\n", "{options:?} {name}");
        }
        for name in ["../x", "/x", "..", "x/../../y"] {
            refused(
                &call(name),
                1,
                &["The provided filename is not a local path.", "--filename config.yaml"],
            );
        }
        refused(&call("sub/x"), 1, &["sub/x: no such file or directory"]);
        refused(&call("."), 1, &["cannot make"]);
        assert!(silent(&call("")).starts_with(b"tmp-file"));
        assert_eq!(left(&scratch), Vec::<PathBuf>::new());
    }
}

#[test]
fn formats_are_those_that_are_asked_for() {
    let scratch = encrypted("a.yaml", b"a:\n  b: 1\n");
    let sealed = scratch.read("a.yaml").expect("there");
    scratch.write("sealed", &sealed);
    for (arguments, wanted) in [
        (&["a.yaml", "cat {}"][..], "a:\n    b: 1\n"),
        // nothing is as good as no option
        (&["--config", "", "--filename-override=", "a.yaml", "cat {}"], "a:\n    b: 1\n"),
        (&["--indent", "2", "a.yaml", "cat {}"], "a:\n  b: 1\n"),
        (&["--output-type", "json", "--indent=0", "a.yaml", "cat {}"], "{\n\"a\": {\n\"b\": 1\n}\n}\n"),
        (&["--filename-override", "x.yaml", "sealed", "cat {}"], "a:\n    b: 1\n"),
        (&["--input-type", "yaml", "--output-type", "yaml", "sealed", "cat {}"], "a:\n    b: 1\n"),
    ] {
        let outcome = exec_file(&scratch, arguments).outcome();
        assert_eq!(String::from_utf8_lossy(silent(&outcome)), wanted, "{arguments:?}");
    }
    let outcome = exec_file(&scratch, &["--output-type", "dotenv", "a.yaml", "echo done"]).outcome();
    refused(&outcome, 4, &["offending key a"]);
}

#[test]
fn mistakes_are_told() {
    let scratch = encrypted("a.yaml", PLAIN);
    for arguments in [&["a.yaml"][..], &["a.yaml", "cat", "{}"]] {
        refused(
            &exec_file(&scratch, arguments).outcome(),
            1,
            &["error: missing file to decrypt", "as one word"],
        );
    }
    refused(&exec_file(&scratch, &["nothing.yaml", "echo done"]).outcome(), 2, &["nothing.yaml"]);
    let outcome = exec_file(&scratch, &["a.yaml", "echo done"]).variable("TMPDIR", "<DIR>/nowhere").outcome();
    refused(&outcome, 1, &["nowhere: no such file or directory", "$TMPDIR"]);
}

#[test]
fn the_background_is_not_waited_for_and_finds_nothing() {
    let scratch = encrypted("a.yaml", PLAIN);
    let outcome = exec_file(&scratch, &["--background", "a.yaml", "sleep 1"]).outcome();
    assert!(outcome.succeeded() && outcome.stdout.is_empty());
    assert!(outcome.messages().contains("exec-file's --background option is deprecated"));
    assert_eq!(left(&scratch), Vec::<PathBuf>::new());
}

#[test]
fn the_directory_belongs_to_the_other_user() {
    let scratch = encrypted("a.yaml", PLAIN);
    if !rustix::process::geteuid().is_root() {
        assert!(setting("CI").is_none_or(|value| value != "true"), "--user is to be tried by root");
        return say("only root can try --user: that it works was not tested");
    }
    make_private(&scratch.root(), 0o777);
    for options in BOTH {
        let command = "stat -c '%U %a' $(dirname {}) {}; cat {}; id -un; echo $USER";
        let arguments = [options, &["--user", "nobody", "a.yaml", command]].concat();
        let outcome = exec_file(&scratch, &arguments).outcome();
        let wanted = "nobody 700\nnobody 600\na: secret value\nnobody\nnobody\n";
        assert_eq!(String::from_utf8_lossy(silent(&outcome)), wanted, "{options:?}");
        assert_eq!(left(&scratch), Vec::<PathBuf>::new(), "{options:?}");
    }
}

/// Two that open one pipe at the same moment would share its bytes.
#[test]
fn every_mention_of_the_file_can_be_read_at_once() {
    let scratch = encrypted("a.yaml", b"a: secret value\n");
    for _ in 0..10 {
        let outcome = exec_file(&scratch, &["a.yaml", "paste {} {} {}"]).outcome();
        assert_eq!(silent(&outcome), b"a: secret value\ta: secret value\ta: secret value\n");
    }
}
