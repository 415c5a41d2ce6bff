//! The files of a Git repository, as `git` itself tells them, and of folders that are in none.

use std::collections::{HashMap, HashSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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

/// Which files of a repository are meant. Outside of one, all are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Tracked,
    /// Tracked or not, but none that is ignored.
    NotIgnored,
}

/// The files of a folder.
#[derive(Default)]
pub(super) struct Listing {
    /// As the user would name them, who named the folder.
    pub(super) paths: Vec<PathBuf>,
    /// Folders into which nobody could look.
    pub(super) failures: Vec<CommandError>,
}

/// Regular files; links and repositories inside this one are none of ours.
const REGULAR: &[u8] = b"100";

/// Links.
const LINK: &[u8] = b"120000";

/// Whether a folder is in a repository. An error if it is in one that `git` does not read: then nobody knows which files
/// are tracked and which are ignored.
pub(super) fn is_repository(folder: &Path) -> Result<bool, CommandError> {
    let reason = match git(folder).args(["rev-parse", "--is-inside-work-tree"]).output() {
        Ok(output) if output.status.success() => match output.stdout.starts_with(b"true") {
            true => return Ok(true),
            false => "this is a repository without a work tree, or the inside of one".to_owned(),
        },
        Ok(output) => {
            let reason = message(&output.stderr);
            let none_here = reason.to_lowercase().contains("not a git repository");
            // who sets it wants no repository to be found above
            let is_confined = env::var_os("GIT_CEILING_DIRECTORIES").is_some();
            if none_here && !is_pinned() && (is_confined || !has_repository_above(folder)) {
                return Ok(false);
            }
            reason
        }
        Err(_) if !is_pinned() && !has_repository_above(folder) => return Ok(false),
        Err(error) => format!("git cannot be run: {}", os_text(&error)),
    };
    Err(CommandError::Repository { folder: folder.to_owned(), reason })
}

/// Whether the environment says which repository is meant, as it does in hooks.
fn is_pinned() -> bool {
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"].iter().any(|name| env::var_os(name).is_some())
}

fn has_repository_above(folder: &Path) -> bool {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    full.ancestors().any(|above| above.join(".git").symlink_metadata().is_ok())
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

/// The top folder of the repository.
pub(super) fn top_level(folder: &Path) -> Result<PathBuf, CommandError> {
    let output = run(git(folder).args(["rev-parse", "--show-toplevel"]))?;
    Ok(to_path(output.strip_suffix(b"\n").unwrap_or(&output)))
}

/// The files below a folder, as they are on disk: what the repository says that it is in, or all if it is in none.
pub(super) fn files(folder: &Path, start: &Path, which: Which) -> Result<Listing, CommandError> {
    // asked from there, it may be in another repository, or behind a link; but a hook has its own index
    let (asked, inside) = match is_pinned() {
        true => (folder.to_owned(), start),
        false => (folder.join(start), Path::new(".")),
    };
    if !is_repository(&asked)? {
        return Ok(walked(folder, start));
    }
    let mut command = git(&asked);
    command.args(["--literal-pathspecs", "ls-files", "-z", "--cached"]);
    if which == Which::NotIgnored {
        command.args(["--others", "--exclude-standard"]);
    }
    let output = succeed(command.arg("--").arg(inside))?;
    let mut listing = Listing::default();
    let mut known = HashSet::new();
    for path in output.stdout.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(to_path) {
        // a link leads to a file that is there by itself, or to one that is none of ours; what is deleted, or left out of
        // a sparse checkout, is not there
        let is_file = asked.join(&path).symlink_metadata().is_ok_and(|found| found.is_file());
        let path = if is_pinned() { path } else { below(start, &path) };
        // in the middle of a merge, a file has up to three entries
        if is_file && known.insert(path.clone()) {
            listing.paths.push(path);
        }
    }
    // git goes on without it, and succeeds
    let warnings = message(&output.stderr);
    let unread = warnings.lines().filter(|line| line.contains("could not open directory"));
    listing.failures.extend(unread.map(|line| CommandError::Git(line.to_owned())));
    Ok(listing)
}

/// A path below a folder, as somebody names it who named the folder.
fn below(start: &Path, path: &Path) -> PathBuf {
    let full = start.join(path);
    full.strip_prefix(".").map_or_else(|_| full.clone(), Path::to_owned)
}

/// The files below a folder that is in no repository. `.gitignore` files in it count.
fn walked(folder: &Path, start: &Path) -> Listing {
    let mut listing = Listing::default();
    let root = folder.join(start);
    let mut walk = WalkBuilder::new(&root);
    walk.hidden(false).ignore(false).parents(false).require_git(false).git_global(false);
    walk.sort_by_file_name(OsStr::cmp).filter_entry(|entry| entry.file_name() != ".git");
    for entry in walk.build() {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                let path = entry.path().strip_prefix(&root).unwrap_or(entry.path());
                listing.paths.push(below(start, path));
            }
            Ok(_) => {}
            Err(error) => listing.failures.push(CommandError::Walk(error.to_string())),
        }
    }
    listing
}

