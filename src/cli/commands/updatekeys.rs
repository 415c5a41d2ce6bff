//! `rsops updatekeys` (cli.md §13.1).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rsops::config::{Config, ConfigError, ResolvedRule};
use rsops::keys::{DecryptionOrder, GroupChanges, KeyGroup, WrapFailure, compare};
use rsops::metadata::Metadata;

use crate::cli::batch::{BatchOptions, Done, Entry, Wanted};
use crate::cli::error::CommandError;
use crate::cli::key_changes::Colours;
use crate::cli::nearest::{Configurations, Need};
use crate::cli::open::{load, recover_data_key};
use crate::cli::options::{FormatOptions, GlobalOptions, InputOptions, KeyServiceOptions};
use crate::cli::place::{Configuration, Input, KeyServices, Place, configuration, key_services};
use crate::cli::plan::keys_of;
use crate::cli::prompt::confirm;
use crate::cli::rewrap::rewrap;
use crate::cli::ui::Ui;
use crate::cli::write_file::Writes;

/// Bring the keys of files in line with the creation rules
///
/// What will change is shown, and done once that is agreed to. The values stay as they are.
#[derive(Args)]
pub(crate) struct UpdateKeys {
    /// The files whose keys are brought in line
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    batch: BatchOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl UpdateKeys {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let configuration = match self.batch.is_wanted() {
            // each file has its own
            true => None,
            false => Some(configuration(&ui, &self.global)?.ok_or(CommandError::NoConfiguration)?),
        };
        let services = key_services(&ui, &self.services)?;
        let told = match (self.batch.is_wanted(), self.global.verbose) {
            (true, false) => Told::Changes,
            _ => Told::Everything,
        };
        let assent = match (self.yes, self.batch.dry_run) {
            (_, true) => Assent::Refused,
            (true, false) => Assent::Given,
            (false, false) => Assent::Asked,
        };
        let updater = Updater { ui, services, input: self.input, assent, told, writes: Writes::default() };
        if self.batch.is_wanted() {
            let configurations = Configurations::new(&updater.ui, &self.global, Need::Rules)?;
            let batch = self.batch.batch(&updater.ui, &self.files, &updater.input, Wanted::Encrypted)?;
            // questions come one after the other
            let batch = if assent == Assent::Asked { batch.one_at_a_time() } else { batch };
            let result = batch.run(|entry| updater.update_entry(entry, &*configurations.of(entry)?));
            updater.writes.finish();
            return result.and_then(|()| configurations.expect_some());
        }
        let result = match self.files.as_slice() {
            [] => Err(CommandError::NoFile),
            [file] => updater.update(file, &configuration).map(drop),
            files => updater.update_all(files, &configuration),
        };
        updater.writes.finish();
        result
    }
}

/// What is the same for all files.
struct Updater {
    ui: Arc<Ui>,
    services: KeyServices,
    input: InputOptions,
    assent: Assent,
    told: Told,
    writes: Writes,
}

/// Whether changes are agreed to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Assent {
    /// `--yes`.
    Given,
    /// The user is asked.
    Asked,
    /// `--dry-run`.
    Refused,
}

/// What is said of each file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Everything,
    /// Of many files, only what is asked about.
    Changes,
}

impl Updater {
    /// No failure keeps the other files from being tried.
    fn update_all(&self, files: &[PathBuf], configuration: &Configuration) -> Result<(), CommandError> {
        let mut failed = 0;
        for file in files {
            if let Err(error) = self.update(file, configuration).map(drop) {
                error.print();
                failed += 1;
            }
        }
        if failed == 0 { Ok(()) } else { Err(CommandError::FailedUpdates(failed)) }
    }

    /// A file in a folder that no rule is about stays as it is.
    fn update_entry(&self, entry: &Entry, configuration: &Configuration) -> Result<Done, CommandError> {
        match self.update(&entry.path, configuration) {
            Err(CommandError::Config(ConfigError::NoMatchingRule) | CommandError::NoConfiguration)
                if !entry.named =>
            {
                Ok(Done::Passed)
            }
            done => done,
        }
    }

    fn tell(&self, text: &str) {
        if self.told == Told::Everything {
            self.ui.progress(text);
        }
    }

    fn update(&self, file: &Path, configuration: &Configuration) -> Result<Done, CommandError> {
        let place = self.place(file)?;
        let shown = place.shown();
        self.tell(&format!("Syncing keys for file {shown}"));
        let mut document = load(&place)?;
        let update = Update::new(&document.metadata, self.rule(&place, configuration)?);
        if update.is_empty() {
            self.tell(&format!("File {shown} already up to date"));
            return Ok(Done::Unchanged);
        }
        refuse_unknown_kinds(&document.metadata)?;
        if self.told == Told::Everything || self.assent == Assent::Asked {
            self.ui.print(update.text(self.ui.colours()).as_bytes())?;
        }
        match self.assent {
            Assent::Given => {}
            Assent::Refused => return Ok(Done::Changed),
            Assent::Asked if confirm(&self.ui, "Is this okay? (y/n):")? => {}
            Assent::Asked => {
                self.tell(&format!("File {shown} left unchanged"));
                return Ok(Done::Unchanged);
            }
        }
        let order = DecryptionOrder::stored();
        let data_key = recover_data_key(&place, &document.metadata, &self.services, &order)?;
        update.apply(&mut document.metadata);
        let store = place.output_store(configuration);
        let bytes = rewrap(&place, document, &data_key, &self.services, &*store)?;
        self.writes
            .write(file, &bytes)
            .map_err(|error| CommandError::UpdateNotWritten { file: shown.clone(), error })?;
        self.tell(&format!("File {shown} synced with new keys"));
        Ok(Done::Changed)
    }

