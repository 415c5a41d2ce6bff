//! The rules that `init` writes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rsops::check::{Checker, Code, Subject};
use rsops::config::{FILE_NAME, absolute, search};
use rsops::document::PlainDocument;
use rsops::keys::{Key, Kind};
use rsops::store::{Format, Indent};
use rsops::tree::Source;

use super::plan::{Plan, Step, one_line};
use crate::cli::error::CommandError;
use crate::cli::repository::{is_repository, top_level};

/// So many manifests are named one by one.
const MOST_MANIFESTS: usize = 20;

/// What a folder called secrets has in it, if it is not source code that deals with them.
const EXTENSIONS: &str =
    "ya?ml|json|env(\\.[^/.]+)?|ini|toml|txt|conf|cfg|properties|tfvars|key|pem|p12|pfx|jks";

/// A configuration, unless there is one that counts in this folder: a new one would take it out of force.
pub(super) fn plan_rules(
    folder: &Path,
    files: &[PathBuf],
    keys: &[Key],
    plan: &mut Plan,
) -> Result<(), CommandError> {
    let top = if is_repository(folder)? { Some(top_level(folder)?) } else { None };
    let search = search(folder);
    if let Some(misnamed) = &search.misnamed {
        plan.request(misnamed.to_string());
    }
    if let Some(found) = search.found.map(|found| absolute(folder, &found)) {
        // what lies above the repository is nothing that it brings along
        if top.as_ref().is_none_or(|top| found.starts_with(top)) {
            plan.note(match found.parent() == Some(folder) {
                true => format!("{FILE_NAME} is there already and stays as it is"),
                false => format!(
                    "{} counts in this folder and stays as it is; a second one here would take it out of force",
                    one_line(&found)
                ),
            });
            ask_for_entry(&found, keys, plan);
            return Ok(());
        }
        plan.note(format!("{} will not count in this repository any more", one_line(&found)));
    }
    if let Some(top) = top.filter(|top| top != folder) {
        plan.note(format!(
            "these rules count in this folder only; for the whole repository call rsops init in {}",
            one_line(&top)
        ));
    }
    let text = configuration(keys, &manifests(folder, files));
    plan.add(Step::File { path: folder.join(FILE_NAME), what: "rules", text, executable: false });
    Ok(())
}

/// Whoever is not among the recipients can encrypt, and read nothing.
fn ask_for_entry(path: &Path, keys: &[Key], plan: &mut Plan) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let names: Vec<String> = keys.iter().map(name).filter(|name| !text.contains(name.as_str())).collect();
    if names.len() == keys.len() && !names.is_empty() {
        plan.request(format!(
            "none of its rules names {}: add that where it belongs, then have somebody who can read the files call rsops \
             updatekeys",
            names.join(", ")
        ));
    }
}

/// Kubernetes Secrets in clear, relative to the folder.
fn manifests(folder: &Path, files: &[PathBuf]) -> Vec<String> {
    let is_manifest = |file: &&PathBuf| {
        let path = folder.join(file);
        let format = Format::from_path(&path);
        if !matches!(format, Format::Yaml | Format::Json) {
            return false;
        }
        let Ok(bytes) = fs::read(&path) else { return false };
        let source = Source::from(bytes);
        let subject = Subject { path: &path, word: "", shown: "", source: source.clone() };
        let has_secrets = Checker::new(None).examine(&subject).is_ok_and(|verdict| {
            verdict.findings.iter().any(|finding| finding.code == Code::KubernetesSecret)
        });
        // templates have secrets too, but cannot be encrypted
        has_secrets && PlainDocument::load(&*format.store(Indent::default()), source).is_ok()
    };
    files.iter().filter(is_manifest).map(|file| file.display().to_string()).collect()
}

/// A commented `.sops.yaml` for these keys.
fn configuration(keys: &[Key], manifests: &[String]) -> String {
    let mut text = "# Which files are encrypted, and for whom. The first rule that matches a path counts.\n\
                    # After a change: rsops updatekeys FILE\ncreation_rules:\n"
        .to_owned();
    if !manifests.is_empty() {
        text += "  # Kubernetes Secrets: only the values, so that the rest of a manifest can be read\n";
        rule(&mut text, &manifest_pattern(manifests), &["encrypted_regex: ^(data|stringData)$"], keys);
    }
    text += "  # files that say by their names that they are encrypted: db.enc.yaml, .enc.env\n";
    rule(&mut text, r"\.enc\.[^/.]+$", &[], keys);
    text += "  # what may hold secrets in folders called secrets; code that deals with them does not\n";
    rule(&mut text, &format!(r"(^|/)secrets/(.*/)?[^/]*\.({EXTENSIONS})$|^secrets/(.*/)?[^/.]+$"), &[], keys);
    text
}

/// The manifests one by one, or all that say by their names what they are.
fn manifest_pattern(manifests: &[String]) -> String {
    if manifests.len() > MOST_MANIFESTS {
        return r"(^|/)[^/]*secret[^/]*\.(ya?ml|json)$".to_owned();
    }
    let names: Vec<String> = manifests.iter().map(|name| escaped(name)).collect();
    format!("^({})$", names.join("|"))
}

