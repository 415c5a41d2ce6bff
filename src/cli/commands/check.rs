//! `rsops check`: what must not be committed, told without any key.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rsops::check::{Checker, Code, Finding, Subject, companions, format_of};
use rsops::config::{Config, FILE_NAME, absolute};
use rsops::keys::DecryptionOrder;
use rsops::tree::Source;

use crate::cli::error::CommandError;
use crate::cli::findings::{Format, Located, render};
use crate::cli::open::{parse, verify};
use crate::cli::options::{DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions, path};
use crate::cli::place::{Input, KeyServices, Place, current_directory, key_services};
use crate::cli::repository::{
    Candidate, Content, is_repository, not_ignored, objects, staged, staged_by_name, top_level, tracked,
    walked,
};
use crate::cli::ui::{Component, Ui};

/// Find plaintext and drift before they are committed
///
/// Looks at the tracked files below the working directory, or below each PATH; outside of a repository, at all files.
/// A file is held against the nearest .sops.yaml above it. No key is needed. The status is 1 if anything is found.
///
/// A comment `rsops:allow CODE` in a file, globs under `rsops.check.allow` in .sops.yaml, or --allow let findings pass.
#[derive(Args)]
pub(crate) struct Check {
    /// Files and folders to look at
    #[arg(value_name = "PATH", value_parser = path())]
    paths: Vec<PathBuf>,
    /// Look at what the next commit changes, as it will be committed
    #[arg(long, conflicts_with = "all")]
    staged: bool,
    /// Look at files that are not tracked too, unless they are ignored
    #[arg(long)]
    all: bool,
    /// Also decrypt every encrypted file with the keys at hand, and check its MAC
    #[arg(long)]
    verify: bool,
    /// How findings are printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "human")]
    format: Format,
    /// Let findings of this code pass. May be repeated
    #[arg(long, value_name = "CODE", value_parser = code)]
    allow: Vec<Code>,
    #[command(flatten)]
    decryption: DecryptionOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

fn code(name: &str) -> Result<Code, String> {
    Code::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Code::ALL.into_iter().map(Code::name).collect();
        format!("no such code; the codes are {}", names.join(", "))
    })
}

