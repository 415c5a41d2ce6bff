//! Plugins: programs `age-plugin-<name>` that hold keys elsewhere (keys.md §2.9).
//!
//! The dialogue is ours and not the age crate's: that one reads the environment, shows plugin errors in other
//! words, and never waits for the plugin to end.

use std::fmt;
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use age_core::format::{FileKey, Stanza, grease_the_joint};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use secrecy::ExposeSecret;
use zeroize::{Zeroize, Zeroizing};

use super::recipient::PluginNameError;
use super::{bech32, envelope};
use crate::keys::Prompt;
use crate::os_error::os_text;

/// After this much silence the person is told what is being waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a plugin may take to end after its pipes are closed.
const FAREWELL: Duration = Duration::from_secs(2);
const IDENTITY_PREFIX: &str = "AGE-PLUGIN-";

/// An identity that a plugin understands. It may hold a secret.
pub(super) struct Identity {
    pub(super) name: String,
    text: Zeroizing<String>,
}

/// What is wrong with a plugin identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginIdentityError {
    /// Not Bech32.
    Bech32(bech32::Bech32Error),
    /// No `-` before the last `1`.
    NotPlugin,
    /// A name that could name another program.
    Name(String),
}

impl fmt::Display for PluginIdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bech32(error) => write!(f, "invalid identity encoding: {error}"),
            Self::NotPlugin => f.write_str("not a plugin identity: <nil>"),
            Self::Name(name) => write!(f, "invalid plugin name: {name:?}"),
        }
    }
}

/// The plugin's name in a recipient.
pub(super) fn recipient_name(text: &str) -> Result<&str, PluginNameError> {
    let decoded = bech32::decode(text).map_err(PluginNameError::Bech32)?;
    let name = decoded.hrp.strip_prefix("age1").unwrap_or_default();
    if is_name(name) { Ok(name) } else { Err(PluginNameError::Name(name.to_owned())) }
}

/// Names become file names, so nothing that could lead elsewhere.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}

impl Identity {
    /// Reads `AGE-PLUGIN-NAME-1…`.
    pub(super) fn parse(text: &str) -> Result<Self, PluginIdentityError> {
        let decoded = bech32::decode(text).map_err(PluginIdentityError::Bech32)?;
        let name = decoded.hrp.strip_prefix(IDENTITY_PREFIX).and_then(|name| name.strip_suffix('-'));
        let name = name.ok_or(PluginIdentityError::NotPlugin)?.to_lowercase();
        if !is_name(&name) {
            return Err(PluginIdentityError::Name(name));
        }
        Ok(Self { name, text: Zeroizing::new(text.to_owned()) })
    }

    /// Asks the plugin for the file key. `None`: it has none for these stanzas.
    pub(super) fn unwrap(&self, stanzas: &[Stanza], prompt: &dyn Prompt) -> Result<Option<FileKey>, String> {
        converse(&self.name, "identity-v1", prompt, |dialogue| {
            dialogue.send("add-identity", [self.text.as_str()], &[])?;
            dialogue.grease()?;
            for stanza in stanzas {
                let words = ["0", stanza.tag.as_str()].into_iter();
                let words = words.chain(stanza.args.iter().map(String::as_str));
                dialogue.send("recipient-stanza", words, &stanza.body)?;
            }
            dialogue.send("done", [], &[])?;
            let mut found = None;
            while let Some(stanza) = dialogue.next()? {
                if stanza.tag == "file-key" {
                    if stanza.args.first().map(String::as_str) != Some("0") {
                        return Err("received malformed file-key stanza".to_owned());
                    }
                    let key = envelope::file_key(stanza.body).ok_or("received malformed file-key stanza")?;
                    found = Some(key);
                    dialogue.send("ok", [], &[])?;
                } else {
                    dialogue.send("unsupported", [], &[])?;
                }
            }
            Ok(found)
        })
        .map_err(|error| format!("{} plugin: {error}", self.name))
    }
}

/// Asks the plugin to wrap the file key for one of its recipients.
pub(super) fn wrap(recipient: &str, file_key: &FileKey, prompt: &dyn Prompt) -> Result<Vec<Stanza>, String> {
    let name = recipient_name(recipient).map_err(|error| error.to_string())?;
    converse(name, "recipient-v1", prompt, |dialogue| {
        dialogue.send("add-recipient", [recipient], &[])?;
        dialogue.grease()?;
        dialogue.send("wrap-file-key", [], file_key.expose_secret())?;
        dialogue.send("extension-labels", [], &[])?;
        dialogue.send("done", [], &[])?;
        let mut stanzas = Vec::new();
        while let Some(mut stanza) = dialogue.next()? {
            match stanza.tag.as_str() {
                "recipient-stanza" => {
                    if stanza.args.len() < 2 || stanza.args[0] != "0" {
                        return Err("received malformed recipient stanza".to_owned());
                    }
                    stanza.tag = stanza.args.remove(1);
                    stanza.args.remove(0);
                    stanzas.push(stanza);
                    dialogue.send("ok", [], &[])?;
                }
                // labels restrict the company of other recipients; there is none
                "labels" => dialogue.send("ok", [], &[])?,
                _ => dialogue.send("unsupported", [], &[])?,
            }
        }
        if stanzas.is_empty() { Err("received zero recipient stanzas".to_owned()) } else { Ok(stanzas) }
    })
    .map_err(|error| format!("{name} plugin: {error}"))
}

