//! What a person sees and types: questions, pass phrases, interruptions, on a real pseudo-terminal. Editing has its own
//! in `edit.rs`.
#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::keys::recipient;
use support::program::binary;
use support::pty::Pty;
use support::scratch::{Call, Scratch};

const QUESTION: &str = "Enter passphrase for identity";

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/age").join(name);
    path.to_str().expect("our own folder").to_owned()
}

/// A file for a recipient whose identity has the pass phrase `sesame street`.
fn behind_a_pass_phrase() -> Scratch {
    let scratch = Scratch::new();
    let own = fs::read_to_string(fixture("a3-recipient.txt")).expect("a fixture");
    scratch.write("a.yaml", b"a: the value\n");
    scratch.call(["encrypt", "-i", "--age", own.trim(), "a.yaml"]).stdout();
    scratch
}

fn with_pass_phrase<'a>(scratch: &'a Scratch, arguments: &[&str]) -> Call<'a> {
    scratch.call(arguments).variable("SOPS_AGE_KEY_FILE", &fixture("a3-identity.age"))
}

/// An interactive shell with the surroundings of this call.
fn shell(call: Call<'_>) -> Pty {
    let program = call.command();
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting", "-i"]).env_clear().env("PS1", "> ");
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(program.get_current_dir().expect("the scratch folder"));
    Pty::start(shell)
}

#[test]
fn a_pass_phrase_is_asked_for_and_not_shown() {
    let scratch = behind_a_pass_phrase();
    let mut terminal = Pty::start(with_pass_phrase(&scratch, &["decrypt", "a.yaml"]).command());
    terminal.expect(QUESTION);
    terminal.type_line("sesame street");
    let (screen, status) = terminal.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("a: the value"), "{screen}");
    assert!(!screen.contains("sesame"), "{screen}");
}

#[test]
fn a_pass_phrase_is_asked_for_at_the_terminal_when_input_and_output_are_pipes() {
    let scratch = behind_a_pass_phrase();
    let mut terminal = shell(with_pass_phrase(&scratch, &["decrypt"]));
    let program = binary().display().to_string();
    terminal.type_line(&format!(
        "cat a.yaml | {program} decrypt --input-type yaml --output-type yaml | cat > clear"
    ));
    terminal.expect(QUESTION);
    terminal.type_line("sesame street");
    terminal.type_line("echo ended with ${PIPESTATUS[1]}");
    terminal.expect("ended with 0");
    terminal.type_line("exit");
    terminal.end();
    assert_eq!(scratch.text("clear"), "a: the value\n");
}

#[test]
fn a_wrong_pass_phrase_is_told_as_such() {
    let scratch = behind_a_pass_phrase();
    let mut terminal = Pty::start(with_pass_phrase(&scratch, &["decrypt", "a.yaml"]).command());
    terminal.expect(QUESTION);
    terminal.type_line("open sesame");
    let (screen, status) = terminal.end();
    assert_eq!(status, 128, "{screen}");
    assert!(screen.contains("incorrect passphrase"), "{screen}");
}

/// Whoever interrupts the question for a pass phrase must be able to see again what is typed.
#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() {
    let scratch = behind_a_pass_phrase();
    let mut terminal = shell(with_pass_phrase(&scratch, &["decrypt"]));
    terminal.type_line(&format!("stty echo; {} decrypt a.yaml", binary().display()));
    terminal.expect(QUESTION);
    terminal.press('c');
    terminal.type_line("echo ended with $?");
    terminal.expect("ended with 130");
    // a shell with a line editor mends the terminal itself; this one does not
    terminal.type_line("stty -a | grep -qw -- -echo && echo echo is 'off' || echo echo is 'on'");
    terminal.expect("echo is on");
    terminal.type_line("exit");
    terminal.end();
}

