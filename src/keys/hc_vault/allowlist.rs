//! `SOPS_HC_VAULT_ALLOWLIST`: the servers that may get data keys and tokens (keys.md §8.2).

use super::uri::without_credentials;
use crate::keys::remote::hinted;

/// Says no unless the list allows the address of a key. Addresses are compared byte for byte.
pub(super) fn check(allowlist: Option<&str>, address: &str) -> Result<(), String> {
    let allowed = match allowlist {
        None | Some("" | "all") => true,
        Some("none") => false,
        Some(list) => {
            let mut allowed = false;
            for (at, entry) in list.split(',').enumerate() {
                if entry.trim().is_empty() {
                    return Err(format!("SOPS_HC_VAULT_ALLOWLIST's entry {} is empty", at + 1));
                }
                allowed |= closed(address).starts_with(&closed(entry.trim()));
            }
            allowed
        }
    };
    if allowed {
        return Ok(());
    }
    Err(hinted(
        &format!("Allowlist does not allow {}", without_credentials(address)),
        "SOPS_HC_VAULT_ALLOWLIST names the servers to trust, separated by commas",
    ))
}

/// Ends in a slash, so that `https://vault.example` does not stand for `https://vault.example.com`.
fn closed(address: &str) -> String {
    if address.ends_with('/') { address.to_owned() } else { format!("{address}/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_a_part_of_the_address_ends() {
        let list = Some(" http://example.com , https://v.example:8200/ ");
        for (address, allowed) in [
            ("http://example.com", true),
            ("http://example.com/", true),
            ("http://example.com/x", true),
            ("https://v.example:8200", true),
            ("http://example.com:80", false),
            ("http://example.comm", false),
            ("https://example.com", false),
            ("http://u@example.com", false),
            ("HTTP://example.com", false),
        ] {
            assert_eq!(check(list, address).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn words_are_exact() {
        for (list, allowed) in [
            (None, true),
            (Some(""), true),
            (Some("all"), true),
            (Some("none"), false),
            (Some(" all"), false),
        ] {
            assert_eq!(check(list, "https://v").is_ok(), allowed, "{list:?}");
        }
        let empty = "SOPS_HC_VAULT_ALLOWLIST's entry 2 is empty";
        assert_eq!(check(Some("https://v, ,x"), "https://v").as_ref().map_err(String::as_str), Err(empty));
        let refusal = check(Some("none"), "https://v").expect_err("nobody is allowed");
        assert!(refusal.starts_with("Allowlist does not allow https://v\nhint: "), "{refusal}");
    }
}
