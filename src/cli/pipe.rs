//! A named pipe that hands plaintext to whoever opens it (cli.md §14.2).
//!
//! What was read from a pipe is gone, and two readers share its bytes. So each reader gets a pipe of its own: when one
//! has opened it, a new one takes its place under the same name before the first byte is written. Only those that open
//! it at the same moment still share; `exec-file` gives each mention of the file a pipe of its own. (The reference writes once, and lets everybody wait who opens the pipe again.)

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rustix::fs::rename;
use zeroize::Zeroizing;

use super::signals::undisturbed;

/// A pipe that is served until this is dropped. The directory is removed by its owner.
pub(super) struct Pipe(Arc<Feed>);

struct Feed {
    path: PathBuf,
    /// Where the next pipe is made.
    next: PathBuf,
    bytes: Arc<Zeroizing<Vec<u8>>>,
    /// Once it is, nothing new is made in the directory.
    closed: AtomicBool,
}

impl Pipe {
    /// Makes a pipe in a [`PrivateDir`](super::private_dir::PrivateDir), and waits for readers in the background.
    pub(super) fn new(path: PathBuf, bytes: Arc<Zeroizing<Vec<u8>>>) -> io::Result<Self> {
        let mut next = path.clone().into_os_string();
        next.push("~");
        undisturbed(|| make(&path))?;
        let feed = Arc::new(Feed { path, next: next.into(), bytes, closed: AtomicBool::new(false) });
        feed.clone().wait_for_reader()?;
        Ok(Self(feed))
    }

    /// The path for the reader.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        undisturbed(|| self.0.closed.store(true, Ordering::Relaxed));
    }
}

impl Feed {
    /// Starts a thread for the next reader. If none comes, it ends with the program.
    fn wait_for_reader(self: Arc<Self>) -> io::Result<()> {
        thread::Builder::new().name("pipe".to_owned()).spawn(move || self.serve()).map(drop)
    }

    fn serve(self: Arc<Self>) {
        // opening waits for a reader
        let Ok(mut pipe) = File::options().write(true).open(&self.path) else { return };
        if self.renew().is_ok() {
            // without a thread the next reader has to wait, this one gets what it came for
            let _ = self.clone().wait_for_reader();
        }
        // a reader that has seen enough is no error
        let _ = pipe.write_all(self.bytes.as_slice());
    }

    /// Puts a new pipe in the place of the one that was opened, before its reader can have seen the end.
    fn renew(&self) -> io::Result<()> {
        undisturbed(|| {
            if self.closed.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::NotFound.into());
            }
            make(&self.next)?;
            Ok(rename(&self.next, &self.path)?)
        })
    }
}

fn make(path: &Path) -> io::Result<()> {
    Ok(mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}
