//! Becoming another user (`--user`, cli.md §14.1).

use std::ffi::{CString, OsString};
use std::io;

use nix::unistd::{User, setgid, setuid};

use super::error::{CommandError, ExecError};

/// The variables that tell who one is.
pub(super) type Identity = [(&'static str, OsString); 3];

/// Gives this whole program the groups and the number of the user: what it does from here on (making a file for the
/// command, removing it), it does with no more rights than the command. There is no way back.
pub(super) fn become_user(name: &str) -> Result<Identity, CommandError> {
    let failed = |error| ExecError::SwitchUser { user: name.to_owned(), error };
    let user = User::from_name(name).map_err(|error| failed(error.into()))?;
    let user = user.ok_or_else(|| ExecError::UnknownUser(name.to_owned()))?;
    switch_to(&user).map_err(failed)?;
    Ok([("HOME", user.dir.into_os_string()), ("USER", name.into()), ("LOGNAME", name.into())])
}

/// In this order: whoever is no longer root can change nothing else.
fn switch_to(user: &User) -> io::Result<()> {
    set_groups(user)?;
    setgid(user.gid)?;
    Ok(setuid(user.uid)?)
}

#[cfg(not(target_vendor = "apple"))]
fn set_groups(user: &User) -> io::Result<()> {
    let name = CString::new(user.name.as_str())?;
    Ok(nix::unistd::setgroups(&nix::unistd::getgrouplist(&name, user.gid)?)?)
}

/// Without this the command would keep the groups of root. macOS has no call for it that works.
#[cfg(target_vendor = "apple")]
fn set_groups(_: &User) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
