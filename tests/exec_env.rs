//! `rsops exec-env`: a command with the values of a file as variables.
#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use support::keys::{make_private, recipient};
use support::outcome::{Outcome, fails_with, refused};
use support::program::setting;
use support::report::say;
use support::running::{Running, SIGNALS};
use support::scratch::{Call, Scratch};

/// A scratch folder with an encrypted `a.yaml`.
fn encrypted(text: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", text.as_bytes());
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch
}

fn exec_env<'a>(scratch: &'a Scratch, arguments: &[&str]) -> Call<'a> {
    scratch.call([&["exec-env"], arguments].concat()).keys(["age-alice"])
}

fn silent(outcome: &Outcome) -> &[u8] {
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}: {}", outcome.ending, outcome.messages());
    &outcome.stdout
}

#[test]
fn flags_stand_anywhere_and_the_file_comes_first() {
    let scratch = encrypted("A: secret value\n");
    for arguments in [
        &["a.yaml", "printenv A; printenv OUTER"][..],
        &["--pristine=false", "a.yaml", "printenv A; printenv OUTER"],
        &["a.yaml", "--same-process", "printenv A; printenv OUTER"],
        &["a.yaml", "printenv A; printenv OUTER", "--decryption-order", "age,pgp"],
        &["a.yaml", "--", "printenv A; printenv OUTER"],
    ] {
        let outcome = exec_env(&scratch, arguments).variable("OUTER", "x").outcome();
        assert_eq!(silent(&outcome), b"secret value\nx\n", "{arguments:?}");
    }
}

#[test]
fn a_file_and_a_command_are_wanted() {
    let scratch = encrypted("A: 1\n");
    for arguments in [&[][..], &["a.yaml"], &["a.yaml", "echo", "done"]] {
        refused(
            &exec_env(&scratch, arguments).outcome(),
            1,
            &["error: missing file to decrypt", "as one word"],
        );
    }
    refused(&exec_env(&scratch, &["nothing.yaml", "echo done"]).outcome(), 2, &["nothing.yaml"]);
    refused(
        &exec_env(&scratch, &["a.yaml", "echo done", "--background", "--same-process"]).outcome(),
        8,
        &["--same-process", "--background"],
    );
}

#[test]
fn the_command_does_not_run_without_a_sound_file() {
    let scratch = encrypted("A: secret value\nB_unencrypted: one\n");
    refused(
        &scratch.call(["exec-env", "a.yaml", "echo done"]).outcome(),
        128,
        &["Failed to get the data key"],
    );
    let text = scratch.text("a.yaml").replace("one", "two");
    scratch.write("a.yaml", text.as_bytes());
    refused(&exec_env(&scratch, &["a.yaml", "echo done"]).outcome(), 51, &["MAC mismatch"]);
    scratch.write("plain.yaml", b"A: secret value\n");
    refused(&exec_env(&scratch, &["plain.yaml", "echo done"]).outcome(), 1, &["sops metadata not found"]);
}

#[test]
fn what_is_no_variable_is_named_and_not_shown() {
    for (text, words) in [
        ("deep: {a: secret}\n", "offending key deep"),
        ("list: [secret]\n", "offending key list"),
        ("\"a=b\": secret\n", "keys with '=' in environment: a=b"),
        ("zero: \"secret\\0\"\n", "zero byte in environment; offending key zero"),
    ] {
        let outcome = exec_env(&encrypted(text), &["a.yaml", "echo done"]).outcome();
        refused(&outcome, 1, &[words]);
        assert!(!outcome.messages().contains("secret"), "{}", outcome.messages());
    }
}

#[test]
fn too_much_for_the_system_is_explained() {
    let text = format!("A: {}\n", "x".repeat(3 << 20));
    refused(&exec_env(&encrypted(&text), &["a.yaml", "true"]).outcome(), 1, &["too long", "rsops exec-file"]);
}

#[test]
fn standard_input_and_output_are_those_of_the_command() {
    let scratch = encrypted("A: 1\n");
    let much = vec![b'x'; 3 << 20];
    for arguments in [&["a.yaml", "cat"][..], &["--same-process", "a.yaml", "cat"]] {
        let outcome = exec_env(&scratch, arguments).stdin(&much).outcome();
        assert!(silent(&outcome) == much, "{} bytes came back", outcome.stdout.len());
    }
}

#[test]
fn pristine_leaves_the_values_alone() {
    let scratch = encrypted("A: secret value\n");
    let outcome =
        exec_env(&scratch, &["--pristine", "a.yaml", "/usr/bin/env"]).variable("OUTER", "x").outcome();
    let text = String::from_utf8_lossy(silent(&outcome));
    // the shell adds some of its own
    let names: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"A"), "{names:?}");
    for name in ["OUTER", "HOME", "SOPS_AGE_KEY"] {
        assert!(!names.contains(&name), "{names:?}");
    }
}

