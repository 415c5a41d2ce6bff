//! The key service in this process.

#[cfg(any(feature = "age", feature = "azure"))]
#[cfg(any(feature = "age", feature = "pgp"))]
use std::sync::Arc;

#[cfg(any(feature = "age", feature = "pgp"))]
use super::Prompt;
#[cfg(feature = "age")]
use super::age::{Identities, IdentitySources, Prompt, Recipient};
#[cfg(feature = "gcp")]
use super::gcp_kms::{GcpKms, GcpKmsSettings};
#[cfg(feature = "aws")]
use super::aws_kms::{AwsKms, AwsSettings};
#[cfg(feature = "azure")]
use super::azure_kv::AzureVaults;
use super::age::{Identities, IdentitySources, Recipient};
#[cfg(feature = "pgp")]
use super::pgp::{Pgp, PgpSettings};
#[cfg(feature = "vault")]
use super::hc_vault::{Transit, VaultSettings};
#[cfg(feature = "huawei")]
use super::hckms::{Huawei, HuaweiSettings};
use super::remote::Limits;
use super::service::{Answer, KeyService, Share};
use super::{Key, MasterKey};

/// What this machine has to unwrap with, as the command line found it.
pub struct Settings {
    /// How long servers may take.
    pub limits: Limits,
    /// Where age identities may be.
    #[cfg(feature = "age")]
    pub age: IdentitySources,
    /// Where GnuPG and its files are.
    #[cfg(feature = "pgp")]
    pub pgp: PgpSettings,
    /// Who is asked for pass phrases.
    #[cfg(any(feature = "age", feature = "pgp"))]
    pub prompt: Arc<dyn Prompt>,
    /// How to reach Google Cloud KMS.
    #[cfg(feature = "gcp")]
    pub gcp_kms: GcpKmsSettings,
    /// What the environment says of AWS.
    #[cfg(feature = "aws")]
    pub aws: AwsSettings,
    /// Access to the vaults of Azure. Keys are asked for their versions with it too, so it is shared.
    #[cfg(feature = "azure")]
    pub azure: Arc<AzureVaults>,
    /// What the environment says of Vault.
    #[cfg(feature = "vault")]
    pub vault: VaultSettings,
    /// What the environment says of HuaweiCloud.
    #[cfg(feature = "huawei")]
    pub huawei: HuaweiSettings,
}

/// Wraps and unwraps with what this machine has. A build without a kind of keys refuses them.
pub struct LocalKeys {
    #[cfg(feature = "age")]
    age: Identities,
    #[cfg(feature = "age")]
    prompt: Arc<dyn Prompt>,
    #[cfg(feature = "gcp")]
    gcp_kms: GcpKms,
    #[cfg(feature = "aws")]
    aws: AwsKms,
    #[cfg(feature = "azure")]
    azure: Arc<AzureVaults>,
    #[cfg(feature = "pgp")]
    pgp: Arc<Pgp>,
    #[cfg(feature = "vault")]
    vault: Transit,
    #[cfg(feature = "huawei")]
    huawei: Huawei,
}

impl LocalKeys {
    /// Nothing is read, started or connected before a key needs it.
    #[cfg_attr(
        not(any(feature = "age", feature = "gcp")),
        not(any(feature = "age", feature = "aws")),
        not(any(feature = "age", feature = "azure")),
        not(any(feature = "age", feature = "pgp")),
        not(any(feature = "age", feature = "huawei", feature = "vault")),
        expect(unused_variables, reason = "no kind of key takes them")
    )]
    pub fn new(settings: Settings) -> Self {
        Self {
            #[cfg(feature = "age")]
            age: Identities::new(settings.age, settings.prompt.clone()),
            #[cfg(feature = "pgp")]
            pgp: Arc::new(Pgp::new(settings.pgp, settings.prompt.clone())),
            #[cfg(feature = "age")]
            prompt: settings.prompt,
            #[cfg(feature = "gcp")]
            gcp_kms: GcpKms::new(settings.gcp_kms, settings.limits),
            #[cfg(feature = "aws")]
            aws: AwsKms::new(settings.aws, settings.limits),
            #[cfg(feature = "azure")]
            azure: settings.azure,
            #[cfg(feature = "vault")]
            vault: Transit::new(settings.vault, settings.limits),
            #[cfg(feature = "huawei")]
            huawei: Huawei::new(settings.huawei, settings.limits),
        }
    }
}

impl KeyService for LocalKeys {
    #[cfg_attr(
        not(any(feature = "age", feature = "gcp")),
        not(any(feature = "age", feature = "aws")),
        not(any(feature = "age", feature = "azure")),
        not(any(feature = "age", feature = "pgp")),
        not(any(feature = "age", feature = "huawei", feature = "vault")),
        expect(unused_variables, reason = "no kind of key takes it")
    )]
    fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        match key {
            #[cfg(feature = "age")]
            Key::Age(key) => Answer::Now(
                Recipient::parse(&key.recipient)
                    .map_err(|e| e.to_string())
                    .and_then(|recipient| recipient.wrap(share, &*self.prompt).map_err(|e| e.to_string())),
            ),
            #[cfg(feature = "gcp")]
            Key::GcpKms(key) => Answer::later(self.gcp_kms.wrap(key, share)),
            #[cfg(feature = "aws")]
            Key::AwsKms(key) => self.aws.wrap(key, share),
            #[cfg(feature = "azure")]
            Key::AzureKv(key) => Answer::later(self.azure.wrap(key, share)),
            #[cfg(feature = "pgp")]
            Key::Pgp(key) => {
                Answer::later(self.pgp.clone().wrap(key.fingerprint.clone(), Share::new(share.to_vec())))
            }
            #[cfg(feature = "vault")]
            Key::HcVault(key) => Answer::later(self.vault.wrap(key, share)),
            #[cfg(feature = "huawei")]
            Key::HcKms(key) => Answer::later(self.huawei.wrap(key, share)),
            other => Answer::Now(Err(not_built(other))),
        }
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        match &key.key {
            #[cfg(feature = "age")]
            Key::Age(age) => {
                Answer::Now(self.age.unwrap(&key.enc, &age.recipient).map_err(|e| e.to_string()))
            }
            #[cfg(feature = "gcp")]
            Key::GcpKms(gcp) => Answer::later(self.gcp_kms.unwrap(gcp, &key.enc)),
            #[cfg(feature = "aws")]
            Key::AwsKms(aws) => self.aws.unwrap(aws, &key.enc),
            #[cfg(feature = "azure")]
            Key::AzureKv(azure) => Answer::later(self.azure.unwrap(azure, &key.enc)),
            #[cfg(feature = "pgp")]
            Key::Pgp(_) => Answer::Now(self.pgp.unwrap(&key.enc)),
            #[cfg(feature = "vault")]
            Key::HcVault(vault) => Answer::later(self.vault.unwrap(vault, &key.enc)),
            #[cfg(feature = "huawei")]
            Key::HcKms(huawei) => Answer::later(self.huawei.unwrap(huawei, &key.enc)),
            other => Answer::Now(Err(not_built(other))),
        }
    }
}

fn not_built(key: &Key) -> String {
    format!("this build of rsops cannot use {} keys", key.kind().name())
}
