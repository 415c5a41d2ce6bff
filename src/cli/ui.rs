//! Log lines and standard output (cli.md §5).

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use rsops::keys::Words;

use super::environment;
use super::error::CommandError;
use super::key_changes::Colours;

/// A text for a terminal, or for a log that a program reads line by line: names of files can hold what they like.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Who speaks (cli.md §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    Audit,
    Cmd,
    Sops,
    Age,
    Pgp,
    AwsKms,
    GcpKms,
    HcKms,
    AzureKv,
    HcVault,
    #[cfg(feature = "keyservice")]
    KeyService,
    #[cfg(feature = "publish")]
    Publish,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
    Panic,
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Audit => "AUDIT",
            Self::Cmd => "CMD",
            Self::Sops => "SOPS",
            Self::Age => "AGE",
            Self::Pgp => "PGP",
            Self::AwsKms => "AWSKMS",
            Self::GcpKms => "GCPKMS",
            Self::HcKms => "HCKMS",
            Self::AzureKv => "AZKV",
            Self::HcVault => "VAULT_TRANSIT",
            #[cfg(feature = "keyservice")]
            Self::KeyService => "KEYSERVICE",
            #[cfg(feature = "publish")]
            Self::Publish => "PUBLISH",
        }
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
        }
    }

    /// Four letters and their colour, for terminals.
    fn short(self) -> (&'static str, u8) {
        match self {
            Self::Debug => ("DEBU", 37),
            Self::Info => ("INFO", 36),
            Self::Warning => ("WARN", 33),
            Self::Error => ("ERRO", 31),
            Self::Fatal => ("FATA", 31),
            Self::Panic => ("PANI", 31),
        }
    }
}

/// What is shown, and how.
pub(super) struct Ui {
    verbose: bool,
    start: Instant,
}

impl Ui {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, start: Instant::now() }
    }

    /// Something that the reference warns of too, or that the user must know.
    pub(super) fn warn(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        self.log(component, Level::Warning, message, fields);
    }

    /// Something that went wrong, where the program does not end.
    pub(super) fn error(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        self.log(component, Level::Error, message, fields);
    }

    /// What ends the program.
    pub(super) fn fatal(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        self.log(component, Level::Fatal, message, fields);
    }

    /// The same where the reference crashes.
    pub(super) fn panic(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        self.log(component, Level::Panic, message, fields);
    }

    /// Shown with `--verbose`.
    pub(super) fn info(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        if self.verbose {
            self.log(component, Level::Info, message, fields);
        }
    }

    /// Shown with `--verbose`, of less interest.
    pub(super) fn debug(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        if self.verbose {
            self.log(component, Level::Debug, message, fields);
        }
    }

    /// What is done to which file: the lines of `updatekeys`, in a layout of their own (cli.md §5.3).
    pub(super) fn progress(&self, text: &str) {
        let time = jiff::ZonedDateTime::now().strftime("%Y/%m/%d %H:%M:%S").to_string();
        let _ = writeln!(io::stderr(), "{time} {text}");
    }

    /// Whether what is printed on standard output shall be coloured.
    pub(super) fn colours(&self) -> Colours {
        if colours_are_wanted() { Colours::On } else { Colours::Off }
    }

    /// Whether everything is to be said.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// A line on the terminal that the next one replaces; an empty one takes it away.
    pub(super) fn status(&self, text: &str) {
        let mut stderr = io::stderr();
        let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
    }

    /// A line for the person who waits.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn log(&self, component: Component, level: Level, message: &str, fields: &[(&str, &str)]) {
        let layout = if io::stderr().is_terminal() {
            Layout::Terminal { seconds: self.start.elapsed().as_secs(), colours: colours_are_allowed() }
        } else {
            Layout::File { time: now() }
        };
        let name = name(component, colours_are_wanted());
        let _ = writeln!(io::stderr(), "{name}\t {}", layout.entry(level, message, fields));
    }

    /// Writes a result to standard output.
    pub(super) fn print(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(CommandError::Stdout)
    }

    /// Writes a line to standard output.
    pub(super) fn print_line(&self, line: &str) -> Result<(), CommandError> {
        self.print(format!("{line}\n").as_bytes())
    }
}

/// The two layouts of an entry, depending on what standard error is (cli.md §5.2).
enum Layout {
    /// With the moment.
    File { time: String },
    /// With the seconds since the program started.
    Terminal { seconds: u64, colours: bool },
}

impl Layout {
    fn entry(&self, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
        let (word, colour) = level.short();
        let painted = |text: &str| match self {
            Self::Terminal { colours: true, .. } => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.to_owned(),
        };
        let mut entry = match self {
            Self::File { time } => format!("time={time:?} level={} msg={}", level.word(), quoted(message)),
            Self::Terminal { seconds, .. } => {
                let message = message.strip_suffix('\n').unwrap_or(message);
                format!("{}[{seconds:04}] {message:<44} ", painted(word))
            }
        };
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        for (name, value) in fields {
            let _ = write!(entry, " {}={}", painted(name), quoted(value));
        }
        entry
    }
}

/// The bracketed name; it follows standard output, as in the reference (cli.md §5.2).
fn name(component: Component, bold: bool) -> String {
    let name = component.name();
    if bold { format!("\x1b[1m[{name}]\x1b[22m") } else { format!("[{name}]") }
}

