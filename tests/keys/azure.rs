//! Azure Key Vault, against a vault of our own that the vendor's client takes for one.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::server::azure::{Azure, CLIENT, FEDERATED, IDENTITY_HEADER, LOGIN, Mood, SECRET, TENANT, VAULT};
use crate::server::{Server, put};
use crate::support::fetched::python_with;
use crate::support::outcome::{Ending, Outcome};
use crate::support::scratch::{Call, Scratch};

const TEXT: &[u8] = b"user: app\npassword: hunter2\n";
/// Without a version.
const KEY: &str = "https://team.vault.example/keys/sops";

type Variables = BTreeMap<String, String>;

/// A folder to work in, and a vault in reach.
struct Desk {
    scratch: Scratch,
    azure: Azure,
}

impl Desk {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.write("a.yaml", TEXT);
        Self { scratch, azure: Azure::new() }
    }

    /// With a file that the current version of the key opens.
    fn sealed() -> Self {
        let desk = Self::new();
        desk.call(&["encrypt", "-i", "--azure-kv", KEY, "a.yaml"]).stdout();
        desk
    }

    /// A call by an application that has a secret.
    fn call(&self, arguments: &[&str]) -> Call<'_> {
        self.call_with(arguments, &self.azure.with_secret())
    }

    fn call_with(&self, arguments: &[&str], variables: &Variables) -> Call<'_> {
        self.scratch.call(arguments).variables(variables)
    }

    /// Whatever a run says, it says nothing that somebody could log in with.
    fn outcome(&self, call: Call<'_>) -> Outcome {
        let outcome = call.outcome();
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        for secret in self.azure.secrets() {
            assert!(!said.contains(&secret), "{secret} in {said}");
        }
        outcome
    }

    fn plain(&self) -> Vec<u8> {
        self.call(&["decrypt", "a.yaml"]).stdout()
    }

    fn text(&self) -> String {
        self.scratch.text("a.yaml")
    }

    /// The versions of the keys of the file.
    fn versions(&self) -> Vec<String> {
        let text = self.text();
        let values = text.lines().filter_map(|line| line.split_once(" version: "));
        values.map(|(_, value)| value.trim().to_owned()).filter(|value| value != "3.13.2").collect()
    }

    /// A program on the search path, in front of those of the system.
    fn program(&self, name: &str, script: &str) -> String {
        let folder = self.scratch.root().join("bin");
        fs::create_dir_all(&folder).expect("our own folder");
        let path = put(&folder, name, &format!("#!/bin/sh\n{script}\n"));
        make_executable(&path);
        format!("{}:{}", folder.display(), env::var("PATH").expect("a search path"))
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// Failed with this exit status and these words, wherever its lines are broken.
fn fails_with(outcome: &Outcome, status: i32, words: &[&str]) {
    let messages = flat(outcome);
    assert_eq!(outcome.ending, Ending::Exited(status), "{messages}");
    assert!(outcome.failed_cleanly(), "{messages}");
    for word in words {
        assert!(messages.contains(word), "{word:?} is missing in {messages:?}");
    }
}

fn refused(outcome: &Outcome, status: i32, words: &[&str]) {
    assert!(outcome.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&outcome.stdout));
    fails_with(outcome, status, words);
}

/// The messages on one line, without the frame that recovery puts around them.
fn flat(outcome: &Outcome) -> String {
    let messages = outcome.messages();
    let lines = messages.lines().map(|line| line.trim_start_matches([' ', '-', '|']));
    lines.collect::<Vec<_>>().join(" ")
}

fn with(mut variables: Variables, pairs: &[(&str, &str)]) -> Variables {
    variables.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    variables
}

fn without(mut variables: Variables, name: &str) -> Variables {
    variables.remove(name);
    variables
}

