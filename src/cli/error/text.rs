//! What is said, in the reference's words where scripts search for them (policy.md §1, cli.md §6).

use std::fmt;
use std::io;

use rsops::document::{DecryptError, EncryptError};
use rsops::program::status_text;
use rsops::selection::SelectionError;

#[cfg(feature = "publish")]
use super::PublishError;
use super::{AuditError, CommandError, ExecError, os_text};
use crate::cli::ui::recovery_words;

const SELECTORS: &str = "encrypted_suffix, unencrypted_suffix, encrypted_regex, unencrypted_regex, \
                         encrypted_comment_regex, or unencrypted_comment_regex";

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
            Self::NoSuchCommand(name) => write!(f, "this build of rsops has no {}", name.display()),
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
            #[cfg(not(feature = "keyservice"))]
            Self::RemoteKeyService(url) => {
                write!(f, "this build of rsops cannot use key services, but --keyservice names {url}")
            }
            Self::Failures => f.write_str("some files failed"),
            Self::IsDirectory(path) => write!(f, "{} is a folder", path.display()),
            Self::OutsideFolder(path) => {
                write!(f, "{} does not lie below the working directory, so it has no place in --output", path.display())
            }
            Self::OutputIsInput(path) => write!(f, "--output leads to {} itself", path.display()),
            Self::ManyToStdout => f.write_str("several files cannot go to standard output"),
            #[cfg(feature = "age")]
            Self::NoPlaceForIdentity(reason) => write!(f, "there is no place for an age identity: {reason}"),
            #[cfg(feature = "age")]
            Self::NoRecipients(path) => {
                write!(f, "the recipients of the identities in {} cannot be told", path.display())
            }
            #[cfg(feature = "age")]
            Self::NobodyAgreed => {
                f.write_str("nothing was changed: standard input has ended, so that nobody could agree")
            }
            Self::Findings { findings, files } => {
                let plural = |n: &usize| if *n == 1 { "" } else { "s" };
                write!(f, "{findings} finding{} in {files} file{}", plural(findings), plural(files))
            }
            Self::Git(reason) | Self::Walk(reason) => f.write_str(reason),
            Self::Repository { folder, reason } => {
                write!(f, "git does not tell the files of {}: {reason}", folder.display())
            }
            Self::NothingIn(path) => write!(f, "there is no file to look at in {}", path.display()),
            Self::NotStaged(path) => write!(f, "the next commit knows nothing of {}", path.display()),
            Self::BrokenConfiguration { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Disguised { read_as, written } => write!(
                f,
                "this is an encrypted file of the format {}, but it is read as {}",
                written.name(),
                read_as.name()
            ),
            Self::AllowGlob { glob, reason } => write!(f, "rsops.check.allow has a bad glob, {glob:?}: {reason}"),
            #[cfg(feature = "keyservice")]
            Self::Listen(error) => write!(f, "Error running keyservice: {error}"),
            #[cfg(feature = "keyservice")]
            Self::Serve(error) => write!(f, "Error running keyservice: {}", os_text(error)),
            Self::Limits(error) => write!(f, "SOPS_KMS_TIMEOUT: {error}"),
            Self::Order(error) => error.fmt(f),
            Self::ExtractPath(error) => write!(f, "error parsing --extract path: {error}"),
            Self::EncryptionContext => f.write_str("Invalid KMS encryption context format"),
            Self::Key(error) => error.fmt(f),
            #[cfg(feature = "azure")]
            Self::KeyVersion(reason) => f.write_str(reason),
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
            Self::ContextBug(error) => write!(
                f,
                "Failed to decrypt, meaning there is likely another problem from the encryption context bug: {error}"
            ),
            Self::RepairDeclined => f.write_str("Exiting. User responded no"),
            Self::RepairPrompt(error) => error.fmt(f),
            Self::RewrapRepaired(error) => write!(f, "Could not re-encrypt data key: {error}"),
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
            Self::Audit(error) => error.fmt(f),
            #[cfg(feature = "publish")]
            Self::Publish(error) => error.fmt(f),
            #[cfg(feature = "publish")]
            Self::InFile { path, error } => write!(f, "{}: {error}", path.display()),
            Self::CurrentDirectory(error) => {
                write!(f, "the current directory cannot be read: {}", os_text(error))
            }
        }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "SOPS_AUDIT_CONFIG: open {}: {}", path.display(), os_text(error))
            }
            Self::Config { .. } => f.write_str("Error unmarshalling config"),
            Self::Unsupported(path) => {
                write!(f, "this build of rsops has no audit log, but {} demands one", path.display())
            }
            Self::Backends { .. } => f.write_str("one or more audit backends reported errors, exiting"),
            Self::User(reason) => write!(f, "Error getting current user for auditing: {reason}"),
            Self::Insert { reason, .. } => write!(f, "Failed to insert audit record: {reason}"),
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
            Self::Status(status) => f.write_str(&status_text(*status)),
        }
    }
}

#[cfg(feature = "publish")]
impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stat { path, error } => write!(f, "stat {}: {}", path.display(), os_text(error)),
            Self::Directory => f.write_str("can't operate on a directory without --recursive flag."),
            Self::List { path, error } => write!(f, "open {}: {}", path.display(), os_text(error)),
            Self::Canceled(path) => write!(f, "Publication of {} canceled", path.display()),
            Self::Rule { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NameNotText(path) => {
                write!(f, "{}: its name is not UTF-8, as names at destinations are", path.display())
            }
            Self::NotSent { path, reason } => write!(f, "{}: {reason}", path.display()),
        }
    }
}
