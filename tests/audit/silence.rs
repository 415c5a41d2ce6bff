//! Connections that die without a word: the network is gone, a firewall has forgotten them. What cannot be recorded then
//! is not done, and it is not waited for long.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Desk;
use crate::support::keys::recipient;
use crate::support::outcome::{fails_with, refused};

/// Stands between the program and the database. Once `dark` is in the folder, it swallows all bytes and keeps every
/// connection open: of those that were there by then, or with `all` in that file, of new ones too.
struct Relay {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Relay {
    fn start(target: u16, switch: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                count.fetch_add(1, Ordering::Relaxed);
                let server = TcpStream::connect(("127.0.0.1", target)).expect("the database");
                let words = std::fs::read_to_string(&switch).ok();
                // one that comes when the old ones are dark already works, unless all are
                let switch = words.is_none_or(|words| words.contains("all")).then(|| switch.clone());
                pass_on(
                    client.try_clone().expect("a socket"),
                    server.try_clone().expect("a socket"),
                    &switch,
                );
                pass_on(server, client, &switch);
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, switch: &Option<PathBuf>) {
    let switch = switch.clone();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if switch.as_ref().is_some_and(|switch| switch.exists()) {
                // not a word more, and no end either
                continue;
            }
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
    });
}

/// A desk whose only way to the database is a relay.
fn behind_a_relay() -> Option<(Desk, Relay)> {
    let desk = Desk::new()?;
    let relay = Relay::start(desk.server.port, desk.scratch.folder().join("dark"));
    let there = format!(":{}/", desk.server.port);
    let string =
        desk.url("sops", "?sslmode=disable&connect_timeout=2").replace(&there, &format!(":{}/", relay.port));
    desk.configure(&[&string.replace("localhost", "127.0.0.1")]);
    Some((desk, relay))
}

/// A program that gives the key of alice when the connection has been idle and silent for a while.
fn slow_key(desk: &Desk, dark: &str) {
    let key = std::fs::read_to_string(crate::support::keys::fixture("keys/age-alice.txt")).expect("a key");
    desk.scratch.write("key.txt", key.as_bytes());
    desk.scratch.write("key.sh", format!("#!/bin/sh\necho {dark} > dark\nsleep 2\ncat key.txt\n").as_bytes());
}

/// Generous: the record alone was waited for half a minute once.
const SOON: Duration = Duration::from_secs(25);

/// The record went into a dead connection, and after 30 seconds the command failed without a new attempt.
#[test]
fn a_connection_that_has_died_is_noticed_before_anything_is_decrypted() {
    let Some((desk, relay)) = behind_a_relay() else { return };
    slow_key(&desk, "all");
    let command = desk.scratch.folder().join("key.sh").display().to_string();
    let started = Instant::now();
    let outcome = desk.without_key(&["decrypt", "a.yaml"]).variable("SOPS_AGE_KEY_CMD", &command).outcome();
    let words = [
        "[AUDIT]\t ",
        "Failed to insert audit record: the connection was lost, and there is no new one: no answer within 2s",
        "hint: check the network",
    ];
    refused(&outcome, 1, &words);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!((relay.connections(), desk.events()), (2, Vec::<String>::new()));
}

#[test]
fn if_the_database_is_there_again_the_record_is_written() {
    let Some((desk, relay)) = behind_a_relay() else { return };
    slow_key(&desk, "old");
    let command = desk.scratch.folder().join("key.sh").display().to_string();
    let started = Instant::now();
    let outcome = desk.without_key(&["decrypt", "a.yaml"]).variable("SOPS_AGE_KEY_CMD", &command).outcome();
    assert!(
        outcome.succeeded() && outcome.stdout.starts_with(b"a: x\n"),
        "{} {:?} {}",
        outcome.ending,
        outcome.stdout,
        outcome.messages()
    );
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!((relay.connections(), desk.events()), (2, vec!["decrypt <DIR>/a.yaml".to_owned()]));
}

#[test]
fn edits_are_kept_if_the_connection_dies_meanwhile() {
    let Some((desk, _relay)) = behind_a_relay() else { return };
    desk.scratch.write("edit.sh", b"#!/bin/sh\necho all > dark\nsleep 2\necho 'a: changed' > \"$1\"\n");
    let before = desk.scratch.read("a.yaml");
    let editor = desk.scratch.folder().join("edit.sh").display().to_string();
    let started = Instant::now();
    let outcome = desk.call(&["edit", "a.yaml"]).variable("EDITOR", &editor).outcome();
    fails_with(&outcome, 1, &["the connection was lost", "the edits are kept in <DIR>/a.yaml.rsops-draft"]);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!(
        (desk.events(), desk.scratch.read("a.yaml")),
        (vec!["decrypt <DIR>/a.yaml".to_owned()], before)
    );
}

/// A connection that was just used is not asked whether it lives: a run over many files would ask all the time.
#[test]
fn a_connection_in_use_is_kept() {
    let Some((desk, relay)) = behind_a_relay() else { return };
    let names: Vec<String> = (0..20).map(|number| format!("many/{number:02}.yaml")).collect();
    names.iter().for_each(|name| desk.scratch.write(name, b"a: x\n"));
    let alice = recipient("age-alice");
    let encrypt = ["encrypt", "-i", "--age", &alice].into_iter().chain(names.iter().map(String::as_str));
    let outcome = desk.call(&encrypt.collect::<Vec<_>>()).outcome();
    assert!(outcome.succeeded(), "{}", outcome.messages());
    assert_eq!((relay.connections(), desk.events().len()), (1, 20));
}