/// RFC 3339 in local time, with seconds.
fn now() -> String {
    let time = jiff::ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    time.strip_suffix("+00:00").map_or(time.clone(), |utc| format!("{utc}Z"))
}

/// Bare if it needs no quotes, else quoted as Go does (cli.md §5.2).
fn quoted(value: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if value.chars().all(is_bare) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for c in value.chars() {
        let _ = match c {
            '"' | '\\' => write!(text, "\\{c}"),
            '\n' => write!(text, "\\n"),
            '\t' => write!(text, "\\t"),
            '\r' => write!(text, "\\r"),
            '\x07' => write!(text, "\\a"),
            '\x08' => write!(text, "\\b"),
            '\x0b' => write!(text, "\\v"),
            '\x0c' => write!(text, "\\f"),
            c if c.is_ascii_control() => write!(text, "\\x{:02x}", u32::from(c)),
            c if c.is_control() => write!(text, "\\u{:04x}", u32::from(c)),
            c => write!(text, "{c}"),
        };
    }
    text.push('"');
    text
}

/// Waits for the line that says go on; of what is no terminal one byte is taken, and the rest left for who comes next
/// (cli.md §10.1). Returns whether anything came.
pub(super) fn wait_for_enter() -> bool {
    let stdin = io::stdin();
    let mut byte = [0_u8];
    loop {
        // past the buffer of `std`, which would take more than is asked for
        match rustix::io::read(&stdin, &mut byte[..]) {
            Ok(0) => return false,
            Ok(_) if byte == *b"\n" || !stdin.is_terminal() => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Standard output is a terminal, and colours do not disturb.
fn colours_are_wanted() -> bool {
    io::stdout().is_terminal() && colours_are_allowed()
}

/// Nothing speaks against colours (cli.md §5.2, and what other programs go by).
fn colours_are_allowed() -> bool {
    allows_colours(environment::text)
}

fn allows_colours(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("NO_COLOR").unwrap_or_default().is_empty()
        && variable("CLICOLOR").as_deref() != Some("0")
        && variable("TERM").as_deref() != Some("dumb")
}

/// How success and failure of keys are told (cli.md §5.4: standard output decides, also for standard error).
pub(super) fn recovery_words() -> Words {
    if colours_are_wanted() {
        Words { success: "\x1b[32mSUCCESS\x1b[0m", failed: "\x1b[31mFAILED\x1b[0m" }
    } else {
        Words::PLAIN
    }
}

/// A bug shows as one line, without a trace and without the data that it was about.
pub(super) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(io::stderr(), "error: rsops has a bug: it stopped at {place}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_the_moment_and_sorted_fields() {
        let layout = Layout::File { time: "2026-11-22T08:51:17Z".to_owned() };
        assert_eq!(
            layout.entry(
                Level::Warning,
                "flag provided but not defined: -foo",
                &[("b", "x y"), ("a", "age1/+")]
            ),
            r#"time="2026-11-22T08:51:17Z" level=warning msg="flag provided but not defined: -foo" a=age1/+ b="x y""#
        );
        assert_eq!(
            layout.entry(Level::Debug, "bare", &[]),
            "time=\"2026-11-22T08:51:17Z\" level=debug msg=bare"
        );
    }

    #[test]
    fn terminals_get_seconds_and_colours() {
        let entry = |colours| {
            let layout = Layout::Terminal { seconds: 7, colours };
            layout.entry(Level::Info, "Encryption succeeded\n", &[("recipient", "age1x")])
        };
        let message = format!("{:<44} ", "Encryption succeeded");
        assert_eq!(
            entry(true),
            format!("\x1b[36mINFO\x1b[0m[0007] {message} \x1b[36mrecipient\x1b[0m=age1x")
        );
        assert_eq!(entry(false), format!("INFO[0007] {message} recipient=age1x"));
    }

    #[test]
    fn names_are_bold_where_colours_are_shown() {
        assert_eq!(name(Component::Cmd, false), "[CMD]");
        assert_eq!(name(Component::HcVault, true), "\x1b[1m[VAULT_TRANSIT]\x1b[22m");
    }

    #[test]
    fn three_variables_switch_colours_off() {
        let with = |name: &'static str, value: &'static str| {
            allows_colours(|asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(with("TERM", "xterm") && with("NO_COLOR", "") && with("CLICOLOR", "1"));
        assert!(!with("TERM", "dumb") && !with("NO_COLOR", "1") && !with("CLICOLOR", "0"));
    }

    #[test]
    fn values_are_quoted_as_go_does() {
        for (value, shown) in [
            ("", ""),
            ("a-b.c_d/e@f^g+h", "a-b.c_d/e@f^g+h"),
            (" plain", r#"" plain""#),
            ("\"\\\n\t\u{7f}\u{1b}\u{85}é'", r#""\"\\\n\t\x7f\x1b\u0085é'""#),
        ] {
            assert_eq!(quoted(value), shown);
        }
    }

    #[test]
    fn the_moment_has_seconds_and_a_zone() {
        let time = now();
        let (moment, zone) = time.split_at(19);
        assert_eq!(moment.matches(['-', ':', 'T']).count(), 5, "{time}");
        assert!(zone == "Z" || zone.len() == 6, "{time}");
    }
}
