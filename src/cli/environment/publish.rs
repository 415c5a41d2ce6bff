//! Variables of storages that are not left to their libraries.

use rsops::publish::Settings;

use super::{aws, gcp, limits, text, vault};

/// How storages are reached.
pub(in crate::cli) fn publish_settings() -> Settings {
    let set = |name: &str| text(name).filter(|value| !value.is_empty());
    Settings {
        limits: limits().unwrap_or_default(),
        aws: aws::settings(),
        gcp: gcp::settings().credentials,
        vault: vault::settings(),
        gcs_emulator: set("STORAGE_EMULATOR_HOST"),
    }
}

/// Where Vault is if the rule does not say (publish-audit.md A7).
pub(in crate::cli) fn vault_address() -> String {
    text("VAULT_ADDR")
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "https://127.0.0.1:8200".to_owned())
}
