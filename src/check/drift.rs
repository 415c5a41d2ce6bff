//! What the metadata of a file say other than its creation rule.

use super::{Code, Finding, Position};
use crate::cipher::well_formed;
use crate::config::ResolvedRule;
use crate::keys::{Key, KeyGroup, compare};
use crate::mac::Coverage;
use crate::metadata::Metadata;
use crate::selection::Selection;
use crate::store::Format;

/// Keys that the data key was never wrapped for, groups without keys, and a MAC that is none.
pub(super) fn wrapped(metadata: &Metadata, at: Option<Position>) -> Vec<Finding> {
    let broken = |message: String| {
        Finding {
        code: Code::BrokenMetadata,
        position: at,
        message,
        fix: "restore the metadata from the last commit in which the file could be decrypted, then run updatekeys"
            .to_owned(),
    }
    };
    let keys = metadata.key_groups.iter().flat_map(|group| &group.keys);
    let mut findings: Vec<Finding> = keys
        .filter(|key| key.enc.trim().is_empty())
        .map(|key| broken(format!("nothing is wrapped for the key {}", key.key)))
        .collect();
    if metadata.key_groups.len() > 1 && metadata.shamir_threshold > metadata.key_groups.len() {
        findings.push(broken(format!(
            "{} groups are needed, but there are only {}",
            metadata.shamir_threshold,
            metadata.key_groups.len()
        )));
    }
    if !metadata.mac.is_empty()
        && let Err(error) = well_formed(metadata.mac.as_bytes())
    {
        findings.push(broken(format!("the MAC is damaged: {error}")));
    }
    findings
}

/// The file, as commands that mend it are told of it.
pub(super) struct File<'a> {
    pub(super) format: Format,
    /// A word for the shell.
    pub(super) word: &'a str,
    /// The same behind flags for the formats of input and output.
    pub(super) shown: &'a str,
    /// The same behind the one flag that `updatekeys` has.
    pub(super) shown_for_keys: &'a str,
}

pub(super) fn drift(
    file: &File<'_>,
    metadata: &Metadata,
    rule: &ResolvedRule,
    at: Option<Position>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    // binary files have nothing to select (stores.md §4)
    if file.format != Format::Binary {
        let message = selection(metadata, rule);
        findings.extend(message.map(|message| Finding {
            code: Code::SelectionDrift,
            position: at,
            message,
            fix: encrypt_again(file),
        }));
    }
    findings.extend(recipients(metadata, rule).map(|message| Finding {
        code: Code::RecipientDrift,
        position: at,
        message,
        fix: format!("rsops updatekeys {}", file.shown_for_keys),
    }));
    findings
}

/// The plaintext goes from one to the other and never lies on the disk, and the file stays if one of them fails.
fn encrypt_again(file: &File<'_>) -> String {
    let flags = file.shown.strip_suffix(file.word).unwrap_or_default();
    let encrypt = format!("rsops encrypt {flags}--output {0} --filename-override {0} {{}}", file.word);
    format!("encrypt the file again: rsops exec-file {} '{}'", file.shown, encrypt.replace('\'', "'\\''"))
}

fn selection(metadata: &Metadata, rule: &ResolvedRule) -> Option<String> {
    // a rule that is wrong in itself is told where it is used
    let wanted = rule.selectors.selection().ok()?;
    let mut differences = Vec::new();
    if metadata.selection.selectors() != wanted.selectors() {
        differences.push(format!("it has {}, the rule says {}", told(&metadata.selection), told(&wanted)));
    }
    let only_encrypted = metadata.coverage == Coverage::OnlyEncrypted;
    if only_encrypted != rule.mac_only_encrypted {
        differences.push(format!(
            "its MAC covers {}, the rule wants {}",
            covered(only_encrypted),
            covered(rule.mac_only_encrypted)
        ));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

fn told(selection: &Selection) -> String {
    let selectors = selection.selectors();
    let set = selectors.entries().into_iter().find(|(_, text)| !text.is_empty());
    set.map_or_else(|| "no selector".to_owned(), |(name, text)| format!("{name}: {text}"))
}

fn covered(only_encrypted: bool) -> &'static str {
    if only_encrypted { "encrypted values only" } else { "all values" }
}

fn recipients(metadata: &Metadata, rule: &ResolvedRule) -> Option<String> {
    // keys of such a rule come from the command line
    if rule.key_groups.iter().all(|group| group.keys.is_empty()) {
        return None;
    }
    let wanted = pinned(&rule.key_groups, &metadata.key_groups);
    let mut differences = Vec::new();
    let several = wanted.len() > 1 || metadata.key_groups.len() > 1;
    for (number, changes) in compare(&metadata.key_groups, &wanted).iter().enumerate() {
        let group = if several { format!(" in group {number}") } else { String::new() };
        if !changes.added.is_empty() {
            differences.push(format!("missing{group}: {}", changes.added.join(", ")));
        }
        if !changes.removed.is_empty() {
            differences.push(format!("too many{group}: {}", changes.removed.join(", ")));
        }
    }
    let needed = |threshold: usize, groups: usize| if threshold == 0 { groups } else { threshold };
    if wanted.len() > 1 && metadata.key_groups.len() == wanted.len() {
        let has = needed(metadata.shamir_threshold, wanted.len());
        let wants = needed(rule.shamir_threshold, wanted.len());
        if has != wants {
            differences.push(format!("{has} groups are needed, the rule says {wants}"));
        }
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// The keys of the rule. One of Azure without a version stands for the version that the file has (keys.md §7.1).
fn pinned(rule: &[KeyGroup], file: &[KeyGroup]) -> Vec<KeyGroup> {
    let in_file = || file.iter().flat_map(|group| &group.keys);
    let mut groups = rule.to_vec();
    for key in groups.iter_mut().flat_map(|group| &mut group.keys) {
        if let Key::AzureKv(wanted) = &mut key.key
            && wanted.version.is_empty()
        {
            let version = in_file().find_map(|key| match &key.key {
                Key::AzureKv(has) if has.vault_url == wanted.vault_url && has.name == wanted.name => {
                    Some(has.version.clone())
                }
                _ => None,
            });
            wanted.version = version.unwrap_or_default();
        }
    }
    groups
}
