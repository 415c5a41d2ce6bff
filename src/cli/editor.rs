//! The editor: which one, and running it (cli.md §10.2).

use std::env;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use rsops::program::{WordsError, status_text, words};
use rustix::fs::{Access, access};
use rustix::process::Signal;

use super::environment;
use super::error::os_text;
use super::signals::leave_interrupts_to;

/// Where an editor is named, the first that is set and not empty.
const VARIABLES: [&str; 2] = ["SOPS_EDITOR", "EDITOR"];

/// What is tried where none is named.
const USUAL: [&str; 3] = ["vim", "nano", "vi"];

/// The exit status of shells that were interrupted.
const INTERRUPTED: i32 = 130;

/// A program that edits the file that is its last argument.
pub(super) struct Editor {
    program: PathBuf,
    /// As it was named.
    name: String,
    arguments: Vec<String>,
}

/// Why a file was not edited.
#[derive(Debug)]
pub(super) enum EditorError {
    /// The variable cannot be split into words.
    Words {
        variable: &'static str,
        value: String,
        error: WordsError,
    },
    /// The variable holds blanks or a comment only.
    NoWord(&'static str),
    NotFound(String),
    /// It would be found in whatever the current directory is.
    Relative(String),
    /// Nothing is named, and nothing usual is there.
    NoneFound,
    Start {
        program: PathBuf,
        error: io::Error,
    },
    /// It ran and failed.
    Status(ExitStatus),
    /// It ended because of an interruption that was typed.
    Interrupted,
}

impl fmt::Display for EditorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { variable, value, error } => write!(f, "invalid ${variable}: {value}: {error}"),
            Self::NoWord(variable) => write!(f, "invalid ${variable}: it names no program"),
            Self::NotFound(name) => write!(f, "exec: {name:?}: executable file not found in $PATH"),
            Self::Relative(name) => {
                write!(f, "exec: {name:?}: cannot run executable found relative to current directory")
            }
            Self::NoneFound => f.write_str(
                "no editor available: sops attempts to use the editor defined in the SOPS_EDITOR or EDITOR environment \
                 variables, and if that's not set defaults to any of vim, nano, vi, but none of them could be found",
            ),
            Self::Start { program, error } => {
                write!(f, "fork/exec {}: {}", program.display(), os_text(error))
            }
            Self::Status(status) => f.write_str(&status_text(*status)),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl Editor {
    /// The one that the environment names, else a usual one.
    pub(super) fn from_environment() -> Result<Self, EditorError> {
        let named = VARIABLES.into_iter().find_map(|variable| {
            environment::text(variable).filter(|value| !value.is_empty()).map(|value| (variable, value))
        });
        match named {
            Some((variable, value)) => Self::named(variable, value),
            None => USUAL
                .into_iter()
                .find_map(|name| {
                    let program = find(name).ok()?;
                    Some(Self { program, name: name.to_owned(), arguments: Vec::new() })
                })
                .ok_or(EditorError::NoneFound),
        }
    }

    fn named(variable: &'static str, value: String) -> Result<Self, EditorError> {
        let mut words = match words(&value) {
            Ok(words) => words.into_iter(),
            Err(error) => return Err(EditorError::Words { variable, value, error }),
        };
        let name = words.next().ok_or(EditorError::NoWord(variable))?;
        Ok(Self { program: find(&name)?, name, arguments: words.collect() })
    }

    /// Edits a file. Terminal, environment and process group are ours, so that Ctrl-Z and the size of the window
    /// reach the editor.
    pub(super) fn edit(&self, file: &Path) -> Result<(), EditorError> {
        let failed = |error| EditorError::Start { program: self.program.clone(), error };
        let mut command = Command::new(&self.program);
        command.arg0(&self.name).args(&self.arguments).arg(file);
        let (mut child, interrupts) = leave_interrupts_to(&mut command).map_err(failed)?;
        let status = child.wait().map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        // an editor that ended otherwise had another use for Ctrl-C, if it was typed at all
        let of_interrupt =
            status.signal() == Some(Signal::INT.as_raw()) || status.code() == Some(INTERRUPTED);
        if of_interrupt {
            // our own signal may still be on its way
            interrupts.cancel();
            return Err(EditorError::Interrupted);
        }
        Err(EditorError::Status(status))
    }
}

/// The program of this name. Where it is depends on the current directory only if the name says so.
fn find(name: &str) -> Result<PathBuf, EditorError> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        env::split_paths(&path).map(|folder| folder.join(name)).find(|program| is_executable(program));
    match found {
        Some(program) if program.is_absolute() => Ok(program),
        Some(_) => Err(EditorError::Relative(name.to_owned())),
        None => Err(EditorError::NotFound(name.to_owned())),
    }
}

fn is_executable(program: &Path) -> bool {
    program.is_file() && access(program, Access::EXEC_OK).is_ok()
}
