//! `rsops edit`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rsops::data_key::DataKey;
use rsops::document::{LoadError, PlainDocument};
use rsops::keys::KeyGroup;
use rsops::mac::Coverage;
use rsops::metadata::{Metadata, MetadataError, has_metadata};
use rsops::nonces::Nonces;
use rsops::selection::Selection;
use rsops::store::{Format, Indent, Store};
use rsops::tree::{Source, Timestamp, Tree};
use zeroize::Zeroizing;

use super::write_back;
use crate::cli::editor::{Editor, EditorError};
use crate::cli::error::CommandError;
use crate::cli::open::{Opened, decrypt, parse};
use crate::cli::options::{
    DecryptionOptions, FormatOptions, GlobalOptions, KeyOptions, KeyServiceOptions, MacOptions,
    SelectionOptions,
};
use crate::cli::place::{Configuration, Input, KeyServices, Place, exists, key_services, warn_of_surplus};
use crate::cli::plan::Plan;
use crate::cli::private_dir::PrivateDir;
use crate::cli::seal::seal;
use crate::cli::signals::say_on_signal;
use crate::cli::ui::{Component, Ui, wait_for_enter};
use crate::cli::write_file::{write_file, write_private};

/// Edit an encrypted file in an editor
///
/// The editor is the one that SOPS_EDITOR or EDITOR names, else vim, nano or vi. It sees the file in clear, in a private
/// directory that is kept in memory where possible. A file that does not exist is made, for the keys that the options or
/// .sops.yaml tell. Values that are not changed keep their ciphertext.
#[derive(Args)]
pub(crate) struct Edit {
    /// The file to edit
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also edit the metadata: keys, and which values are encrypted
    #[arg(long, short)]
    show_master_keys: bool,
    #[command(flatten)]
    keys: KeyOptions,
    #[command(flatten)]
    selection: SelectionOptions,
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

impl Edit {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.global.verbose));
        let file = self.files.first().ok_or(CommandError::NoFile)?;
        warn_of_surplus(&ui, &self.files);
        let place = Place::new(ui.clone(), Input::file(file)?, &self.formats)?;
        let configuration = place.configuration(&self.global)?;
        let services = key_services(&ui, &self.services)?;
        let subject = match &place.input {
            Input::File(path) if !exists(path) => self.new_file(&place, &configuration, &services)?,
            _ => self.existing_file(&place, &services)?,
        };
        let store = place.output_store(&configuration);
        let show_master_keys = self.show_master_keys;
        Session { place: &place, services: &services, store: &*store, show_master_keys, subject }.edit()
    }

    fn existing_file(&self, place: &Place, services: &KeyServices) -> Result<Subject, CommandError> {
        let order = self.order.order()?;
        let source = Source::from(place.read()?);
        let mut nonces = Nonces::default();
        let encrypted = parse(place, source.clone())?;
        let opened = decrypt(place, encrypted, services, &order, self.mac.check(), Some(&mut nonces))?;
        let Opened { document, metadata, data_key, rewritten } = opened;
        let on_disk = Some(rewritten.unwrap_or(source));
        Ok(Subject { document, metadata, data_key, nonces, on_disk })
    }

    /// The example of the format, for the keys that `encrypt` would take (cli.md §10.4).
    fn new_file(
        &self,
        place: &Place,
        configuration: &Configuration,
        services: &KeyServices,
    ) -> Result<Subject, CommandError> {
        let plan = Plan::resolve(place, configuration, &self.keys, &self.selection, services)?;
        let (data_key, metadata) = plan.data_key(services).map_err(|error| match error {
            CommandError::Wrap(error) => CommandError::WrapEdited(error),
            error => error,
        })?;
        let document = PlainDocument { tree: Tree { branches: vec![place.input_store().example()] } };
        Ok(Subject { document, metadata, data_key, nonces: Nonces::default(), on_disk: None })
    }
}

/// What is edited.
struct Subject {
    document: PlainDocument,
    metadata: Metadata,
    data_key: DataKey,
    nonces: Nonces,
    /// The file as it was read, if there was one.
    on_disk: Option<Source>,
}

/// What the person made of it.
struct Edited {
    text: Zeroizing<Vec<u8>>,
    document: PlainDocument,
    metadata: Metadata,
}

/// Why an edited text cannot be encrypted, and is edited again (cli.md §10.3).
enum Flaw {
    Syntax(String),
    Document(CommandError),
    Metadata(LoadError),
    NoKeys,
}

