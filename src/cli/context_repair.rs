//! Files from before 3.3.0, when AWS KMS was sent another encryption context than the one that was stored: one of its
//! values under all of its names (format.md §11, cli.md §16).

use std::io::{self, IsTerminal as _};

use rsops::audit::Event;
use rsops::data_key::DataKey;
use rsops::document::{EncryptedDocument, MacCheck, PlainDocument};
use rsops::keys::{AwsKmsKey, DecryptionOrder, Key};
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;
use rsops::tree::Source;

use super::audit;
use super::error::CommandError;
use super::open::{Opened, opened, recover_data_key};
use super::place::{Input, KeyServices, Place};
use super::prompt::confirm;
use super::seal::seal;
use super::write_file::write_file;

/// The first release that sends what it stores.
const FIXED_IN: &str = "3.3.0";

const NOTICE: &str = "\
Up until version 3.3.0 of sops there was a bug surrounding the use of
encryption context with AWS KMS.
You can read the full description of the issue here:
https://github.com/mozilla/sops/pull/435

If a TTY is detected, sops will ask you if you'd like for this issue to be
automatically fixed, which will require re-encrypting the data keys used by
each key.

If you are not using a TTY, sops will fix the issue for this run.


";

const QUESTION: &str = "Would you like sops to automatically fix this issue? (y/n): \n";

/// How far a file is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// In memory.
    ForThisRun,
    /// The file gets data keys that are wrapped with the context that it tells.
    OfTheFile,
}

/// Tells of the bug if it may have struck this file, and asks what to do.
pub(super) fn offer(place: &Place, metadata: &Metadata) -> Result<Option<Repair>, CommandError> {
    if !metadata.is_older_than(FIXED_IN) || affected_keys(metadata).next().is_none() {
        return Ok(None);
    }
    place.ui.print(NOTICE.as_bytes())?;
    // what was read from standard input cannot be written back, and no answer is left there
    if !io::stdout().is_terminal() || matches!(place.input, Input::Stdin) {
        return Ok(Some(Repair::ForThisRun));
    }
    match confirm(&place.ui, QUESTION) {
        Ok(true) => Ok(Some(Repair::OfTheFile)),
        Ok(false) => Err(CommandError::RepairDeclined),
        Err(CommandError::Prompt(error)) => Err(CommandError::RepairPrompt(error)),
        Err(error) => Err(error),
    }
}

impl Repair {
    /// Decrypts the file, trying what such a release may have sent. Data keys are wrapped anew if somebody writes the
    /// file: the repair itself, or a command that takes `nonces` for it.
    pub(super) fn open(
        self,
        place: &Place,
        encrypted: EncryptedDocument,
        services: &KeyServices,
        check: MacCheck,
        nonces: Option<&mut Nonces>,
    ) -> Result<Opened, CommandError> {
        let data_key = recover_by_trying(place, &encrypted.metadata, services)?;
        let is_written = self == Self::OfTheFile || nonces.is_some();
        let mut own_nonces = Nonces::default();
        let nonces = nonces.unwrap_or(&mut own_nonces);
        audit::record(place, Event::Decrypt)?;
        let decrypted = encrypted
            .decrypt(&data_key, check, Some(&mut *nonces))
            .map_err(|error| still_fails(CommandError::Decrypt { file: place.shown(), error }))?;
        let mut opened = opened(place, decrypted, data_key);
        // whoever writes it next sends what is stored
        opened.metadata.raise_version();
        if is_written {
            services.wrap(&opened.data_key, &mut opened.metadata).map_err(CommandError::RewrapRepaired)?;
        }
        if self == Self::OfTheFile {
            opened.rewritten = write(place, &opened, nonces)?;
        }
        Ok(opened)
    }
}

/// Replaces the file; what is in it now.
fn write(place: &Place, opened: &Opened, nonces: &Nonces) -> Result<Option<Source>, CommandError> {
    let Input::File(path) = &place.input else { return Ok(None) };
    let document = PlainDocument { tree: opened.document.tree.clone() };
    let metadata = opened.metadata.clone();
    let bytes = seal(place, document, metadata, &opened.data_key, nonces, &*place.input_store())?;
    write_file(path, &bytes).map_err(|error| CommandError::Write {
        in_place: true,
        path: path.clone(),
        error,
    })?;
    Ok(Some(bytes.into()))
}

/// With the contexts as they are stored, else with those that such a release may have sent. Any order that the user has
/// set does not count, as in the reference.
fn recover_by_trying(
    place: &Place,
    metadata: &Metadata,
    services: &KeyServices,
) -> Result<DataKey, CommandError> {
    let recover =
        |metadata: &Metadata| recover_data_key(place, metadata, services, &DecryptionOrder::stored());
    recover(metadata).or_else(|first| {
        as_sent(metadata).find_map(|variant| recover(&variant).ok()).ok_or_else(|| still_fails(first))
    })
}

/// The data key of a file that may be affected, where nobody is told of it. What fails is the usual error.
pub(super) fn recover_for_this_run(
    place: &Place,
    metadata: &Metadata,
    services: &KeyServices,
    order: &DecryptionOrder,
) -> Result<DataKey, CommandError> {
    let recover = |metadata: &Metadata| recover_data_key(place, metadata, services, order);
    recover(metadata).or_else(|first| {
        let is_old = metadata.is_older_than(FIXED_IN);
        let mut variants = as_sent(metadata).take_while(|_| is_old);
        variants.find_map(|variant| recover(&variant).ok()).ok_or(first)
    })
}

fn still_fails(error: CommandError) -> CommandError {
    CommandError::ContextBug(Box::new(error))
}

/// Keys whose context was not sent as it is stored, with their group and their place in it.
fn affected_keys(metadata: &Metadata) -> impl Iterator<Item = (usize, usize, &AwsKmsKey)> {
    metadata.key_groups.iter().enumerate().flat_map(|(group, keys)| {
        keys.keys.iter().enumerate().filter_map(move |(place, key)| match &key.key {
            Key::AwsKms(kms) if kms.has_mixed_context() => Some((group, place, kms)),
            _ => None,
        })
    })
}

/// The metadata with one of these keys as it may have been used: one variant for each value of its context.
fn as_sent(metadata: &Metadata) -> impl Iterator<Item = Metadata> {
    affected_keys(metadata).flat_map(move |(group, place, key)| {
        key.context_values().into_iter().map(move |value| {
            let mut variant = metadata.clone();
            variant.key_groups[group].keys[place].key = Key::AwsKms(key.with_uniform_context(value));
            variant
        })
    })
}
