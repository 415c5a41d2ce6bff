//! Flags, declared once and flattened into the commands that have them (cli.md §2).

use std::path::PathBuf;

use clap::Args;
use rsops::document::MacCheck;
use rsops::keys::{Common, DecryptionOrder, Key, Kind, ParseKeyError};
use rsops::selection::Selectors;
use rsops::tree::parse_prefixed_int;

use super::error::CommandError;

/// Flags of every command.
#[derive(Args)]
#[command(next_help_heading = "General options")]
pub(super) struct GlobalOptions {
    /// Use this configuration file instead of searching for .sops.yaml
    #[arg(
        long,
        value_name = "FILE",
        env = "SOPS_CONFIG",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub(super) config: Option<PathBuf>,
    /// Say what is being done
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = switch, hide_default_value = true)]
    pub(super) verbose: bool,
}

/// Flags of the commands that read a document.
#[derive(Args, Default)]
#[command(next_help_heading = "Formats")]
pub(super) struct InputOptions {
    /// Format of the input: binary, dotenv, ini, json or yaml. By default the file name decides
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub(super) input_type: Option<String>,
}

/// Flags of the commands that read and write a document.
#[derive(Args, Default)]
#[command(next_help_heading = "Formats")]
pub(super) struct FormatOptions {
    #[command(flatten)]
    pub(super) input: InputOptions,
    /// Format of the output. By default the file name decides
    #[arg(long, value_name = "FORMAT", allow_hyphen_values = true)]
    pub(super) output_type: Option<String>,
    /// Use this name instead of that of the file to choose formats and the creation rule
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(super) filename_override: Option<PathBuf>,
    /// Blanks per level of the output
    #[arg(long, value_name = "N", value_parser = integer, allow_hyphen_values = true)]
    pub(super) indent: Option<i64>,
}

/// Where the result goes.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    /// Write the result back to the file instead of standard output
    #[arg(long, short, num_args = 0..=1, require_equals = true, default_value = "false")]
    #[arg(default_missing_value = "true", value_name = "BOOL", value_parser = switch, hide_default_value = true)]
    pub(super) in_place: bool,
    /// Write the result to this file instead of standard output
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(super) output: Option<PathBuf>,
}

/// Who unwraps and wraps data keys.
#[derive(Args)]
#[command(next_help_heading = "Key services")]
pub(super) struct KeyServiceOptions {
    /// Use the keys of this machine
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = switch, env = "SOPS_ENABLE_LOCAL_KEYSERVICE", hide_env_values = true)]
    pub(super) enable_local_keyservice: bool,
    /// Also use the key service at this address: tcp://HOST:PORT or unix://PATH. May be repeated
    #[arg(long, value_name = "URL", env = "SOPS_KEYSERVICE", hide_env_values = true, value_delimiter = ',')]
    #[arg(allow_hyphen_values = true)]
    pub(super) keyservice: Vec<String>,
}

/// What is made of a file that was changed without its keys.
#[derive(Args)]
#[command(next_help_heading = "General options")]
pub(super) struct MacOptions {
    /// Do not check that the file is what was encrypted
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = switch, hide_default_value = true)]
    ignore_mac: bool,
}

impl MacOptions {
    pub(super) fn check(&self) -> MacCheck {
        if self.ignore_mac { MacCheck::Ignored } else { MacCheck::Required }
    }
}

/// Whether a file is written that would say what it says already.
#[derive(Args)]
#[command(next_help_heading = "General options")]
pub(super) struct IdempotentOptions {
    /// Leave the file alone if nothing would change
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = switch, hide_default_value = true)]
    pub(super) idempotent: bool,
}

/// In which order keys are tried.
#[derive(Args)]
#[command(next_help_heading = "Key services")]
pub(super) struct DecryptionOptions {
    /// Kinds of keys to try first, comma-separated: age, pgp, kms, gcp_kms, azure_kv, hc_vault, hckms
    #[arg(long, value_name = "KINDS", env = "SOPS_DECRYPTION_ORDER", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    decryption_order: Option<String>,
}

impl DecryptionOptions {
    pub(super) fn order(&self) -> Result<DecryptionOrder, CommandError> {
        DecryptionOrder::parse(self.decryption_order.as_deref().unwrap_or_default())
            .map_err(CommandError::Order)
    }
}

