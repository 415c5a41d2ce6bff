//! What is wrong with a file, told without any key: `rsops check`.
//!
//! A [`Checker`] knows the rules and looks at one file at a time. Each kind of finding has a [`Code`] that never
//! changes its meaning; scripts and suppressions name it.
//!
//! ```text
//! bytes ─► secrets (private keys, conflict markers)        anything
//!      └─► encrypted document ─► leaves, drift              files with metadata
//!      └─► plain document ─► rules, manifest                files without
//! ```

mod drift;
mod leaves;
mod manifest;
mod placeholder;
mod private_key;
mod secrets;
mod template;

use std::collections::HashSet;
use std::path::Path;

use crate::config::{Config, ConfigError, ResolvedRule};
use crate::document::{EncryptedDocument, LoadError, PlainDocument};
use crate::metadata::LayoutError;
use crate::store::{Format, Indent};
use crate::tree::Source;

pub use secrets::companions;

/// What can be wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant has its explanation")]
pub enum Code {
    PlaintextFile,
    PlaintextValue,
    SelectionDrift,
    RecipientDrift,
    BrokenMetadata,
    BrokenValue,
    ConflictMarker,
    NoMac,
    KubernetesSecret,
    PrivateKey,
    Leftover,
    Unverified,
}

impl Code {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 12] = [
        Self::PlaintextFile,
        Self::PlaintextValue,
        Self::SelectionDrift,
        Self::RecipientDrift,
        Self::BrokenMetadata,
        Self::BrokenValue,
        Self::ConflictMarker,
        Self::NoMac,
        Self::KubernetesSecret,
        Self::PrivateKey,
        Self::Leftover,
        Self::Unverified,
    ];

    /// The word for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::PlaintextFile => "plaintext-file",
            Self::PlaintextValue => "plaintext-value",
            Self::SelectionDrift => "selection-drift",
            Self::RecipientDrift => "recipient-drift",
            Self::BrokenMetadata => "broken-metadata",
            Self::BrokenValue => "broken-value",
            Self::ConflictMarker => "conflict-marker",
            Self::NoMac => "no-mac",
            Self::KubernetesSecret => "kubernetes-secret",
            Self::PrivateKey => "private-key",
            Self::Leftover => "leftover",
            Self::Unverified => "unverified",
        }
    }

    /// One sentence for people who meet it for the first time.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::PlaintextFile => "a creation rule names the file, but it is not encrypted",
            Self::PlaintextValue => "a value that the file's selection encrypts is in clear",
            Self::SelectionDrift => "the file selects other values than its creation rule",
            Self::RecipientDrift => "the file is encrypted for others than its creation rule says",
            Self::BrokenMetadata => "the metadata cannot be read, so the file cannot be decrypted",
            Self::BrokenValue => "an encrypted value is damaged, so the file cannot be decrypted",
            Self::ConflictMarker => "a merge was not finished",
            Self::NoMac => "the file has no MAC, so changes to it cannot be noticed",
            Self::KubernetesSecret => "a Kubernetes Secret has values in clear",
            Self::PrivateKey => "the file holds a private key",
            Self::Leftover => "the file is a decrypted copy of an encrypted one",
            Self::Unverified => "the file cannot be decrypted, or is not what was encrypted",
        }
    }

    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }
}

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind it is.
    pub code: Code,
    /// Where it is, if it is at one place.
    pub position: Option<Position>,
    /// What is wrong: lower-case, without any value of the file.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

/// A place in a file. Both count from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a line and a column")]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        Self { line, column: 1 + String::from_utf8_lossy(&before[start..]).chars().count() }
    }
}

/// A file to look at.
pub struct Subject<'a> {
    /// Its absolute path, as rules are matched with it.
    pub path: &'a Path,
    /// How the user names it, for commands to type.
    pub shown: &'a str,
    /// What is in it.
    pub source: Source,
}

/// What was found out about a file.
pub struct Verdict {
    /// Whether it carries metadata, be they readable or not.
    pub is_encrypted: bool,
    /// Everything that is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Looks at files with the rules of a configuration, if there is one.
pub struct Checker<'a> {
    config: Option<&'a Config>,
}

impl<'a> Checker<'a> {
    /// Without a configuration, what rules say is not checked.
    pub fn new(config: Option<&'a Config>) -> Self {
        Self { config }
    }

    /// Everything that is wrong with a file. Fails only if the configuration is wrong.
    pub fn examine(&self, subject: &Subject<'_>) -> Result<Verdict, ConfigError> {
        let bytes = subject.source.as_bytes();
        let mut findings = private_key::private_keys(bytes);
        let allowed = secrets::allowed(bytes);
        let state = State::of(subject);
        let is_encrypted = matches!(state, State::Encrypted(..) | State::Broken(_));
        let rule = self.rule(subject, is_encrypted)?;
        if is_encrypted || rule.is_some() {
            findings.extend(secrets::conflict_marker(bytes));
        }
        match state {
            State::Encrypted(mut document, format) => {
                findings.extend(self.encrypted(subject, &mut document, format, rule.as_ref()));
                findings.extend(manifest::secrets(document.branches(), subject));
            }
            // the markers say it better
            State::Broken(_) if findings.iter().any(|found| found.code == Code::ConflictMarker) => {}
            State::Broken(reason) => findings.push(Finding {
                code: Code::BrokenMetadata,
                position: secrets::metadata_position(bytes),
                message: format!("the metadata cannot be read: {reason}"),
                fix: "restore the file from the last commit in which it could be decrypted".to_owned(),
            }),
            _ if rule.is_some() && !is_housekeeping(subject.path, bytes) => findings.push(Finding {
                code: Code::PlaintextFile,
                position: None,
                message: "a creation rule names this file, but it is not encrypted".to_owned(),
                fix: format!("rsops encrypt --in-place {}", subject.shown),
            }),
            State::Plain(document) => findings.extend(manifest::secrets(&document.tree.branches, subject)),
            State::Template => findings.extend(template::secrets(subject)),
            State::Other => {}
        }
        findings.retain(|finding| !allowed.contains(&finding.code));
        findings.sort_by_key(|finding| finding.position.map_or((0, 0), |at| (at.line, at.column)));
        Ok(Verdict { is_encrypted, findings })
    }

