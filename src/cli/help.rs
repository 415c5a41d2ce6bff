//! The declaration of the commands as people see it: help, manual pages, `docs/cli.md`, completions.

use std::fmt::Write as _;

use clap::builder::{OsStr, PossibleValuesParser, Resettable, Styles};
use clap::{Arg, ArgAction, Command};

use super::command_line;
use super::environment::{as_called, program};
use super::legacy::{V1_USAGE, root_flags};

/// What belongs together, in the order in which it is learnt. A command that is not built is left out.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Start", &["init"]),
    ("Files", &["edit", "encrypt", "decrypt", "set", "unset", "filestatus", "check"]),
    ("Keys", &["rotate", "updatekeys", "groups"]),
    ("Programs that need secrets", &["exec-env", "exec-file"]),
    ("Services", &["publish", "keyservice"]),
    ("This program", &["completion", "man", "help"]),
];

/// Variables without a flag of their own; those with one are named there (cli.md §17).
pub(super) const VARIABLES: [(&str, &str); 9] = [
    ("SOPS_AGE_KEY_FILE", "file with age identities"),
    ("SOPS_AGE_KEY, SOPS_AGE_KEY_CMD", "age identities, or a command that prints them"),
    ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", "ssh private key to decrypt with"),
    ("SOPS_AGE_SSH_PRIVATE_KEY_CMD", "command that prints an ssh private key"),
    ("SOPS_GPG_EXEC, GNUPGHOME", "the gpg program, and its home"),
    ("SOPS_EDITOR, EDITOR", "editor for `edit`"),
    ("SOPS_CONFIG", "configuration file, as --config names it"),
    ("SOPS_AUDIT_CONFIG", "file with more databases for the audit log"),
    ("NO_COLOR", "no colours"),
];

/// What to type, and what that does.
const EXAMPLES: [(&str, &str); 4] = [
    ("edit secrets.yaml", "edit a file, or make one, by the rules of .sops.yaml"),
    ("encrypt -i --age age1… secrets.yaml", "encrypt a file in place, for this recipient"),
    ("decrypt --extract '[\"db\"][\"password\"]' secrets.yaml", "show one value"),
    ("exec-env secrets.env ./server", "run a program with secrets in its environment"),
];

/// What an exit status means (cli.md §4). The codes themselves are given in `error`.
pub(super) const EXIT_STATUS: [(&str, &str); 20] = [
    ("0", "success"),
    ("1", "everything without a status of its own; a usage error"),
    ("2", "the input cannot be read or parsed"),
    ("3", "the output cannot be written; no such help topic"),
    ("4", "the document cannot be kept in the output format"),
    ("5", "a regular expression of the configuration file does not compile"),
    ("6", "--encryption-context is malformed"),
    ("7", "a path or value of set or unset is malformed"),
    ("8", "parameters contradict each other"),
    ("21, 23", "the MAC, or a value, cannot be encrypted"),
    ("25", "a value cannot be decrypted"),
    ("49", "keys cannot be added to a file that does not exist"),
    ("51", "the MAC is missing or differs: the file was changed without its keys"),
    ("91", "the path of --extract is malformed"),
    ("92", "the file holds no document"),
    ("100", "no file is named, or it does not exist"),
    ("112", "--decryption-order names a kind twice"),
    ("128", "the data key cannot be recovered"),
    ("200, 201, 202", "the editor left the file unchanged; it failed; versions cannot be compared"),
    ("203", "the file is encrypted already"),
];

/// All commands, as they are shown.
pub(super) fn presented() -> Command {
    let commands = command_line();
    let help = help(&commands);
    let commands = commands.subcommand(help).args(root_flags()).mut_subcommands(plainly);
    let page = root_page(&commands);
    commands.override_help(page)
}

/// `help` is translated before it is parsed; here it is shown as the command that it looks like.
fn help(commands: &Command) -> Command {
    let names = GROUPS.iter().flat_map(|(_, names)| *names);
    let names: Vec<&str> = names.copied().filter(|name| commands.find_subcommand(name).is_some()).collect();
    let topic = Arg::new("command").value_name("COMMAND").help("The command");
    Command::new("help")
        .about("Show the commands, or the options of one")
        .arg(topic.value_parser(PossibleValuesParser::new(names)).hide_possible_values(true))
}

