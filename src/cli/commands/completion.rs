//! `rsops completion`, and what completion scripts of sops ask for (cli.md §14.4).

use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::{Command, Subcommand};
use clap_complete::Shell;
use rsops::store::Format;

use crate::cli::environment::{program, text};
use crate::cli::error::CommandError;
use crate::cli::flag::all_flags;
use crate::cli::help::{about, presented};
use crate::cli::ui::Ui;

/// Print a script that completes commands, flags and file names
#[derive(Subcommand)]
pub(crate) enum Completion {
    /// For bash: `source <(rsops completion bash)`
    Bash,
    /// For zsh: `source <(rsops completion zsh)`
    Zsh,
    /// For fish: `rsops completion fish | source`
    Fish,
    /// For PowerShell: `rsops completion powershell | Out-String | Invoke-Expression`
    Powershell,
    /// For Elvish: `eval (rsops completion elvish | slurp)`
    Elvish,
}

impl Completion {
    pub(crate) fn run(&self) -> Result<(), CommandError> {
        let shell = match self {
            Self::Bash => Shell::Bash,
            Self::Zsh => Shell::Zsh,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Elvish => Shell::Elvish,
        };
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut presented().mut_subcommands(with_formats),
            program(),
            &mut script,
        );
        let script = String::from_utf8_lossy(&script);
        let script = if shell == Shell::Bash { files_first(&script) } else { script.into_owned() };
        Ui::new(false).print(script.as_bytes())
    }
}

/// Formats are words to choose from here; on the command line others are accepted and ignored (cli.md §3.1).
fn with_formats(command: Command) -> Command {
    let names = Format::NAMES.map(|(name, _)| name);
    command.mut_subcommands(with_formats).mut_args(|argument| match argument.get_long() {
        Some("input-type" | "output-type") => argument.value_parser(PossibleValuesParser::new(names)),
        _ => argument,
    })
}

/// The generator offers flags where nothing is typed yet, so that bash does not come to its files.
fn files_first(script: &str) -> String {
    script
        .replacen(
            "    opts=\"\"\n",
            "    opts=\"\"\n    local hidden='-*'\n    [[ $2 == -* ]] && hidden=''\n",
            1,
        )
        .replace("compgen -W \"${opts}\" --", "compgen -W \"${opts}\" -X \"${hidden}\" --")
}

/// Answers a completion script of sops: what can follow these words, one suggestion a line.
pub(crate) fn suggest(words: &[OsString]) -> Result<(), CommandError> {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut commands = presented();
    // adds --help
    commands.build();
    let lines = match words.last().filter(|word| word.starts_with('-')) {
        Some(begun) => flags(innermost(&commands, &words), &words, begun),
        None => names(innermost(&commands, &words)),
    };
    Ui::new(false).print(lines.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes())
}

/// The command that the words lead to.
fn innermost<'a>(commands: &'a Command, words: &[String]) -> &'a Command {
    let mut words = words.iter().skip_while(|word| commands.find_subcommand(word).is_none());
    let mut command = commands;
    while let Some(inner) = words.next().and_then(|word| command.find_subcommand(word)) {
        command = inner;
    }
    command
}

/// The scripts for zsh show what a command does.
fn names(command: &Command) -> Vec<String> {
    let described = text("_CLI_ZSH_AUTOCOMPLETE_HACK").as_deref() == Some("1");
    let line = |command: &Command| match described {
        true => format!("{}:{}", command.get_name(), about(command)),
        false => command.get_name().to_owned(),
    };
    command.get_subcommands().map(line).collect()
}

/// The flags that begin so and are not there yet. Before a command, those of all of them may stand.
fn flags(command: &Command, words: &[String], begun: &str) -> Vec<String> {
    let (prefix, is_short) = match begun.strip_prefix("--") {
        Some(prefix) => (prefix, false),
        None => (begun.trim_start_matches('-'), true),
    };
    let typed: Vec<&str> = words[..words.len() - 1]
        .iter()
        .filter(|word| word.starts_with('-'))
        .map(|word| word.trim_start_matches('-').split('=').next().unwrap_or_default())
        .collect();
    let mut lines: Vec<String> = Vec::new();
    for flag in all_flags(command) {
        let short = flag.get_short().map(String::from);
        let names = [flag.get_long(), short.as_deref()];
        if names.iter().flatten().any(|name| typed.contains(name)) {
            continue;
        }
        let long = flag.get_long().filter(|long| long.starts_with(prefix)).map(|long| format!("--{long}"));
        let short =
            short.filter(|short| is_short && short.starts_with(prefix)).map(|short| format!("-{short}"));
        for line in [long, short].into_iter().flatten() {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}
