//! Errors: what is said, what to do next, and the exit code (cli.md §4, §6).

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use rsops::config::ConfigError;
use rsops::document::{DecryptError, EncryptError, LoadError, VariableError};
use rsops::keys::{DuplicateKind, ParseKeyError, RecoverError, WrapFailure};
pub(super) use rsops::os_error::os_text;
use rsops::selection::SelectionError;
use rsops::store::StoreError;
use rsops::tree::{EditError, PathError};

use super::editor::EditorError;
use super::environment::as_called;
use super::prompt::PromptError;
use super::ui::recovery_words;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The arguments.
    Usage(clap::Error),
    BadBoolean {
        flag: String,
        value: String,
    },
    /// A flag before the command that needs a value.
    NoValue(String),
    /// A flag before the command that only others can use.
    UselessFlag {
        flag: String,
        command: String,
    },
    NoHelpTopic(OsString),
    NoFile,
    /// One that sops has and we have not.
    NoSuchCommand(OsString),
    NoSuchFile(PathBuf),
    /// `--add-*` or `--rm-*` for a file that is not there.
    KeysOfMissingFile(PathBuf),
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
    /// Whether a file is encrypted cannot be told.
    FileStatus(Box<CommandError>),
    /// The data key.
    NoRandomness,
    Wrap(WrapFailure),
    /// For a file that is new, or whose metadata were edited.
    WrapEdited(WrapFailure),
    Recover(RecoverError),
    /// The data key stays, but not for these keys.
    Rewrap(WrapFailure),
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
    /// The keys were to be changed, but the file does not verify.
    Unverified {
        file: String,
        reason: String,
    },
    /// `groups`.
    NoFileOption,
    GroupsAddPositionals,
    GroupsDeletePositionals,
    GroupIndex(OsString),
    NoSuchGroup {
        number: usize,
        groups: usize,
        file: String,
    },
    OnlyGroup(String),
    TooFewGroups {
        threshold: usize,
        left: usize,
    },
    RecoverForGroups(RecoverError),
    /// `updatekeys`.
    NoConfiguration,
    NothingToUpdate {
        file: String,
        error: io::Error,
    },
    DirectoryToUpdate(String),
    Prompt(PromptError),
    UpdateNotWritten {
        file: String,
        error: io::Error,
    },
    /// So many of several files; why has been said.
    FailedUpdates(usize),
    CurrentDirectory(io::Error),
    /// The address space does not hold the stack.
    NoStack(String),
    Exec(ExecError),
    /// Another error, and what can be done in this case.
    Hinted {
        error: Box<CommandError>,
        hint: String,
    },
}

/// Why a command that gets secrets was not run, or how it failed (cli.md §14).
#[derive(Debug)]
pub(super) enum ExecError {
    /// Not a file and a command.
    Arguments,
    SameProcessInBackground,
    /// A document that cannot be variables.
    Variable(VariableError),
    UnknownUser(String),
    SwitchUser {
        user: String,
        error: io::Error,
    },
    /// `--filename` leads elsewhere.
    NotLocal,
    /// The directory for the plaintext.
    Directory(io::Error),
    /// The file or pipe in it.
    Make {
        path: PathBuf,
        error: io::Error,
    },
    Start(io::Error),
    /// The command ran, and did not succeed.
    Status(ExitStatus),
}

impl From<ExecError> for CommandError {
    fn from(error: ExecError) -> Self {
        Self::Exec(error)
    }
}

const SELECTORS: &str = "encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, \
                         encrypted_comment_regex, or unencrypted_comment_regex";

