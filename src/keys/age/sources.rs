//! Where identities may be, and how each place is read (keys.md §2.4).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::command::{self, CommandError};
use super::identity::{IdentityError, IdentityText, Line};
use super::passphrase::{self, EncryptedFile, EncryptedFileError};
use super::ssh::{Origin, SshKey, SshKeyError};
use crate::keys::Agent;
use crate::os_error::os_text;

pub(super) const SSH_KEY_FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
pub(super) const SSH_KEY_CMD: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";
pub(super) const KEY: &str = "SOPS_AGE_KEY";
pub(super) const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";
pub(super) const KEY_CMD: &str = "SOPS_AGE_KEY_CMD";

/// Where identities may be. The command line fills this in from the environment; a variable that exists but is
/// empty is `Some`.
pub struct IdentitySources {
    /// `SOPS_AGE_SSH_PRIVATE_KEY_FILE`.
    pub ssh_key_file: Option<OsString>,
    /// `SOPS_AGE_SSH_PRIVATE_KEY_CMD`.
    pub ssh_key_cmd: Option<OsString>,
    /// The home directory, under which `.ssh` is.
    pub home: Option<PathBuf>,
    /// `SOPS_AGE_KEY`.
    pub key: Option<SecretString>,
    /// `SOPS_AGE_KEY_FILE`.
    pub key_file: Option<OsString>,
    /// `SOPS_AGE_KEY_CMD`.
    pub key_cmd: Option<OsString>,
    /// The configuration directory, under which `sops/age/keys.txt` is, or the reason why it is unknown.
    pub config_dir: Result<PathBuf, String>,
    /// gpg-agent, asked for the pass phrases of encrypted identity files.
    pub agent: Option<Agent>,
}

impl Default for IdentitySources {
    /// No source at all.
    fn default() -> Self {
        Self {
            ssh_key_file: None,
            ssh_key_cmd: None,
            home: None,
            key: None,
            key_file: None,
            key_cmd: None,
            config_dir: Err("neither $XDG_CONFIG_HOME nor $HOME are defined".to_owned()),
            agent: None,
        }
    }
}

