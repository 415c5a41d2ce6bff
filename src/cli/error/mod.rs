//! Errors: what is said (`text`), what to do next (`hint`), and the exit code (cli.md §4, §6).

mod hint;
mod text;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use rsops::config::ConfigError;
use rsops::document::{DecryptError, EncryptError, LoadError, VariableError};
use rsops::keys::{DuplicateKind, ParseKeyError, ParseLimitsError, RecoverError, WrapFailure};
pub(super) use rsops::os_error::os_text;
use rsops::selection::SelectionError;
use rsops::store::yaml::YamlError;
use rsops::store::{Format, StoreError};
use rsops::tree::{EditError, PathError};

use super::editor::EditorError;
use super::environment::as_called;
use super::prompt::PromptError;
use super::ui::{Component, Ui, printable};

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
    #[cfg(not(feature = "keyservice"))]
    RemoteKeyService(String),
    /// `keyservice`.
    #[cfg(feature = "keyservice")]
    Listen(rsops::keyservice::ListenError),
    #[cfg(feature = "keyservice")]
    Serve(io::Error),
    /// `SOPS_KMS_TIMEOUT`.
    Limits(ParseLimitsError),
    Order(DuplicateKind),
    ExtractPath(PathError),
    EncryptionContext,
    Key(ParseKeyError),
    /// A key of Azure without a version.
    #[cfg(feature = "azure")]
    KeyVersion(String),
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
    /// A file of a release that did not send the encryption context that it stored.
    ContextBug(Box<CommandError>),
    RepairDeclined,
    RepairPrompt(PromptError),
    RewrapRepaired(WrapFailure),
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
    /// `publish`.
    #[cfg(feature = "publish")]
    Publish(PublishError),
    /// What happened with one of many files.
    #[cfg(feature = "publish")]
    InFile {
        path: PathBuf,
        error: Box<CommandError>,
    },
    UpdateNotWritten {
        file: String,
        error: io::Error,
    },
    /// So many of several files; why has been said.
    FailedUpdates(usize),
    /// Of several files some; why has been said.
    Failures,
    /// Where a file is wanted.
    IsDirectory(PathBuf),
    /// Many files go to one folder, and this one does not lie below the working directory.
    OutsideFolder(PathBuf),
    /// The result would take the place of the input.
    OutputIsInput(PathBuf),
    /// The result for many files would go to standard output.
    ManyToStdout,
    /// `init`.
    #[cfg(feature = "age")]
    NoPlaceForIdentity(String),
    #[cfg(feature = "age")]
    NoRecipients(PathBuf),
    #[cfg(feature = "age")]
    NobodyAgreed,
    /// `check`.
    Findings {
        findings: usize,
        files: usize,
    },
    /// What `git` says.
    Git(String),
    /// A repository that `git` does not read.
    Repository {
        folder: PathBuf,
        reason: String,
    },
    /// A folder that cannot be looked into.
    Walk(String),
    /// A folder without a file that counts.
    NothingIn(PathBuf),
    /// The next commit knows nothing of it.
    NotStaged(PathBuf),
    /// A configuration that is one of several.
    BrokenConfiguration {
        path: PathBuf,
        reason: String,
    },
    /// A file that is encrypted in another format than that in which it is read.
    Disguised {
        read_as: Format,
        written: Format,
    },
    /// A glob of `rsops.check.allow`.
    AllowGlob {
        glob: String,
        reason: String,
    },
    CurrentDirectory(io::Error),
    /// The address space does not hold the stack.
    NoStack(String),
    Exec(ExecError),
    Audit(AuditError),
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

/// Why nothing is done without the audit log (publish-audit.md §B).
#[derive(Debug)]
pub(super) enum AuditError {
    /// What `SOPS_AUDIT_CONFIG` names.
    Unreadable {
        path: PathBuf,
        error: io::Error,
    },
    Config {
        path: PathBuf,
        error: YamlError,
    },
    /// This build has none.
    #[cfg_attr(feature = "audit", expect(dead_code, reason = "it has one"))]
    Unsupported(PathBuf),
    /// Databases that cannot be reached; which has been said.
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "there are none"))]
    Backends {
        hint: Option<&'static str>,
    },
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "there are none"))]
    User(String),
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "there are none"))]
    Insert {
        reason: String,
        hint: Option<&'static str>,
    },
}

impl From<AuditError> for CommandError {
    fn from(error: AuditError) -> Self {
        Self::Audit(error)
    }
}

impl AuditError {
    /// The reference crashes with a configuration that it cannot read.
    fn code(&self) -> u8 {
        if matches!(self, Self::Config { .. }) { 2 } else { 1 }
    }

    /// These errors are log lines.
    fn log(&self) {
        let ui = Ui::new(false);
        match self {
            Self::Config { error, .. } => {
                ui.panic(Component::Audit, &self.to_string(), &[("error", &error.to_string())]);
            }
            _ => ui.fatal(Component::Audit, &self.to_string(), &[]),
        }
    }
}

/// Why a file was not published, where no other command has the same error (publish-audit.md A8).
#[cfg(feature = "publish")]
#[derive(Debug)]
pub(super) enum PublishError {
    /// Nothing stands there, or it cannot be looked at.
    Stat {
        path: PathBuf,
        error: io::Error,
    },
    Directory,
    /// A directory below the one that is published.
    List {
        path: PathBuf,
        error: io::Error,
    },
    Canceled(PathBuf),
    /// No rule says where a file goes, or one says something odd.
    Rule {
        path: PathBuf,
        error: ConfigError,
    },
    /// A name that no destination can have.
    NameNotText(PathBuf),
    /// What the destination says, or why it cannot be asked.
    NotSent {
        path: PathBuf,
        reason: String,
    },
}

