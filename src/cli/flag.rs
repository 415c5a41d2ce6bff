//! Flags as they are typed, and which of them commands have (cli.md §1.2).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use rsops::tree::parse_bool;

use super::error::CommandError;

/// One argument that looks like a flag, taken apart.
pub(super) struct Flag {
    /// Without dashes.
    pub(super) name: String,
    /// Behind `=`.
    pub(super) value: Option<String>,
    pub(super) text: OsString,
}

impl Flag {
    pub(super) fn of(argument: &OsStr) -> Option<Self> {
        let text = argument.to_string_lossy();
        let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
        // a lone dash, and numbers, which are values
        if text == "-" || (!text.starts_with("--") && bare.starts_with(|c: char| c.is_ascii_digit())) {
            return None;
        }
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        Some(Self { name: name.to_owned(), value, text: argument.to_owned() })
    }

    pub(super) fn is_terminator(&self) -> bool {
        self.text == "--"
    }
}

fn is_called(argument: &Arg, name: &str) -> bool {
    let aliases = argument.get_all_aliases().unwrap_or_default();
    argument.get_long() == Some(name)
        || aliases.contains(&name)
        || argument.get_short().is_some_and(|short| name == short.to_string())
}

pub(super) fn has_flag(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|argument| is_called(argument, name))
}

/// The flags of all commands.
pub(super) fn all_flags(commands: &Command) -> Vec<&Arg> {
    let inner = commands.get_subcommands().flat_map(all_flags);
    commands.get_arguments().filter(|argument| !argument.is_positional()).chain(inner).collect()
}

pub(super) fn is_flag_anywhere(commands: &Command, name: &str) -> bool {
    all_flags(commands).iter().any(|argument| is_called(argument, name))
}

pub(super) fn flag_takes_value(commands: &Command, name: &str) -> bool {
    all_flags(commands).iter().filter(|argument| is_called(argument, name)).any(|argument| {
        let requires_equals = argument.is_require_equals_set();
        matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) && !requires_equals
    })
}

/// A flag that no command has, in the words of the parser, which sees the flags of one command only.
pub(super) fn unknown_flag(commands: &Command, name: &str) -> CommandError {
    /// That of the parser.
    const ALIKE: f64 = 0.7;
    let mut error = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(commands);
    error.insert(ContextKind::InvalidArg, ContextValue::String(format!("--{name}")));
    let flags = all_flags(commands);
    let alike = flags.iter().filter_map(|flag| flag.get_long()).map(|long| (strsim::jaro(name, long), long));
    if let Some((_, long)) = alike.filter(|(score, _)| *score > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{long}")));
    }
    CommandError::Usage(error)
}

/// `-name` and `--n` → `--name` and `-n`: one or two dashes mean the same (cli.md §1.2).
pub(super) fn normalise(arguments: Vec<OsString>, takes_value: impl Fn(&str) -> bool) -> Vec<OsString> {
    let mut normal = Vec::with_capacity(arguments.len());
    let mut is_value = false;
    let mut ended = false;
    for argument in arguments {
        let flag = if is_value || ended { None } else { Flag::of(&argument) };
        is_value = false;
        let Some(flag) = flag else {
            normal.push(argument);
            continue;
        };
        ended = flag.is_terminator();
        is_value = flag.value.is_none() && takes_value(&flag.name);
        if let ("h" | "help", Some(value)) = (flag.name.as_str(), &flag.value) {
            // the parser knows no help that is not wanted (cli.md §1.2)
            match parse_bool(value.as_bytes()) {
                Ok(false) => continue,
                Ok(true) => {
                    normal.push("--help".into());
                    continue;
                }
                Err(_) => {}
            }
        }
        let dashes = argument.as_encoded_bytes().iter().take(2).take_while(|b| **b == b'-').count();
        normal.push(match (dashes, flag.name.chars().count()) {
            (1, 2..) => [OsStr::new("-"), &argument].into_iter().collect(),
            (2, 1) => OsStr::from_bytes(&argument.as_bytes()[1..]).to_owned(),
            _ => argument,
        });
    }
    normal
}
