//! The command that exec-env and exec-file run, and how it ended (cli.md §14.1, policy.md §3).

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use clap::Args;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::core_dumps::spawn;
use super::error::{CommandError, ExecError};
use super::options::path;
use super::signals::forward_to;
use super::ui::{Component, Ui};

/// How long the command is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until it ends. Signals are forwarded to it.
    ForEnd,
    /// `--background`.
    Not,
}

/// What stands beside the options.
#[derive(Args)]
pub(super) struct Words {
    /// The encrypted file
    #[arg(value_name = "FILE", value_parser = path())]
    file: Option<PathBuf>,
    /// The command, as one word for the shell
    #[arg(value_name = "COMMAND")]
    command: Option<OsString>,
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl Words {
    /// Both are needed, and nothing else is understood (cli.md §1.4).
    pub(super) fn file_and_command(&self) -> Result<(&Path, &OsStr), CommandError> {
        match (&self.file, &self.command) {
            (Some(file), Some(command)) if self.surplus.is_empty() => Ok((file, command)),
            _ => Err(ExecError::Arguments.into()),
        }
    }
}

/// A command line for the shell.
pub(super) fn shell(command: &OsStr) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

/// The deprecated option (cli.md §14.1).
pub(super) fn background(ui: &Ui, command: &str, is_wanted: bool) -> Wait {
    if !is_wanted {
        return Wait::ForEnd;
    }
    let text = format!(
        "{command}'s --background option is deprecated and will be removed in a future version of sops"
    );
    ui.warn(Component::Cmd, &text, &[]);
    Wait::Not
}

/// Runs the command; it fails if the command does.
pub(super) fn run(mut command: Command, wait: Wait) -> Result<(), CommandError> {
    let status = match wait {
        Wait::Not => {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            return Ok(spawn(&mut command).map(drop).map_err(ExecError::Start)?);
        }
        Wait::ForEnd => wait_for(&mut command).map_err(ExecError::Start)?,
    };
    if status.success() { Ok(()) } else { Err(ExecError::Status(status).into()) }
}

fn wait_for(command: &mut Command) -> io::Result<ExitStatus> {
    let (mut child, forwarding) = forward_to(command)?;
    until_end(&child)?;
    drop(forwarding);
    child.wait()
}

/// The child stays a zombie, so that no other process can have its number while signals are sent there.
fn until_end(child: &Child) -> io::Result<()> {
    let id = WaitId::Pid(Pid::from_child(child));
    retry_on_intr(|| waitid(id.clone(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT))?;
    Ok(())
}
