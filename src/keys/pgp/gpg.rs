//! The user's `gpg` (keys.md §3.3, §3.4, §3.6).
//!
//! It gets the data key through a pipe only: arguments are seen by everybody, files stay. It runs in the terminal's
//! foreground as we do, so that Ctrl-C ends both.

use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use zeroize::Zeroizing;

use super::client::MAX_OUTPUT;
use super::settings::PgpSettings;
use crate::keys::Share;
use crate::os_error::os_text;
use crate::program::status_text;

/// What is kept of what it says on standard error, in bytes.
const MAX_MESSAGES: u64 = 64 * 1024;

/// Why gpg did not do it.
pub(super) enum Failure {
    /// It did not start.
    Start(String),
    /// It ran, and said this.
    Said(String),
}

/// Wraps. Whether `name` means a key is for gpg to say.
pub(super) fn encrypt(settings: &PgpSettings, name: &str, share: &[u8]) -> Result<String, Failure> {
    let short = trusted_key(name);
    let arguments = [
        "--no-default-recipient",
        "--yes",
        "--encrypt",
        "-a",
        "-r",
        name,
        "--trusted-key",
        short,
        "--no-encrypt-to",
    ];
    let output = run(settings, &arguments, share)?;
    match String::from_utf8_lossy(&output).trim() {
        "" => Err(Failure::Said("gpg reported success and wrote no message".to_owned())),
        message => Ok(message.to_owned()),
    }
}

/// Unwraps. Which key does it is for gpg to find out.
pub(super) fn decrypt(settings: &PgpSettings, message: &str) -> Result<Share, Failure> {
    let output = run(settings, &["-d"], message.as_bytes())?;
    if output.is_empty() {
        return Err(Failure::Said("zero bytes returned".to_owned()));
    }
    Ok(output)
}

/// The long key id at the end of a name, which `--trusted-key` wants; with its `!` if it has one.
fn trusted_key(name: &str) -> &str {
    let length = if name.ends_with('!') { 17 } else { 16 };
    name.char_indices().rev().nth(length - 1).map_or(name, |(start, _)| &name[start..])
}

/// Gives `input` to gpg. All three pipes are served at the same time, so that none can fill up and stop it.
fn run(settings: &PgpSettings, arguments: &[&str], input: &[u8]) -> Result<Share, Failure> {
    let program = settings.program.as_deref().unwrap_or(OsStr::new("gpg"));
    let path = find(program, settings.search_path.as_deref())?;
    let does_not_start =
        |error: io::Error| Failure::Start(format!("fork/exec {}: {}", path.display(), os_text(&error)));
    let mut child = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(does_not_start)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Failure::Start("no pipes".to_owned()));
    };
    let (output, said) = thread::scope(|scope| {
        // if it does not want to read all, it says why
        scope.spawn(move || stdin.write_all(input));
        let said = scope.spawn(move || messages(stderr));
        (read(stdout), said.join().unwrap_or_default())
    });
    let status = child.wait().map_err(does_not_start)?;
    if !status.success() {
        let said = if said.is_empty() { status_text(status) } else { said };
        return Err(Failure::Said(said));
    }
    output.map_err(|error| Failure::Said(os_text(&error)))
}

/// All of its output, which is short; more than anybody would wrap is an error, not a reason to fill the memory.
fn read(stdout: impl Read) -> io::Result<Share> {
    let mut output = Zeroizing::new(Vec::with_capacity(4096));
    stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output)?;
    if output.len() as u64 > MAX_OUTPUT {
        return Err(io::Error::other("the message is too long to hold a data key"));
    }
    Ok(output)
}

/// Reads to the end even when nothing more is kept.
fn messages(mut stderr: impl Read) -> String {
    let mut said = Vec::new();
    let kept = stderr.by_ref().take(MAX_MESSAGES).read_to_end(&mut said);
    if kept.is_ok() {
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// Names are looked up in `PATH`. What lies in the current directory only because `PATH` has a relative entry is
/// refused, since whoever wrote the files there could have put it there.
fn find(program: &OsStr, search_path: Option<&OsStr>) -> Result<PathBuf, Failure> {
    if program.to_string_lossy().contains(std::path::is_separator) {
        return Ok(program.into());
    }
    let refused = |reason: &str| Failure::Start(format!("exec: {:?}: {reason}", program.to_string_lossy()));
    let path = search_path.filter(|path| !path.is_empty());
    let folders = path.into_iter().flat_map(|path| path.as_bytes().split(|byte| *byte == b':'));
    let found = |folder| Path::new(OsStr::from_bytes(folder)).join(program);
    match folders.map(found).find(|path| is_executable(path)) {
        Some(path) if path.is_absolute() => Ok(path),
        Some(_) => Err(refused("cannot run executable found relative to current directory")),
        None => Err(refused("executable file not found in $PATH")),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::trusted_key;

    #[test]
    fn the_end_of_the_name_is_trusted() {
        for (name, short) in [
            ("F15736AE302A6C28FCAEA8957EC9411F208CD767", "7EC9411F208CD767"),
            ("F15736AE302A6C28FCAEA8957EC9411F208CD767!", "7EC9411F208CD767!"),
            ("0x7EC9411F208CD767", "7EC9411F208CD767"),
            ("ABCDEF01", "ABCDEF01"),
            ("ABCDEF01!", "ABCDEF01!"),
            ("ääääääääääääääää1", "äääääääääääääää1"),
            ("", ""),
        ] {
            assert_eq!(trusted_key(name), short);
        }
    }
}