/// They would be left with a data key, or a part of one, that does not fit any more (policy.md §3).
const UNKNOWN_KINDS: &str = "use the release that wrote them, or one that is newer";

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::BadBoolean { flag, value } => {
                write!(f, "could not parse {value} as bool value for flag {flag}: invalid syntax")
            }
            Self::NoValue(flag) => write!(f, "flag needs an argument: --{flag}"),
            Self::UselessFlag { flag, command } => write!(f, "{command} cannot use --{flag}"),
            Self::NoHelpTopic(topic) => write!(f, "No help topic for '{}'", topic.display()),
            Self::NoFile | Self::NoFileOption => f.write_str("Error: no file specified"),
            Self::NoSuchCommand(name) => write!(f, "there is no {} yet", name.display()),
            Self::NoSuchFile(path) => {
                write!(f, "Error: cannot operate on non-existent file \"{}\"", path.display())
            }
            Self::KeysOfMissingFile(path) => write!(
                f,
                "Error: cannot add or remove keys on non-existent file \"{}\", use the `edit` subcommand instead.",
                path.display()
            ),
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
            Self::FileStatus(error) => {
                write!(f, "cannot check file status: cannot load encrypted file: {error}")
            }
            Self::NoRandomness => {
                f.write_str("Could not generate data key: the operating system gives no random numbers")
            }
            Self::Wrap(error) => write!(f, "Could not generate data key: {error}"),
            Self::Recover(error) => f.write_str(&error.text(&recovery_words())),
            Self::Rewrap(error) => write!(f, "error updating one or more master keys: {error}"),
            Self::WrapEdited(error) => {
                write!(f, "Error encrypting the data key with one or more master keys: {error}")
            }
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
            Self::NoStack(reason) => write!(f, "could not start: {reason}"),
            Self::Unverified { file, reason } => {
                write!(f, "{file} cannot be verified, so its keys stay as they are: {reason}")
            }
            Self::GroupsAddPositionals => f.write_str("error: no positional arguments allowed"),
            Self::GroupsDeletePositionals => {
                f.write_str("error: exactly one positional argument (index) required")
            }
            Self::GroupIndex(index) => {
                write!(f, "failed to parse [index] argument: {:?} is no number", index.display())
            }
            Self::NoSuchGroup { number, groups, file } => {
                write!(f, "there is no group {number}: {file} has {groups}, counted from 0")
            }
            Self::OnlyGroup(file) => {
                write!(f, "the only group of {file} cannot be deleted: nobody could decrypt it any more")
            }
            Self::TooFewGroups { threshold, left } => write!(
                f,
                "removing this key group will make the Shamir threshold impossible to satisfy: Shamir threshold is \
                 {threshold}, but we only have {left} key groups"
            ),
            Self::RecoverForGroups(error) => {
                f.write_str("Error getting data key: ")?;
                if let Some((needed, recovered)) = error.needed_and_recovered() {
                    write!(f, "{needed} successful groups required, got {recovered}\n\n")?;
                }
                f.write_str(&error.text(&recovery_words()))
            }
            Self::NoConfiguration => f.write_str("config file not found"),
            Self::NothingToUpdate { file, error } => write!(f, "stat {file}: {}", os_text(error)),
            Self::DirectoryToUpdate(file) => write!(f, "can't operate on a directory: {file}"),
            Self::Prompt(error) => error.fmt(f),
            Self::UpdateNotWritten { file, error } => {
                write!(f, "could not open file for writing: open {file}: {}", os_text(error))
            }
            Self::FailedUpdates(number) => write!(f, "failed updating {number} key(s)"),
            Self::Exec(error) => error.fmt(f),
            Self::CurrentDirectory(error) => {
                write!(f, "the current directory cannot be read: {}", os_text(error))
            }
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments => f.write_str("error: missing file to decrypt"),
            Self::SameProcessInBackground => {
                f.write_str("Error: The --same-process flag cannot be used with --background")
            }
            Self::Variable(error) => error.fmt(f),
            Self::UnknownUser(name) => write!(f, "user: unknown user {name}"),
            Self::SwitchUser { user, error } => {
                write!(f, "cannot run the command as {user}: {}", os_text(error))
            }
            Self::NotLocal => f.write_str("The provided filename is not a local path."),
            Self::Directory(error) => {
                let place = std::env::temp_dir();
                write!(f, "cannot make a directory in {}: {}", place.display(), os_text(error))
            }
            Self::Make { path, error } => write!(f, "cannot make {}: {}", path.display(), os_text(error)),
            Self::Start(error) => write!(f, "cannot start /bin/sh: {}", os_text(error)),
            Self::Status(status) => match status.code() {
                Some(code) => write!(f, "exit status {code}"),
                // as in signal: 9 (SIGKILL)
                None => status.fmt(f),
            },
        }
    }
}

