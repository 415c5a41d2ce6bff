//! `edit`: what the editor sees, what becomes of the edits, and what is left behind: nothing in clear.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::keys::recipient;
use support::outcome::{Ending, Outcome};
use support::program::binary;
use support::pty::Pty;
use support::scratch::{Call, Scratch};

/// `a.yaml`, encrypted for alice, and an editor that says where its file is and then does what the script says.
fn with_editor(script: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("a.yaml", b"a: x\nb: p\n");
    scratch.call(["encrypt", "-i", "--age", &recipient("age-alice"), "a.yaml"]).stdout();
    scratch.write("editor.sh", format!("printf %s \"$1\" > where\n{script}\n").as_bytes());
    scratch
}

fn call<'a>(scratch: &'a Scratch, arguments: &[&str]) -> Call<'a> {
    scratch.call(arguments).keys(["age-alice"]).variable("EDITOR", "sh editor.sh")
}

fn edit(scratch: &Scratch) -> Outcome {
    call(scratch, &["edit", "a.yaml"]).outcome()
}

fn opened(scratch: &Scratch, name: &str) -> String {
    let text = scratch.call(["decrypt", name]).keys(["age-alice"]).stdout();
    String::from_utf8(text).expect("text")
}

/// The editor ran, and its directory is gone.
fn nothing_is_left(scratch: &Scratch) {
    let file = String::from_utf8(scratch.read("where").expect("the editor ran")).expect("a path");
    let directory = Path::new(&file).parent().expect("a directory").to_owned();
    assert!(!directory.exists(), "{} is still there", directory.display());
}

