//! The program under test, and one run of it.

use std::env;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::outcome::Ending;
use super::report::say;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a program is held to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    /// The safe behaviour where the reference is defective: what rsops promises.
    Policy,
    /// Whatever sops 3.13.2 does: shows that the harness, not the program, is right.
    Reference,
}

impl Bar {
    /// `RSOPS_AS_REFERENCE=1` lowers the bar.
    pub(crate) fn from_environment() -> Self {
        if setting("RSOPS_AS_REFERENCE").is_some() { Self::Reference } else { Self::Policy }
    }
}

/// A setting of the harness; empty is unset.
pub(crate) fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The one just built, or the one that `RSOPS_TEST_BINARY` names.
pub(crate) fn binary() -> PathBuf {
    setting("RSOPS_TEST_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_rsops").into(), PathBuf::from)
}

/// Whether a program of the system is there; says so if not. `CI=true` wants all of them.
pub(crate) fn is_installed(program: &str, consequence: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    if !is_there {
        let complaint = format!("{program} is not installed: {consequence}");
        assert!(setting("CI").is_none_or(|value| value != "true"), "{complaint}");
        say(&complaint);
    }
    is_there
}

/// What a finished run leaves behind.
pub(crate) struct Finished {
    pub(crate) ending: Ending,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs to the end, or kills what takes longer than a minute.
pub(crate) fn run(mut command: Command, stdin: Vec<u8>) -> Finished {
    let deadline = Instant::now() + PATIENCE;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", name(&command).display()));
    let mut input = child.stdin.take().expect("piped");
    // a program need not read what it is given: a broken pipe is no failure
    thread::spawn(move || input.write_all(&stdin));
    let stdout = drain(child.stdout.take().expect("piped"));
    let stderr = drain(child.stderr.take().expect("piped"));
    match (until(deadline, &stdout), until(deadline, &stderr)) {
        (Some(stdout), Some(stderr)) => Finished { ending: wait(&mut child, deadline), stdout, stderr },
        _ => Finished { ending: give_up(&mut child), stdout: Vec::new(), stderr: Vec::new() },
    }
}

fn name(command: &Command) -> OsString {
    command.get_program().to_owned()
}

/// Reads in a thread of its own, so that a full pipe cannot stop the program.
fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if pipe.read_to_end(&mut bytes).is_ok() {
            // nobody listens any more once the time is up
            let _ = sender.send(bytes);
        }
    });
    receiver
}

fn until(deadline: Instant, output: &Receiver<Vec<u8>>) -> Option<Vec<u8>> {
    output.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

/// Both outputs are closed by now: what is left is the exit itself.
fn wait(child: &mut Child, deadline: Instant) -> Ending {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code().map_or(Ending::Killed, Ending::Exited);
        }
        thread::sleep(Duration::from_millis(1));
    }
    give_up(child)
}

fn give_up(child: &mut Child) -> Ending {
    // it may have ended in the meantime
    let _ = child.kill();
    let _ = child.wait();
    Ending::TimedOut
}
