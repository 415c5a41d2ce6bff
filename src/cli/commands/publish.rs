//! `rsops publish` (publish-audit.md A).

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rsops::config::{Config, Destination, ResolvedRule};
use rsops::document::MacCheck;
use rsops::keys::{DecryptionOrder, GroupChanges, compare};
use rsops::mac::Coverage;
use rsops::metadata::Metadata;
use rsops::nonces::Nonces;
use rsops::publish::{Existing, Publisher, Secret, Server, Target};
use rsops::selection::Selection;
use rsops::store::Format;

use crate::cli::environment::{publish_settings, vault_address};
use crate::cli::error::{CommandError, PublishError};
use crate::cli::open::{decrypt_for_this_run, parse};
use crate::cli::options::{DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions};
use crate::cli::place::{
    Configuration, Input, KeyServices, Place, absolute, configuration, key_services, warn_of_surplus,
};
use crate::cli::plan::new_data_key;
use crate::cli::prompt::confirm;
use crate::cli::seal::seal;
use crate::cli::ui::{Component, Ui};

/// Send encrypted files to where the destination rules say
///
/// They are encrypted for other keys on the way, if the rule names any. The first failure ends the run; what was sent
/// until then stays.
#[derive(Args)]
pub(crate) struct Publish {
    /// The file, or with --recursive the directory
    #[arg(value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Leave the last extension out of the names of what is sent
    #[arg(long)]
    omit_extensions: bool,
    /// Send all files of a directory
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl Publish {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let configuration = configuration(&ui, &self.global)?;
        if configuration.is_none() {
            return Err(CommandError::NoConfiguration);
        }
        let root = self.files.first().ok_or(CommandError::NoFile)?.clone();
        warn_of_surplus(&ui, &self.files);
        let found = fs::metadata(&root).map_err(|error| PublishError::Stat { path: root.clone(), error })?;
        if found.is_dir() && !self.recursive {
            return Err(PublishError::Directory.into());
        }
        let order = self.order.order()?;
        let services = key_services(&ui, &self.services)?;
        let publisher = Publisher::new(publish_settings());
        let files = files_below(&root)?;
        let mut tally = Tally::new(files.len(), self.recursive && self.yes);
        let mut run = Run { ui: ui.clone(), configuration, services, order, publisher, options: &self };
        // the first failure ends the run, as in the reference
        let result = files.iter().try_for_each(|file| {
            tally.show(&ui);
            let sent = run.publish(&root, file);
            tally.count(&sent);
            sent.map(drop).map_err(|error| if self.recursive { error.in_file(file) } else { error })
        });
        if self.recursive {
            tally.finish(&ui);
        }
        result
    }
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Now,
    /// It is there already.
    Before,
    /// The user did not want to.
    Not,
}

/// How far a directory is.
struct Tally {
    files: usize,
    sent: usize,
    unchanged: usize,
    left_out: usize,
    failed: usize,
    is_shown: bool,
}

impl Tally {
    /// `unasked`: where there are questions, they show how far it is.
    fn new(files: usize, unasked: bool) -> Self {
        let is_shown = unasked && std::io::stderr().is_terminal();
        Self { files, sent: 0, unchanged: 0, left_out: 0, failed: 0, is_shown }
    }

    fn count(&mut self, sent: &Result<Sent, CommandError>) {
        match sent {
            Ok(Sent::Now) => self.sent += 1,
            Ok(Sent::Before) => self.unchanged += 1,
            Ok(Sent::Not) => self.left_out += 1,
            Err(_) => self.failed += 1,
        }
    }

    fn tried(&self) -> usize {
        self.sent + self.unchanged + self.left_out + self.failed
    }

    fn show(&self, ui: &Ui) {
        if self.is_shown {
            ui.status(&format!("{} of {} files", self.tried(), self.files));
        }
    }

    /// Sums, for whoever looks on.
    fn finish(&self, ui: &Ui) {
        if self.is_shown {
            ui.status("");
        }
        if self.is_shown || ui.is_verbose() || std::io::stderr().is_terminal() {
            let Self { files, sent, unchanged, left_out, failed, .. } = self;
            let untried = files - self.tried();
            ui.note(&format!(
                "{sent} sent, {unchanged} unchanged, {left_out} left out, {failed} failed, {untried} not tried"
            ));
        }
    }
}

