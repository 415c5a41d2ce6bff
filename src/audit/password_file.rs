//! `~/.pgpass`: lines of `host:port:database:user:password`.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

/// For whom a password is wanted.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of the first line that fits. A file that others may read is passed over, as libpq does.
pub(super) fn password(file: &Path, login: &Login<'_>) -> Option<Zeroizing<String>> {
    if !is_private(file) {
        return None;
    }
    let text = Zeroizing::new(fs::read_to_string(file).ok()?);
    text.lines().find_map(|line| password_in(line, login))
}

#[cfg(unix)]
fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(file: &Path) -> bool {
    file.is_file()
}

fn password_in(line: &str, login: &Login<'_>) -> Option<Zeroizing<String>> {
    if line.starts_with('#') {
        return None;
    }
    // sockets go by the name of the machine
    let host = if login.host.starts_with('/') { "localhost" } else { login.host };
    let mut rest = line;
    for wanted in [host, login.port, login.database, login.user] {
        let (field, after) = field(rest);
        if *field != "*" && *field != wanted {
            return None;
        }
        rest = after?;
    }
    Some(field(rest).0)
}

/// Up to the next colon, and what comes behind it; `\` takes a colon or itself in.
fn field(text: &str) -> (Zeroizing<String>, Option<&str>) {
    let mut field = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ':' => return (field, Some(&text[at + 1..])),
            '\\' => field.extend(characters.next().map(|(_, escaped)| escaped)),
            c => field.push(c),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_must_fit() {
        let login = |host| Login { host, port: "5432", database: "audit", user: "so:ps" };
        let password = |line, host| password_in(line, &login(host)).map(|password| password.to_string());
        for (line, expected) in [
            (r"db:5432:audit:so\:ps:p", Some("p")),
            (r"*:*:*:*:p\:\\q", Some(r"p:\q")),
            ("*:*:*:*:", Some("")),
            ("*:*:*:*", None),
            ("*:*:*:other:p", None),
            ("dc:*:*:*:p", None),
            ("#*:*:*:*:p", None),
            ("", None),
        ] {
            assert_eq!(password(line, "db").as_deref(), expected, "{line}");
        }
        assert_eq!(password("localhost:*:*:*:p", "/run/postgresql").as_deref(), Some("p"));
    }
}
