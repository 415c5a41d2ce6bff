//! Buckets of Amazon S3, and of storages that speak its language.

use aws_config::BehaviorVersion;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_s3::primitives::ByteStream;

use crate::keys::remote::hinted;

/// A client with the credentials, region and endpoint that the SDK finds.
pub(super) async fn client(endpoint_is_set: bool) -> Client {
    let found = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let path_style = endpoint_is_set || found.endpoint_url().is_some();
    Client::from_conf(Builder::from(&found).force_path_style(path_style).build())
}

pub(super) async fn put(client: &Client, bucket: &str, key: &str, content: Vec<u8>) -> Result<(), String> {
    let request = client.put_object().bucket(bucket).key(key).body(ByteStream::from(content));
    request.send().await.map(drop).map_err(|error| {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let answer = match (status, error.as_service_error().map(ProvideErrorMetadata::meta)) {
            (Some(status), Some(meta)) if meta.code().is_some() => format!(
                "{}: {} (HTTP {status})",
                meta.code().unwrap_or_default(),
                meta.message().unwrap_or("no message")
            ),
            _ => DisplayErrorContext(&error).to_string(),
        };
        let reason = format!("cannot upload to s3://{bucket}/{key}: {answer}");
        match status {
            Some(404) => hinted(&reason, "check the name and the region of the bucket"),
            Some(403) => hinted(&reason, "the credentials need s3:PutObject for this key"),
            Some(301) => hinted(&reason, "the bucket is in another region; set AWS_REGION"),
            None => hinted(&reason, "check credentials, AWS_REGION, AWS_ENDPOINT_URL_S3 and the network"),
            _ => reason,
        }
    })
}