impl Check {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let folder = current_directory()?;
        let candidates = self.candidates(&folder)?;
        let verifier = match self.verify {
            true => Some(Verifier {
                ui: ui.clone(),
                services: key_services(&ui, &self.services)?,
                order: self.decryption.order()?,
            }),
            false => None,
        };
        let mut inspection = Inspection {
            rules: Rules {
                folder: &folder,
                staged: if self.staged { Some(Staged::read(&folder)?) } else { None },
                named: self.named_configuration(&folder)?,
                known: HashMap::new(),
            },
            allow: self.allow.iter().copied().collect(),
            verifier,
            encrypted: HashSet::new(),
            plain: Vec::new(),
            findings: Vec::new(),
        };
        let contents = index_contents(&folder, &candidates)?;
        for candidate in candidates {
            let source = match &candidate.content {
                Content::WorkTree => read(&folder.join(&candidate.path))?,
                // several files may have the same content, which Git keeps once
                Content::Object(name) => match contents.get(name) {
                    Some(source) => Some(source.clone()),
                    None => {
                        let file = candidate.path.display();
                        return Err(CommandError::Git(format!("git does not give the content of {file}")));
                    }
                },
            };
            if let Some(source) = source {
                inspection.examine(&candidate.path, source)?;
            }
        }
        let findings = inspection.finish();
        ui.info(Component::Cmd, "Check finished", &[("findings", &findings.len().to_string())]);
        ui.print(render(&findings, self.format).as_bytes())?;
        let files: HashSet<&PathBuf> = findings.iter().map(|located| &located.path).collect();
        match findings.len() {
            0 => Ok(()),
            findings => Err(CommandError::Findings { findings, files: files.len() }),
        }
    }

    /// The files to look at, each once.
    fn candidates(&self, folder: &Path) -> Result<Vec<Candidate>, CommandError> {
        let missing =
            self.paths.iter().find(|path| !self.staged && fs::symlink_metadata(folder.join(path)).is_err());
        if let Some(missing) = missing {
            return Err(CommandError::NoSuchFile(missing.clone()));
        }
        if !is_repository(folder) {
            if self.staged {
                return Err(CommandError::Git("--staged needs a repository, and this is none".to_owned()));
            }
            return Ok(walked(folder, &self.paths));
        }
        let mut candidates = match (self.staged, self.all) {
            (true, _) => staged(folder, &self.paths)?,
            (_, true) => not_ignored(folder, &self.paths)?,
            _ => tracked(folder, &self.paths)?,
        };
        if !self.staged {
            // who names a file wants to know, whatever the repository says of it
            let known: HashSet<PathBuf> = candidates.iter().map(|candidate| candidate.path.clone()).collect();
            let named = self.paths.iter().filter(|path| folder.join(path).is_file());
            let named = named.filter(|path| !known.contains(*path) && !known.contains(&tidy(folder, path)));
            candidates.extend(named.map(|path| Candidate { path: path.clone(), content: Content::WorkTree }));
        }
        Ok(candidates)
    }

    /// The configuration of `--config`, which then counts for all files.
    fn named_configuration(&self, folder: &Path) -> Result<Option<Configured>, CommandError> {
        match &self.global.config {
            Some(path) if !path.as_os_str().is_empty() => {
                let config = Config::load(folder, path).map_err(CommandError::Config)?;
                Configured::new(config).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// A path as a word for the shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A path without detours, relative to the folder where that is possible.
fn tidy(folder: &Path, path: &Path) -> PathBuf {
    let full = absolute(folder, path);
    full.strip_prefix(folder).map_or_else(|_| full.clone(), Path::to_owned)
}

fn read(path: &Path) -> Result<Option<Source>, CommandError> {
    const GONE: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::IsADirectory, ErrorKind::NotADirectory];
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        // tracked, but deleted, or something else by now
        Err(error) if GONE.contains(&error.kind()) => Ok(None),
        Err(error) => Err(CommandError::Read { path: path.to_owned(), error }),
    }
}

fn index_contents(folder: &Path, candidates: &[Candidate]) -> Result<HashMap<String, Source>, CommandError> {
    let names: HashSet<String> = candidates
        .iter()
        .filter_map(|candidate| match &candidate.content {
            Content::Object(name) => Some(name.clone()),
            Content::WorkTree => None,
        })
        .collect();
    let contents = objects(folder, names.into_iter().collect())?;
    Ok(contents.into_iter().map(|(name, bytes)| (name, bytes.into())).collect())
}

/// A configuration, and which files it lets pass.
struct Configured {
    config: Config,
    allowed: GlobSet,
}

impl Configured {
    fn new(config: Config) -> Result<Self, CommandError> {
        let mut allowed = GlobSetBuilder::new();
        for glob in config.check_allow() {
            let wrong = |error: globset::Error| CommandError::AllowGlob {
                glob: glob.clone(),
                reason: error.kind().to_string(),
            };
            allowed.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?);
        }
        let allowed = allowed.build().map_err(|error| CommandError::AllowGlob {
            glob: config.check_allow().join(", "),
            reason: error.kind().to_string(),
        })?;
        Ok(Self { config, allowed })
    }

    fn allows(&self, file: &Path) -> bool {
        self.allowed.is_match(file.strip_prefix(self.config.directory()).unwrap_or(file))
    }
}

/// Which configuration counts for which folder: the nearest above it.
struct Rules<'a> {
    folder: &'a Path,
    /// If the configurations are those of the next commit as well.
    staged: Option<Staged>,
    /// `--config`.
    named: Option<Configured>,
    known: HashMap<PathBuf, Option<Arc<Configured>>>,
}

/// The configurations of the next commit, all read at once: to ask git for each folder would take most of the time.
struct Staged {
    top: PathBuf,
    configurations: HashMap<PathBuf, Vec<u8>>,
}

impl Staged {
    fn read(folder: &Path) -> Result<Self, CommandError> {
        let top = top_level(folder)?;
        Ok(Self { configurations: staged_by_name(&top, FILE_NAME)?, top })
    }
}

impl Rules<'_> {
    fn of(&mut self, directory: &Path) -> Result<Option<Arc<Configured>>, CommandError> {
        if let Some(known) = self.known.get(directory) {
            return Ok(known.clone());
        }
        let found = match (self.read(&directory.join(FILE_NAME))?, directory.parent()) {
            (Some(config), _) => Some(Arc::new(Configured::new(config)?)),
            (None, Some(parent)) => self.of(parent)?,
            (None, None) => None,
        };
        self.known.insert(directory.to_owned(), found.clone());
        Ok(found)
    }

    fn read(&self, file: &Path) -> Result<Option<Config>, CommandError> {
        // what is not committed does not count for what is
        if let Some(Staged { top, configurations }) = &self.staged
            && file.starts_with(top)
        {
            let bytes = configurations.get(file);
            return bytes.map(|bytes| Config::parse(file, bytes)).transpose().map_err(CommandError::Config);
        }
        if !file.is_file() {
            return Ok(None);
        }
        Config::load(self.folder, file).map(Some).map_err(CommandError::Config)
    }
}