/// A signal from elsewhere too.
#[test]
fn a_question_that_is_ended_from_elsewhere_leaves_the_terminal_as_it_was() {
    let scratch = behind_a_pass_phrase();
    let mut terminal = shell(with_pass_phrase(&scratch, &["decrypt"]));
    let program = binary().display().to_string();
    terminal.type_line(&format!(
        "stty echo; (sleep 0.5; pkill -TERM -f '{program} decrypt on[e].yaml') & cp a.yaml one.yaml"
    ));
    terminal.type_line(&format!("{program} decrypt one.yaml"));
    terminal.expect(QUESTION);
    terminal.expect("Terminated");
    terminal.type_line("stty -a | grep -qw -- -echo && echo echo is 'off' || echo echo is 'on'");
    terminal.expect("echo is on");
    terminal.type_line("exit");
    terminal.end();
}

fn with_a_new_rule() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: x\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    let rule = format!("creation_rules:\n    - age: {},{}\n", recipient("age-alice"), recipient("age-bob"));
    scratch.write(".sops.yaml", rule.as_bytes());
    scratch
}

#[test]
fn updatekeys_asks_and_shows_the_changes_in_colours() {
    let scratch = with_a_new_rule();
    let before = scratch.text("a.yaml");
    let call =
        || scratch.call(["updatekeys", "a.yaml"]).keys(["age-alice"]).variable("TERM", "xterm").command();

    let mut refused = Pty::start(call());
    let diff = refused.expect("Is this okay? (y/n):");
    assert!(diff.contains(&format!("\u{1b}[32m+++ {}", recipient("age-bob"))), "{diff:?}");
    refused.type_line("perhaps");
    refused.expect("Is this okay? (y/n):");
    refused.type_line("n");
    let (screen, status) = refused.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("left unchanged"), "{screen}");
    assert_eq!(scratch.text("a.yaml"), before);

    let mut interrupted = Pty::start(call());
    interrupted.expect("Is this okay? (y/n):");
    interrupted.press('c');
    interrupted.end_by_signal();
    assert_eq!(scratch.text("a.yaml"), before);

    let mut accepted = Pty::start(call());
    accepted.expect("Is this okay? (y/n):");
    accepted.type_line("y");
    let (screen, status) = accepted.end();
    assert_eq!(status, 0, "{screen}");
    assert!(screen.contains("synced with new keys"), "{screen}");
    assert_eq!(scratch.call(["decrypt", "a.yaml"]).keys(["age-bob"]).stdout(), b"a: x\n");
}

#[test]
fn log_lines_have_the_layout_for_terminals() {
    let scratch = with_a_new_rule();
    let call = || scratch.call(["decrypt", "a.yaml", "b.yaml"]).keys(["age-alice"]).variable("TERM", "xterm");
    let (screen, status) = Pty::start(call().command()).end();
    assert_eq!(status, 0, "{screen}");
    let line = "\u{1b}[1m[CMD]\u{1b}[22m\t \u{1b}[33mWARN\u{1b}[0m[0000] More than one positional argument provided.";
    assert!(screen.starts_with(line), "{screen:?}");
    for (name, value) in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
        let (screen, _) = Pty::start(call().variable(name, value).command()).end();
        assert!(screen.starts_with("[CMD]\t "), "{name}={value}: {screen:?}");
    }
}

#[test]
fn ctrl_c_reaches_the_command_once_and_its_status_counts() {
    let scratch = with_a_new_rule();
    let command = "trap 'echo interrupted; n=$((n+1))' INT; echo ready; sleep 0.3 & wait; wait; sleep 0.2; exit $((40 + n))";
    for words in [["exec-env", "a.yaml", command], ["exec-file", "a.yaml", command]] {
        let mut terminal = Pty::start(scratch.call(words).keys(["age-alice"]).command());
        terminal.expect("ready");
        terminal.press('c');
        let (screen, status) = terminal.end();
        assert_eq!(status, 41, "{screen}");
    }
}

/// Only the terminal tells the command too.
#[test]
fn an_interruption_that_somebody_sends_reaches_the_command() {
    let scratch = with_a_new_rule();
    let command = "trap 'exit 42' INT; kill -INT $PPID; sleep 10 & wait; exit 1";
    let terminal = Pty::start(scratch.call(["exec-env", "a.yaml", command]).keys(["age-alice"]).command());
    let (screen, status) = terminal.end();
    assert_eq!(status, 42, "{screen}");
}
