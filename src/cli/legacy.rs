//! The spelling of sops v1, translated to commands: the only mention of its flags (cli.md §1, §12).
//!
//! `rsops [root flags] FILE` becomes `rsops <command> [flags] FILE`, the command being picked by `-d`, `-e`, `-r` or
//! `--set`, else `edit`. Root flags before a command are handed to the command, which accepts those that it has a use
//! for (policy.md §2).

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};
use rsops::tree::parse_bool;

use super::error::CommandError;
use super::flag::{Flag, flag_takes_value, has_flag, is_flag_anywhere, normalise, unknown_flag};
use super::place::{absolute, exists};

/// What the arguments ask for.
pub(super) enum Invocation {
    /// A command.
    Command(Translated),
    /// What a completion script of the reference asks for, which adds a last argument to those typed (cli.md §14.4).
    Suggestions(Vec<OsString>),
    /// `--version`.
    Version(VersionDetail),
}

/// A command in the spelling of today.
#[derive(Default)]
pub(super) struct Translated {
    /// `COMMAND ARGUMENTS…`.
    pub(super) arguments: Vec<OsString>,
    /// What is to be said before.
    pub(super) warnings: Vec<&'static str>,
    /// The command whose name is near to what was typed as that of a file to edit.
    pub(super) meant: Option<String>,
}

impl Translated {
    fn help(mut command: Vec<OsString>) -> Self {
        command.push("--help".into());
        Self { arguments: command, ..Self::default() }
    }
}

/// How much `--version` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionDetail {
    /// Also the release of rsops.
    Full,
    /// What scripts that disable the version check expect.
    Bare,
}

/// Modes of v1, whose long flags are the commands that they became, in the order in which v1 runs them.
const MODES: [(&str, &str); 3] = [("e", "encrypt"), ("d", "decrypt"), ("r", "rotate")];

/// How v1 is used, in the page of the program.
pub(super) const V1_USAGE: &str = "[-d|-e|-r] [OPTIONS] FILE    as in sops v1; without a flag, edit";

/// The flags of v1 that stand alone, for those who look them up.
pub(super) fn root_flags() -> Vec<Arg> {
    let flag = |short: &'static str, long: &'static str| {
        Arg::new(long).long(long).short(short.chars().next()).action(ArgAction::SetTrue)
    };
    let modes = MODES.iter().map(|(short, command)| {
        flag(short, command).help(format!("As in sops v1: the same as the command {command}"))
    });
    let version =
        flag("v", "version").help("Print the release of sops that this is a drop-in for, and its own");
    let bare = Arg::new("disable-version-check").long("disable-version-check").action(ArgAction::SetTrue);
    let bare = bare
        .env("SOPS_DISABLE_VERSION_CHECK")
        .help("With --version: print that of sops alone. The network is never asked");
    modes.chain([version, bare]).collect()
}

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

/// What sops takes for a command and never for a file to edit (cli.md §1.1), whether we have it or not.
const RESERVED: [&str; 15] = [
    "completion",
    "decrypt",
    "edit",
    "encrypt",
    "exec-env",
    "exec-file",
    "filestatus",
    "groups",
    "keyservice",
    "publish",
    "rotate",
    "set",
    "unset",
    "updatekeys",
    "help",
];

const SEVERAL_MODES: &str = "More than one command (--encrypt, --decrypt, --rotate, --set) has been specified. Only the \
                             changes made by the last one will be visible. Note that this behavior is deprecated and \
                             will cause an error eventually.";

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
    if rest.as_slice().last().is_some_and(|last| last == "--generate-bash-completion") {
        rest.next_back();
        return Ok(Invocation::Suggestions(rest.collect()));
    }
    let first = loop {
        let Some(argument) = rest.next() else { break None };
        match Flag::of(&argument) {
            None => break Some(argument),
            Some(flag) if flag.is_terminator() => break rest.next(),
            Some(flag) => root.take(flag, &mut rest)?,
        }
    };
    if root.version {
        return Ok(Invocation::Version(root.version_detail()?));
    }
    if root.help {
        return Ok(Invocation::Command(Translated::help(Vec::new())));
    }
    let Some(first) = first else { return Err(root.why_nothing_to_do(commands)) };
    let mut translated = match commands.find_subcommand(&first) {
        _ if first == "help" || first == "h" => return help(&rest.collect::<Vec<_>>(), commands),
        Some(mut command) => {
            let mut arguments = vec![first];
            // the flags belong to the innermost command: `--config FILE groups add`
            while let Some(inner) = rest.as_slice().first().and_then(|word| command.find_subcommand(word)) {
                command = inner;
                arguments.extend(rest.next());
            }
            root.refuse_useless_flags(command, &arguments, commands)?;
            arguments.extend(root.flags.into_iter().flat_map(|flag| flag.words).chain(rest));
            Translated { arguments, ..Translated::default() }
        }
        None if RESERVED.iter().any(|reserved| first == *reserved) => {
            return Err(CommandError::NoSuchCommand(first));
        }
        None => {
            root.refuse_unknown_flags(commands)?;
            root.translate_file(first, rest.collect(), commands)?
        }
    };
    translated.arguments = normalise(translated.arguments, |name| flag_takes_value(commands, name));
    Ok(Invocation::Command(translated))
}

