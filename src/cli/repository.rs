//! The files of a Git repository, as `git` itself tells them, and of folders that are in none.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use ignore::WalkBuilder;

use super::error::{CommandError, os_text};

/// A file to look at.
pub(super) struct Candidate {
    /// As the user names it.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) content: Content,
}

/// Where the content of a file is.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// On disk.
    WorkTree,
    /// In the index: the name of its object.
    Object(String),
}

/// Regular files; links and repositories inside this one are none of ours.
const REGULAR: &[u8] = b"100";

/// Whether a folder is in a repository that `git` can read.
pub(super) fn is_repository(folder: &Path) -> bool {
    git(folder)
        .args(["rev-parse", "--is-inside-work-tree"])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"true"))
}

/// Where Git looks for a hook of this repository: as `core.hooksPath` says, else where all of its work trees share
/// them.
#[cfg(feature = "age")]
pub(super) fn hook_path(folder: &Path, name: &str) -> Result<PathBuf, CommandError> {
    let output = run(git(folder).args(["rev-parse", "--git-path", &format!("hooks/{name}")]))?;
    let path = output.strip_suffix(b"\n").unwrap_or(&output);
    Ok(folder.join(to_path(path)))
}

/// What the work trees of a repository share, usually `.git`.
#[cfg(feature = "age")]
pub(super) fn common_directory(folder: &Path) -> Result<PathBuf, CommandError> {
    let output = run(git(folder).args(["rev-parse", "--git-common-dir"]))?;
    Ok(folder.join(to_path(output.strip_suffix(b"\n").unwrap_or(&output))))
}

/// The files that are tracked below these paths, as they are on disk.
pub(super) fn tracked(folder: &Path, paths: &[PathBuf]) -> Result<Vec<Candidate>, CommandError> {
    let on_disk = |entry: Indexed| Candidate { path: entry.path, content: Content::WorkTree };
    Ok(indexed(folder, paths)?.into_iter().map(on_disk).collect())
}

/// The top folder of the repository.
pub(super) fn top_level(folder: &Path) -> Result<PathBuf, CommandError> {
    let output = run(git(folder).args(["rev-parse", "--show-toplevel"]))?;
    Ok(to_path(output.strip_suffix(b"\n").unwrap_or(&output)))
}

/// The files that the next commit changes or adds below these paths, as they will be committed; without paths all of
/// them, wherever in the repository this is.
pub(super) fn staged(folder: &Path, paths: &[PathBuf]) -> Result<Vec<Candidate>, CommandError> {
    let top = top_level(folder)?;
    let mut command = git(&top);
    command.args(["diff", "--cached", "--raw", "-z", "--no-renames", "--diff-filter=AMT", "--no-abbrev"]);
    let output = run(command.arg("--").args(paths.iter().map(|path| folder.join(path))))?;
    let mut candidates = Vec::new();
    let mut fields = output.split(|byte| *byte == 0);
    // :<old mode> <new mode> <old object> <new object> <status>, then the path
    while let (Some(entry), Some(path)) = (fields.next(), fields.next()) {
        let words: Vec<&[u8]> = entry.split(|byte| *byte == b' ').collect();
        if let [_, mode, _, object, _] = words.as_slice()
            && mode.starts_with(REGULAR)
        {
            let full = top.join(to_path(path));
            let path = full.strip_prefix(folder).map_or_else(|_| full.clone(), Path::to_owned);
            candidates.push(Candidate { path, content: Content::Object(to_text(object)) });
        }
    }
    Ok(candidates)
}

/// The files below these paths, unless they are ignored, in a repository or not.
pub(super) fn files(folder: &Path, paths: &[PathBuf]) -> Result<Vec<Candidate>, CommandError> {
    if is_repository(folder) { not_ignored(folder, paths) } else { Ok(walked(folder, paths)) }
}

/// The files below these paths that are tracked, or not ignored, as they are on disk.
pub(super) fn not_ignored(folder: &Path, paths: &[PathBuf]) -> Result<Vec<Candidate>, CommandError> {
    let mut command = git(folder);
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]);
    let output = run(command.arg("--").args(paths))?;
    let paths = output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(to_path);
    // a link leads to a file that is there by itself, or to one that is none of ours
    let is_file = |path: &PathBuf| folder.join(path).symlink_metadata().is_ok_and(|found| found.is_file());
    let paths = paths.filter(is_file);
    Ok(paths.map(|path| Candidate { path, content: Content::WorkTree }).collect())
}