    /// The rule for a file: any for one that is encrypted, else only one that names it by a `path_regex`.
    fn rule(&self, subject: &Subject<'_>, is_encrypted: bool) -> Result<Option<ResolvedRule>, ConfigError> {
        let Some(config) = self.config else { return Ok(None) };
        if !is_encrypted && !config.names(subject.path)? {
            return Ok(None);
        }
        match config.creation_rule(subject.path, &[]) {
            Ok(rule) => Ok(Some(rule)),
            Err(ConfigError::NoCreationRules { .. } | ConfigError::NoMatchingRule) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn encrypted(
        &self,
        subject: &Subject<'_>,
        document: &mut EncryptedDocument,
        format: Format,
        rule: Option<&ResolvedRule>,
    ) -> Vec<Finding> {
        let bytes = subject.source.as_bytes();
        let at = secrets::metadata_position(bytes);
        let mut findings = drift::wrapped(&document.metadata, at);
        if document.metadata.mac.is_empty() {
            findings.push(Finding {
                code: Code::NoMac,
                position: at,
                message: "the file has no MAC, so that nobody notices when it is changed".to_owned(),
                fix: format!("rsops rotate --ignore-mac --in-place {}", subject.shown),
            });
        }
        if let Some(rule) = rule {
            findings.extend(drift::drift(subject, &document.metadata, format, rule, at));
        }
        findings.extend(leaves::examine(subject, document));
        findings
    }
}

/// What a file is.
enum State {
    /// It carries metadata, in this format.
    Encrypted(Box<EncryptedDocument>, Format),
    /// It should, but they are wrong. Why, in one line.
    Broken(String),
    /// It is a document without metadata that may be a manifest.
    Plain(PlainDocument),
    /// It may be a manifest once it is filled in.
    Template,
    /// It is none of our business.
    Other,
}

impl State {
    /// Most files are told by a search for one word and are never parsed.
    fn of(subject: &Subject<'_>) -> Self {
        let bytes = subject.source.as_bytes();
        if secrets::mentions_metadata(bytes) {
            let named = Format::from_path(subject.path);
            match Self::load(subject, named) {
                Ok(document) => return Self::Encrypted(Box::new(document), named),
                Err(LoadError::Layout(LayoutError::NotFound)) => {}
                // text that only speaks of encrypted files, such as documentation, or another format
                Err(LoadError::Store(_)) if !secrets::has_metadata_line(bytes, named) => {}
                Err(error) => {
                    return Self::Broken(error.to_string().lines().next().unwrap_or_default().to_owned());
                }
            }
            // --input-type was given: for `X.YAML`, which is binary to sops, or `.env.production`
            let meant = secrets::format_of_metadata(bytes).filter(|meant| *meant != named);
            if let Some(meant) = meant
                && let Ok(document) = Self::load(subject, meant)
            {
                return Self::Encrypted(Box::new(document), meant);
            }
        }
        match manifest::syntax(subject.path).filter(|_| manifest::may_be_secret(bytes)) {
            Some(syntax) => {
                let store = syntax.store(Indent::default());
                match PlainDocument::load(&*store, subject.source.clone()) {
                    Ok(document) => Self::Plain(document),
                    Err(_) if syntax == Format::Yaml => Self::Template,
                    Err(_) => Self::Other,
                }
            }
            None => Self::Other,
        }
    }

    fn load(subject: &Subject<'_>, format: Format) -> Result<EncryptedDocument, LoadError> {
        EncryptedDocument::load(&*format.store(Indent::default()), subject.source.clone())
    }
}

/// The format in which a file is encrypted, whatever its name says: `--input-type` may have been given. None if it is
/// not encrypted, or cannot be read.
pub fn format_of(path: &Path, source: &Source) -> Option<Format> {
    match State::of(&Subject { path, shown: "", source: source.clone() }) {
        State::Encrypted(_, format) => Some(format),
        _ => None,
    }
}

/// Whether a file is never encrypted, whatever rules match it: it is empty, or says to Git what to do with its folder.
pub fn is_housekeeping(path: &Path, bytes: &[u8]) -> bool {
    const NAMES: [&str; 5] = [".gitignore", ".gitattributes", ".gitkeep", ".keep", ".gitmodules"];
    bytes.trim_ascii().is_empty()
        || path.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

/// Whether a file may be encrypted, told by a search for a few words. A file that is encrypted never fails it.
pub fn may_be_encrypted(path: &Path, bytes: &[u8]) -> bool {
    // YAML has many ways to write a key
    let may = |format| format == Format::Yaml || secrets::has_metadata_line(bytes, format);
    secrets::mentions_metadata(bytes) && may(Format::from_path(path))
}

/// Whether a file has metadata as they are written, be they readable or not.
pub fn carries_metadata(path: &Path, bytes: &[u8]) -> bool {
    secrets::mentions_metadata(bytes) && secrets::has_metadata_line(bytes, Format::from_path(path))
}

/// Codes by their names, for suppressions.
fn codes<'a>(words: impl Iterator<Item = &'a str>) -> HashSet<Code> {
    words.filter_map(Code::from_name).collect()
}
