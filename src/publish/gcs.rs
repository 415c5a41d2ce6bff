//! Buckets of Google Cloud Storage.

use google_cloud_auth::credentials::anonymous;
use google_cloud_storage::client::Storage;

use crate::keys::remote::hinted;

/// A client with the application default credentials, or one for an emulator.
pub(super) async fn client(emulator: Option<&str>) -> Result<Storage, String> {
    let mut builder = Storage::builder();
    if let Some(address) = emulator {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        builder = builder.with_endpoint(url).with_credentials(anonymous::Builder::new().build());
    }
    builder.build().await.map_err(|error| {
        hinted(
            &format!("cannot use Google Cloud Storage: {error}"),
            "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
        )
    })
}

/// Ends when the storage has confirmed the whole object (policy.md §3: the reference ignores that answer).
pub(super) async fn put(
    client: &Storage,
    bucket: &str,
    object: &str,
    content: Vec<u8>,
) -> Result<(), String> {
    let parent = format!("projects/_/buckets/{bucket}");
    let request = client.write_object(parent, object, bytes::Bytes::from(content));
    request.send_unbuffered().await.map(drop).map_err(|error| {
        let reason = format!("cannot upload to gcs://{bucket}/{object}: {error}");
        match error.http_status_code() {
            Some(404) => hinted(&reason, "check the name of the bucket"),
            Some(401 | 403) => hinted(&reason, "the credentials need storage.objects.create and, to replace an object, storage.objects.delete"),
            _ => reason,
        }
    })
}
