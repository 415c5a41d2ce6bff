//! Questions that are answered with y or n on standard input (cli.md §13.1).

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::{CommandError, os_text};
use super::ui::Ui;

/// Why there is no answer. Displays the reference's wording.
#[derive(Debug)]
pub(super) enum PromptError {
    /// The line is empty.
    Nothing,
    /// The line has several words.
    SeveralWords,
    /// There is no line.
    EndOfInput,
    Unreadable(io::Error),
}

impl fmt::Display for PromptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("unexpected newline"),
            Self::SeveralWords => f.write_str("expected newline"),
            Self::EndOfInput => f.write_str("EOF"),
            Self::Unreadable(error) => write!(f, "the answer cannot be read: {}", os_text(error)),
        }
    }
}

static TURN: Mutex<()> = Mutex::new(());

/// Whoever has a question waits until all others are answered: a key service has many, from several threads.
pub(super) fn wait_for_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks until the answer is y or n; any other word asks again. The question is printed as it is.
pub(super) fn confirm(ui: &Ui, question: &str) -> Result<bool, CommandError> {
    let _turn = wait_for_turn();
    loop {
        ui.print(question.as_bytes())?;
        let line = stdin_line().map_err(|error| CommandError::Prompt(PromptError::Unreadable(error)))?;
        match word(&line).map_err(CommandError::Prompt)?.as_str() {
            "y" => return Ok(true),
            "n" => return Ok(false),
            _ => {}
        }
    }
}

fn stdin_line() -> io::Result<Vec<u8>> {
    read_line(&mut File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Reads up to the end of the line and no further: what follows belongs to the next question, or to a program that is
/// started later.
fn read_line(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => line.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(line)
}

/// The only word of a line. The last line need not have an end.
fn word(line: &[u8]) -> Result<String, PromptError> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word.to_owned()),
        (Some(_), Some(_)) => Err(PromptError::SeveralWords),
        (None, _) if line.ends_with(b"\n") => Err(PromptError::Nothing),
        (None, _) => Err(PromptError::EndOfInput),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_word() {
        for (line, read) in [
            ("y\n", "y"),
            ("y", "y"),
            (" \ty \n", "y"),
            ("y\r\n", "y"),
            ("yes\n", "yes"),
            ("y y\n", "expected newline"),
            ("\n", "unexpected newline"),
            (" \n", "unexpected newline"),
            ("", "EOF"),
            (" ", "EOF"),
        ] {
            assert_eq!(word(line.as_bytes()).unwrap_or_else(|error| error.to_string()), read, "{line:?}");
        }
    }

    #[test]
    fn only_one_line_is_taken() {
        let mut input = &b"y\nn\nrest"[..];
        let mut line = || read_line(&mut input).expect("memory");
        assert_eq!((line(), line()), (b"y\n".to_vec(), b"n\n".to_vec()));
        assert_eq!(input, b"rest");
    }
}
