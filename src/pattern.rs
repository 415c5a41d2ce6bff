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
            // what Go compiles must compile
            .size_limit(MOST_MEMORY)
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

/// Bytes that an expression may take; repetitions of large classes need much.
const MOST_MEMORY: usize = 512 << 20;

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
/// know no nesting and no set operations, repetitions cannot be repeated, and some of the crate's syntax does not exist.
fn translate(text: &str) -> Result<String, PatternError> {
    let mut translation =
        Translation { out: String::with_capacity(text.len() + 16), rest: text, groups: Vec::new() };
    translation.expression()?;
    Ok(translation.out)
}

struct Translation<'a> {
    out: String,
    /// What is not translated yet.
    rest: &'a str,
    /// Names of groups.
    groups: Vec<&'a str>,
}

/// RE2 repeats nothing more often.
const MOST_REPETITIONS: u64 = 1000;

impl<'a> Translation<'a> {
    fn expression(&mut self) -> Result<(), PatternError> {
        // whether what was read last is a repetition
        let mut repeats = false;
        while let Some(c) = self.rest.chars().next() {
            if let Some(length) = self.repetition()? {
                if repeats {
                    return refuse("invalid nested repetition operator");
                }
                self.copy(length);
                if self.rest.starts_with('?') {
                    self.copy(1);
                }
                repeats = true;
                continue;
            }
            repeats = false;
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' | '}' => {
                    self.out.push('\\');
                    self.copy(1);
                }
                c => self.copy(c.len_utf8()),
            }
        }
        Ok(())
    }

    /// Takes bytes over as they are.
    fn copy(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.out += taken;
        self.rest = rest;
    }

    fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let next = rest.next();
        self.rest = rest.as_str();
        next
    }

    /// How long the repetition is that begins here: `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`. Other braces stand for
    /// themselves.
    fn repetition(&self) -> Result<Option<usize>, PatternError> {
        let Some(rest) = self.rest.strip_prefix('{') else {
            return Ok(self.rest.starts_with(['*', '+', '?']).then_some(1));
        };
        let Some((inside, _)) = rest.split_once('}') else { return Ok(None) };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(least) || !(most.is_empty() || is_number(most)) {
            return Ok(None);
        }
        if [least, most]
            .iter()
            .any(|n| n.parse().unwrap_or(if n.is_empty() { 0 } else { u64::MAX }) > MOST_REPETITIONS)
        {
            return refuse("invalid repeat count");
        }
        Ok(Some(inside.len() + 2))
    }

    /// `(`: names of groups are of no use here, and flags that only the crate knows do not exist. Look-around is left
    /// to the crate, which refuses it as Go does.
    fn group(&mut self) -> Result<(), PatternError> {
        let named = self.rest.strip_prefix("(?P<").or_else(|| self.rest.strip_prefix("(?<"));
        if let Some(named) = named.filter(|named| !named.starts_with(['=', '!'])) {
            let (name, rest) = named.split_once('>').unwrap_or_default();
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || self.groups.contains(&name) {
                return refuse("invalid named capture");
            }
            self.groups.push(name);
            self.out.push('(');
            self.rest = rest;
            return Ok(());
        }
        let flags = self.rest.strip_prefix("(?").and_then(|rest| rest.split([')', ':']).next());
        if flags.is_some_and(|flags| flags.contains(['x', 'R', 'u'])) {
            return refuse("invalid or unsupported Perl syntax: `(?`");
        }
        // what is in the parenthesis of flags is no repetition
        self.copy(if flags.is_some() { 2 } else { 1 });
        Ok(())
    }

    fn class(&mut self) -> Result<(), PatternError> {
        self.copy(if self.rest.starts_with("[^") { 2 } else { 1 });
        let mut at_start = true;
        loop {
            match self.rest.chars().next() {
                None => return refuse("missing closing ]"),
                Some(']') if !at_start => {
                    self.copy(1);
                    return Ok(());
                }
                Some('\\') => self.escape(true)?,
                // `[:alpha:]`
                Some('[') if self.rest.starts_with("[:") => {
                    let end = self.rest.find(":]").map_or(self.rest.len(), |end| end + 2);
                    self.copy(end);
                }
                Some(c @ (']' | '[' | '&' | '~')) => {
                    self.out.push('\\');
                    self.copy(c.len_utf8());
                }
                Some('-') if self.rest.starts_with("--") => {
                    self.out.push('\\');
                    self.copy(1);
                }
                Some(c) => self.copy(c.len_utf8()),
            }
            at_start = false;
        }
    }

    fn escape(&mut self, in_class: bool) -> Result<(), PatternError> {
        self.next();
        let Some(escaped) = self.next() else { return refuse(r"trailing backslash at end of expression") };
        match escaped {
            'Q' if !in_class => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out += &regex::escape(quoted);
                self.rest = rest;
            }
            'd' => self.out += if in_class { "0-9" } else { "[0-9]" },
            's' => self.out += if in_class { r"\t\n\x0C\r " } else { r"[\t\n\x0C\r ]" },
            'w' => self.out += if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" },
            'D' => self.out += "[^0-9]",
            'S' => self.out += r"[^\t\n\x0C\r ]",
            'W' => self.out += "[^0-9A-Za-z_]",
            'b' if !in_class => self.out += r"(?-u:\b)",
            'B' if !in_class => self.out += r"(?-u:\B)",
            'p' | 'P' => self.property(escaped == 'P')?,
            '0'..='7' => self.octal(escaped)?,
            'x' => self.hexadecimal()?,
            // the crate knows more than Go does
            'C' | 'u' | 'U' | '<' | '>' | 'G' | 'K' | 'X' | 'R' | 'h' | 'H' | 'N' | 'Z' | '8' | '9' => {
                return refuse(&format!(r"invalid escape sequence: `\{escaped}`"));
            }
            e if !e.is_ascii_alphanumeric() && !e.is_ascii_punctuation() => {
                return refuse(&format!(r"invalid escape sequence: `\{e}`"));
            }
            e => {
                self.out.push('\\');
                self.out.push(e);
            }
        }
        Ok(())
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`: categories and scripts, by the names that Go has for them.
    fn property(&mut self, mut negated: bool) -> Result<(), PatternError> {
        let name = match self.rest.strip_prefix('{') {
            Some(rest) => {
                let (name, rest) = rest.split_once('}').unwrap_or_default();
                self.rest = rest;
                name
            }
            None => {
                let (name, rest) = self.rest.split_at(self.rest.chars().next().map_or(0, char::len_utf8));
                self.rest = rest;
                name
            }
        };
        let name = name.strip_prefix('^').map_or(name, |name| {
            negated = !negated;
            name
        });
        let class = match name.len() {
            _ if !name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                return refuse("invalid character class range");
            }
            1 | 2 => format!("gc={name}"),
            _ if name == "Any" => "Any".to_owned(),
            _ => format!("sc={name}"),
        };
        self.out += &format!("\\{}{{{class}}}", if negated { 'P' } else { 'p' });
        Ok(())
    }

    /// `\x1b`, `\x{1b}`: in braces that are no repetition.
    fn hexadecimal(&mut self) -> Result<(), PatternError> {
        let digits = match self.rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').map(|(digits, rest)| {
                self.rest = rest;
                digits
            }),
            None => self.rest.split_at_checked(2).map(|(digits, rest)| {
                self.rest = rest;
                digits
            }),
        };
        let is_hexadecimal = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match digits.filter(is_hexadecimal).map(|digits| u32::from_str_radix(digits, 16)) {
            Some(Ok(code)) => {
                self.out += &format!(r"\x{{{code:x}}}");
                Ok(())
            }
            _ => refuse(r"invalid escape sequence: `\x`"),
        }
    }

    /// `\012`: up to three digits. One that is not zero and stands alone would be a back-reference.
    fn octal(&mut self, first: char) -> Result<(), PatternError> {
        let more = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if first != '0' && more == 0 {
            return refuse(&format!(r"invalid escape sequence: `\{first}`"));
        }
        let (digits, rest) = self.rest.split_at(more);
        self.rest = rest;
        let code =
            digits.bytes().fold(first as u32 - '0' as u32, |code, digit| code * 8 + u32::from(digit - b'0'));
        self.out += &format!(r"\x{{{code:x}}}");
        Ok(())
    }
}

fn refuse<T>(what: &str) -> Result<T, PatternError> {
    Err(PatternError(what.to_owned()))
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
        assert!(!found(r"^\p{^Cyrillic}+$", "ключ"));
        assert!(found(r"^\141\07$", "a\u{7}"), "octal");
        assert!(found(r"^\x41\x{42}\x{6F}[\x{6f}]{2}$", "ABooo"), "braces of a character are no repetition");
        assert!(found("^(?P<1a>a)(?<b>b)$", "ab"));
        assert!(found(r"^\pL{1,1000}$", "ключ"));
        assert!(found("^a{2,3}?}$", "aa}"));
    }

    #[test]
    fn what_the_reference_cannot_compile_is_an_error() {
        for pattern in [
            "(",
            r"\K",
            r"(a)\1",
            "(?=a)",
            "(?<=a)",
            "(?x)a",
            r"\u0041",
            r"\x4",
            r"\x{g}",
            r"\x{}",
            r"\x{62",
            r"\x{110000}",
            "a{1001}",
            "[z-a]",
            "*a",
            "a**",
            "a++",
            "a+*",
            "a*??",
            "a{2}{3}",
            "a?{2}",
            "(?P<a.b>a)",
            "(?P<a>b)(?P<a>c)",
            r"\p{Alphabetic}",
            r"\p{greek}",
            r"\8",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
