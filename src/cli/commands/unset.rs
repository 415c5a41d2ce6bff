//! `rsops unset`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path as FilePath;
use std::sync::Arc;

use clap::Args;
use rsops::nonces::Nonces;
use rsops::tree::Path;

use super::{Outdated, write_back};
use crate::cli::error::CommandError;
use crate::cli::open::{Opened, open};
use crate::cli::options::{
    DecryptionOptions, FormatOptions, GlobalOptions, IdempotentOptions, KeyServiceOptions, MacOptions,
};
use crate::cli::place::{Input, Place, key_services};
use crate::cli::seal::seal;
use crate::cli::ui::{Component, Ui};

/// Remove a value from an encrypted file
///
/// All other values keep their ciphertext.
#[derive(Args)]
#[command(override_usage = "rsops unset [OPTIONS] FILE PATH")]
pub(crate) struct Unset {
    /// The file, and the path of the value, as in '["database"]["hosts"][0]'
    #[arg(value_name = "FILE PATH")]
    arguments: Vec<OsString>,
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

impl Unset {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let [file, path] = self.arguments.as_slice() else { return Err(CommandError::UnsetArguments) };
        let place = Place::new(ui.clone(), Input::file(FilePath::new(file))?, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let path = Path::parse(path.as_bytes()).map_err(CommandError::UnsetPath)?;
        let order = self.order.order()?;

        let mut nonces = Nonces::default();
        let opened = open(&place, &services, &order, self.mac.check(), Some(&mut nonces))?;
        let Opened { mut document, metadata, data_key, .. } = opened;
        let first = document.tree.branches.first_mut().ok_or(CommandError::NoDocument)?;
        match first.unset(&path) {
            Err(error) if error.is_absence() && self.idempotent.idempotent => {
                ui.info(Component::Cmd, "File not written due to no change", &[]);
                return Ok(());
            }
            result => result.map_err(CommandError::Unset)?,
        }
        let store = place.output_store(&configuration);
        let bytes = seal(&place, document, metadata, &data_key, &nonces, &*store)?;
        write_back(&place, &bytes)
    }
}
