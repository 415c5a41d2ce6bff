//! Commands on many files: which ones, several at a time, and what became of them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use rsops::check::{carries_metadata, disguise, may_be_encrypted};
use rsops::document::LoadError;
use rsops::metadata::LayoutError;
use rsops::tree::{STACK_SIZE, Source};

use super::error::CommandError;
use super::options::InputOptions;
use super::place::{current_directory, input_format};
use super::repository::{self, Which};
use super::ui::{Ui, printable};
use super::write_file::is_temporary;

/// Flags of the commands that can work on many files.
#[derive(Args, Default)]
#[command(next_help_heading = "Many files")]
pub(super) struct BatchOptions {
    /// Also work on the files in folders, unless they are ignored by Git. Each goes with the nearest .sops.yaml above it
    #[arg(long)]
    recursive: bool,
    /// Work on so many files at once. By default four for each processor, at most 16
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// For each job that works, some wait for the disk.
const WAITING: usize = 4;

/// More than that only wait for each other.
const MOST_JOBS: usize = 16;

/// Which files of a folder a command is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those with metadata.
    Encrypted,
    /// All that are there; the command finds out by itself.
    Any,
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Changed,
    Unchanged,
    /// It is none that the command is about, and nobody has named it.
    Passed,
}

/// A file to work on.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// Whether the user has named it, so that it must be one that the command is about.
    pub(super) named: bool,
}

impl BatchOptions {
    /// Whether one of the flags is there.
    pub(super) fn is_wanted(&self) -> bool {
        self.recursive || self.jobs.is_some() || self.dry_run
    }

    /// The files, those of folders included.
    pub(super) fn batch(
        &self,
        ui: &Arc<Ui>,
        files: &[PathBuf],
        input: &InputOptions,
        wanted: Wanted,
    ) -> Result<Batch, CommandError> {
        if files.is_empty() {
            return Err(CommandError::NoFile);
        }
        let folder = current_directory()?;
        let mut entries = Vec::new();
        let mut folders = Vec::new();
        let mut known = HashSet::new();
        for file in files {
            let full = folder.join(file);
            match fs::metadata(&full) {
                Err(_) => return Err(CommandError::NoSuchFile(file.clone())),
                Ok(metadata) if metadata.is_dir() && self.recursive => folders.push(file),
                Ok(metadata) if metadata.is_dir() => return Err(CommandError::IsDirectory(file.clone())),
                Ok(_) => {
                    // `x` and `./x` are one file
                    if known.insert(resolved(full)) {
                        entries.push(Entry { path: file.clone(), named: true });
                    }
                }
            }
        }
        let mut failures = Vec::new();
        // a file that is named too stays one that is named
        for file in folders {
            let listing = repository::files(&folder, file, Which::NotIgnored)?;
            if listing.paths.is_empty() && listing.failures.is_empty() {
                return Err(CommandError::NothingIn(file.clone()));
            }
            let paths = listing.paths.into_iter().filter(|path| !is_temporary(path));
            // one folder has each file once, and to ask the disk about all of them takes a while
            let paths = paths.filter(|path| files.len() == 1 || known.insert(resolved(folder.join(path))));
            entries.extend(paths.map(|path| Entry { path, named: false }));
            failures.extend(listing.failures);
        }
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let jobs = self.jobs.map_or((WAITING * processors).min(MOST_JOBS), NonZeroUsize::get);
        let input = input.input_type.clone();
        Ok(Batch { ui: ui.clone(), entries, failures, input, wanted, jobs, dry_run: self.dry_run })
    }
}

/// The path under which a file is known, however it was named.
fn resolved(path: PathBuf) -> PathBuf {
    path.canonicalize().unwrap_or(path)
}

/// Files to work on.
pub(super) struct Batch {
    ui: Arc<Ui>,
    entries: Vec<Entry>,
    /// Folders into which nobody could look.
    failures: Vec<CommandError>,
    /// `--input-type`.
    input: Option<String>,
    wanted: Wanted,
    jobs: usize,
    dry_run: bool,
}

impl Batch {
    /// Whether no file is only one of a folder.
    pub(super) fn are_all_named(&self) -> bool {
        self.entries.iter().all(|entry| entry.named)
    }

    /// In their order, because a person is asked.
    pub(super) fn one_at_a_time(self) -> Self {
        Self { jobs: 1, ..self }
    }

