//! The small part of gpg-agent's protocol that keeps pass phrases (keys.md §4.2).

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::os_error::os_text;

/// Where gpg-agent is and what it must know about the terminal. The command line finds out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The socket, as keys.md §4.2 finds it.
    pub socket: PathBuf,
    /// `DISPLAY`, if it is not empty.
    pub display: Option<String>,
    /// The terminal's device, if known.
    pub tty_name: Option<String>,
    /// `TERM`.
    pub tty_type: String,
}

/// What an agent answered instead of a pass phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AgentError {
    /// There is none to talk to, and why.
    Unreachable(String),
    /// The person declined.
    Cancel,
    /// Nothing to show and nothing kept.
    NoData,
    /// An option was refused.
    Option(String),
    /// Any other line, or a failure of the connection.
    Other(String),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => f.write_str(reason),
            Self::Cancel => f.write_str("gpgagent: Cancel"),
            Self::NoData => f.write_str("GPG_ERR_NO_DATA cache miss"),
            Self::Option(line) => write!(f, "gpgagent: response to OPTION was {line}"),
            Self::Other(line) => f.write_str(line),
        }
    }
}

impl std::error::Error for AgentError {}

/// What to ask for.
pub(super) struct Request<'a> {
    pub(super) cache_key: &'a str,
    pub(super) prompt: &'a str,
    pub(super) description: &'a str,
}

impl Agent {
    /// Asks for a pass phrase.
    pub(super) fn get(&self, request: &Request<'_>) -> Result<SecretString, AgentError> {
        let mut connection = Connection::open(self)?;
        connection.options(self)?;
        connection.passphrase(request)
    }

    /// Makes the agent forget, so that a wrong pass phrase is not given again.
    pub(super) fn forget(&self, cache_key: &str) -> Result<(), AgentError> {
        let mut connection = Connection::open(self)?;
        let answer = connection.command(&format!("CLEAR_PASSPHRASE {}", form_encode(cache_key)))?;
        if answer.starts_with("OK") { Ok(()) } else { Err(AgentError::Other(answer.to_string())) }
    }
}

#[cfg(unix)]
type Socket = std::os::unix::net::UnixStream;
/// No Unix sockets: there is never an agent.
#[cfg(not(unix))]
type Socket = std::io::Empty;

struct Connection(std::io::BufReader<Socket>);

impl Connection {
    #[cfg(unix)]
    fn open(agent: &Agent) -> Result<Self, AgentError> {
        let unreachable =
            |reason: &str| AgentError::Unreachable(format!("dial unix {}: {reason}", agent.socket.display()));
        let failed = |error: std::io::Error| unreachable(&os_text(&error));
        let mut connection = Self(std::io::BufReader::new(Socket::connect(&agent.socket).map_err(failed)?));
        let greeting = connection.answer().map_err(failed)?;
        if greeting.starts_with("OK") {
            Ok(connection)
        } else {
            Err(unreachable(&format!("it says {:?}", greeting.trim_end())))
        }
    }

    #[cfg(not(unix))]
    fn open(_: &Agent) -> Result<Self, AgentError> {
        Err(AgentError::Unreachable("there are no sockets for it on this system".to_owned()))
    }

    fn options(&mut self, agent: &Agent) -> Result<(), AgentError> {
        let display = agent.display.as_deref().filter(|display| !display.is_empty());
        let options = [
            display.map(|value| ("display", value)),
            agent.tty_name.as_deref().map(|value| ("ttyname", value)),
            Some(("ttytype", agent.tty_type.as_str())),
        ];
        for (name, value) in options.into_iter().flatten() {
            let answer = self.command(&format!("OPTION {name}={value}"))?;
            if !answer.starts_with("OK") {
                return Err(AgentError::Option(answer.to_string()));
            }
        }
        Ok(())
    }

    fn passphrase(&mut self, request: &Request<'_>) -> Result<SecretString, AgentError> {
        let [key, prompt, description] =
            [request.cache_key, request.prompt, request.description].map(form_encode);
        let answer = self.command(&format!("GET_PASSPHRASE {key} X {prompt} {description}"))?;
        if let Some(hex) = answer.strip_prefix("OK") {
            // the answer is not repeated in the error: it is the pass phrase
            let text = from_hex(hex.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
            return text
                .map(SecretString::from)
                .ok_or_else(|| AgentError::Other("the pass phrase is not hexadecimal UTF-8".to_owned()));
        }
        Err(match answer.split_ascii_whitespace().take(2).collect::<Vec<_>>()[..] {
            ["ERR", "83886179"] => AgentError::Cancel,
            ["ERR", "67108922"] => AgentError::NoData,
            _ => AgentError::Other(answer.to_string()),
        })
    }

    /// Sends a line and waits for its answer, newline included.
    fn command(&mut self, line: &str) -> Result<Zeroizing<String>, AgentError> {
        use std::io::Write;
        let failed = |error: std::io::Error| AgentError::Other(os_text(&error));
        // a line break in an option would begin another command
        let line = format!("{}\n", line.replace(['\n', '\r'], ""));
        self.0.get_mut().write_all(line.as_bytes()).map_err(failed)?;
        self.answer().map_err(failed)
    }

    fn answer(&mut self) -> std::io::Result<Zeroizing<String>> {
        use std::io::BufRead;
        let mut line = Zeroizing::new(String::with_capacity(1024));
        match self.0.read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

fn form_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::{form_encode, from_hex};

    #[test]
    fn arguments_are_form_encoded() {
        assert_eq!(form_encode("Enter 'x': é"), "Enter+%27x%27%3A+%C3%A9");
        assert_eq!(from_hex("6f4B"), Some(b"oK".to_vec()));
        assert_eq!((from_hex("6"), from_hex("zz"), from_hex("")), (None, None, Some(Vec::new())));
    }
}
