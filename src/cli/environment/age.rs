//! Where age identities may be (keys.md §2.4).

use std::env;
use std::path::PathBuf;

use rsops::keys::age::IdentitySources;
use rsops::keys::secrecy::SecretString;

use super::{agent, home, text};

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
    named_key_file().map_or_else(default_key_file, Ok)
}

/// Every file that may hold age identities, there or not.
pub(in crate::cli) fn age_key_files() -> Vec<PathBuf> {
    named_key_file().into_iter().chain(default_key_file().ok()).collect()
}

/// Whether a command prints identities.
pub(in crate::cli) fn has_age_key_command() -> bool {
    env::var_os("SOPS_AGE_KEY_CMD").is_some_and(|command| !command.is_empty())
}

fn named_key_file() -> Option<PathBuf> {
    env::var_os("SOPS_AGE_KEY_FILE").filter(|file| !file.is_empty()).map(PathBuf::from)
}

fn default_key_file() -> Result<PathBuf, String> {
    config_dir().map(|dir| dir.join("sops").join("age").join("keys.txt"))
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
        agent: agent::gpg_agent(),
    }
}