/// `help COMMAND` is `COMMAND --help` (cli.md §1.7).
fn help(topic: &[OsString], commands: &Command) -> Result<Invocation, CommandError> {
    let is_help = |word: &&OsString| *word == "help" || *word == "h";
    let words = topic.iter().filter(|word| Flag::of(word).is_none() && !is_help(word));
    let mut command = commands;
    let mut translated = Vec::new();
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| CommandError::NoHelpTopic(word.clone()))?;
        translated.push(word.clone());
    }
    Ok(Invocation::Command(Translated::help(translated)))
}

/// A flag before the first positional, with its value.
struct RootFlag {
    name: String,
    words: Vec<OsString>,
}

impl RootFlag {
    /// A flag that this command does not know, but another one does.
    fn is_for_others(&self, command: &Command, commands: &Command) -> bool {
        !has_flag(command, &self.name) && is_flag_anywhere(commands, &self.name)
    }
}

/// The flags before the first positional.
#[derive(Default)]
struct Root {
    flags: Vec<RootFlag>,
    /// A flag at the end, whose value is missing.
    incomplete: bool,
    modes: Vec<&'static str>,
    /// The value of `--set`.
    set: String,
    version: bool,
    help: bool,
    /// The value of `--disable-version-check`, where it is given.
    bare_version: Option<String>,
    check_for_updates: bool,
}

impl Root {
    fn take(&mut self, flag: Flag, rest: &mut impl Iterator<Item = OsString>) -> Result<(), CommandError> {
        let set = flag.value.as_deref().is_none_or(|value| parse_bool(value.as_bytes()) != Ok(false));
        let mode = MODES.iter().find(|(short, command)| flag.name == *short || flag.name == *command);
        if let (true, Some(value)) = (mode.is_some(), &flag.value)
            && parse_bool(value.as_bytes()).is_err()
        {
            return Err(CommandError::BadBoolean { flag: flag.name, value: value.clone() });
        }
        match (mode, flag.name.as_str()) {
            (Some((_, command)), _) => {
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
            (None, "set") => {
                let value = flag.value.map(OsString::from).or_else(|| rest.next());
                if value.is_none() {
                    return Err(CommandError::NoValue(flag.name));
                }
                self.set = value.unwrap_or_default().to_string_lossy().into_owned();
            }
            (None, name) => {
                let needs_value = flag.value.is_none() && !ROOT_SWITCHES.contains(&name);
                let value = if needs_value { rest.next() } else { None };
                self.incomplete = needs_value && value.is_none();
                let words = std::iter::once(flag.text).chain(value).collect();
                self.flags.push(RootFlag { name: flag.name, words });
            }
        }
        Ok(())
    }

    /// There is no command and no file. A flag that is wrong explains more than that.
    fn why_nothing_to_do(&self, commands: &Command) -> CommandError {
        match (self.refuse_unknown_flags(commands), self.flags.last().filter(|_| self.incomplete)) {
            (Err(error), _) => error,
            (Ok(()), Some(flag)) => CommandError::NoValue(flag.name.clone()),
            (Ok(()), None) => CommandError::NoFile,
        }
    }

    /// Where no command is named, the parser would complain of something else first: what follows an unknown flag may be
    /// its value.
    fn refuse_unknown_flags(&self, commands: &Command) -> Result<(), CommandError> {
        match self.flags.iter().find(|flag| !is_flag_anywhere(commands, &flag.name)) {
            Some(flag) => Err(unknown_flag(commands, &flag.name)),
            None => Ok(()),
        }
    }

    /// Flags before a command that it cannot use (policy.md §2). What no command knows is left to the parser.
    fn refuse_useless_flags(
        &self,
        command: &Command,
        name: &[OsString],
        commands: &Command,
    ) -> Result<(), CommandError> {
        match self.flags.iter().find(|flag| flag.is_for_others(command, commands)) {
            Some(flag) => Err(CommandError::UselessFlag {
                flag: flag.name.clone(),
                command: name.join(" ".as_ref()).to_string_lossy().into_owned(),
            }),
            None => Ok(()),
        }
    }

    /// The last of the modes that v1 runs; nothing means editing.
    fn mode(&self) -> &'static str {
        if !self.set.is_empty() {
            return "set";
        }
        MODES
            .iter()
            .rev()
            .find(|(_, command)| self.modes.contains(command))
            .map_or("edit", |(_, command)| command)
    }

