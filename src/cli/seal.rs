//! Encrypting a document of a command.

use rsops::audit::Event;
use rsops::data_key::DataKey;
use rsops::document::PlainDocument;
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;
use rsops::store::Store;

use super::audit;
use super::error::CommandError;
use super::place::Place;

/// The bytes of the encrypted file; the audit log learns of it first.
pub(super) fn seal(
    place: &Place,
    document: PlainDocument,
    metadata: Metadata,
    data_key: &DataKey,
    nonces: &Nonces,
    store: &dyn Store,
) -> Result<Vec<u8>, CommandError> {
    audit::record(place, Event::Encrypt)?;
    document.encrypt(metadata, data_key, nonces, store).map_err(CommandError::Encrypt)
}
