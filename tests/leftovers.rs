//! Signals at any moment of a command that has plaintext: none of it is left where it should not be.
//!
//! | variable | effect |
//! |---|---|
//! | `RSOPS_SIGNALS=500` | more signals than the usual 30 of each kind for each command |
//! | `RSOPS_SEED=7` | other moments |
//! | `RSOPS_TEST_BINARY=path` | another program than the one just built |
#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, id};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use support::keys::{make_private, recipient};
use support::moments::{Dice, Life, Watch, count, entries, running, seed, start};
use support::report::{Report, check_all, say};
use support::scratch::{Call, Scratch};
use support::{Check, during};

const FILE: &str = "a.yaml";
const OUTPUT: &str = "out.yaml";
const EDITOR: &str = "editor.sh";
const VALUES: usize = 150;
const SIGNALS: [(&str, Signal); 3] =
    [("SIGINT", Signal::INT), ("SIGTERM", Signal::TERM), ("SIGHUP", Signal::HUP)];
/// Where everybody can write, and where a program puts what shall not reach a disk.
const SHARED_MEMORY: &str = "/dev/shm";
/// Whoever has not ended by then does not obey.
const PATIENCE: Duration = Duration::from_secs(20);
/// A signal can come so early that it is ignored, where the tests run with it ignored: it is sent again.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// A command that has plaintext for a while.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What the editor does, where there is one.
    editor: &'static str,
    /// Where plaintext lies while a child of the program runs.
    exposure: Exposure,
    /// What may be in place of the encrypted file afterwards.
    replaces: Replaces,
}

#[derive(Clone, Copy, PartialEq)]
enum Exposure {
    /// There is no child, or it does not wait.
    Brief,
    /// A child waits, and the plaintext is in a pipe.
    Pipe,
    /// A child waits, and the plaintext is in a file.
    File,
}

#[derive(Clone, Copy, PartialEq)]
enum Replaces {
    Nothing,
    Plaintext,
    /// `OUTPUT`, not the file itself.
    Output,
    Edited,
}

/// Says that it runs, then takes its time, but never longer than a person who waits for the tests.
const WAIT: &str = "echo $$ > \"$CHILD\"; exec sleep 3";
/// Writes as editors do: a file beside the file, and a rename.
const CHANGE: &str = "sed -i 's/^key7: .*/key7: edited/' \"$1\"";

const ROWS: [Row; 6] = [
    Row {
        name: "decrypt -i",
        arguments: &["decrypt", "-i", FILE],
        editor: "",
        exposure: Exposure::Brief,
        replaces: Replaces::Plaintext,
    },
    Row {
        name: "decrypt --output",
        arguments: &["decrypt", "--output", OUTPUT, FILE],
        editor: "",
        exposure: Exposure::Brief,
        replaces: Replaces::Output,
    },
    Row {
        name: "edit, the editor waits",
        arguments: &["edit", FILE],
        editor: WAIT,
        exposure: Exposure::File,
        replaces: Replaces::Nothing,
    },
    Row {
        name: "edit, the editor writes",
        arguments: &["edit", FILE],
        editor: CHANGE,
        exposure: Exposure::Brief,
        replaces: Replaces::Edited,
    },
    Row {
        name: "exec-file",
        arguments: &["exec-file", FILE, "echo $$ > \"$CHILD\"; cat {} > /dev/null; exec sleep 3"],
        editor: "",
        exposure: Exposure::Pipe,
        replaces: Replaces::Nothing,
    },
    Row {
        name: "exec-file --no-fifo",
        arguments: &["exec-file", "--no-fifo", FILE, "echo $$ > \"$CHILD\"; exec sleep 3"],
        editor: "",
        exposure: Exposure::File,
        replaces: Replaces::Nothing,
    },
];

/// How a signal found the program.
enum Hit {
    TooLate,
    /// Before there was anything to clean up.
    Early,
    /// While there was plaintext outside of the program, or was going to be at any moment.
    Exposed,
}

/// A folder with an encrypted file, and every other place where the program might write.
struct Stage<'a> {
    row: &'a Row,
    scratch: Scratch,
    /// In memory, where the system has such a place: anything else is no runtime directory to the program.
    runtime: TempDir,
    /// Stands in every value, and nowhere else on this machine.
    marker: String,
    sealed: Vec<u8>,
}

impl<'a> Stage<'a> {
    fn new(row: &'a Row, number: usize) -> Self {
        let scratch = Scratch::new();
        let marker = format!("nobody-else-{}-{number}", id());
        scratch.write(FILE, plaintext(&marker).as_bytes());
        let sealed = scratch.call(["encrypt", "--age", &recipient("age-alice"), FILE]).stdout();
        scratch.write(EDITOR, format!("#!/bin/sh\n{}\n", row.editor).as_bytes());
        fs::create_dir(scratch.root().join("tmp")).expect("our own folder");
        let runtime = TempDir::new_in(SHARED_MEMORY).or_else(|_| TempDir::new()).expect("a folder");
        make_private(runtime.path(), 0o700);
        Self { row, scratch, runtime, marker, sealed }
    }

