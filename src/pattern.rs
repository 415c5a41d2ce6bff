//! Regular expressions with the meaning that they have in the reference.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// A regular expression with the meaning that it has in the reference: RE2 syntax, searched, ASCII classes.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Pattern {
    /// Compiles an expression.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let translated = translate(text)?;
        let regex = RegexBuilder::new(&translated)
            .unicode(true)
            .build()
            .map_err(|error| PatternError(last_line(&error.to_string())))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether it is found anywhere in the text.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why an expression does not compile.
#[derive(Debug)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

/// The regex crate shows the expression with a marker below; the last line says what is wrong.
fn last_line(error: &str) -> String {
    let line = error.lines().next_back().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

/// RE2 as Go has it → the regex crate's dialect (format.md §3, advice).
///
/// Go's classes `\d \s \w` and boundaries are ASCII while `.` and `[^a]` match characters, `\Q…\E` quotes, classes
/// know no nesting and no set operations, and some of the crate's syntax does not exist.
fn translate(text: &str) -> Result<String, PatternError> {
    let refuse = |what: &str| Err(PatternError(what.to_owned()));
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    let mut in_class = false;
    let mut class_start = false;
    while let Some(c) = rest.next() {
        let at_class_start = std::mem::take(&mut class_start);
        match c {
            '\\' => match rest.next() {
                Some('Q') if !in_class => {
                    let mut quoted = String::new();
                    while let Some(q) = rest.next() {
                        if q == '\\' && rest.peek() == Some(&'E') {
                            rest.next();
                            break;
                        }
                        quoted.push(q);
                    }
                    out += &regex::escape(&quoted);
                }
                Some('d') => out += if in_class { "0-9" } else { "[0-9]" },
                Some('s') => out += if in_class { r"\t\n\x0C\r " } else { r"[\t\n\x0C\r ]" },
                Some('w') => out += if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" },
                Some('D') => out += "[^0-9]",
                Some('S') => out += r"[^\t\n\x0C\r ]",
                Some('W') => out += "[^0-9A-Za-z_]",
                Some('b') if !in_class => out += r"(?-u:\b)",
                Some('B') if !in_class => out += r"(?-u:\B)",
                Some('C') => return refuse(r"invalid escape sequence: `\C`"),
                Some(e @ ('u' | 'U' | '<' | '>' | 'G' | 'K' | 'X' | 'R' | 'h' | 'H' | 'N' | 'Z')) => {
                    return refuse(&format!(r"invalid escape sequence: `\{e}`"));
                }
                // the name of a class
                Some(e @ ('p' | 'P')) => {
                    out.push('\\');
                    out.push(e);
                    if rest.peek() == Some(&'{') {
                        out.extend(rest.by_ref().take_while(|c| *c != '}'));
                        out.push('}');
                    }
                }
                // octal
                Some('0') => {
                    let mut code = 0;
                    for _ in 0..2 {
                        let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
                        code = code * 8 + digit;
                        rest.next();
                    }
                    out += &format!(r"\x{{{code:x}}}");
                }
                Some(e @ '1'..='9') => return refuse(&format!(r"invalid escape sequence: `\{e}`")),
                Some(e) if !e.is_ascii_alphanumeric() && !e.is_ascii_punctuation() => {
                    return refuse(&format!(r"invalid escape sequence: `\{e}`"));
                }
                Some(e) => {
                    out.push('\\');
                    out.push(e);
                }
                None => return refuse(r"trailing backslash at end of expression"),
            },
            '[' if in_class => {
                let posix = rest.clone().next() == Some(':');
                out += if posix { "[" } else { r"\[" };
                if posix {
                    // `[:alpha:]` up to its end, so that the bracket does not end the class
                    while let Some(p) = rest.next() {
                        out.push(p);
                        if p == ':' && rest.peek() == Some(&']') {
                            out.extend(rest.next());
                            break;
                        }
                    }
                }
            }
            '[' => {
                (in_class, class_start) = (true, true);
                out.push('[');
                if rest.peek() == Some(&'^') {
                    out.extend(rest.next());
                }
            }
            ']' if in_class && at_class_start => out += r"\]",
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && rest.peek() == Some(&'-') => out += r"\-",
            '(' if !in_class && has_unknown_flags(rest.clone()) => {
                return refuse("invalid or unsupported Perl syntax: `(?`");
            }
            '{' if !in_class => match repetition(rest.clone()) {
                None => out += r"\{",
                Some(most) if most > MOST_REPETITIONS => return refuse("invalid repeat count"),
                Some(_) => out.push('{'),
            },
            '}' if !in_class && !out.ends_with(|c: char| c.is_ascii_digit() || c == ',') => out += r"\}",
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Whether `(` begins a group with flags that only the regex crate knows. Named groups and look-around are left to
/// the crate: it accepts the former and refuses the latter, as Go does.
fn has_unknown_flags(rest: std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut rest = rest.take_while(|c| !matches!(c, ')' | ':'));
    rest.next() == Some('?') && {
        let flags: String = rest.collect();
        !flags.starts_with(['P', '<', '=', '!']) && flags.contains(['x', 'R', 'u'])
    }
}

/// RE2 repeats nothing more often.
const MOST_REPETITIONS: u64 = 1000;

/// The larger count if `{` is followed by `n}`, `n,}` or `n,m}`; otherwise it stands for itself.
fn repetition(rest: std::iter::Peekable<std::str::Chars<'_>>) -> Option<u64> {
    let rest: String = rest.collect();
    let (inside, _) = rest.split_once('}')?;
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let least = number(least)?;
    if most.is_empty() { Some(least) } else { number(most).map(|most| most.max(least)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}")).matches(text.as_bytes())
    }

    #[test]
    fn expressions_mean_what_they_mean_in_the_reference() {
        assert!(found("^(data|stringData)$", "data"));
        assert!(!found("^(data|stringData)$", "metadata"));
        assert!(!found(r"^\d$", "٣"), "digits are ASCII");
        assert!(!found(r"^\w+$", "é"), "words are ASCII");
        assert!(!found(r"^\s$", "\u{b}"), "a vertical tab is no white space");
        assert!(found("^.$", "é"), "a dot is one character");
        assert!(found("^[^a]$", "é"));
        assert!(found(r"^\Qa.b\E$", "a.b"));
        assert!(!found(r"^\Qa.b\E$", "axb"));
        assert!(found("^[a&&b]+$", "a&b"), "classes know no intersection");
        assert!(found("^[[a]+$", "[a"), "classes do not nest");
        assert!(found("^[]a]+$", "]a"));
        assert!(found("^[[:alpha:]]+$", "abc"));
        assert!(found("^a{,2}$", "a{,2}"), "not a repetition");
        assert!(found(r"^[\w.]+$", "a.b"));
        assert!(found("(?i)^SECRET", "secret_x"));
        assert!(found(r"^\p{Cyrillic}+$", "ключ"));
    }

    #[test]
    fn what_the_reference_cannot_compile_is_an_error() {
        for pattern in ["(", r"\K", r"(a)\1", "(?=a)", "(?x)a", r"\u0041", "a{1001}", "[z-a]", "*a"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
