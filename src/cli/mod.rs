//! The command line: the only place that prints, prompts, reads the environment, writes files and picks exit codes.
//!
//! ```text
//! arguments ──► legacy (v1 spelling → commands) ──► options (clap) ──► commands::* ──► error (text, exit code)
//!                                                     environment, place (files, formats, configuration)
//! ```

mod commands;
mod environment;
mod error;
mod key_changes;
mod legacy;
mod open;
mod options;
mod place;
mod plan;
mod private_dir;
mod prompt;
mod rewrap;
mod signals;
#[cfg(feature = "age")]
mod terminal;
mod ui;
mod write_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::error::CommandError;
use self::legacy::Invocation;
use self::ui::Ui;

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
    Rotate(Box<commands::rotate::Rotate>),
    #[command(subcommand)]
    Groups(commands::groups::Groups),
    #[command(name = "updatekeys")]
    UpdateKeys(Box<commands::updatekeys::UpdateKeys>),
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

/// Says why there is no thread to run on.
pub(crate) fn fail_to_start(error: &std::io::Error) -> ExitCode {
    CommandError::NoStack(error::os_text(error)).report()
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
    let arguments = match legacy::translate(arguments, &command)? {
        Invocation::Command(arguments) => arguments,
        Invocation::Version(check) => {
            Ui::new(false).print_line(&legacy::version(check))?;
            return Ok(());
        }
    };
    match parse(command, arguments)?.command {
        CommandLine::Encrypt(encrypt) => encrypt.run(),
        CommandLine::Decrypt(decrypt) => decrypt.run(),
        CommandLine::Rotate(rotate) => rotate.run(),
        CommandLine::Groups(groups) => groups.run(),
        CommandLine::UpdateKeys(updatekeys) => updatekeys.run(),
    }
}

fn parse(command: Command, arguments: Vec<OsString>) -> Result<Arguments, CommandError> {
    let line = || std::iter::once(OsString::from("rsops")).chain(arguments.iter().cloned());
    let matches = command.try_get_matches_from(line());
    matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| match error.kind() {
        // a command with commands of its own, and none of them (cli.md §1.7)
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let page = command_line().try_get_matches_from(line().chain(["--help".into()]));
            CommandError::Usage(page.err().unwrap_or(error))
        }
        ErrorKind::InvalidSubcommand => match error.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(topic)) => CommandError::NoHelpTopic(topic.into()),
            _ => CommandError::Usage(error),
        },
        _ => CommandError::Usage(error),
    })
}

/// The declaration of all commands.
fn command_line() -> Command {
    Arguments::command().mut_subcommands(last_one_counts)
}

/// A flag that is given twice counts the second time.
fn last_one_counts(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_action() {
        ArgAction::Set if !argument.is_positional() => {
            let id = argument.get_id().clone();
            argument.overrides_with(id)
        }
        _ => argument,
    });
    command.mut_subcommands(last_one_counts)
}
