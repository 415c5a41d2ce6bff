//! Opening a wrapped data key: which identity is tried when, and what is said if none fits (keys.md §2.8).

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::armor::{self, ArmorError};
use super::envelope::{Envelope, HeaderError, OpenError};
use super::identity::IdentityText;
use super::identity::{Identity, IdentityError};
use super::sources::{Content, IdentitySources, LoadError, Outcome, SshSource, TextSource};
use crate::keys::Prompt;

pub(super) const BAD_CHUNK: &str =
    "failed to decrypt and authenticate payload chunk, file may be corrupted or tampered with";

/// Why a data key was not opened although there were identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The header cannot be read.
    Header(HeaderError),
    /// The header was changed.
    Mac,
    /// The only identity does not fit; the name if it is a plugin's.
    NoMatch(Option<String>),
    /// None of several identities fits.
    NoneMatches,
    /// A stanza for one of the identities that is broken.
    Stanza(String),
    /// A stanza of this type names one of the identities, but does not open with it.
    IncorrectFileKey(String),
    /// No pass phrase for an ssh key.
    SshPassphrase {
        /// The key's file.
        path: String,
        /// Why there is none.
        reason: String,
    },
    /// The pass phrase does not open the ssh key.
    SshDecrypt(&'static str),
    /// The file beside an ssh key holds another public key.
    SshMismatch,
    /// The pass phrase does not open the identity file.
    IncorrectPassphrase,
    /// The identity file does not open for another reason.
    IdentityFile(String),
    /// A bad line in an encrypted identity file. The line itself is not shown.
    IdentityLine {
        /// Its number.
        line: usize,
        /// What is wrong.
        error: IdentityError,
    },
    /// An encrypted identity file without identities.
    NoIdentities,
    /// A plugin failed.
    Plugin(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::Mac => f.write_str("bad header MAC"),
            Self::NoMatch(plugin) => {
                f.write_str("identity did not match any of the recipients: ")?;
                if let Some(name) = plugin {
                    write!(f, "{name} plugin: ")?;
                }
                f.write_str("incorrect identity for recipient block")
            }
            Self::NoneMatches => f.write_str("no identity matched any of the recipients"),
            Self::Stanza(reason) | Self::Plugin(reason) => f.write_str(reason),
            Self::IncorrectFileKey(tag) => write!(f, "failed to decrypt file key: {tag}: decryption error"),
            Self::SshPassphrase { path, reason } => {
                write!(f, "failed to obtain passphrase: could not read passphrase for {path:?}: {reason}")
            }
            Self::SshDecrypt(reason) => write!(f, "failed to decrypt SSH key file: {reason}"),
            Self::SshMismatch => f.write_str("mismatched private and public SSH key"),
            Self::IncorrectPassphrase => f.write_str("incorrect passphrase"),
            Self::IdentityFile(reason) => write!(f, "failed to decrypt identity file: {reason}"),
            Self::IdentityLine { line, error } => write!(f, "error at line {line}: {error}"),
            Self::NoIdentities => f.write_str("no identities found"),
        }
    }
}

/// Why a data key was not opened. Displays the reference's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnwrapError {
    /// There is no identity.
    NoIdentity(Report),
    /// No identity opened it.
    Reader(Cause, Report),
    /// It opened, but its payload was changed or cut.
    Payload,
    /// It opened, but its armor is broken behind the header.
    Armor(ArmorError),
}

impl fmt::Display for UnwrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity(report) => write!(f, "failed to load age identities{report}"),
            Self::Reader(cause, report) => {
                write!(f, "failed to create reader for decrypting sops data key with age: {cause}{report}")
            }
            Self::Payload => write!(f, "failed to copy age decrypted data into bytes.Buffer: {BAD_CHUNK}"),
            Self::Armor(error) => {
                write!(f, "failed to copy age decrypted data into bytes.Buffer: {error}")
            }
        }
    }
}

impl std::error::Error for UnwrapError {}

/// What went wrong while identities were loaded, and where there were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sources that failed, in the order of messages.
    pub errors: Vec<LoadError>,
    /// Sources that are absent or empty.
    pub missing: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let lead = if index == 0 { ". Errors while loading age identities: " } else { "; " };
            write!(f, "{lead}{error}")?;
        }
        match self.missing.as_slice() {
            [] => Ok(()),
            [one] => write!(f, ". Did not find keys in location '{one}'."),
            [one, two] => write!(f, ". Did not find keys in locations '{one}' and '{two}'."),
            [first @ .., last] => {
                f.write_str(". Did not find keys in locations ")?;
                first.iter().try_for_each(|location| write!(f, "'{location}', "))?;
                write!(f, "and '{last}'.")
            }
        }
    }
}