fn ended(outcome: &Outcome, status: i32, words: &[&str]) {
    let messages = outcome.messages();
    assert_eq!(outcome.ending, Ending::Exited(status), "{messages}");
    assert!(outcome.stdout.is_empty());
    for word in words {
        assert!(messages.contains(word), "{word:?} is missing in {messages:?}");
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn values_that_are_not_changed_keep_their_ciphertext() {
    let scratch = with_editor("sed -i s/p/z/ $1");
    let line = |scratch: &Scratch, number: usize| {
        let text = String::from_utf8(scratch.read("a.yaml").expect("there")).expect("text");
        text.lines().nth(number).expect("a line").to_owned()
    };
    let before = [line(&scratch, 0), line(&scratch, 1)];
    let outcome = edit(&scratch);
    ended(&outcome, 0, &[]);
    assert!(outcome.stderr.is_empty());
    assert_eq!(line(&scratch, 0), before[0]);
    assert_ne!(line(&scratch, 1), before[1]);
    assert_eq!(opened(&scratch, "a.yaml"), "a: x\nb: z\n");
    nothing_is_left(&scratch);
}

#[test]
fn the_editor_gets_a_private_file_of_the_same_name() {
    let scratch = with_editor("stat -c %a $(dirname $1) $1 > modes; cp $1 seen; exit 3");
    ended(&edit(&scratch), 201, &["Could not run editor: exit status 3"]);
    assert_eq!(scratch.read("modes").expect("written"), b"700\n600\n");
    assert_eq!(scratch.read("seen").expect("written"), b"a: x\nb: p\n");
    assert!(scratch.read("where").expect("written").ends_with(b"/a.yaml"));
    nothing_is_left(&scratch);
}

#[test]
fn a_file_that_somebody_else_changed_is_left_alone_and_the_edits_are_kept() {
    let scratch = with_editor("sed -i s/p/mine/ $1; echo theirs > a.yaml");
    let outcome = edit(&scratch);
    ended(&outcome, 1, &["changed by somebody else", "<DIR>/a.yaml.rsops-draft", "rsops decrypt"]);
    assert_eq!(scratch.read("a.yaml").expect("there"), b"theirs\n");
    assert_eq!(opened(&scratch, "a.yaml.rsops-draft"), "a: x\nb: mine\n");
    let draft = scratch.read("a.yaml.rsops-draft").expect("there");
    assert!(!String::from_utf8_lossy(&draft).contains("mine"), "it is encrypted");
    nothing_is_left(&scratch);
}

#[test]
fn edits_that_cannot_be_encrypted_are_kept_and_earlier_drafts_too() {
    let scratch = with_editor("echo '1: x' > $1");
    let before = scratch.read("a.yaml").expect("there");
    ended(&edit(&scratch), 23, &["non-string key", "<DIR>/a.yaml.rsops-draft"]);
    ended(&edit(&scratch), 23, &["<DIR>/a.yaml.rsops-draft-2"]);
    assert_eq!(opened(&scratch, "a.yaml.rsops-draft"), "1: x\n");
    assert_eq!(scratch.read("a.yaml").expect("there"), before);
    nothing_is_left(&scratch);
}

#[test]
fn what_an_editor_saved_before_it_crashed_is_kept() {
    let scratch = with_editor("echo 'a: saved' > $1; kill -9 $$");
    ended(&edit(&scratch), 201, &["Could not run editor: signal: killed", "<DIR>/a.yaml.rsops-draft"]);
    assert_eq!(opened(&scratch, "a.yaml.rsops-draft"), "a: saved\n");
    nothing_is_left(&scratch);
    let scratch = with_editor("echo 'a: saved' > $1; exit 1");
    ended(&edit(&scratch), 201, &["exit status 1"]);
    assert!(!scratch.exists("a.yaml.rsops-draft"), "it was given up on purpose");
}

#[test]
fn edits_are_kept_where_there_is_a_place() {
    let scratch = with_editor("echo 'c: d' > $1");
    let outcome = call(&scratch, &["edit", "--age", &recipient("age-alice"), "nowhere/c.yaml"]).outcome();
    ended(&outcome, 3, &["nowhere/c.yaml", "<DIR>/c.yaml.rsops-draft"]);
    assert_eq!(opened(&scratch, "c.yaml.rsops-draft"), "c: d\n");
    nothing_is_left(&scratch);
}

#[test]
fn what_cannot_be_read_is_edited_again_as_it_was_left() {
    let scratch =
        with_editor("if [ -e once ]; then sed -i 's/\\[/[]/' $1; else touch once; echo 'a: [' > $1; fi");
    let outcome = call(&scratch, &["edit", "a.yaml"]).stdin(b"\n").outcome();
    ended(&outcome, 0, &["level=error", "Could not load tree", "Press enter", "error="]);
    assert_eq!(opened(&scratch, "a.yaml"), "a: []\n");
    nothing_is_left(&scratch);
}

#[test]
fn without_anybody_to_ask_it_does_not_go_on_for_ever() {
    let scratch = with_editor("echo 'a: [' > $1");
    ended(&edit(&scratch), 2, &["standard input", "a.yaml.rsops-draft"]);
    assert_eq!(opened(&scratch, "a.yaml.rsops-draft"), "a: [\n");
    nothing_is_left(&scratch);
}

#[test]
fn metadata_can_be_edited_too() {
    let [alice, bob] = ["age-alice", "age-bob"].map(recipient);
    let script = format!(
        "sed -i -e 's/^b: p$/b: z/' -e s/{alice}/{bob}/ -e s/_unencrypted/b/ $1; grep -c enc: $1 > seen"
    );
    let scratch = with_editor(&script);
    let outcome = call(&scratch, &["edit", "-s", "a.yaml"]).outcome();
    ended(&outcome, 0, &[]);
    let text = String::from_utf8(scratch.read("a.yaml").expect("there")).expect("text");
    assert!(text.contains("\nb: z\n"), "the selector was changed: {text}");
    assert!(text.contains(&bob) && !text.contains(&alice));
    let plain = scratch.call(["decrypt", "a.yaml"]).keys(["age-bob"]).stdout();
    assert_eq!(plain, b"a: x\nb: z\n", "the data key was wrapped for the new key");
    nothing_is_left(&scratch);
}

#[test]
fn a_file_without_keys_is_edited_again() {
    let scratch = with_editor("sed -i /^sops:/,\\$d $1; echo 'sops: {mac: x}' >> $1");
    let outcome = call(&scratch, &["edit", "-s", "a.yaml"]).outcome();
    ended(&outcome, 2, &["No master keys were provided"]);
}

#[test]
fn a_program_of_the_current_directory_is_no_editor() {
    let scratch = with_editor("true");
    scratch.write("own.sh", b"touch ran");
    let path = format!(":{}", std::env::var("PATH").expect("a path"));
    let outcome = call(&scratch, &["edit", "a.yaml"]).variable("PATH", &path).variable("EDITOR", "own.sh");
    ended(&outcome.outcome(), 201, &["relative to current directory"]);
    assert!(!scratch.exists("ran"));
}

#[test]
fn a_misspelt_command_is_a_file_and_the_error_has_a_guess() {
    let scratch = with_editor("true");
    let outcome = call(&scratch, &["encript", "a.yaml"]).outcome();
    ended(&outcome, 1, &["no keys provided", "did you mean `rsops encrypt`?"]);
    ended(&call(&scratch, &["a.yaml"]).outcome(), 200, &["File has not changed, exiting."]);
}

/// Starts and waits until the editor runs.
fn started(scratch: &Scratch) -> Child {
    let mut command = call(scratch, &["edit", "a.yaml"]).command();
    // where these tests run at a terminal, it is not that of the program
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn();
    eventually("the editor does not start", || scratch.exists("ready"));
    child.expect("the program starts")
}

#[test]
fn signals_remove_what_is_in_clear() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scratch = with_editor("echo $$ > pid; touch ready; exec sleep 60");
        let child = started(&scratch);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let output = child.wait_with_output().expect("our own child");
        assert_eq!(output.status.code(), Some(1), "{signal:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "User canceled operation\n");
        let pid = String::from_utf8(scratch.read("pid").expect("written")).expect("a number");
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "the editor is gone too");
        nothing_is_left(&scratch);
    }
}