#[test]
fn a_key_without_version_is_pinned_to_the_current_one() {
    let desk = Desk::sealed();
    let text = desk.text();
    assert!(text.contains("vault_url: https://team.vault.example\n"), "{text}");
    assert!(text.contains("name: sops\n"), "{text}");
    let version = desk.azure.current_version("sops");
    assert_eq!(desk.versions(), [version.as_str()]);
    // the first request has no token, and asks for one
    assert_eq!(desk.azure.asked()[..2], ["GET /keys/sops/", "GET /keys/sops/"]);
    let encrypt = format!("POST /keys/sops/{version}/encrypt");
    assert_eq!(desk.azure.asked()[2..], [encrypt.as_str()]);
    assert_eq!(desk.plain(), TEXT);
    // a token serves for all that one run does
    assert_eq!(desk.azure.logins(), 2);
}

#[test]
fn what_is_wrapped_is_url_safe_base64_without_padding() {
    let desk = Desk::sealed();
    let text = desk.text();
    let enc = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("enc: "));
    let enc = enc.expect("a wrapped key").trim();
    // 256 bytes
    assert_eq!(enc.len(), 342);
    assert!(enc.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{enc}");
}

#[test]
fn a_key_with_version_is_not_looked_up() {
    let desk = Desk::new();
    let old = desk.azure.current_version("sops");
    desk.azure.new_version("sops");
    let key = format!("{KEY}/{old}");
    let outcome = desk.call(&["encrypt", "-i", "--azure-kv", &key, "a.yaml"]).outcome();
    assert!(outcome.succeeded() && outcome.stderr.is_empty(), "{}", outcome.messages());
    assert_eq!(desk.versions(), [old]);
    assert!(desk.azure.asked().iter().all(|request| !request.starts_with("GET")));
    assert_eq!(desk.plain(), TEXT);
}

#[test]
fn a_file_without_version_is_opened_by_the_newest() {
    let desk = Desk::sealed();
    let version = desk.versions().remove(0);
    let text = desk.text().replace(&format!("version: {version}"), "version: \"\"");
    desk.scratch.write("a.yaml", text.as_bytes());
    assert_eq!(desk.plain(), TEXT);
    assert_eq!(desk.azure.asked().last().expect("a request"), "POST /keys/sops//decrypt");
}

#[test]
fn updatekeys_moves_to_a_new_version() {
    let desk = Desk::sealed();
    let old = desk.versions();
    desk.scratch.write(".sops.yaml", format!("creation_rules:\n  - azure_keyvault: {KEY}\n").as_bytes());
    let new = desk.azure.new_version("sops");
    assert_eq!(desk.plain(), TEXT);
    let outcome = desk.outcome(desk.call(&["updatekeys", "--yes", "a.yaml"]));
    assert!(outcome.succeeded(), "{}", outcome.messages());
    let shown = String::from_utf8(outcome.stdout).expect("text");
    assert!(
        shown.contains(&format!("+++ {KEY}/{new}\n")) && shown.contains(&format!("--- {KEY}/{}\n", old[0]))
    );
    assert_eq!(desk.versions(), [new]);
    assert_eq!(desk.plain(), TEXT);
    let again = desk.call(&["updatekeys", "--yes", "a.yaml"]).outcome();
    assert!(again.messages().contains("already up to date"), "{}", again.messages());
}

#[test]
fn updatekeys_looks_a_version_up_once_for_all_files() {
    let desk = Desk::sealed();
    desk.scratch.write("b.yaml", desk.text().as_bytes());
    desk.scratch.write(".sops.yaml", format!("creation_rules:\n  - azure_keyvault: {KEY}\n").as_bytes());
    let before = desk.azure.asked().len();
    desk.call(&["updatekeys", "--yes", "a.yaml", "b.yaml"]).stdout();
    assert_eq!(desk.azure.asked()[before..], ["GET /keys/sops/", "GET /keys/sops/"]);
}

#[test]
fn key_groups_of_a_rule_are_completed_too() {
    let desk = Desk::new();
    desk.azure.new_version("other");
    let rule = format!(
        "creation_rules:\n  - key_groups:\n    - azure_keyvault: [{{vaultUrl: {VAULT}, key: sops}}]\n    - \
         azure_keyvault: [{{vaultUrl: {VAULT}, key: other, version: ''}}]\n"
    );
    desk.scratch.write(".sops.yaml", rule.as_bytes());
    desk.call(&["encrypt", "-i", "a.yaml"]).stdout();
    let versions = [desk.azure.current_version("sops"), desk.azure.current_version("other")];
    assert_eq!(desk.versions(), versions);
    assert_eq!(desk.plain(), TEXT);
}

