//! Other programs: the words of their command line, and how they ended, in the reference's words (cli.md §10.2).

use std::fmt;
use std::process::ExitStatus;

/// Why a command line cannot be split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsError {
    /// A quote is not closed.
    OpenQuote,
    /// A backslash ends the text.
    OpenEscape,
}

impl fmt::Display for WordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenQuote => "EOF found when expecting closing quote",
            Self::OpenEscape => "EOF found after escape character",
        })
    }
}

impl std::error::Error for WordsError {}

/// Splits like a shell's word list, nothing expanded. Within `"…"` every escaped character stands for itself,
/// which is why no crate fits: POSIX keeps most backslashes there.
pub fn words(command: &str) -> Result<Vec<String>, WordsError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                chars.by_ref().find(|c| *c == '\n');
            }
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(WordsError::OpenEscape)?),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The rest of a quoted part.
fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), WordsError> {
    loop {
        match chars.next().ok_or(WordsError::OpenQuote)? {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => word.push(chars.next().ok_or(WordsError::OpenEscape)?),
            c => word.push(c),
        }
    }
}

/// How a program ended: `exit status 1`, `signal: killed`.
pub fn status_text(status: ExitStatus) -> String {
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

#[cfg(test)]
mod tests {
    use super::{WordsError, words};

    #[test]
    fn words_are_split_without_a_shell() {
        let is = |text: &str, expected: &[&str]| {
            assert_eq!(words(text), Ok(expected.iter().map(|word| (*word).to_owned()).collect()), "{text}");
        };
        is("a  b\tc\nd", &["a", "b", "c", "d"]);
        is(r#"a 'b c' "d e" f\ g"#, &["a", "b c", "d e", "f g"]);
        is(r#"a"b"'c' "" $HOME"#, &["abc", "", "$HOME"]);
        is(r#""a\"\b" 'a\'"#, &[r#"a"b"#, r"a\"]);
        is("a#b # comment 'x\nc", &["a#b", "c"]);
        is(" # only", &[]);
        assert_eq!(words("a 'b"), Err(WordsError::OpenQuote));
        assert_eq!(words(r"a\"), Err(WordsError::OpenEscape));
    }
}