/// The groups with those of their commands that there are.
pub(super) fn groups(commands: &Command) -> Vec<(&'static str, Vec<&Command>)> {
    let present = |names: &[&str]| names.iter().filter_map(|name| commands.find_subcommand(name)).collect();
    let groups = GROUPS.iter().map(|(title, names)| (*title, present(names)));
    groups.filter(|(_, commands): &(_, Vec<_>)| !commands.is_empty()).collect()
}

/// The examples for commands that there are, as they are typed.
pub(super) fn examples(commands: &Command) -> Vec<(String, &'static str)> {
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let examples = EXAMPLES.iter().filter(|(line, _)| commands.find_subcommand(name(line)).is_some());
    examples.map(|(line, meaning)| (format!("{} {line}", program()), *meaning)).collect()
}

/// The first line of what a command says about itself.
pub(super) fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Switches are shown without the value that they accept: `--verbose=true` works, but nobody has to know. The program
/// calls itself as it was called.
fn plainly(command: Command) -> Command {
    let plain = |argument: Arg| {
        let is_switch = argument.is_require_equals_set() && argument.get_default_values() == ["false"];
        if is_switch { switch(argument) } else { argument }
    };
    let about = command.get_about().map(|text| as_called(&text.to_string()));
    let long_about = command.get_long_about().map(|text| as_called(&text.to_string()));
    command
        .mut_args(plain)
        .about(about.map_or(Resettable::Reset, |text| Resettable::Value(text.into())))
        .long_about(long_about.map_or(Resettable::Reset, |text| Resettable::Value(text.into())))
        .mut_subcommands(plainly)
}

fn switch(argument: Arg) -> Arg {
    argument
        .require_equals(false)
        .num_args(0)
        .value_names(Vec::<&str>::new())
        .default_value(Resettable::<OsStr>::Reset)
        .default_missing_value(Resettable::<OsStr>::Reset)
        .hide_default_value(false)
        .action(ArgAction::SetTrue)
}

fn root_page(commands: &Command) -> String {
    let styles = Styles::styled();
    let (title, word) = (styles.get_header(), styles.get_literal());
    let program = program();
    let mut page = format!(
        "{}\n\n{title}Usage:{title:#} {word}{program}{word:#} COMMAND [OPTIONS] [FILE]\n\
         \x20      {word}{program}{word:#} {V1_USAGE}\n",
        about(commands)
    );
    // writing to memory does not fail
    let mut section = |heading: &str, rows: &[(String, String)]| {
        let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or_default();
        let _ = writeln!(page, "\n{title}{heading}:{title:#}");
        for (left, right) in rows {
            let _ = writeln!(page, "  {word}{left:<width$}{word:#}  {right}");
        }
    };
    for (heading, commands) in groups(commands) {
        let rows = commands.iter().map(|command| (command.get_name().to_owned(), about(command)));
        section(heading, &rows.collect::<Vec<_>>());
    }
    let owned = |rows: &[(&str, &str)]| {
        rows.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect::<Vec<_>>()
    };
    section(
        "Options",
        &owned(&[
            ("-h, --help", "This page; behind a command, that of the command"),
            ("-v, --version", "Which sops this stands for, and which rsops it is"),
            ("--config FILE, --verbose", "Of most commands; may stand before or behind them"),
        ]),
    );
    section("Environment", &owned(&VARIABLES));
    let _ = writeln!(page, "\n{title}Examples:{title:#}");
    for (line, meaning) in examples(commands) {
        let _ = writeln!(page, "  {word}{line}{word:#}\n      {meaning}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        for command in presented().get_subcommands() {
            let name = command.get_name();
            let places = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(places, 1, "{name}");
            assert!(!about(command).is_empty(), "{name} says nothing about itself");
        }
    }

    #[test]
    fn the_declaration_is_sound() {
        command_line().debug_assert();
        presented().debug_assert();
    }
}
