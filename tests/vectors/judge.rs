//! What a case asks of the program.

use std::path::Path;

use crate::case::{Case, Compare, Document, Expected, Kind, Story};
use crate::steps::judge_steps;
use crate::support::outcome::{Exit, Outcome};
use crate::support::program::Bar;
use crate::support::scratch::{Call, Scratch};
use crate::support::text::{same, shape, words_without_comments};
use crate::support::{Check, during};

/// Scripts search for these, so they are part of the contract. All other wording is free.
const PHRASES: [&str; 9] = [
    "sops metadata not found",
    "File has not changed, exiting.",
    "config file not found, or has no creation rules, and no keys provided through command line options",
    "MAC mismatch",
    "already up to date",
    "synced with",
    "Failed to get the data key required to decrypt the SOPS file.",
    "Data key recovered successfully",
    "no matching creation rules found",
];

pub(crate) fn judge(case: &Case, bar: Bar) -> Check {
    let scratch = Scratch::new();
    if let Some(config) = &case.config {
        scratch.write(".sops.yaml", config.as_bytes());
    }
    match &case.story {
        Story::Steps(steps) => judge_steps(case, steps, bar, &scratch),
        Story::Document(document) => Trial { case, document, bar, scratch: &scratch }.judge(),
    }
}

/// The exit status, and as much of the message as counts.
pub(crate) fn ends_as(outcome: &Outcome, expected: &Expected) -> Check {
    outcome.wants(expected.exit)?;
    match (expected.exit, expected.message()) {
        (Exit::Status(_), Some(message)) => says(outcome, expected.exit, message),
        _ => Ok(()),
    }
}

/// Phrases that scripts search for are there; silence on success is kept, since clients take any byte for a failure.
pub(crate) fn says(outcome: &Outcome, exit: Exit, message: &str) -> Check {
    let got = outcome.messages();
    if exit == Exit::Status(0) && message.is_empty() && !got.is_empty() {
        return Err(format!("stderr is not empty: {}", outcome.message()));
    }
    match PHRASES.iter().find(|phrase| message.contains(**phrase) && !got.contains(**phrase)) {
        Some(phrase) => Err(format!("stderr lacks {phrase:?}: {}", outcome.message())),
        None => Ok(()),
    }
}

struct Trial<'a> {
    case: &'a Case,
    document: &'a Document,
    bar: Bar,
    scratch: &'a Scratch,
}

