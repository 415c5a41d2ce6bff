//! Errors: what is said, what to do next, and the exit code (cli.md §4, §6).

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use rsops::config::ConfigError;
use rsops::document::{DecryptError, EncryptError, LoadError};
use rsops::keys::{DuplicateKind, ParseKeyError, RecoverError, WrapFailure};
use rsops::selection::SelectionError;
use rsops::store::StoreError;
use rsops::tree::{EditError, PathError};

use super::editor::EditorError;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The arguments.
    Usage(clap::Error),
    BadBoolean {
        flag: &'static str,
        value: String,
    },
    NoFile,
    /// One that sops has and we have not.
    NoSuchCommand(OsString),
    NoSuchFile(PathBuf),
    /// Keys to add or remove, and nothing that has any: in v1 spelling.
    NoFileForKeys(PathBuf),
    /// `--set` of v1 without a path and a value.
    LegacySet,
    SetArguments,
    SetArgumentsWithStdin,
    UnsetArguments,
    TwoValueSources,
    SetPath(PathError),
    UnsetPath(PathError),
    /// The value of `set`.
    ReadValue {
        path: PathBuf,
        error: io::Error,
    },
    SetValue(StoreError),
    OutputAndInPlace,
    StdinInPlace,
    StdinWithoutName,
    RemoteKeyService(String),
    Order(DuplicateKind),
    ExtractPath(PathError),
    EncryptionContext,
    Key(ParseKeyError),
    /// Selectors from the command line, or merged with those of a rule.
    Selection(SelectionError),
    /// Selectors from a rule.
    RuleSelection(SelectionError),
    Threshold(i64),
    Config(ConfigError),
    NoKeys,
    /// The input.
    Read {
        path: PathBuf,
        error: io::Error,
    },
    ReadStdin(io::Error),
    Parse(StoreError),
    NoDocument,
    AlreadyEncrypted,
    Load {
        file: String,
        error: LoadError,
    },
    /// The data key.
    NoRandomness,
    Wrap(WrapFailure),
    /// For a file that is new, or whose metadata were edited.
    WrapEdited(WrapFailure),
    Recover(RecoverError),
    Encrypt(EncryptError),
    Decrypt {
        file: String,
        error: DecryptError,
    },
    Extract(PathError),
    Set(EditError),
    Unset(EditError),
    /// The editor, and its file.
    Editor(EditorError),
    PrivateDir(io::Error),
    PrivateFile(io::Error),
    EditedFile {
        path: PathBuf,
        error: io::Error,
    },
    NotEdited,
    Canceled,
    /// What was edited cannot be read, and there is nobody to go on editing.
    Unreadable,
    /// Somebody else wrote the file meanwhile.
    ChangedMeanwhile(PathBuf),
    /// The output.
    Dump(StoreError),
    DumpBinary(StoreError),
    DumpValue(StoreError),
    Write {
        in_place: bool,
        path: PathBuf,
        error: io::Error,
    },
    Stdout(io::Error),
    CurrentDirectory(io::Error),
    /// Another error, and what can be done in this case.
    Hinted {
        error: Box<CommandError>,
        hint: String,
    },
}

/// The text of the operating system, without the number that `std` adds.
pub(super) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(text, _)| text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

