//! GnuPG (keys.md §3.2, §3.6).

use std::env;
use std::path::PathBuf;

use rsops::keys::{GnupgHome, PgpSettings};

use super::{agent, home};

/// What the environment says of GnuPG.
pub(super) fn settings() -> PgpSettings {
    let given = |name| env::var_os(name).filter(|value| !value.is_empty());
    PgpSettings {
        home: GnupgHome { variable: given("GNUPGHOME").map(PathBuf::from), home: home() },
        program: given("SOPS_GPG_EXEC"),
        search_path: env::var_os("PATH"),
        agent: agent::gpg_agent(),
    }
}