    /// A file, and what is to be done with it.
    ///
    /// Of several modes v1 runs each on the file as it is and keeps what the last one makes, so only that one counts
    /// (cli.md §12).
    fn translate_file(
        self,
        file: OsString,
        rest: Vec<OsString>,
        commands: &Command,
    ) -> Result<Translated, CommandError> {
        let mode = self.mode();
        self.check_missing_file(&file, &rest)?;
        let mut modes = self.modes;
        modes.extend((mode == "set").then_some(mode));
        modes.sort_unstable();
        modes.dedup();
        let mut warnings: Vec<_> = (modes.len() > 1).then_some(SEVERAL_MODES).into_iter().collect();
        // v1 knows one set of flags, and passes over those that a mode has no use for
        let command = commands.find_subcommand(mode).unwrap_or(commands);
        let useful = self.flags.into_iter().filter(|flag| !flag.is_for_others(command, commands));
        let mut arguments: Vec<OsString> = vec![mode.into()];
        arguments.extend(useful.flat_map(|flag| flag.words));
        let mut meant = None;
        match mode {
            // it has three positionals, which may look like flags
            "set" => {
                let (path, value) = split_set(&self.set)?;
                let (flags, surplus) = apart(rest, |name| flag_takes_value(commands, name));
                warnings.extend((!surplus.is_empty()).then_some(super::place::SURPLUS));
                arguments.extend(flags);
                arguments.extend(["--".into(), file, path.into(), value.into()]);
            }
            _ => {
                arguments.extend([file].into_iter().chain(rest));
                meant = if mode == "edit" { nearest_command(&arguments, commands) } else { None };
            }
        }
        Ok(Translated { arguments, warnings, meant })
    }

    /// What v1 says of a file that is not there (cli.md §6.1).
    fn check_missing_file(&self, file: &OsStr, rest: &[OsString]) -> Result<(), CommandError> {
        let path = absolute(file.as_ref())?;
        if exists(&path) {
            return Ok(());
        }
        let later = rest.iter().filter_map(|argument| Flag::of(argument)).map(|flag| flag.name);
        let mut names = self.flags.iter().map(|flag| flag.name.clone()).chain(later);
        if names.any(|name| name.starts_with("add-") || name.starts_with("rm-")) {
            return Err(CommandError::NoFileForKeys(path));
        }
        if self.mode() == "rotate" { Err(CommandError::NoSuchFile(path)) } else { Ok(()) }
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
            value => match parse_bool(value.as_bytes()) {
                Ok(true) => Ok(VersionDetail::Bare),
                Ok(false) => Ok(VersionDetail::Full),
                Err(_) => Err(CommandError::BadBoolean {
                    flag: "disable-version-check".to_owned(),
                    value: value.to_owned(),
                }),
            },
        }
    }
}

/// `PATH VALUE`, cut behind the first bracket that a blank follows (cli.md §12).
fn split_set(text: &str) -> Result<(&str, &str), CommandError> {
    let at = text.find("] ").ok_or(CommandError::LegacySet)?;
    Ok((&text[..=at], &text[at + 2..]))
}

/// Flags with their values, and what else there is.
fn apart(arguments: Vec<OsString>, takes_value: impl Fn(&str) -> bool) -> (Vec<OsString>, Vec<OsString>) {
    let (mut flags, mut others) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match Flag::of(&argument) {
            Some(flag) if flag.is_terminator() => others.extend(arguments.by_ref()),
            Some(flag) => {
                let needs_value = flag.value.is_none() && takes_value(&flag.name);
                flags.push(argument);
                flags.extend(needs_value.then(|| arguments.next()).flatten());
            }
            None => others.push(argument),
        }
    }
    (flags, others)
}

