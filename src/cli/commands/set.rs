//! `rsops set`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::audit::Event;
use rsops::metadata::has_metadata;
use rsops::nonces::Nonces;
use rsops::store::json::read_value;
use rsops::tree::{Change, Path, Value};
use zeroize::Zeroizing;

use super::{Outdated, write_back};
use crate::cli::audit;
use crate::cli::error::CommandError;
use crate::cli::open::{Opened, open};
use crate::cli::options::{
    DecryptionOptions, FormatOptions, GlobalOptions, IdempotentOptions, KeyServiceOptions, MacOptions,
};
use crate::cli::place::{Input, Place, key_services, read_stdin};
use crate::cli::seal::seal;
use crate::cli::ui::{Component, Ui};

/// Set a value in an encrypted file
///
/// VALUE is JSON: texts have quotes, as in `rsops set secrets.yaml '["database"]["password"]' '"hunter2"'`. Arguments
/// can be seen by others on the machine; --value-file and --value-stdin keep the value from them. All other values keep
/// their ciphertext.
#[derive(Args)]
#[command(override_usage = "rsops set [OPTIONS] FILE PATH VALUE")]
pub(crate) struct Set {
    /// The file, the path of the value, as in '["database"]["hosts"][0]', and the value
    #[arg(value_name = "FILE PATH VALUE", allow_negative_numbers = true)]
    arguments: Vec<OsString>,
    /// VALUE names a file that holds the value
    #[arg(long)]
    value_file: bool,
    /// Read the value from standard input; there is no VALUE then
    #[arg(long)]
    value_stdin: bool,
    #[command(flatten)]
    idempotent: IdempotentOptions,
    #[command(flatten)]
    outdated: Outdated,
    #[command(flatten)]
    mac: MacOptions,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Set {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let (file, path, source) = self.arguments()?;
        let place = Place::new(ui.clone(), Input::file(&file)?, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let path = Path::parse(path.as_bytes()).map_err(CommandError::SetPath)?;
        let value = source.value()?;
        let order = self.order.order()?;

        let mut nonces = Nonces::default();
        let opened = open(&place, &services, &order, self.mac.check(), Some(&mut nonces))?;
        let Opened { mut document, metadata, data_key, .. } = opened;
        let first = document.tree.branches.first_mut().ok_or(CommandError::NoDocument)?;
        let change = first.set(&path, value).map_err(CommandError::Set)?;
        let store = place.output_store(&configuration);
        if has_metadata(first, store.layout()) {
            return Err(CommandError::AlreadyEncrypted);
        }
        if change == Change::Unchanged && self.idempotent.idempotent {
            // the reference encrypts first and then finds that nothing changed (publish-audit.md §B3)
            audit::record(&place, Event::Encrypt)?;
            ui.info(Component::Cmd, "File not written due to no change", &[]);
            return Ok(());
        }
        let bytes = seal(&place, document, metadata, &data_key, &nonces, &*store)?;
        write_back(&place, &bytes)
    }

    /// The file, the path, and where the value is (cli.md §6.1).
    fn arguments(&self) -> Result<(PathBuf, OsString, Source), CommandError> {
        let (value_file, value_stdin) = (self.value_file, self.value_stdin);
        match (self.arguments.as_slice(), value_stdin) {
            _ if value_file && value_stdin => Err(CommandError::TwoValueSources),
            ([file, path], true) => Ok((file.into(), path.clone(), Source::Stdin)),
            (_, true) => Err(CommandError::SetArgumentsWithStdin),
            ([file, path, value], false) => {
                let source =
                    if value_file { Source::File(value.into()) } else { Source::Argument(value.clone()) };
                Ok((file.into(), path.clone(), source))
            }
            (_, false) => Err(CommandError::SetArguments),
        }
    }
}

/// Where the value comes from.
enum Source {
    Argument(OsString),
    File(PathBuf),
    Stdin,
}

impl Source {
    fn value(self) -> Result<Value, CommandError> {
        let text = match self {
            Self::Argument(text) => Zeroizing::new(text.into_encoded_bytes()),
            Self::File(path) => fs::read(&path)
                .map(Zeroizing::new)
                .map_err(|error| CommandError::ReadValue { path, error })?,
            Self::Stdin => read_stdin()?,
        };
        read_value(&text.into()).map_err(CommandError::SetValue)
    }
}
