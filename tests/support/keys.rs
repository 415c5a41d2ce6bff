//! The throwaway keys of `tests/fixtures/keys`, by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const AGE_IDENTITY: &str = "AGE-SECRET-KEY-";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture("keys").join(name)).unwrap_or_else(|e| panic!("no test key {name}: {e}"))
}

/// The public half of an age key: the comment in front of the identity.
pub(crate) fn recipient(name: &str) -> String {
    let text = read(&format!("{name}.txt"));
    let (_, rest) = text.split_once("public key: ").expect("a comment with the recipient");
    rest.lines().next().expect("a line").trim().to_owned()
}

/// A `.sops.yaml` with one rule: these groups of age keys, of which so many are needed; 0 leaves the number out.
pub(crate) fn rule(threshold: usize, groups: &[&[&str]]) -> Vec<u8> {
    let mut text = "creation_rules:\n  - key_groups:\n".to_owned();
    for group in groups {
        let recipients: Vec<String> = group.iter().map(|name| recipient(name)).collect();
        text += &format!("      - age: [{}]\n", recipients.join(", "));
    }
    if threshold > 0 {
        text += &format!("    shamir_threshold: {threshold}\n");
    }
    text.into_bytes()
}

/// The identities as `SOPS_AGE_KEY` takes them; names of other kinds are passed over.
pub(crate) fn age_identities(names: &[String]) -> Option<String> {
    let mut lines = Vec::new();
    for name in names.iter().filter(|name| name.starts_with("age-")) {
        let text = read(&format!("{name}.txt"));
        lines.extend(text.lines().filter(|line| line.starts_with(AGE_IDENTITY)).map(str::to_owned));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A private copy of the first ssh key among the names: ssh programs want nobody else to read it.
pub(crate) fn ssh_key(names: &[String], folder: &Path) -> Option<PathBuf> {
    let name = names.iter().find(|name| name.starts_with("ssh-"))?;
    let copy = folder.join(name);
    fs::write(&copy, read(name)).expect("a writable folder");
    make_private(&copy, 0o600);
    Some(copy)
}

/// Makes a GnuPG home that holds exactly the PGP keys among the names (`pgp-x` secret, `pgp-x.pub` public).
pub(crate) fn fill_gnupg_home(names: &[String], home: &Path) {
    for name in names.iter().filter(|name| name.starts_with("pgp-")) {
        let key = fixture("keys").join(format!("{name}.asc"));
        import(&key, home);
    }
}

/// Imports without caring for gpg's warnings, which are many.
pub(crate) fn import(key: &Path, home: &Path) {
    let status =
        quiet("gpg").arg("--homedir").arg(home).args(["--batch", "--quiet", "--import"]).arg(key).status();
    assert!(status.is_ok_and(|status| status.success()), "gpg cannot import {}", key.display());
}

/// Ends the agent that GnuPG leaves behind for every home.
pub(crate) fn stop_gnupg(home: &Path) {
    // where there is no gpgconf there is no agent
    let _ = quiet("gpgconf").arg("--homedir").arg(home).args(["--kill", "all"]).status();
}

fn quiet(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(unix)]
pub(crate) fn make_private(path: &Path, mode: u32) {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
}

#[cfg(not(unix))]
pub(crate) fn make_private(_: &Path, _: u32) {}
