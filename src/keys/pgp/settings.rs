//! Where GnuPG and its files are, as the command line found it.

use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::{User, getuid};

use crate::keys::Agent;

/// What the environment says of GnuPG.
#[derive(Default)]
pub struct PgpSettings {
    /// Where its keyring files are.
    pub home: GnupgHome,
    /// `SOPS_GPG_EXEC`, if it is not empty: a name or a path, taken as it is.
    pub program: Option<OsString>,
    /// `PATH`, in which that name is looked up.
    pub search_path: Option<OsString>,
    /// gpg-agent, asked for the pass phrases of keys in keyring files. `None` if the user has said that there is none.
    pub agent: Option<Agent>,
}

/// The folder of keyring files (keys.md §3.2). `gpg` finds its own.
#[derive(Default)]
pub struct GnupgHome {
    /// `GNUPGHOME`, if it is not empty.
    pub variable: Option<PathBuf>,
    /// `HOME`, if it is not empty, for users whom the system does not know.
    pub home: Option<PathBuf>,
}

impl GnupgHome {
    /// The folder. The user database is asked only if the variable does not say.
    pub(super) fn folder(&self) -> PathBuf {
        if let Some(folder) = &self.variable {
            return folder.clone();
        }
        let user = User::from_uid(getuid()).ok().flatten();
        let home = user.map(|user| user.dir).filter(|home| !home.as_os_str().is_empty());
        home.or_else(|| self.home.clone()).unwrap_or_default().join(".gnupg")
    }
}

#[cfg(test)]
mod tests {
    use super::GnupgHome;

    #[test]
    fn the_variable_comes_first() {
        let given = GnupgHome { variable: Some("relative".into()), home: Some("/home".into()) };
        assert_eq!(given.folder().to_str(), Some("relative"));
        let default = GnupgHome { variable: None, home: Some("/home".into()) };
        assert!(default.folder().is_absolute() && default.folder().ends_with(".gnupg"));
    }
}
