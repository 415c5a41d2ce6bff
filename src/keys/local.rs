//! The key service in this process.

use zeroize::Zeroizing;

use super::recover::KeyService;
use super::{Key, MasterKey};

/// Wraps and unwraps with what this machine has. A build without any kind of keys has nothing.
#[cfg_attr(not(feature = "age"), derive(Default))]
pub struct LocalKeys {
    #[cfg(feature = "age")]
    identities: super::age::Identities,
    #[cfg(feature = "age")]
    prompt: std::sync::Arc<dyn super::age::Prompt>,
}

#[cfg(feature = "age")]
impl LocalKeys {
    /// With these age identities, and somebody to ask for pass phrases.
    pub fn new(sources: super::age::IdentitySources, prompt: std::sync::Arc<dyn super::age::Prompt>) -> Self {
        Self { identities: super::age::Identities::new(sources, prompt.clone()), prompt }
    }
}

impl KeyService for LocalKeys {
    #[cfg_attr(not(feature = "age"), expect(unused_variables, reason = "no kind of key takes it"))]
    fn wrap(&self, key: &Key, data_key: &[u8]) -> Result<String, String> {
        match key {
            #[cfg(feature = "age")]
            Key::Age(key) => {
                let recipient = super::age::Recipient::parse(&key.recipient).map_err(|e| e.to_string())?;
                recipient.wrap(data_key, &*self.prompt).map_err(|e| e.to_string())
            }
            other => Err(not_built(other)),
        }
    }

    fn unwrap(&self, key: &MasterKey) -> Result<Zeroizing<Vec<u8>>, String> {
        match &key.key {
            #[cfg(feature = "age")]
            Key::Age(age) => self.identities.unwrap(&key.enc, &age.recipient).map_err(|e| e.to_string()),
            other => Err(not_built(other)),
        }
    }
}

fn not_built(key: &Key) -> String {
    format!("this build of rsops cannot use {} keys", key.kind().name())
}
