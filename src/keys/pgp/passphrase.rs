//! Pass phrases of keys in keyring files (keys.md §3.5).

use secrecy::SecretString;
use sequoia_openpgp::KeyID;

use crate::keys::Prompt;
use crate::keys::agent::{Agent, AgentError, Request};

/// How often a pass phrase may be wrong.
pub(super) const ATTEMPTS: usize = 3;

/// Who knows pass phrases.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) agent: Option<&'a Agent>,
    pub(super) prompt: &'a dyn Prompt,
}

impl Asked<'_> {
    /// Asks the agent, or the person if the user has said that there is no agent. One that should be there and is not
    /// is an error: `gpg`, which is next, knows how to start it.
    pub(super) fn passphrase(&self, key: &KeyID) -> Result<SecretString, String> {
        let Some(agent) = self.agent else {
            self.prompt.remark("gpg-agent not found, continuing with manual passphrase input...");
            return self.prompt.passphrase("Enter PGP key passphrase:");
        };
        let id = short(key);
        let description = format!("Unlock key {id} to decrypt sops's key");
        let request = Request { cache_key: &id, prompt: "Passphrase", description: &description };
        agent.get(&request).map_err(|error| match error {
            AgentError::Unreachable(reason) => {
                format!("could not establish connection with gpg-agent: {reason}")
            }
            error => format!("gpg-agent passphrase request errored: {error}"),
        })
    }

    /// It was wrong: the agent must ask anew.
    pub(super) fn forget(&self, key: &KeyID) {
        if let Some(agent) = self.agent {
            // if it does not forget, the pass phrase is only wrong again
            let _ = agent.forget(&short(key));
        }
    }
}

/// The last eight digits, under which the agent keeps the pass phrase.
fn short(key: &KeyID) -> String {
    let id = key.to_hex();
    id[id.len().saturating_sub(8)..].to_owned()
}
