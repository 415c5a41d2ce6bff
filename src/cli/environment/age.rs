//! Where age identities may be (keys.md §2.4).

use std::env;
use std::path::PathBuf;

use rsops::keys::age::secrecy::SecretString;
use rsops::keys::age::{Agent, IdentitySources};

use super::{home, text};

/// The user's configuration directory, or why it is unknown (keys.md §2.4).
fn config_dir() -> Result<PathBuf, String> {
    if cfg!(windows) {
        return env::var_os("AppData")
            .map(PathBuf::from)
            .ok_or_else(|| "%AppData% is not defined".to_owned());
    }
    let xdg = env::var_os("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    match (xdg, home()) {
        (Some(xdg), _) if cfg!(target_os = "macos") || xdg.is_absolute() => Ok(xdg),
        (Some(_), _) => Err("path in $XDG_CONFIG_HOME is relative".to_owned()),
        (None, Some(home)) if cfg!(target_os = "macos") => Ok(home.join("Library/Application Support")),
        (None, Some(home)) => Ok(home.join(".config")),
        (None, None) => Err("neither $XDG_CONFIG_HOME nor $HOME are defined".to_owned()),
    }
}

/// The text of `SOPS_AGE_KEY`.
pub(in crate::cli) fn age_key_text() -> Option<SecretString> {
    text("SOPS_AGE_KEY").map(SecretString::from)
}

/// The file of age identities: that of `SOPS_AGE_KEY_FILE`, else the default one, or why there is no place for it.
pub(in crate::cli) fn age_key_file() -> Result<PathBuf, String> {
    match env::var_os("SOPS_AGE_KEY_FILE").filter(|file| !file.is_empty()) {
        Some(file) => Ok(file.into()),
        None => config_dir().map(|dir| dir.join("sops").join("age").join("keys.txt")),
    }
}

/// Where age identities may be.
pub(super) fn identity_sources() -> IdentitySources {
    IdentitySources {
        ssh_key_file: env::var_os("SOPS_AGE_SSH_PRIVATE_KEY_FILE"),
        ssh_key_cmd: env::var_os("SOPS_AGE_SSH_PRIVATE_KEY_CMD"),
        home: home(),
        key: age_key_text(),
        key_file: env::var_os("SOPS_AGE_KEY_FILE"),
        key_cmd: env::var_os("SOPS_AGE_KEY_CMD"),
        config_dir: config_dir(),
        agent: gpg_agent(),
    }
}

/// The socket of a running gpg-agent (keys.md §4.2).
fn gpg_agent() -> Option<Agent> {
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
