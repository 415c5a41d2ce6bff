//! Writing files: the only place that does (policy.md §3).

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::Builder;

use super::signals::{remove_on_signal, undisturbed};

/// How the files begin that are put in the place of others. A run that was killed leaves some behind.
const TEMPORARY: &str = ".rsops-";

/// Letters that follow, other ones each time.
const RANDOM: usize = 6;

/// Whether it is one of those.
pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.strip_prefix(TEMPORARY.as_bytes())
        .is_some_and(|rest| rest.len() == RANDOM && rest.iter().all(u8::is_ascii_alphanumeric))
}

/// Replaces a file as a whole: an interruption at any moment leaves the old one or the new one.
///
/// The bytes go to a temporary file in the same directory, reach the disk, and the file is renamed over the old one,
/// whose mode and owner it gets. A symbolic link is followed. What is no regular file (a device, a pipe) is written
/// to directly.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = replace(path, bytes)? {
        sync(&directory);
    }
    Ok(())
}

/// Many files that are written one after the other: each as a whole, but whether the last renames survive a power cut is
/// certain only when [`Writes::finish`] comes back, because each directory is brought to the disk once.
#[derive(Default)]
pub(super) struct Writes {
    directories: Mutex<BTreeSet<PathBuf>>,
}

impl Writes {
    /// As [`write_file`].
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let directory = replace(path, bytes)?;
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).extend(directory);
        Ok(())
    }

    /// Brings the directories to the disk.
    pub(super) fn finish(self) {
        let directories = self.directories.into_inner().unwrap_or_else(PoisonError::into_inner);
        directories.iter().for_each(|directory| sync(directory));
    }
}

/// The rename too must survive a power cut; some file systems cannot be asked for that.
fn sync(directory: &Path) {
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}

/// Puts the new file in the place of the old one. Its directory, which is still to be brought to the disk, is returned.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    let old = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() || is_descriptor(path) => {
            return write_through(path, bytes).map(|()| None);
        }
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = if old.is_some() { fs::canonicalize(path)? } else { resolve_dangling(path)? };
    if old.is_some() {
        // a file that is not writable is not to be replaced either
        File::options().write(true).open(&target)?;
    }
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // nobody else may read the file before it has its mode; a new one gets what the umask leaves
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    // it may hold plaintext: an interruption removes it
    let mut doomed = None;
    let mut temporary = Builder::new()
        .prefix(TEMPORARY)
        .rand_bytes(RANDOM)
        .permissions(Permissions::from_mode(mode))
        .make_in(directory, |path| {
            let (file, removal) = remove_on_signal(path, || create_new(path, mode))?;
            doomed = Some(removal);
            Ok(file)
        })?;
    let result = (|| {
        let file = temporary.as_file_mut();
        file.write_all(bytes)?;
        if let Some(old) = &old {
            // only root can give files away; the group may be one that we are in
            let _ = fchown(&*file, Some(old.uid()), Some(old.gid()))
                .or_else(|_| fchown(&*file, None, Some(old.gid())));
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        file.sync_all()
    })();
    result.and_then(|()| temporary.persist(&target).map(drop).map_err(|error| error.error))?;
    drop(doomed);
    Ok(Some(directory.to_owned()))
}

/// Writes a new file that only its owner can read, into a [`PrivateDir`](super::private_dir::PrivateDir), which goes
/// away with it.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    undisturbed(|| create_new(path, 0o600))?.write_all(bytes)
}

#[cfg(feature = "age")]
/// Writes a file that must not exist yet and that only its owner can read, and the folders on the way to it.
pub(super) fn write_new_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    // a half-written key would look like a whole one
    let (mut file, doomed) = remove_on_signal(path, || create_new(path, 0o600))?;
    let result = file.write_all(bytes).and_then(|()| file.sync_all());
    if result.is_err() {
        let _ = fs::remove_file(path);
    }
    drop(doomed);
    result
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create_new(true).mode(mode).open(path)
}

/// `/dev/stdout` and its like: whoever opened the descriptor would not see another file under its name.
fn is_descriptor(path: &Path) -> bool {
    // files in /dev/shm are ordinary ones
    path.starts_with("/proc") || path.starts_with("/dev") && !path.starts_with("/dev/shm")
}

fn write_through(target: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().write(true).truncate(true).open(target)?.write_all(bytes)
}

/// Where a path leads that does not exist yet: links are followed to their end.
fn resolve_dangling(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}
