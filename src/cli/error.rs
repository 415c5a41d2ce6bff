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
use rsops::selection::SelectionError;
use rsops::store::StoreError;
use rsops::tree::PathError;

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
    /// A word that is no command, where `mode` is what sops v1 would have done with it.
    NoSuchCommand {
        typed: OsString,
        mode: &'static str,
    },
    NoSuchFile(PathBuf),
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
    Recover(RecoverError),
    Encrypt(EncryptError),
    Decrypt {
        file: String,
        error: DecryptError,
    },
    Extract(PathError),
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
    Exec(ExecError),
    CurrentDirectory(io::Error),
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
            Self::NoSuchCommand { typed, mode: "edit" } => {
                write!(f, "{:?} is no command, and files cannot be edited yet", typed.display())
            }
            Self::NoSuchCommand { mode, .. } => write!(f, "there is no {mode} yet"),
            Self::NoSuchFile(path) => {
                write!(f, "Error: cannot operate on non-existent file \"{}\"", path.display())
            }
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
            Self::Usage(_) | Self::BadBoolean { .. } | Self::CurrentDirectory(_) => 1,
            Self::NoSuchCommand { .. }
            | Self::RemoteKeyService(_)
            | Self::Key(_)
            | Self::Config(_)
            | Self::NoKeys => 1,
            Self::RuleSelection(SelectionError::Several) | Self::Load { .. } | Self::Extract(_) => 1,
            Self::Exec(error) => error.code(),
            Self::FileStatus(_) | Self::NoRandomness | Self::Wrap(_) | Self::Threshold(_) => 1,
            Self::Read { .. } | Self::ReadStdin(_) | Self::Parse(_) => 2,
            Self::Write { .. } | Self::Stdout(_) => 3,
            Self::Dump(_) | Self::DumpBinary(_) | Self::DumpValue(_) => 4,
            Self::RuleSelection(SelectionError::BadPattern { .. }) => 5,
            Self::EncryptionContext => 6,
            Self::OutputAndInPlace | Self::StdinInPlace | Self::StdinWithoutName | Self::Selection(_) => 8,
            Self::Encrypt(EncryptError::Mac) => 21,
            Self::Encrypt(EncryptError::Seal(_)) => 23,
            Self::Encrypt(EncryptError::Store(_) | EncryptError::Layout(_) | EncryptError::ReadBack(_)) => 4,
            Self::Decrypt { error: DecryptError::Leaf(_), .. } => 25,
            Self::Decrypt { .. } => 51,
            Self::ExtractPath(_) => 91,
            Self::NoDocument => 92,
            Self::NoFile | Self::NoSuchFile(_) => 100,
            Self::Order(_) => 112,
            Self::Recover(_) => 128,
            Self::AlreadyEncrypted => 203,
        }
    }

    /// The next step, where the text does not say it.
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFile => "name a file; `rsops --help` shows the commands".to_owned(),
            Self::NoSuchCommand { .. } => "`rsops --help` shows the commands".to_owned(),
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
            Self::FileStatus(error) => return error.hint(),
            Self::Exec(error) => return error.hint(),
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