impl ExecError {
    /// The part of the table of exit codes that is about the command.
    fn code(&self) -> u8 {
        match self {
            Self::SameProcessInBackground => 8,
            // 128+n for signal n, as shells have it, instead of 255 for all of them (policy.md §3)
            Self::Status(status) => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
                code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
            }
            _ => 1,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Arguments => {
                "name a file, and the command as one word, as in `rsops exec-env secrets.yaml 'printenv PASSWORD'`"
                    .to_owned()
            }
            Self::SameProcessInBackground => "leave one of them out".to_owned(),
            Self::Variable(VariableError::Complex { .. }) => {
                "variables hold no lists and mappings; `rsops exec-file` gives the command all of the file".to_owned()
            }
            Self::Variable(VariableError::ZeroByte { .. }) => {
                "`rsops exec-file` gives the command all of the file".to_owned()
            }
            Self::SwitchUser { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "only root can run commands as another user".to_owned()
            }
            Self::NotLocal => {
                "--filename names a file in a directory that is made for the command, as in --filename config.yaml"
                    .to_owned()
            }
            Self::Directory(_) => "$TMPDIR chooses another place for temporary files".to_owned(),
            Self::Start(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                "the variables take more room than the system has for them; `rsops exec-file` has no limit".to_owned()
            }
            _ => return None,
        })
    }
}