const SELECTORS: &str = "encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, \
                         encrypted_comment_regex, or unencrypted_comment_regex";

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::BadBoolean { flag, value } => {
                write!(f, "could not parse {value} as bool value for flag {flag}: invalid syntax")
            }
            Self::NoFile => f.write_str("Error: no file specified"),
            Self::NoSuchCommand(name) => write!(f, "there is no {} yet", name.display()),
            Self::NoSuchFile(path) => {
                write!(f, "Error: cannot operate on non-existent file \"{}\"", path.display())
            }
            Self::NoFileForKeys(path) => write!(
                f,
                "Error: cannot add or remove keys on non-existent file \"{}\", use `--kms` and `--pgp` instead.",
                path.display()
            ),
            Self::LegacySet => f.write_str("Invalid --set format"),
            Self::SetArguments => f.write_str(
                "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments.",
            ),
            Self::SetArgumentsWithStdin => f.write_str(
                "Error: file specified, or index and value are missing. Need precisely 2 positional arguments since \
                 --value-stdin is used.",
            ),
            Self::UnsetArguments => f.write_str("Error: no file specified, or index is missing"),
            Self::TwoValueSources => f.write_str("Error: cannot use both --value-file and --value-stdin"),
            Self::SetPath(error) => write!(f, "Invalid set index format: {error}"),
            Self::UnsetPath(error) => write!(f, "Invalid unset index format: {error}"),
            Self::ReadValue { path, error } => write!(f, "open {}: {}", path.display(), os_text(error)),
            Self::SetValue(error) => write!(f, "Value for --set is not valid JSON: {error}"),
            Self::OutputAndInPlace => f.write_str("Error: cannot operate on both --output and --in-place"),
            Self::StdinInPlace => f.write_str("Error: cannot use --in-place when reading from stdin"),
            Self::StdinWithoutName => {
                f.write_str("Error: must specify --filename-override when reading from stdin")
            }
            Self::RemoteKeyService(url) => {
                write!(f, "this build of rsops cannot use key services, but --keyservice names {url}")
            }
            Self::Order(error) => error.fmt(f),
            Self::ExtractPath(error) => write!(f, "error parsing --extract path: {error}"),
            Self::EncryptionContext => f.write_str("Invalid KMS encryption context format"),
            Self::Key(error) => error.fmt(f),
            Self::Selection(SelectionError::Several) => {
                write!(f, "Error: cannot use more than one of {SELECTORS} in the same file")
            }
            Self::RuleSelection(SelectionError::Several) => {
                write!(f, "error loading config: cannot use more than one of {SELECTORS} for the same rule")
            }
            Self::Selection(error) | Self::RuleSelection(error) => error.fmt(f),
            Self::Threshold(threshold) => write!(f, "a threshold of {threshold} groups makes no sense"),
            Self::Config(error) => error.fmt(f),
            Self::NoKeys => f.write_str(
                "config file not found, or has no creation rules, and no keys provided through command line options",
            ),
            Self::Read { path, error } if error.kind() == io::ErrorKind::IsADirectory => {
                write!(f, "Error reading file: read {}: {}", path.display(), os_text(error))
            }
            Self::Read { path, error } => {
                write!(f, "Error reading file: open {}: {}", path.display(), os_text(error))
            }
            Self::ReadStdin(error) => write!(f, "Error reading from stdin: {}", os_text(error)),
            Self::Parse(error) => write!(f, "Error unmarshalling file: {error}"),
            Self::NoDocument => {
                f.write_str("File cannot be completely empty, it must contain at least one document")
            }
            Self::AlreadyEncrypted => f.write_str(
                "The file you have provided contains a top-level entry called 'sops', or for\n\
                 flat file formats top-level entries starting with 'sops_'. This is\n\
                 generally due to the file already being encrypted. SOPS uses a top-level\n\
                 entry called 'sops' to store the metadata required to decrypt the file. For\n\
                 this reason, SOPS can not encrypt files that already contain such an entry.\n\n\
                 If this is an unencrypted file, rename the 'sops' entry.\n\n\
                 If this is an encrypted file and you want to edit it, use the editor mode,\n\
                 for example: `sops edit my_file.yaml`",
            ),
            Self::Load { error, .. } => error.fmt(f),
            Self::NoRandomness => {
                f.write_str("Could not generate data key: the operating system gives no random numbers")
            }
            Self::Wrap(error) => write!(f, "Could not generate data key: {error}"),
            Self::WrapEdited(error) => {
                write!(f, "Error encrypting the data key with one or more master keys: {error}")
            }
            Self::Recover(error) => error.fmt(f),
            Self::Encrypt(error @ EncryptError::Seal(_)) => {
                write!(f, "Error encrypting tree: Error walking tree: {error}")
            }
            Self::Encrypt(error @ EncryptError::Mac) => write!(f, "Could not encrypt MAC: {error}"),
            Self::Encrypt(error) => write!(f, "Could not marshal tree: {error}"),
            Self::Decrypt { error: error @ DecryptError::Leaf(_), .. } => {
                write!(f, "Error decrypting tree: Error walking tree: {error}")
            }
            Self::Decrypt { error, .. } => error.fmt(f),
            Self::Extract(error) => write!(f, "error truncating tree: {error}"),
            Self::Set(error) | Self::Unset(error) => error.fmt(f),
            Self::Editor(error) => write!(f, "Could not run editor: {error}"),
            Self::PrivateDir(error) => write!(f, "Could not create temporary directory: {}", os_text(error)),
            Self::PrivateFile(error) => write!(f, "Could not create temporary file: {}", os_text(error)),
            Self::EditedFile { path, error } => {
                write!(f, "Could not hash file: open {}: {}", path.display(), os_text(error))
            }
            Self::NotEdited => f.write_str("File has not changed, exiting."),
            Self::Canceled => f.write_str("User canceled operation"),
            Self::Unreadable => {
                f.write_str("the edited file cannot be read, and standard input has no answer how to go on")
            }
            Self::ChangedMeanwhile(path) => {
                write!(f, "{} was changed by somebody else while it was edited; it is left as it is now", path.display())
            }
            Self::Hinted { error, .. } => error.fmt(f),
            Self::Dump(error) => write!(f, "Error dumping file: {error}"),
            Self::DumpBinary(error) => write!(
                f,
                "Error dumping file: {error}\n\nThis is likely not an encrypted binary file? If not, use \
                 --output-type to select the correct output type."
            ),
            Self::DumpValue(error) => write!(f, "Error dumping tree: {error}"),
            Self::Write { in_place, path, error } => {
                let kind = if *in_place { "in-place" } else { "output" };
                let (path, reason) = (path.display(), os_text(error));
                write!(f, "Could not open {kind} file for writing: open {path}: {reason}")
            }
            Self::Stdout(error) => write!(f, "could not write to standard output: {}", os_text(error)),
            Self::CurrentDirectory(error) => {
                write!(f, "the current directory cannot be read: {}", os_text(error))
            }
        }
    }
}

