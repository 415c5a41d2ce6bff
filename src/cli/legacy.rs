//! The spelling of sops v1, translated to commands: the only mention of its flags (cli.md §1, §12).
//!
//! `rsops [root flags] FILE` becomes `rsops <command> [flags] FILE`, the command being picked by `-d`, `-e`, `-r` or
//! `--set`, else `edit`. Root flags before a command are handed to the command, which accepts those that it has a use
//! for (policy.md §2).

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, Command};

use super::error::CommandError;

/// What the arguments ask for.
pub(super) enum Invocation {
    /// A command with its arguments.
    Command(Vec<OsString>),
    /// `--version`.
    Version(VersionDetail),
}

/// How much `--version` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionDetail {
    /// Also the release of rsops.
    Full,
    /// What scripts that disable the version check expect.
    Bare,
}

/// Modes of v1 and the commands that they became, in the order in which v1 runs them.
const MODES: [(&str, &str, &str); 3] =
    [("e", "encrypt", "encrypt"), ("d", "decrypt", "decrypt"), ("r", "rotate", "rotate")];

/// Root flags of v1 without a value, beside the modes.
const ROOT_SWITCHES: [&str; 14] = [
    "version",
    "v",
    "help",
    "h",
    "disable-version-check",
    "check-for-updates",
    "verbose",
    "mac-only-encrypted",
    "in-place",
    "i",
    "ignore-mac",
    "show-master-keys",
    "s",
    "enable-local-keyservice",
];

/// The first line of `--version` (policy.md §1). There is no network access.
pub(super) fn version(detail: VersionDetail) -> String {
    let format = rsops::metadata::FORMAT_VERSION;
    match detail {
        VersionDetail::Full => format!("sops {format} (rsops {})", env!("CARGO_PKG_VERSION")),
        VersionDetail::Bare => format!("sops {format}"),
    }
}

/// Brings any command line to the form `COMMAND ARGUMENTS…`.
pub(super) fn translate(arguments: Vec<OsString>, commands: &Command) -> Result<Invocation, CommandError> {
    let mut root = Root::default();
    let mut rest = arguments.into_iter();
    let first = loop {
        let Some(argument) = rest.next() else { break None };
        match Flag::of(&argument) {
            None => break Some(argument),
            Some(flag) if flag.is_terminator() => break rest.next(),
            Some(flag) => root.take(flag, &mut rest),
        }
    };
    if root.version {
        return Ok(Invocation::Version(root.version_detail()?));
    }
    let is_command = |name: &OsStr| {
        name == "help" || name == "h" || commands.get_subcommands().any(|command| name == command.get_name())
    };
    let mut translated = Vec::new();
    match first {
        None if root.help => translated.push("--help".into()),
        None => return Err(CommandError::NoFile),
        Some(name) if is_command(&name) => {
            // the flags belong to the innermost command: `--config FILE groups add`
            let outer = commands.find_subcommand(&name);
            let inner = rest.as_slice().first().and_then(|word| outer?.find_subcommand(word));
            translated.push(if name == "h" { "help".into() } else { name });
            translated.extend(inner.and_then(|_| rest.next()));
            translated.extend(root.flags);
            translated.extend(rest);
        }
        Some(_) if root.help => translated.push("--help".into()),
        Some(file) => {
            let mode = root.mode();
            if !is_command(mode.as_ref()) {
                return Err(CommandError::NoSuchCommand { typed: file, mode });
            }
            translated.push(mode.into());
            translated.extend(root.flags);
            translated.push(file);
            translated.extend(rest);
        }
    }
    let takes_value = |name: &str| flag_takes_value(commands, name);
    Ok(Invocation::Command(normalise(translated, takes_value)))
}

/// The flags before the first positional.
#[derive(Default)]
struct Root {
    flags: Vec<OsString>,
    modes: Vec<&'static str>,
    version: bool,
    help: bool,
    /// The value of `--disable-version-check`, where it is given.
    bare_version: Option<String>,
    check_for_updates: bool,
}

impl Root {
    fn take(&mut self, flag: Flag, rest: &mut impl Iterator<Item = OsString>) {
        let set =
            flag.value.as_deref().is_none_or(|value| rsops::tree::parse_bool(value.as_bytes()) != Ok(false));
        let mode = MODES.iter().find(|(short, long, _)| flag.name == *short || flag.name == *long);
        match (mode, flag.name.as_str()) {
            (Some((_, _, command)), _) => {
                if set {
                    self.modes.push(command);
                }
            }
            (None, "version" | "v") => self.version |= set,
            (None, "help" | "h") => self.help |= set,
            (None, "check-for-updates") => self.check_for_updates |= set,
            (None, "disable-version-check") => {
                self.bare_version = Some(flag.value.unwrap_or_else(|| "true".to_owned()));
            }
            (None, name) => {
                let needs_value = flag.value.is_none() && !ROOT_SWITCHES.contains(&name);
                self.flags.push(flag.text);
                if needs_value {
                    self.flags.extend(rest.next());
                }
            }
        }
    }

