//! The environment variables that no flag reads (cli.md §17).

#[cfg(feature = "age")]
mod age;
#[cfg(feature = "huawei")]
mod huawei;
#[cfg(feature = "publish")]
mod publish;
#[cfg(feature = "vault")]
mod vault;

use std::env;
use std::path::Path;
#[cfg(any(feature = "age", feature = "huawei", feature = "vault"))]
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "publish")]
pub(super) use publish::{publish_settings, vault_address};
use rsops::keys::{Limits, Settings};

use super::error::CommandError;
use super::ui::Ui;

/// A variable that is text; others count as not there.
pub(super) fn text(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The name by which the program was called: `sops` for a link or a copy of that name, else its own (policy.md §1).
pub(super) fn program() -> &'static str {
    let path = env::args_os().next().unwrap_or_default();
    if Path::new(&path).file_stem().is_some_and(|name| name == "sops") { "sops" } else { "rsops" }
}

/// Commands to type, with the name by which the program was called.
pub(super) fn as_called(text: &str) -> String {
    let program = program();
    text.replace("`rsops ", &format!("`{program} ")).replace("(rsops ", &format!("({program} "))
}

/// The home directory, if the environment knows one.
#[cfg(any(feature = "age", feature = "huawei", feature = "vault"))]
fn home() -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    env::var_os(name).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// What this machine has to wrap and unwrap with. Nothing is looked at that no key asks for.
#[cfg_attr(not(feature = "age"), expect(unused_variables, reason = "nobody is asked"))]
pub(super) fn settings(ui: &Arc<Ui>) -> Result<Settings, CommandError> {
    let limits = match text("SOPS_KMS_TIMEOUT").filter(|limit| !limit.is_empty()) {
        Some(limit) => Limits::parse(&limit).map_err(CommandError::Limits)?,
        None => Limits::default(),
    };
    Ok(Settings {
        limits,
        #[cfg(feature = "age")]
        age: age::identity_sources(),
        #[cfg(feature = "age")]
        prompt: Arc::new(super::terminal::Terminal::new(ui.clone())),
        #[cfg(feature = "vault")]
        vault: vault::settings(),
        #[cfg(feature = "huawei")]
        huawei: huawei::settings(),
    })
}
