//! `rsops decrypt`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::document::PlainDocument;
use rsops::store::Store;
use rsops::tree::{Found, Path, Scalar, Step, Value};
use zeroize::Zeroizing;

use super::{Target, Targets};
use crate::cli::batch::{BatchOptions, Done, Wanted};
use crate::cli::error::CommandError;
use crate::cli::nearest::{Configurations, Need};
use crate::cli::open::{decrypt, decrypt_for_this_run, dump, load, open};
use crate::cli::options::{
    DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions, MacOptions, OutputOptions,
};
use crate::cli::place::{Input, Place, key_services};
use crate::cli::ui::{Component, Ui};

/// Decrypt a file, and write the result to standard output
///
/// Without FILE, standard input is read. Several files, and with --recursive those in folders, are decrypted where they
/// are with --in-place, or into the folder that --output names.
#[derive(Args)]
pub(crate) struct Decrypt {
    /// The file to decrypt, or several
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only the part at this path, as in '["database"]["hosts"][0]'
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    extract: Option<String>,
    #[command(flatten)]
    mac: MacOptions,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    batch: BatchOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Decrypt {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        if self.batch.is_wanted() || self.files.len() > 1 && self.output.takes_many() {
            return self.run_on_many();
        }
        let target = Target::of(&self.output, &self.files)?;
        let ui = Arc::new(Ui::new(self.global.verbose));
        let input = Input::existing_or_stdin(&ui, &self.files)?;
        let place = Place::new(ui.clone(), input, &self.formats)?;
        let configuration = place.configuration_if_valid(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let order = self.order.order()?;
        let path =
            Path::parse(self.extract.as_deref().unwrap_or_default()).map_err(CommandError::ExtractPath)?;

        let document = open(&place, &services, &order, self.mac.check(), None)?.document;
        let store = place.output_store(&configuration);
        let bytes = extract(document, &path, &place, &*store)?;
        target.write(&place, &bytes)
    }
}

/// Many files.
impl Decrypt {
    fn run_on_many(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let targets = Targets::of(&self.output)?;
        let services = key_services(&ui, &self.services)?;
        let order = self.order.order()?;
        let path =
            Path::parse(self.extract.as_deref().unwrap_or_default()).map_err(CommandError::ExtractPath)?;
        let configurations = Configurations::new(&ui, &self.global, Need::Indentation)?;
        let batch = self.batch.batch(&ui, &self.files, &self.formats.input, Wanted::Encrypted)?;
        let result = batch.run(|entry| {
            let place = Place::new(ui.clone(), Input::file(&entry.path)?, &self.formats)?;
            let encrypted = load(&place)?;
            let decrypt = if self.batch.dry_run { decrypt_for_this_run } else { decrypt };
            let document = decrypt(&place, encrypted, &services, &order, self.mac.check(), None)?.document;
            let store = place.output_store(&*configurations.of(entry)?);
            let bytes = extract(document, &path, &place, &*store)?;
            if !self.batch.dry_run {
                targets.write(&entry.path, &bytes)?;
            }
            Ok(Done::Changed)
        });
        targets.finish();
        result
    }
}

/// The document, or the part of it that is asked for, in the output format (cli.md §8.2).
fn extract(
    mut document: PlainDocument,
    path: &Path,
    place: &Place,
    store: &dyn Store,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let Some(first) = document.tree.branches.first_mut().filter(|_| !path.steps.is_empty()) else {
        return dump(place, &document, store);
    };
    place.ui.info(Component::Sops, "Truncating tree", &[("path", &path_for_log(path))]);
    match path.find(first).map_err(CommandError::Extract)? {
        Found::Document => dump(place, &document, store),
        Found::Value(Value::Scalar(Scalar::Text(text))) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Found::Value(Value::Map(branch)) => {
            // the other documents stay (cli.md §8.2)
            *first = branch.clone();
            dump(place, &document, store)
        }
        found => store.emit_value(found).map_err(CommandError::DumpValue),
    }
}

/// `[a b 0]` (cli.md §5.3).
fn path_for_log(path: &Path) -> String {
    let step = |step: &Step| match step {
        Step::Key(key) => String::from_utf8_lossy(key).into_owned(),
        Step::Index(index) => index.to_string(),
    };
    format!("[{}]", path.steps.iter().map(step).collect::<Vec<_>>().join(" "))
}