/// The file itself, or all of a directory in lexical order. Links are not followed.
fn files_below(path: &Path) -> Result<Vec<PathBuf>, CommandError> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| PublishError::List { path: path.to_owned(), error };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        names.push(entry.map_err(unreadable)?.file_name());
    }
    names.sort();
    let mut files = Vec::new();
    for name in names {
        // as the reference joins them: without `./` in front
        files.extend(files_below(&path.strip_prefix(".").unwrap_or(path).join(name))?);
    }
    Ok(files)
}

/// What is the same for all files.
struct Run<'a> {
    ui: Arc<Ui>,
    configuration: Configuration,
    services: KeyServices,
    order: DecryptionOrder,
    publisher: Publisher,
    options: &'a Publish,
}

impl Run<'_> {
    fn publish(&mut self, root: &Path, file: &Path) -> Result<Sent, CommandError> {
        let config: &Config = self.configuration.as_ref().ok_or(CommandError::NoConfiguration)?;
        let rule = config
            .destination_rule(file)
            .map_err(|error| PublishError::Rule { path: file.to_owned(), error })?;
        let name = destination_name(root, file, self.options.omit_extensions || rule.omit_extensions)
            .ok_or_else(|| PublishError::NameNotText(file.to_owned()))?;
        let target = match rule.destination {
            Destination::S3 { bucket, prefix } => Target::S3 { bucket, key: prefix + &name },
            Destination::Gcs { bucket, prefix } => Target::Gcs { bucket, object: prefix + &name },
            Destination::Vault { address, path, kv_mount_name, kv_version } => {
                let server = match address.is_empty() {
                    true => Server::OfEnvironment(vault_address()),
                    false => Server::OfRule(address),
                };
                let secret = Secret::new(server, &kv_mount_name, kv_version, &path, &name);
                return self.write_secret(file, secret);
            }
        };
        let place = Place::new(self.ui.clone(), Input::file(file)?, &FormatOptions::default())?;
        let content = match rule.recreation {
            Some(rule) => self.encrypted_anew(&place, rule)?,
            None => as_it_is(&place)?,
        };
        if !self.is_agreed(file, &target.to_string())? {
            return Ok(Sent::Not);
        }
        self.publisher.upload(&target, content).map_err(|reason| not_sent(file, reason))?;
        Ok(Sent::Now)
    }

    /// The only way for plaintext: Vault encrypts on its own.
    fn write_secret(&mut self, file: &Path, secret: Secret) -> Result<Sent, CommandError> {
        let place = Place::new(self.ui.clone(), Input::file(file)?, &FormatOptions::default())?;
        let encrypted = parse(&place, place.read()?.into())?;
        let opened =
            decrypt_for_this_run(&place, encrypted, &self.services, &self.order, MacCheck::Required, None)?;
        let failed = |reason| not_sent(file, reason);
        let (destination, path) = (secret.to_string(), secret.path().to_owned());
        let upload = self.publisher.secret(secret, &opened.document.tree).map_err(failed)?;
        if !self.is_agreed(file, &destination)? {
            return Ok(Sent::Not);
        }
        match upload.existing().map_err(failed)? {
            Existing::Same => {
                self.ui.info(Component::Publish, &format!("Secret in {path} is already up-to-date."), &[]);
                return Ok(Sent::Before);
            }
            Existing::Other => {}
            // said before it is written, which may fail as well
            Existing::Unseen(reason) => {
                let text = format!(
                    "Cannot check if destination secret already exists in {path}. New version will be created even \
                     if the data has not been changed."
                );
                self.ui.warn(Component::Publish, &text, &[("error", &reason)]);
            }
        }
        upload.write().map_err(failed)?;
        Ok(Sent::Now)
    }

    /// Asks. A no ends the command, or with `--recursive` leaves out the file.
    fn is_agreed(&self, file: &Path, destination: &str) -> Result<bool, CommandError> {
        let full = absolute(file)?;
        let question = format!("uploading {} to {destination} ? (y/n): ", full.display());
        if self.options.yes || confirm(&self.ui, &question)? {
            return Ok(true);
        }
        let canceled = PublishError::Canceled(full);
        if !self.options.recursive {
            return Err(canceled.into());
        }
        self.ui.print_line(&canceled.to_string())?;
        Ok(false)
    }

    /// The file for the keys of the rule, with a data key of its own.
    fn encrypted_anew(&self, place: &Place, rule: ResolvedRule) -> Result<Vec<u8>, CommandError> {
        let encrypted = parse(place, place.read()?.into())?;
        let mut nonces = Nonces::default();
        let opened = decrypt_for_this_run(
            place,
            encrypted,
            &self.services,
            &self.order,
            MacCheck::Required,
            Some(&mut nonces),
        )?;
        let changes = compare(&opened.metadata.key_groups, &rule.key_groups);
        if !changes.iter().all(GroupChanges::is_empty) {
            let groups = self.ui.colours().groups(&changes);
            self.ui.print(
                format!("The following changes will be made to the file's key groups:\n{groups}").as_bytes(),
            )?;
        }
        self.ui.debug(Component::Publish, "Re-encrypting tree before publishing", &[]);
        let mut metadata = recreated(place.input_format, &opened.metadata, rule)?;
        self.services.complete(
            metadata.key_groups.iter_mut().flat_map(|group| &mut group.keys).map(|key| &mut key.key),
        )?;
        let data_key = new_data_key(&mut metadata, &self.services)?;
        let store = place.output_store(&self.configuration);
        seal(place, opened.document, metadata, &data_key, &nonces, &*store)
    }
}

