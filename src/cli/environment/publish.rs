//! Variables of storages that are not left to their libraries.

use rsops::publish::Settings;

use super::text;

/// How storages are reached.
pub(in crate::cli) fn publish_settings() -> Settings {
    let set = |name: &str| text(name).filter(|value| !value.is_empty());
    Settings {
        s3_endpoint: set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")).is_some(),
        gcs_emulator: set("STORAGE_EMULATOR_HOST"),
    }
}
