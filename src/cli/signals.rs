//! Signals: what may hold plaintext is removed before the program dies of one, and a child gets those meant for it.
//!
//! One thread waits for all of them. It is only started by the first command that needs it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, exit};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::core_dumps::spawn;

/// What is to be done when a signal comes.
struct Arrangements {
    /// Files and directories that must not outlive the program.
    doomed: Vec<PathBuf>,
    /// A terminal whose settings are others for a while, and what they were.
    terminal: Option<(File, Termios)>,
    /// Who the signals are for, while it runs.
    child: Option<(Pid, Bond)>,
    /// Whether the program ends because of an interruption, which may still be on its way here.
    canceled: bool,
    /// What is said instead of dying of the signal, with exit code 1.
    farewell: Option<&'static str>,
    /// What is done when the program is told to end, which is then no failure.
    last_act: Option<Box<LastAct>>,
}

/// Gets the name of the signal.
type LastAct = dyn Fn(&'static str) + Send;

/// What a child has to do with signals.
#[derive(Clone, Copy)]
enum Bond {
    /// It gets them, and the program lives on.
    Forward,
    /// It is asked first what an interruption means that was typed at the terminal.
    Interrupts,
}

static ARRANGEMENTS: Mutex<Arrangements> = Mutex::new(Arrangements {
    doomed: Vec::new(),
    terminal: None,
    child: None,
    canceled: false,
    farewell: None,
    last_act: None,
});

/// A file or directory that is removed if a signal ends the program; no longer when this is dropped.
pub(super) struct Doomed(PathBuf);

/// Makes a file or directory. A signal comes before, and it is not made any more, or after, and it is removed.
pub(super) fn remove_on_signal<T, E>(
    path: &Path,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<(T, Doomed), E> {
    listen();
    let mut arrangements = arrangements();
    let made = make()?;
    arrangements.doomed.push(path.to_owned());
    Ok((made, Doomed(path.to_owned())))
}

/// Does something that a signal must not come across, such as making a file in a directory that it removes. It is short
/// and does not call this module.
pub(super) fn undisturbed<T>(action: impl FnOnce() -> T) -> T {
    listen();
    let _arrangements = arrangements();
    action()
}

impl Drop for Doomed {
    fn drop(&mut self) {
        let mut arrangements = arrangements();
        if let Some(at) = arrangements.doomed.iter().position(|path| *path == self.0) {
            arrangements.doomed.swap_remove(at);
        }
    }
}

/// While it lives, a terminal gets the settings back that it had, should a signal end the program.
pub(super) struct TerminalSettings(());

/// Announces that a terminal will not show for a while what is typed.
#[cfg_attr(
    not(any(feature = "age", feature = "pgp")),
    expect(dead_code, reason = "only pass phrases are typed unseen")
)]
pub(super) fn restore_on_signal(terminal: File) -> TerminalSettings {
    listen();
    arrangements().terminal = tcgetattr(&terminal).ok().map(|settings| (terminal, settings));
    TerminalSettings(())
}

/// Waits for a signal that is on its way here to end the program.
#[cfg_attr(
    not(any(feature = "age", feature = "pgp")),
    expect(dead_code, reason = "only pass phrases are typed unseen")
)]
pub(super) fn await_signal() {
    thread::sleep(Duration::from_secs(1));
}

impl Drop for TerminalSettings {
    fn drop(&mut self) {
        arrangements().terminal = None;
    }
}

/// While it lives, signals go to a child and do not end this program.
pub(super) struct Forwarding(());

/// Starts a child that signals are handed on to, from the first moment on.
pub(super) fn forward_to(command: &mut Command) -> io::Result<(Child, Forwarding)> {
    listen();
    let mut arrangements = arrangements();
    let child = spawn(command)?;
    arrangements.child = Some((Pid::from_child(&child), Bond::Forward));
    Ok((child, Forwarding(())))
}

/// While it lives, interruptions that are typed at the terminal are left to a child.
pub(super) struct Interrupts(());

