//! Buckets of Amazon S3, and of storages that speak its language.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;

use crate::keys::aws::load;
use crate::keys::aws::reason::{Asked, reason};
use crate::keys::{AwsSettings, Limits};

/// A client with credentials, region and endpoint as for keys; without a key, the region is the environment's.
///
/// Storages of one's own know no host name for every bucket, so with an endpoint the bucket goes into the path.
pub(super) async fn client(settings: &AwsSettings, limits: Limits) -> Result<Client, String> {
    let found = load(settings, "S3", "", None, limits).await;
    let found = found.map_err(|reason| format!("unable to load SDK config: {reason}"))?;
    let path_style = settings.endpoint("S3").or(found.endpoint_url()).is_some_and(|url| !url.is_empty());
    let mut builder = Builder::from(&found).force_path_style(path_style);
    if let Some(endpoint) = settings.endpoint_instead("S3") {
        builder.set_endpoint_url(endpoint);
    }
    Ok(Client::from_conf(builder.build()))
}

pub(super) async fn put(client: &Client, bucket: &str, key: &str, content: Vec<u8>) -> Result<(), String> {
    let request = client.put_object().bucket(bucket).key(key).body(ByteStream::from(content));
    let resource = format!("arn:aws:s3:::{bucket}/{key}");
    let asked = Asked { action: "s3:PutObject", resource: &resource, profile: "" };
    let sent = request.send().await;
    sent.map(drop)
        .map_err(|error| format!("cannot upload to s3://{bucket}/{key}: {}", reason(&error, &asked)))
}