    /// With a runtime directory or without; the program goes to the shared memory of all then.
    fn call(&self, with_runtime: bool) -> Call<'_> {
        self.scratch.write(FILE, &self.sealed);
        for path in [self.scratch.folder().join(OUTPUT), self.child_file()] {
            // it is there only after some runs
            let _ = fs::remove_file(path);
        }
        let call = self.scratch.call(self.row.arguments).keys(["age-alice"]);
        let call = call.variable("TMPDIR", &self.temporary().display().to_string());
        let call = call.variable("SOPS_EDITOR", &self.scratch.folder().join(EDITOR).display().to_string());
        let call = call.variable("CHILD", &self.child_file().display().to_string());
        if with_runtime {
            call.variable("XDG_RUNTIME_DIR", &self.runtime.path().display().to_string())
        } else {
            call
        }
    }

    fn temporary(&self) -> PathBuf {
        self.scratch.root().join("tmp")
    }

    /// Where a child writes its process id.
    fn child_file(&self) -> PathBuf {
        self.scratch.root().join("child")
    }

    fn child(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.child_file()).ok()?;
        // a line that has no end is not written yet
        Pid::from_raw(text.strip_suffix('\n')?.parse().ok()?)
    }

    /// Where something is seen to happen.
    fn watched(&self, with_runtime: bool) -> Watch {
        let (work, temporary) = (self.scratch.folder(), self.temporary());
        // others come and go in the shared memory: it is watched only where nothing else tells
        let is_alone = with_runtime || matches!(self.row.replaces, Replaces::Plaintext | Replaces::Output);
        let memory = if is_alone { self.runtime.path() } else { Path::new(SHARED_MEMORY) };
        Watch::new(&[&work, &temporary, memory])
    }

    /// Nothing is learnt from interrupting what would not have worked.
    fn rehearse(&self) -> Result<Life, String> {
        if self.row.exposure != Exposure::Brief {
            return self.rehearse_with_child();
        }
        let outcome = self.call(true).outcome();
        if !outcome.succeeded() {
            return Err(format!("{}: {}", outcome.ending, outcome.messages()));
        }
        during("uninterrupted", self.is_clean())?;
        if !self.is_replaced()? {
            return Err("uninterrupted, it does nothing".to_owned());
        }
        let folders = [self.scratch.folder(), self.temporary(), self.runtime.path().to_owned()];
        let folders = folders.each_ref().map(PathBuf::as_path);
        Ok(Life::usual(|| Life::of(self.call(true).command(), &folders)))
    }

    /// The plaintext is found while the child has it: the search looks where it must.
    fn rehearse_with_child(&self) -> Result<Life, String> {
        let started = Instant::now();
        let mut program = start(self.call(true).command());
        while running(&mut program) && self.child().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        let whole = started.elapsed();
        let found = self.plaintext_files();
        if !running(&mut program) || self.child().is_none() {
            let outcome = self.call(true).outcome();
            return Err(format!("no child was started: {}: {}", outcome.ending, outcome.messages()));
        }
        send(&mut program, Signal::TERM);
        self.end(&mut program, Signal::TERM)?;
        let wanted = usize::from(self.row.exposure == Exposure::File);
        if found.len() != wanted {
            return Err(format!("while the child runs, plaintext is in {found:?}"));
        }
        // as much time with the child as until there is one
        Ok(Life { whole: whole * 2, writing: whole })
    }

    fn interrupt_once(&self, dice: &mut Dice, life: Life, signal: Signal) -> Result<Hit, String> {
        let with_runtime = dice.coin();
        let command = self.call(with_runtime).command();
        let watch = self.watched(with_runtime);
        let mut program = start(command);
        let seen = dice.moment(life).await_in(&mut program, &watch);
        let exposed = seen || self.child().is_some();
        send(&mut program, signal);
        let status = self.end(&mut program, signal)?;
        self.is_clean()?;
        let interrupted = interrupted_by(status, signal);
        if !interrupted && !status.success() {
            return Err(format!("it ended with {status}"));
        }
        match (interrupted, exposed) {
            (false, _) => Ok(Hit::TooLate),
            (true, false) => Ok(Hit::Early),
            (true, true) => Ok(Hit::Exposed),
        }
    }

    /// Waits for the program, and ends the child that it may have left.
    fn end(&self, program: &mut Child, signal: Signal) -> Result<ExitStatus, String> {
        let sent = Instant::now();
        let mut again = true;
        while running(program) && sent.elapsed() < PATIENCE {
            if again && sent.elapsed() > ONCE_MORE {
                send(program, signal);
                again = false;
            }
            thread::sleep(Duration::from_micros(200));
        }
        let obeys = !running(program);
        if !obeys {
            program.kill().expect("our child");
        }
        if let Some(child) = self.child() {
            // most have ended with the program
            let _ = kill_process(child, Signal::KILL);
        }
        let status = program.wait().expect("our child");
        if obeys { Ok(status) } else { Err(format!("{PATIENCE:?} after the signal it still runs")) }
    }

    /// No plaintext, and no file that was not there before, but what the command is for.
    fn is_clean(&self) -> Check {
        let replaced = self.is_replaced()?;
        let is_target = |path: &PathBuf| match self.row.replaces {
            Replaces::Plaintext => replaced && path.ends_with(FILE),
            Replaces::Output => replaced && path.ends_with(OUTPUT),
            Replaces::Nothing | Replaces::Edited => false,
        };
        let mut found = self.plaintext_files();
        found.retain(|path| !is_target(path));
        if !found.is_empty() {
            return Err(format!("plaintext is left in {found:?}"));
        }
        let known = [FILE, OUTPUT, EDITOR].map(|name| self.scratch.folder().join(name));
        let places = [self.scratch.folder(), self.temporary(), self.runtime.path().to_owned()];
        let mut left: Vec<_> = places.iter().flat_map(|place| entries(place).expect("our folder")).collect();
        left.retain(|path| !known.contains(path));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
    }

    /// Whether the command has done what it is for; an error if half of it.
    fn is_replaced(&self) -> Result<bool, String> {
        let plaintext = plaintext(&self.marker);
        let output = self.scratch.read(OUTPUT).ok();
        let file = self.scratch.read(FILE)?;
        match (self.row.replaces, output) {
            (Replaces::Output, Some(output)) if output == plaintext.as_bytes() => Ok(true),
            (_, Some(output)) => Err(format!("{OUTPUT} has {} bytes", output.len())),
            (Replaces::Plaintext, None) if file == plaintext.as_bytes() => Ok(true),
            (Replaces::Edited, None) if file != self.sealed => {
                let edited = self.scratch.call(["decrypt", FILE]).keys(["age-alice"]).outcome();
                let wanted = plaintext.replace(&format!("key7: value 7 {}\n", self.marker), "key7: edited\n");
                if edited.stdout == wanted.as_bytes() {
                    Ok(true)
                } else {
                    Err(format!("{FILE} is neither the old one nor the edited one: {}", edited.message()))
                }
            }
            (_, None) if file == self.sealed => Ok(false),
            (_, None) => Err(format!("{FILE} has changed: {} bytes", file.len())),
        }
    }

    /// Every file with plaintext in it, in all places where the program could write.
    fn plaintext_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for place in [&*self.scratch.root(), self.runtime.path(), Path::new(SHARED_MEMORY)] {
            search(place, self.marker.as_bytes(), &mut found);
        }
        found.sort();
        // the runtime directory may lie in the shared memory
        found.dedup();
        found
    }
}