/// Whom a new file is encrypted for. Lists are comma-separated.
#[derive(Args)]
#[command(next_help_heading = "Keys")]
pub(super) struct KeyOptions {
    /// age recipients
    #[arg(long, short, value_name = "RECIPIENTS", env = "SOPS_AGE_RECIPIENTS", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    age: Option<String>,
    /// PGP fingerprints
    #[arg(long, short, value_name = "FINGERPRINTS", env = "SOPS_PGP_FP", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    pgp: Option<String>,
    /// ARNs of AWS KMS keys, each perhaps with `+` and a role
    #[arg(long, short, value_name = "ARNS", env = "SOPS_KMS_ARN", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    kms: Option<String>,
    /// Profile of the AWS credentials
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    aws_profile: Option<String>,
    /// Encryption context for AWS KMS: k:v,k2:v2
    #[arg(long, value_name = "CONTEXT", allow_hyphen_values = true)]
    encryption_context: Option<String>,
    /// Resource ids of GCP KMS keys
    #[arg(long, value_name = "IDS", env = "SOPS_GCP_KMS_IDS", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    gcp_kms: Option<String>,
    /// HuaweiCloud KMS keys: region:uuid
    #[arg(long, value_name = "IDS", env = "SOPS_HUAWEICLOUD_KMS_IDS", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    hckms: Option<String>,
    /// URLs of Azure Key Vault keys
    #[arg(long, value_name = "URLS", env = "SOPS_AZURE_KEYVAULT_URLS", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    azure_kv: Option<String>,
    /// URIs of HashiCorp Vault transit keys
    #[arg(long, value_name = "URIS", env = "SOPS_VAULT_URIS", hide_env_values = true)]
    #[arg(allow_hyphen_values = true)]
    hc_vault_transit: Option<String>,
    /// How many key groups are needed to decrypt
    #[arg(long, value_name = "N", value_parser = integer, allow_hyphen_values = true)]
    pub(super) shamir_secret_sharing_threshold: Option<i64>,
}

/// Which values of a new file are encrypted. At most one of these can be set.
#[derive(Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionOptions {
    /// Leave values in clear whose key ends so
    #[arg(long, value_name = "SUFFIX", allow_hyphen_values = true)]
    unencrypted_suffix: Option<String>,
    /// Encrypt only values whose key ends so
    #[arg(long, value_name = "SUFFIX", allow_hyphen_values = true)]
    encrypted_suffix: Option<String>,
    /// Leave values in clear whose key matches
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    unencrypted_regex: Option<String>,
    /// Encrypt only values whose key matches
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    encrypted_regex: Option<String>,
    /// Leave values in clear that follow a comment that matches
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    unencrypted_comment_regex: Option<String>,
    /// Encrypt only values that follow a comment that matches
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    encrypted_comment_regex: Option<String>,
    /// Let the MAC cover only values that are encrypted
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true")]
    #[arg(value_name = "BOOL", value_parser = switch, hide_default_value = true)]
    pub(super) mac_only_encrypted: bool,
}

impl SelectionOptions {
    /// The selectors that are set.
    pub(super) fn selectors(&self) -> Selectors {
        let text = |option: &Option<String>| option.clone().unwrap_or_default();
        Selectors {
            unencrypted_suffix: text(&self.unencrypted_suffix),
            encrypted_suffix: text(&self.encrypted_suffix),
            unencrypted_regex: text(&self.unencrypted_regex),
            encrypted_regex: text(&self.encrypted_regex),
            unencrypted_comment_regex: text(&self.unencrypted_comment_regex),
            encrypted_comment_regex: text(&self.encrypted_comment_regex),
        }
    }
}

impl KeyOptions {
    /// The keys that are named, in the order of the reference; `None` if none is (config.md §8).
    pub(super) fn keys(&self) -> Result<Option<Vec<Key>>, CommandError> {
        let lists = [
            (Kind::AwsKms, &self.kms),
            (Kind::GcpKms, &self.gcp_kms),
            (Kind::HcKms, &self.hckms),
            (Kind::AzureKv, &self.azure_kv),
            (Kind::Pgp, &self.pgp),
            (Kind::HcVault, &self.hc_vault_transit),
            (Kind::Age, &self.age),
        ];
        if lists.iter().all(|(_, list)| list.as_deref().unwrap_or_default().is_empty()) {
            return Ok(None);
        }
        let common = Common {
            aws_profile: self.aws_profile.clone().unwrap_or_default(),
            encryption_context: self.encryption_context()?,
        };
        let keys =
            lists.iter().map(|(kind, list)| kind.parse_list(list.as_deref().unwrap_or_default(), &common));
        let keys = keys.collect::<Result<Vec<_>, ParseKeyError>>().map_err(CommandError::Key)?;
        Ok(Some(keys.into_iter().flatten().collect()))
    }

    /// `k:v,k2:v2`; of a repeated key the last value counts (keys.md §5.2).
    fn encryption_context(&self) -> Result<Vec<(String, String)>, CommandError> {
        let mut context: Vec<(String, String)> = Vec::new();
        let text = self.encryption_context.as_deref().unwrap_or_default();
        for pair in text.split(',').filter(|_| !text.is_empty()) {
            let mut parts = pair.split(':');
            let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
                return Err(CommandError::EncryptionContext);
            };
            context.retain(|(known, _)| known != key);
            context.push((key.to_owned(), value.to_owned()));
        }
        Ok(context)
    }
}

/// A boolean in one of the twelve spellings; an empty environment variable is false (cli.md §1.2, §1.6).
pub(super) fn switch(text: &str) -> Result<bool, String> {
    if text.is_empty() {
        return Ok(false);
    }
    rsops::tree::parse_bool(text.as_bytes()).map_err(|_| "parse error".to_owned())
}

/// An integer in any of the spellings of cli.md §1.2.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    parse_prefixed_int(text).filter(|_| !text.is_empty()).ok_or_else(|| "parse error".to_owned())
}
