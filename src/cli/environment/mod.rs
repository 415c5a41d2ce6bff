//! The environment variables that no flag reads (cli.md §17).

#[cfg(feature = "age")]
mod age;
#[cfg(any(feature = "age", feature = "pgp"))]
mod agent;
mod audit;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "huawei")]
mod huawei;
#[cfg(feature = "pgp")]
mod pgp;
#[cfg(feature = "publish")]
mod publish;
#[cfg(feature = "vault")]
mod vault;

use std::env;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "publish")]
pub(super) use publish::{publish_settings, vault_address};
use rsops::keys::{Limits, Settings};

#[cfg(feature = "age")]
pub(super) use self::age::{age_key_file, age_key_files, age_key_text, has_age_key_command};
pub(super) use self::audit::audit_config;
#[cfg(feature = "audit")]
pub(super) use self::audit::audit_defaults;
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
#[cfg(any(
    feature = "age",
    feature = "audit",
    feature = "gcp",
    feature = "huawei",
    feature = "pgp",
    feature = "vault"
))]
fn home() -> Option<std::path::PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    env::var_os(name).filter(|home| !home.is_empty()).map(Into::into)
}

/// How long servers may take.
pub(super) fn limits() -> Result<Limits, CommandError> {
    match text("SOPS_KMS_TIMEOUT").filter(|limit| !limit.is_empty()) {
        Some(limit) => Limits::parse(&limit).map_err(CommandError::Limits),
        None => Ok(Limits::default()),
    }
}

/// What this machine has to wrap and unwrap with. Nothing is looked at that no key asks for.
#[cfg_attr(not(any(feature = "age", feature = "pgp")), expect(unused_variables, reason = "nobody is asked"))]
pub(super) fn settings(ui: &Arc<Ui>) -> Result<Settings, CommandError> {
    let limits = limits()?;
    Ok(Settings {
        limits,
        #[cfg(feature = "age")]
        age: age::identity_sources(),
        #[cfg(feature = "pgp")]
        pgp: pgp::settings(),
        #[cfg(any(feature = "age", feature = "pgp"))]
        prompt: Arc::new(super::terminal::Terminal::new(ui.clone())),
        #[cfg(feature = "gcp")]
        gcp_kms: gcp::settings(),
        #[cfg(feature = "aws")]
        aws: aws::settings(),
        #[cfg(feature = "azure")]
        azure: Arc::new(rsops::keys::AzureVaults::new(azure::credentials(), limits)),
        #[cfg(feature = "vault")]
        vault: vault::settings(),
        #[cfg(feature = "huawei")]
        huawei: huawei::settings(),
    })
}