/// The identities at hand. Files are read once, commands run for each recipient.
pub struct Identities {
    sources: IdentitySources,
    prompt: Arc<dyn Prompt>,
    key: OnceLock<TextSource>,
    key_file: OnceLock<TextSource>,
    config_file: OnceLock<Option<TextSource>>,
    ssh_key_file: OnceLock<SshSource>,
    home_keys: OnceLock<Vec<SshSource>>,
}

impl Identities {
    /// Identities from these sources; nothing is read yet.
    pub fn new(sources: IdentitySources, prompt: Arc<dyn Prompt>) -> Self {
        Self {
            sources,
            prompt,
            key: OnceLock::new(),
            key_file: OnceLock::new(),
            config_file: OnceLock::new(),
            ssh_key_file: OnceLock::new(),
            home_keys: OnceLock::new(),
        }
    }

    /// Opens a data key that was wrapped for this recipient (keys.md §2.8).
    pub fn unwrap(&self, enc: &str, recipient: &str) -> Result<Zeroizing<Vec<u8>>, UnwrapError> {
        let unarmored = armor::decode(enc.as_bytes());
        let envelope = Envelope::parse(&unarmored.bytes, unarmored.error.as_ref());
        let key_cmd = self.warned(self.sources.load_key_cmd(recipient));
        let attempt = Attempt { identities: self, recipient, key_cmd, ssh_key_cmd: OnceCell::new() };
        let cause = match &envelope {
            Err(error) => Some(Cause::Header(error.clone())),
            Ok(envelope) => match attempt.file_key(&envelope.stanzas) {
                Err(cause) => Some(cause),
                Ok(None) => None,
                Ok(Some(file_key)) => match (envelope.open(&file_key), unarmored.error) {
                    (Err(OpenError::Mac), _) => Some(Cause::Mac),
                    (_, Some(error)) => return Err(UnwrapError::Armor(error)),
                    (Err(OpenError::Payload), None) => return Err(UnwrapError::Payload),
                    (Ok(data_key), None) => return Ok(data_key),
                },
            },
        };
        Err(attempt.failure(cause))
    }

    fn key(&self) -> &TextSource {
        self.key.get_or_init(|| self.warned(self.sources.load_key()))
    }

    fn key_file(&self) -> &TextSource {
        self.key_file.get_or_init(|| self.warned(self.sources.load_key_file()))
    }

    fn config_file(&self) -> Option<&TextSource> {
        let load = || self.sources.load_config_file().map(|source| self.warned(source));
        self.config_file.get_or_init(load).as_ref()
    }

    fn warned(&self, source: TextSource) -> TextSource {
        source.warnings.iter().for_each(|warning| self.prompt.warn(warning));
        source
    }
}

/// One call: the cached sources and the commands' answers for this recipient.
struct Attempt<'a> {
    identities: &'a Identities,
    recipient: &'a str,
    key_cmd: TextSource,
    ssh_key_cmd: OnceCell<SshSource>,
}

