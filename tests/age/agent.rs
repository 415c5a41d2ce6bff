//! A stand-in for gpg-agent.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};

use rsops::keys::age::IdentitySources;
use rsops::keys::{Agent, Prompt, Silent};

use super::{Arc, Path, Person, WRAPPED, fixture, hex, read, sources, unwrap_by};

const CACHE_KEY: &str = "SopsAgeVV5LJI3BHTTGUMLJBDIXMKJDOXWJSOAVYGTFHLLN";

/// Answers every command with OK, but `GET_PASSPHRASE` with this.
fn start(socket: &Path, greeting: &'static str, answer: String) -> Receiver<String> {
    let listener = UnixListener::bind(socket).unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            writeln!(stream, "{greeting}").unwrap();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let line = line.unwrap();
                let reply = if line.starts_with("GET_PASSPHRASE") { answer.as_str() } else { "OK" };
                writeln!(stream, "{reply}").unwrap();
                sender.send(line).unwrap();
            }
        }
    });
    receiver
}

fn run(
    greeting: &'static str,
    answer: &str,
    person: Arc<dyn Prompt>,
) -> (Result<String, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("S.gpg-agent");
    let commands = start(&socket, greeting, answer.to_owned());
    let agent = Agent {
        socket,
        display: Some(":0".to_owned()),
        tty_name: Some("/dev/pts/7".to_owned()),
        tty_type: "xterm".to_owned(),
    };
    let key_file = Some(fixture("age/a3-identity.age").into());
    let sources = IdentitySources { key_file, agent: Some(agent), ..sources() };
    let result = unwrap_by(sources, person, &read("age/a3-enc.txt"));
    std::thread::sleep(std::time::Duration::from_millis(50));
    (result, commands.try_iter().collect())
}

fn dialogue() -> Vec<String> {
    let description = "Enter+passphrase+for+identity+%27SOPS_AGE_KEY_FILE%27%3A";
    vec![
        "OPTION display=:0".to_owned(),
        "OPTION ttyname=/dev/pts/7".to_owned(),
        "OPTION ttytype=xterm".to_owned(),
        format!("GET_PASSPHRASE {CACHE_KEY} X Passphrase {description}"),
    ]
}

#[test]
fn it_is_asked_before_the_person() {
    let answer = format!("OK {}", hex(b"sesame street"));
    let (result, commands) = run("OK ready", &answer, Arc::new(Silent));
    assert_eq!((result, commands), (Ok(WRAPPED[2].1.to_owned()), dialogue()));
}

#[test]
fn a_wrong_pass_phrase_is_forgotten() {
    for (answer, cause) in [
        ("OK 6e6f", "incorrect passphrase"),
        ("OK", "failed to decrypt identity file: passphrase can't be empty"),
    ] {
        let (result, commands) = run("OK", answer, Arc::new(Silent));
        assert!(result.unwrap_err().contains(&format!("with age: {cause}. ")));
        let mut expected = dialogue();
        expected.push(format!("CLEAR_PASSPHRASE {CACHE_KEY}"));
        assert_eq!(commands, expected);
    }
}

#[test]
fn its_failures_are_final() {
    for (answer, reason) in [
        ("ERR 83886179 Operation cancelled <Pinentry>", "gpgagent: Cancel"),
        ("ERR 67108922 No data <GPG Agent>", "GPG_ERR_NO_DATA cache miss"),
        ("ERR 1 what", "ERR 1 what\n"),
    ] {
        let person = Person::with("sesame street");
        let (result, _) = run("OK", answer, person.clone());
        let expected = format!(
            "with age: failed to decrypt identity file: could not read passphrase: gpg-agent passphrase \
             request errored: {reason}. "
        );
        let message = result.unwrap_err();
        assert!(message.contains(&expected), "{message}");
        assert!(person.heard().is_empty());
    }
}

#[test]
fn without_it_the_person_is_asked() {
    let person = Person::with("sesame street");
    let (result, commands) = run("ERR busy", "", person.clone());
    assert!(result.is_ok());
    assert!(commands.is_empty());
    assert_eq!(person.heard().len(), 1);
}
