//! The next step, where the text does not say it.

use std::io;

#[cfg(feature = "publish")]
use rsops::config::ConfigError;
use rsops::document::{DecryptError, EncryptError, LoadError, VariableError};
use rsops::keys::WrapFailure;
use rsops::store::Format;

#[cfg(feature = "publish")]
use super::PublishError;
use super::{AuditError, CommandError, ExecError};
use crate::cli::editor::EditorError;

/// They would be left with a data key, or a part of one, that does not fit any more (policy.md §3).
const UNKNOWN_KINDS: &str = "use the release that wrote them, or one that is newer";

impl CommandError {
    /// The next step, where the text does not say it.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoStack(_) => {
                "512 MiB of address space are needed, of which little is used; `ulimit -v` limits it".to_owned()
            }
            #[cfg(feature = "keyservice")]
            Self::Listen(error) => return error.hint(),
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
            Self::IsDirectory(_) => "--recursive works on the files in it".to_owned(),
            Self::Repository { .. } => {
                "only git knows which files are tracked and which are ignored, so nothing was looked at".to_owned()
            }
            Self::NothingIn(_) => "files that Git ignores do not count, unless they are named".to_owned(),
            Self::NotStaged(_) => "`git add` makes a file part of the next commit".to_owned(),
            Self::Disguised { written, .. } => format!(
                "work on it alone with --input-type {0} (and --output-type {0}, but for updatekeys), or give it a name that \
                 ends in .{1}",
                written.name(),
                if *written == Format::Dotenv { "env" } else { written.name() }
            ),
            Self::OutputIsInput(_) => "change files where they are with --in-place".to_owned(),
            Self::ManyToStdout => "change them where they are with --in-place".to_owned(),
            #[cfg(feature = "age")]
            Self::NoPlaceForIdentity(_) | Self::NoRecipients(_) => {
                "name recipients, as in `rsops init --age age1…`".to_owned()
            }
            #[cfg(feature = "age")]
            Self::NobodyAgreed => "--yes does all of it without asking".to_owned(),
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
            Self::Wrap(error) | Self::Rewrap(error) | Self::WrapEdited(error) => return several(&error.hints()),
            Self::Recover(error) | Self::RecoverForGroups(error) => return several(&error.hints()),
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
            Self::ContextBug(error) => return error.hint(),
            Self::RepairPrompt(_) => {
                "answer y or n; nobody is asked if standard output is no terminal, as in `rsops decrypt … | cat`".to_owned()
            }
            Self::RewrapRepaired(error) => {
                let mut hints = error.hints();
                hints.push("`rsops decrypt … | cat` decrypts the file without wrapping its data key anew".to_owned());
                return several(&hints);
            }
            Self::Prompt(_) => "answer y or n; --yes answers for you".to_owned(),
            Self::Load { file, error: LoadError::Store(_) } => {
                format!("{file} may be no encrypted file, or one of another format, which --input-type names")
            }
            Self::Load { file, .. } => format!("the metadata of {file} are damaged; restore them"),
            Self::FileStatus(error) => return error.hint(),
            Self::Exec(error) => return error.hint(),
            #[cfg(feature = "publish")]
            Self::Publish(error) => return error.hint(),
            #[cfg(feature = "publish")]
            Self::InFile { error, .. } => return error.hint(),
            Self::Audit(error) => return error.hint(),
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
            Self::Write { error, .. } | Self::UpdateNotWritten { error, .. }
                if error.kind() == io::ErrorKind::ResourceBusy =>
            {
                "files are replaced as a whole, and this one is a mount of its own: mount its directory instead".to_owned()
            }
            Self::Write { error, .. } | Self::UpdateNotWritten { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "files are replaced as a whole: the directory must be writable too".to_owned()
            }
            _ => return None,
        })
    }
}

/// The printer begins the first line, and only that.
fn several(hints: &[String]) -> Option<String> {
    (!hints.is_empty()).then(|| hints.join("\nhint: "))
}

impl AuditError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Config { path, .. } => Some(format!(
                "nothing is done without the audit log; {} has `backends`, `postgres`, and a list of \
                 `connection_string`",
                path.display()
            )),
            Self::User(_) => {
                Some("who runs a command must have a name in the system, as in /etc/passwd".to_owned())
            }
            Self::Backends { hint } | Self::Insert { hint, .. } => hint.map(str::to_owned),
            Self::Unreadable { .. } | Self::Unsupported(_) => None,
        }
    }
}

#[cfg(feature = "publish")]
impl PublishError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Directory => "--recursive sends the files in it".to_owned(),
            Self::Rule { error: ConfigError::NoMatchingDestination, .. } => {
                "destination_rules of .sops.yaml say where files go; their path_regex is held against the path as it was \
                 typed"
                    .to_owned()
            }
            Self::Rule { error: ConfigError::NoDestination, .. } => {
                "the rule that matches it needs s3_bucket, gcs_bucket or vault_path".to_owned()
            }
            Self::NameNotText(_) => "rename the file".to_owned(),
            _ => return None,
        })
    }
}

impl ExecError {
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
