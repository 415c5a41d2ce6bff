//! What the SDK of AWS does not find itself, or not as the reference does (keys.md §5.5, §10).

use rsops::keys::{AccessKey, AwsSettings};
use zeroize::Zeroizing;

use super::text;

/// Of all services that may be asked.
const ENDPOINTS: [&str; 7] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_SIGNIN",
];

/// What the environment says of AWS. All other variables are read by the SDK.
pub(super) fn settings() -> AwsSettings {
    AwsSettings {
        access_key: access_key(),
        has_web_identity: first_of(["AWS_WEB_IDENTITY_TOKEN_FILE"]).is_some(),
        endpoints: ENDPOINTS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect(),
        profile: first_of(["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]),
        region: first_of(["AWS_REGION", "AWS_DEFAULT_REGION"]),
        ca_bundle: first_of(["AWS_CA_BUNDLE"]).map(Into::into),
    }
}

/// Both parts must be there, under either of their names.
fn access_key() -> Option<AccessKey> {
    Some(AccessKey {
        id: first_of(["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"])?,
        secret: first_of(["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]).map(Zeroizing::new)?,
        session_token: first_of(["AWS_SESSION_TOKEN"]).map(Zeroizing::new),
    })
}

/// The first variable that is not empty.
fn first_of<const N: usize>(names: [&str; N]) -> Option<String> {
    names.into_iter().filter_map(text).find(|value| !value.is_empty())
}