impl CommandError {
    /// The exit code: the only table of them (cli.md §4).
    fn code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) | Self::BadBoolean { .. } | Self::CurrentDirectory(_) => 1,
            Self::RemoteKeyService(_) | Self::Key(_) | Self::Config(_) | Self::NoKeys => 1,
            Self::NoSuchCommand(_)
            | Self::TwoValueSources
            | Self::ReadValue { .. }
            | Self::Set(_)
            | Self::Unset(_) => 1,
            Self::Canceled | Self::ChangedMeanwhile(_) => 1,
            Self::RuleSelection(SelectionError::Several) | Self::Load { .. } | Self::Extract(_) => 1,
            Self::NoRandomness | Self::Wrap(_) | Self::Threshold(_) => 1,
            Self::Read { .. } | Self::ReadStdin(_) | Self::Parse(_) => 2,
            Self::EditedFile { .. } | Self::Unreadable => 2,
            Self::Write { .. } | Self::Stdout(_) | Self::PrivateDir(_) | Self::PrivateFile(_) => 3,
            Self::Dump(_) | Self::DumpBinary(_) | Self::DumpValue(_) => 4,
            Self::RuleSelection(SelectionError::BadPattern { .. }) => 5,
            Self::EncryptionContext => 6,
            Self::SetPath(_) | Self::UnsetPath(_) | Self::SetValue(_) | Self::LegacySet => 7,
            Self::OutputAndInPlace | Self::StdinInPlace | Self::StdinWithoutName | Self::Selection(_) => 8,
            Self::Encrypt(EncryptError::Mac) => 21,
            Self::Encrypt(EncryptError::Seal(_)) => 23,
            Self::Encrypt(EncryptError::Store(_) | EncryptError::Layout(_) | EncryptError::ReadBack(_)) => 4,
            Self::Decrypt { error: DecryptError::Leaf(_), .. } => 25,
            Self::Decrypt { .. } => 51,
            Self::NoFileForKeys(_) => 49,
            Self::ExtractPath(_) => 91,
            Self::NoDocument => 92,
            Self::NoFile | Self::NoSuchFile(_) => 100,
            Self::SetArguments | Self::SetArgumentsWithStdin | Self::UnsetArguments => 100,
            Self::Order(_) => 112,
            Self::Recover(_) | Self::WrapEdited(_) => 128,
            Self::NotEdited => 200,
            Self::Editor(_) => 201,
            Self::AlreadyEncrypted => 203,
            Self::Hinted { error, .. } => error.code(),
        }
    }

    /// A new file for which there are no keys may have been no file at all, but this command.
    pub(super) fn if_meant(self, command: Option<String>) -> Self {
        match (self, command) {
            (
                error @ (Self::NoKeys
                | Self::Config(ConfigError::NoMatchingRule | ConfigError::NoCreationRules { .. })),
                Some(command),
            ) => Self::Hinted { error: Box::new(error), hint: format!("did you mean `rsops {command}`?") },
            (error, _) => error,
        }
    }

    /// The next step, where the text does not say it.
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFile => "name a file; `rsops --help` shows the commands".to_owned(),
            Self::NoSuchCommand(_) => "`rsops --help` shows the commands".to_owned(),
            Self::SetArguments => {
                "as in `rsops set secrets.yaml '[\"database\"][\"password\"]' '\"hunter2\"'`".to_owned()
            }
            Self::UnsetArguments => "as in `rsops unset secrets.yaml '[\"database\"][\"password\"]'`".to_owned(),
            Self::LegacySet => {
                "--set takes a path, a blank and a value, as in --set '[\"database\"][\"password\"] \"hunter2\"'"
                    .to_owned()
            }
            Self::SetPath(_) | Self::UnsetPath(_) => {
                "a path is made of quoted keys and positions, as in '[\"database\"][\"hosts\"][0]'".to_owned()
            }
            Self::SetValue(_) => "texts have quotes of their own, as in '\"hunter2\"'".to_owned(),
            Self::Unset(error) if error.is_absence() => {
                "with --idempotent it is no error if there is nothing to remove".to_owned()
            }
            Self::Editor(EditorError::NoneFound) => "name one in SOPS_EDITOR or EDITOR".to_owned(),
            Self::Hinted { error, hint } => {
                return Some(error.hint().map_or(hint.clone(), |first| format!("{first}\nhint: {hint}")));
            }
            Self::StdinInPlace => "leave --in-place out, or name the file".to_owned(),
            Self::OutputAndInPlace => "leave one of them out".to_owned(),
            Self::StdinWithoutName => {
                "--filename-override tells the format and the creation rule, as in --filename-override secrets.yaml"
                    .to_owned()
            }
            Self::NoKeys => {
                "name recipients, as in --age age1…, or write creation rules into .sops.yaml".to_owned()
            }
            Self::Selection(_) => {
                "a rule of .sops.yaml counts too; only the same selector on the command line replaces it".to_owned()
            }
            Self::Load { file, error: LoadError::Layout(rsops::metadata::LayoutError::NotFound) } => {
                format!("{file} is not encrypted; `rsops encrypt` does that")
            }
            Self::Load { file, error: LoadError::Store(_) } => {
                format!("{file} may be no encrypted file, or one of another format, which --input-type names")
            }
            Self::Load { file, .. } => format!("the metadata of {file} are damaged; restore them"),
            Self::Decrypt { file, error: DecryptError::MacMismatch { .. } | DecryptError::MacUnreadable(_) } => {
                format!(
                    "{file} was changed without its keys, or is damaged; restore it, or decrypt it with --ignore-mac \
                     and look"
                )
            }
            Self::Encrypt(EncryptError::ReadBack(_)) => {
                "nothing was written: this document cannot be kept in this format; try another --output-type".to_owned()
            }
            Self::Write { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "files are replaced as a whole: the directory must be writable too".to_owned()
            }
            _ => return None,
        })
    }

    /// Says what happened and what to do: the only place that prints errors.
    pub(super) fn report(self) -> ExitCode {
        let code = self.code();
        if let Self::Usage(error) = &self {
            // help goes to standard output
            let _ = error.print();
            return ExitCode::from(code);
        }
        if let Self::Stdout(error) = &self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // whoever read has seen enough
            return ExitCode::from(code);
        }
        let hint = self.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        let _ = write!(io::stderr(), "{self}\n{hint}");
        ExitCode::from(code)
    }
}
