//! `rsops check`: what must not be committed, told without any key.

mod rules;
mod verifier;
mod words;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rsops::check::{Checker, Code, Finding, Position, Subject, Verdict, companions};
use rsops::config::{FILE_NAME, absolute};
use rsops::tree::Source;

use self::rules::{Broken, Configured, Rules, Staged};
use self::verifier::Verifier;
use self::words::quoted;
use crate::cli::error::CommandError;
use crate::cli::findings::{Format, Located, render};
use crate::cli::options::{DecryptionOptions, GlobalOptions, KeyServiceOptions, path};
use crate::cli::place::{current_directory, key_services};
use crate::cli::repository::{
    Candidate, Content, Which, files, is_repository, objects, staged, top_level, unknown_to_index,
};
use crate::cli::ui::{Component, Ui};
use crate::cli::write_file::is_temporary;

/// Find plaintext and drift before they are committed
///
/// Looks at the tracked files below the working directory, or below each PATH; outside of a repository, at all files.
/// A file is held against the nearest .sops.yaml above it. No key is needed. The status is 1 if anything is found, or if
/// something could not be looked at.
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
    let is_allowable = |code: &Code| *code != Code::BrokenConfiguration;
    Code::from_name(name).filter(is_allowable).ok_or_else(|| {
        let names: Vec<&str> = Code::ALL.into_iter().filter(is_allowable).map(Code::name).collect();
        format!("no code that can be allowed; these are {}", names.join(", "))
    })
}

impl Check {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let folder = current_directory()?;
        let mut failures = Vec::new();
        let (candidates, top) = match self.staged {
            true => {
                let top = self.top_with_staged(&folder)?;
                (staged(&folder, &top, &self.paths)?, Some(top))
            }
            false => (self.on_disk(&folder, &mut failures)?, None),
        };
        let verifier = match self.verify {
            true => Some(Verifier {
                ui: ui.clone(),
                services: key_services(&ui, &self.services)?,
                order: self.decryption.order()?,
            }),
            false => None,
        };
        let staged = top.map(|top| Staged::read(&folder, top)).transpose()?;
        let mut inspection = Inspection {
            folder: &folder,
            rules: Rules::new(&folder, staged, &self.global)?,
            allow: self.allow.iter().copied().collect(),
            verifier,
            encrypted: HashSet::new(),
            plain: Vec::new(),
            broken: HashSet::new(),
            findings: Vec::new(),
        };
        let contents = index_contents(&folder, &candidates)?;
        for candidate in candidates {
            match content(&folder, &candidate, &contents) {
                Ok(Some(source)) => inspection.examine(&candidate.path, source),
                Ok(None) => {}
                Err(error) => failures.push(error),
            }
        }
        let findings = inspection.finish();
        ui.info(Component::Cmd, "Check finished", &[("findings", &findings.len().to_string())]);
        ui.print(render(&findings, self.format, &self.root(&folder)).as_bytes())?;
        failures.iter().for_each(CommandError::print);
        let files: HashSet<&PathBuf> = findings.iter().map(|located| &located.path).collect();
        match findings.len() {
            0 if failures.is_empty() => Ok(()),
            0 => Err(CommandError::Failures),
            findings => Err(CommandError::Findings { findings, files: files.len() }),
        }
    }

    /// The top of the repository, whose next commit knows each of the paths.
    fn top_with_staged(&self, folder: &Path) -> Result<PathBuf, CommandError> {
        if !is_repository(folder)? {
            return Err(CommandError::Git("--staged needs a repository, and this is none".to_owned()));
        }
        match unknown_to_index(folder, &self.paths)? {
            Some(path) => Err(CommandError::NotStaged(path)),
            None => top_level(folder),
        }
    }

    /// The files to look at, each once.
    fn on_disk(
        &self,
        folder: &Path,
        failures: &mut Vec<CommandError>,
    ) -> Result<Vec<Candidate>, CommandError> {
        let which = if self.all { Which::NotIgnored } else { Which::Tracked };
        let here = [PathBuf::from(".")];
        let mut paths = Vec::new();
        for path in if self.paths.is_empty() { &here[..] } else { &self.paths } {
            match fs::metadata(folder.join(path)) {
                Err(_) => return Err(CommandError::NoSuchFile(path.clone())),
                Ok(found) if found.is_dir() => {
                    let listing = files(folder, path, which)?;
                    if !self.paths.is_empty() && listing.paths.is_empty() && listing.failures.is_empty() {
                        return Err(self.nothing_in(path));
                    }
                    paths.extend(listing.paths);
                    failures.extend(listing.failures);
                }
                // who names a file wants to know, whatever the repository says of it
                Ok(_) => paths.push(path.clone()),
            }
        }
        let mut known = HashSet::new();
        let paths = paths.into_iter().filter(|path| known.insert(absolute(folder, path)));
        Ok(paths.map(|path| Candidate { path, content: Content::WorkTree }).collect())
    }

    /// Where paths begin for those who know nothing of a working directory.
    fn root(&self, folder: &Path) -> PathBuf {
        let top = match self.format {
            Format::Human | Format::Json => None,
            Format::Sarif | Format::Github => top_level(folder).ok(),
        };
        top.unwrap_or_else(|| folder.to_owned())
    }

    fn nothing_in(&self, path: &Path) -> CommandError {
        let error = CommandError::NothingIn(path.to_owned());
        match self.all {
            true => error,
            false => CommandError::Hinted {
                error: Box::new(error),
                hint: "--all looks at files that are not tracked too".to_owned(),
            },
        }
    }
}

