//! Why no data key was recovered, told per group, key and service (cli.md §7.4).

use std::fmt;

use super::Key;
use crate::data_key::WrongLength;
use crate::shamir::ShamirError;

/// How a line begins that says what helps, see [`hinted`](super::remote::hinted).
const HINT: &str = "hint: ";

/// A key that no service could use.
#[derive(Clone, Debug)]
pub struct KeyFailure {
    /// Name of the key.
    pub name: String,
    /// One error a service, hints included.
    pub errors: Vec<String>,
}

impl KeyFailure {
    /// Names come from files and errors from servers, so nothing of them moves the cursor of a terminal.
    pub(super) fn new(key: &Key, errors: &[String]) -> Self {
        let errors =
            errors.iter().map(|error| printable(&error.replace("\r\n", "\n"), &['\n', '\t'])).collect();
        Self { name: printable(&key.shown(), &[]), errors }
    }

    /// What went wrong at each service.
    pub(super) fn reasons(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(|error| {
            let lines: Vec<&str> = error.split('\n').filter(|line| !line.starts_with(HINT)).collect();
            lines.join("\n")
        })
    }

    fn hints(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().flat_map(|error| error.split('\n')).filter_map(|line| line.strip_prefix(HINT))
    }
}

/// What helps, each once. It is told of which keys, unless it is the same for all.
pub(super) fn hints(failures: &[KeyFailure]) -> Vec<String> {
    let mut hints: Vec<(&str, Vec<&str>)> = Vec::new();
    for failure in failures {
        for hint in failure.hints() {
            let at = hints.iter().position(|(known, _)| *known == hint).unwrap_or(hints.len());
            if at == hints.len() {
                hints.push((hint, Vec::new()));
            }
            let keys = &mut hints[at].1;
            if !keys.contains(&failure.name.as_str()) {
                keys.push(&failure.name);
            }
        }
    }
    let is_for_all = |keys: &[&str]| failures.iter().all(|failure| keys.contains(&failure.name.as_str()));
    let told = |(hint, keys): (&str, Vec<&str>)| match is_for_all(&keys) {
        true => hint.to_owned(),
        false => format!("{}: {hint}", keys.join(", ")),
    };
    hints.into_iter().map(told).collect()
}

fn printable(text: &str, kept: &[char]) -> String {
    let shown = |c: char| if c.is_control() && !kept.contains(&c) { '\u{FFFD}' } else { c };
    text.chars().map(shown).collect()
}

/// What became of a group.
#[derive(Clone, Debug)]
pub enum GroupOutcome {
    /// A key of it succeeded.
    Recovered,
    /// None did.
    Failed(Vec<KeyFailure>),
}

/// Why the data key could not be recovered.
#[derive(Clone, Debug)]
pub enum RecoverError {
    /// Fewer groups succeeded than are needed.
    NotEnough {
        /// All groups, in order.
        groups: Vec<GroupOutcome>,
        /// As stored; 0 if nothing is.
        threshold: usize,
        /// Groups that succeeded.
        recovered: usize,
    },
    /// The shares do not fit together.
    Shamir(ShamirError),
    /// Something was recovered that is no data key.
    Length(WrongLength),
    /// Servers cannot be asked.
    Runtime(String),
}

/// How success and failure are told. A terminal shows them in colours (cli.md §5.4).
pub struct Words {
    /// Of a group that was recovered.
    pub success: &'static str,
    /// Of a group or a key that was not.
    pub failed: &'static str,
}

impl Words {
    /// Without colours.
    pub const PLAIN: Self = Self { success: "SUCCESS", failed: "FAILED" };
}

/// Widths at which texts are wrapped.
const ERROR_WIDTH: usize = 60;
const TEXT_WIDTH: usize = 75;

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(&Words::PLAIN))
    }
}

impl std::error::Error for RecoverError {}

impl RecoverError {
    /// How many groups would have had to succeed, and how many did.
    pub fn needed_and_recovered(&self) -> Option<(usize, usize)> {
        match self {
            Self::NotEnough { groups, threshold, recovered } if groups.len() > 1 => {
                Some(((*threshold).max(1), *recovered))
            }
            Self::NotEnough { recovered, .. } => Some((1, *recovered)),
            Self::Shamir(_) | Self::Length(_) | Self::Runtime(_) => None,
        }
    }

    /// What may help: a line each, and each once.
    pub fn hints(&self) -> Vec<String> {
        let Self::NotEnough { groups, .. } = self else { return Vec::new() };
        let failures = groups.iter().filter_map(|group| match group {
            GroupOutcome::Recovered => None,
            GroupOutcome::Failed(failures) => Some(failures.as_slice()),
        });
        hints(&failures.collect::<Vec<_>>().concat())
    }

    /// All that is known but the hints: what became of each group, key and service, and what would have been needed.
    pub fn text(&self, words: &Words) -> String {
        let (groups, threshold, recovered) = match self {
            Self::Shamir(error) => return format!("could not get data key from shamir parts: {error}"),
            Self::Length(error) => return error.to_string(),
            Self::Runtime(reason) => return reason.clone(),
            Self::NotEnough { groups, threshold, recovered } => (groups, *threshold, *recovered),
        };
        let mut text = "Failed to get the data key required to decrypt the SOPS file.\n\n".to_owned();
        for (number, group) in groups.iter().enumerate() {
            text += &match group {
                GroupOutcome::Recovered => format!("Group {number}: {}\n\n", words.success),
                GroupOutcome::Failed(keys) => {
                    format!("Group {number}: {}\n{}\n\n", words.failed, indent(&key_blocks(keys, words)))
                }
            };
        }
        text + &wrap(&trailer(threshold, recovered), TEXT_WIDTH)
    }
}

