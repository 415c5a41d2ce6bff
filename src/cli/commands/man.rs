//! `rsops man`: manual pages, and the same in Markdown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};
use clap_mangen::roff::{Roff, bold, roman};

use crate::cli::error::CommandError;
use crate::cli::help::{EXIT_STATUS, VARIABLES, examples, presented};
use crate::cli::markdown;
use crate::cli::ui::Ui;
use crate::cli::write_file::write_file;

/// Write the manual pages into a directory
#[derive(Args)]
pub(crate) struct Man {
    /// The directory; it is made if it does not exist
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "markdown")]
    directory: Option<PathBuf>,
    /// Print all of it as one Markdown page instead
    #[arg(long, conflicts_with = "directory")]
    markdown: bool,
}

impl Man {
    pub(crate) fn run(&self) -> Result<(), CommandError> {
        let mut commands = presented();
        commands.build();
        match &self.directory {
            Some(directory) => write_pages(&commands, directory),
            None => Ui::new(false).print(markdown::page(&commands).as_bytes()),
        }
    }
}

fn write_pages(commands: &Command, directory: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for command in with_pages(commands) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = directory.join(format!("{name}.1"));
        page(commands, command)
            .and_then(|page| write_file(&path, &page))
            .map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn failed(path: &Path, error: io::Error) -> CommandError {
    CommandError::Write { in_place: false, path: path.to_owned(), error }
}

/// All commands but those, like shells of `completion`, of which there is nothing to say but what they are.
fn with_pages(command: &Command) -> Vec<&Command> {
    let inner = command.get_subcommands().filter(|inner| {
        let has_options = inner.get_arguments().any(|argument| argument.get_long() != Some("help"));
        has_options || inner.has_subcommands()
    });
    std::iter::once(command).chain(inner.flat_map(with_pages)).collect()
}

fn page(commands: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let name = commands.get_name();
    let man = clap_mangen::Man::new(command.clone())
        .source(format!("{name} {}", env!("CARGO_PKG_VERSION")))
        .manual(format!("{name} manual"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if command.get_name() == name {
        root_sections(commands).to_writer(&mut page)?;
    } else {
        see_also(name).to_writer(&mut page)?;
    }
    Ok(page)
}

/// What holds for all commands.
fn root_sections(commands: &Command) -> Roff {
    let mut roff = Roff::new();
    let mut list = |title: &str, rows: &[(&str, &str)]| {
        roff.control("SH", [title]);
        for (left, right) in rows {
            roff.control("TP", []);
            roff.text([bold(*left)]);
            roff.text([roman(*right)]);
        }
    };
    list("ENVIRONMENT", &VARIABLES);
    list("EXIT STATUS", &EXIT_STATUS);
    let examples = examples(commands);
    list("EXAMPLES", &examples.iter().map(|(line, meaning)| (line.as_str(), *meaning)).collect::<Vec<_>>());
    roff
}

fn see_also(name: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(name), roman("(1): environment, exit status, examples")]);
    roff
}