/// The command that may have been meant with the name of a file.
fn nearest_command(arguments: &[OsString], commands: &Command) -> Option<String> {
    /// Letters that may be wrong.
    const MOST: usize = 2;
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let near = |word: &str| {
        let names = commands.get_subcommands().map(Command::get_name);
        let distances = names.map(|name| (strsim::osa_distance(word, name), name));
        distances.filter(|(distance, name)| *distance <= MOST && *distance < name.len() / 2).min()
    };
    words.filter_map(near).min().map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> String {
        let arguments = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from).collect();
        match translate(arguments, &crate::cli::command_line()) {
            Ok(Invocation::Command(Translated { arguments, .. })) => {
                arguments.iter().map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
            }
            Ok(Invocation::Version(_)) => "version".to_owned(),
            Ok(Invocation::Suggestions(_)) => "suggestions".to_owned(),
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
            ("--d=false f.yaml", "edit f.yaml"),
            ("f.yaml -s", "edit f.yaml -s"),
            ("-i --output x f.yaml", "edit f.yaml"),
            ("-e -d f.yaml", "decrypt f.yaml"),
            ("-r -i f.yaml", "error"),
            ("--add-age R f.yaml", "error"),
            ("-i --set [\"a\"][0]:-1 --config c f.yaml --idempotent x", "error"),
            ("--set= f.yaml", "edit f.yaml"),
            ("publish f.yaml", if cfg!(feature = "publish") { "publish f.yaml" } else { "error" }),
            ("./publish", "edit ./publish"),
            ("--version decrypt f", "version"),
            ("-d --mac-only-encrypted f.yaml", "decrypt f.yaml"),
            ("-d=x f.yaml", "error"),
            ("--nonsense -d f.yaml", "error"),
            ("--config", "error"),
            ("", "error"),
        ] {
            assert_eq!(translated(line), command, "{line}");
        }
    }

    #[test]
    fn the_value_of_set_is_cut_behind_the_first_bracket_that_a_blank_follows() {
        let set = |text: &str, after: &[&str]| {
            let line = ["-i", "--set", text, "f.yaml"].iter().chain(after).map(OsString::from).collect();
            match translate(line, &crate::cli::command_line()) {
                Ok(Invocation::Command(Translated { arguments, warnings, .. })) => {
                    (arguments, !warnings.is_empty())
                }
                _ => panic!("{text}"),
            }
        };
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(set(r#"["a"][0] -1"#, &[]), (words(&["set", "--", "f.yaml", r#"["a"][0]"#, "-1"]), false));
        assert_eq!(
            set(r#"["a"]  "x] y""#, &["--input-type", "yaml", "g"]),
            (words(&["set", "--input-type", "yaml", "--", "f.yaml", r#"["a"]"#, r#" "x] y""#]), true)
        );
        assert!(split_set(r#"["a"]"x""#).is_err());
    }

    #[test]
    fn a_misspelt_command_is_a_file_with_a_guess() {
        let meant = |word: &str| match translate(vec![word.into()], &crate::cli::command_line()) {
            Ok(Invocation::Command(translated)) => translated.meant,
            _ => panic!("{word}"),
        };
        assert_eq!(meant("encript").as_deref(), Some("encrypt"));
        assert_eq!(meant("dcerypt").as_deref(), Some("decrypt"));
        for word in ["secrets.yaml", "a", "test"] {
            assert_eq!(meant(word), None, "{word}");
        }
    }

    #[test]
    fn root_flags_reach_the_command() {
        assert_eq!(translated("--age R --verbose encrypt f"), "encrypt --age R --verbose f");
        assert_eq!(translated("--ignore-mac decrypt f"), "decrypt --ignore-mac f");
        assert_eq!(translated("--config c groups add -file f"), "groups add --config c --file f");
        assert_eq!(translated("--ignore-mac encrypt f"), "error");
        // the parser names the flag, and the one that may be meant
        assert_eq!(translated("--nonsense=1 encrypt f"), "encrypt --nonsense=1 f");
    }

    #[test]
    fn help_is_found_wherever_it_is_asked_for() {
        for (line, command) in [
            ("help", "--help"),
            ("h", "--help"),
            ("--help decrypt", "--help"),
            ("-h=true", "--help"),
            ("help decrypt", "decrypt --help"),
            ("h help", "--help"),
            ("help nonsense", "error"),
            ("decrypt -help=false f", "decrypt f"),
            ("decrypt -h=1 f", "decrypt --help f"),
        ] {
            assert_eq!(translated(line), command, "{line}");
        }
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