/// Starts the plugin, holds the conversation, and sees the plugin out.
fn converse<T>(
    name: &str,
    protocol: &str,
    prompt: &dyn Prompt,
    conversation: impl FnOnce(&mut Dialogue<'_>) -> Result<T, String>,
) -> Result<T, String> {
    // private and empty: with a relative entry in PATH, nothing of the current directory is run
    let directory = tempfile::tempdir().map_err(|error| format!("couldn't start plugin: {error}"))?;
    let program = format!("age-plugin-{name}");
    let mut child = Command::new(&program)
        .arg(format!("--age-plugin={protocol}"))
        .current_dir(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| start_error(name, &program, &error))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("couldn't start plugin: no pipes".to_owned());
    };
    let result = thread::scope(|scope| {
        let (waiting, signals) = mpsc::channel();
        scope.spawn(move || {
            let mut silent = true;
            loop {
                let signal =
                    if silent { signals.recv_timeout(PATIENCE) } else { signals.recv().map_err(Into::into) };
                match signal {
                    Ok(is_waiting) => silent = is_waiting,
                    Err(RecvTimeoutError::Timeout) => {
                        prompt.message(&format!("waiting on {name} plugin..."));
                        silent = false;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        conversation(&mut Dialogue { name, prompt, stdin, stdout: BufReader::new(stdout), waiting })
    });
    see_out(&mut child);
    result
}

fn start_error(name: &str, program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "couldn't start plugin: {name:?} plugin not found: exec: {program:?}: \
             executable file not found in $PATH"
        ),
        _ => format!("couldn't start plugin: exec: {program:?}: {}", os_text(error)),
    }
}

/// Its pipes are closed now, so it should end; if it does not, it is made to.
fn see_out(child: &mut Child) {
    let end = Instant::now() + FAREWELL;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(5)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    // the result is known already: nothing depends on how the plugin ends
    let _ = child.kill();
    let _ = child.wait();
}

struct Dialogue<'a> {
    name: &'a str,
    prompt: &'a dyn Prompt,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Tells the watcher whether the plugin is being waited for.
    waiting: Sender<bool>,
}

impl Dialogue<'_> {
    fn send<'w>(
        &mut self,
        tag: &str,
        words: impl IntoIterator<Item = &'w str>,
        body: &[u8],
    ) -> Result<(), String> {
        let mut text = Zeroizing::new(Vec::new());
        envelope::write_stanza(&mut text, tag, words, body);
        let sent = self.stdin.write_all(&text).and_then(|()| self.stdin.flush());
        sent.map_err(|error| os_text(&error))
    }

    /// Sometimes a command that no plugin knows, so that plugins keep ignoring them.
    fn grease(&mut self) -> Result<(), String> {
        let mut dice = [0; 1];
        if getrandom::fill(&mut dice).is_ok() && dice[0] < 26 {
            let stanza = grease_the_joint();
            self.send(&stanza.tag, stanza.args.iter().map(String::as_str), &stanza.body)?;
        }
        Ok(())
    }

    /// The next command that is not about the person; `None` when the plugin is done.
    fn next(&mut self) -> Result<Option<Stanza>, String> {
        loop {
            let mut stanza = self.receive()?;
            match stanza.tag.as_str() {
                "done" => return Ok(None),
                "error" => {
                    let text = String::from_utf8_lossy(&stanza.body).into_owned();
                    self.send("ok", [], &[])?;
                    return Err(text);
                }
                "msg" => {
                    let text = String::from_utf8_lossy(&stanza.body).into_owned();
                    self.prompt.message(&format!("{} plugin: {text}", self.name));
                    self.send("ok", [], &[])?;
                }
                "request-secret" => {
                    let answer = self.prompt.passphrase(&String::from_utf8_lossy(&stanza.body));
                    match answer {
                        Ok(secret) => self.send("ok", [], secret.expose_secret().as_bytes())?,
                        Err(reason) => self.fail(&reason)?,
                    }
                }
                "request-public" => {
                    let answer = self.prompt.read_public(&String::from_utf8_lossy(&stanza.body));
                    match answer {
                        Ok(text) => self.send("ok", [], text.as_bytes())?,
                        Err(reason) => self.fail(&reason)?,
                    }
                }
                "confirm" => match self.confirm(&stanza)? {
                    Ok(true) => self.send("ok", ["yes"], &[])?,
                    Ok(false) => self.send("ok", ["no"], &[])?,
                    Err(reason) => self.fail(&reason)?,
                },
                _ => return Ok(Some(stanza)),
            }
            stanza.body.zeroize();
        }
    }

    fn confirm(&self, stanza: &Stanza) -> Result<Result<bool, String>, String> {
        let label = |word: &String| {
            let text = BASE64_STANDARD_NO_PAD.decode(word).ok().and_then(|text| String::from_utf8(text).ok());
            text.ok_or_else(|| "received malformed confirm stanza".to_owned())
        };
        let labels = stanza.args.iter().take(2).map(label).collect::<Result<Vec<_>, _>>()?;
        let text = String::from_utf8_lossy(&stanza.body);
        match labels.as_slice() {
            [] => Err("received malformed confirm stanza".to_owned()),
            [yes] => Ok(self.prompt.confirm(&text, yes, None)),
            [yes, no, ..] => Ok(self.prompt.confirm(&text, yes, Some(no))),
        }
    }

    fn fail(&mut self, reason: &str) -> Result<(), String> {
        let name = self.name;
        self.prompt.message(&format!("warning: could not read value for age-plugin-{name}: {reason}"));
        self.send("fail", [], &[])
    }

    fn receive(&mut self) -> Result<Stanza, String> {
        // a watcher that is gone cannot be told, and need not be
        let _ = self.waiting.send(true);
        let stanza = envelope::read_line(&mut self.stdout)
            .map_err(envelope::StanzaError::from)
            .and_then(|line| envelope::read_stanza(&line, &mut self.stdout));
        let _ = self.waiting.send(false);
        stanza.map_err(|error| match error {
            envelope::StanzaError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                "the plugin ended before it was done".to_owned()
            }
            error => error.to_string(),
        })
    }
}
