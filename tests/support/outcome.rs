//! How a run ended, and whether that is what was wanted.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use super::Check;
use super::text::normal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Killed,
    TimedOut,
}

/// The exit status that a case wants: a number, or a word where the number is not part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(i32),
    /// Any failure that the program meant.
    CleanFailure,
    /// Success or failure, but no crash.
    NoCrash,
}

pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// The folder that holds the working folder, to be recognized in messages.
    pub(crate) root: PathBuf,
}

impl Display for Ending {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit {status}"),
            Self::Killed => f.write_str("killed by a signal"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

impl Display for Exit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit {status}"),
            Self::CleanFailure => f.write_str("a clean failure"),
            Self::NoCrash => f.write_str("anything but a crash"),
        }
    }
}

impl Outcome {
    pub(crate) fn succeeded(&self) -> bool {
        self.ending == Ending::Exited(0)
    }

    /// Bugs of either language count as crashes, whatever the status.
    fn crashed(&self) -> bool {
        let exited = matches!(self.ending, Ending::Exited(_));
        !exited || self.admits_a_bug() || self.stderr_has("goroutine ")
    }

    /// Our panics are hidden behind an ordinary exit status: what they say tells them from errors.
    fn admits_a_bug(&self) -> bool {
        self.stderr_has("rsops has a bug") || self.stderr_has("panicked at")
    }

    fn stderr_has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.stderr).contains(text)
    }

    /// Failed on purpose: an exit status of its own, no stack trace.
    pub(crate) fn failed_cleanly(&self) -> bool {
        !self.succeeded() && !self.crashed()
    }

    pub(crate) fn wants(&self, exit: Exit) -> Check {
        let met = match exit {
            // the stack traces of the reference have a status too, which as-reference runs want
            Exit::Status(status) => self.ending == Ending::Exited(status) && !self.admits_a_bug(),
            Exit::CleanFailure => self.failed_cleanly(),
            Exit::NoCrash => !self.crashed(),
        };
        if met { Ok(()) } else { Err(format!("{}, want {exit}; stderr: {}", self.ending, self.message())) }
    }

    /// The first line on stderr, free of what differs between machines.
    pub(crate) fn message(&self) -> String {
        self.messages().lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn messages(&self) -> String {
        String::from_utf8_lossy(&normal(&self.stderr, &self.root)).into_owned()
    }

    /// stdout, free of what differs between machines.
    pub(crate) fn normal_stdout(&self) -> Vec<u8> {
        normal(&self.stdout, &self.root)
    }
}

/// Failed with this exit status, these words on standard error, and nothing on standard output.
pub(crate) fn refused(outcome: &Outcome, status: i32, words: &[&str]) {
    assert!(outcome.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&outcome.stdout));
    fails_with(outcome, status, words);
}

/// Failed with this exit status, these words on standard error, whatever was printed before.
pub(crate) fn fails_with(outcome: &Outcome, status: i32, words: &[&str]) {
    let messages = outcome.messages();
    assert_eq!(outcome.ending, Ending::Exited(status), "{messages}");
    assert!(!outcome.crashed(), "{messages}");
    for word in words {
        assert!(messages.contains(word), "{word:?} is missing in {messages:?}");
    }
}
