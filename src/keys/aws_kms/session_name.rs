//! How a session of an assumed role is called (keys.md §5.4).

use nix::unistd::gethostname;

/// As long as STS allows.
const LONGEST: usize = 64;

/// `sops@` and the name of this machine. Policies may go by it.
pub(super) fn session_name() -> Result<String, String> {
    let host =
        gethostname().map_err(|error| format!("failed to construct STS session name: {}", error.desc()))?;
    Ok(named(&host.to_string_lossy()))
}

/// Hyphens go: in the reference one that should be allowed stands for the range from `@` to `_`.
fn named(host: &str) -> String {
    let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "=,.@[\\]^_".contains(*c);
    "sops@".chars().chain(host.chars().filter(is_allowed)).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_vanish_and_long_names_are_cut() {
        assert_eq!(named("some-host"), "sops@somehost");
        assert_eq!(named("a_b.c/d+e:f=g,\u{e4}^[\\]@"), "sops@a_b.cdef=g,^[\\]@");
        assert_eq!(named(&"x".repeat(100)).len(), LONGEST);
    }
}
