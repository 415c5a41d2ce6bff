//! The rules that `init` writes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rsops::check::{Checker, Code, Subject};
use rsops::keys::{Key, Kind};

/// So many manifests are named one by one.
const MOST_MANIFESTS: usize = 20;

/// Kubernetes Secrets in clear, relative to the folder.
pub(super) fn manifests(folder: &Path, files: &[PathBuf]) -> Vec<String> {
    let is_manifest = |file: &&PathBuf| {
        let path = folder.join(file);
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !["yaml", "yml", "json"].contains(&extension) {
            return false;
        }
        let Ok(bytes) = fs::read(&path) else { return false };
        let subject = Subject { path: &path, shown: "", source: bytes.into() };
        let verdict = Checker::new(None).examine(&subject);
        verdict.is_ok_and(|verdict| {
            verdict.findings.iter().any(|finding| finding.code == Code::KubernetesSecret)
        })
    };
    files.iter().filter(is_manifest).map(|file| file.display().to_string()).collect()
}

/// A commented `.sops.yaml` for these keys.
pub(super) fn configuration(keys: &[Key], manifests: &[String]) -> String {
    let mut text = "# Which files are encrypted, and for whom. The first rule that matches a path counts.\n\
                    # After a change: rsops updatekeys FILE\ncreation_rules:\n"
        .to_owned();
    if !manifests.is_empty() {
        text += "  # Kubernetes Secrets: only the values, so that the rest of a manifest can be read\n";
        rule(&mut text, &manifest_pattern(manifests), &["encrypted_regex: ^(data|stringData)$"], keys);
    }
    text += "  # files that say by their names that they are encrypted: db.enc.yaml, .enc.env\n";
    rule(&mut text, r"\.enc\.[^/.]+$", &[], keys);
    text += "  # everything in folders called secrets\n";
    rule(&mut text, "(^|/)secrets/", &[], keys);
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

/// A text in which nothing has a meaning for regular expressions.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
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
        let manifests = ["k8s/it's a (secret).yaml".to_owned()];
        let text = configuration(&keys, &manifests);
        let config = Config::parse(Path::new("/repo/.sops.yaml"), text.as_bytes()).expect("a configuration");
        assert!(config.unknown_keys().is_empty(), "{text}");
        for (path, regex) in [
            ("k8s/it's a (secret).yaml", "^(data|stringData)$"),
            ("db.enc.yaml", ""),
            ("a/secrets/b", ""),
            ("secrets/b", ""),
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
        assert!(config.creation_rule(Path::new("/repo/README.md"), &[]).is_err());
    }
}
