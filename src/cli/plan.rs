//! How a new file is encrypted: the options merged with the creation rule for the file (cli.md §9.1).

use rsops::config::{ConfigError, ResolvedRule};
use rsops::data_key::DataKey;
use rsops::keys::{Key, KeyGroup};
use rsops::mac::Coverage;
use rsops::metadata::Metadata;
use rsops::selection::{Selection, SelectionError, Selectors};
use rsops::store::Format;

use super::error::CommandError;
use super::options::{KeyOptions, SelectionOptions};
use super::place::{Configuration, KeyServices, Place};
use super::ui::{Component, Ui};

/// What the options and the rule come to.
pub(super) struct Plan {
    groups: Vec<KeyGroup>,
    threshold: usize,
    selection: Selection,
    coverage: Coverage,
}

impl Plan {
    /// Merges the options with the rule for the file (cli.md §9.1).
    pub(super) fn resolve(
        place: &Place,
        configuration: &Configuration,
        keys: &KeyOptions,
        selection: &SelectionOptions,
        services: &KeyServices,
    ) -> Result<Self, CommandError> {
        let own_keys = keys.keys()?;
        let rule = match configuration {
            None => ResolvedRule::default(),
            Some(config) => match config.creation_rule(&place.name, &[]) {
                Ok(rule) => rule,
                // as if there were no file (config.md §2)
                Err(ConfigError::NoCreationRules { .. }) => ResolvedRule::default(),
                // keys on the command line make a rule unnecessary (policy.md §2)
                Err(ConfigError::NoMatchingRule) if own_keys.is_some() => ResolvedRule::default(),
                Err(error) => return Err(CommandError::Config(error)),
            },
        };
        let own = selection.selectors();
        let selectors = own.or(&rule.selectors);
        let only_encrypted = selection.mac_only_encrypted || rule.mac_only_encrypted;
        let (selection, coverage) = match place.input_format {
            Format::Binary => {
                warn_of_selectors(&place.ui, &selectors);
                (Selection::All, Coverage::All)
            }
            _ => {
                let coverage = if only_encrypted { Coverage::OnlyEncrypted } else { Coverage::All };
                (select(&selectors, &own)?, coverage)
            }
        };
        let mut groups = match own_keys {
            Some(keys) => vec![KeyGroup::new(keys)],
            None => rule.key_groups,
        };
        if groups.is_empty() {
            return Err(CommandError::NoKeys);
        }
        let threshold = keys.threshold.threshold()?.unwrap_or(rule.shamir_threshold);
        services.complete(keys_of(&mut groups))?;
        Ok(Self { groups, threshold, selection, coverage })
    }

    /// A new data key, wrapped for all keys.
    pub(super) fn data_key(self, services: &KeyServices) -> Result<(DataKey, Metadata), CommandError> {
        let mut metadata = Metadata::new(self.groups, self.selection, self.coverage);
        metadata.shamir_threshold = self.threshold;
        let data_key = new_data_key(&mut metadata, services)?;
        Ok((data_key, metadata))
    }
}

/// The keys of all groups.
pub(super) fn keys_of(groups: &mut [KeyGroup]) -> impl Iterator<Item = &mut Key> {
    groups.iter_mut().flat_map(|group| &mut group.keys).map(|master_key| &mut master_key.key)
}

/// A new data key, wrapped for all keys of the metadata.
pub(super) fn new_data_key(metadata: &mut Metadata, services: &KeyServices) -> Result<DataKey, CommandError> {
    let data_key = DataKey::generate().map_err(|_| CommandError::NoRandomness)?;
    services.wrap(&data_key, metadata).map_err(CommandError::Wrap)?;
    Ok(data_key)
}

/// The selection, or whose fault it is that there is none.
fn select(merged: &Selectors, own: &Selectors) -> Result<Selection, CommandError> {
    merged.selection().map_err(|error| {
        let from_command_line = own.selection().is_err();
        match error {
            SelectionError::BadPattern { .. } if !from_command_line => CommandError::RuleSelection(error),
            error => CommandError::Selection(error),
        }
    })
}

/// Binary files have nothing to select (stores.md §4).
fn warn_of_selectors(ui: &Ui, selectors: &Selectors) {
    const KEYS: &str = "does not make sense with the input store (the binary store produces one key that should always \
                        be encrypted) and will be ignored.";
    const COMMENTS: &str = "does not make sense with the input store (the binary store never produces comments) and \
                            will be ignored.";
    for (set, what, why) in [
        (&selectors.unencrypted_suffix, "an unencrypted suffix", KEYS),
        (&selectors.encrypted_suffix, "an encrypted suffix", KEYS),
        (&selectors.encrypted_regex, "an encrypted regex", KEYS),
        (&selectors.unencrypted_regex, "an unencrypted regex", KEYS),
        (&selectors.encrypted_comment_regex, "an encrypted comment regex", COMMENTS),
    ] {
        if !set.is_empty() {
            ui.warn(Component::Cmd, &format!("Using {what} {why}"), &[]);
        }
    }
}