fn plaintext(marker: &str) -> String {
    (0..VALUES).fold(String::new(), |mut text, number| {
        writeln!(text, "key{number}: value {number} {marker}").expect("memory");
        text
    })
}

/// Looks into regular files only: opening a pipe would wait for a writer. Others may remove theirs meanwhile.
fn search(folder: &Path, marker: &[u8], found: &mut Vec<PathBuf>) {
    for path in entries(folder).unwrap_or_default() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            search(&path, marker, found);
        } else if metadata.is_file() && fs::read(&path).is_ok_and(|bytes| holds(&bytes, marker)) {
            found.push(path);
        }
    }
}

fn holds(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

fn send(program: &mut Child, signal: Signal) {
    let pid = i32::try_from(program.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // the id is its own as long as nobody has waited for it
    if running(program) {
        kill_process(pid, signal).expect("our child");
    }
}

/// Died of it, or said so: shells say 128 and the signal, an interrupted editor is exit code 1.
fn interrupted_by(status: ExitStatus, signal: Signal) -> bool {
    let signal = signal.as_raw();
    status.signal() == Some(signal) || status.code() == Some(128 + signal) || status.code() == Some(1)
}

fn interrupt_many(row: &Row, number: usize, signals: usize, seed: u64) -> Check {
    let stage = Stage::new(row, number);
    let life = stage.rehearse()?;
    let mut dice = Dice::new(seed);
    let (mut too_late, mut early, mut exposed) = (0, 0, 0);
    for (name, signal) in SIGNALS {
        for turn in 1..=signals {
            let hit = stage.interrupt_once(&mut dice, life, signal);
            match hit.map_err(|complaint| format!("{name} {turn} of {signals}: {complaint}"))? {
                Hit::TooLate => too_late += 1,
                Hit::Early => early += 1,
                Hit::Exposed => exposed += 1,
            }
        }
    }
    say(&format!(
        "{}: {} signals: {early} before there was plaintext, {exposed} with plaintext about, {too_late} too late",
        row.name,
        signals * SIGNALS.len(),
    ));
    if exposed == 0 {
        return Err("no signal came while there was plaintext: the test says nothing".to_owned());
    }
    Ok(())
}

#[test]
fn a_signal_leaves_no_plaintext_behind() {
    let signals = count("RSOPS_SIGNALS", 30);
    let seed = seed();
    let numbered: Vec<_> = ROWS.iter().zip(0..).collect();
    let answers = check_all(&numbered, |(row, number)| interrupt_many(row, *number, signals, seed));
    let mut report = Report::new("leftovers");
    for (row, answer) in ROWS.iter().zip(answers) {
        report.count(row.name, &format!("{signals} of each signal, RSOPS_SEED={seed}"), answer);
    }
    report.finish();
}