/// The files below these paths, where there is no repository. `.gitignore` files count.
pub(super) fn walked(folder: &Path, paths: &[PathBuf]) -> Vec<Candidate> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut candidates = Vec::new();
    for start in paths {
        let mut walk = WalkBuilder::new(folder.join(start));
        walk.hidden(false).require_git(false).git_global(false).sort_by_file_name(OsStr::cmp);
        walk.filter_entry(|entry| entry.file_name() != ".git");
        for entry in
            walk.build().flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        {
            let path = entry.path();
            // as it was typed
            let path = if start.is_absolute() { path } else { path.strip_prefix(folder).unwrap_or(path) };
            let path = path.strip_prefix(".").unwrap_or(path).to_owned();
            candidates.push(Candidate { path, content: Content::WorkTree });
        }
    }
    candidates
}

/// Every file of this name that the index has, by its full path.
pub(super) fn staged_by_name(top: &Path, name: &str) -> Result<HashMap<PathBuf, Vec<u8>>, CommandError> {
    let entries = indexed(top, &[format!(":(glob)**/{name}").into()])?;
    let contents = objects(top, entries.iter().map(|entry| entry.object.clone()).collect())?;
    let found = entries
        .iter()
        .filter_map(|entry| Some((top.join(&entry.path), contents.get(&entry.object)?.clone())));
    Ok(found.collect())
}

/// The content of objects, by their names.
pub(super) fn objects(folder: &Path, names: Vec<String>) -> Result<HashMap<String, Vec<u8>>, CommandError> {
    let mut contents = HashMap::with_capacity(names.len());
    if names.is_empty() {
        return Ok(contents);
    }
    let mut command = git(folder);
    command.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let failed = |error: std::io::Error| CommandError::Git(os_text(&error));
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Ok(contents) };
    // it answers while it is still being asked, and a full pipe would stop both
    let asking = thread::spawn(move || names.iter().try_for_each(|name| writeln!(stdin, "{name}")));
    let mut answers = BufReader::new(stdout);
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line).map_err(failed)? == 0 {
            break;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, "blob", size] = words.as_slice() else {
            return Err(CommandError::Git(format!("git cat-file says {:?}", line.trim_end())));
        };
        let size = size.parse().map_err(|_| CommandError::Git("git cat-file tells no size".to_owned()))?;
        let mut content = vec![0; size];
        answers.read_exact(&mut content).map_err(failed)?;
        // a line break of the protocol's own
        answers.read_exact(&mut [0]).map_err(failed)?;
        contents.insert((*name).to_owned(), content);
    }
    let _ = asking.join();
    child.wait().map_err(failed)?;
    Ok(contents)
}

/// A file of the index.
struct Indexed {
    path: PathBuf,
    object: String,
}

fn indexed(folder: &Path, paths: &[PathBuf]) -> Result<Vec<Indexed>, CommandError> {
    let output = run(git(folder).args(["ls-files", "-z", "--stage", "--"]).args(paths))?;
    let mut entries: Vec<Indexed> = Vec::new();
    // <mode> <object> <stage>, a tab, the path
    for entry in output.split(|byte| *byte == 0).filter(|entry| entry.starts_with(REGULAR)) {
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { continue };
        let object = entry[..tab].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let path = to_path(&entry[tab + 1..]);
        // in the middle of a merge, a file has up to three entries
        if entries.last().is_none_or(|last| last.path != path) {
            entries.push(Indexed { path, object: to_text(object) });
        }
    }
    Ok(entries)
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).stdin(Stdio::null());
    // what is asked is read by a program
    command.args(["-c", "core.quotePath=false"]);
    command
}

fn run(command: &mut Command) -> Result<Vec<u8>, CommandError> {
    let output = command
        .output()
        .map_err(|error| CommandError::Git(format!("git cannot be run: {}", os_text(&error))))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(CommandError::Git(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn to_path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

fn to_text(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}