impl Trial<'_> {
    fn judge(&self) -> Check {
        if let (Some(input), Some(expected)) = (&self.document.input, &self.document.encrypt) {
            during("encrypt", self.encrypts(input, expected))?;
        }
        let expected = match self.bar {
            Bar::Policy => self.document.decrypt.as_ref(),
            Bar::Reference => self.document.decrypt_by_reference(),
        };
        match (&self.document.encrypted, expected) {
            (Some(encrypted), Some(expected)) => self.decrypts(base_name(encrypted), expected),
            _ => Ok(()),
        }
    }

    fn encrypts(&self, input: &str, expected: &Expected) -> Check {
        let document = self.document;
        let name = document.name.as_deref().unwrap_or(input);
        self.scratch.write(name, self.case.file(input));
        let mut arguments = document.global_args.clone();
        arguments.push("encrypt".to_owned());
        arguments.extend(document.args.iter().cloned());
        arguments.push(name.to_owned());
        let outcome =
            self.scratch.call(arguments).keys(&document.encrypt_keys).variables(&document.env).outcome();
        let refusing_is_as_good = document.kind == Kind::EncryptsButDoesNotDecrypt
            && self.bar == Bar::Policy
            && outcome.failed_cleanly();
        if !refusing_is_as_good {
            ends_as(&outcome, expected)?;
        }
        if !outcome.succeeded() {
            return nothing_on_stdout(&outcome);
        }
        self.looks_like_the_reference(&outcome.stdout)?;
        during("decrypt the result", self.opens_again(&outcome.stdout))
    }

    fn looks_like_the_reference(&self, encrypted: &[u8]) -> Check {
        match &self.document.encrypted {
            // what the reference writes here cannot be read again
            Some(_) if self.bar == Bar::Policy && self.document.own_expected_any.is_some() => Ok(()),
            Some(want) => same("the shape", &shape(encrypted), &shape(self.case.file(want))),
            None => Ok(()),
        }
    }

    fn opens_again(&self, encrypted: &[u8]) -> Check {
        let document = self.document;
        let opens = document.decrypt.as_ref().is_some_and(|expected| expected.exit == Exit::Status(0));
        // where the reference refuses there is no encrypted file to be named after
        let Some(name) = document.encrypted.as_ref().or(document.input.as_ref()) else { return Ok(()) };
        if self.bar == Bar::Reference || !(opens || document.own_expected_any.is_some()) {
            return Ok(());
        }
        let own = format!("own-{}", base_name(name));
        self.scratch.write(&own, encrypted);
        let keys = document.keys.first().cloned().unwrap_or_default();
        let outcome = self.decrypt(&own).keys(keys).outcome();
        outcome.wants(Exit::Status(0))?;
        let wanted = document.own_expected_any.as_ref().or(document.expected_any.as_ref());
        self.is_one_of(&outcome.stdout, wanted, document.own_compare)?;
        match document.own_contains.iter().find(|text| !contains(&outcome.stdout, text)) {
            Some(text) => Err(format!("lacks {text:?}")),
            None => Ok(()),
        }
    }

    fn decrypts(&self, name: &str, expected: &Expected) -> Check {
        let document = self.document;
        let encrypted = document.encrypted.as_ref().expect("the caller saw it");
        self.scratch.write(name, self.case.file(encrypted));
        let nobody = [Vec::new()];
        let sets = if document.keys.is_empty() { &nobody[..] } else { &document.keys };
        for keys in sets {
            during(&format!("decrypt with {keys:?}"), self.decrypts_with(keys, name, expected))?;
        }
        for wrong in &document.fails_with {
            let outcome = self.decrypt(name).variables(&document.env).keys(&wrong.keys).outcome();
            during(&format!("decrypt with {:?}", wrong.keys), ends_as(&outcome, &wrong.expected()))?;
        }
        Ok(())
    }

    fn decrypts_with(&self, keys: &[String], name: &str, expected: &Expected) -> Check {
        let outcome = self.decrypt(name).variables(&self.document.env).keys(keys).outcome();
        ends_as(&outcome, expected)?;
        match (expected.exit, self.bar) {
            (Exit::Status(0), Bar::Reference) => {
                self.is_one_of(&outcome.stdout, Some(&self.by_reference()), None)
            }
            (Exit::Status(0), Bar::Policy) => {
                self.is_one_of(&outcome.stdout, self.document.expected_any.as_ref(), None)
            }
            (Exit::NoCrash, _) => Ok(()),
            _ => nothing_on_stdout(&outcome),
        }
    }

    fn decrypt(&self, name: &str) -> Call<'_> {
        let arguments = ["decrypt".to_owned()].into_iter().chain(self.document.decrypt_args.iter().cloned());
        self.scratch.call(arguments.chain([name.to_owned()]))
    }

    fn by_reference(&self) -> Vec<String> {
        self.document.decrypted.iter().cloned().collect()
    }

    /// One of the wanted files, or the one that a correct program prints.
    fn is_one_of(&self, got: &[u8], wanted: Option<&Vec<String>>, compare: Option<Compare>) -> Check {
        let single = self.document.expected.as_ref().or(self.document.decrypted.as_ref());
        let names = wanted.cloned().unwrap_or_else(|| single.into_iter().cloned().collect());
        let texts: Vec<_> = names.iter().map(|name| self.case.file(name)).collect();
        let first = *texts.first().ok_or("the vector does not say what is printed")?;
        let met = match compare {
            _ if texts.contains(&got) => true,
            Some(Compare::WordsWithoutComments) => {
                let words = words_without_comments(got);
                texts.iter().any(|text| words_without_comments(text) == words)
            }
            None => false,
        };
        if met { Ok(()) } else { same("the plaintext", got, first) }
    }
}

fn nothing_on_stdout(outcome: &Outcome) -> Check {
    same("stdout, which should be empty after a failure,", &outcome.stdout, b"")
}

fn base_name(name: &str) -> &str {
    Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or(name)
}

pub(crate) fn contains(text: &[u8], wanted: &str) -> bool {
    memchr::memmem::find(text, wanted.as_bytes()).is_some()
}