#[test]
fn rotate_adds_and_removes_keys() {
    let desk = Desk::sealed();
    let other = desk.azure.new_version("other");
    desk.call(&["rotate", "-i", "--add-azure-kv", &format!("{VAULT}/keys/other"), "a.yaml"]).stdout();
    assert_eq!(desk.versions(), [desk.azure.current_version("sops"), other.clone()]);
    // the current version is the one that is removed
    desk.call(&["rotate", "-i", "--rm-azure-kv", KEY, "a.yaml"]).stdout();
    assert_eq!(desk.versions(), [other]);
    assert_eq!(desk.plain(), TEXT);
}

#[test]
fn a_group_is_added() {
    let desk = Desk::sealed();
    let other = desk.azure.new_version("other");
    let key = format!("{VAULT}/keys/other/");
    desk.call(&["groups", "add", "--file", "a.yaml", "-i", "--azure-kv", &key]).stdout();
    assert_eq!(desk.versions(), [desk.azure.current_version("sops"), other]);
    assert_eq!(desk.plain(), TEXT);
}

#[test]
fn a_new_file_is_edited() {
    let desk = Desk::new();
    let editor = "sh -c 'echo a: 1 > \"$0\"'";
    let call = desk.call(&["edit", "--azure-kv", KEY, "new.yaml"]).variable("EDITOR", editor);
    call.stdout();
    assert_eq!(desk.call(&["decrypt", "new.yaml"]).stdout(), b"a: 1\n");
}

#[test]
fn every_step_is_told() {
    let desk = Desk::new();
    let version = desk.azure.current_version("sops");
    let outcome = desk.outcome(desk.call(&["encrypt", "--verbose", "--azure-kv", KEY, "a.yaml"]));
    let messages = outcome.messages();
    let fields = format!("key=sops version={version}");
    for step in ["Version fetch succeeded", "Encryption succeeded"] {
        let line = messages.lines().find(|line| line.contains("[AZKV]") && line.contains(step));
        assert!(line.is_some_and(|line| line.contains(&fields)), "{step}: {messages}");
    }
}

#[test]
fn a_certificate_is_as_good_as_a_secret() {
    let desk = Desk::sealed();
    let pem =
        put(&desk.scratch.root(), "app.pem", &desk.azure.certificate("app.example")).display().to_string();
    let variables = with(
        without(desk.azure.with_secret(), "AZURE_CLIENT_SECRET"),
        &[("AZURE_CLIENT_CERTIFICATE_PATH", &pem)],
    );
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &variables).stdout(), TEXT);
    let chain = with(variables.clone(), &[("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true")]);
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &chain).stdout(), TEXT);
    // one that the application does not know
    desk.azure.certificate("next.example");
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(&outcome, 128, &["AADSTS700027", "az ad app credential"]);
    let nothing = with(variables, &[("AZURE_CLIENT_CERTIFICATE_PATH", "/nowhere.pem")]);
    let nothing = with(nothing, &[("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &nothing));
    fails_with(&outcome, 128, &["/nowhere.pem"]);
}

#[test]
fn a_workload_has_a_token_from_its_cluster() {
    let desk = Desk::sealed();
    let file = put(&desk.scratch.root(), "federated", FEDERATED).display().to_string();
    let variables = with(
        without(desk.azure.with_secret(), "AZURE_CLIENT_SECRET"),
        &[("AZURE_FEDERATED_TOKEN_FILE", &file), ("AZURE_TOKEN_CREDENTIALS", "prod")],
    );
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &variables).stdout(), TEXT);
    fs::write(&file, "another").expect("our own file");
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(
        &outcome,
        128,
        &["WorkloadIdentityCredential: HTTP 401: AADSTS50027", "login.microsoftonline.com/error"],
    );
}

