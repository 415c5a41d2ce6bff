//! A directory for plaintext that another program must see as a file.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use super::signals::{Doomed, remove_on_signal, undisturbed};

/// A directory that only its owner can enter. It goes away with everything in it when this is dropped, or a signal
/// ends the program.
pub(super) struct PrivateDir {
    path: PathBuf,
    _doomed: Doomed,
}

impl PrivateDir {
    /// In memory, where the system has a place for that (policy.md §3), else in the directory for temporary files.
    pub(super) fn in_memory(prefix: &str) -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = runtime.into_iter().chain([PathBuf::from("/dev/shm")]);
        places
            .filter(|place| place.is_absolute() && is_memory(place))
            .find_map(|place| Self::new_in(&place, prefix).ok())
            .map_or_else(|| Self::in_temp_dir(prefix), Ok)
    }

    /// In `$TMPDIR`, else `/tmp`.
    pub(super) fn in_temp_dir(prefix: &str) -> io::Result<Self> {
        let place = std::env::temp_dir();
        let place = if place.as_os_str().is_empty() { PathBuf::from("/tmp") } else { place };
        // the path goes to programs that may work elsewhere
        Self::new_in(&std::path::absolute(place)?, prefix)
    }

    fn new_in(place: &Path, prefix: &str) -> io::Result<Self> {
        let mut doomed = None;
        let made = tempfile::Builder::new().prefix(prefix).make_in(place, |path| {
            let ((), removal) = remove_on_signal(path, || fs::DirBuilder::new().mode(0o700).create(path))?;
            doomed = Some(removal);
            Ok(())
        })?;
        // we remove it ourselves, with all that is in it
        let path = made.into_temp_path().keep().map_err(|error| error.error)?;
        doomed.map(|doomed| Self { path, _doomed: doomed }).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A directory inside, as private as it is.
    pub(super) fn subdirectory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        undisturbed(|| fs::DirBuilder::new().mode(0o700).create(&path))?;
        Ok(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether files there are kept in memory (which may be swapped), and the place is there for us: ours, or for everybody.
fn is_memory(place: &Path) -> bool {
    /// Of tmpfs and ramfs, as `statfs` tells.
    const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
    let kind = statfs(place).map(|system| system.f_type as u32);
    let owner = fs::metadata(place).map(|metadata| metadata.uid());
    let ours = owner.is_ok_and(|uid| uid == rustix::process::geteuid().as_raw() || uid == 0);
    ours && kind.is_ok_and(|kind| IN_MEMORY.contains(&kind))
}
