//! A run that is not only waited for: it is listened to, and gets signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::scratch::Call;

const PATIENCE: Duration = Duration::from_secs(60);

/// How signals are called, the signals, and their numbers for exit statuses.
pub(crate) const SIGNALS: [(&str, Signal, i32); 3] =
    [("HUP", Signal::HUP, 1), ("INT", Signal::INT, 2), ("TERM", Signal::TERM, 15)];

pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it in a process group of its own: no terminal sends signals there, whoever runs the tests.
    pub(crate) fn start(call: &Call<'_>) -> Self {
        let mut command = call.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child =
            command.spawn().unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line on stdout, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our child, which nobody has waited for");
    }

    /// The rest of stdout, and the exit status; `None` if it died of a signal.
    pub(crate) fn end(mut self) -> (String, Option<i32>) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            if started.elapsed() > PATIENCE {
                self.child.kill().expect("our child");
                panic!("it still runs after {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(1));
        };
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(status.signal().is_none(), status.code().is_some());
        (rest, status.code())
    }
}