    /// Does the work on every file. No failure keeps the others from being tried; each is said as it happens, and there
    /// are sums in the end.
    pub(super) fn run(
        self,
        work: impl Fn(&Entry) -> Result<Done, CommandError> + Sync,
    ) -> Result<(), CommandError> {
        let next = AtomicUsize::new(0);
        let progress = Mutex::new(Progress::new(self.entries.len()));
        progress.lock().unwrap_or_else(PoisonError::into_inner).fail(&self);
        let shared = || progress.lock().unwrap_or_else(PoisonError::into_inner);
        let labour = || {
            while let Some(entry) = self.entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = self.take(entry, &work);
                shared().count(&self, entry, done);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.min(self.entries.len()) {
                // without another thread it goes on, only slower
                let _ = thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, labour);
            }
            labour();
        });
        let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        progress.finish(&self)
    }

    fn take(
        &self,
        entry: &Entry,
        work: impl Fn(&Entry) -> Result<Done, CommandError>,
    ) -> Result<Done, CommandError> {
        if entry.named || self.wanted == Wanted::Any {
            return work(entry);
        }
        let format = input_format(self.input.as_deref(), &entry.path);
        let source = fs::read(&entry.path)
            .map(Source::from)
            .map_err(|error| CommandError::Read { path: entry.path.clone(), error })?;
        // what is encrypted and cannot be read by its name must not be passed over in silence
        let passed = || match disguise(format, &source) {
            Some(written) => Err(CommandError::Disguised { read_as: format, written }),
            None => Ok(Done::Passed),
        };
        if !may_be_encrypted(format, source.as_bytes()) {
            return passed();
        }
        match work(entry) {
            // a text that only speaks of metadata
            Err(CommandError::Load { error: LoadError::Layout(LayoutError::NotFound), .. }) => passed(),
            Err(CommandError::Load { error: LoadError::Store(_), .. })
                if !carries_metadata(format, source.as_bytes()) =>
            {
                passed()
            }
            Err(error @ CommandError::Load { error: LoadError::Store(_), .. }) => {
                // the hint is better
                passed().and(Err(error))
            }
            done => done,
        }
    }
}

/// How far the work is.
struct Progress {
    files: usize,
    tried: usize,
    changed: usize,
    unchanged: usize,
    failed: usize,
    /// What has been said of failures, and of which file first.
    said: HashMap<String, PathBuf>,
    /// When the line on the terminal was last written; none if there is no terminal.
    shown: Option<Instant>,
}

/// A line that changes more often cannot be read.
const PERIOD: Duration = Duration::from_millis(100);

impl Progress {
    fn new(files: usize) -> Self {
        let shown = std::io::stderr().is_terminal().then(Instant::now);
        Self { files, tried: 0, changed: 0, unchanged: 0, failed: 0, said: HashMap::new(), shown }
    }

    /// Folders into which nobody could look.
    fn fail(&mut self, batch: &Batch) {
        self.failed += batch.failures.len();
        batch.failures.iter().for_each(CommandError::print);
    }

    fn count(&mut self, batch: &Batch, entry: &Entry, done: Result<Done, CommandError>) {
        self.tried += 1;
        match done {
            Ok(Done::Changed) => {
                self.changed += 1;
                let what = if batch.dry_run { "would be changed" } else { "changed" };
                self.say(batch, &entry.path, what);
            }
            Ok(Done::Unchanged) => {
                self.unchanged += 1;
                self.say(batch, &entry.path, "unchanged");
            }
            Ok(Done::Passed) => {}
            Err(error) => {
                self.failed += 1;
                self.clear(batch);
                self.say_failure(batch, &entry.path, &error);
            }
        }
        if let Some(shown) = self.shown
            && shown.elapsed() >= PERIOD
        {
            batch.ui.status(&format!("{} of {} files", self.tried, self.files));
            self.shown = Some(Instant::now());
        }
    }

    /// A key that is missing is missing for each file: what takes several lines is said once.
    fn say_failure(&mut self, batch: &Batch, path: &Path, error: &CommandError) {
        let text = error.in_full();
        match self.said.get(&text) {
            Some(first) if text.lines().nth(1).is_some() => {
                let [path, first] = [path, first].map(|path| printable(&path.display().to_string()));
                batch.ui.note(&format!("{path}: failed as {first} did"));
            }
            _ => {
                error.print_for(path);
                self.said.insert(text, path.to_owned());
            }
        }
    }

    /// A line a file, where somebody wants to see them.
    fn say(&self, batch: &Batch, path: &Path, what: &str) {
        let line = format!("{}: {what}", printable(&path.display().to_string()));
        if batch.dry_run && what != "unchanged" {
            self.clear(batch);
            // the result of the command; whoever reads it may have seen enough
            let _ = batch.ui.print_line(&line);
        } else if batch.ui.is_verbose() {
            self.clear(batch);
            batch.ui.note(&line);
        }
    }

    fn clear(&self, batch: &Batch) {
        if self.shown.is_some() {
            batch.ui.status("");
        }
    }

    fn finish(self, batch: &Batch) -> Result<(), CommandError> {
        self.clear(batch);
        let Self { changed, unchanged, failed, .. } = self;
        if self.shown.is_some() || batch.ui.is_verbose() || failed > 0 || batch.dry_run {
            let changed_word = if batch.dry_run { "would be changed" } else { "changed" };
            batch.ui.note(&format!("{changed} {changed_word}, {unchanged} unchanged, {failed} failed"));
        }
        if failed == 0 { Ok(()) } else { Err(CommandError::Failures) }
    }
}
