//! `rsops rotate` (cli.md §9.3).

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::audit::Event;
use rsops::document::MacCheck;
use rsops::keys::{DecryptionOrder, Key, MasterKey};
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;

use super::{Target, Targets};
use crate::cli::audit;
use crate::cli::batch::{BatchOptions, Done, Wanted};
use crate::cli::error::CommandError;
use crate::cli::nearest::{Configurations, Need};
use crate::cli::open::{Opened, decrypt, decrypt_for_this_run, load};
use crate::cli::options::{
    AddedKeys, AwsOptions, DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions, MacOptions,
    OutputOptions, RemovedKeys,
};
use crate::cli::place::{Configuration, Input, KeyServices, Place, exists, key_services, warn_of_surplus};
use crate::cli::plan::new_data_key;
use crate::cli::seal::seal;
use crate::cli::ui::Ui;

/// Encrypt a file anew, with a new data key, and write the result to standard output
///
/// Keys can be added to the first key group and removed from all of them on the way. Several files, and with --recursive
/// those in folders, are rotated where they are with --in-place.
#[derive(Args)]
pub(crate) struct Rotate {
    /// The file to encrypt anew, or several
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    added: AddedKeys,
    #[command(flatten)]
    removed: RemovedKeys,
    #[command(flatten)]
    aws: AwsOptions,
    #[command(flatten)]
    mac: MacOptions,
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

impl Rotate {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        if self.batch.is_wanted() || self.files.len() > 1 && self.output.takes_many() {
            return self.run_on_many(&ui);
        }
        let input = self.input(&ui)?;
        let target = Target::of(&self.output, &self.files)?;
        let place = Place::new(ui.clone(), input, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let encrypted = self.rotation(&ui)?.rotate(&place, &configuration)?;
        target.write(&place, &encrypted)
    }

    fn run_on_many(&self, ui: &Arc<Ui>) -> Result<(), CommandError> {
        let targets = Targets::of(&self.output)?;
        let configurations = Configurations::new(ui, &self.global, Need::Rules)?;
        let rotation = self.rotation(ui)?;
        let batch = self.batch.batch(ui, &self.files, &self.formats.input, Wanted::Encrypted)?;
        let result = batch.run(|entry| {
            let place = Place::new(ui.clone(), Input::file(&entry.path)?, &self.formats)?;
            let encrypted = rotation.rotate(&place, &*configurations.of(entry)?)?;
            if !self.batch.dry_run {
                targets.write(&entry.path, &encrypted)?;
            }
            Ok(Done::Changed)
        });
        targets.finish();
        result
    }

    fn rotation(&self, ui: &Arc<Ui>) -> Result<Rotation, CommandError> {
        let services = key_services(ui, &self.services)?;
        let order = self.order.order()?;
        let common = self.aws.common_or_warn(ui);
        let mut added = self.added.lists().keys(&common)?;
        let mut removed = self.removed.lists().keys(&common)?;
        services.complete(added.iter_mut().chain(&mut removed))?;
        Ok(Rotation { services, order, check: self.mac.check(), added, removed, is_dry: self.batch.dry_run })
    }

    /// The file; that it is missing has a code of its own if keys are to be changed (cli.md §6.1).
    fn input(&self, ui: &Ui) -> Result<Input, CommandError> {
        let file = self.files.first().ok_or(CommandError::NoFile)?;
        warn_of_surplus(ui, &self.files);
        let changes_keys = !self.added.lists().are_empty() || !self.removed.lists().are_empty();
        match Input::file(file)? {
            Input::File(path) if changes_keys && !exists(&path) => Err(CommandError::KeysOfMissingFile(path)),
            input => Ok(input),
        }
    }
}

/// What is the same for all files.
struct Rotation {
    services: KeyServices,
    order: DecryptionOrder,
    check: MacCheck,
    added: Vec<Key>,
    removed: Vec<Key>,
    /// Nothing is written in the end.
    is_dry: bool,
}

impl Rotation {
    /// The bytes of the file under its new data key.
    fn rotate(&self, place: &Place, configuration: &Configuration) -> Result<Vec<u8>, CommandError> {
        let document = load(place)?;
        audit::record(place, Event::Rotate)?;
        let decrypt = if self.is_dry { decrypt_for_this_run } else { decrypt };
        let mut opened = decrypt(place, document, &self.services, &self.order, self.check, None)?;
        change_keys(&mut opened.metadata, self.added.clone(), &self.removed);
        let data_key = new_data_key(&mut opened.metadata, &self.services)?;
        // IVs are new too: with another data key there is no reason to keep them
        let Opened { document, metadata, .. } = opened;
        let store = place.output_store(configuration);
        seal(place, document, metadata, &data_key, &Nonces::default(), &*store)
    }
}

/// A key that is added and removed is not there in the end. One that the file has already is there twice then, as in
/// the reference.
fn change_keys(metadata: &mut Metadata, added: Vec<Key>, removed: &[Key]) {
    if let Some(first) = metadata.key_groups.first_mut() {
        first.keys.extend(added.into_iter().map(MasterKey::new));
    }
    for group in &mut metadata.key_groups {
        removed.iter().for_each(|key| group.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use rsops::keys::{KeyGroup, PgpKey};
    use rsops::mac::Coverage;
    use rsops::selection::Selection;

    use super::*;

    fn key(name: &str) -> Key {
        Key::Pgp(PgpKey { fingerprint: name.to_owned() })
    }

    fn metadata(groups: &[&[&str]]) -> Metadata {
        let group = |names: &&[&str]| KeyGroup::new(names.iter().map(|name| key(name)));
        Metadata::new(groups.iter().map(group).collect(), Selection::All, Coverage::All)
    }

    fn names(metadata: &Metadata) -> Vec<Vec<String>> {
        let names = |group: &KeyGroup| group.keys.iter().map(|key| key.key.to_string()).collect();
        metadata.key_groups.iter().map(names).collect()
    }

    #[test]
    fn keys_join_the_first_group_and_leave_all() {
        let mut metadata = metadata(&[&["a", "b", "b"], &["c", "b"]]);
        change_keys(&mut metadata, vec![key("a"), key("d"), key("e")], &[key("b"), key("e"), key("x")]);
        assert_eq!(names(&metadata), [vec!["a", "a", "d"], vec!["c"]]);
    }

    #[test]
    fn keys_that_stay_keep_their_date() {
        let mut metadata = metadata(&[&["a"]]);
        metadata.key_groups[0].keys[0].created_at = "2020-01-02T03:04:05Z".to_owned();
        change_keys(&mut metadata, vec![key("b")], &[]);
        assert_eq!(metadata.key_groups[0].keys[0].created_at, "2020-01-02T03:04:05Z");
        assert_ne!(metadata.key_groups[0].keys[1].created_at, "2020-01-02T03:04:05Z");
    }
}
