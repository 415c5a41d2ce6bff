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

mod disguise;
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

pub use disguise::disguise;
pub use secrets::companions;

use disguise::{true_format, unmask};

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
    BrokenConfiguration,
}

impl Code {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 13] = [
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
        Self::BrokenConfiguration,
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
            Self::BrokenConfiguration => "broken-configuration",
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
            Self::BrokenConfiguration => "the configuration cannot be used, so its rules are not checked",
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
    /// Its name as a word for the shell.
    pub word: &'a str,
    /// How commands to type name it: that word behind the flags that it needs.
    pub shown: &'a str,
    /// What is in it.
    pub source: Source,
}

/// What was found out about a file.
pub struct Verdict {
    /// Whether it carries metadata, be they readable or not.
    pub is_encrypted: bool,
    /// The format that its metadata are written in, else that of its name.
    pub format: Format,
    /// Everything that is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Looks at files with the rules of a configuration, if there is one.
pub struct Checker<'a> {
    config: Option<&'a Config>,
    allowed: HashSet<Code>,
}

impl<'a> Checker<'a> {
    /// Without a configuration, what rules say is not checked.
    pub fn new(config: Option<&'a Config>) -> Self {
        Self { config, allowed: HashSet::new() }
    }

    /// Lets findings of these codes pass, as a comment in a file does.
    #[must_use]
    pub fn allowing(self, codes: &HashSet<Code>) -> Self {
        Self { allowed: codes.clone(), ..self }
    }

    /// Everything that is wrong with a file. Fails only if the configuration is wrong.
    pub fn examine(&self, subject: &Subject<'_>) -> Result<Verdict, ConfigError> {
        let (format, state) = State::of(subject);
        let rule = self.rule(subject, state.is_encrypted())?;
        Ok(self.verdict(subject, format, state, rule.as_ref()))
    }

    /// The same whatever rules say.
    pub fn examine_without_rules(&self, subject: &Subject<'_>) -> Verdict {
        let (format, state) = State::of(subject);
        self.verdict(subject, format, state, None)
    }

    fn verdict(
        &self,
        subject: &Subject<'_>,
        format: Format,
        state: State,
        rule: Option<&ResolvedRule>,
    ) -> Verdict {
        let bytes = subject.source.as_bytes();
        let mut findings = private_key::private_keys(bytes);
        let allowed = secrets::allowed(bytes);
        let passes = |code| allowed.contains(&code) || self.allowed.contains(&code);
        let named = subject;
        let shown = with_format(named, format, &["--input-type", "--output-type"]);
        let subject = &Subject { shown: &shown, source: named.source.clone(), ..*named };
        let is_encrypted = state.is_encrypted();
        if is_encrypted || rule.is_some() {
            findings.extend(secrets::conflict_marker(bytes));
        }
        match state {
            State::Encrypted(mut document) => {
                findings.extend(self.encrypted(subject, &mut document));
                if let Some(rule) = rule {
                    let at = secrets::metadata_position(bytes);
                    let file = drift::File {
                        format,
                        word: named.word,
                        shown: &shown,
                        shown_for_keys: &with_format(named, format, &["--input-type"]),
                    };
                    findings.extend(drift::drift(&file, &document.metadata, rule, at));
                }
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
            // whoever lets it lie in clear has not said that it is no Secret
            _ if rule.is_some() && !passes(Code::PlaintextFile) && !is_housekeeping(subject.path, bytes) => {
                findings.push(Finding {
                    code: Code::PlaintextFile,
                    position: None,
                    message: "a creation rule names this file, but it is not encrypted".to_owned(),
                    fix: format!("rsops encrypt --in-place {}", subject.shown),
                })
            }
            State::Plain(document) => findings.extend(manifest::secrets(&document.tree.branches, subject)),
            State::Template => findings.extend(template::secrets(subject)),
            State::Other => {}
        }
        findings.retain(|finding| !passes(finding.code));
        findings.sort_by_key(|finding| finding.position.map_or((0, 0), |at| (at.line, at.column)));
        Verdict { is_encrypted, format, findings }
    }

    /// The rule for a file: any for one that is encrypted, else only one that names it by a `path_regex`.
    fn rule(&self, subject: &Subject<'_>, is_encrypted: bool) -> Result<Option<ResolvedRule>, ConfigError> {
        let Some(config) = self.config else { return Ok(None) };
        if !is_encrypted && !config.names(subject.path)? {
            return Ok(None);
        }
        match config.creation_rule(subject.path, &[]) {
            Ok(rule) => match (rule.shamir_threshold, rule.key_groups.len()) {
                // no command would encrypt with it
                (threshold, groups @ 2..) if threshold == 1 || threshold > groups => {
                    Err(ConfigError::Threshold { threshold, groups })
                }
                _ => Ok(Some(rule)),
            },
            Err(ConfigError::NoCreationRules { .. } | ConfigError::NoMatchingRule) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn encrypted(&self, subject: &Subject<'_>, document: &mut EncryptedDocument) -> Vec<Finding> {
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
        findings.extend(leaves::examine(subject, document));
        findings
    }
}

/// What a file is.
enum State {
    /// It carries metadata.
    Encrypted(Box<EncryptedDocument>),
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
    fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_) | Self::Broken(_))
    }

