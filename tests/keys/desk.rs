//! What the stories of several key sources share: one person, a file in clear, and an environment.

// every source uses its own part of this
#![allow(dead_code)]

use crate::support::outcome::Outcome;
use crate::support::scratch::{Call, Scratch};

pub(crate) const PLAIN: &[u8] = b"a: secret value\n";

/// Somebody with the file `a.yaml`, who encrypts it into `b.yaml`.
pub(crate) struct Desk {
    pub(crate) scratch: Scratch,
    flag: &'static str,
    /// Must not be said, whatever happens.
    secrets: &'static [&'static str],
    variables: Vec<(String, String)>,
}

impl Desk {
    /// `flag`: how keys of this kind are named on the command line.
    pub(crate) fn new(flag: &'static str, secrets: &'static [&'static str]) -> Self {
        let scratch = Scratch::new();
        scratch.write("a.yaml", PLAIN);
        Self { scratch, flag, secrets, variables: Vec::new() }
    }

    /// Another desk of the same person with the same files.
    pub(crate) fn again(&self) -> Self {
        let other = Self::new(self.flag, self.secrets);
        other.scratch.write("b.yaml", &self.scratch.read("b.yaml").expect("a file"));
        Self { variables: self.variables.clone(), ..other }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Call<'_> {
        let call = self.scratch.call(arguments);
        self.variables.iter().fold(call, |call, (name, value)| call.variable(name, value))
    }

    pub(crate) fn encrypt(&self, key: &str) -> Outcome {
        self.call(&["encrypt", self.flag, key, "a.yaml"]).outcome()
    }

    /// Encrypts, which must succeed.
    pub(crate) fn seal(&self, key: &str) {
        let sealed = self.call(&["encrypt", self.flag, key, "a.yaml"]).stdout();
        self.scratch.write("b.yaml", &sealed);
    }

    pub(crate) fn decrypt(&self) -> Outcome {
        self.call(&["decrypt", "b.yaml"]).outcome()
    }

    pub(crate) fn opens(&self) -> bool {
        let outcome = self.decrypt();
        let opened = outcome.succeeded();
        assert!(!opened || (outcome.stdout == PLAIN && outcome.stderr.is_empty()), "{}", outcome.messages());
        opened
    }

    pub(crate) fn works_with(&self, key: &str) {
        self.seal(key);
        assert!(self.opens(), "{}", self.decrypt().messages());
    }

    /// It is not encrypted, for these reasons.
    pub(crate) fn cannot_encrypt(&self, key: &str, expected: &[&str]) {
        self.refused(&self.encrypt(key), expected);
    }

    /// It is not decrypted, for these reasons.
    pub(crate) fn cannot_decrypt(&self, expected: &[&str]) {
        self.refused(&self.decrypt(), expected);
    }

    pub(crate) fn refused(&self, outcome: &Outcome, expected: &[&str]) {
        let words = words(outcome);
        assert!(outcome.failed_cleanly(), "{words}");
        for expected in expected {
            assert!(words.contains(expected), "{expected:?} is missing in {words:?}");
        }
        for secret in self.secrets {
            assert!(!words.contains(secret), "{words}");
        }
    }
}

/// What was said, in one line.
pub(crate) fn words(outcome: &Outcome) -> String {
    outcome.messages().replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}
