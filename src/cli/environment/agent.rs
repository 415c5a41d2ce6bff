//! gpg-agent (keys.md §4.2).

use std::env;
use std::path::PathBuf;

use rsops::keys::Agent;

use super::{home, text};

/// The socket of a running gpg-agent (keys.md §4.2).
pub(super) fn gpg_agent() -> Option<Agent> {
    let socket = match text("GPG_AGENT_INFO") {
        Some(info) => {
            let path = info.split(':').next().unwrap_or_default().to_owned();
            if path.is_empty() {
                return None;
            }
            PathBuf::from(path)
        }
        None => {
            let own = home()?.join(".gnupg/S.gpg-agent");
            match env::var_os("XDG_RUNTIME_DIR") {
                Some(runtime) if !own.exists() => PathBuf::from(runtime).join("gnupg/S.gpg-agent"),
                _ => own,
            }
        }
    };
    Some(Agent {
        socket,
        display: text("DISPLAY").filter(|display| !display.is_empty()),
        tty_name: std::fs::read_link("/proc/self/fd/0").ok().map(|tty| tty.to_string_lossy().into_owned()),
        tty_type: text("TERM").unwrap_or_default(),
    })
}
