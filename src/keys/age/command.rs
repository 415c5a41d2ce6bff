//! Commands that print identities: split into words, run without a shell (keys.md §2.5, cli.md §10.2).

use std::fmt;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::passphrase::MAX_SIZE;
use crate::os_error::os_text;
use crate::program::{WordsError, status_text, words};

/// Room for some identities, in bytes.
const USUAL: usize = 16 << 10;

/// Why a command gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// Its quotes do not match.
    Words {
        /// The whole command.
        command: String,
        /// What is missing.
        error: WordsError,
    },
    /// It holds no word.
    Empty(String),
    /// It does not start.
    Start {
        /// The whole command.
        command: String,
        /// Which program.
        program: String,
        /// Why, in the system's words; not found in `PATH` if there is none.
        reason: Option<String>,
    },
    /// It ran and failed.
    Status {
        /// The whole command.
        command: String,
        /// How it ended.
        status: String,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { command, error } => write!(f, "failed to parse command {command}: {error}"),
            Self::Empty(command) => write!(f, "failed to execute command {command}: the command is empty"),
            Self::Start { command, program, reason: None } => write!(
                f,
                "failed to execute command {command}: exec: {program:?}: executable file not found in $PATH"
            ),
            Self::Start { command, program, reason: Some(reason) } => {
                write!(f, "failed to execute command {command}: fork/exec {program}: {reason}")
            }
            Self::Status { command, status } => {
                write!(f, "failed to execute command {command}: {status}")
            }
        }
    }
}

impl std::error::Error for CommandError {}

/// Runs a command for this recipient; its output is the answer, what it says on stderr is dropped.
pub(super) fn run(command: &str, recipient: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let words = words(command).map_err(|error| CommandError::Words { command: command.to_owned(), error })?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(CommandError::Empty(command.to_owned()));
    };
    let failed = |error: io::Error| CommandError::Start {
        command: command.to_owned(),
        program: program.clone(),
        reason: (!not_found_in_path(program, &error)).then(|| os_text(&error)),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .env("SOPS_AGE_RECIPIENT", recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().map_or_else(|| Ok(Zeroizing::default()), read);
    let status = child.wait().map_err(failed)?;
    if status.success() {
        stdout.map_err(failed)
    } else {
        Err(CommandError::Status { command: command.to_owned(), status: status_text(status) })
    }
}

/// What it prints, in one piece of memory as long as that is enough: what grows leaves secrets behind. As with files,
/// more than anybody has of identities is not taken.
fn read(stdout: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(Vec::with_capacity(USUAL));
    stdout.take(MAX_SIZE as u64).read_to_end(&mut text)?;
    Ok(text)
}

fn not_found_in_path(program: &str, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && !program.contains(std::path::is_separator)
}

#[cfg(test)]
mod tests {
    use super::run;

    /// Guards against a command that fills the memory.
    #[test]
    fn a_command_that_does_not_end_is_not_waited_for() {
        assert!(run("yes", "age1").is_err_and(|error| error.to_string().contains("command yes: ")));
    }
}