#[test]
fn the_status_is_that_of_the_command() {
    let scratch = encrypted("A: 1\n");
    let fails = |command: &str, status: i32, words: &[&str]| {
        fails_with(&exec_env(&scratch, &["a.yaml", command]).outcome(), status, words);
    };
    fails("exit 7", 7, &["exit status 7"]);
    fails("exit 255", 255, &["exit status 255"]);
    fails("kill -KILL $$", 137, &["signal: killed"]);
    fails("kill -TERM $$", 143, &["signal: terminated"]);
    fails("nonexistent-command", 127, &["exit status 127"]);
    let same = exec_env(&scratch, &["--same-process", "a.yaml", "exit 7"]).outcome();
    fails_with(&same, 7, &[]);
    assert!(same.stderr.is_empty(), "{}", same.messages());
}

#[test]
fn signals_reach_the_command_and_its_status_comes_back() {
    let scratch = encrypted("A: 1\n");
    for (name, signal, number) in SIGNALS {
        let obedient = exec_env(&scratch, &["a.yaml", "echo ready; exec sleep 60"]);
        let mut running = Running::start(&obedient);
        assert_eq!(running.line(), "ready");
        running.send(signal);
        assert_eq!(running.end(), (String::new(), Some(128 + number)), "{name}");

        let stubborn = format!("trap 'echo caught; exit 3' {name}; echo ready; while :; do sleep 0.01; done");
        let mut running = Running::start(&exec_env(&scratch, &["a.yaml", &stubborn]));
        assert_eq!(running.line(), "ready");
        running.send(signal);
        assert_eq!(running.end(), ("caught\n".to_owned(), Some(3)), "{name}");
    }
}

/// `nohup`, and `&` in scripts.
#[cfg(target_os = "linux")]
#[test]
fn ignored_signals_stay_ignored() {
    let scratch = encrypted("A: 1\n");
    let rsops = support::program::binary();
    let script = format!(
        "trap '' HUP; exec '{}' exec-env a.yaml 'kill -HUP $$; kill -HUP $PPID; sleep 0.1; echo alive'",
        rsops.display()
    );
    let outcome = scratch.call_other("/bin/sh", ["-c", &script]).keys(["age-alice"]).outcome();
    assert_eq!(silent(&outcome), b"alive\n");
}

#[test]
fn the_same_process_is_the_same_process() {
    let scratch = encrypted("A: 1\n");
    let mut running = Running::start(&exec_env(&scratch, &["--same-process", "a.yaml", "echo $$"]));
    assert_eq!(running.line(), running.id().to_string());
    assert_eq!(running.end().1, Some(0));
}

#[test]
fn the_background_is_not_waited_for() {
    let scratch = encrypted("A: secret value\n");
    let command = "while [ ! -e go ]; do sleep 0.01; done; echo lost; printenv A > out.tmp; mv out.tmp out";
    let outcome = exec_env(&scratch, &["--background", "a.yaml", command]).outcome();
    assert!(outcome.succeeded() && outcome.stdout.is_empty());
    assert!(outcome.messages().contains("exec-env's --background option is deprecated"));
    scratch.write("go", b"");
    let started = Instant::now();
    while !scratch.exists("out") {
        assert!(started.elapsed() < Duration::from_secs(60), "the command does not run");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(scratch.text("out"), "secret value\n");
}

#[test]
fn other_users_have_their_own_groups_and_home() {
    let scratch = encrypted("A: secret value\n");
    refused(
        &exec_env(&scratch, &["--user", "no such user", "a.yaml", "true"]).outcome(),
        1,
        &["no such user"],
    );
    let command = "id -un; id -G; echo $HOME $USER $LOGNAME $A";
    if !rustix::process::geteuid().is_root() {
        let outcome = exec_env(&scratch, &["--user", "root", "a.yaml", command]).outcome();
        refused(&outcome, 1, &["operation not permitted", "only root"]);
        assert!(setting("CI").is_none_or(|value| value != "true"), "--user is to be tried by root");
        return say("only root can try --user: that it works was not tested");
    }
    make_private(&scratch.root(), 0o755);
    let known = |arguments: &[&str]| {
        let text = scratch.call_other("/usr/bin/env", [&["id"], arguments].concat()).stdout();
        String::from_utf8(text).expect("text")
    };
    let want = format!("nobody\n{}", known(&["-G", "nobody"]));
    for arguments in [&["--user", "nobody"][..], &["--same-process", "--user=nobody"]] {
        let outcome = exec_env(&scratch, &[arguments, &["a.yaml", command]].concat()).outcome();
        let text = String::from_utf8_lossy(silent(&outcome));
        assert!(text.starts_with(&want), "{text:?} does not start with {want:?}");
        assert!(text.ends_with(" nobody nobody secret value\n") && !text.contains("root"), "{text:?}");
    }
}

#[test]
fn the_command_has_the_limit_for_core_dumps_of_whoever_calls() {
    let scratch = encrypted("A: 1\n");
    for more in [&[][..], &["--same-process"]] {
        let call = exec_env(&scratch, &[&["a.yaml", "ulimit -c"], more].concat()).command();
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", "ulimit -S -c 7 && exec \"$@\"", "sh"])
            .arg(call.get_program())
            .args(call.get_args());
        shell.env_clear().envs(call.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.current_dir(scratch.folder()).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "7\n", "{more:?}");
    }
}