struct Session<'a> {
    place: &'a Place,
    services: &'a KeyServices,
    store: &'a dyn Store,
    show_master_keys: bool,
    subject: Subject,
}

impl Session<'_> {
    fn edit(self) -> Result<(), CommandError> {
        let _farewell = say_on_signal("User canceled operation");
        let shown = self.shown()?;
        let Edited { text, document, metadata } = self.until_flawless(&shown)?;
        self.save(document, metadata).map_err(|error| self.keep(error, &text))
    }

    /// What the editor is given.
    fn shown(&self) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let Subject { document, metadata, .. } = &self.subject;
        if !self.show_master_keys {
            return document.emit(self.store).map_err(CommandError::Dump);
        }
        let mut metadata = metadata.clone();
        // a new file says so, as in the reference (cli.md §10.6)
        metadata.last_modified = metadata.last_modified.or(Timestamp::parse("0001-01-01T00:00:00Z").ok());
        document.emit_with_metadata(&metadata, self.store).map_err(CommandError::Encrypt)
    }

    /// Runs the editor until it leaves something that can be encrypted. The text in clear is gone from its directory
    /// when this returns.
    fn until_flawless(&self, shown: &[u8]) -> Result<Edited, CommandError> {
        let editor = Editor::from_environment().map_err(CommandError::Editor)?;
        let directory = PrivateDir::in_memory("rsops-").map_err(CommandError::PrivateDir)?;
        let file = directory.path().join(self.file_name());
        write_private(&file, shown).map_err(CommandError::PrivateFile)?;
        let mut before = Zeroizing::new(Vec::new());
        loop {
            editor.edit(&file).map_err(|error| self.not_edited(error, &file, shown))?;
            let text = fs::read(&file)
                .map(Zeroizing::new)
                .map_err(|error| CommandError::EditedFile { path: file.clone(), error })?;
            if *text == shown {
                return Err(CommandError::NotEdited);
            }
            match self.read(&text) {
                Ok((document, metadata)) => return Ok(Edited { text, document, metadata }),
                Err(flaw) => self.complain(&flaw),
            }
            // without anybody to press enter, an editor that does the same again would do so for ever
            if !wait_for_enter() && text == before {
                return Err(self.keep(CommandError::Unreadable, &text));
            }
            before = text;
        }
    }

    /// An editor that ends with a failure is a way to say that nothing shall happen. One that crashed said nothing, and
    /// may have saved something.
    fn not_edited(&self, error: EditorError, file: &Path, shown: &[u8]) -> CommandError {
        let crashed = matches!(&error, EditorError::Status(status) if status.signal().is_some());
        let error = match error {
            EditorError::Interrupted => return CommandError::Canceled,
            error => CommandError::Editor(error),
        };
        match fs::read(file).map(Zeroizing::new) {
            Ok(text) if crashed && *text != shown => self.keep(error, &text),
            _ => error,
        }
    }

    fn read(&self, text: &[u8]) -> Result<(PlainDocument, Metadata), Flaw> {
        let store = self.place.input_store();
        let (document, metadata) = if self.show_master_keys {
            PlainDocument::load_with_metadata(&*store, text.into()).map_err(|error| match error {
                LoadError::Store(error) => Flaw::Syntax(error.to_string()),
                LoadError::Metadata(MetadataError::NoKeys) => Flaw::NoKeys,
                error => Flaw::Metadata(error),
            })?
        } else {
            let document =
                PlainDocument::load(&*store, text.into()).map_err(|error| Flaw::Syntax(error.to_string()))?;
            (document, self.subject.metadata.clone())
        };
        match document.tree.branches.first() {
            None => Err(Flaw::Document(CommandError::NoDocument)),
            Some(first) if has_metadata(first, self.store.layout()) => {
                Err(Flaw::Document(CommandError::AlreadyEncrypted))
            }
            Some(_) => Ok((document, metadata)),
        }
    }

    fn complain(&self, flaw: &Flaw) {
        let (what, reason) = match flaw {
            Flaw::Syntax(error) => {
                ("Could not load tree, probably due to invalid syntax.", Some(error.clone()))
            }
            Flaw::Document(error) => ("Tree not valid for encryption.", Some(error.to_string())),
            Flaw::Metadata(error) => ("SOPS metadata is invalid.", Some(error.to_string())),
            Flaw::NoKeys => ("No master keys were provided, so sops can't encrypt the file.", None),
        };
        let fields: Vec<_> = reason.iter().map(|reason| ("error", reason.as_str())).collect();
        let message = format!("{what} Press enter to return to the editor, or Ctrl+C to exit.");
        self.place.ui.error(Component::Cmd, &message, &fields);
    }

    fn save(&self, document: PlainDocument, mut metadata: Metadata) -> Result<(), CommandError> {
        let Subject { data_key, nonces, metadata: old, on_disk, .. } = &self.subject;
        self.place.warn_of_duplicates(&document.tree);
        if !wrapped_alike(&metadata, old) {
            self.services.wrap(data_key, &mut metadata).map_err(CommandError::WrapEdited)?;
        }
        metadata.raise_version();
        let bytes = seal(self.place, document, metadata, data_key, nonces, self.store)?;
        let file = self.file();
        if !is_still(file, on_disk.as_ref().map(Source::as_bytes)) {
            return Err(CommandError::ChangedMeanwhile(file.to_owned()));
        }
        write_back(self.place, &bytes)
    }

    /// Keeps the edits, encrypted, when the file could not be written, and adds to the error how to get at them
    /// (policy.md §3).
    fn keep(&self, error: CommandError, text: &[u8]) -> CommandError {
        let hint = match self.draft(text).and_then(|bytes| write_draft(self.file(), &bytes)) {
            Ok(draft) => {
                let draft = draft.display();
                format!(
                    "the edits are kept in {draft}, encrypted for the keys of the file; `rsops decrypt {draft}` shows \
                     them"
                )
            }
            Err(reason) => format!("the edits could not be kept: {reason}"),
        };
        CommandError::Hinted { error: Box::new(error), hint }
    }

    /// The text as it was edited, encrypted as a binary file with the data key of the file.
    fn draft(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let store = Format::Binary.store(Indent::default());
        let document = PlainDocument::load(&*store, text.into()).map_err(|error| error.to_string())?;
        let mut metadata = self.subject.metadata.clone();
        (metadata.selection, metadata.coverage) = (Selection::All, Coverage::All);
        document
            .encrypt(metadata, &self.subject.data_key, &Nonces::default(), &*store)
            .map_err(|error| error.to_string())
    }

    fn file(&self) -> &Path {
        match &self.place.input {
            Input::File(path) => path,
            Input::Stdin => Path::new(""),
        }
    }

    fn file_name(&self) -> &OsStr {
        self.file().file_name().unwrap_or(OsStr::new("file"))
    }
}

