//! What the environment says of Vault (keys.md §8.3, §10).

use std::path::PathBuf;

use nix::unistd::{User, getuid};
use rsops::keys::VaultSettings;
use zeroize::Zeroizing;

use super::{home, text};

/// The variables of Vault's own client, and the list of servers that may be asked.
pub(super) fn settings() -> VaultSettings {
    let set = |name| text(name).filter(|value| !value.is_empty());
    VaultSettings {
        allowlist: set("SOPS_HC_VAULT_ALLOWLIST"),
        token: set("VAULT_TOKEN").map(Zeroizing::new),
        home: home().or_else(home_of_user),
        namespace: set("VAULT_NAMESPACE"),
        agent_addr: set("VAULT_AGENT_ADDR"),
        ca_cert: set("VAULT_CACERT"),
        ca_cert_bytes: set("VAULT_CACERT_BYTES"),
        ca_path: set("VAULT_CAPATH"),
        client_cert: set("VAULT_CLIENT_CERT"),
        client_key: set("VAULT_CLIENT_KEY"),
        tls_server_name: set("VAULT_TLS_SERVER_NAME"),
        skip_verify: set("VAULT_SKIP_VERIFY"),
        client_timeout: set("VAULT_CLIENT_TIMEOUT"),
        max_retries: set("VAULT_MAX_RETRIES"),
        rate_limit: set("VAULT_RATE_LIMIT"),
        proxy_addr: set("VAULT_PROXY_ADDR"),
        http_proxy: set("VAULT_HTTP_PROXY"),
        srv_lookup: set("VAULT_SRV_LOOKUP"),
        disable_redirects: set("VAULT_DISABLE_REDIRECTS"),
        headers: set("VAULT_HEADERS").map(Zeroizing::new),
    }
}

/// The home directory that the user database knows.
fn home_of_user() -> Option<PathBuf> {
    User::from_uid(getuid()).ok().flatten().map(|user| user.dir)
}
