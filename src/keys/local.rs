//! The key service in this process.

use std::collections::HashMap;
#[cfg(any(feature = "age", feature = "azure", feature = "pgp"))]
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

#[cfg(any(feature = "age", feature = "pgp"))]
use super::Prompt;
#[cfg(feature = "age")]
use super::age::{Identities, IdentitySources, Recipient};
#[cfg(feature = "aws")]
use super::aws::AwsSettings;
#[cfg(feature = "aws")]
use super::aws_kms::AwsKms;
#[cfg(feature = "azure")]
use super::azure_kv::AzureVaults;
#[cfg(feature = "gcp")]
use super::gcp_kms::{GcpKms, GcpKmsSettings};
#[cfg(feature = "vault")]
use super::hc_vault::{Transit, VaultSettings};
#[cfg(feature = "huawei")]
use super::hckms::{Huawei, HuaweiSettings};
#[cfg(feature = "pgp")]
use super::pgp::{Pgp, PgpSettings};
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
    #[cfg(feature = "pgp")]
    pgp: Arc<Pgp>,
    #[cfg(feature = "aws")]
    aws: AwsKms,
    #[cfg(feature = "gcp")]
    gcp_kms: GcpKms,
    #[cfg(feature = "azure")]
    azure: Arc<AzureVaults>,
    #[cfg(feature = "vault")]
    vault: Transit,
    #[cfg(feature = "huawei")]
    huawei: Huawei,
    opened: Opened,
}

impl LocalKeys {
    /// Nothing is read, started or connected before a key needs it.
    #[allow(
        unused_variables,
        clippy::needless_pass_by_value,
        reason = "a build may be without any kind of keys"
    )]
    pub fn new(settings: Settings) -> Self {
        Self {
            #[cfg(feature = "age")]
            age: Identities::new(settings.age, settings.prompt.clone()),
            #[cfg(feature = "age")]
            prompt: settings.prompt.clone(),
            #[cfg(feature = "pgp")]
            pgp: Arc::new(Pgp::new(settings.pgp, settings.prompt)),
            #[cfg(feature = "aws")]
            aws: AwsKms::new(settings.aws, settings.limits),
            #[cfg(feature = "gcp")]
            gcp_kms: GcpKms::new(settings.gcp_kms, settings.limits),
            #[cfg(feature = "azure")]
            azure: settings.azure,
            #[cfg(feature = "vault")]
            vault: Transit::new(settings.vault, settings.limits),
            #[cfg(feature = "huawei")]
            huawei: Huawei::new(settings.huawei, settings.limits),
            opened: Opened::default(),
        }
    }

    #[allow(unreachable_patterns, reason = "a build may have all kinds of keys")]
    fn open<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        match &key.key {
            #[cfg(feature = "age")]
            Key::Age(age) => {
                Answer::Now(self.age.unwrap(&key.enc, &age.recipient).map_err(|e| e.to_string()))
            }
            #[cfg(feature = "pgp")]
            Key::Pgp(_) => Answer::Now(self.pgp.unwrap(&key.enc)),
            #[cfg(feature = "aws")]
            Key::AwsKms(aws) => self.aws.unwrap(aws, &key.enc),
            #[cfg(feature = "gcp")]
            Key::GcpKms(gcp) => Answer::later(self.gcp_kms.unwrap(gcp, &key.enc)),
            #[cfg(feature = "azure")]
            Key::AzureKv(azure) => Answer::later(self.azure.unwrap(azure, &key.enc)),
            #[cfg(feature = "vault")]
            Key::HcVault(vault) => Answer::later(self.vault.unwrap(vault, &key.enc)),
            #[cfg(feature = "huawei")]
            Key::HcKms(huawei) => Answer::later(self.huawei.unwrap(huawei, &key.enc)),
            other => Answer::Now(Err(not_built(other))),
        }
    }

    #[allow(unused_variables, unreachable_patterns, reason = "a build may have no kind of keys, or all")]
    fn seal<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        match key {
            #[cfg(feature = "age")]
            Key::Age(key) => Answer::Now(
                Recipient::parse(&key.recipient)
                    .map_err(|e| e.to_string())
                    .and_then(|recipient| recipient.wrap(share, &*self.prompt).map_err(|e| e.to_string())),
            ),
            #[cfg(feature = "pgp")]
            Key::Pgp(key) => {
                Answer::later(self.pgp.clone().wrap(key.fingerprint.clone(), Share::new(share.to_vec())))
            }
            #[cfg(feature = "aws")]
            Key::AwsKms(key) => self.aws.wrap(key, share),
            #[cfg(feature = "gcp")]
            Key::GcpKms(key) => Answer::later(self.gcp_kms.wrap(key, share)),
            #[cfg(feature = "azure")]
            Key::AzureKv(key) => Answer::later(self.azure.wrap(key, share)),
            #[cfg(feature = "vault")]
            Key::HcVault(key) => Answer::later(self.vault.wrap(key, share)),
            #[cfg(feature = "huawei")]
            Key::HcKms(key) => Answer::later(self.huawei.wrap(key, share)),
            other => Answer::Now(Err(not_built(other))),
        }
    }
}

impl KeyService for LocalKeys {
    fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        self.seal(key, share).in_turn()
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        match self.opened.get(key) {
            Some(share) => Answer::Now(Ok(share)),
            None => self.open(key).in_turn().inspect(|answer| self.opened.keep(key, answer)),
        }
    }
}

/// What was unwrapped already: nobody is asked twice for the same in one process.
#[derive(Default)]
struct Opened(Mutex<HashMap<(String, String), Share>>);

impl Opened {
    fn get(&self, key: &MasterKey) -> Option<Share> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&Self::name(key)).cloned()
    }

    fn keep(&self, key: &MasterKey, answer: &Result<Share, String>) {
        if let Ok(share) = answer {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(Self::name(key), share.clone());
        }
    }

    /// The name has all that a service is asked with, such as the context of AWS, which must be right too.
    fn name(key: &MasterKey) -> (String, String) {
        (key.key.to_string(), key.enc.clone())
    }
}

fn not_built(key: &Key) -> String {
    format!("this build of rsops cannot use {} keys", key.kind().name())
}
