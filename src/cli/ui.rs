//! Log lines and standard output (cli.md §5).

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Instant;

use super::environment;
use super::error::CommandError;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    Cmd,
    Sops,
    #[cfg(feature = "age")]
    Age,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Info,
    Warning,
    Error,
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Cmd => "CMD",
            Self::Sops => "SOPS",
            #[cfg(feature = "age")]
            Self::Age => "AGE",
        }
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Four letters and their colour, for terminals.
    fn short(self) -> (&'static str, u8) {
        match self {
            Self::Info => ("INFO", 36),
            Self::Warning => ("WARN", 33),
            Self::Error => ("ERRO", 31),
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

    /// Shown with `--verbose`.
    pub(super) fn info(&self, component: Component, message: &str, fields: &[(&str, &str)]) {
        if self.verbose {
            self.log(component, Level::Info, message, fields);
        }
    }

    /// A line for the person who waits.
    #[cfg(feature = "age")]
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn log(&self, component: Component, level: Level, message: &str, fields: &[(&str, &str)]) {
        let name = if colours_are_wanted() {
            format!("\x1b[1m[{}]\x1b[22m", component.name())
        } else {
            format!("[{}]", component.name())
        };
        let entry = if io::stderr().is_terminal() {
            self.terminal_entry(level, message, fields)
        } else {
            file_entry(level, message, fields)
        };
        let _ = writeln!(io::stderr(), "{name}\t {entry}");
    }

    fn terminal_entry(&self, level: Level, message: &str, fields: &[(&str, &str)]) -> String {
        let (word, colour) = level.short();
        let seconds = self.start.elapsed().as_secs();
        let mut entry =
            format!("\x1b[{colour}m{word}\x1b[0m[{seconds:04}] {:<44} ", message.trim_end_matches('\n'));
        for (name, value) in fields {
            let _ = write!(entry, " \x1b[{colour}m{name}\x1b[0m={}", quoted(value));
        }
        entry
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

fn file_entry(level: Level, message: &str, fields: &[(&str, &str)]) -> String {
    let time = jiff::ZonedDateTime::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let time = time.strip_suffix("+00:00").map_or(time.clone(), |utc| format!("{utc}Z"));
    let mut entry = format!("time=\"{time}\" level={} msg={}", level.word(), quoted(message));
    for (name, value) in fields {
        let _ = write!(entry, " {name}={}", quoted(value));
    }
    entry
}

/// Bare if it needs no quotes (cli.md §5.2).
fn quoted(value: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !value.is_empty() && value.chars().all(is_bare) { value.to_owned() } else { format!("{value:?}") }
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

/// Standard output is a terminal that shows colours, and nobody minds.
fn colours_are_wanted() -> bool {
    io::stdout().is_terminal()
        && environment::text("NO_COLOR").unwrap_or_default().is_empty()
        && environment::text("CLICOLOR").as_deref() != Some("0")
        && environment::text("TERM").as_deref() != Some("dumb")
}

/// A bug shows as one line, without a trace and without the data that it was about.
pub(super) fn hide_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(io::stderr(), "error: rsops has a bug: it stopped at {place}; nothing was written");
    }));
}
