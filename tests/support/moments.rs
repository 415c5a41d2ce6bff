//! Moments at which a running program is interrupted: anywhere in its life, and just when it writes.

use std::fs;
use std::io;
use std::iter::repeat_with;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::program::setting;

/// How often somebody looks who waits for a sign.
const GLANCE: Duration = Duration::from_micros(30);

/// The same numbers for the same seed (splitmix64).
pub(crate) struct Dice(u64);

/// How long a command lives when nobody interrupts it.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) whole: Duration,
    /// From the first change in a watched folder to the end.
    pub(crate) writing: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Moment {
    /// This long after the start.
    Anywhere(Duration),
    /// This long after the first change in a watched folder.
    Writing(Duration),
}

/// Folders, and what was in them before the program started.
pub(crate) struct Watch {
    folders: Vec<PathBuf>,
    before: Vec<Sign>,
}

/// An entry of a folder: name, inode, length, time of the last change.
type Sign = (PathBuf, u64, u64, Option<SystemTime>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.roll() >> 63 == 1
    }

    fn below(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.roll() as f64 / u64::MAX as f64)
    }

    /// Every other moment is aimed: writing is short, and chance alone would seldom meet it.
    pub(crate) fn moment(&mut self, life: Life) -> Moment {
        if self.coin() {
            Moment::Writing(self.below(life.writing))
        } else {
            Moment::Anywhere(self.below(life.whole))
        }
    }
}

/// `RSOPS_SEED`, or the seed of every ordinary run.
pub(crate) fn seed() -> u64 {
    setting("RSOPS_SEED").map_or(1, |text| text.parse().expect("RSOPS_SEED is a number"))
}

/// A number from the environment.
pub(crate) fn count(name: &str, usual: usize) -> usize {
    setting(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Starts what nobody listens to.
pub(crate) fn start(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()))
}

impl Life {
    /// The median of several, since machines have other things to do.
    pub(crate) fn usual(live: impl Fn() -> Self) -> Self {
        let mut lives: Vec<_> = repeat_with(live).take(7).collect();
        lives.sort_by_key(|life| life.whole);
        lives[lives.len() / 2]
    }

    /// Lives through a command once.
    pub(crate) fn of(command: Command, folders: &[&Path]) -> Self {
        let watch = Watch::new(folders);
        let started = Instant::now();
        let mut child = start(command);
        watch.wait(&mut child);
        let sign = Instant::now();
        child.wait().expect("our child");
        Self { whole: started.elapsed(), writing: sign.elapsed() }
    }
}

impl Moment {
    /// Waits for it; the program may end before. Whether a change was seen, if one was waited for.
    pub(crate) fn await_in(self, child: &mut Child, watch: &Watch) -> bool {
        let (seen, delay) = match self {
            Self::Anywhere(delay) => (false, delay),
            Self::Writing(delay) => (watch.wait(child), delay),
        };
        let until = Instant::now() + delay;
        while Instant::now() < until && running(child) {
            thread::sleep(GLANCE.min(until.saturating_duration_since(Instant::now())));
        }
        seen
    }
}

impl Watch {
    pub(crate) fn new(folders: &[&Path]) -> Self {
        let folders: Vec<_> = folders.iter().map(|folder| (*folder).to_owned()).collect();
        let before = signs(&folders);
        Self { folders, before }
    }

    /// Until something changes, or the program ends. Whether something did.
    pub(crate) fn wait(&self, child: &mut Child) -> bool {
        while running(child) {
            if signs(&self.folders) != self.before {
                return true;
            }
            thread::sleep(GLANCE);
        }
        false
    }
}

pub(crate) fn running(child: &mut Child) -> bool {
    child.try_wait().expect("our child").is_none()
}

/// What vanishes while it is looked at has changed too: the entry is missing from the answer.
fn signs(folders: &[PathBuf]) -> Vec<Sign> {
    use std::os::unix::fs::MetadataExt as _;
    let mut signs = Vec::new();
    for path in folders.iter().flat_map(|folder| entries(folder).unwrap_or_default()) {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            signs.push((path, metadata.ino(), metadata.len(), metadata.modified().ok()));
        }
    }
    signs
}

/// What lies in a folder, sorted.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}