    /// Most files are told by a search for one word and are never parsed.
    fn of(subject: &Subject<'_>) -> (Format, Self) {
        let bytes = subject.source.as_bytes();
        let format = Format::from_path(subject.path);
        if secrets::mentions_metadata(bytes) {
            let loaded = EncryptedDocument::load(&*format.store(Indent::default()), subject.source.clone());
            let is_unreadable =
                matches!(loaded, Err(LoadError::Store(_) | LoadError::Layout(LayoutError::NotFound)));
            if is_unreadable && let Some((format, document)) = unmask(format, &subject.source) {
                return (format, Self::Encrypted(Box::new(document)));
            }
            match loaded {
                Ok(document) => {
                    return (true_format(format, &document), Self::Encrypted(Box::new(document)));
                }
                Err(LoadError::Layout(LayoutError::NotFound)) => {}
                // text that only speaks of encrypted files, such as documentation
                Err(LoadError::Store(_)) if !secrets::has_metadata_line(bytes, format) => {}
                Err(error) => {
                    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                    return (format, Self::Broken(reason));
                }
            }
        }
        let Some(syntax) = manifest::syntax(subject.path).filter(|_| manifest::may_be_secret(bytes)) else {
            return (format, Self::Other);
        };
        match PlainDocument::load(&*syntax.store(Indent::default()), subject.source.clone()) {
            Ok(document) => (syntax, Self::Plain(document)),
            Err(_) if syntax == Format::Yaml => (format, Self::Template),
            Err(_) => (format, Self::Other),
        }
    }
}

/// Whether a file is never encrypted, whatever rules match it: it is empty, or says to Git what to do with its folder.
pub fn is_housekeeping(path: &Path, bytes: &[u8]) -> bool {
    const NAMES: [&str; 5] = [".gitignore", ".gitattributes", ".gitkeep", ".keep", ".gitmodules"];
    bytes.trim_ascii().is_empty()
        || path.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

/// How a command names a file, told the format if the name tells another one.
fn with_format(subject: &Subject<'_>, format: Format, flags: &[&str]) -> String {
    if format == Format::from_path(subject.path) {
        return subject.shown.to_owned();
    }
    let flags: String = flags.iter().map(|flag| format!("{flag} {} ", format.name())).collect();
    flags + subject.shown
}

/// Whether a file may be encrypted in this format, told by a search for a few words. One that is never fails it.
pub fn may_be_encrypted(format: Format, bytes: &[u8]) -> bool {
    // YAML has many ways to write a key
    secrets::mentions_metadata(bytes) && (format == Format::Yaml || secrets::has_metadata_line(bytes, format))
}

/// Whether a file has metadata as this format writes them, be they readable or not.
pub fn carries_metadata(format: Format, bytes: &[u8]) -> bool {
    secrets::mentions_metadata(bytes) && secrets::has_metadata_line(bytes, format)
}
