//! The person at the terminal (keys.md §4.1). Standard input and output stay free for pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::sync::Arc;

use rsops::keys::Prompt;
use rsops::keys::secrecy::SecretString;

use super::error::os_text;
use super::prompt::wait_for_turn;
use super::signals::{await_signal, restore_on_signal};
use super::ui::{Component, Ui};

/// Asks on `/dev/tty`.
pub(super) struct Terminal {
    ui: Arc<Ui>,
}

impl Terminal {
    pub(super) fn new(ui: Arc<Ui>) -> Self {
        Self { ui }
    }

    fn open(&self) -> Result<File, String> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|error| {
            let reason = os_text(&error);
            format!(
                "standard input is not a terminal, and /dev/tty is not available: open /dev/tty: {reason}"
            )
        })
    }

    fn ask(&self, question: &str) -> Result<String, String> {
        let _turn = wait_for_turn();
        let mut tty = self.open()?;
        let failed = |error: std::io::Error| os_text(&error);
        write!(tty, "{question} ").and_then(|()| tty.flush()).map_err(failed)?;
        let mut line = String::new();
        BufReader::new(tty).read_line(&mut line).map_err(failed)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Prompt for Terminal {
    fn passphrase(&self, question: &str) -> Result<SecretString, String> {
        let _turn = wait_for_turn();
        let mut tty = self.open()?;
        let failed = |error: std::io::Error| os_text(&error);
        write!(tty, "{question} ").and_then(|()| tty.flush()).map_err(failed)?;
        let settings = restore_on_signal(tty.try_clone().map_err(failed)?);
        let answer = rpassword::read_password();
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
            // it has raised the signal that Ctrl-C stands for
            await_signal();
        }
        drop(settings);
        let answer = answer.map_err(failed)?;
        // the question goes away again
        let _ = write!(tty, "\r\n\x1b[F\x1b[K");
        Ok(SecretString::from(answer))
    }

    fn read_public(&self, question: &str) -> Result<String, String> {
        self.ask(question)
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Result<bool, String> {
        let Some(no) = no else {
            self.ask(&format!("{question} (press enter for \"{yes}\")"))?;
            return Ok(true);
        };
        loop {
            match self.ask(&format!("{question} (press [1] for \"{yes}\" or [2] for \"{no}\")"))?.as_str() {
                "1" => return Ok(true),
                "2" => return Ok(false),
                _ => {}
            }
        }
    }

    fn message(&self, text: &str) {
        self.ui.note(&format!("age: {text}"));
    }

    fn remark(&self, text: &str) {
        self.ui.info(Component::Pgp, text, &[]);
    }

    fn warn(&self, text: &str) {
        self.ui.warn(Component::Age, text, &[]);
    }
}
