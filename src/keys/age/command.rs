//! Commands that print identities: split into words, run without a shell (keys.md §2.5, cli.md §10.2).

use std::fmt;
use std::io;
use std::process::{Command, ExitStatus, Stdio};

use zeroize::Zeroizing;

use crate::os_error::os_text;

/// Why a command gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// A quote is not closed.
    OpenQuote(String),
    /// A backslash ends the text.
    OpenEscape(String),
    /// It holds no word.
    Empty(String),
    /// It does not start.
    Start {
        /// The whole command.
        command: String,
        /// Which program.
        program: String,
        /// Why, in the system's words; not found in `PATH` if there is none.
        reason: Option<String>,
    },
    /// It ran and failed.
    Status {
        /// The whole command.
        command: String,
        /// How it ended.
        status: String,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote(command) => {
                write!(f, "failed to parse command {command}: EOF found when expecting closing quote")
            }
            Self::OpenEscape(command) => {
                write!(f, "failed to parse command {command}: EOF found after escape character")
            }
            Self::Empty(command) => write!(f, "failed to execute command {command}: the command is empty"),
            Self::Start { command, program, reason: None } => write!(
                f,
                "failed to execute command {command}: exec: {program:?}: executable file not found in $PATH"
            ),
            Self::Start { command, program, reason: Some(reason) } => {
                write!(f, "failed to execute command {command}: fork/exec {program}: {reason}")
            }
            Self::Status { command, status } => {
                write!(f, "failed to execute command {command}: {status}")
            }
        }
    }
}

impl std::error::Error for CommandError {}

/// Runs a command for this recipient; its output is the answer, what it says on stderr is dropped.
pub(super) fn run(command: &str, recipient: &str) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let words = split(command)?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(CommandError::Empty(command.to_owned()));
    };
    let output = Command::new(program)
        .args(arguments)
        .env("SOPS_AGE_RECIPIENT", recipient)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| CommandError::Start {
            command: command.to_owned(),
            program: program.clone(),
            reason: (!not_found_in_path(program, &error)).then(|| os_text(&error)),
        })?;
    let stdout = Zeroizing::new(output.stdout);
    if output.status.success() {
        Ok(stdout)
    } else {
        Err(CommandError::Status { command: command.to_owned(), status: status_text(output.status) })
    }
}

fn not_found_in_path(program: &str, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && !program.contains(std::path::is_separator)
}

fn status_text(status: ExitStatus) -> String {
    match (status.code(), signal_name(status)) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(name)) => format!("signal: {name}"),
        (None, None) => status.to_string(),
    }
}

/// The signals that end programs, in Go's words.
#[cfg(unix)]
fn signal_name(status: ExitStatus) -> Option<&'static str> {
    use std::os::unix::process::ExitStatusExt;
    Some(match status.signal()? {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        6 => "aborted",
        9 => "killed",
        11 => "segmentation fault",
        13 => "broken pipe",
        15 => "terminated",
        _ => return None,
    })
}

#[cfg(not(unix))]
fn signal_name(_: ExitStatus) -> Option<&'static str> {
    None
}

/// Splits like a shell's word list, nothing expanded. Within `"…"` every escaped character stands for itself,
/// which is why no crate fits: POSIX keeps most backslashes there.
pub(super) fn split(command: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                chars.by_ref().find(|c| *c == '\n');
            }
            '\\' => {
                let escaped = chars.next().ok_or_else(|| CommandError::OpenEscape(command.to_owned()))?;
                word.get_or_insert_default().push(escaped);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err(CommandError::OpenQuote(command.to_owned())),
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => {
                            let escaped = chars.next();
                            let escaped =
                                escaped.ok_or_else(|| CommandError::OpenEscape(command.to_owned()))?;
                            word.push(escaped);
                        }
                        Some(quoted) => word.push(quoted),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_without_a_shell() {
        let words = |text: &str| split(text).map_err(|e| e.to_string());
        let is = |text: &str, expected: &[&str]| {
            assert_eq!(words(text), Ok(expected.iter().map(|word| (*word).to_owned()).collect()), "{text}");
        };
        is("a  b\tc\nd", &["a", "b", "c", "d"]);
        is(r#"a 'b c' "d e" f\ g"#, &["a", "b c", "d e", "f g"]);
        is(r#"a"b"'c' "" $HOME"#, &["abc", "", "$HOME"]);
        is(r#""a\"\b" 'a\'"#, &[r#"a"b"#, r"a\"]);
        is("a#b # comment 'x\nc", &["a#b", "c"]);
        is(" # only", &[]);
        let quote = "failed to parse command a 'b: EOF found when expecting closing quote";
        assert_eq!(words("a 'b"), Err(quote.to_owned()));
        let escape = r"failed to parse command a\: EOF found after escape character";
        assert_eq!(words(r"a\"), Err(escape.to_owned()));
    }
}
