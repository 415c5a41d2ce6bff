//! Where a command works: the file, its formats, the configuration (cli.md §3, config.md §1).

use std::fs;
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rsops::config::{Config, ConfigError, absolute as absolute_in, search};
use rsops::data_key::DataKey;
#[cfg(feature = "azure")]
use rsops::keys::AzureVaults;
use rsops::keys::{Key, KeyService, LocalKeys, WrapFailure};
#[cfg(feature = "keyservice")]
use rsops::keyservice::{Address, Client};
use rsops::metadata::Metadata;
use rsops::store::{Format, Indent, Store};
use rsops::tree::{TextBuffer, Tree};
use zeroize::Zeroizing;

#[cfg(feature = "keyservice")]
use super::environment::limits;
use super::environment::settings;
use super::error::CommandError;
#[cfg(feature = "azure")]
use super::logged::say_version;
use super::logged::{Logged, say_split};
use super::options::{FormatOptions, GlobalOptions, KeyServiceOptions};
use super::ui::{Component, Ui};

/// What is read.
pub(super) enum Input {
    /// A file: its path as absolute path.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// The first positional argument, which must exist, or else standard input.
    pub(super) fn existing_or_stdin(ui: &Ui, files: &[PathBuf]) -> Result<Self, CommandError> {
        warn_of_surplus(ui, files);
        let Some(file) = files.first() else { return Ok(Self::Stdin) };
        match Self::file(file)? {
            Self::File(path) if !exists(&path) => Err(CommandError::NoSuchFile(path)),
            input => Ok(input),
        }
    }

    /// A file that need not be there.
    pub(super) fn file(path: &Path) -> Result<Self, CommandError> {
        absolute(path).map(Self::File)
    }
}

/// What is said of arguments that nothing is done with (cli.md §1.4).
pub(super) const SURPLUS: &str =
    "More than one positional argument provided. Only the first one will be used!";

/// More than one file where one is worked on.
pub(super) fn warn_of_surplus(ui: &Ui, files: &[PathBuf]) {
    if files.len() > 1 {
        ui.warn(Component::Cmd, SURPLUS, &[]);
    }
}

/// A resolved place of work.
pub(super) struct Place {
    pub(super) ui: Arc<Ui>,
    pub(super) input: Input,
    /// The name that formats and rules go by; empty for standard input without `--filename-override`.
    pub(super) name: PathBuf,
    pub(super) input_format: Format,
    pub(super) output_format: Format,
    indent: Option<i64>,
}

/// The configuration file, if there is one.
pub(super) type Configuration = Option<Config>;

impl Place {
    /// The formats and the name that the options give this input.
    pub(super) fn new(ui: Arc<Ui>, input: Input, formats: &FormatOptions) -> Result<Self, CommandError> {
        let name = match (&formats.filename_override, &input) {
            (Some(name), _) if !name.as_os_str().is_empty() => absolute(name)?,
            (_, Input::File(path)) => path.clone(),
            (_, Input::Stdin) => PathBuf::new(),
        };
        let format = |word: &Option<String>| input_format(word.as_deref(), &name);
        let (input_format, output_format) = (format(&formats.input.input_type), format(&formats.output_type));
        Ok(Self { ui, input, name, input_format, output_format, indent: formats.indent.indent })
    }

    /// The configuration file that `--config` names, or the nearest `.sops.yaml`.
    pub(super) fn configuration(&self, options: &GlobalOptions) -> Result<Configuration, CommandError> {
        configuration(&self.ui, options)
    }

    /// The configuration for commands that only want its indentation: a broken one is no reason to fail
    /// (policy.md §2).
    pub(super) fn configuration_if_valid(
        &self,
        options: &GlobalOptions,
    ) -> Result<Configuration, CommandError> {
        configuration_if_valid(&self.ui, options)
    }

    /// The bytes of the input.
    pub(super) fn read(&self) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        match &self.input {
            Input::File(path) => fs::read(path)
                .map(Zeroizing::new)
                .map_err(|error| CommandError::Read { path: path.clone(), error }),
            Input::Stdin => read_stdin(),
        }
    }

    /// Says so if a key stands twice in a mapping. In one YAML document that is an error anyway, and the flat formats
    /// know no better.
    pub(super) fn warn_of_duplicates(&self, tree: &Tree) {
        let possible = self.input_format == Format::Json || tree.branches.len() > 1;
        if let Some(path) = possible.then(|| tree.duplicate_key()).flatten() {
            let file = self.shown();
            self.ui.warn(
                Component::Cmd,
                &format!("{file} has the key {path} more than once; all are kept, most readers see one"),
                &[],
            );
        }
    }

    /// The file for messages.
    pub(super) fn shown(&self) -> String {
        match &self.input {
            Input::File(path) => path.display().to_string(),
            Input::Stdin => "standard input".to_owned(),
        }
    }

    /// The store that reads; indentation means nothing to it.
    pub(super) fn input_store(&self) -> Box<dyn Store> {
        self.input_format.store(Indent::default())
    }

    /// The store that writes.
    pub(super) fn output_store(&self, configuration: &Configuration) -> Box<dyn Store> {
        let configured = configuration.as_ref().map_or_else(Indent::default, Config::indent);
        self.output_format.store(match self.indent {
            Some(n) => Indent { yaml: n, json: n, json_binary: n },
            None => configured,
        })
    }
}

/// The format in which a file is read. A word that is no format is ignored, as in the reference (cli.md §3.1).
pub(super) fn input_format(word: Option<&str>, name: &Path) -> Format {
    word.and_then(Format::from_name).unwrap_or_else(|| Format::from_path(name))
}