#[cfg(feature = "publish")]
impl From<PublishError> for CommandError {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl From<ExecError> for CommandError {
    fn from(error: ExecError) -> Self {
        Self::Exec(error)
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
}

impl CommandError {
    /// The exit code: the only table of them (cli.md §4).
    fn code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Usage(_) | Self::BadBoolean { .. } | Self::CurrentDirectory(_) | Self::NoStack(_) => 1,
            Self::NoValue(_) | Self::UselessFlag { .. } => 1,
            #[cfg(feature = "azure")]
            Self::KeyVersion(_) => 1,
            #[cfg(not(feature = "keyservice"))]
            Self::RemoteKeyService(_) => 1,
            #[cfg(feature = "keyservice")]
            Self::Listen(_) | Self::Serve(_) => 1,
            Self::Limits(_) | Self::Key(_) | Self::Config(_) | Self::NoKeys => 1,
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
            Self::Failures
            | Self::IsDirectory(_)
            | Self::OutsideFolder(_)
            | Self::OutputIsInput(_)
            | Self::ManyToStdout => 1,
            #[cfg(feature = "age")]
            Self::NoPlaceForIdentity(_) | Self::NoRecipients(_) | Self::NobodyAgreed => 1,
            Self::Findings { .. } | Self::Git(_) | Self::Repository { .. } | Self::AllowGlob { .. } => 1,
            Self::Walk(_) | Self::BrokenConfiguration { .. } | Self::Disguised { .. } => 1,
            Self::Read { .. } | Self::ReadStdin(_) | Self::Parse(_) | Self::NoFileOption => 2,
            Self::Write { .. }
            | Self::Stdout(_)
            | Self::PrivateDir(_)
            | Self::PrivateFile(_)
            | Self::NoHelpTopic(_) => 3,
            Self::Dump(_) | Self::DumpBinary(_) | Self::DumpValue(_) | Self::Unverified { .. } => 4,
            Self::Exec(error) => error.code(),
            Self::Audit(error) => error.code(),
            #[cfg(feature = "publish")]
            Self::Publish(_) => 1,
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
            Self::Decrypt { error: DecryptError::Leaf(_), .. } | Self::ContextBug(_) => 25,
            Self::RepairDeclined | Self::RepairPrompt(_) | Self::RewrapRepaired(_) => 1,
            Self::KeysOfMissingFile(_) => 49,
            Self::Decrypt { .. } => 51,
            Self::NoFileForKeys(_) => 49,
            Self::ExtractPath(_) => 91,
            Self::NoDocument => 92,
            Self::NoFile | Self::NoSuchFile(_) | Self::NothingIn(_) | Self::NotStaged(_) => 100,
            Self::SetArguments | Self::SetArgumentsWithStdin | Self::UnsetArguments => 100,
            Self::Order(_) => 112,
            Self::Recover(_) | Self::WrapEdited(_) => 128,
            Self::NotEdited => 200,
            Self::Editor(_) => 201,
            Self::AlreadyEncrypted => 203,
            Self::Hinted { error, .. } => error.code(),
            #[cfg(feature = "publish")]
            Self::InFile { error, .. } => error.code(),
        }
    }

    /// With the name of the file, if it does not say it: one of many.
    #[cfg(feature = "publish")]
    pub(super) fn in_file(self, path: &Path) -> Self {
        match self {
            // these have a line of their own, or name it
            Self::Audit(_) | Self::Stdout(_) | Self::Prompt(_) | Self::Publish(_) => self,
            error => Self::InFile { path: path.to_owned(), error: Box::new(error) },
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

    /// The end of a command that failed.
    pub(super) fn report(self) -> ExitCode {
        self.print();
        ExitCode::from(self.code())
    }

    /// Says what happened and what to do: the only place that prints errors.
    pub(super) fn print(&self) {
        self.print_with("");
    }

    /// The same where several files are worked on.
    pub(super) fn print_for(&self, file: &Path) {
        self.print_with(&format!("{}: ", printable(&file.display().to_string())));
    }

    fn print_with(&self, prefix: &str) {
        match self {
            // each has been said
            Self::Failures => {}
            // help goes to standard output
            Self::Usage(error) => drop(error.print()),
            // whoever read has seen enough
            Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            _ => {
                self.say(prefix);
                let hint = self.hint().map(|hint| format!("hint: {}\n", as_called(&hint)));
                let _ = write!(io::stderr(), "{}", hint.unwrap_or_default());
            }
        }
    }

    /// What happened and what to do, as a text.
    pub(super) fn in_full(&self) -> String {
        let hint = self.hint().map(|hint| format!("\nhint: {}", as_called(&hint)));
        format!("{self}{}", hint.unwrap_or_default())
    }

    /// What happened, without the next step.
    fn say(&self, prefix: &str) {
        match self {
            Self::Hinted { error, .. } => error.say(prefix),
            Self::Audit(error) => error.log(),
            _ => drop(writeln!(io::stderr(), "{prefix}{self}")),
        }
    }
}
