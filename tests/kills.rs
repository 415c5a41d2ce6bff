//! `kill -9` at any moment of a command that writes a file: the old file is there, or the new one, whole.
//!
//! | variable | effect |
//! |---|---|
//! | `RSOPS_KILLS=5000` | more kills than the usual 500, over all commands |
//! | `RSOPS_SEED=7` | other moments |
//! | `RSOPS_TEST_BINARY=path` | another program than the one just built |
#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use support::keys::recipient;
use support::moments::{Dice, Life, Watch, count, entries, seed, start};
use support::report::{Report, check_all, say};
use support::scratch::{Call, Scratch};
use support::{Check, during};

const FILE: &str = "a.yaml";
const CONFIGURATION: &str = ".sops.yaml";
/// Stands in every value, so that a piece of plaintext is found wherever it lies.
const MARKER: &str = "for nobody else";
/// Enough that writing takes its time, few enough for hundreds of runs.
const VALUES: usize = 150;
const CHANGED: &str = "changed, and still for nobody else";

/// A command that replaces `FILE`.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
    old: Old,
    /// Who can read the new file; after `updatekeys` somebody who could not read the old one.
    reader: &'static str,
    new: fn() -> String,
}

#[derive(PartialEq)]
enum Old {
    Plain,
    Sealed,
}

const ROWS: [Row; 4] = [
    Row {
        name: "encrypt -i",
        arguments: &["encrypt", "-i", FILE],
        old: Old::Plain,
        reader: "age-bob",
        new: plaintext,
    },
    Row {
        name: "rotate -i",
        arguments: &["rotate", "-i", FILE],
        old: Old::Sealed,
        reader: "age-alice",
        new: plaintext,
    },
    Row {
        name: "set",
        arguments: &["set", FILE, "[\"key7\"]", "\"changed, and still for nobody else\""],
        old: Old::Sealed,
        reader: "age-alice",
        new: changed,
    },
    Row {
        name: "updatekeys -y",
        arguments: &["updatekeys", "-y", FILE],
        old: Old::Sealed,
        reader: "age-bob",
        new: plaintext,
    },
];

fn plaintext() -> String {
    (0..VALUES).fold(String::new(), |mut text, number| {
        writeln!(text, "key{number}: value {number} {MARKER}").expect("memory");
        text
    })
}

fn changed() -> String {
    plaintext().replace(&format!("value 7 {MARKER}"), CHANGED)
}

/// What a kill hit.
enum Hit {
    /// The program had done its work and ended.
    TooLate,
    BeforeItWrote,
    /// A temporary file was left.
    WhileItWrote,
    /// The new file was in its place, the program not yet at its end.
    AfterTheRename,
}

#[derive(Default)]
struct Tally {
    too_late: usize,
    before: usize,
    writing: usize,
    after: usize,
}

impl Tally {
    fn kills(&self) -> usize {
        self.before + self.writing + self.after
    }

    fn count(&mut self, hit: &Hit) {
        *match hit {
            Hit::TooLate => &mut self.too_late,
            Hit::BeforeItWrote => &mut self.before,
            Hit::WhileItWrote => &mut self.writing,
            Hit::AfterTheRename => &mut self.after,
        } += 1;
    }
}

/// A folder with the old file and a rule that adds bob to alice.
struct Stage<'a> {
    row: &'a Row,
    scratch: Scratch,
    old: Vec<u8>,
    new: String,
}

impl<'a> Stage<'a> {
    fn new(row: &'a Row) -> Self {
        let scratch = Scratch::new();
        let (alice, bob) = (recipient("age-alice"), recipient("age-bob"));
        scratch.write(CONFIGURATION, format!("creation_rules:\n    - age: {alice},{bob}\n").as_bytes());
        scratch.write(FILE, plaintext().as_bytes());
        let old = match row.old {
            Old::Plain => plaintext().into_bytes(),
            Old::Sealed => scratch.call(["encrypt", "--age", &alice, FILE]).stdout(),
        };
        Self { row, scratch, old, new: (row.new)() }
    }

