//! Names of files as words for the shell.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A path as a word for the shell: what is copied from a finding names the file, whatever its name is.
pub(super) fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    // it is no flag
    let start = if bytes.starts_with(b"-") { "./" } else { "" };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    match path.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => format!("{start}{text}"),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{start}{}'", text.replace('\'', "'\\''"))
        }
        _ => format!("$'{start}{}'", bytes.iter().map(|byte| escaped(*byte)).collect::<String>()),
    }
}

/// A byte between `$'` and `'`.
fn escaped(byte: u8) -> String {
    match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_name_becomes_one_word() {
        for (name, word) in [
            (&b"a/b-c.yaml"[..], "a/b-c.yaml"),
            ("über.yaml".as_bytes(), "über.yaml"),
            (b"-i", "./-i"),
            (b"-a b", "'./-a b'"),
            (b"it's", "'it'\\''s'"),
            (b"$HOME", "'$HOME'"),
            (b"a\nb'c", "$'a\\x0ab\\'c'"),
            (b"\xff", "$'\\xff'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(name))), word);
        }
    }
}
