//! The command line: the only place that prints, prompts, reads the environment, writes files and picks exit codes.
//!
//! ```text
//! arguments ──► legacy (v1 spelling → commands) ──► options (clap) ──► commands::* ──► error (text, exit code)
//!                                                     environment, place (files, formats, configuration)
//! ```

mod commands;
mod editor;
mod environment;
mod error;
mod legacy;
mod open;
mod options;
mod place;
mod plan;
mod private_dir;
mod signals;
#[cfg(feature = "age")]
mod terminal;
mod ui;
mod write_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::error::CommandError;
use self::legacy::Invocation;
use self::ui::{Component, Ui};

/// Secrets in files, encrypted leaf by leaf.
#[derive(Parser)]
#[command(name = "rsops", disable_version_flag = true, arg_required_else_help = false)]
#[command(after_help = "Without a command, `rsops [-d|-e] FILE` works as in sops.\n\
                        `rsops COMMAND --help` shows the options of a command.")]
struct Arguments {
    #[command(subcommand)]
    command: CommandLine,
}

#[derive(Subcommand)]
enum CommandLine {
    Encrypt(Box<commands::encrypt::Encrypt>),
    Decrypt(Box<commands::decrypt::Decrypt>),
    Edit(Box<commands::edit::Edit>),
    Set(Box<commands::set::Set>),
    Unset(Box<commands::unset::Unset>),
}

/// Does what the arguments say.
pub(crate) fn run() -> ExitCode {
    ui::hide_panics();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match dispatch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

/// Keeps secrets off the disk if the program should crash.
pub(crate) fn keep_out_of_core_dumps() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    // where it is forbidden, nothing can be done about it
    let _ = setrlimit(Resource::Core, limit);
}

fn dispatch(arguments: Vec<OsString>) -> Result<(), CommandError> {
    let command = command_line();
    let translated = match legacy::translate(arguments, &command)? {
        Invocation::Command(translated) => translated,
        Invocation::Version(check) => {
            Ui::new(false).print_line(&legacy::version(check))?;
            return Ok(());
        }
    };
    let ui = Ui::new(false);
    translated.warnings.iter().for_each(|warning| ui.warn(Component::Cmd, warning, &[]));
    let arguments = std::iter::once(OsString::from("rsops")).chain(translated.arguments);
    let matches = command.try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
    let result = run_command(parsed.map_err(CommandError::Usage)?.command);
    result.map_err(|error| error.if_meant(translated.meant))
}

fn run_command(command: CommandLine) -> Result<(), CommandError> {
    match command {
        CommandLine::Encrypt(encrypt) => encrypt.run(),
        CommandLine::Decrypt(decrypt) => decrypt.run(),
        CommandLine::Edit(edit) => edit.run(),
        CommandLine::Set(set) => set.run(),
        CommandLine::Unset(unset) => unset.run(),
    }
}

/// The declaration of all commands; a flag that is given twice counts the second time.
fn command_line() -> Command {
    Arguments::command().mut_subcommands(|command| {
        command.mut_args(|argument| match argument.get_action() {
            ArgAction::Set if !argument.is_positional() => {
                let id = argument.get_id().clone();
                argument.overrides_with(id)
            }
            _ => argument,
        })
    })
}