fn key_blocks(keys: &[KeyFailure], words: &Words) -> String {
    let block = |key: &KeyFailure| {
        let items: Vec<String> = key.reasons().map(|reason| item(&reason)).collect();
        format!("{}: {}\n{}", key.name, words.failed, indent(&items.join("\n\n")))
    };
    keys.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// The error of one service: a bar in front of each line, a dash before the first.
fn item(error: &str) -> String {
    let wrapped = wrap(error, ERROR_WIDTH);
    let barred: Vec<String> = wrapped.lines().map(|line| format!("  | {line}")).collect();
    format!("-{}", &barred.join("\n")[1.min(barred.len())..])
}

/// Two blanks in front of every line, the empty ones too.
fn indent(text: &str) -> String {
    text.split_inclusive('\n').map(|line| format!("  {line}")).collect()
}

fn trailer(threshold: usize, recovered: usize) -> String {
    if threshold == 0 {
        return "Recovery failed because no master key was able to decrypt the file. In order for SOPS to recover \
                the file, at least one key has to be successful, but none were."
            .to_owned();
    }
    format!(
        "Recovery failed because the file was encrypted with a Shamir threshold of {threshold}, but only {recovered} \
         part(s) were successfully recovered, one for each successful key group. In order for SOPS to recover the \
         file, at least {threshold} groups have to be successful. In order for a group to be successful, decryption \
         has to succeed with any of the keys in that key group."
    )
}

/// Breaks lines between words so that none is longer than `width`, if no word is (cli.md §7.5).
fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len() + text.len() / width + 1);
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            wrapped.push('\n');
        }
        let mut column = 0;
        let mut rest = line;
        while !rest.is_empty() {
            let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
            let (gap, behind) = rest.split_at(blanks);
            let word_end = behind.find(is_blank).unwrap_or(behind.len());
            let (word, behind) = behind.split_at(word_end);
            let (gap_width, word_width) = (gap.chars().count(), word.chars().count());
            if column > 0 && column + gap_width + word_width > width && word_width > 0 {
                wrapped.push('\n');
                column = 0;
            } else {
                wrapped.push_str(gap);
                column += gap_width;
            }
            wrapped.push_str(word);
            column += word_width;
            rest = behind;
        }
    }
    wrapped
}

/// A no-break space holds words together.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\u{A0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_that_of_the_reference() {
        let error = RecoverError::NotEnough {
            groups: vec![
                GroupOutcome::Recovered,
                GroupOutcome::Failed(vec![KeyFailure {
                    name: "age1c8kz".to_owned(),
                    errors: vec![
                        "failed to create reader for decrypting sops data key with age: identity did not match any of \
                         the recipients: incorrect identity for recipient block."
                            .to_owned(),
                        "rpc error".to_owned(),
                    ],
                }]),
            ],
            threshold: 2,
            recovered: 1,
        };
        let expected = "\
Failed to get the data key required to decrypt the SOPS file.

Group 0: SUCCESS

Group 1: FAILED
  age1c8kz: FAILED
    - | failed to create reader for decrypting sops data key with
      | age: identity did not match any of the recipients: incorrect
      | identity for recipient block.
\x20\x20\x20\x20
    - | rpc error

Recovery failed because the file was encrypted with a Shamir threshold of
2, but only 1 part(s) were successfully recovered, one for each successful
key group. In order for SOPS to recover the file, at least 2 groups have to
be successful. In order for a group to be successful, decryption has to
succeed with any of the keys in that key group.";
        assert_eq!(error.to_string(), expected);
        let coloured = error.text(&Words { success: "<yes>", failed: "<no>" });
        assert_eq!(coloured, expected.replace("SUCCESS", "<yes>").replace("FAILED", "<no>"));
    }

    /// Guards against hints that are wrapped between bars, where commands cannot be copied, and told for every key anew.
    #[test]
    fn hints_stand_beside_the_text() {
        let key = |name: &str, errors: &[&str]| KeyFailure {
            name: name.to_owned(),
            errors: errors.iter().map(|error| (*error).to_owned()).collect(),
        };
        let group = GroupOutcome::Failed(vec![
            key("a", &["no identity", "expired\nhint: `vault login`"]),
            key("b", &["expired\nhint: `vault login`"]),
            key("c", &["unknown"]),
        ]);
        let groups = vec![GroupOutcome::Recovered, group];
        let error = RecoverError::NotEnough { groups, threshold: 2, recovered: 1 };
        assert_eq!(error.hints(), ["a, b: `vault login`"]);
        let text = error.to_string();
        assert!(
            text.contains("  b: FAILED\n    - | expired\n  \n  c: FAILED") && !text.contains("hint"),
            "{text}"
        );
    }

    #[test]
    fn without_any_service_only_the_keys_are_listed() {
        let key = |name: &str| KeyFailure { name: name.to_owned(), errors: Vec::new() };
        let error = RecoverError::NotEnough {
            groups: vec![GroupOutcome::Failed(vec![key("age1a"), key("age1b")])],
            threshold: 0,
            recovered: 0,
        };
        let expected = "Group 0: FAILED\n  age1a: FAILED\n  \n  \n  age1b: FAILED\n\n\nRecovery failed";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
