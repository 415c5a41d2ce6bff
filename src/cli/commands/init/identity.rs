//! Whom files are encrypted for, if nobody is named: the user.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use rsops::keys::age::{NewIdentity, recipients_of};
use rsops::keys::secrecy::ExposeSecret as _;
use rsops::keys::{Key, Kind};
use zeroize::Zeroizing;

use super::plan::{Plan, Step, one_line};
use crate::cli::environment::{age_key_file, age_key_files, age_key_text, has_age_key_command};
use crate::cli::error::CommandError;

/// The recipients of the identity at hand, or of one that will be made. All places are looked at where `decrypt` finds
/// identities of age (keys.md §2.4); a second identity is of use to nobody.
pub(super) fn own_keys(plan: &mut Plan) -> Result<Vec<Key>, CommandError> {
    // where there is an identity that does not say for whom
    let mut silent = None;
    if let Some(text) = age_key_text() {
        let recipients = recipients_of(text.expose_secret().as_bytes());
        if !recipients.is_empty() {
            plan.note("using the age identity of SOPS_AGE_KEY".to_owned());
            return parse(&recipients);
        }
        silent = Some(PathBuf::from("SOPS_AGE_KEY"));
    }
    for path in age_key_files() {
        match fs::read(&path).map(Zeroizing::new) {
            Ok(text) => {
                let recipients = recipients_of(&text);
                if !recipients.is_empty() {
                    plan.note(format!("using the age identity in {}", one_line(&path)));
                    return parse(&recipients);
                }
                silent = silent.or(Some(path));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(CommandError::Read { path, error }),
        }
    }
    // nobody expects it to be called already
    if has_age_key_command() {
        silent = silent.or(Some(PathBuf::from("SOPS_AGE_KEY_CMD")));
    }
    if let Some(silent) = silent {
        return Err(CommandError::NoRecipients(silent));
    }
    let path = age_key_file().map_err(CommandError::NoPlaceForIdentity)?;
    let identity = NewIdentity::generate();
    let keys = parse(std::slice::from_ref(&identity.recipient))?;
    plan.add(Step::Identity { path, identity });
    Ok(keys)
}

fn parse(recipients: &[String]) -> Result<Vec<Key>, CommandError> {
    let parse = |recipient: &String| Kind::Age.parse_list(recipient, &Default::default());
    let keys: Result<Vec<Vec<Key>>, _> = recipients.iter().map(parse).collect();
    keys.map(|keys| keys.concat()).map_err(CommandError::Key)
}