/// Starts an editor, to which it is left what Ctrl-C means: the terminal tells it too. Many editors only stop a search, and must not
/// lose their file because of that; one that dies of it ends the program. Other signals end both.
pub(super) fn leave_interrupts_to(command: &mut Command) -> io::Result<(Child, Interrupts)> {
    listen();
    let mut arrangements = arrangements();
    let child = spawn(command)?;
    arrangements.child = Some((Pid::from_child(&child), Bond::Interrupts));
    Ok((child, Interrupts(())))
}

impl Interrupts {
    /// The child ended because of it, and so does the program: in its own way, not by the same signal once more.
    pub(super) fn cancel(self) {
        arrangements().canceled = true;
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        arrangements().child = None;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        arrangements().child = None;
    }
}

/// While it lives, a signal ends the program with this line and exit code 1 (cli.md §10.1).
pub(super) struct Farewell(());

/// What a person who interrupts is told.
pub(super) fn say_on_signal(line: &'static str) -> Farewell {
    listen();
    arrangements().farewell = Some(line);
    Farewell(())
}

impl Drop for Farewell {
    fn drop(&mut self) {
        arrangements().farewell = None;
    }
}

/// While it lives, an interruption or a termination is how the program shall end: with exit code 0.
#[cfg(feature = "keyservice")]
pub(super) struct Ending(());

/// Runs until it is told to end; what is done then gets the name of the signal.
#[cfg(feature = "keyservice")]
pub(super) fn end_on_signal(last_act: impl Fn(&'static str) + Send + 'static) -> Ending {
    listen();
    arrangements().last_act = Some(Box::new(last_act));
    Ending(())
}

#[cfg(feature = "keyservice")]
impl Drop for Ending {
    fn drop(&mut self) {
        arrangements().last_act = None;
    }
}

fn arrangements() -> MutexGuard<'static, Arrangements> {
    ARRANGEMENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignored = ignored();
        let heard = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2].into_iter();
        // where signals cannot be caught they end the program at once; that is no reason not to work
        let Ok(mut signals) =
            SignalsInfo::<WithOrigin>::new(heard.filter(|signal| ignored >> (signal - 1) & 1 == 0))
        else {
            return;
        };
        let _ =
            thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(obey));
    });
}

/// The signals that whoever started us wants to be ignored (`nohup`, `&` in scripts), by their bits: a child inherits
/// that, unless we listen to them. Only Linux tells.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}

fn obey(Origin { signal, cause, .. }: Origin) {
    let arrangements = arrangements();
    if arrangements.canceled && matches!(signal, SIGINT | SIGQUIT) {
        return;
    }
    if let Some((child, bond)) = arrangements.child {
        // then it has told the child itself
        let from_terminal =
            matches!(signal, SIGINT | SIGQUIT) && matches!(cause, Cause::Kernel | Cause::Unknown);
        if let (false, Some(signal)) = (from_terminal, Signal::from_named_raw(signal)) {
            let _ = kill_process(child, signal);
        }
        match bond {
            Bond::Forward => return,
            Bond::Interrupts if from_terminal => return,
            // while it runs, it can make files anew
            Bond::Interrupts => await_end(child),
        }
    }
    // the lock is kept: nothing is made any more
    for path in &arrangements.doomed {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    if let Some((terminal, settings)) = &arrangements.terminal {
        let _ = tcsetattr(terminal, OptionalActions::Now, settings);
    }
    if let Some(line) = arrangements.farewell {
        let _ = writeln!(io::stderr(), "{line}");
        exit(1);
    }
    if let (Some(act), Some(name)) = (&arrangements.last_act, end(signal)) {
        act(name);
        exit(0);
    }
    // whoever waits sees what it died of
    let _ = emulate_default_handler(signal);
    exit(128 + signal);
}

/// The signals that tell a program to end, as the reference calls them.
fn end(signal: i32) -> Option<&'static str> {
    match signal {
        SIGINT => Some("interrupt"),
        SIGTERM => Some("terminated"),
        _ => None,
    }
}

/// Gives a child that was told to end half a second to do so. Whoever started it takes note of its end.
fn await_end(child: Pid) {
    for _ in 0..50 {
        if test_kill_process(child).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
