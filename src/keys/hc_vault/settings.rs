//! What the environment says of Vault, as it says it: nothing is looked at before a key needs it.

use std::path::PathBuf;

use zeroize::Zeroizing;

/// The values of Vault's variables; an empty one counts as none (keys.md §8.3, §10).
#[derive(Clone, Default)]
pub struct VaultSettings {
    /// `SOPS_HC_VAULT_ALLOWLIST`.
    pub allowlist: Option<String>,
    /// `VAULT_TOKEN`.
    pub token: Option<Zeroizing<String>>,
    /// Where `.vault-token` may be.
    pub home: Option<PathBuf>,
    /// `VAULT_NAMESPACE`.
    pub namespace: Option<String>,
    /// `VAULT_AGENT_ADDR`.
    pub agent_addr: Option<String>,
    /// `VAULT_CACERT`.
    pub ca_cert: Option<String>,
    /// `VAULT_CACERT_BYTES`.
    pub ca_cert_bytes: Option<String>,
    /// `VAULT_CAPATH`.
    pub ca_path: Option<String>,
    /// `VAULT_CLIENT_CERT`.
    pub client_cert: Option<String>,
    /// `VAULT_CLIENT_KEY`.
    pub client_key: Option<String>,
    /// `VAULT_TLS_SERVER_NAME`.
    pub tls_server_name: Option<String>,
    /// `VAULT_SKIP_VERIFY`.
    pub skip_verify: Option<String>,
    /// `VAULT_CLIENT_TIMEOUT`.
    pub client_timeout: Option<String>,
    /// `VAULT_MAX_RETRIES`.
    pub max_retries: Option<String>,
    /// `VAULT_RATE_LIMIT`.
    pub rate_limit: Option<String>,
    /// `VAULT_PROXY_ADDR`.
    pub proxy_addr: Option<String>,
    /// `VAULT_HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `VAULT_SRV_LOOKUP`.
    pub srv_lookup: Option<String>,
    /// `VAULT_DISABLE_REDIRECTS`.
    pub disable_redirects: Option<String>,
    /// `VAULT_HEADERS`.
    pub headers: Option<Zeroizing<String>>,
}
