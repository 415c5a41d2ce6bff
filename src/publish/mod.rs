//! Sending files to where programs fetch them (publish-audit.md A6, A7).

mod gcs;
mod s3;
mod vault;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::keys::hc_vault::client::VaultClient;
use crate::keys::remote::block_on;
use crate::keys::{AwsSettings, GcpCredentialSources, Limits, VaultSettings};
use crate::tree::Tree;

pub use vault::{Existing, Secret, SecretUpload, Server};

/// How storages are reached, beyond what their own libraries find out.
#[derive(Default)]
pub struct Settings {
    /// How long an upload may take.
    pub limits: Limits,
    /// As for keys of AWS.
    pub aws: AwsSettings,
    /// As for keys of Google Cloud, of which only the application default credentials count.
    pub gcp: GcpCredentialSources,
    /// An emulator of Google Cloud Storage, which wants no credentials: host and port, perhaps with a scheme.
    pub gcs_emulator: Option<String>,
    /// The variables of Vault's own client. No token is looked for in the home directory.
    pub vault: VaultSettings,
}

/// Where a file goes. Displays as the prompt shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "bucket and name of the object")]
pub enum Target {
    S3 { bucket: String, key: String },
    Gcs { bucket: String, object: String },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Gcs { bucket, object } => write!(f, "gcs://{bucket}/{object}"),
        }
    }
}

/// Uploads. Clients are made when the first file goes to their place.
#[derive(Default)]
pub struct Publisher {
    settings: Settings,
    s3: Option<aws_sdk_s3::Client>,
    gcs: Option<gcs::Client>,
    /// One for each server, so that connections are used again.
    vaults: HashMap<Server, Arc<VaultClient>>,
}

impl Publisher {
    /// Connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Uploads a file that is encrypted. The error is the storage's answer.
    pub fn upload(&mut self, target: &Target, content: Vec<u8>) -> Result<(), String> {
        let limits = self.settings.limits;
        let sent = match target {
            Target::S3 { bucket, key } => block_on(limits.within(self.put_s3(bucket, key, content)))?,
            Target::Gcs { bucket, object } => block_on(limits.within(self.put_gcs(bucket, object, content)))?,
        };
        // whoever says nothing is not named by the limit
        sent.map_err(|reason| match reason.starts_with("no answer") {
            true => format!("cannot upload to {target}: {reason}"),
            false => reason,
        })
    }

    /// Prepares a document to be written in clear, which only Vault gets. Nothing is sent yet.
    pub fn secret(&mut self, secret: Secret, document: &Tree) -> Result<SecretUpload, String> {
        let client = match self.vaults.get(secret.server()) {
            Some(client) => client.clone(),
            None => {
                let client = Arc::new(vault::client(&self.settings.vault, secret.server())?);
                self.vaults.insert(secret.server().clone(), client.clone());
                client
            }
        };
        SecretUpload::new(client, secret, document)
    }

    async fn put_s3(&mut self, bucket: &str, key: &str, content: Vec<u8>) -> Result<(), String> {
        let client = match &self.s3 {
            Some(client) => client,
            None => self.s3.insert(s3::client(&self.settings.aws, self.settings.limits).await?),
        };
        s3::put(client, bucket, key, content).await
    }

    async fn put_gcs(&mut self, bucket: &str, object: &str, content: Vec<u8>) -> Result<(), String> {
        let client = match &self.gcs {
            Some(client) => client,
            None => self
                .gcs
                .insert(gcs::Client::new(&self.settings.gcp, self.settings.gcs_emulator.as_deref()).await?),
        };
        client.put(bucket, object, content).await
    }
}
