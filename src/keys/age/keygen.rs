//! A new identity, as `age-keygen` writes it, and the recipients of those that there are.

use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519;

use super::identity::{Identity, IdentityText, Line};
use crate::tree::Timestamp;

/// An identity that nobody has yet.
pub struct NewIdentity {
    /// The text of its file: two comments and the identity.
    pub text: SecretString,
    /// Its recipient.
    pub recipient: String,
}

impl NewIdentity {
    /// From the operating system's random numbers.
    pub fn generate() -> Self {
        let identity = x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let created = Timestamp::now().whole_seconds();
        let secret = identity.to_string();
        let text = format!("# created: {created}\n# public key: {recipient}\n{}\n", secret.expose_secret());
        Self { text: SecretString::from(text), recipient }
    }
}

/// The recipients of a file of identities: those that can be told from an identity, and those that comments name.
/// Nothing is known of files with a pass phrase.
pub fn recipients_of(text: &[u8]) -> Vec<String> {
    let mut recipients: Vec<String> = IdentityText::parse(text, Line::Words)
        .identities
        .iter()
        .filter_map(|identity| match identity {
            Identity::X25519(identity) => Some(identity.to_public().to_string()),
            Identity::Hybrid(_) | Identity::Plugin(_) => None,
        })
        .collect();
    // age-keygen, and plugins after it, write them in front of the identity
    let text = String::from_utf8_lossy(text);
    let named = text.lines().filter_map(|line| line.strip_prefix('#')?.rsplit_once(": "));
    for (_, recipient) in named {
        let recipient = recipient.trim();
        if recipient.starts_with("age1") && !recipients.iter().any(|known| known == recipient) {
            recipients.push(recipient.to_owned());
        }
    }
    recipients
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipient_of_a_new_identity_is_found_again() {
        let new = NewIdentity::generate();
        let text = new.text.expose_secret();
        assert!(text.starts_with("# created: 2"), "a time comes first");
        assert_eq!(recipients_of(text.as_bytes()), [new.recipient.as_str()]);
        let bare = text.lines().last().expect("an identity");
        assert_eq!(recipients_of(bare.as_bytes()), [new.recipient]);
    }

    #[test]
    fn comments_name_the_recipients_of_other_kinds() {
        let text = b"# Recipient: age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t\nAGE-PLUGIN-X\n";
        assert_eq!(recipients_of(text).len(), 1);
        assert_eq!(recipients_of(b"age-encryption.org/v1\n"), [""; 0]);
    }
}