    /// The file, which is written in the format in which it is read.
    fn place(&self, file: &Path) -> Result<Place, CommandError> {
        let formats = FormatOptions {
            input: InputOptions { input_type: self.input.input_type.clone() },
            output_type: self.input.input_type.clone(),
            ..FormatOptions::default()
        };
        let place = Place::new(self.ui.clone(), Input::file(file)?, &formats)?;
        match fs::metadata(file) {
            Ok(metadata) if metadata.is_dir() => Err(CommandError::DirectoryToUpdate(place.shown())),
            Ok(_) => Ok(place),
            Err(error) => Err(CommandError::NothingToUpdate { file: place.shown(), error }),
        }
    }

    fn rule(&self, place: &Place, configuration: &Configuration) -> Result<ResolvedRule, CommandError> {
        let config: &Config = configuration.as_ref().ok_or(CommandError::NoConfiguration)?;
        let mut rule = config.creation_rule(&place.name, &[]).map_err(CommandError::Config)?;
        self.services.complete(keys_of(&mut rule.key_groups))?;
        Ok(rule)
    }
}

/// Whether they fit the rule cannot be said, and what they hold would not fit the file any more.
fn refuse_unknown_kinds(metadata: &Metadata) -> Result<(), CommandError> {
    match metadata.unknown_kinds() {
        kinds if kinds.is_empty() => Ok(()),
        kinds => Err(CommandError::Rewrap(WrapFailure::UnknownKinds(kinds))),
    }
}

/// What the rule makes of the keys of a file.
struct Update {
    groups: Vec<KeyGroup>,
    changes: Vec<GroupChanges>,
    old_threshold: usize,
    threshold: usize,
}

impl Update {
    fn new(metadata: &Metadata, rule: ResolvedRule) -> Self {
        let mut groups = rule.key_groups;
        for (old, new) in metadata.key_groups.iter().zip(&mut groups) {
            keep_unknown_entries(old, new);
        }
        Self {
            changes: compare(&metadata.key_groups, &groups),
            old_threshold: metadata.shamir_threshold,
            threshold: threshold(metadata.shamir_threshold, rule.shamir_threshold, groups.len()),
            groups,
        }
    }

    fn is_empty(&self) -> bool {
        self.old_threshold == self.threshold && self.changes.iter().all(GroupChanges::is_empty)
    }

    fn text(&self, colours: Colours) -> String {
        let line = |threshold: usize| format!("shamir_threshold: {threshold}");
        let mut text = "The following changes will be made to the file's groups:\n".to_owned();
        match (self.old_threshold, self.threshold) {
            (0, 0) => {}
            (old, new) if old == new => text += &(line(new) + "\n"),
            (old, new) => {
                text.extend((new > 0).then(|| colours.added(&line(new))));
                text.extend((old > 0).then(|| colours.removed(&line(old))));
            }
        }
        text + &colours.groups(&self.changes)
    }

    fn apply(self, metadata: &mut Metadata) {
        metadata.key_groups = self.groups;
        metadata.shamir_threshold = self.threshold;
    }
}

/// All keys are made anew from the rule (cli.md §7.6), but what this release does not understand of them stays
/// (policy.md §3).
fn keep_unknown_entries(old: &KeyGroup, new: &mut KeyGroup) {
    new.unknown.clone_from(&old.unknown);
    for key in &mut new.keys {
        if let Some(same) = old.keys.iter().find(|other| other.key == key.key) {
            key.unknown.clone_from(&same.unknown);
        }
    }
}

/// The threshold of the rule counts (policy.md §3). Where the rule has none, that of the file stays as far as the
/// groups allow (cli.md §13.1); 0 becomes their number when the data key is wrapped.
fn threshold(stored: usize, rule: usize, groups: usize) -> usize {
    match (rule, stored) {
        // one group is not split; the reference lowers what is stored
        _ if groups < 2 => stored.min(groups),
        // left behind by a file that had one group; the reference fails
        (0, 1) => groups,
        (0, stored) => stored.min(groups),
        (rule, _) => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_of_the_rule_counts_then_that_of_the_file() {
        for (stored, rule, groups, new) in [
            (0, 0, 1, 0),
            (2, 0, 1, 1),
            (2, 3, 1, 1),
            (0, 0, 3, 0),
            (2, 0, 3, 2),
            (3, 0, 2, 2),
            (1, 0, 3, 3),
            (0, 2, 3, 2),
            (3, 2, 3, 2),
            (2, 3, 3, 3),
        ] {
            assert_eq!(
                threshold(stored, rule, groups),
                new,
                "{stored} in the file, {rule} in the rule, {groups}"
            );
        }
    }
}
