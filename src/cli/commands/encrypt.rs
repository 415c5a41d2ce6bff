//! `rsops encrypt`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::document::PlainDocument;
use rsops::metadata::has_metadata;
use rsops::nonces::Nonces;

use super::Target;
use crate::cli::error::CommandError;
use crate::cli::options::{
    FormatOptions, GlobalOptions, KeyOptions, KeyServiceOptions, OutputOptions, SelectionOptions,
};
use crate::cli::place::{Input, Place, key_services};
use crate::cli::plan::Plan;
use crate::cli::seal::seal;
use crate::cli::ui::Ui;

/// Encrypt a file, and write the result to standard output
///
/// Whom it is encrypted for is told by the options, else by the first creation rule in .sops.yaml that fits the file.
/// Without FILE, standard input is read.
#[derive(Args)]
pub(crate) struct Encrypt {
    /// The file to encrypt
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
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Encrypt {
    pub(crate) fn run(self) -> Result<(), CommandError> {
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
        let plan = Plan::resolve(&place, &configuration, &self.keys, &self.selection)?;

        let document =
            PlainDocument::load(&*place.input_store(), place.read()?.into()).map_err(CommandError::Parse)?;
        place.warn_of_duplicates(&document.tree);
        let store = place.output_store(&configuration);
        let first = document.tree.branches.first().ok_or(CommandError::NoDocument)?;
        if has_metadata(first, store.layout()) {
            return Err(CommandError::AlreadyEncrypted);
        }

        let (data_key, metadata) = plan.data_key(&services)?;
        let encrypted = seal(&place, document, metadata, &data_key, &Nonces::default(), &*store)?;
        target.write(&place, &encrypted)
    }
}
