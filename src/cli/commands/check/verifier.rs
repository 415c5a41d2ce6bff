//! `--verify`: the keys at hand open what is encrypted, and it is what was encrypted.

use std::sync::Arc;

use rsops::check::{Code, Finding, Subject};
use rsops::keys::DecryptionOrder;
use rsops::store::Format;

use crate::cli::error::CommandError;
use crate::cli::open::{parse, verify};
use crate::cli::options::{FormatOptions, InputOptions};
use crate::cli::place::{Input, KeyServices, Place};
use crate::cli::ui::Ui;

/// Decrypts what it can.
pub(super) struct Verifier {
    pub(super) ui: Arc<Ui>,
    pub(super) services: KeyServices,
    pub(super) order: DecryptionOrder,
}

impl Verifier {
    /// What is wrong with an encrypted file, read in this format.
    pub(super) fn verify(&self, subject: &Subject<'_>, format: Format) -> Option<Finding> {
        let input = Input::File(subject.path.to_owned());
        let formats = FormatOptions {
            input: InputOptions { input_type: Some(format.name().to_owned()) },
            ..FormatOptions::default()
        };
        let place = Place::new(self.ui.clone(), input, &formats).ok()?;
        // why it cannot be read has been said
        let document = parse(&place, subject.source.clone()).ok()?;
        let error = verify(&place, document, &self.services, &self.order).err()?;
        let text = error.to_string();
        if let CommandError::Recover(_) = error {
            let reason = text.lines().find_map(|line| line.trim_start().strip_prefix("- | ")).unwrap_or("");
            return Some(unverified(
                format!("no key at hand opens it: {reason}"),
                "run the check where a key of the file is at hand, or without --verify",
            ));
        }
        let first = text.lines().next().unwrap_or_default().to_owned();
        Some(unverified(first, "restore the file from the last commit in which it could be decrypted"))
    }
}

fn unverified(message: String, fix: &str) -> Finding {
    Finding { code: Code::Unverified, position: None, message, fix: fix.to_owned() }
}
