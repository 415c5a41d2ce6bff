//! The commands, one file each.

pub(super) mod check;
pub(super) mod completion;
pub(super) mod decrypt;
pub(super) mod edit;
pub(super) mod encrypt;
pub(super) mod exec_env;
pub(super) mod exec_file;
pub(super) mod filestatus;
pub(super) mod groups;
#[cfg(feature = "age")]
pub(super) mod init;
#[cfg(feature = "keyservice")]
pub(super) mod keyservice;
pub(super) mod man;
#[cfg(feature = "publish")]
pub(super) mod publish;
pub(super) mod rotate;
pub(super) mod set;
pub(super) mod unset;
pub(super) mod updatekeys;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use rsops::config::absolute;

use super::error::CommandError;
use super::options::{OutputOptions, integer};
use super::place::{Input, Place, current_directory};
use super::ui::Component;
use super::write_file::{Writes, write_file};

/// Where a result goes.
enum Target {
    Stdout,
    File { path: PathBuf, in_place: bool },
}

impl Target {
    fn of(options: &OutputOptions, files: &[PathBuf]) -> Result<Self, CommandError> {
        let output = options.output.clone().filter(|path| !path.as_os_str().is_empty());
        match (options.in_place.in_place, output) {
            (true, _) if files.is_empty() => Err(CommandError::StdinInPlace),
            (true, Some(_)) => Err(CommandError::OutputAndInPlace),
            (true, None) => Ok(Self::File { path: files[0].clone(), in_place: true }),
            (false, Some(path)) => Ok(Self::File { path, in_place: false }),
            (false, None) => Ok(Self::Stdout),
        }
    }

    fn write(&self, place: &Place, bytes: &[u8]) -> Result<(), CommandError> {
        match self {
            Self::Stdout => place.ui.print(bytes),
            Self::File { path, in_place } => {
                let shown = shown_path(path, *in_place, place);
                write_file(path, bytes).map_err(|error| CommandError::Write {
                    in_place: *in_place,
                    path: shown,
                    error,
                })?;
                place.ui.info(Component::Cmd, "File written successfully", &[]);
                Ok(())
            }
        }
    }
}

/// Where the results of many files go.
struct Targets {
    /// Below which they go, as they lie below the working directory. Else each takes the place of its file.
    folder: Option<PathBuf>,
    writes: Writes,
}

impl Targets {
    fn of(options: &OutputOptions) -> Result<Self, CommandError> {
        let output = options.output.clone().filter(|path| !path.as_os_str().is_empty());
        match (options.in_place.in_place, &output) {
            (true, Some(_)) => Err(CommandError::OutputAndInPlace),
            (false, None) => Err(CommandError::ManyToStdout),
            _ => Ok(Self { folder: output, writes: Writes::default() }),
        }
    }

    fn write(&self, file: &Path, bytes: &[u8]) -> Result<(), CommandError> {
        let (path, in_place) = match &self.folder {
            None => (file.to_owned(), true),
            Some(folder) => (folder.join(below(file)?), false),
        };
        let is_input =
            fs::canonicalize(&path).is_ok_and(|path| fs::canonicalize(file).is_ok_and(|file| file == path));
        if !in_place && is_input {
            return Err(CommandError::OutputIsInput(file.to_owned()));
        }
        let write = || {
            match path.parent() {
                Some(parent) if !in_place => fs::create_dir_all(parent)?,
                _ => {}
            }
            self.writes.write(&path, bytes)
        };
        write().map_err(|error| CommandError::Write { in_place, path: path.clone(), error })
    }

    /// Once all files are written.
    fn finish(self) {
        self.writes.finish();
    }
}

/// The path of a file from the working directory, below which it must lie.
fn below(file: &Path) -> Result<PathBuf, CommandError> {
    let folder = current_directory()?;
    let full = absolute(&folder, file);
    let below = full.strip_prefix(&folder).map_err(|_| CommandError::OutsideFolder(file.to_owned()))?;
    Ok(below.to_owned())
}

/// The file itself is named by its full path, another one as it was typed.
fn shown_path(path: &Path, in_place: bool, place: &Place) -> PathBuf {
    match &place.input {
        Input::File(full) if in_place => full.clone(),
        _ => path.to_owned(),
    }
}

/// Writes the file of a command that only knows one.
fn write_back(place: &Place, bytes: &[u8]) -> Result<(), CommandError> {
    let path = match &place.input {
        Input::File(path) => path.clone(),
        // such commands take a file only
        Input::Stdin => return Err(CommandError::StdinInPlace),
    };
    Target::File { path, in_place: true }.write(place, bytes)
}

/// What `set` and `unset` accept without effect, because the reference does (cli.md §2).
#[derive(Args)]
struct Outdated {
    #[arg(long, hide = true, value_name = "N", value_parser = integer, allow_hyphen_values = true)]
    shamir_secret_sharing_threshold: Option<i64>,
}