#[test]
fn ctrl_c_ends_an_editor_that_does_not_mind_it() {
    let scratch = with_editor("echo ready; exec sleep 60");
    let mut terminal = Pty::start(call(&scratch, &["edit", "a.yaml"]).command());
    terminal.expect("ready");
    terminal.press('c');
    let (screen, status) = terminal.end();
    assert!(screen.contains("User canceled operation"), "{screen}");
    assert_eq!(status, 1);
    nothing_is_left(&scratch);
}

#[test]
fn ctrl_c_is_left_to_an_editor_that_has_a_use_for_it() {
    let scratch =
        with_editor("trap 'echo searching no more' INT; echo ready; read a; read b; sed -i s/p/$b/ $1");
    let mut terminal = Pty::start(call(&scratch, &["edit", "a.yaml"]).command());
    terminal.expect("ready");
    terminal.press('c');
    terminal.expect("searching no more");
    terminal.type_line("one");
    terminal.type_line("two");
    assert_eq!(terminal.end().1, 0);
    let text = opened(&scratch, "a.yaml");
    assert!(text == "a: x\nb: two\n" || text == "a: x\nb: one\n", "{text}");
    nothing_is_left(&scratch);
}

#[test]
fn ctrl_c_ends_the_question_whether_to_edit_again() {
    let scratch = with_editor("echo 'a: [' > $1");
    let mut terminal = Pty::start(call(&scratch, &["edit", "a.yaml"]).command());
    terminal.expect("Press enter");
    terminal.press('c');
    let (screen, status) = terminal.end();
    assert!(screen.contains("User canceled operation"), "{screen}");
    assert_eq!(status, 1);
    nothing_is_left(&scratch);
}

#[test]
fn ctrl_z_and_fg_work_under_a_shell() {
    let scratch = with_editor("echo ready; read line; sed -i s/p/$line/ $1");
    let program = call(&scratch, &["edit", "a.yaml"]).command();
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting", "-i"]).env_clear().env("PS1", "> ");
    let variables = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(variables).current_dir(scratch.folder());
    let mut terminal = Pty::start(shell);
    terminal.type_line(&format!("{} edit a.yaml", binary().display()));
    terminal.expect("ready");
    terminal.press('z');
    terminal.expect("Stopped");
    terminal.type_line("fg");
    terminal.expect("edit a.yaml");
    terminal.type_line("again");
    terminal.type_line("echo status $?");
    terminal.expect("status 0");
    terminal.type_line("exit");
    assert_eq!(terminal.end().1, 0);
    assert_eq!(opened(&scratch, "a.yaml"), "a: x\nb: again\n");
    nothing_is_left(&scratch);
}

#[test]
fn the_size_of_the_window_reaches_the_editor() {
    let script = "trap 'stty size > size; exit 0' WINCH; echo ready; while true; do sleep 0.05; done";
    let scratch = with_editor(script);
    let mut terminal = Pty::start(call(&scratch, &["edit", "a.yaml"]).command());
    terminal.expect("ready");
    terminal.resize(101, 41);
    assert_eq!(terminal.end().1, 200);
    assert_eq!(scratch.read("size").expect("written"), b"41 101\n");
    nothing_is_left(&scratch);
}

#[test]
fn the_file_lies_in_memory_where_there_is_such_a_place() {
    let shm = PathBuf::from("/dev/shm");
    let scratch = with_editor("true");
    ended(&edit(&scratch), 200, &[]);
    let file = String::from_utf8(scratch.read("where").expect("written")).expect("a path");
    let in_memory = fs::metadata(&shm).is_ok_and(|shm| shm.is_dir());
    assert!(!in_memory || file.starts_with("/dev/shm/"), "{file}");
}

/// Ctrl-C may have stopped a search long before.
#[test]
fn what_an_editor_saved_before_it_crashed_is_kept_after_ctrl_c_too() {
    let scratch =
        with_editor("trap '' INT; echo 'a: saved' > $1; echo ready; read line; sleep 0.5; kill -9 $$");
    let mut terminal = Pty::start(call(&scratch, &["edit", "a.yaml"]).command());
    terminal.expect("ready");
    terminal.press('c');
    terminal.type_line("");
    let (screen, status) = terminal.end();
    assert_eq!(status, 201, "{screen}");
    assert_eq!(opened(&scratch, "a.yaml.rsops-draft"), "a: saved\n");
    nothing_is_left(&scratch);
}
