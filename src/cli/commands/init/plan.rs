//! What `init` is going to do: shown first, done as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rsops::keys::age::NewIdentity;
use rsops::keys::secrecy::ExposeSecret as _;
use rustix::fs::{Access, access};

use crate::cli::error::CommandError;
use crate::cli::ui::printable;
use crate::cli::write_file::{write_file, write_new_private};

/// Steps to take, and what else there is to say.
#[derive(Default)]
pub(super) struct Plan {
    steps: Vec<Step>,
    notes: Vec<String>,
    /// How many of the notes ask for something.
    requests: usize,
}

/// Something to do.
pub(super) enum Step {
    /// An identity that is not there yet, for its owner alone.
    Identity { path: PathBuf, identity: NewIdentity },
    /// A file, new or with something added.
    File { path: PathBuf, what: &'static str, text: String, executable: bool },
}

impl Plan {
    pub(super) fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Something that is as it should be.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Something that is left to the user.
    pub(super) fn request(&mut self, note: String) {
        self.requests += 1;
        self.notes.push(note);
    }

    pub(super) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether nothing is left to be done by anybody.
    pub(super) fn is_fulfilled(&self) -> bool {
        self.steps.is_empty() && self.requests == 0
    }

    /// All of it, for people. Names of files and lines of theirs say nothing to the terminal.
    pub(super) fn shown(&self, folder: &Path) -> String {
        let steps = self.steps.iter().map(|step| step.shown(folder));
        let lines = self.notes.iter().map(|note| format!("{note}\n")).chain(steps).collect::<String>();
        lines.lines().map(|line| format!("{}\n", printable(line))).collect()
    }

    /// Whether all of it can be done, as far as that shows: half of it helps nobody.
    pub(super) fn examine(&self) -> Result<(), CommandError> {
        self.steps.iter().try_for_each(Step::examine)
    }

    /// Does it.
    pub(super) fn carry_out(&self) -> Result<(), CommandError> {
        self.steps.iter().try_for_each(Step::take)
    }
}

impl Step {
    fn path(&self) -> &Path {
        match self {
            Self::Identity { path, .. } | Self::File { path, .. } => path,
        }
    }

    fn shown(&self, folder: &Path) -> String {
        match self {
            Self::Identity { path, identity } => format!(
                "a new age identity: {}\n    recipient {}\n    keep a copy of this file in a safe place; without it \
                 nothing can be decrypted\n",
                one_line(path),
                identity.recipient
            ),
            Self::File { path, what, text, .. } => {
                let shown = path.strip_prefix(folder).unwrap_or(path);
                let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
                format!("{what}: {}\n{lines}", one_line(shown))
            }
        }
    }

    /// Whether it can be taken.
    fn examine(&self) -> Result<(), CommandError> {
        let path = self.path();
        // folders that are missing will be made
        let Some(nearest) = path.ancestors().find(|place| place.symlink_metadata().is_ok()) else {
            return Ok(());
        };
        let checked = match nearest.metadata() {
            Ok(found) if nearest != path && !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            _ => access(nearest, Access::WRITE_OK).map_err(io::Error::from),
        };
        checked.map_err(|error| self.failed(error))
    }

    fn take(&self) -> Result<(), CommandError> {
        let written = match self {
            Self::Identity { path, identity } => {
                write_new_private(path, identity.text.expose_secret().as_bytes())
            }
            Self::File { path, text, executable, .. } => write(path, text, *executable),
        };
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> CommandError {
        CommandError::Write { in_place: false, path: self.path().to_owned(), error }
    }
}

fn write(path: &Path, text: &str, executable: bool) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    write_file(path, text.as_bytes())?;
    if executable {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// A path that begins no lines of its own.
pub(super) fn one_line(path: &Path) -> String {
    printable(&path.display().to_string())
}
