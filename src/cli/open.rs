//! Opening an encrypted file: load it, recover the data key, decrypt, say what is odd about it.

use rsops::audit::Event;
use rsops::data_key::DataKey;
use rsops::document::{Decrypted, EncryptedDocument, MacCheck, PlainDocument};
use rsops::keys::{DecryptionOrder, recover};
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;
use rsops::store::{Format, Store};
use rsops::tree::Source;
use zeroize::Zeroizing;

use super::audit;
use super::context_repair::{offer, recover_for_this_run};
use super::error::CommandError;
use super::place::{KeyServices, Place};
use super::ui::Component;

/// A file that was decrypted, with all that is needed to write it again.
pub(super) struct Opened {
    pub(super) document: PlainDocument,
    pub(super) metadata: Metadata,
    pub(super) data_key: DataKey,
    /// What is in the file now, if it was repaired on the way.
    pub(super) rewritten: Option<Source>,
}

/// Reads an encrypted file.
pub(super) fn load(place: &Place) -> Result<EncryptedDocument, CommandError> {
    parse(place, place.read()?.into())
}

/// The same for bytes that were read already.
pub(super) fn parse(place: &Place, source: Source) -> Result<EncryptedDocument, CommandError> {
    EncryptedDocument::load(&*place.input_store(), source)
        .map_err(|error| CommandError::Load { file: place.shown(), error })
}

/// Recovers the data key of a file from whichever of its keys can be used.
pub(super) fn recover_data_key(
    place: &Place,
    metadata: &Metadata,
    services: &KeyServices,
    order: &DecryptionOrder,
) -> Result<DataKey, CommandError> {
    let data_key = recover(&metadata.key_groups, metadata.shamir_threshold, order, &services.list())
        .map_err(CommandError::Recover)?;
    place.ui.info(Component::Sops, "Data key recovered successfully", &[]);
    Ok(data_key)
}

/// Reads and decrypts a file. `nonces` learns which IV each value had, for commands that write the file again.
pub(super) fn open(
    place: &Place,
    services: &KeyServices,
    order: &DecryptionOrder,
    check: MacCheck,
    nonces: Option<&mut Nonces>,
) -> Result<Opened, CommandError> {
    decrypt(place, load(place)?, services, order, check, nonces)
}

/// Decrypts a file that was read already.
pub(super) fn decrypt(
    place: &Place,
    encrypted: EncryptedDocument,
    services: &KeyServices,
    order: &DecryptionOrder,
    check: MacCheck,
    nonces: Option<&mut Nonces>,
) -> Result<Opened, CommandError> {
    if let Some(repair) = offer(place, &encrypted.metadata)? {
        let opened = repair.open(place, encrypted, services, check, nonces)?;
        // the repair has its own records; what follows is the command's (publish-audit.md §B3)
        audit::record(place, Event::Decrypt)?;
        return Ok(opened);
    }
    let data_key = recover_data_key(place, &encrypted.metadata, services, order)?;
    decrypt_with(place, encrypted, data_key, check, nonces)
}

/// The same where the file is not to be changed and nobody is asked: under `--dry-run`, and by `publish`, where the
/// reference does not know the repair either. A data key that needs it is found, and nothing is said of it.
pub(super) fn decrypt_for_this_run(
    place: &Place,
    encrypted: EncryptedDocument,
    services: &KeyServices,
    order: &DecryptionOrder,
    check: MacCheck,
    nonces: Option<&mut Nonces>,
) -> Result<Opened, CommandError> {
    let data_key = recover_for_this_run(place, &encrypted.metadata, services, order)?;
    decrypt_with(place, encrypted, data_key, check, nonces)
}

fn decrypt_with(
    place: &Place,
    encrypted: EncryptedDocument,
    data_key: DataKey,
    check: MacCheck,
    nonces: Option<&mut Nonces>,
) -> Result<Opened, CommandError> {
    place.ui.debug(Component::Sops, "Decrypting tree", &[]);
    audit::record(place, Event::Decrypt)?;
    let decrypted = encrypted
        .decrypt(&data_key, check, nonces)
        .map_err(|error| CommandError::Decrypt { file: place.shown(), error })?;
    Ok(opened(place, decrypted, data_key))
}

/// Decrypts a file only to see that it can be, and is what was encrypted.
pub(super) fn verify(
    place: &Place,
    encrypted: EncryptedDocument,
    services: &KeyServices,
    order: &DecryptionOrder,
) -> Result<(), CommandError> {
    let data_key = recover_data_key(place, &encrypted.metadata, services, order)?;
    audit::record(place, Event::Decrypt)?;
    encrypted
        .decrypt(&data_key, MacCheck::Required, None)
        .map(drop)
        .map_err(|error| CommandError::Decrypt { file: place.shown(), error })
}

/// A file that was decrypted; says what is odd about it.
pub(super) fn opened(
    place: &Place,
    (decrypted, metadata): (Decrypted, Metadata),
    data_key: DataKey,
) -> Opened {
    place.warn_of_duplicates(&decrypted.document.tree);
    for comment in &decrypted.loose_comments {
        place.ui.warn(
            Component::Sops,
            "Found possibly unencrypted comment in file. This is to be expected if the file being decrypted was created \
             with an older version of SOPS.",
            &[("comment", &comment.text)],
        );
    }
    Opened { document: decrypted.document, metadata, data_key, rewritten: None }
}

/// The text of a document in the output format.
pub(super) fn dump(
    place: &Place,
    document: &PlainDocument,
    store: &dyn Store,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    document.emit(store).map_err(|error| match place.output_format {
        Format::Binary => CommandError::DumpBinary(error),
        _ => CommandError::Dump(error),
    })
}