/// The look at all files.
struct Inspection<'a> {
    rules: Rules<'a>,
    allow: HashSet<Code>,
    verifier: Option<Verifier>,
    encrypted: HashSet<PathBuf>,
    /// Files without metadata that may be copies of files with them.
    plain: Vec<PathBuf>,
    findings: Vec<Located>,
}

impl Inspection<'_> {
    fn examine(&mut self, path: &Path, source: Source) -> Result<(), CommandError> {
        let full = absolute(self.rules.folder, path);
        // it is no secret, whatever the rules in it match
        let is_configuration = full.file_name().is_some_and(|name| name == FILE_NAME);
        let configured = match &self.rules.named {
            Some(_) => None,
            None => self.rules.of(full.parent().unwrap_or(&full))?,
        };
        let configured = configured.as_deref().or(self.rules.named.as_ref());
        if configured.is_some_and(|configured| configured.allows(&full)) {
            return Ok(());
        }
        let config = configured.map(|configured| &configured.config).filter(|_| !is_configuration);
        let shown = quoted(path);
        let subject = Subject { path: &full, shown: &shown, source };
        let verdict = Checker::new(config).examine(&subject).map_err(CommandError::Config)?;
        let mut findings = verdict.findings;
        if verdict.is_encrypted {
            if let Some(verifier) = &self.verifier {
                findings.extend(verifier.verify(&subject));
            }
            self.encrypted.insert(full);
        } else if !companions(path).is_empty() {
            self.plain.push(path.to_owned());
        }
        self.keep(path, findings);
        Ok(())
    }

    fn keep(&mut self, path: &Path, findings: Vec<Finding>) {
        let kept = findings.into_iter().filter(|finding| !self.allow.contains(&finding.code));
        self.findings.extend(kept.map(|finding| Located { path: path.to_owned(), finding }));
    }

    /// What is wrong, once all files are known.
    fn finish(mut self) -> Vec<Located> {
        for path in std::mem::take(&mut self.plain) {
            let of = companions(&path).into_iter().find(|other| self.is_encrypted(other));
            if let Some(of) = of {
                let finding = Finding {
                    code: Code::Leftover,
                    position: None,
                    message: format!("this is a decrypted copy of {}", of.display()),
                    fix: format!("git rm --cached {}, and name it in .gitignore", quoted(&path)),
                };
                self.keep(&path, vec![finding]);
            }
        }
        self.findings.sort_by(|a, b| a.path.cmp(&b.path));
        self.findings
    }

    /// Whether the other file is encrypted; it need not be among those that are looked at.
    fn is_encrypted(&self, other: &Path) -> bool {
        let full = absolute(self.rules.folder, other);
        self.encrypted.contains(&full)
            || fs::read(&full).is_ok_and(|bytes| {
                let shown = other.display().to_string();
                let subject = Subject { path: &full, shown: &shown, source: bytes.into() };
                Checker::new(None).examine(&subject).is_ok_and(|verdict| verdict.is_encrypted)
            })
    }
}

/// Decrypts what it can.
struct Verifier {
    ui: Arc<Ui>,
    services: KeyServices,
    order: DecryptionOrder,
}

impl Verifier {
    fn verify(&self, subject: &Subject<'_>) -> Option<Finding> {
        let input = Input::File(subject.path.to_owned());
        let mut place = Place::new(self.ui.clone(), input, &FormatOptions::default()).ok()?;
        place.input_format = format_of(subject.path, &subject.source)?;
        // why it cannot be read has been said
        let document = parse(&place, subject.source.clone()).ok()?;
        let error = verify(&place, document, &self.services, &self.order).err()?;
        let text = error.to_string();
        if let CommandError::Recover(_) = error {
            let reason = text.lines().find_map(|line| line.trim_start().strip_prefix("- | ")).unwrap_or("");
            return Some(unverified(
                format!("no key at hand opens it: {reason}"),
                "run the check where a key of the file is at hand, or without --verify",
            ));
        }
        let first = text.lines().next().unwrap_or_default().to_owned();
        Some(unverified(first, "restore the file from the last commit in which it could be decrypted"))
    }
}

fn unverified(message: String, fix: &str) -> Finding {
    Finding { code: Code::Unverified, position: None, message, fix: fix.to_owned() }
}