impl Attempt<'_> {
    /// Sources 5 to 8.
    fn texts(&self) -> impl Iterator<Item = &TextSource> {
        let first = [self.identities.key(), self.identities.key_file(), &self.key_cmd];
        first.into_iter().chain(self.identities.config_file())
    }

    /// Sources 1 to 4: read only if no plain identity fits.
    fn ssh(&self) -> impl Iterator<Item = &SshSource> {
        let Identities { sources, ssh_key_file, home_keys, .. } = self.identities;
        let file = ssh_key_file.get_or_init(|| sources.load_ssh_key_file());
        let command = self.ssh_key_cmd.get_or_init(|| sources.load_ssh_key_cmd(self.recipient));
        let home = home_keys.get_or_init(|| sources.load_home_keys());
        [file, command].into_iter().chain(home)
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        self.texts().filter_map(|source| match &source.outcome {
            Outcome::Loaded(content) => Some(content),
            Outcome::Absent | Outcome::Failed(_) => None,
        })
    }

    /// Plain identities first, so that nothing is asked or started if one fits; then the rest in order. The
    /// first error other than "does not fit" ends it.
    fn file_key(&self, stanzas: &[Stanza]) -> Result<Option<FileKey>, Cause> {
        let prompt = &*self.identities.prompt;
        let plain = self.contents().flat_map(identities_of).filter(|identity| identity.is_plain());
        for identity in plain {
            if let Some(key) = identity.unwrap(stanzas, prompt)? {
                return Ok(Some(key));
            }
        }
        for source in self.ssh() {
            if let Outcome::Loaded(key) = &source.outcome
                && let Some(key) = key.unwrap(stanzas, prompt)?
            {
                return Ok(Some(key));
            }
        }
        for content in self.contents() {
            if let Content::Encrypted(file) = content
                && let Some(key) = file.unwrap(stanzas, self.identities.sources.agent.as_ref(), prompt)?
            {
                return Ok(Some(key));
            }
            for plugin in identities_of(content).iter().filter(|identity| !identity.is_plain()) {
                if let Some(key) = plugin.unwrap(stanzas, prompt)? {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }

    /// What to say. Only here are ssh keys checked that no stanza asked for.
    fn failure(&self, cause: Option<Cause>) -> UnwrapError {
        let mut report = Report::default();
        let mut candidates = 0;
        for source in self.ssh() {
            match &source.outcome {
                Outcome::Absent => report.missing.extend(source.location.clone()),
                Outcome::Failed(error) => report.errors.push(error.clone()),
                Outcome::Loaded(key) => match key.check() {
                    Ok(_) => candidates += 1,
                    Err(error) => report.errors.push(LoadError::Ssh(error.clone())),
                },
            }
        }
        let mut anything_read = candidates > 0;
        let (mut unparsed, mut empty, mut plugin) = (Vec::new(), Vec::new(), None);
        for (index, source) in self.texts().enumerate() {
            // the fourth is the default file: its absence tells something only if there is nothing else
            let is_default = index == 3;
            match &source.outcome {
                Outcome::Absent if !is_default || !anything_read => {
                    report.missing.push(source.location.clone());
                }
                Outcome::Absent => {}
                Outcome::Failed(error @ LoadError::Encrypted { .. }) => unparsed.push(error.clone()),
                Outcome::Failed(error) => report.errors.push(error.clone()),
                Outcome::Loaded(content) => match content {
                    Content::Encrypted(_) => candidates += 1,
                    Content::Plain(IdentityText { identities, bad }) => {
                        candidates += identities.len();
                        plugin = plugin.or(identities.iter().find_map(|identity| match identity {
                            Identity::Plugin(plugin) => Some(plugin.name.clone()),
                            Identity::X25519(_) | Identity::Hybrid(_) => None,
                        }));
                        match bad.first() {
                            Some((_, error)) => unparsed.push(LoadError::Parse {
                                location: source.location.clone(),
                                error: error.clone(),
                            }),
                            None if identities.is_empty() => empty.push(source.location.clone()),
                            None => {}
                        }
                    }
                },
            }
            anything_read |= source.was_read();
        }
        if let (Err(reason), false) = (&self.identities.sources.config_dir, anything_read) {
            report.errors.push(LoadError::ConfigDir(reason.clone()));
        }
        report.errors.append(&mut unparsed);
        report.missing.append(&mut empty);
        match (candidates, cause) {
            (0, _) => UnwrapError::NoIdentity(report),
            (_, Some(cause)) => UnwrapError::Reader(cause, report),
            (1, None) => UnwrapError::Reader(Cause::NoMatch(plugin), report),
            (_, None) => UnwrapError::Reader(Cause::NoneMatches, report),
        }
    }
}

fn identities_of(content: &Content) -> &[Identity] {
    match content {
        Content::Plain(text) => &text.identities,
        Content::Encrypted(_) => &[],
    }
}

/// Tries one identity on all stanzas.
pub(super) fn each(identity: &dyn age::Identity, stanzas: &[Stanza]) -> Result<Option<FileKey>, Cause> {
    stanzas.iter().find_map(|stanza| one(identity, stanza)).transpose()
}

/// Tries one identity on one stanza; `None` if it is for another.
pub(super) fn one(identity: &dyn age::Identity, stanza: &Stanza) -> Option<Result<FileKey, Cause>> {
    let tag = &stanza.tag;
    identity.unwrap_stanza(stanza).map(|result| {
        result.map_err(|error| match error {
            age::DecryptError::InvalidHeader => Cause::Stanza(format!("invalid {tag} recipient block")),
            age::DecryptError::DecryptionFailed => Cause::IncorrectFileKey(tag.clone()),
            age::DecryptError::ExcessiveWork { required, .. } => {
                Cause::Stanza(format!("scrypt work factor too large: {required}"))
            }
            age::DecryptError::Io(error) => Cause::Stanza(error.to_string()),
            error => Cause::Stanza(error.to_string()),
        })
    })
}
