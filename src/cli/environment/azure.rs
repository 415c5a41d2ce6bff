//! Who we are to Azure (keys.md §7.3, §10).

use std::env;

use rsops::keys::AzureSettings;
use zeroize::Zeroizing;

use super::text;

/// What the environment says of credentials. What is empty is as good as unset.
pub(super) fn credentials() -> AzureSettings {
    let filled = |name: &str| text(name).filter(|value| !value.is_empty());
    let path = |name: &str| env::var_os(name).filter(|path| !path.is_empty()).map(Into::into);
    AzureSettings {
        token_credentials: filled("AZURE_TOKEN_CREDENTIALS"),
        tenant_id: filled("AZURE_TENANT_ID"),
        client_id: filled("AZURE_CLIENT_ID"),
        client_secret: filled("AZURE_CLIENT_SECRET").map(Zeroizing::new),
        client_certificate_path: path("AZURE_CLIENT_CERTIFICATE_PATH"),
        client_send_certificate_chain: filled("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
            .is_some_and(|flag| flag == "1" || flag.eq_ignore_ascii_case("true")),
        username: filled("AZURE_USERNAME"),
        federated_token_file: path("AZURE_FEDERATED_TOKEN_FILE"),
        authority_host: filled("AZURE_AUTHORITY_HOST"),
        additionally_allowed_tenants: filled("AZURE_ADDITIONALLY_ALLOWED_TENANTS")
            .map(|tenants| tenants.split(';').map(|tenant| tenant.trim().to_owned()).collect())
            .unwrap_or_default(),
        has_identity_endpoint: ["IDENTITY_ENDPOINT", "MSI_ENDPOINT"]
            .iter()
            .any(|name| env::var_os(name).is_some()),
    }
}