/// Why a source gave nothing, or not everything. Displays the reference's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// No home directory.
    Home,
    /// No configuration directory, and why.
    ConfigDir(String),
    /// The file of `SOPS_AGE_KEY_FILE` does not open.
    OpenKeyFile {
        /// Path.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// Another file does not open.
    Open {
        /// Path.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// A file does not read.
    Read {
        /// Path.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// A command.
    Command(CommandError),
    /// A text with an identity that is none.
    Parse {
        /// The source.
        location: String,
        /// The first error.
        error: IdentityError,
    },
    /// An encrypted identity file.
    Encrypted {
        /// The source.
        location: String,
        /// Why.
        error: EncryptedFileError,
    },
    /// An ssh key.
    Ssh(SshKeyError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => f.write_str("$HOME is not defined"),
            Self::ConfigDir(reason) => {
                write!(f, "user config directory could not be determined: {reason}")
            }
            Self::OpenKeyFile { path, reason } => {
                write!(f, "failed to open {KEY_FILE} file: open {path}: {reason}")
            }
            Self::Open { path, reason } => write!(f, "failed to open file: open {path}: {reason}"),
            Self::Read { path, reason } => write!(f, "failed to read file: read {path}: {reason}"),
            Self::Command(error) => error.fmt(f),
            Self::Parse { location, error } => {
                write!(f, "failed to parse '{location}' age identities: {error}")
            }
            Self::Encrypted { location, error } => write!(f, "failed to read '{location}': {error}"),
            Self::Ssh(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// What became of a source.
pub(super) enum Outcome<T> {
    /// It is not there.
    Absent,
    /// It is there and gave nothing.
    Failed(LoadError),
    /// It was read.
    Loaded(T),
}

/// What a source of identity text held.
pub(super) enum Content {
    Plain(IdentityText),
    Encrypted(EncryptedFile),
}

/// A source of identity text, read.
pub(super) struct TextSource {
    /// Its name in messages.
    pub(super) location: String,
    pub(super) outcome: Outcome<Content>,
    /// One for each line that is left out.
    pub(super) warnings: Vec<String>,
}

impl TextSource {
    fn new(
        location: &str,
        text: Result<Zeroizing<Vec<u8>>, LoadError>,
        path: Option<&Path>,
        line: Line,
    ) -> Self {
        let location = location.to_owned();
        let text = match text {
            Ok(text) => text,
            Err(error) => return Self { location, outcome: Outcome::Failed(error), warnings: Vec::new() },
        };
        if passphrase::is_encrypted(&text) {
            let outcome = match EncryptedFile::new(&location, &text) {
                Ok(file) => Outcome::Loaded(Content::Encrypted(file)),
                Err(error) => Outcome::Failed(LoadError::Encrypted { location: location.clone(), error }),
            };
            return Self { location, outcome, warnings: Vec::new() };
        }
        let place = match path {
            Some(path) => format!("{} ({location})", path.display()),
            None => location.clone(),
        };
        let parsed = IdentityText::parse(&text, line);
        let warning = |(line, error): &(usize, IdentityError)| {
            format!("{place}: line {line} is not an age identity and is ignored: {error}")
        };
        let warnings = parsed.bad.iter().map(warning).collect();
        Self { location, outcome: Outcome::Loaded(Content::Plain(parsed)), warnings }
    }

    fn absent(location: &str) -> Self {
        Self { location: location.to_owned(), outcome: Outcome::Absent, warnings: Vec::new() }
    }

    /// Whether there was something to read, be it empty.
    pub(super) fn was_read(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Loaded(_) | Outcome::Failed(LoadError::Encrypted { .. } | LoadError::Parse { .. })
        )
    }
}

/// An ssh key source, read.
pub(super) struct SshSource {
    /// Its name in messages; none if the home directory is unknown.
    pub(super) location: Option<String>,
    pub(super) outcome: Outcome<SshKey>,
}

impl IdentitySources {
    pub(super) fn load_key(&self) -> TextSource {
        match &self.key {
            None => TextSource::absent(KEY),
            Some(text) => {
                let text = Zeroizing::new(text.expose_secret().as_bytes().to_vec());
                TextSource::new(KEY, Ok(text), None, Line::Words)
            }
        }
    }

    pub(super) fn load_key_file(&self) -> TextSource {
        let Some(path) = self.key_file.as_deref() else { return TextSource::absent(KEY_FILE) };
        let text = read_text(path.as_ref())
            .map_err(|error| LoadError::OpenKeyFile { path: shown(path), reason: os_text(&error) });
        TextSource::new(KEY_FILE, text, Some(path.as_ref()), Line::Identity)
    }

    pub(super) fn load_key_cmd(&self, recipient: &str) -> TextSource {
        let Some(command) = self.key_cmd.as_deref() else { return TextSource::absent(KEY_CMD) };
        let text = command::run(&shown(command), recipient).map_err(LoadError::Command);
        TextSource::new(KEY_CMD, text, None, Line::Identity)
    }

    /// The key file of the configuration directory; `None` if that directory is unknown.
    pub(super) fn load_config_file(&self) -> Option<TextSource> {
        let path = self.config_dir.as_ref().ok()?.join("sops").join("age").join("keys.txt");
        let location = shown(path.as_os_str());
        if !path.exists() {
            return Some(TextSource::absent(&location));
        }
        let reason = |error: std::io::Error| os_text(&error);
        let text = read_text(&path).map_err(reason);
        let text = text.map_err(|reason| LoadError::Open { path: location.clone(), reason });
        Some(TextSource::new(&location, text, None, Line::Identity))
    }

    pub(super) fn load_ssh_key_file(&self) -> SshSource {
        let outcome = self.ssh_key_file.as_deref().map_or(Outcome::Absent, read_ssh_key);
        SshSource { location: Some(SSH_KEY_FILE.to_owned()), outcome }
    }

    pub(super) fn load_ssh_key_cmd(&self, recipient: &str) -> SshSource {
        let outcome = match self.ssh_key_cmd.as_deref() {
            None => Outcome::Absent,
            Some(command) => match command::run(&shown(command), recipient) {
                Err(error) => Outcome::Failed(LoadError::Command(error)),
                Ok(text) => ssh_outcome(SshKey::new(Origin::Command, &text)),
            },
        };
        SshSource { location: Some(SSH_KEY_CMD.to_owned()), outcome }
    }

    /// The two keys in the home directory.
    pub(super) fn load_home_keys(&self) -> Vec<SshSource> {
        let Some(home) = &self.home else {
            return vec![SshSource { location: None, outcome: Outcome::Failed(LoadError::Home) }];
        };
        let load = |name| {
            let path = home.join(".ssh").join(name);
            let outcome = if path.exists() { read_ssh_key(path.as_os_str()) } else { Outcome::Absent };
            SshSource { location: Some(shown(path.as_os_str())), outcome }
        };
        ["id_ed25519", "id_rsa"].map(load).into()
    }
}

fn shown(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

/// Opens and reads; what stops the reading later, or a directory, only ends the text (keys.md §2.5).
fn read_text(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let mut text = Zeroizing::new(Vec::with_capacity(capacity(&file)));
    let _ = file.take(passphrase::MAX_SIZE as u64).read_to_end(&mut text);
    Ok(text)
}

/// Room for the whole file, so that no copy of a secret is left behind by growing.
fn capacity(file: &File) -> usize {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1).clamp(4096, passphrase::MAX_SIZE)
}

fn read_ssh_key(path: &OsStr) -> Outcome<SshKey> {
    let shown = shown(path);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Outcome::Failed(LoadError::Open { path: shown, reason: os_text(&error) }),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(capacity(&file)));
    match file.take(passphrase::MAX_SIZE as u64).read_to_end(&mut text) {
        Ok(_) => ssh_outcome(SshKey::new(Origin::File(shown), &text)),
        Err(error) => Outcome::Failed(LoadError::Read { path: shown, reason: os_text(&error) }),
    }
}

fn ssh_outcome(key: Result<SshKey, SshKeyError>) -> Outcome<SshKey> {
    match key {
        Ok(key) => Outcome::Loaded(key),
        Err(error) => Outcome::Failed(LoadError::Ssh(error)),
    }
}
