//! `rsops filestatus`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::document::LoadError;
use rsops::metadata::LayoutError;

use crate::cli::error::CommandError;
use crate::cli::open::load;
use crate::cli::options::{FormatOptions, GlobalOptions, InputOptions};
use crate::cli::place::{Input, Place, warn_of_surplus};
use crate::cli::ui::Ui;

/// Tell whether a file is encrypted
///
/// The answer is JSON: {"encrypted":true} or {"encrypted":false}. No key is needed.
#[derive(Args)]
pub(crate) struct FileStatus {
    /// The file to look at
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    input: InputOptions,
    // the configuration has no say in this, so that it is not even read
    #[command(flatten)]
    global: GlobalOptions,
}

impl FileStatus {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        warn_of_surplus(&ui, &self.files);
        let input = Input::file(self.files.first().ok_or(CommandError::NoFile)?)?;
        let formats = FormatOptions { input: self.input, ..FormatOptions::default() };
        let place = Place::new(ui.clone(), input, &formats)?;
        let answer = if is_encrypted(&place)? { "true" } else { "false" };
        ui.print_line(&format!("{{\"encrypted\":{answer}}}"))
    }
}

/// Whether the file has metadata that say of what and when (cli.md §14.3). Broken ones are an error: the file is
/// neither plain nor to be decrypted.
fn is_encrypted(place: &Place) -> Result<bool, CommandError> {
    match load(place) {
        Ok(document) => Ok(!document.metadata.version.is_empty() && !document.metadata.mac.is_empty()),
        Err(CommandError::Load { error: LoadError::Layout(LayoutError::NotFound), .. }) => Ok(false),
        Err(error) => Err(CommandError::FileStatus(Box::new(error))),
    }
}
