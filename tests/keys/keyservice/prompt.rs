//! `--prompt`: a person decides about every request, before anything is done with a key.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::keys::recipient;
use crate::support::outcome::refused;
use crate::support::pty::Pty;
use crate::support::scratch::Scratch;

use super::{with_a_file, with_services};

/// A server with a terminal, which listens at `service.sock`.
fn with_a_person(scratch: &Scratch, keys: &[&str]) -> (Pty, String) {
    let arguments = ["keyservice", "--prompt", "--verbose", "--network", "unix", "--address", "service.sock"];
    let mut terminal = Pty::start(scratch.call(arguments).keys(keys).variable("TERM", "dumb").command());
    terminal.expect("Listening on unix://service.sock");
    (terminal, format!("unix://{}", scratch.folder().join("service.sock").display()))
}

fn question(step: &str) -> String {
    format!(
        "Received {step} request using age key with recipient {}. Respond to request? (y/n): ",
        recipient("age-alice")
    )
}

/// A client that waits: its status, its output and its messages.
fn client(scratch: &Scratch, url: &str, arguments: &[&str]) -> JoinHandle<(bool, Vec<u8>, String)> {
    let mut command = with_services(scratch, &[url], arguments).command();
    thread::spawn(move || {
        let output = command.output().expect("our own program");
        (output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    })
}

#[test]
fn a_request_is_served_if_the_person_says_so() {
    let scratch = with_a_file();
    let (mut terminal, url) = with_a_person(&scratch, &["age-alice"]);
    let waiting = client(&scratch, &url, &["decrypt", "a.yaml"]);
    let before = terminal.expect(&question("decrypt"));
    assert!(!before.contains("Decryption"), "nothing is done before the answer: {before}");
    assert!(
        before.ends_with("\r\n\r\n") || before.ends_with("\n\n"),
        "an empty line is in front: {before:?}"
    );
    terminal.type_line("perhaps");
    terminal.expect(&question("decrypt"));
    terminal.type_line("y");
    terminal.expect("Decryption succeeded");
    assert_eq!(waiting.join().expect("a client"), (true, b"a: 1\n".to_vec(), String::new()));

    let waiting = client(&scratch, &url, &["encrypt", "--age", &recipient("age-alice"), "plain.yaml"]);
    terminal.expect(&question("encrypt"));
    terminal.type_line("n");
    let (succeeded, stdout, messages) = waiting.join().expect("a client");
    assert!(!succeeded && stdout.is_empty());
    assert!(
        messages.contains("rpc error: code = PermissionDenied desc = Request rejected by user"),
        "{messages}"
    );

    terminal.press('c');
    let (screen, status) = terminal.end();
    assert_eq!(status, 0, "{screen}");
    assert!(!screen.contains("Encryption"), "what is rejected is not done: {screen}");
    assert!(!scratch.exists("service.sock"));
}

#[test]
fn answers_that_are_none_fail_that_request() {
    let scratch = with_a_file();
    let (mut terminal, url) = with_a_person(&scratch, &["age-alice"]);
    for (typed, reason) in [("", "unexpected newline"), ("y y", "expected newline")] {
        let waiting = client(&scratch, &url, &["decrypt", "a.yaml"]);
        terminal.expect(&question("decrypt"));
        terminal.type_line(typed);
        let (succeeded, _, messages) = waiting.join().expect("a client");
        assert!(!succeeded && messages.contains(&format!("code = Unknown desc = {reason}")), "{messages}");
    }
    let waiting = client(&scratch, &url, &["decrypt", "a.yaml"]);
    terminal.expect(&question("decrypt"));
    terminal.press('d');
    assert!(waiting.join().expect("a client").2.contains("code = Unknown desc = EOF"));
}

/// The reference asks only about those that succeed.
#[test]
fn a_request_that_cannot_be_served_is_asked_about_too() {
    let scratch = with_a_file();
    let (mut terminal, url) = with_a_person(&scratch, &["age-bob"]);
    let waiting = client(&scratch, &url, &["decrypt", "a.yaml"]);
    terminal.expect(&question("decrypt"));
    terminal.type_line("y");
    terminal.expect("Decryption failed");
    let (succeeded, _, messages) = waiting.join().expect("a client");
    assert!(!succeeded && messages.contains("rpc error: code = Unknown"), "{messages}");
}

#[test]
fn one_question_is_asked_at_a_time() {
    let scratch = with_a_file();
    let (mut terminal, url) = with_a_person(&scratch, &["age-alice"]);
    let clients = [(); 3].map(|()| client(&scratch, &url, &["decrypt", "a.yaml"]));
    for _ in &clients {
        terminal.expect(&question("decrypt"));
        // the others have come by now, and keep quiet
        thread::sleep(Duration::from_millis(300));
        let rest = terminal.rest();
        assert!(!rest.contains("Received"), "{rest}");
        terminal.type_line("y");
    }
    for client in clients {
        assert!(client.join().expect("a client").0);
    }
}

#[test]
fn without_an_answer_in_sight_nothing_is_served() {
    let scratch = with_a_file();
    let call = scratch.call(["keyservice", "--prompt", "--network", "unix", "--address", "service.sock"]);
    let mut command = call.keys(["age-alice"]).command();
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let mut server = command.spawn().expect("our own program");
    while !scratch.exists("service.sock") {
        thread::sleep(Duration::from_millis(2));
    }
    let url = format!("unix://{}", scratch.folder().join("service.sock").display());
    let outcome = with_services(&scratch, &[&url], &["decrypt", "a.yaml"]).outcome();
    server.kill().expect("our child");
    server.wait().expect("our child");
    refused(&outcome, 128, &["code = Unknown desc = EOF"]);
}
