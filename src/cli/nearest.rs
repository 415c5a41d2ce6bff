//! Which configuration counts for a file of many: the nearest above it.
//!
//! sops looks from the working directory upwards, whatever file it is told (config.md §1). So do we for every file that
//! is named. Of files that were found in folders nobody wants to know from where: each goes with what lies above it,
//! which is what somebody sees who works there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rsops::config::{Config, FILE_NAME, Misnamed, absolute, search};

use super::batch::Entry;
use super::error::CommandError;
use super::options::GlobalOptions;
use super::place::{Configuration, configuration, configuration_if_valid, current_directory};
use super::repository::relative;
use super::ui::{Component, Ui};

/// What was found for each folder, or nothing.
pub(super) struct Nearest<T> {
    known: HashMap<PathBuf, Option<T>>,
}

impl<T> Default for Nearest<T> {
    fn default() -> Self {
        Self { known: HashMap::new() }
    }
}

impl<T: Clone> Nearest<T> {
    /// What `read` makes of the nearest file in this folder or above it; it makes nothing of a file that is not there.
    /// Each is read once.
    pub(super) fn of(&mut self, folder: &Path, read: impl Fn(&Path) -> Option<T>) -> Option<T> {
        let mut found = None;
        let mut fresh = Vec::new();
        for above in folder.ancestors() {
            if let Some(known) = self.known.get(above) {
                found.clone_from(known);
                break;
            }
            fresh.push(above.to_owned());
            found = read(&above.join(FILE_NAME));
            if found.is_some() {
                break;
            }
        }
        self.known.extend(fresh.into_iter().map(|above| (above, found.clone())));
        found
    }
}

/// A configuration that cannot be read.
#[derive(Clone)]
pub(super) struct Broken {
    /// As the user would name it.
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// What a command wants of configurations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A file whose configuration is broken is not touched.
    Rules,
    /// Nothing but the indentation: a broken one is no reason to fail (policy.md §2).
    Indentation,
}

/// The configurations of a command on many files.
pub(super) struct Configurations {
    ui: Arc<Ui>,
    need: Need,
    folder: PathBuf,
    /// Of the working directory, or that of `--config`.
    common: Found,
    /// That of `--config` counts for all files.
    counts: Counts,
    nearest: Mutex<Nearest<Found>>,
}

type Found = Result<Arc<Configuration>, Broken>;

/// For which files the common configuration counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    ForAll,
    ForNamed,
}

/// The name that people give the file by mistake (config.md §1).
const MISNAMED: &str = ".sops.yml";

impl Configurations {
    pub(super) fn new(ui: &Arc<Ui>, options: &GlobalOptions, need: Need) -> Result<Self, CommandError> {
        let folder = current_directory()?;
        let is_named = options.config.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
        let common = match need {
            Need::Rules => configuration(ui, options),
            Need::Indentation => configuration_if_valid(ui, options),
        };
        let common = match common {
            Err(error) if is_named || need == Need::Indentation => return Err(error),
            // it is told of each file that it is for
            Err(error) => {
                let path = search(&folder).found.unwrap_or_else(|| FILE_NAME.into());
                Err(Broken { path, reason: error.to_string() })
            }
            Ok(configuration) => Ok(Arc::new(configuration)),
        };
        let counts = if is_named { Counts::ForAll } else { Counts::ForNamed };
        Ok(Self { ui: ui.clone(), need, folder, common, counts, nearest: Mutex::default() })
    }

    /// The configuration for a file.
    pub(super) fn of(&self, entry: &Entry) -> Result<Arc<Configuration>, CommandError> {
        let found = match self.counts {
            Counts::ForNamed if !entry.named => self.above(&absolute(&self.folder, &entry.path)),
            _ => self.common.clone(),
        };
        found.map_err(|Broken { path, reason }| CommandError::BrokenConfiguration { path, reason })
    }

    /// An error if no file that was asked for had any.
    pub(super) fn expect_some(&self) -> Result<(), CommandError> {
        let nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_some = |found: &Found| !matches!(found, Ok(configuration) if configuration.is_none());
        match is_some(&self.common) || nearest.known.values().flatten().any(is_some) {
            true => Ok(()),
            false => Err(CommandError::NoConfiguration),
        }
    }

    fn above(&self, file: &Path) -> Found {
        let mut nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
        let found = nearest.of(file.parent().unwrap_or(file), |file| self.read(file));
        found.unwrap_or_else(|| Ok(Arc::default()))
    }

    fn read(&self, file: &Path) -> Option<Found> {
        let path = relative(&self.folder, file);
        if let Ok(common) = &self.common
            && common.as_ref().as_ref().is_some_and(|config| absolute(&self.folder, config.path()) == file)
        {
            return Some(self.common.clone());
        }
        if file.metadata().is_err() {
            self.warn_of_misnamed(&path);
            return None;
        }
        match Config::load(&self.folder, &path) {
            Ok(config) => {
                for key in config.unknown_keys() {
                    self.ui.warn(Component::Cmd, &format!("{}: {key}", path.display()), &[]);
                }
                Some(Ok(Arc::new(Some(config))))
            }
            Err(error) if self.need == Need::Indentation => {
                self.ui.warn(Component::Cmd, &format!("{}: {error}", path.display()), &[]);
                Some(Ok(Arc::default()))
            }
            Err(error) => Some(Err(Broken { path, reason: error.to_string() })),
        }
    }

    /// Of those in the working directory and above it, the search from there speaks.
    fn warn_of_misnamed(&self, path: &Path) {
        let misnamed = path.with_file_name(MISNAMED);
        let is_below = path.components().count() > 1 && !path.starts_with("..");
        if is_below && self.folder.join(&misnamed).exists() {
            let misnamed = Misnamed { path: misnamed, instead: None };
            self.ui.warn(Component::Cmd, &misnamed.to_string(), &[]);
        }
    }
}
