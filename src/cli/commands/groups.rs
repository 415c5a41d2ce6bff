//! `rsops groups add` and `rsops groups delete` (cli.md §13.2, §13.3).

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use rsops::document::EncryptedDocument;
use rsops::keys::{DecryptionOrder, KeyGroup};

use super::Target;
use crate::cli::error::CommandError;
use crate::cli::open::{load, recover_data_key};
use crate::cli::options::{
    AwsOptions, FormatOptions, GlobalOptions, GroupKeys, InPlaceOptions, IndentOptions, KeyServiceOptions,
    ThresholdOptions,
};
use crate::cli::place::{Configuration, Input, KeyServices, Place, key_services};
use crate::cli::rewrap::rewrap;
use crate::cli::ui::Ui;

/// Add a key group to a file, or delete one
#[derive(Subcommand)]
pub(crate) enum Groups {
    Add(Box<Add>),
    Delete(Box<Delete>),
}

/// Add a key group to a file, and write the result to standard output
#[derive(Args)]
pub(crate) struct Add {
    #[arg(hide = true)]
    surplus: Vec<OsString>,
    #[command(flatten)]
    keys: GroupKeys,
    #[command(flatten)]
    aws: AwsOptions,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Delete a key group from a file, and write the result to standard output
#[derive(Args)]
pub(crate) struct Delete {
    /// Number of the group, from 0
    #[arg(value_name = "INDEX")]
    index: Vec<OsString>,
    #[command(flatten)]
    change: ChangeOptions,
}

/// What both have.
#[derive(Args)]
struct ChangeOptions {
    /// The file to change
    #[arg(long, short, value_name = "FILE", allow_hyphen_values = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    threshold: ThresholdOptions,
    #[command(flatten)]
    in_place: InPlaceOptions,
    #[command(flatten)]
    indent: IndentOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Groups {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Add(add) => add.run(),
            Self::Delete(delete) => delete.run(),
        }
    }
}

impl Add {
    fn run(self) -> Result<(), CommandError> {
        if !self.surplus.is_empty() {
            return Err(CommandError::GroupsAddPositionals);
        }
        let change = Change::open(self.change)?;
        // the reference passes over keys that are none, so that the group lacks them (policy.md §3)
        let mut keys = self.keys.lists().keys(&self.aws.common_or_warn(&change.place.ui))?;
        change.services.complete(&mut keys)?;
        change.apply(|groups| groups.push(KeyGroup::new(keys)))
    }
}

impl Delete {
    fn run(self) -> Result<(), CommandError> {
        let [index] = self.index.as_slice() else { return Err(CommandError::GroupsDeletePositionals) };
        let Some(number) = index.to_str().and_then(|text| text.parse().ok()) else {
            return Err(CommandError::GroupIndex(index.clone()));
        };
        let change = Change::open(self.change)?;
        change.check_deletion(number)?;
        change.apply(|groups| drop(groups.remove(number)))
    }
}

/// A file whose groups are to be changed.
struct Change {
    place: Place,
    target: Target,
    configuration: Configuration,
    services: KeyServices,
    /// The new one, if one is given.
    threshold: Option<usize>,
    document: EncryptedDocument,
}

impl Change {
    fn open(options: ChangeOptions) -> Result<Self, CommandError> {
        let named = options.file.filter(|file| !file.as_os_str().is_empty());
        let file = named.ok_or(CommandError::NoFileOption)?;
        let threshold = options.threshold.threshold()?;
        let ui = Arc::new(Ui::new(options.global.verbose));
        let formats = FormatOptions { indent: options.indent, ..FormatOptions::default() };
        let place = Place::new(ui.clone(), Input::file(&file)?, &formats)?;
        let configuration = place.configuration(&options.global)?;
        let services = key_services(&ui, &options.services)?;
        let document = load(&place)?;
        let target = match options.in_place.in_place {
            true => Target::File { path: file, in_place: true },
            false => Target::Stdout,
        };
        Ok(Self { place, target, configuration, services, threshold, document })
    }

    /// 1 is left behind by a file that had one group: nothing can be split so. 0 becomes the number of groups.
    fn threshold(&self) -> usize {
        let stored = self.document.metadata.shamir_threshold;
        self.threshold.unwrap_or(if stored == 1 { 0 } else { stored })
    }

    /// Somebody must be able to decrypt the file without the group.
    fn check_deletion(&self, number: usize) -> Result<(), CommandError> {
        let (groups, threshold) = (self.document.metadata.key_groups.len(), self.threshold());
        if number >= groups {
            return Err(CommandError::NoSuchGroup { number, groups, file: self.place.shown() });
        }
        match groups - 1 {
            0 => Err(CommandError::OnlyGroup(self.place.shown())),
            left if left < threshold => Err(CommandError::TooFewGroups { threshold, left }),
            _ => Ok(()),
        }
    }

    /// The data key comes from the groups as they are, and goes to them as they will be.
    fn apply(mut self, change: impl FnOnce(&mut Vec<KeyGroup>)) -> Result<(), CommandError> {
        let order = DecryptionOrder::stored();
        let data_key = recover_data_key(&self.place, &self.document.metadata, &self.services, &order)
            .map_err(without_code)?;
        let threshold = self.threshold();
        let metadata = &mut self.document.metadata;
        change(&mut metadata.key_groups);
        metadata.shamir_threshold = threshold;
        let store = self.place.output_store(&self.configuration);
        let bytes = rewrap(&self.place, self.document, &data_key, &self.services, &*store)?;
        self.target.write(&self.place, &bytes)
    }
}

/// These commands have no code of their own for a data key that cannot be recovered (cli.md §7.4).
fn without_code(error: CommandError) -> CommandError {
    match error {
        CommandError::Recover(error) => CommandError::RecoverForGroups(error),
        other => other,
    }
}
