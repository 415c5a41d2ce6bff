//! The configurations that files are held against.

use std::collections::HashMap;
use std::env;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rsops::config::{Config, ConfigError, FILE_NAME, absolute, search};

use super::words::quoted;
use crate::cli::error::CommandError;
use crate::cli::nearest::Nearest;
use crate::cli::options::GlobalOptions;
use crate::cli::repository::{relative, staged_by_name};

/// A configuration, and which files it lets pass.
pub(super) struct Configured {
    /// As the user would name it.
    pub(super) path: PathBuf,
    pub(super) config: Config,
    allowed: GlobSet,
    /// What a command has to be told so that it finds this configuration from the working directory.
    pub(super) flag: String,
}

/// A configuration that cannot be read, or not be used.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Broken {
    /// As the user would name it.
    pub(super) path: PathBuf,
    pub(super) reason: String,
    /// From 1.
    pub(super) line: Option<usize>,
}

impl Broken {
    pub(super) fn new(path: &Path, error: &ConfigError) -> Self {
        let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
        Self { path: path.to_owned(), reason, line: error.line() }
    }
}

impl Configured {
    fn allowed(config: &Config) -> Result<GlobSet, CommandError> {
        let wrong = |glob: &str, error: &globset::Error| CommandError::AllowGlob {
            glob: glob.to_owned(),
            reason: error.kind().to_string(),
        };
        let mut allowed = GlobSetBuilder::new();
        for glob in config.check_allow() {
            let built = GlobBuilder::new(glob).literal_separator(true).build();
            allowed.add(built.map_err(|error| wrong(glob, &error))?);
        }
        allowed.build().map_err(|error| wrong(&config.check_allow().join(", "), &error))
    }

    pub(super) fn allows(&self, file: &Path) -> bool {
        self.allowed.is_match(file.strip_prefix(self.config.directory()).unwrap_or(file))
    }
}

/// Which configuration counts for which folder: the nearest above it, or that of `--config` for all.
pub(super) struct Rules {
    folder: PathBuf,
    /// If the configurations are those of the next commit as well.
    staged: Option<Staged>,
    /// What commands find from the working directory.
    found: Option<PathBuf>,
    named: Option<Arc<Configured>>,
    committed: Nearest<Result<Arc<Configured>, Broken>>,
    on_disk: Nearest<Result<Arc<Configured>, Broken>>,
}

/// The configurations of the next commit, all read at once: to ask git for each folder would take most of the time.
pub(super) struct Staged {
    top: PathBuf,
    configurations: HashMap<PathBuf, Option<Vec<u8>>>,
}

impl Staged {
    /// `top`: of the repository.
    pub(super) fn read(folder: &Path, top: PathBuf) -> Result<Self, CommandError> {
        let configurations = staged_by_name(folder, &top, FILE_NAME)?;
        Ok(Self { top, configurations })
    }
}

impl Rules {
    pub(super) fn new(
        folder: &Path,
        staged: Option<Staged>,
        options: &GlobalOptions,
    ) -> Result<Self, CommandError> {
        let variable = env::var_os("SOPS_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let found = variable.or_else(|| search(folder).found).map(|path| absolute(folder, &path));
        let mut rules = Self {
            folder: folder.to_owned(),
            staged,
            found,
            named: None,
            committed: Nearest::default(),
            on_disk: Nearest::default(),
        };
        if let Some(path) = options.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            let config = Config::load(folder, path).map_err(CommandError::Config)?;
            let allowed = Configured::allowed(&config)?;
            rules.named = Some(Arc::new(rules.configured(absolute(folder, path), config, allowed)));
        }
        Ok(rules)
    }

    /// The configuration for the files in a folder.
    pub(super) fn of(&mut self, directory: &Path) -> Option<Result<Arc<Configured>, Broken>> {
        if let Some(named) = &self.named {
            return Some(Ok(named.clone()));
        }
        let mut committed = mem::take(&mut self.committed);
        let found = committed.of(directory, |file| self.read_committed(file));
        self.committed = committed;
        if found.is_some() {
            return found;
        }
        // one above the repository, or a new one that nobody has added yet
        let mut on_disk = mem::take(&mut self.on_disk);
        let found = on_disk.of(directory, |file| self.read(file));
        self.on_disk = on_disk;
        found
    }

    /// What is not committed does not count for what is.
    fn read_committed(&self, file: &Path) -> Option<Result<Arc<Configured>, Broken>> {
        match &self.staged {
            Some(Staged { top, configurations }) if file.starts_with(top) => {
                match configurations.get(file)? {
                    Some(bytes) => Some(self.usable(file, Config::parse(file, bytes))),
                    None => self.read(file),
                }
            }
            Some(_) => None,
            None => self.read(file),
        }
    }

    fn read(&self, file: &Path) -> Option<Result<Arc<Configured>, Broken>> {
        file.metadata().ok()?;
        Some(self.usable(file, Config::load(&self.folder, &relative(&self.folder, file))))
    }

    fn usable(&self, file: &Path, config: Result<Config, ConfigError>) -> Result<Arc<Configured>, Broken> {
        let path = relative(&self.folder, file);
        let config = config.map_err(|error| Broken::new(&path, &error))?;
        match Configured::allowed(&config) {
            Ok(allowed) => Ok(Arc::new(self.configured(file.to_owned(), config, allowed))),
            Err(error) => Err(Broken { path, reason: error.to_string(), line: None }),
        }
    }

    fn configured(&self, file: PathBuf, config: Config, allowed: GlobSet) -> Configured {
        let path = relative(&self.folder, &file);
        let flag = match self.found.as_ref() == Some(&file) {
            true => String::new(),
            false => format!("--config {} ", quoted(&path)),
        };
        Configured { path, config, allowed, flag }
    }
}
