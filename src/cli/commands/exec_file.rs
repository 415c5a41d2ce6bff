//! `rsops exec-file`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use memchr::memmem;
use rsops::document::MacCheck;
use zeroize::Zeroizing;

use crate::cli::child::{self, Words, shell};
use crate::cli::error::{CommandError, ExecError};
use crate::cli::open::{dump, open};
use crate::cli::options::{
    ChildOptions, DecryptionOptions, FormatOptions, GlobalOptions, KeyServiceOptions, path,
};
use crate::cli::pipe::Pipe;
use crate::cli::place::{Input, Place, key_services};
use crate::cli::private_dir::PrivateDir;
use crate::cli::ui::Ui;
use crate::cli::write_file::write_private;

/// Run a command with the decrypted file in a temporary one
///
/// COMMAND is one word for the shell; each {} in it becomes the path of the temporary file, as in 'cat {}'. That is a
/// named pipe, so that nothing is written to a disk. Signals are forwarded to the command, and its exit status is
/// passed on.
#[derive(Args)]
pub(crate) struct ExecFile {
    #[command(flatten)]
    words: Words,
    /// Make an ordinary file, for commands that cannot read a pipe. It lies on a disk while the command runs
    #[arg(long, help_heading = "Command")]
    no_fifo: bool,
    /// Name of the temporary file
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = path(), help_heading = "Command")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    child: ChildOptions,
    #[command(flatten)]
    order: DecryptionOptions,
    #[command(flatten)]
    formats: FormatOptions,
    #[command(flatten)]
    services: KeyServiceOptions,
    #[command(flatten)]
    global: GlobalOptions,
}

impl ExecFile {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let (file, command) = self.words.file_and_command()?;
        let ui = Arc::new(Ui::new(self.global.verbose));
        let wait = child::background(&ui, "exec-file", self.child.background);
        let name = local_name(self.filename.as_deref())?;
        let bytes = self.plaintext(file, &ui)?;

        let identity = self.child.switch_user()?;
        let dir = PrivateDir::in_temp_dir(".sops").map_err(ExecError::Directory)?;
        let plaintext = if self.no_fifo {
            Plaintext::in_file(&dir, name, bytes)
        } else {
            Plaintext::in_pipes(&dir, name, bytes, mentions(command))
        }?;
        let mut command = shell(&with_paths(command, plaintext.paths()));
        command.envs(identity.into_iter().flatten());
        child::run(command, wait)
    }

    /// The decrypted file; keys are forgotten when it is there.
    fn plaintext(&self, file: &Path, ui: &Arc<Ui>) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let place = Place::new(ui.clone(), Input::file(file)?, &self.formats)?;
        let configuration = place.configuration_if_valid(&self.global)?;
        let services = key_services(ui, &self.services)?;
        let document = open(&place, &services, &self.order.order()?, MacCheck::Required, None)?.document;
        dump(&place, &document, &*place.output_store(&configuration))
    }
}

/// What the command finds. It must be dropped before its directory is.
enum Plaintext {
    File(PathBuf),
    /// One for each mention of the file, for readers that open them at the same moment: `paste {} {}`.
    Pipes(Vec<Pipe>),
}

impl Plaintext {
    fn in_file(
        dir: &PrivateDir,
        name: Option<PathBuf>,
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<Self, CommandError> {
        let number = || getrandom::u32().map(|number| format!("tmp-file{number}").into());
        let name: PathBuf = name.map_or_else(number, Ok).map_err(|_| CommandError::NoRandomness)?;
        let path = dir.path().join(name);
        write_private(&path, &bytes).map_err(cannot_make(&path))?;
        Ok(Self::File(path))
    }

    fn in_pipes(
        dir: &PrivateDir,
        name: Option<PathBuf>,
        bytes: Zeroizing<Vec<u8>>,
        mentions: usize,
    ) -> Result<Self, CommandError> {
        let name = name.unwrap_or_else(|| PathBuf::from("tmp-file"));
        let bytes = Arc::new(bytes);
        let pipe = |number: usize| -> Result<Pipe, CommandError> {
            let folder = match number {
                0 => dir.path().to_owned(),
                _ => dir.subdirectory(&number.to_string()).map_err(ExecError::Directory)?,
            };
            let path = folder.join(&name);
            Ok(Pipe::new(path.clone(), bytes.clone()).map_err(cannot_make(&path))?)
        };
        // without a mention, it can be found through the file's directory all the same
        (0..mentions.max(1)).map(pipe).collect::<Result<_, _>>().map(Self::Pipes)
    }

    /// The path for each mention; the last one goes on.
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::Pipes(pipes) => pipes.iter().map(Pipe::path).collect(),
        }
    }
}

fn cannot_make(path: &Path) -> impl FnOnce(io::Error) -> ExecError {
    move |error| ExecError::Make { path: path.to_owned(), error }
}

/// The name that was chosen. It must not lead out of the directory (cli.md §14.2).
fn local_name(chosen: Option<&Path>) -> Result<Option<PathBuf>, CommandError> {
    let Some(chosen) = chosen.filter(|name| !name.as_os_str().is_empty()) else { return Ok(None) };
    let mut name = PathBuf::new();
    for part in chosen.components() {
        let is_inside = match part {
            Component::Normal(part) => {
                name.push(part);
                true
            }
            Component::CurDir => true,
            Component::ParentDir => name.pop(),
            Component::RootDir | Component::Prefix(_) => false,
        };
        if !is_inside {
            return Err(ExecError::NotLocal.into());
        }
    }
    Ok(Some(name))
}

/// What stands for the path in a command.
const PLACEHOLDER: &[u8] = b"{}";

fn mentions(command: &OsStr) -> usize {
    memmem::find_iter(command.as_bytes(), PLACEHOLDER).count()
}

/// The command with a path for each `{}`; if there are fewer paths, the last one stands for the others too.
fn with_paths(command: &OsStr, paths: Vec<&Path>) -> OsString {
    let command = command.as_bytes();
    let mut text = Vec::with_capacity(command.len());
    let mut from = 0;
    for (number, at) in memmem::find_iter(command, PLACEHOLDER).enumerate() {
        text.extend_from_slice(&command[from..at]);
        if let Some(path) = paths.get(number).or(paths.last()) {
            text.extend_from_slice(path.as_os_str().as_bytes());
        }
        from = at + PLACEHOLDER.len();
    }
    text.extend_from_slice(&command[from..]);
    OsString::from_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (chosen, name) in
            [("a", "a"), ("./a", "a"), ("b/../a", "a"), ("a/", "a"), ("a/b", "a/b"), ("..a", "..a")]
        {
            assert_eq!(
                local_name(Some(Path::new(chosen))).ok().flatten(),
                Some(PathBuf::from(name)),
                "{chosen}"
            );
        }
        for chosen in ["/a", "..", "../a", "a/../../b", "./.."] {
            assert!(local_name(Some(Path::new(chosen))).is_err(), "{chosen}");
        }
        assert!(local_name(Some(Path::new(""))).is_ok_and(|name| name.is_none()));
    }

    #[test]
    fn every_placeholder_is_replaced() {
        let replaced =
            |text: &str| with_paths(text.as_ref(), vec![Path::new("/p")]).into_string().unwrap_or_default();
        assert_eq!(replaced("cat {} '{}' ${A}{{}}"), "cat /p '/p' ${A}{/p}");
        assert_eq!(replaced("true"), "true");
        let both = with_paths("paste {} {}".as_ref(), vec![Path::new("/p"), Path::new("/q")]);
        assert_eq!(both, "paste /p /q");
    }
}
