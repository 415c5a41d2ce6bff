//! Wrapping and unwrapping, by whichever of the two implementations can (keys.md §3.1).

use std::sync::Arc;

use tokio::sync::Mutex;

use super::gpg::{self, Failure};
use super::native;
use super::passphrase::Asked;
use super::settings::PgpSettings;
use crate::keys::remote::hinted;
use crate::keys::{Prompt, Share};

/// More than this many bytes are no data key.
pub(super) const MAX_OUTPUT: u64 = 1 << 20;

/// Both implementations, and what they need to know.
pub(in crate::keys) struct Pgp {
    settings: PgpSettings,
    prompt: Arc<dyn Prompt>,
    /// Whose turn it is to wrap. Every gpg locks the keyring for a moment, and one that finds it locked sleeps for much
    /// longer than that: eight at a time take ten times as long as one after the other.
    turn: Mutex<()>,
}

impl Pgp {
    /// Nothing is looked at before a key needs it.
    pub(in crate::keys) fn new(settings: PgpSettings, prompt: Arc<dyn Prompt>) -> Self {
        Self { settings, prompt, turn: Mutex::new(()) }
    }

    /// Wraps on another thread, so that servers are asked meanwhile.
    pub(in crate::keys) async fn wrap(self: Arc<Self>, name: String, share: Share) -> Result<String, String> {
        let turn = self.turn.lock().await;
        let this = self.clone();
        let wrapped = tokio::task::spawn_blocking(move || this.wrap_now(&name, &share)).await;
        drop(turn);
        wrapped.unwrap_or_else(|error| Err(format!("wrapping did not end: {error}")))
    }

    fn wrap_now(&self, name: &str, share: &[u8]) -> Result<String, String> {
        let native = match native::encrypt(&self.settings.home.folder(), name, share) {
            Ok(enc) => return Ok(enc),
            Err(reason) => reason,
        };
        gpg::encrypt(&self.settings, name, share).map_err(|failure| Step::Encrypt.failed(&native, &failure))
    }

    /// Unwraps. Whom the message is for stands in the message.
    pub(in crate::keys) fn unwrap(&self, enc: &str) -> Result<Share, String> {
        let asked = Asked { agent: self.settings.agent.as_ref(), prompt: &*self.prompt };
        let native = match native::decrypt(&self.settings.home.folder(), enc, asked) {
            Ok(share) => return Ok(share),
            Err(reason) => reason,
        };
        gpg::decrypt(&self.settings, enc).map_err(|failure| Step::Decrypt.failed(&native, &failure))
    }
}

/// What is done to a data key.
#[derive(Clone, Copy)]
enum Step {
    Encrypt,
    Decrypt,
}

impl Step {
    /// What both implementations say. Scripts look for their names.
    fn failed(self, native: &str, gpg: &Failure) -> String {
        let (step, said) = match (self, gpg) {
            (Self::Encrypt, Failure::Start(said) | Failure::Said(said)) => ("encrypt", said),
            (Self::Decrypt, Failure::Start(said) | Failure::Said(said)) => ("decrypt", said),
        };
        let reason = format!(
            "could not {step} data key with PGP key: github.com/ProtonMail/go-crypto/openpgp error: {native}; \
             GnuPG binary error: failed to {step} sops data key with pgp: {said}"
        );
        match self.hint(gpg) {
            Some(hint) => hinted(&reason, hint),
            None => reason,
        }
    }

    /// What helps, where gpg's own words, which are its user's language, are known.
    fn hint(self, gpg: &Failure) -> Option<&'static str> {
        let said = match gpg {
            Failure::Start(_) => return Some("install GnuPG, or name its program in SOPS_GPG_EXEC"),
            Failure::Said(said) => said,
        };
        let known = |words: &str| said.contains(words);
        match self {
            Self::Encrypt if known("not a valid long keyID") => {
                Some("give the fingerprint of the key: `gpg --list-keys --with-fingerprint`")
            }
            Self::Encrypt if known("No public key") => {
                Some("import the key: `gpg --import FILE`; GNUPGHOME says where GnuPG keeps keys")
            }
            Self::Encrypt if known("Unusable public key") => {
                Some("the key has expired, is revoked or cannot encrypt: renew it, or use another one")
            }
            Self::Decrypt if known("No secret key") => Some(
                "none of the keys that the file is for is in this keyring: `gpg --list-secret-keys`; \
                 GNUPGHOME says where GnuPG keeps keys",
            ),
            _ if known("Inappropriate ioctl for device") || known("No pinentry") => {
                Some("gpg cannot ask for the pass phrase: `export GPG_TTY=$(tty)` in the shell")
            }
            _ => None,
        }
    }
}
