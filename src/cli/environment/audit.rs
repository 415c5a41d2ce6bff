//! Where the audit log is (publish-audit.md §B1).

use std::env;
use std::path::PathBuf;

/// A file with more databases than `/etc/sops/audit.yaml` has; empty is none.
pub(in crate::cli) fn audit_config() -> Option<PathBuf> {
    env::var_os("SOPS_AUDIT_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

#[cfg(feature = "audit")]
pub(in crate::cli) use self::libpq::audit_defaults;

#[cfg(feature = "audit")]
mod libpq {
    use rsops::audit::Defaults;
    use zeroize::Zeroizing;

    use crate::cli::environment::{home, text};

    /// The variables of libpq, by the names that connection strings have for them.
    const VARIABLES: &[(&str, &str)] = &[
        ("PGAPPNAME", "application_name"),
        ("PGCHANNELBINDING", "channel_binding"),
        ("PGCONNECT_TIMEOUT", "connect_timeout"),
        ("PGDATABASE", "dbname"),
        ("PGHOST", "host"),
        ("PGHOSTADDR", "hostaddr"),
        ("PGOPTIONS", "options"),
        ("PGPASSFILE", "passfile"),
        ("PGPASSWORD", "password"),
        ("PGPORT", "port"),
        ("PGSSLCERT", "sslcert"),
        ("PGSSLKEY", "sslkey"),
        ("PGSSLMODE", "sslmode"),
        ("PGSSLROOTCERT", "sslrootcert"),
        ("PGTARGETSESSIONATTRS", "target_session_attrs"),
        ("PGUSER", "user"),
    ];

    /// What holds where a connection string says nothing.
    pub(in crate::cli) fn audit_defaults(user: Option<String>) -> Defaults {
        let values =
            VARIABLES.iter().filter_map(|(variable, name)| Some((*name, Zeroizing::new(text(variable)?))));
        Defaults { parameters: values.collect(), home: home(), user }
    }
}
