//! The command line: the only place that prints, prompts, reads the environment, writes files and picks exit codes.
//!
//! ```text
//! arguments ──► legacy (v1 spelling → commands) ──► options (clap) ──► commands::* ──► error (text, exit code)
//!                                                     environment, place (files, formats, configuration)
//! ```

mod audit;
mod batch;
mod child;
mod commands;
mod context_repair;
mod core_dumps;
mod editor;
mod environment;
mod error;
mod findings;
mod flag;
mod help;
mod key_changes;
mod legacy;
mod logged;
mod markdown;
mod nearest;
mod open;
mod options;
mod pipe;
mod place;
mod plan;
mod private_dir;
mod prompt;
mod repository;
mod rewrap;
mod seal;
mod signals;
#[cfg(any(feature = "age", feature = "pgp"))]
mod terminal;
mod ui;
mod user;
mod write_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use self::core_dumps::keep_out_of_core_dumps;

use self::commands::completion;
use self::environment::program;
use self::error::CommandError;
use self::legacy::Invocation;
use self::ui::{Component, Ui};

/// Secrets in files, encrypted leaf by leaf: a drop-in for sops
#[derive(Parser)]
#[command(name = "rsops", disable_version_flag = true, disable_help_subcommand = true)]
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
    Check(Box<commands::check::Check>),
    #[command(subcommand)]
    Completion(completion::Completion),
    #[cfg(feature = "age")]
    Init(Box<commands::init::Init>),
    Man(commands::man::Man),
    ExecEnv(Box<commands::exec_env::ExecEnv>),
    ExecFile(Box<commands::exec_file::ExecFile>),
    #[command(name = "filestatus")]
    FileStatus(Box<commands::filestatus::FileStatus>),
    Edit(Box<commands::edit::Edit>),
    Set(Box<commands::set::Set>),
    Unset(Box<commands::unset::Unset>),
    #[cfg(feature = "keyservice")]
    #[command(name = "keyservice")]
    ServeKeys(commands::keyservice::ServeKeys),
    #[cfg(feature = "publish")]
    Publish(Box<commands::publish::Publish>),
}

/// Does what the arguments say.
pub(crate) fn run() -> ExitCode {
    ui::hide_panics();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match audit::open().and_then(|()| dispatch(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

/// Says why there is no thread to run on.
pub(crate) fn fail_to_start(error: &std::io::Error) -> ExitCode {
    CommandError::NoStack(error::os_text(error)).report()
}

fn dispatch(arguments: Vec<OsString>) -> Result<(), CommandError> {
    let command = command_line();
    let translated = match legacy::translate(arguments, &command)? {
        Invocation::Command(translated) => translated,
        Invocation::Suggestions(words) => return completion::suggest(&words),
        Invocation::Version(check) => {
            Ui::new(false).print_line(&legacy::version(check))?;
            return Ok(());
        }
    };
    let ui = Ui::new(false);
    translated.warnings.iter().for_each(|warning| ui.warn(Component::Cmd, warning, &[]));
    let result = run_command(parse(command, translated.arguments)?.command);
    result.map_err(|error| error.if_meant(translated.meant))
}

fn run_command(command: CommandLine) -> Result<(), CommandError> {
    match command {
        CommandLine::Encrypt(encrypt) => encrypt.run(),
        CommandLine::Decrypt(decrypt) => decrypt.run(),
        CommandLine::Rotate(rotate) => rotate.run(),
        CommandLine::Groups(groups) => groups.run(),
        CommandLine::UpdateKeys(updatekeys) => updatekeys.run(),
        CommandLine::Check(check) => check.run(),
        CommandLine::Completion(completion) => completion.run(),
        #[cfg(feature = "age")]
        CommandLine::Init(init) => init.run(),
        CommandLine::Man(man) => man.run(),
        CommandLine::ExecEnv(exec_env) => exec_env.run(),
        CommandLine::ExecFile(exec_file) => exec_file.run(),
        CommandLine::FileStatus(file_status) => file_status.run(),
        CommandLine::Edit(edit) => edit.run(),
        CommandLine::Set(set) => set.run(),
        CommandLine::Unset(unset) => unset.run(),
        #[cfg(feature = "keyservice")]
        CommandLine::ServeKeys(serve_keys) => serve_keys.run(),
        #[cfg(feature = "publish")]
        CommandLine::Publish(publish) => publish.run(),
    }
}

fn parse(command: Command, arguments: Vec<OsString>) -> Result<Arguments, CommandError> {
    let matches = command.try_get_matches_from(std::iter::once(program().into()).chain(arguments.clone()));
    matches.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|error| match error.kind() {
        // where a command has commands of its own, none of them asks for help too (cli.md §1.7)
        ErrorKind::DisplayHelp
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => help_page(error, &arguments),
        ErrorKind::InvalidSubcommand => match error.get(ContextKind::InvalidSubcommand) {
            Some(ContextValue::String(topic)) => CommandError::NoHelpTopic(topic.into()),
            _ => CommandError::Usage(error),
        },
        _ => CommandError::Usage(error),
    })
}

/// The page of the command that the arguments begin with, as people shall see it.
fn help_page(error: clap::Error, arguments: &[OsString]) -> CommandError {
    let commands = help::presented();
    let mut command = &commands;
    let mut line = vec![program().into()];
    while let Some(word) = arguments.get(line.len() - 1)
        && let Some(inner) = command.find_subcommand(word)
    {
        command = inner;
        line.push(word.clone());
    }
    let short = arguments.iter().any(|argument| argument == "-h");
    line.push(if short { "-h".into() } else { "--help".into() });
    CommandError::Usage(match commands.try_get_matches_from(line) {
        Err(page) if page.kind() == ErrorKind::DisplayHelp => page,
        _ => error,
    })
}

/// The declaration of all commands.
fn command_line() -> Command {
    Arguments::command().name(program()).mut_subcommands(complete)
}

/// What holds for the flags of all commands: one that is given twice counts the second time, and a switch may have a value
/// behind `=` (cli.md §1.2).
fn complete(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_action() {
        ArgAction::SetTrue => options::switch_argument(last_one_counts(argument)),
        ArgAction::Set if !argument.is_positional() => last_one_counts(argument),
        _ => argument,
    });
    command.mut_subcommands(complete)
}

fn last_one_counts(argument: Arg) -> Arg {
    let id = argument.get_id().clone();
    argument.overrides_with(id)
}
