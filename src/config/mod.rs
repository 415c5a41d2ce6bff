//! The configuration file `.sops.yaml` (config.md).
//!
//! `discovery` finds it, `decode` reads YAML nodes into typed fields. What is read stays as it was written until it is
//! asked for: [`Config::creation_rule`] says how a new file is encrypted, [`Config::destination_rule`] where it is
//! published. So a rule that is not used may hold keys that are none.

mod audit;
mod creation_rule;
mod decode;
mod destination_rule;
mod discovery;
mod error;
mod key_group;
mod ours;
mod stores;
mod unknown_key;

use std::fs;
use std::path::{Component, Path, PathBuf};

use self::creation_rule::CreationRule;
use self::decode::{Decode, Decoder};
use self::destination_rule::DestinationRule;
use crate::store::Indent;
use crate::store::yaml::{Stream, with_nodes};

pub use audit::AuditConfig;
pub use creation_rule::ResolvedRule;
pub use destination_rule::{Destination, KvVersion, ResolvedDestination};
pub use discovery::{FILE_NAME, Misnamed, Search, search};
pub use error::ConfigError;
pub use unknown_key::UnknownKey;

/// A configuration file.
pub struct Config {
    /// As messages name it.
    path: PathBuf,
    /// Its directory, absolute.
    directory: PathBuf,
    contents: Contents,
}

#[derive(Default)]
struct Contents {
    /// An empty list is not the same as none (§2).
    creation_rules: Option<Vec<CreationRule>>,
    destination_rules: Vec<DestinationRule>,
    indent: Indent,
    /// Of our own section `rsops`.
    check_allow: Vec<String>,
    unknown_keys: Vec<UnknownKey>,
}

impl Config {
    /// Reads a file; a relative path begins in the working directory. Files that nest deep need a stack of
    /// [`crate::tree::STACK_SIZE`].
    pub fn load(working_directory: &Path, path: &Path) -> Result<Self, ConfigError> {
        let file = absolute(working_directory, path);
        // opened as given: cleaned, the path may lead elsewhere if there are symbolic links in it
        let bytes = fs::read(working_directory.join(path))
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&file, &bytes).map(|config| Self { path: path.to_owned(), ..config })
    }

    /// The same for bytes that lie elsewhere, such as in the index of a repository. The path is absolute.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let directory = file.parent().unwrap_or(file).to_owned();
        Ok(Self { path: file.to_owned(), directory, contents: Contents::parse(bytes)? })
    }

    /// Its path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Globs of files in which `rsops check` finds nothing, relative to the directory of this file: `rsops.check.allow`,
    /// a section that the reference ignores.
    pub fn check_allow(&self) -> &[String] {
        &self.contents.check_allow
    }

    /// Its directory, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How files are indented.
    pub fn indent(&self) -> Indent {
        self.contents.indent
    }

    /// Keys that mean nothing where they stand, in the order of the file. The reference ignores them too, but says
    /// nothing.
    pub fn unknown_keys(&self) -> &[UnknownKey] {
        &self.contents.unknown_keys
    }

    /// What the first rule that matches says about a file (§3). The path is one that [`absolute`] made. The context
    /// goes to the `kms` keys of the rule, though not to those in `key_groups`.
    pub fn creation_rule(
        &self,
        file: &Path,
        encryption_context: &[(String, String)],
    ) -> Result<ResolvedRule, ConfigError> {
        let Some(rules) = &self.contents.creation_rules else {
            return Err(ConfigError::NoCreationRules { path: self.path.clone() });
        };
        let subject = self.subject(file).as_os_str().as_encoded_bytes();
        for rule in rules {
            if rule.matches(subject)? {
                return rule.resolve(encryption_context);
            }
        }
        Err(ConfigError::NoMatchingRule)
    }

    /// Whether the first rule that matches a file names it by a `path_regex`, instead of taking whatever comes.
    pub fn names(&self, file: &Path) -> Result<bool, ConfigError> {
        let subject = self.subject(file).as_os_str().as_encoded_bytes();
        for rule in self.contents.creation_rules.iter().flatten() {
            if rule.matches(subject)? {
                return Ok(rule.names_files());
            }
        }
        Ok(false)
    }

    /// What the rules are matched with: the path from the directory of this file, or the absolute path of a file that
    /// lies elsewhere. From the root directory nothing is taken off.
    fn subject<'a>(&self, file: &'a Path) -> &'a Path {
        match file.strip_prefix(&self.directory) {
            Ok(relative) if self.directory.parent().is_some() => relative,
            _ => file,
        }
    }

    /// What the first rule that matches says about publishing a file (§6). The path is the one that was typed.
    pub fn destination_rule(&self, path: &Path) -> Result<ResolvedDestination, ConfigError> {
        for rule in &self.contents.destination_rules {
            if rule.matches(path.as_os_str().as_encoded_bytes())? {
                return rule.resolve();
            }
        }
        Err(ConfigError::NoMatchingDestination)
    }
}

impl Contents {
    fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        with_nodes(bytes, |stream| Self::read(stream, bytes.len())).map_err(ConfigError::Invalid)
    }

    /// Only the first document counts.
    fn read(stream: &Stream<'_>, bytes: usize) -> Decode<Self> {
        let Some(document) = stream.documents.first() else { return Ok(Self::default()) };
        let mut decoder = Decoder::new(stream, bytes);
        if decoder.is_null(document.root)? {
            return Ok(Self::default());
        }
        let mut fields = decoder.mapping(document.root, "the configuration")?;
        let contents = Self {
            creation_rules: fields.list_if_present("creation_rules", CreationRule::read)?,
            destination_rules: fields.list("destination_rules", DestinationRule::read)?,
            indent: fields.nested("stores", stores::read)?.unwrap_or_default(),
            check_allow: fields.nested("rsops", ours::read)?.unwrap_or_default(),
            unknown_keys: Vec::new(),
        };
        fields.finish();
        Ok(Self { unknown_keys: decoder.unknown_keys(), ..contents })
    }
}

/// The absolute path of a file, `.` and `..` resolved in the text, symbolic links left alone.
pub fn absolute(working_directory: &Path, path: &Path) -> PathBuf {
    let mut absolute = PathBuf::new();
    for component in working_directory.join(path).components() {
        match component {
            Component::CurDir => {}
            // above the root there is the root
            Component::ParentDir => {
                absolute.pop();
            }
            component => absolute.push(component),
        }
    }
    absolute
}

#[cfg(test)]
mod tests;
