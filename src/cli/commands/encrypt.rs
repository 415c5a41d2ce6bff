//! `rsops encrypt`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::check::{disguise, is_housekeeping};
use rsops::config::FILE_NAME;
use rsops::document::PlainDocument;
use rsops::metadata::has_metadata;
use rsops::nonces::Nonces;
use rsops::store::Format;

use super::{Target, Targets};
use crate::cli::batch::{BatchOptions, Done, Wanted};
use crate::cli::error::CommandError;
use crate::cli::nearest::{Configurations, Need};
use crate::cli::open::load;
use crate::cli::options::{
    FormatOptions, GlobalOptions, KeyOptions, KeyServiceOptions, OutputOptions, SelectionOptions,
};
use crate::cli::place::{Configuration, Input, KeyServices, Place, key_services};
use crate::cli::plan::Plan;
use crate::cli::seal::seal;
use crate::cli::ui::Ui;

/// Encrypt a file, and write the result to standard output
///
/// Whom it is encrypted for is told by the options, else by the first creation rule in .sops.yaml that fits the file.
/// Without FILE, standard input is read. Several files are encrypted where they are with --in-place; of those in folders,
/// with --recursive, the ones that a rule names by its path_regex.
#[derive(Args)]
pub(crate) struct Encrypt {
    /// The file to encrypt, or several
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    selection: SelectionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    batch: BatchOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Encrypt {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        if self.batch.is_wanted() || self.files.len() > 1 && self.output.takes_many() {
            return self.run_on_many();
        }
        let named = self.formats.filename_override.as_ref().is_some_and(|name| !name.as_os_str().is_empty());
        let target = Target::of(&self.output, &self.files)?;
        if self.files.is_empty() && !named {
            return Err(CommandError::StdinWithoutName);
        }
        let ui = Arc::new(Ui::new(self.global.verbose));
        let input = Input::existing_or_stdin(&ui, &self.files)?;
        let place = Place::new(ui.clone(), input, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let plan = Plan::resolve(&place, &configuration, &self.keys, &self.selection, &services)?;
        let encrypted = encrypt(&place, plan, &configuration, &services)?;
        target.write(&place, &encrypted)
    }

    /// Many files. Of those in folders, the ones that a rule names and that are not encrypted yet.
    fn run_on_many(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let targets = Targets::of(&self.output)?;
        let services = key_services(&ui, &self.services)?;
        let configurations = Configurations::new(&ui, &self.global, Need::Rules)?;
        let batch = self.batch.batch(&ui, &self.files, &self.formats.input, Wanted::Any)?;
        let all_named = batch.are_all_named();
        let result = batch.run(|entry| {
            let place = Place::new(ui.clone(), Input::file(&entry.path)?, &self.formats)?;
            let configuration = &*configurations.of(entry)?;
            let is_meant = entry.named
                || is_named(configuration, &place)? && !is_housekeeping(&place.name, &place.read()?);
            if !is_meant {
                return Ok(Done::Passed);
            }
            if !entry.named
                && let Some(written) = disguise(place.input_format, &place.read()?.into())
            {
                return Err(CommandError::Disguised { read_as: place.input_format, written });
            }
            // in a binary file, nothing that is read as plaintext says so
            if place.input_format == Format::Binary && load(&place).is_ok() {
                return if entry.named { Err(CommandError::AlreadyEncrypted) } else { Ok(Done::Unchanged) };
            }
            let plan = Plan::resolve(&place, configuration, &self.keys, &self.selection, &services)?;
            match encrypt(&place, plan, configuration, &services) {
                // so that it can be called again when it was interrupted
                Err(CommandError::AlreadyEncrypted) if !entry.named => return Ok(Done::Unchanged),
                encrypted if self.batch.dry_run => encrypted.map(drop)?,
                encrypted => targets.write(&entry.path, &encrypted?)?,
            }
            Ok(Done::Changed)
        });
        targets.finish();
        // then no rule could name a file
        result.and_then(|()| if all_named { Ok(()) } else { configurations.expect_some() })
    }
}

/// Whether a rule names the file by its `path_regex`. The configuration itself is never meant.
fn is_named(configuration: &Configuration, place: &Place) -> Result<bool, CommandError> {
    match configuration {
        Some(config) if !place.name.ends_with(FILE_NAME) => {
            config.names(&place.name).map_err(CommandError::Config)
        }
        _ => Ok(false),
    }
}

/// The bytes of the encrypted file.
fn encrypt(
    place: &Place,
    plan: Plan,
    configuration: &Configuration,
    services: &KeyServices,
) -> Result<Vec<u8>, CommandError> {
    let document =
        PlainDocument::load(&*place.input_store(), place.read()?.into()).map_err(CommandError::Parse)?;
    place.warn_of_duplicates(&document.tree);
    let store = place.output_store(configuration);
    let first = document.tree.branches.first().ok_or(CommandError::NoDocument)?;
    if has_metadata(first, store.layout()) {
        return Err(CommandError::AlreadyEncrypted);
    }
    let (data_key, metadata) = plan.data_key(services)?;
    seal(place, document, metadata, &data_key, &Nonces::default(), &*store)
}
