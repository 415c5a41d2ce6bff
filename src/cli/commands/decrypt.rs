//! `rsops decrypt`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::document::{EncryptedDocument, MacCheck, PlainDocument};
use rsops::keys::{DecryptionOrder, KeyService, recover};
use rsops::store::{Format, Store};
use rsops::tree::{Found, Path, Scalar, Value};
use zeroize::Zeroizing;

use super::Target;
use crate::cli::error::CommandError;
use crate::cli::options::{
    DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions, OutputOptions,
};
use crate::cli::place::{Place, key_services};
use crate::cli::ui::{Component, Ui};

/// Decrypt a file, and write the result to standard output
///
/// Without FILE, standard input is read.
#[derive(Args)]
pub(crate) struct Decrypt {
    /// The file to decrypt
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only the part at this path, as in '["database"]["hosts"][0]'
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    extract: Option<String>,
    /// Do not check that the file is what was encrypted
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = crate::cli::options::switch, hide_default_value = true)]
    ignore_mac: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Decrypt {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let target = Target::of(&self.output, &self.files)?;
        let ui = Arc::new(Ui::new(self.global.verbose));
        let place = Place::new(ui.clone(), &self.files, &self.formats)?;
        let configuration = place.configuration_if_valid(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let order = DecryptionOrder::parse(self.order.decryption_order.as_deref().unwrap_or_default())
            .map_err(CommandError::Order)?;
        let path =
            Path::parse(self.extract.as_deref().unwrap_or_default()).map_err(CommandError::ExtractPath)?;

        let document = decrypt(&place, &services, &order, self.mac_check())?;
        let store = place.output_store(&configuration);
        let bytes = extract(document, &path, &place, &*store)?;
        target.write(&place, &bytes)
    }

    fn mac_check(&self) -> MacCheck {
        if self.ignore_mac { MacCheck::Ignored } else { MacCheck::Required }
    }
}

fn decrypt(
    place: &Place,
    services: &[Box<dyn KeyService>],
    order: &DecryptionOrder,
    check: MacCheck,
) -> Result<PlainDocument, CommandError> {
    let encrypted = EncryptedDocument::load(&*place.input_store(), place.read()?.into())
        .map_err(|error| CommandError::Load { file: place.shown(), error })?;
    let services: Vec<&dyn KeyService> = services.iter().map(AsRef::as_ref).collect();
    let metadata = &encrypted.metadata;
    let data_key = recover(&metadata.key_groups, metadata.shamir_threshold, order, &services)
        .map_err(CommandError::Recover)?;
    place.ui.info(Component::Sops, "Data key recovered successfully", &[]);
    let (decrypted, _) = encrypted
        .decrypt(&data_key, check, None)
        .map_err(|error| CommandError::Decrypt { file: place.shown(), error })?;
    place.warn_of_duplicates(&decrypted.document.tree);
    for comment in &decrypted.loose_comments {
        place.ui.warn(
            Component::Sops,
            "Found possibly unencrypted comment in file. This is to be expected if the file being decrypted was created \
             with an older version of SOPS.",
            &[("comment", &comment.text)],
        );
    }
    Ok(decrypted.document)
}

/// The document, or the part of it that is asked for, in the output format (cli.md §8.2).
fn extract(
    mut document: PlainDocument,
    path: &Path,
    place: &Place,
    store: &dyn Store,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let dump = |document: &PlainDocument| {
        document.emit(store).map_err(|error| match place.output_format {
            Format::Binary => CommandError::DumpBinary(error),
            _ => CommandError::Dump(error),
        })
    };
    let Some(first) = document.tree.branches.first_mut().filter(|_| !path.steps.is_empty()) else {
        return dump(&document);
    };
    match path.find(first).map_err(CommandError::Extract)? {
        Found::Document => dump(&document),
        Found::Value(Value::Scalar(Scalar::Text(text))) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Found::Value(Value::Map(branch)) => {
            // the other documents stay (cli.md §8.2)
            *first = branch.clone();
            dump(&document)
        }
        found => store.emit_value(found).map_err(CommandError::DumpValue),
    }
}
