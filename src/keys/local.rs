//! The key service in this process.

#[cfg(feature = "age")]
use std::sync::Arc;

#[cfg(feature = "age")]
use super::age::{Identities, IdentitySources, Prompt, Recipient};
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
    /// Who is asked for pass phrases.
    #[cfg(feature = "age")]
    pub prompt: Arc<dyn Prompt>,
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
    #[cfg(feature = "vault")]
    vault: Transit,
    #[cfg(feature = "huawei")]
    huawei: Huawei,
}

impl LocalKeys {
    /// Nothing is read, started or connected before a key needs it.
    #[cfg_attr(
        not(any(feature = "age", feature = "huawei", feature = "vault")),
        expect(unused_variables, reason = "no kind of key takes them")
    )]
    pub fn new(settings: Settings) -> Self {
        Self {
            #[cfg(feature = "age")]
            age: Identities::new(settings.age, settings.prompt.clone()),
            #[cfg(feature = "age")]
            prompt: settings.prompt,
            #[cfg(feature = "vault")]
            vault: Transit::new(settings.vault, settings.limits),
            #[cfg(feature = "huawei")]
            huawei: Huawei::new(settings.huawei, settings.limits),
        }
    }
}

impl KeyService for LocalKeys {
    #[cfg_attr(
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
