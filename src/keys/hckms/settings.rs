//! What the environment says of HuaweiCloud, as it says it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// The values of the SDK's variables; an empty one counts as none (keys.md §9.1, §9.2).
#[derive(Clone, Default)]
pub struct HuaweiSettings {
    /// `HUAWEICLOUD_SDK_AK`.
    pub access_key: Option<String>,
    /// `HUAWEICLOUD_SDK_SK`.
    pub secret_key: Option<Zeroizing<String>>,
    /// `HUAWEICLOUD_SDK_SECURITY_TOKEN`.
    pub security_token: Option<Zeroizing<String>>,
    /// `HUAWEICLOUD_SDK_PROJECT_ID`.
    pub project_id: Option<String>,
    /// `HUAWEICLOUD_SDK_IDP_ID`.
    pub idp_id: Option<String>,
    /// `HUAWEICLOUD_SDK_ID_TOKEN_FILE`.
    pub id_token_file: Option<PathBuf>,
    /// `HUAWEICLOUD_SDK_CREDENTIALS_FILE`, else the file in the home directory.
    pub credentials_file: Option<PathBuf>,
    /// `HUAWEICLOUD_SDK_REGIONS_FILE`, else the file in the home directory.
    pub regions_file: Option<PathBuf>,
    /// `HUAWEICLOUD_SDK_IAM_ENDPOINT`.
    pub iam_endpoint: Option<String>,
    /// `HUAWEICLOUD_SDK_REGION_KMS_<REGION>`, by `<REGION>`.
    pub kms_endpoints: BTreeMap<String, String>,
    /// `HC_CONTAINER_CREDENTIALS_FULL_URI`.
    pub container_uri: Option<String>,
    /// `HC_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub container_token_file: Option<PathBuf>,
}