#[test]
fn a_machine_has_an_identity() {
    let desk = Desk::sealed();
    let identity = desk.azure.identity_server();
    let endpoint = format!("{}/msi/token", identity.url());
    let variables = with(
        desk.azure.variables(),
        &[("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", IDENTITY_HEADER)],
    );
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &variables).stdout(), TEXT);
    let mine = with(variables.clone(), &[("AZURE_CLIENT_ID", CLIENT)]);
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &mine).stdout(), TEXT);
    assert!(identity.seen().last().expect("a request").query.contains(&format!("client_id={CLIENT}")));
    // proxies are for others
    let mut proxied = variables;
    proxied.insert("HTTP_PROXY".to_owned(), "http://127.0.0.1:9".to_owned());
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &proxied).stdout(), TEXT);
    let wrong = with(proxied, &[("AZURE_CLIENT_ID", "somebody")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &wrong));
    fails_with(&outcome, 128, &["ManagedIdentityCredential: HTTP 400", "az login"]);
}

/// What `az account get-access-token` and `azd auth token` say.
fn logged_in(desk: &Desk) -> (String, String) {
    let token = desk.azure.token();
    let arguments = desk.scratch.folder().join("arguments");
    let az = format!(
        "echo \"$@\" > '{}'\ncat <<'END'\n{{\"accessToken\": \"{token}\", \"expiresOn\": \"2100-01-01 00:00:00.000000\", \
         \"expires_on\": 4102444800, \"subscription\": \"s\", \"tenant\": \"{TENANT}\", \"tokenType\": \"Bearer\"}}\nEND",
        arguments.display()
    );
    let azd = format!("echo '{{\"token\": \"{token}\", \"expiresOn\": \"2100-01-01T00:00:00Z\"}}'");
    (az, azd)
}

#[test]
fn somebody_has_logged_in() {
    let desk = Desk::sealed();
    let (az, azd) = logged_in(&desk);
    let path = desk.program("az", &az);
    let variables = with(desk.azure.variables(), &[("PATH", &path), ("AZURE_TOKEN_CREDENTIALS", "dev")]);
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &variables).stdout(), TEXT);
    // the vault has named its tenant
    assert_eq!(
        desk.scratch.text("arguments").trim(),
        format!("account get-access-token -o json --scope https://vault.example/.default --tenant {TENANT}")
    );
    desk.program("az", "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    let words = [
        "AzureCLICredential: Please run 'az login' to setup account.",
        "azd not found",
        "hint: log in again with",
    ];
    fails_with(&outcome, 128, &words);
    // the next one is asked
    desk.program("azd", &azd);
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &variables).stdout(), TEXT);
    let only = with(variables, &[("AZURE_TOKEN_CREDENTIALS", "azureclicredential")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &only));
    fails_with(&outcome, 128, &["AzureCLICredential: "]);
    assert!(!outcome.messages().contains("Developer"), "{}", outcome.messages());
}

#[test]
fn nobody_waits_for_a_login_that_hangs() {
    let desk = Desk::sealed();
    let path = desk.program("az", "exec sleep 60");
    let variables = with(
        desk.azure.variables(),
        &[("PATH", &path), ("AZURE_TOKEN_CREDENTIALS", "dev"), ("SOPS_KMS_TIMEOUT", "1s")],
    );
    let begin = Instant::now();
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(&outcome, 128, &["no answer within 1s"]);
    assert!(begin.elapsed() < Duration::from_secs(15));
}

