//! Changing the keys of a file whose data key and values stay (cli.md §7.7, §13).

use rsops::data_key::DataKey;
use rsops::document::{EncryptError, EncryptedDocument};
use rsops::store::Store;

use super::error::CommandError;
use super::place::{KeyServices, Place};

/// The bytes of the file, with the data key wrapped for the keys that its metadata name now.
///
/// It is wrapped for all of them or not at all, and the result is read back with its MAC (policy.md §3, §4): a file
/// that does not verify keeps its keys.
pub(super) fn rewrap(
    place: &Place,
    mut document: EncryptedDocument,
    data_key: &DataKey,
    services: &KeyServices,
    store: &dyn Store,
) -> Result<Vec<u8>, CommandError> {
    services.wrap(data_key, &mut document.metadata).map_err(CommandError::Rewrap)?;
    document.to_bytes(data_key, store).map_err(|error| match error {
        EncryptError::ReadBack(reason) => CommandError::Unverified { file: place.shown(), reason },
        error => CommandError::Encrypt(error),
    })
}
