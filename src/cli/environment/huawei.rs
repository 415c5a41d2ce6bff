//! What the environment says of HuaweiCloud (keys.md §9.1, §9.2).

use std::env;
use std::path::PathBuf;

use rsops::keys::HuaweiSettings;
use zeroize::Zeroizing;

use super::{home, text};

const KMS_ENDPOINT: &str = "HUAWEICLOUD_SDK_REGION_KMS_";

/// The variables of the vendor's SDK, and where its files are.
pub(super) fn settings() -> HuaweiSettings {
    let set = |name| text(name).filter(|value| !value.is_empty());
    let file = |name, usual| {
        set(name).map(PathBuf::from).or_else(|| home().map(|home| home.join(".huaweicloud").join(usual)))
    };
    let kms_endpoints = env::vars_os().filter_map(|(name, value)| {
        let region = name.to_str()?.strip_prefix(KMS_ENDPOINT)?.to_owned();
        Some((region, value.into_string().ok().filter(|value| !value.is_empty())?))
    });
    HuaweiSettings {
        access_key: set("HUAWEICLOUD_SDK_AK"),
        secret_key: set("HUAWEICLOUD_SDK_SK").map(Zeroizing::new),
        security_token: set("HUAWEICLOUD_SDK_SECURITY_TOKEN").map(Zeroizing::new),
        project_id: set("HUAWEICLOUD_SDK_PROJECT_ID"),
        idp_id: set("HUAWEICLOUD_SDK_IDP_ID"),
        id_token_file: set("HUAWEICLOUD_SDK_ID_TOKEN_FILE").map(PathBuf::from),
        credentials_file: file("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "credentials"),
        regions_file: file("HUAWEICLOUD_SDK_REGIONS_FILE", "regions.yaml"),
        iam_endpoint: set("HUAWEICLOUD_SDK_IAM_ENDPOINT"),
        kms_endpoints: kms_endpoints.collect(),
        container_uri: set("HC_CONTAINER_CREDENTIALS_FULL_URI"),
        container_token_file: set("HC_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
    }
}
