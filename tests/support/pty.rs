//! A program on a pseudo-terminal of its own, as a person has it.

use std::process::Command;

use rexpect::process::WaitStatus;

use rexpect::session::{Options, PtySession, spawn_with_options};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long anything may take, in milliseconds.
const PATIENCE: u64 = 30_000;

pub(crate) struct Pty {
    session: PtySession,
}

impl Pty {
    pub(crate) fn start(command: Command) -> Self {
        let options = Options::default().timeout_ms(Some(PATIENCE));
        let mut session = spawn_with_options(command, options).expect("a pseudo-terminal");
        session.process_mut().set_kill_timeout(Some(1_000));
        Self { session }
    }

    /// Waits for a text on the screen; what came before it is returned.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        self.session.exp_string(text).unwrap_or_else(|e| panic!("{text:?} does not come: {e}"))
    }

    /// What is on the screen behind what was waited for.
    pub(crate) fn rest(&mut self) -> String {
        std::iter::from_fn(|| self.session.try_read()).collect()
    }

    pub(crate) fn type_line(&mut self, text: &str) {
        self.session.send_line(text).expect("somebody reads");
    }

    /// Presses a key together with Ctrl.
    pub(crate) fn press(&mut self, key: char) {
        self.session.send_control(key).expect("somebody reads");
    }

    /// Gives the window another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let terminal = self.session.process().get_file_handle().expect("our own terminal");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("a terminal");
    }

    /// Waits for the end: what was on the screen last, and the exit status.
    pub(crate) fn end(mut self) -> (String, i32) {
        let screen = self.session.exp_eof().expect("the program ends");
        match self.session.process().wait().expect("our own child") {
            WaitStatus::Exited(_, status) => (screen, status),
            other => panic!("{other:?}: {screen}"),
        }
    }

    /// Waits until the program is gone because of a signal.
    pub(crate) fn end_by_signal(mut self) {
        let screen = self.session.exp_eof().expect("the program ends");
        match self.session.process().wait().expect("our own child") {
            WaitStatus::Signaled(..) => {}
            other => panic!("{other:?}: {screen}"),
        }
    }
}
