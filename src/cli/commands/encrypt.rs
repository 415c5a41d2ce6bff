//! `rsops encrypt`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rsops::config::{ConfigError, ResolvedRule};
use rsops::data_key::DataKey;
use rsops::document::PlainDocument;
use rsops::keys::{KeyGroup, KeyService, wrap};
use rsops::mac::Coverage;
use rsops::metadata::{Metadata, has_metadata};
use rsops::nonces::Nonces;
use rsops::selection::{Selection, SelectionError, Selectors};
use rsops::store::Format;

use super::Target;
use crate::cli::error::CommandError;
use crate::cli::options::{
    FormatOptions, GlobalOptions, KeyOptions, KeyServiceOptions, OutputOptions, SelectionOptions,
};
use crate::cli::place::{Configuration, Place, key_services};
use crate::cli::ui::{Component, Ui};

/// Encrypt a file, and write the result to standard output
///
/// Whom it is encrypted for is told by the options, else by the first creation rule in .sops.yaml that fits the file.
/// Without FILE, standard input is read.
#[derive(Args)]
pub(crate) struct Encrypt {
    /// The file to encrypt
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    selection: SelectionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

/// What the options and the rule come to.
struct Plan {
    groups: Vec<KeyGroup>,
    threshold: usize,
    selection: Selection,
    coverage: Coverage,
}

impl Encrypt {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let named = self.formats.filename_override.as_ref().is_some_and(|name| !name.as_os_str().is_empty());
        let target = Target::of(&self.output, &self.files)?;
        if self.files.is_empty() && !named {
            return Err(CommandError::StdinWithoutName);
        }
        let ui = Arc::new(Ui::new(self.global.verbose));
        let place = Place::new(ui.clone(), &self.files, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let plan = self.plan(&place, &configuration)?;

        let document =
            PlainDocument::load(&*place.input_store(), place.read()?.into()).map_err(CommandError::Parse)?;
        place.warn_of_duplicates(&document.tree);
        let store = place.output_store(&configuration);
        let first = document.tree.branches.first().ok_or(CommandError::NoDocument)?;
        if has_metadata(first, store.layout()) {
            return Err(CommandError::AlreadyEncrypted);
        }

        let mut metadata = Metadata::new(plan.groups, plan.selection, plan.coverage);
        let data_key = DataKey::generate().map_err(|_| CommandError::NoRandomness)?;
        let services: Vec<&dyn KeyService> = services.iter().map(AsRef::as_ref).collect();
        metadata.shamir_threshold = wrap(&data_key, &mut metadata.key_groups, plan.threshold, &services)
            .map_err(CommandError::Wrap)?;
        let encrypted = document
            .encrypt(metadata, &data_key, &Nonces::default(), &*store)
            .map_err(CommandError::Encrypt)?;
        target.write(&place, &encrypted)
    }

    /// Merges the options with the rule for the file (cli.md §9.1).
    fn plan(&self, place: &Place, configuration: &Configuration) -> Result<Plan, CommandError> {
        let own_keys = self.keys.keys()?;
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
        let own = self.selection.selectors();
        let selectors = own.or(&rule.selectors);
        let only_encrypted = self.selection.mac_only_encrypted || rule.mac_only_encrypted;
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
        let groups = match own_keys {
            Some(keys) => vec![KeyGroup::new(keys)],
            None => rule.key_groups,
        };
        if groups.is_empty() {
            return Err(CommandError::NoKeys);
        }
        let threshold = match self.keys.shamir_secret_sharing_threshold {
            None | Some(0) => rule.shamir_threshold,
            Some(n) => usize::try_from(n).map_err(|_| CommandError::Threshold(n))?,
        };
        Ok(Plan { groups, threshold, selection, coverage })
    }
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