/// Whether what is wrapped for whom is the same.
fn wrapped_alike(a: &Metadata, b: &Metadata) -> bool {
    let same_group = |a: &KeyGroup, b: &KeyGroup| {
        let keys = a.keys.iter().zip(&b.keys);
        a.keys.len() == b.keys.len() && keys.into_iter().all(|(a, b)| a.key == b.key && a.enc == b.enc)
    };
    let mut groups = a.key_groups.iter().zip(&b.key_groups);
    a.shamir_threshold == b.shamir_threshold
        && a.key_groups.len() == b.key_groups.len()
        && groups.all(|(a, b)| same_group(a, b))
}

/// Whether nobody wrote the file, or made one, since it was read.
fn is_still(file: &Path, then: Option<&[u8]>) -> bool {
    match (fs::read(file), then) {
        (Ok(now), Some(then)) => now == then,
        (Err(error), None) => matches!(error.kind(), io::ErrorKind::NotFound),
        _ => false,
    }
}

/// Beside the file, or where else there is a place: what is written is encrypted.
fn write_draft(file: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".rsops-draft");
    let beside = file.parent().map(Path::to_owned);
    let places = beside.into_iter().chain(std::env::current_dir()).chain([std::env::temp_dir()]);
    let mut reason = String::new();
    for place in places {
        let draft = free_name(&place, &name);
        match write_file(&draft, bytes) {
            Ok(()) => return Ok(draft),
            Err(error) => reason = crate::cli::error::os_text(&error),
        }
    }
    Err(reason)
}

/// Earlier drafts stay.
fn free_name(place: &Path, name: &OsStr) -> PathBuf {
    let numbered = |number: u32| {
        let mut name = OsString::from(name);
        if number > 1 {
            name.push(format!("-{number}"));
        }
        place.join(name)
    };
    (1..).map(numbered).find(|path| !exists(path)).unwrap_or_else(|| place.join(name))
}
