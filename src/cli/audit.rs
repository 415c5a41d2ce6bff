//! The audit log of the running command (publish-audit.md §B): opened before anything else is done, written to before
//! values are encrypted or decrypted.

use std::fs;
use std::path::Path;

use rsops::config::AuditConfig;
use zeroize::Zeroizing;

use self::databases::connect;
pub(super) use self::databases::record;
use super::environment::audit_config;
use super::error::{AuditError, CommandError};

/// The file of the administrator.
const FILE: &str = "/etc/sops/audit.yaml";

/// Connects to the databases that `/etc/sops/audit.yaml` names, and to those of the file in `SOPS_AUDIT_CONFIG`.
///
/// The first file may be missing or unreadable, as in the reference. Our variable adds to it: no variable shall switch
/// off what the administrator has set up. Whoever sets it means it, so that file must be there.
pub(super) fn open() -> Result<(), CommandError> {
    if let Ok(bytes) = fs::read(FILE) {
        open_file(Path::new(FILE), &Zeroizing::new(bytes))?;
    }
    match audit_config() {
        Some(path) if path != Path::new(FILE) => {
            let bytes =
                fs::read(&path).map_err(|error| AuditError::Unreadable { path: path.clone(), error })?;
            open_file(&path, &Zeroizing::new(bytes))
        }
        _ => Ok(()),
    }
}

fn open_file(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let config =
        AuditConfig::parse(bytes).map_err(|error| AuditError::Config { path: path.to_owned(), error })?;
    if config.postgres.is_empty() { Ok(()) } else { connect(path, &config) }
}

#[cfg(feature = "audit")]
mod databases {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    use nix::unistd::{User, getuid};
    use rsops::audit::{Database, Event, Failure, Record, connect as connect_all};
    use rsops::config::AuditConfig;

    use crate::cli::environment::audit_defaults;
    use crate::cli::error::{AuditError, CommandError, os_text};
    use crate::cli::place::{Input, Place, current_directory};
    use crate::cli::ui::{Component, Ui};

    /// Those that are connected, in the order in which they are named.
    static DATABASES: Mutex<Vec<Database>> = Mutex::new(Vec::new());

    pub(super) fn connect(path: &Path, config: &AuditConfig) -> Result<(), CommandError> {
        let defaults = audit_defaults(user_name().ok());
        let databases = connect_all(config.postgres.iter().map(|string| string.as_str()), &defaults)
            .map_err(|failures| not_connected(path, &failures))?;
        DATABASES.lock().unwrap_or_else(PoisonError::into_inner).extend(databases);
        Ok(())
    }

    fn not_connected(path: &Path, failures: &[Failure]) -> AuditError {
        let ui = Ui::new(false);
        let defined = format!("connecting to audit database, defined in {}", path.display());
        ui.error(Component::Audit, &defined, &[]);
        for Failure { database, reason, .. } in failures {
            let text = format!("connectStr: {database}, err: Pinging audit database failed: {reason}");
            ui.error(Component::Audit, &text, &[]);
        }
        AuditError::Backends { hint: failures.iter().find_map(|failure| failure.hint) }
    }

    /// Tells all databases what is about to be done with the file of a command. If one does not take it, it must not be
    /// done.
    pub(in crate::cli) fn record(place: &Place, event: Event) -> Result<(), CommandError> {
        let databases = DATABASES.lock().unwrap_or_else(PoisonError::into_inner);
        if databases.is_empty() {
            return Ok(());
        }
        let user = user_name().map_err(AuditError::User)?;
        // of standard input all that is known is where it was read
        let file = match &place.input {
            Input::File(path) => path.clone(),
            Input::Stdin => current_directory()?,
        };
        let record = Record { event, user: &user, file: &file.to_string_lossy() };
        for database in databases.iter() {
            let text = format!("Saving {} event to database", event.name());
            place.ui.debug(Component::Audit, &text, &[("file", record.file)]);
            database
                .record(&record)
                .map_err(|failure| AuditError::Insert { reason: failure.reason, hint: failure.hint })?;
        }
        Ok(())
    }

    /// Who runs this according to the system; variables could say anything.
    fn user_name() -> Result<String, String> {
        let id = getuid();
        match User::from_uid(id) {
            Ok(Some(user)) => Ok(user.name),
            Ok(None) => Err(format!("user: unknown userid {id}")),
            Err(error) => Err(os_text(&error.into())),
        }
    }
}

#[cfg(not(feature = "audit"))]
mod databases {
    use std::path::Path;

    use rsops::audit::Event;
    use rsops::config::AuditConfig;

    use crate::cli::error::{AuditError, CommandError};
    use crate::cli::place::Place;

    /// Whoever wants an audit log shall not believe that there is one.
    pub(super) fn connect(path: &Path, _: &AuditConfig) -> Result<(), CommandError> {
        Err(AuditError::Unsupported(path.to_owned()).into())
    }

    /// Nobody wants to know.
    pub(in crate::cli) fn record(_: &Place, _: Event) -> Result<(), CommandError> {
        Ok(())
    }
}