/// The bytes of a file that must be encrypted already.
fn as_it_is(place: &Place) -> Result<Vec<u8>, CommandError> {
    let bytes = place.read()?.to_vec();
    parse(place, bytes.clone().into())?;
    Ok(bytes)
}

/// The metadata of the rule. What the rule does not select is selected as in the file (policy.md §3).
fn recreated(format: Format, old: &Metadata, rule: ResolvedRule) -> Result<Metadata, CommandError> {
    let selection = match format {
        Format::Binary => Selection::All,
        _ if rule.selectors.entries().iter().all(|(_, text)| text.is_empty()) => old.selection.clone(),
        _ => rule.selectors.selection().map_err(CommandError::RuleSelection)?,
    };
    let coverage = if rule.mac_only_encrypted { Coverage::OnlyEncrypted } else { old.coverage };
    let mut metadata = Metadata::new(rule.key_groups, selection, coverage);
    metadata.shamir_threshold = rule.shamir_threshold;
    Ok(metadata)
}

fn not_sent(file: &Path, reason: String) -> PublishError {
    PublishError::NotSent { path: file.to_owned(), reason }
}

/// The name at the destination (publish-audit.md A3), where names are text: none if this is none. The reference calls a
/// single file `.` with `--recursive`.
fn destination_name(root: &Path, file: &Path, omit_extension: bool) -> Option<String> {
    let root = root.strip_prefix(".").unwrap_or(root);
    let relative = match file.strip_prefix(root) {
        Ok(relative) if !relative.as_os_str().is_empty() => relative.to_owned(),
        _ => file.file_name().map(PathBuf::from).unwrap_or_default(),
    };
    let name = relative.into_os_string().into_string().ok()?;
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    Some(match name[base..].rfind('.') {
        Some(dot) if omit_extension => name[..base + dot].to_owned(),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn names_are_relative_to_what_is_published() {
        let name = |root: &str, file: &str, omit| {
            destination_name(Path::new(root), Path::new(file), omit).expect("text")
        };
        assert_eq!(name("conf", "conf/a/b.yaml", false), "a/b.yaml");
        assert_eq!(name("./conf/", "conf/a/b.yaml", true), "a/b");
        assert_eq!(name(".", "a/b.yaml", false), "a/b.yaml");
        assert_eq!(name("x/c.d.json.yaml", "x/c.d.json.yaml", true), "c.d.json");
        assert_eq!(name("x/.env", "x/.env", true), "");
        assert_eq!(name("x.d/file", "x.d/file", true), "file");
    }

    #[test]
    fn a_name_that_is_no_text_is_none() {
        let file = Path::new(OsStr::from_bytes(b"conf/\xff.yaml"));
        assert_eq!(destination_name(Path::new("conf"), file, true), None);
        // what stands in front does not go to the destination
        let file = Path::new(OsStr::from_bytes(b"\xff/a.yaml"));
        let root = Path::new(OsStr::from_bytes(b"\xff"));
        assert_eq!(destination_name(root, file, false).as_deref(), Some("a.yaml"));
    }
}