/// A text in which nothing has a meaning for regular expressions, nor for YAML or a terminal.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        match c {
            c if r"\.+*?()|[]{}^$".contains(c) => pattern.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(pattern, "\\x{{{:x}}}", u32::from(c));
            }
            // of a name that is no text
            char::REPLACEMENT_CHARACTER => pattern.push_str("[^/]+"),
            c => pattern.push(c),
        }
    }
    pattern
}

fn rule(text: &mut String, path: &str, settings: &[&str], keys: &[Key]) {
    let _ = writeln!(text, "  - path_regex: {}", quoted(path));
    for setting in settings {
        let _ = writeln!(text, "    {setting}");
    }
    for kind in [Kind::Age, Kind::Pgp, Kind::AwsKms, Kind::GcpKms, Kind::AzureKv, Kind::HcVault, Kind::HcKms]
    {
        let names: Vec<String> = keys.iter().filter(|key| key.kind() == kind).map(name).collect();
        match (names.as_slice(), kind) {
            ([], _) => {}
            (names, Kind::HcKms) => {
                let _ = writeln!(text, "    {}:", field(kind));
                names.iter().for_each(|name| {
                    let _ = writeln!(text, "      - {name}");
                });
            }
            ([name], _) => {
                let _ = writeln!(text, "    {}: {name}", field(kind));
            }
            (names, _) => {
                let _ = writeln!(text, "    {}: >-\n      {}", field(kind), names.join(",\n      "));
            }
        }
        let profile = keys.iter().find_map(|key| match key {
            Key::AwsKms(key) if kind == Kind::AwsKms && !key.profile.is_empty() => Some(&key.profile),
            _ => None,
        });
        if let Some(profile) = profile {
            let _ = writeln!(text, "    aws_profile: {profile}");
        }
    }
}

/// The name of a kind in rules (config.md §4.1).
fn field(kind: Kind) -> &'static str {
    match kind {
        Kind::AwsKms => "kms",
        Kind::GcpKms => "gcp_kms",
        Kind::HcKms => "hckms",
        Kind::AzureKv => "azure_keyvault",
        Kind::HcVault => "hc_vault_transit_uri",
        Kind::Pgp => "pgp",
        Kind::Age => "age",
    }
}

/// A key as the list of its kind has it.
fn name(key: &Key) -> String {
    match key {
        Key::AwsKms(key) if key.role.is_empty() => key.arn.clone(),
        Key::AwsKms(key) => format!("{}+{}", key.arn, key.role),
        Key::AzureKv(key) if key.version.is_empty() => format!("{}/keys/{}", key.vault_url, key.name),
        key => key.to_string(),
    }
}

/// In quotes, in which only a quote has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use rsops::config::Config;

    use super::*;

    const AGE: &str = "age18ns40szzv3seadwktx6mkhjjqrz2xvt0jlkcc00l0z7d3kpr7chss24t99";

    fn keys(lists: &[(Kind, &str)]) -> Vec<Key> {
        let parse = |(kind, list): &(Kind, &str)| kind.parse_list(list, &Default::default()).expect("keys");
        lists.iter().flat_map(parse).collect()
    }

    #[test]
    fn what_is_written_can_be_read_and_names_the_keys() {
        let keys = keys(&[
            (Kind::Age, &format!("{AGE},{AGE}")),
            (Kind::AwsKms, "arn:aws:kms:eu-west-1:1:key/k+arn:aws:iam::1:role/r"),
            (Kind::AzureKv, "https://v.vault.azure.net/keys/k"),
            (Kind::HcVault, "https://vault.example:8200/v1/transit/keys/k"),
            (Kind::HcKms, "r:u"),
            (Kind::Pgp, "ABCD"),
        ]);
        let manifests = ["k8s/it's a (secret).yaml", "k8s/new\nline\u{1b}.yaml"].map(str::to_owned);
        let text = configuration(&keys, &manifests);
        let config = Config::parse(Path::new("/repo/.sops.yaml"), text.as_bytes()).expect("a configuration");
        assert!(config.unknown_keys().is_empty(), "{text}");
        for (path, regex) in [
            ("k8s/it's a (secret).yaml", "^(data|stringData)$"),
            ("db.enc.yaml", ""),
            ("k8s/new\nline\u{1b}.yaml", "^(data|stringData)$"),
            ("a/secrets/b.yaml", ""),
            ("secrets/b", ""),
            ("secrets/a/b", ""),
            ("secrets/.env", ""),
            ("secrets/.env.production", ""),
            ("secrets/tls.key", ""),
        ] {
            let rule = config.creation_rule(&Path::new("/repo").join(path), &[]).expect(path);
            assert_eq!(rule.selectors.encrypted_regex, regex, "{path}");
            let mut names: Vec<String> =
                rule.key_groups[0].keys.iter().map(|key| key.key.to_string()).collect();
            let mut wanted: Vec<String> = keys.iter().map(Key::to_string).collect();
            names.sort();
            wanted.sort();
            assert_eq!(names, wanted);
        }
        for path in [
            "README.md",
            "src/secrets/mod.rs",
            "src/secrets/Makefile",
            "secrets/.gitignore",
            "secrets/README.md",
        ] {
            assert!(config.creation_rule(&Path::new("/repo").join(path), &[]).is_err(), "{path}");
        }
    }
}