    /// The last of the modes that v1 runs; nothing means editing.
    fn mode(&self) -> &'static str {
        MODES.iter().rev().find(|(_, _, command)| self.modes.contains(command)).map_or("edit", |(_, _, c)| c)
    }

    fn version_detail(&self) -> Result<VersionDetail, CommandError> {
        if self.check_for_updates {
            return Ok(VersionDetail::Full);
        }
        let disabled = match &self.bare_version {
            Some(value) => value.clone(),
            None => super::environment::text("SOPS_DISABLE_VERSION_CHECK").unwrap_or_default(),
        };
        match disabled.as_str() {
            "" => Ok(VersionDetail::Full),
            value => match rsops::tree::parse_bool(value.as_bytes()) {
                Ok(true) => Ok(VersionDetail::Bare),
                Ok(false) => Ok(VersionDetail::Full),
                Err(_) => {
                    Err(CommandError::BadBoolean { flag: "disable-version-check", value: value.to_owned() })
                }
            },
        }
    }
}

/// One argument that looks like a flag, taken apart.
struct Flag {
    /// Without dashes.
    name: String,
    /// Behind `=`.
    value: Option<String>,
    text: OsString,
}

impl Flag {
    fn of(argument: &OsStr) -> Option<Self> {
        let text = argument.to_string_lossy();
        let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
        if text == "-" {
            return None;
        }
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        Some(Self { name: name.to_owned(), value, text: argument.to_owned() })
    }

    fn is_terminator(&self) -> bool {
        self.text == "--"
    }
}

fn flag_takes_value(commands: &Command, name: &str) -> bool {
    let inner = commands.get_subcommands().flat_map(Command::get_subcommands);
    let arguments = commands.get_subcommands().chain(inner).flat_map(Command::get_arguments);
    arguments
        .filter(|a| a.get_long() == Some(name) || a.get_short().is_some_and(|s| name == s.to_string()))
        .any(|argument| {
            let requires_equals = argument.is_require_equals_set();
            matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) && !requires_equals
        })
}

/// `-name` and `--n` → `--name` and `-n`: one or two dashes mean the same (cli.md §1.2).
fn normalise(arguments: Vec<OsString>, takes_value: impl Fn(&str) -> bool) -> Vec<OsString> {
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
        let dashes = argument.as_encoded_bytes().iter().take(2).take_while(|b| **b == b'-').count();
        let text = argument.to_string_lossy();
        match (dashes, flag.name.chars().count()) {
            (1, 2..) => normal.push(format!("-{text}").into()),
            (2, 1) => normal.push(text[1..].into()),
            _ => normal.push(argument),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let arguments = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from).collect();
        match translate(arguments, &crate::cli::command_line()) {
            Ok(Invocation::Command(words)) => {
                words.iter().map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
            }
            Ok(Invocation::Version(_)) => "version".to_owned(),
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn modes_of_v1_become_commands() {
        for (line, command) in [
            ("-d f.yaml", "decrypt f.yaml"),
            ("-e -i --age R f.yaml", "encrypt -i --age R f.yaml"),
            ("--encrypt --in-place f.yaml", "encrypt --in-place f.yaml"),
            ("-d --extract [\"a\"] f.yaml", "decrypt --extract [\"a\"] f.yaml"),
            ("-d f.yaml --extract X", "decrypt f.yaml --extract X"),
            ("--d=false f.yaml", "error"),
            ("encript f.yaml", "error"),
            ("--version decrypt f", "version"),
            ("", "error"),
        ] {
            assert_eq!(translated(line), command, "{line}");
        }
    }

    #[test]
    fn root_flags_reach_the_command() {
        assert_eq!(translated("--age R --verbose encrypt f"), "encrypt --age R --verbose f");
        assert_eq!(translated("--ignore-mac decrypt f"), "decrypt --ignore-mac f");
        assert_eq!(translated("--config c groups add -file f"), "groups add --config c --file f");
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        assert_eq!(
            translated("decrypt -extract -x --i -ignore-mac f"),
            "decrypt --extract -x -i --ignore-mac f"
        );
        assert_eq!(translated("decrypt -- -f"), "decrypt -- -f");
    }
}