impl CommandError {
    /// The exit code: the only table of them (cli.md §4).
    fn code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) | Self::BadBoolean { .. } | Self::CurrentDirectory(_) | Self::NoStack(_) => 1,
            Self::NoValue(_) | Self::UselessFlag { .. } => 1,
            Self::RemoteKeyService(_) | Self::Key(_) | Self::Config(_) | Self::NoKeys => 1,
            Self::RuleSelection(SelectionError::Several) | Self::Load { .. } | Self::Extract(_) => 1,
            Self::FileStatus(_)
            | Self::NoRandomness
            | Self::Wrap(_)
            | Self::Rewrap(_)
            | Self::Threshold(_) => 1,
            Self::GroupsAddPositionals
            | Self::GroupsDeletePositionals
            | Self::GroupIndex(_)
            | Self::NoSuchGroup { .. }
            | Self::OnlyGroup(_)
            | Self::TooFewGroups { .. }
            | Self::RecoverForGroups(_) => 1,
            // `updatekeys` has no codes of its own, not even for files that cannot be written
            Self::NoConfiguration
            | Self::NothingToUpdate { .. }
            | Self::DirectoryToUpdate(_)
            | Self::Prompt(_)
            | Self::UpdateNotWritten { .. }
            | Self::FailedUpdates(_) => 1,
            Self::Read { .. } | Self::ReadStdin(_) | Self::Parse(_) | Self::NoFileOption => 2,
            Self::Write { .. }
            | Self::Stdout(_)
            | Self::PrivateDir(_)
            | Self::PrivateFile(_)
            | Self::NoHelpTopic(_) => 3,
            Self::Dump(_) | Self::DumpBinary(_) | Self::DumpValue(_) | Self::Unverified { .. } => 4,
            Self::Exec(error) => error.code(),
            Self::NoSuchCommand(_)
            | Self::TwoValueSources
            | Self::ReadValue { .. }
            | Self::Set(_)
            | Self::Unset(_) => 1,
            Self::Canceled | Self::ChangedMeanwhile(_) => 1,
            Self::EditedFile { .. } | Self::Unreadable => 2,
            Self::RuleSelection(SelectionError::BadPattern { .. }) => 5,
            Self::EncryptionContext => 6,
            Self::SetPath(_) | Self::UnsetPath(_) | Self::SetValue(_) | Self::LegacySet => 7,
            Self::OutputAndInPlace | Self::StdinInPlace | Self::StdinWithoutName | Self::Selection(_) => 8,
            Self::Encrypt(EncryptError::Mac) => 21,
            Self::Encrypt(EncryptError::Seal(_)) => 23,
            Self::Encrypt(EncryptError::Store(_) | EncryptError::Layout(_) | EncryptError::ReadBack(_)) => 4,
            Self::Decrypt { error: DecryptError::Leaf(_), .. } => 25,
            Self::KeysOfMissingFile(_) => 49,
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
            Self::NoStack(_) => {
                "512 MiB of address space are needed, of which little is used; `ulimit -v` limits it".to_owned()
            }
            Self::NoFile => "name a file; `rsops --help` shows the commands".to_owned(),
            Self::UselessFlag { command, .. } => {
                format!("leave it out; `rsops help {command}` shows the options of {command}")
            }
            Self::NoHelpTopic(_) | Self::NoSuchCommand(_) => "`rsops --help` shows the commands".to_owned(),
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
            Self::Wrap(WrapFailure::UnknownKinds(_)) | Self::Rewrap(WrapFailure::UnknownKinds(_)) => {
                UNKNOWN_KINDS.to_owned()
            }
            Self::Unverified { file, .. } => format!(
                "it was changed without its keys, or is damaged: restore it, or look at it with `rsops decrypt \
                 --ignore-mac {file}` and give it a new MAC with `rsops rotate -i --ignore-mac {file}`"
            ),
            Self::NoFileOption => "name it with --file".to_owned(),
            Self::GroupsAddPositionals => "name the file with --file, and keys with --age and its like".to_owned(),
            Self::GroupsDeletePositionals | Self::GroupIndex(_) => {
                "groups are counted from 0, as in `rsops groups delete --file secrets.yaml -i 0`".to_owned()
            }
            Self::TooFewGroups { .. } => {
                "--shamir-secret-sharing-threshold lowers the number of groups that are needed".to_owned()
            }
            Self::NoConfiguration => {
                "the creation rules are in .sops.yaml, here or in a directory above; --config names another file"
                    .to_owned()
            }
            Self::Prompt(_) => "answer y or n; --yes answers for you".to_owned(),
            Self::Load { file, error: LoadError::Store(_) } => {
                format!("{file} may be no encrypted file, or one of another format, which --input-type names")
            }
            Self::Load { file, .. } => format!("the metadata of {file} are damaged; restore them"),
            Self::FileStatus(error) => return error.hint(),
            Self::Exec(error) => return error.hint(),
            Self::Decrypt { file, error: DecryptError::MacMismatch { .. } | DecryptError::MacUnreadable(_) } => {
                format!(
                    "{file} was changed without its keys, or is damaged; restore it, or decrypt it with --ignore-mac \
                     and look"
                )
            }
            Self::Encrypt(EncryptError::ReadBack(_)) => {
                "nothing was written: this document cannot be kept in this format; try another --output-type. Where comments \
                 select values, put each on a line of its own right above its key, as far to the right"
                    .to_owned()
            }
            Self::Write { error, .. } | Self::UpdateNotWritten { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "files are replaced as a whole: the directory must be writable too".to_owned()
            }
            _ => return None,
        })
    }

    /// The end of a command that failed.
    pub(super) fn report(self) -> ExitCode {
        self.print();
        ExitCode::from(self.code())
    }

    /// Says what happened and what to do: the only place that prints errors.
    pub(super) fn print(&self) {
        match self {
            // help goes to standard output
            Self::Usage(error) => drop(error.print()),
            // whoever read has seen enough
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            _ => {
                let hint =
                    self.hint().map(|hint| format!("hint: {}\n", as_called(&hint))).unwrap_or_default();
                let _ = write!(io::stderr(), "{self}\n{hint}");
            }
        }
    }
}
