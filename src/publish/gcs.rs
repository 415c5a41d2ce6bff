//! Buckets of Google Cloud Storage.

use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_storage::client::Storage;
use google_cloud_storage::retry_policy::RetryableErrors;

use crate::keys::GcpCredentialSources;
use crate::keys::gcp_kms::credentials::{Found, Identity, backoff, every_attempt};
use crate::keys::gcp_kms::failure::{deepest, told};
use crate::keys::remote::hinted;

/// How often a busy storage is asked.
const ATTEMPTS: u32 = 3;

/// How files get there.
pub(super) struct Client {
    storage: Storage,
    identity: Identity,
}

impl Client {
    /// With the application default credentials. Those of `GOOGLE_CREDENTIALS` and `GOOGLE_OAUTH_ACCESS_TOKEN` are for
    /// keys (publish-audit.md A6), and an emulator wants none.
    pub(super) async fn new(sources: &GcpCredentialSources, emulator: Option<&str>) -> Result<Self, String> {
        let builder = Storage::builder()
            .with_retry_policy(RetryableErrors.with_attempt_limit(ATTEMPTS))
            .with_backoff_policy(backoff())
            .with_retry_throttler(every_attempt());
        let (builder, identity) = match emulator {
            Some(address) => {
                let builder = builder.with_endpoint(endpoint(address));
                (builder.with_credentials(anonymous::Builder::new().build()), Identity::Machine)
            }
            None => {
                let sources =
                    GcpCredentialSources { credentials: None, access_token: None, ..sources.clone() };
                let Found { credentials, identity } = sources.find(None).await?;
                (builder.with_credentials(credentials), identity)
            }
        };
        let storage = builder.build().await;
        let storage =
            storage.map_err(|error| format!("cannot use Google Cloud Storage: {}", deepest(&error)))?;
        Ok(Self { storage, identity })
    }

    /// Ends when the storage has confirmed the whole object (policy.md §3: the reference ignores that answer).
    pub(super) async fn put(&self, bucket: &str, object: &str, content: Vec<u8>) -> Result<(), String> {
        let parent = format!("projects/_/buckets/{bucket}");
        let request = self.storage.write_object(parent, object, bytes::Bytes::from(content));
        request.send_unbuffered().await.map(drop).map_err(|error| {
            let (reason, status) = told(&error, &self.identity);
            let reason = format!("cannot upload to gcs://{bucket}/{object}: {reason}");
            match status {
                Some(404) => hinted(&reason, "check the name of the bucket in the destination rule"),
                Some(401 | 403) => hinted(
                    &reason,
                    &format!(
                        "{} needs storage.objects.create and, to replace an object, storage.objects.delete",
                        self.identity
                    ),
                ),
                None if !reason.contains("\nhint: ") => {
                    hinted(&reason, "check the network, HTTPS_PROXY, and STORAGE_EMULATOR_HOST if it is set")
                }
                _ => reason,
            }
        })
    }
}

/// The emulator's address without a path, which Google's libraries for other languages pass over.
fn endpoint(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_a_host_however_it_is_written() {
        for address in ["localhost:9", "http://localhost:9", "http://localhost:9/storage/v1/"] {
            assert_eq!(endpoint(address), "http://localhost:9");
        }
        assert_eq!(endpoint("https://e.example/"), "https://e.example");
    }
}