    fn call(&self) -> Call<'_> {
        self.scratch.write(FILE, &self.old);
        self.scratch.call(self.row.arguments).keys(["age-alice"])
    }

    /// Nothing is learnt from killing what would not have worked.
    fn rehearse(&self) -> Result<Life, String> {
        let outcome = self.call().outcome();
        if !outcome.succeeded() {
            return Err(format!("{}: {}", outcome.ending, outcome.messages()));
        }
        during("uninterrupted", self.is_new())?;
        Ok(Life::usual(|| Life::of(self.call().command(), &[&self.scratch.folder()])))
    }

    fn kill_once(&self, dice: &mut Dice, life: Life) -> Result<Hit, String> {
        let command = self.call().command();
        let watch = Watch::new(&[&self.scratch.folder()]);
        let mut child = start(command);
        dice.moment(life).await_in(&mut child, &watch);
        // it may have ended by itself
        let _ = child.kill();
        self.judge(child.wait().expect("our child"))
    }

    fn judge(&self, status: ExitStatus) -> Result<Hit, String> {
        let killed = status.signal().is_some();
        if !killed && !status.success() {
            return Err(format!("failed by itself: {status}"));
        }
        let left = self.leftovers()?;
        let file = self.scratch.read(FILE)?;
        if file == self.old {
            return match (killed, left) {
                (true, 0) => Ok(Hit::BeforeItWrote),
                (true, _) => Ok(Hit::WhileItWrote),
                (false, _) => Err("it ended well, but the file is the old one".to_owned()),
            };
        }
        during(&format!("{} bytes that are not the old file", file.len()), self.is_new())?;
        match (killed, left) {
            (true, 0) => Ok(Hit::AfterTheRename),
            (false, 0) => Ok(Hit::TooLate),
            (_, left) => Err(format!("the new file is in place, and {left} others are left")),
        }
    }

    /// Counts the temporary files and removes them; they may hold only what the file itself may hold.
    fn leftovers(&self) -> Result<usize, String> {
        let known = [CONFIGURATION, FILE].map(|name| self.scratch.folder().join(name));
        let left: Vec<PathBuf> = entries(&self.scratch.folder())
            .expect("our folder")
            .into_iter()
            .filter(|path| !known.contains(path))
            .collect();
        for path in &left {
            let name = path.file_name().expect("an entry").to_string_lossy();
            if !name.starts_with(".rsops-") {
                return Err(format!("{name} is left: not a name for temporary files"));
            }
            during(&name, in_cipher(&fs::read(path).expect("a file of ours")))?;
            fs::remove_file(path).expect("a file of ours");
        }
        Ok(left.len())
    }

    fn is_new(&self) -> Check {
        in_cipher(&self.scratch.read(FILE)?)?;
        let outcome = self.scratch.call(["decrypt", FILE]).keys([self.row.reader]).outcome();
        if !outcome.succeeded() {
            return Err(format!("they do not decrypt: {}: {}", outcome.ending, outcome.message()));
        }
        if outcome.stdout == self.new.as_bytes() {
            Ok(())
        } else {
            Err(format!("they decrypt to something else: {}", String::from_utf8_lossy(&outcome.stdout)))
        }
    }
}

fn in_cipher(bytes: &[u8]) -> Check {
    let found = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    if found { Err("plaintext".to_owned()) } else { Ok(()) }
}

/// As many kills as wanted; those that came too late are made up for.
fn kill_many(row: &Row, kills: usize, seed: u64) -> Check {
    let stage = Stage::new(row);
    let life = stage.rehearse()?;
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    while tally.kills() < kills {
        let hit = stage.kill_once(&mut dice, life);
        tally.count(&hit.map_err(|complaint| format!("after {} kills: {complaint}", tally.kills()))?);
        if tally.too_late > 3 * kills {
            return Err("most kills come too late".to_owned());
        }
    }
    let Tally { too_late, before, writing, after } = tally;
    let Life { whole, writing: last } = life;
    say(&format!(
        "{}: {kills} kills: {before} before it wrote, {writing} while it wrote, {after} after the rename; \
         {too_late} more came too late (it takes {}, of which {} to write)",
        row.name,
        milliseconds(whole),
        milliseconds(last),
    ));
    if before == 0 || writing == 0 {
        return Err("the kills never hit where it matters: the test says nothing".to_owned());
    }
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[test]
fn a_kill_leaves_the_old_file_or_the_new_one() {
    let kills = count("RSOPS_KILLS", 500).div_ceil(ROWS.len());
    let seed = seed();
    let answers = check_all(&ROWS, |row| kill_many(row, kills, seed));
    let mut report = Report::new("kills");
    for (row, answer) in ROWS.iter().zip(answers) {
        report.count(row.name, &format!("{kills} kills, RSOPS_SEED={seed}"), answer);
    }
    report.finish();
}
