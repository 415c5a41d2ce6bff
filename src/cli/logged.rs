//! What key services do, said in the log (cli.md §5.3). The library says nothing itself.

use std::sync::Arc;

#[cfg(feature = "azure")]
use rsops::keys::AzureKvKey;
use rsops::keys::{Answer, Key, KeyService, MasterKey, Share};

use super::ui::{Component, Ui};

/// A key service whose every step is shown with `--verbose`.
pub(super) struct Logged {
    service: Box<dyn KeyService>,
    ui: Arc<Ui>,
}

impl Logged {
    pub(super) fn new(service: Box<dyn KeyService>, ui: Arc<Ui>) -> Self {
        Self { service, ui }
    }
}

impl KeyService for Logged {
    fn wrap<'a>(&'a self, key: &'a Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        self.service.wrap(key, share).inspect(|answer| Step::Encryption.say(&self.ui, key, answer.is_ok()))
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        self.service.unwrap(key).inspect(|answer| Step::Decryption.say(&self.ui, &key.key, answer.is_ok()))
    }
}

/// Several groups of keys get a share each. A threshold of 0 means all of them (cli.md §7.6).
pub(super) fn say_split(ui: &Ui, groups: usize, threshold: usize) {
    let quorum = if threshold == 0 { groups } else { threshold };
    ui.info(
        Component::Sops,
        "Splitting data key with Shamir Secret Sharing",
        &[("parts", &groups.to_string()), ("quorum", &quorum.to_string())],
    );
}

/// The current version of a key was found out, or was not: that is called a failed encryption (keys.md §1.4).
#[cfg(feature = "azure")]
pub(super) fn say_version(ui: &Ui, key: &AzureKvKey, version: Option<&str>) {
    let message = if version.is_some() { "Version fetch succeeded" } else { "Encryption failed" };
    ui.info(Component::AzureKv, message, &[("key", &key.name), ("version", version.unwrap_or_default())]);
}

/// What is done to a data key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Encryption,
    Decryption,
}

impl Step {
    fn say(self, ui: &Ui, key: &Key, succeeded: bool) {
        let (component, fields) = self.names(key);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ui.info(component, &self.message(key, succeeded), &fields);
    }

    fn message(self, key: &Key, succeeded: bool) -> String {
        let step = match self {
            Self::Encryption => "Encryption",
            Self::Decryption => "Decryption",
        };
        let result = match (succeeded, key) {
            (true, Key::HcVault(_)) => "successful",
            (true, _) => "succeeded",
            (false, _) => "failed",
        };
        format!("{step} {result}")
    }

    /// Who speaks of this key, and how it is called there (keys.md §1.1).
    fn names(self, key: &Key) -> (Component, Vec<(&'static str, String)>) {
        match key {
            Key::Age(key) if self == Self::Encryption => {
                (Component::Age, vec![("recipient", key.recipient.clone())])
            }
            // which identity it was is nobody's business
            Key::Age(_) => (Component::Age, Vec::new()),
            Key::Pgp(key) => (Component::Pgp, vec![("fingerprint", key.fingerprint.clone())]),
            Key::AwsKms(key) => (Component::AwsKms, vec![("arn", key.arn.clone())]),
            Key::GcpKms(key) => (Component::GcpKms, vec![("resourceID", key.resource_id.clone())]),
            Key::HcKms(_) => (Component::HcKms, vec![("keyID", key.to_string())]),
            Key::AzureKv(key) => {
                (Component::AzureKv, vec![("key", key.name.clone()), ("version", key.version.clone())])
            }
            Key::HcVault(key) => {
                let way = if self == Self::Encryption { "encrypt" } else { "decrypt" };
                let path = format!("{}/{way}/{}", key.engine_path, key.key_name);
                (Component::HcVault, vec![("Path", path)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rsops::keys::{Common, Kind};

    use super::*;

    /// The messages of one kind for a step that succeeds, as `COMPONENT message field=value`.
    fn said(kind: Kind, name: &str, step: Step) -> String {
        let keys = kind.parse_list(name, &Common::default()).expect("a key");
        let (component, fields) = step.names(&keys[0]);
        let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{component:?} {}{fields}", step.message(&keys[0], true))
    }

    #[test]
    fn every_kind_has_its_words() {
        let azure = "https://v.example/keys/k/0123456789abcdef0123456789abcdef";
        let vault = "https://vault.example:8200/v1/transit/keys/k";
        for (kind, name, step, words) in [
            (Kind::Pgp, "ABCD", Step::Decryption, "Pgp Decryption succeeded fingerprint=ABCD"),
            (Kind::AwsKms, "arn:x", Step::Encryption, "AwsKms Encryption succeeded arn=arn:x"),
            (
                Kind::GcpKms,
                "projects/p",
                Step::Encryption,
                "GcpKms Encryption succeeded resourceID=projects/p",
            ),
            (Kind::HcKms, "r:u", Step::Decryption, "HcKms Decryption succeeded keyID=r:u"),
            (
                Kind::AzureKv,
                azure,
                Step::Encryption,
                "AzureKv Encryption succeeded key=k version=0123456789abcdef0123456789abcdef",
            ),
            (Kind::HcVault, vault, Step::Encryption, "HcVault Encryption successful Path=transit/encrypt/k"),
            (Kind::HcVault, vault, Step::Decryption, "HcVault Decryption successful Path=transit/decrypt/k"),
        ] {
            assert_eq!(said(kind, name, step), words);
        }
    }

    #[test]
    fn failures_are_called_so_everywhere() {
        for (kind, name) in [(Kind::Pgp, "AB"), (Kind::HcVault, "https://v.example/v1/t/keys/k")] {
            let keys = kind.parse_list(name, &Common::default()).expect("a key");
            assert_eq!(Step::Decryption.message(&keys[0], false), "Decryption failed");
        }
    }
}