/// The files that the next commit changes or adds below these paths, as they will be committed; without paths all of
/// them, wherever in the repository this is. What a merge left open will be committed as somebody makes it on disk.
pub(super) fn staged(folder: &Path, top: &Path, paths: &[PathBuf]) -> Result<Vec<Candidate>, CommandError> {
    let mut command = git(folder);
    command.args(["--literal-pathspecs", "diff", "--cached", "--raw", "-z", "--no-renames", "--no-ext-diff"]);
    command.args(["--diff-filter=AMTU", "--no-abbrev", "--"]).args(paths);
    let output = run(&mut command)?;
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut fields = output.split(|byte| *byte == 0);
    // :<old mode> <new mode> <old object> <new object> <status>, then the path
    while let (Some(entry), Some(path)) = (fields.next(), fields.next()) {
        let words: Vec<&[u8]> = entry.split(|byte| *byte == b' ').collect();
        let full = top.join(to_path(path));
        let content = match words.as_slice() {
            [_, _, _, _, b"U"] if full.symlink_metadata().is_ok_and(|found| found.is_file()) => {
                Content::WorkTree
            }
            [_, mode, _, object, _] if mode.starts_with(REGULAR) => Content::Object(to_text(object)),
            _ => continue,
        };
        candidates.push(Candidate { path: relative(folder, &full), content });
    }
    Ok(candidates)
}

/// The first of these paths that the next commit knows nothing of: neither is there a file below it, nor is one removed.
pub(super) fn unknown_to_index(folder: &Path, paths: &[PathBuf]) -> Result<Option<PathBuf>, CommandError> {
    // in a hook there can be thousands; then this is all
    let mut all = git(folder);
    all.args(["--literal-pathspecs", "ls-files", "-z", "--cached", "--error-unmatch", "--"]).args(paths);
    if paths.is_empty() || all.output().is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    for path in paths {
        let knows = |arguments: &[&str]| -> Result<bool, CommandError> {
            let mut command = git(folder);
            Ok(!run(command.arg("--literal-pathspecs").args(arguments).arg("--").arg(path))?.is_empty())
        };
        if !knows(&["ls-files", "-z", "--cached"])? && !knows(&["diff", "--cached", "--name-only", "-z"])? {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// The path from a folder to a file, both absolute. What is below the same root only is named by its full path.
pub(super) fn relative(folder: &Path, file: &Path) -> PathBuf {
    let mut up = PathBuf::new();
    for above in folder.ancestors().filter(|above| above.parent().is_some()) {
        if let Ok(rest) = file.strip_prefix(above) {
            return up.join(rest);
        }
        up.push("..");
    }
    file.to_owned()
}

/// Every file of this name that the index has, by its full path; nothing stands for a link, which is followed on disk.
pub(super) fn staged_by_name(
    folder: &Path,
    top: &Path,
    name: &str,
) -> Result<HashMap<PathBuf, Option<Vec<u8>>>, CommandError> {
    let mut command = git(folder);
    command.args(["ls-files", "-z", "--stage", "--full-name", "--"]);
    let output = run(command.arg(format!(":(top,glob)**/{name}")))?;
    let mut entries: HashMap<PathBuf, Option<String>> = HashMap::new();
    // <mode> <object> <stage>, a tab, the path
    for entry in output.split(|byte| *byte == 0) {
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { continue };
        let words: Vec<&[u8]> = entry[..tab].split(|byte| *byte == b' ').collect();
        let [mode, object, _] = words.as_slice() else { continue };
        let object = match () {
            () if mode.starts_with(REGULAR) => Some(to_text(object)),
            () if *mode == LINK => None,
            () => continue,
        };
        // in the middle of a merge, a file has up to three entries
        entries.entry(top.join(to_path(&entry[tab + 1..]))).or_insert(object);
    }
    let contents = objects(folder, entries.values().flatten().cloned().collect())?;
    let content = |object: String| contents.get(&object).cloned();
    Ok(entries.into_iter().map(|(path, object)| (path, object.and_then(content))).collect())
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

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).stdin(Stdio::null());
    // what is asked is read by a program, and so is what it complains of
    command.args(["-c", "core.quotePath=false", "-c", "diff.relative=false", "-c", "color.ui=false"]);
    command.env("LC_ALL", "C");
    // it may be asked while somebody else is at the index
    command.env("GIT_OPTIONAL_LOCKS", "0");
    for kind in ["LITERAL", "GLOB", "NOGLOB", "ICASE"] {
        command.env_remove(format!("GIT_{kind}_PATHSPECS"));
    }
    command
}

fn run(command: &mut Command) -> Result<Vec<u8>, CommandError> {
    succeed(command).map(|output| output.stdout)
}

fn succeed(command: &mut Command) -> Result<Output, CommandError> {
    let output = command
        .output()
        .map_err(|error| CommandError::Git(format!("git cannot be run: {}", os_text(&error))))?;
    if output.status.success() { Ok(output) } else { Err(CommandError::Git(message(&output.stderr))) }
}

fn message(stderr: &[u8]) -> String {
    String::from_utf8_lossy(stderr).trim().to_owned()
}

fn to_path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

fn to_text(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_from_the_folder_where_somebody_works() {
        let from = |folder: &str, file: &str| relative(Path::new(folder), Path::new(file));
        assert_eq!(from("/a/b", "/a/b/c/x"), Path::new("c/x"));
        assert_eq!(from("/a/b", "/a/x"), Path::new("../x"));
        assert_eq!(from("/a/b/c", "/a/d/x"), Path::new("../../d/x"));
        assert_eq!(from("/a/b", "/c/x"), Path::new("/c/x"));
    }
}
