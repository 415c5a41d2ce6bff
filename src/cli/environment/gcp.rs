//! How Google Cloud KMS is reached, and in whose name (keys.md §6). Empty variables count as unset.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use rsops::keys::{GcpCredentialSources, GcpKmsSettings};
use zeroize::Zeroizing;

use super::{home, text};

/// How Google Cloud KMS is reached. `SOPS_GCP_KMS_CLIENT_TYPE` is not looked at: Google's library only has the one way.
pub(super) fn settings() -> GcpKmsSettings {
    GcpKmsSettings {
        credentials: GcpCredentialSources {
            credentials: filled("GOOGLE_CREDENTIALS").map(Zeroizing::new),
            access_token: filled("GOOGLE_OAUTH_ACCESS_TOKEN").map(Zeroizing::new),
            application_credentials: path("GOOGLE_APPLICATION_CREDENTIALS"),
            well_known_file: gcloud_folder()
                .map(|folder| folder.join("application_default_credentials.json")),
            metadata_host: filled("GCE_METADATA_HOST"),
        },
        quota_project: filled("GOOGLE_CLOUD_QUOTA_PROJECT"),
        endpoint: filled("SOPS_GCP_KMS_ENDPOINT"),
        universe_domain: filled("SOPS_GCP_KMS_UNIVERSE_DOMAIN"),
    }
}

fn filled(name: &str) -> Option<String> {
    text(name).filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from)
}

/// Where gcloud keeps what it knows of the user.
fn gcloud_folder() -> Option<PathBuf> {
    if cfg!(windows) {
        return path("APPDATA").map(|folder| folder.join("gcloud"));
    }
    home().map(|home| home.join(".config/gcloud"))
}