/// What is in a file, unless it has gone meanwhile.
fn content(
    folder: &Path,
    candidate: &Candidate,
    contents: &HashMap<String, Source>,
) -> Result<Option<Source>, CommandError> {
    match &candidate.content {
        Content::WorkTree => read(folder, &candidate.path),
        // several files may have the same content, which Git keeps once
        Content::Object(name) => contents.get(name).cloned().map(Some).ok_or_else(|| {
            CommandError::Git(format!("git does not give the content of {}", candidate.path.display()))
        }),
    }
}

fn read(folder: &Path, path: &Path) -> Result<Option<Source>, CommandError> {
    const GONE: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::IsADirectory, ErrorKind::NotADirectory];
    match fs::read(folder.join(path)) {
        Ok(bytes) => Ok(Some(bytes.into())),
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

/// A file of `write_file` that nobody has put in its place: `git add --all` would take it.
fn left_behind(path: &Path) -> Finding {
    Finding {
        code: Code::Leftover,
        position: None,
        message: "a command that was killed left this file behind; it may hold plaintext".to_owned(),
        fix: format!("rm {}", quoted(path)),
    }
}

/// The look at all files.
struct Inspection<'a> {
    folder: &'a Path,
    rules: Rules,
    allow: HashSet<Code>,
    verifier: Option<Verifier>,
    encrypted: HashSet<PathBuf>,
    /// Files without metadata that may be copies of files with them.
    plain: Vec<PathBuf>,
    /// Configurations that have been told.
    broken: HashSet<Broken>,
    findings: Vec<Located>,
}

impl Inspection<'_> {
    fn examine(&mut self, path: &Path, source: Source) {
        let full = absolute(self.folder, path);
        let configured = match self.rules.of(full.parent().unwrap_or(&full)) {
            None => None,
            Some(Ok(configured)) => Some(configured),
            Some(Err(broken)) => {
                self.tell(broken);
                None
            }
        };
        if configured.as_ref().is_some_and(|configured| configured.allows(&full)) {
            return;
        }
        if is_temporary(path) {
            self.keep(path, vec![left_behind(path)]);
            return;
        }
        let flag = configured.as_ref().map_or("", |configured| configured.flag.as_str());
        let word = quoted(path);
        let shown = format!("{flag}{word}");
        let subject = Subject { path: &full, word: &word, shown: &shown, source };
        let verdict = self.verdict(&subject, configured.as_deref());
        let mut findings = verdict.findings;
        if verdict.is_encrypted {
            // what fails at decryption has been said, with what helps
            let fails = |finding: &Finding| {
                matches!(finding.code, Code::PlaintextValue | Code::BrokenValue | Code::BrokenMetadata)
            };
            if let Some(verifier) = self.verifier.as_ref().filter(|_| !findings.iter().any(fails)) {
                findings.extend(verifier.verify(&subject, verdict.format));
            }
            self.encrypted.insert(full);
        } else if !companions(path).is_empty() {
            self.plain.push(path.to_owned());
        }
        self.keep(path, findings);
    }

    /// With a rule that is wrong, all that needs no rule.
    fn verdict(&mut self, subject: &Subject<'_>, configured: Option<&Configured>) -> Verdict {
        // the configuration itself is no secret, whatever the rules in it match
        let is_configuration = subject.path.file_name().is_some_and(|name| name == FILE_NAME);
        let Some(configured) = configured.filter(|_| !is_configuration) else {
            return Checker::new(None).allowing(&self.allow).examine_without_rules(subject);
        };
        let checker = Checker::new(Some(&configured.config)).allowing(&self.allow);
        checker.examine(subject).unwrap_or_else(|error| {
            self.tell(Broken::new(&configured.path, &error));
            Checker::new(None).examine_without_rules(subject)
        })
    }

    /// Once, however many files lie below it. It cannot be allowed: nobody knows what would be found.
    fn tell(&mut self, broken: Broken) {
        if self.broken.insert(broken.clone()) {
            let finding = Finding {
                code: Code::BrokenConfiguration,
                position: broken.line.map(|line| Position { line, column: 1 }),
                message: format!(
                    "nobody can tell what its rules want of the files below it: {}",
                    broken.reason
                ),
                fix: "mend it, then check again".to_owned(),
            };
            self.findings.push(self.located(&broken.path, finding));
        }
    }

    fn keep(&mut self, path: &Path, findings: Vec<Finding>) {
        let kept = findings.into_iter().filter(|finding| !self.allow.contains(&finding.code));
        let kept: Vec<Located> = kept.map(|finding| self.located(path, finding)).collect();
        self.findings.extend(kept);
    }

    fn located(&self, path: &Path, finding: Finding) -> Located {
        Located { path: path.to_owned(), full: absolute(self.folder, path), finding }
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
        let full = absolute(self.folder, other);
        self.encrypted.contains(&full)
            || fs::read(&full).is_ok_and(|bytes| {
                let subject = Subject { path: &full, word: "", shown: "", source: bytes.into() };
                Checker::new(None).examine_without_rules(&subject).is_encrypted
            })
    }
}