/// All of standard input. A vector that grows would leave copies behind.
pub(super) fn read_stdin() -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut stdin = io::stdin().lock();
    let mut text = TextBuffer::default();
    loop {
        let read = stdin.fill_buf().map_err(CommandError::ReadStdin)?;
        if read.is_empty() {
            return Ok(text.into_bytes());
        }
        text.extend(read);
        let length = read.len();
        stdin.consume(length);
    }
}

/// The configuration file that `--config` names, or the nearest `.sops.yaml`.
pub(super) fn configuration(ui: &Ui, options: &GlobalOptions) -> Result<Configuration, CommandError> {
    let current = current_directory()?;
    let path = match &options.config {
        Some(path) if !path.as_os_str().is_empty() => Some(path.clone()),
        _ => {
            let search = search(&current);
            if let Some(misnamed) = &search.misnamed {
                ui.warn(Component::Cmd, &misnamed.to_string(), &[]);
            }
            search.found
        }
    };
    let Some(path) = path else { return Ok(None) };
    let config = Config::load(&current, &path).map_err(CommandError::Config)?;
    for key in config.unknown_keys() {
        ui.warn(Component::Cmd, &format!("{}: {key}", path.display()), &[]);
    }
    Ok(Some(config))
}

/// The configuration for commands that only want its indentation (policy.md §2).
pub(super) fn configuration_if_valid(
    ui: &Ui,
    options: &GlobalOptions,
) -> Result<Configuration, CommandError> {
    match configuration(ui, options) {
        Err(CommandError::Config(error)) if !is_missing(&error, options) => {
            ui.warn(Component::Cmd, &error.to_string(), &[]);
            Ok(None)
        }
        other => other,
    }
}

/// A file that `--config` names must be there.
fn is_missing(error: &ConfigError, options: &GlobalOptions) -> bool {
    options.config.is_some() && matches!(error, ConfigError::Unreadable { .. })
}

/// Who wraps and unwraps data keys, in the order in which they are asked.
pub(super) struct KeyServices {
    services: Vec<Box<dyn KeyService>>,
    ui: Arc<Ui>,
    #[cfg(feature = "azure")]
    azure: Arc<AzureVaults>,
}

impl KeyServices {
    pub(super) fn list(&self) -> Vec<&dyn KeyService> {
        self.services.iter().map(|service| &**service).collect()
    }

    /// Finds out what keys of the command line or of a rule leave open: the version of a key of Azure, which is the
    /// current one from now on (keys.md §7.1). It is asked for here even if no key service of ours is wanted.
    #[cfg_attr(not(feature = "azure"), expect(unused_variables, reason = "nobody can be asked"))]
    pub(super) fn complete<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k mut Key>,
    ) -> Result<(), CommandError> {
        #[cfg(feature = "azure")]
        for key in keys {
            if let Key::AzureKv(key) = key
                && key.version.is_empty()
            {
                let version = self.azure.current_version(key);
                say_version(&self.ui, key, version.as_deref().ok());
                key.version = version.map_err(CommandError::KeyVersion)?;
            }
        }
        Ok(())
    }

    /// Wraps a data key for all keys of a file.
    pub(super) fn wrap(&self, data_key: &DataKey, metadata: &mut Metadata) -> Result<(), WrapFailure> {
        let groups = metadata.key_groups.len();
        if groups > 1 {
            say_split(&self.ui, groups, metadata.shamir_threshold);
        }
        metadata.wrap(data_key, &self.list())
    }
}

/// The key services that the options allow.
pub(super) fn key_services(ui: &Arc<Ui>, options: &KeyServiceOptions) -> Result<KeyServices, CommandError> {
    let settings = settings(ui)?;
    #[cfg(feature = "azure")]
    let azure = settings.azure.clone();
    let mut services: Vec<Box<dyn KeyService>> = Vec::new();
    if options.enable_local_keyservice {
        services.push(Box::new(Logged::new(Box::new(LocalKeys::new(settings)), ui.clone())));
    }
    let urls = options.keyservice.iter().map(|url| url.trim()).filter(|url| !url.is_empty());
    services.extend(remote_services(ui, urls)?);
    Ok(KeyServices {
        services,
        ui: ui.clone(),
        #[cfg(feature = "azure")]
        azure,
    })
}

/// The services at these addresses. What they do is said in their own logs.
#[cfg(feature = "keyservice")]
fn remote_services<'a>(
    ui: &Ui,
    urls: impl Iterator<Item = &'a str>,
) -> Result<Vec<Box<dyn KeyService>>, CommandError> {
    let mut services: Vec<Box<dyn KeyService>> = Vec::new();
    for url in urls {
        match Address::parse(url) {
            Ok(address) => {
                let shown = address.to_string();
                ui.info(Component::Cmd, "Connecting to key service", &[("address", &shown)]);
                services.push(Box::new(Client::new(address, limits()?)));
            }
            Err(error) => ui.warn(
                Component::Cmd,
                "Error parsing URI for keyservice, skipping",
                &[("uri", url), ("error", &error.to_string())],
            ),
        }
    }
    Ok(services)
}

/// A build without them refuses them.
#[cfg(not(feature = "keyservice"))]
fn remote_services<'a>(
    _: &Ui,
    mut urls: impl Iterator<Item = &'a str>,
) -> Result<Vec<Box<dyn KeyService>>, CommandError> {
    match urls.next() {
        Some(url) => Err(CommandError::RemoteKeyService(url.to_owned())),
        None => Ok(Vec::new()),
    }
}

/// Whether something stands there, be it a dangling link.
pub(super) fn exists(path: &Path) -> bool {
    !matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The absolute path, dots resolved by their text alone, as the reference does for rules.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    Ok(absolute_in(&current_directory()?, path))
}

pub(super) fn current_directory() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(CommandError::CurrentDirectory)
}