#[test]
fn each_link_of_the_chain_says_why_not() {
    let desk = Desk::sealed();
    let path = desk.program("az", "echo 'ERROR: no subscription' >&2; exit 1");
    let variables = with(desk.azure.variables(), &[("PATH", &path)]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(
        &outcome,
        128,
        &[
            "failed to decrypt sops data key with Azure Key",
            "no credential gives a token",
            "EnvironmentCredential: AZURE_TENANT_ID is not set",
            "WorkloadIdentityCredential: AZURE_FEDERATED_TOKEN_FILE",
            "ManagedIdentityCredential: ",
            "AzureCLICredential: no subscription",
            "AzureDeveloperCLICredential: azd not found",
            "AzurePowerShellCredential: ",
            "hint: log in with `az login`",
        ],
    );
}

#[test]
fn the_chain_can_be_narrowed_to_what_there_is() {
    let desk = Desk::new();
    let variables = with(desk.azure.with_secret(), &[("AZURE_TOKEN_CREDENTIALS", "nobody")]);
    let outcome = desk.outcome(desk.call_with(&["encrypt", "--azure-kv", KEY, "a.yaml"], &variables));
    let prefix =
        "failed to get Azure token credential to retrieve key version: AZURE_TOKEN_CREDENTIALS is \"nobody\"";
    refused(&outcome, 1, &[prefix]);
    let key = format!("{KEY}/0");
    let outcome = desk.outcome(desk.call_with(&["encrypt", "--azure-kv", &key, "a.yaml"], &variables));
    refused(&outcome, 1, &["failed to get Azure token credential to encrypt data: "]);
}

#[test]
fn a_wrong_secret_is_not_made_up_for_by_somebody_else() {
    let desk = Desk::sealed();
    let (az, _) = logged_in(&desk);
    let path = desk.program("az", &az);
    let wrong = format!("{SECRET}-of-last-year");
    let variables = with(desk.azure.with_secret(), &[("AZURE_CLIENT_SECRET", &wrong), ("PATH", &path)]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(&outcome, 128, &["AADSTS7000215: Invalid client secret", "az ad app credential reset"]);
    assert!(!outcome.messages().contains("AzureCLI") && !flat(&outcome).contains("Correlation"));
    let unknown = with(desk.azure.with_secret(), &[("AZURE_CLIENT_ID", "somebody-else")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &unknown));
    fails_with(&outcome, 128, &["AADSTS700016", "check AZURE_CLIENT_ID"]);
}

#[test]
fn a_vault_can_refuse() {
    let desk = Desk::sealed();
    desk.azure.set_mood(Mood::NoRole);
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    let words = [
        "HTTP 403",
        "Forbidden/ForbiddenByRbac",
        CLIENT,
        "the role Key Vault Crypto User",
        "get, encrypt and decrypt",
    ];
    fails_with(&outcome, 128, &words);
    desk.azure.set_mood(Mood::Firewall);
    fails_with(
        &desk.outcome(desk.call(&["decrypt", "a.yaml"])),
        128,
        &["ForbiddenByFirewall", "firewall of the"],
    );
    desk.azure.set_mood(Mood::Kind);
    desk.azure.disable("sops");
    fails_with(&desk.outcome(desk.call(&["decrypt", "a.yaml"])), 128, &["KeyDisabled", "--enabled true"]);
    let outcome = desk.outcome(desk.call(&["encrypt", "--azure-kv", KEY, "a.yaml"]));
    assert_eq!(outcome.ending, Ending::Exited(203), "an encrypted file: {}", outcome.messages());
    desk.scratch.write("b.yaml", TEXT);
    let outcome = desk.outcome(desk.call(&["encrypt", "--azure-kv", KEY, "b.yaml"]));
    refused(&outcome, 1, &["failed to encrypt sops data key with Azure Key Vault key 'https://team.vault"]);
}

#[test]
fn there_is_no_such_key() {
    let desk = Desk::new();
    let key = format!("{VAULT}/keys/nowhere");
    for arguments in [["encrypt", "--azure-kv", &key, "a.yaml"], ["edit", "--azure-kv", &key, "new.yaml"]] {
        let outcome = desk.outcome(desk.call(&arguments).variable("EDITOR", "true"));
        let words =
            ["failed to fetch Azure Key to retrieve key version: HTTP 404 KeyNotFound", "az keyvault key"];
        refused(&outcome, 1, &words);
    }
    let desk = Desk::sealed();
    for option in ["--add-azure-kv", "--rm-azure-kv"] {
        let outcome = desk.outcome(desk.call(&["rotate", option, &key, "a.yaml"]));
        refused(&outcome, 1, &["failed to fetch Azure Key to retrieve key version: "]);
    }
    desk.scratch.write(".sops.yaml", format!("creation_rules:\n  - azure_keyvault: {key}\n").as_bytes());
    let outcome = desk.outcome(desk.call(&["updatekeys", "--yes", "a.yaml"]));
    fails_with(&outcome, 1, &["failed to fetch Azure Key to retrieve key version: "]);
}

#[test]
fn what_was_tampered_with_does_not_open() {
    let desk = Desk::sealed();
    let text = desk.text();
    let begin = text.find("enc: ").expect("a wrapped key") + "enc: ".len();
    let mut changed = text.clone().into_bytes();
    changed[begin + 20] = if changed[begin + 20] == b'A' { b'B' } else { b'A' };
    desk.scratch.write("a.yaml", &changed);
    fails_with(
        &desk.outcome(desk.call(&["decrypt", "a.yaml"])),
        128,
        &["HTTP 400 BadParameter", "is damaged"],
    );
    let end = begin + text[begin..].find('\n').expect("a line");
    let padded = format!("{}=={}", &text[..end], &text[end..]);
    desk.scratch.write("a.yaml", padded.as_bytes());
    let before = desk.azure.asked().len();
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    let words =
        ["failed to base64 decode Azure Key Vault encrypted", "illegal base64 data at input byte 342"];
    fails_with(&outcome, 128, &words);
    assert_eq!(desk.azure.asked().len(), before, "nobody is asked");
}

#[test]
fn a_token_goes_nowhere_else() {
    let desk = Desk::sealed();
    let logins = desk.azure.logins();
    desk.azure.set_mood(Mood::Greedy);
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    fails_with(&outcome, 128, &["https://management.example", "check the URL of the vault"]);
    assert_eq!(desk.azure.logins(), logins);
}

#[test]
fn a_vault_of_another_tenant_is_for_guests() {
    let desk = Desk::sealed();
    desk.azure.set_mood(Mood::Foreign);
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    fails_with(
        &outcome,
        128,
        &["the vault belongs to tenant other-tenant", "AZURE_ADDITIONALLY_ALLOWED_TENANTS"],
    );
    let guest = with(desk.azure.with_secret(), &[("AZURE_ADDITIONALLY_ALLOWED_TENANTS", "x;other-tenant")]);
    assert_eq!(desk.call_with(&["decrypt", "a.yaml"], &guest).stdout(), TEXT);
}

#[test]
fn a_vault_with_too_much_to_do_is_asked_again() {
    let desk = Desk::sealed();
    desk.azure.throttle(1, 1);
    assert_eq!(desk.plain(), TEXT);
    // nobody waits for what comes after the limit
    desk.azure.throttle(9, 3600);
    let begin = Instant::now();
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    fails_with(&outcome, 128, &["HTTP 429 Throttled", "try again later"]);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    // guards against a sum that no time can hold
    desk.azure.throttle(9, u64::MAX);
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    fails_with(&outcome, 128, &["HTTP 429 Throttled", "try again later"]);
}

/// Guards against a memory that a vault fills, which somebody else's file may name.
#[test]
fn an_answer_without_an_end_is_not_listened_to() {
    let desk = Desk::sealed();
    desk.azure.set_mood(Mood::Chatty);
    let outcome = desk.outcome(desk.call(&["decrypt", "a.yaml"]));
    fails_with(&outcome, 128, &["Azure Key Vault key", "the answer is longer than 1 MiB"]);
}

#[test]
fn a_token_that_the_vault_does_not_know_is_not_shown() {
    let desk = Desk::sealed();
    let (az, _) = logged_in(&desk);
    let issued = desk.azure.token();
    let path = desk.program("az", &az.replace("\"accessToken\": \"", "\"accessToken\": \"stale-"));
    let variables = with(desk.azure.variables(), &[("PATH", &path), ("AZURE_TOKEN_CREDENTIALS", "dev")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    let words = ["HTTP 401 Unauthorized: AKV10000", "asked with AzureCLICredential", "az login --tenant"];
    fails_with(&outcome, 128, &words);
    assert!(!flat(&outcome).contains("stale-") && !flat(&outcome).contains(&issued));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_told_at_once() {
    let desk = Desk::sealed();
    let other = Azure::new();
    let authority = other.authority().display().to_string();
    let begin = Instant::now();
    let variables = with(desk.azure.with_secret(), &[("SSL_CERT_FILE", &authority)]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &variables));
    fails_with(&outcome, 128, &["the certificate of team.vault.example is not trusted: ", "SSL_CERT_FILE"]);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let none = with(variables, &[("SSL_CERT_FILE", "/nowhere.pem")]);
    let outcome = desk.outcome(desk.call_with(&["decrypt", "a.yaml"], &none));
    fails_with(&outcome, 128, &["failed to get Azure token credential to decrypt: ", "certificate"]);
}

#[test]
fn a_vault_that_never_answers_costs_the_limit() {
    let desk = Desk::new();
    desk.azure.set_mood(Mood::Asleep);
    let begin = Instant::now();
    let arguments = ["encrypt", "--azure-kv", KEY, "a.yaml"];
    let outcome = desk.call(&arguments).variable("SOPS_KMS_TIMEOUT", "1s").outcome();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    refused(&outcome, 1, &["failed to fetch Azure Key to retrieve key version: no answer within 1s hint: "]);
}

#[test]
fn a_server_that_never_says_a_word_is_given_up() {
    let desk = Desk::new();
    let silent = Server::silent();
    let key = format!("https://{}/keys/sops/1", silent.host());
    let variables = with(without(desk.azure.with_secret(), "HTTPS_PROXY"), &[("SOPS_KMS_TIMEOUT", "1s")]);
    let begin = Instant::now();
    let outcome = desk.outcome(desk.call_with(&["encrypt", "--azure-kv", &key, "a.yaml"], &variables));
    // either there is no connection in time, or no answer
    refused(
        &outcome,
        1,
        &["failed to encrypt sops data key with Azure Key Vault key", "hint: check the network"],
    );
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
}

#[test]
fn a_host_that_is_not_there_is_told() {
    let desk = Desk::new();
    let variables = without(desk.azure.with_secret(), "HTTPS_PROXY");
    let key = "https://no-such-host.invalid/keys/sops/1";
    let outcome = desk.outcome(desk.call_with(&["encrypt", "--azure-kv", key, "a.yaml"], &variables));
    refused(&outcome, 1, &["there is no host no-such-host.invalid", "check the name of the vault"]);
}

/// The vault of these tests is one for the vendor's own client.
#[test]
fn the_vendors_client_takes_our_vault_for_one() {
    let Some(python) = python_with("azure.keyvault.keys") else { return };
    let desk = Desk::sealed();
    let pem = put(&desk.scratch.root(), "app.pem", &desk.azure.certificate("app.example"));
    let federated = put(&desk.scratch.root(), "federated", FEDERATED);
    let (az, _) = logged_in(&desk);
    let path = desk.program("az", &az);
    let identity = desk.azure.identity_server();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/python/azure_vault.py");
    let told = desk
        .scratch
        .call_other(python, [script.display().to_string()])
        .variables(&desk.azure.with_secret())
        .variable("REQUESTS_CA_BUNDLE", &desk.azure.authority().display().to_string())
        .variable("PATH", &path)
        .variable("VAULT", VAULT)
        .variable("LOGIN", LOGIN)
        .variable("CERTIFICATE", &pem.display().to_string())
        .variable("FEDERATED_TOKEN", &federated.display().to_string())
        .variable("IDENTITY_ENDPOINT", &format!("{}/msi/token", identity.url()))
        .variable("IDENTITY_HEADER", IDENTITY_HEADER)
        .variable("NO_PROXY", "127.0.0.1")
        .stdout();
    assert_eq!(
        String::from_utf8(told).expect("text"),
        "vault, credentials and wrapped keys are as they should be\n"
    );
}
