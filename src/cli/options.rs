//! Flags, declared once and flattened into the commands that have them (cli.md §2).

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Args};
use rsops::document::MacCheck;
use rsops::keys::{Common, DecryptionOrder, Key, Kind, ParseKeyError};
use rsops::selection::Selectors;
use rsops::tree::parse_prefixed_int;

use super::error::CommandError;
use super::ui::{Component, Ui};
use super::user::{Identity, become_user};

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
        allow_hyphen_values = true,
        value_parser = path()
    )]
    pub(super) config: Option<PathBuf>,
    /// Say what is being done
    #[arg(long)]
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
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = path())]
    pub(super) filename_override: Option<PathBuf>,
    #[command(flatten)]
    pub(super) indent: IndentOptions,
}

/// Flags of the commands that write a document.
#[derive(Args, Default)]
#[command(next_help_heading = "Formats")]
pub(super) struct IndentOptions {
    /// Blanks per level of the output
    #[arg(long, value_name = "N", value_parser = integer, allow_hyphen_values = true)]
    pub(super) indent: Option<i64>,
}

/// Whether the file is changed.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(super) struct InPlaceOptions {
    /// Write the result back to the file instead of standard output
    #[arg(long, short)]
    pub(super) in_place: bool,
}

/// Where the result goes.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    #[command(flatten)]
    pub(super) in_place: InPlaceOptions,
    /// Write the result to this file instead of standard output
    #[arg(long, value_name = "FILE", allow_hyphen_values = true, value_parser = path())]
    pub(super) output: Option<PathBuf>,
}

impl OutputOptions {
    /// Whether the results of several files have places to go to. Else only the first file counts (cli.md §1.4).
    pub(super) fn takes_many(&self) -> bool {
        self.in_place.in_place || self.output.as_ref().is_some_and(|output| output.is_dir())
    }
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
    #[arg(long)]
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
    #[arg(long)]
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

/// How the command is run that gets the secrets.
#[derive(Args)]
#[command(next_help_heading = "Command")]
pub(super) struct ChildOptions {
    /// Run the command as this user
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    user: Option<String>,
    /// Do not wait for the command (deprecated)
    #[arg(long)]
    pub(super) background: bool,
}

impl ChildOptions {
    /// Becomes the user, if one is named. Keys must have been used by then.
    pub(super) fn switch_user(&self) -> Result<Option<Identity>, CommandError> {
        self.user.as_deref().filter(|name| !name.is_empty()).map(become_user).transpose()
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
    #[command(flatten)]
    aws: AwsOptions,
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
    #[command(flatten)]
    pub(super) threshold: ThresholdOptions,
}

/// What AWS wants to know beside its keys.
#[derive(Args)]
#[command(next_help_heading = "Keys")]
pub(super) struct AwsOptions {
    /// Profile of the AWS credentials
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    aws_profile: Option<String>,
    /// Encryption context for AWS KMS: k:v,k2:v2
    #[arg(long, value_name = "CONTEXT", allow_hyphen_values = true)]
    encryption_context: Option<String>,
}

/// How many key groups are needed.
#[derive(Args)]
#[command(next_help_heading = "Keys")]
pub(super) struct ThresholdOptions {
    /// How many key groups are needed to decrypt
    #[arg(long, value_name = "N", value_parser = integer, allow_hyphen_values = true)]
    shamir_secret_sharing_threshold: Option<i64>,
}

/// Keys that a rotation adds to the first group. Lists are comma-separated.
#[derive(Args)]
#[command(next_help_heading = "Keys to add")]
pub(super) struct AddedKeys {
    /// ARNs of AWS KMS keys, each perhaps with `+` and a role
    #[arg(long, value_name = "ARNS", allow_hyphen_values = true)]
    add_kms: Option<String>,
    /// PGP fingerprints
    #[arg(long, value_name = "FINGERPRINTS", allow_hyphen_values = true)]
    add_pgp: Option<String>,
    /// Resource ids of GCP KMS keys
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    add_gcp_kms: Option<String>,
    /// HuaweiCloud KMS keys: region:uuid
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    add_hckms: Option<String>,
    /// URLs of Azure Key Vault keys
    #[arg(long, value_name = "URLS", allow_hyphen_values = true)]
    add_azure_kv: Option<String>,
    /// URIs of HashiCorp Vault transit keys
    #[arg(long, value_name = "URIS", allow_hyphen_values = true)]
    add_hc_vault_transit: Option<String>,
    /// age recipients
    #[arg(long, value_name = "RECIPIENTS", allow_hyphen_values = true)]
    add_age: Option<String>,
}

/// Keys that a rotation takes away from all groups. Lists are comma-separated.
#[derive(Args)]
#[command(next_help_heading = "Keys to remove")]
pub(super) struct RemovedKeys {
    /// ARNs of AWS KMS keys, each perhaps with `+` and a role
    #[arg(long, value_name = "ARNS", allow_hyphen_values = true)]
    rm_kms: Option<String>,
    /// PGP fingerprints
    #[arg(long, value_name = "FINGERPRINTS", allow_hyphen_values = true)]
    rm_pgp: Option<String>,
    /// Resource ids of GCP KMS keys
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    rm_gcp_kms: Option<String>,
    /// HuaweiCloud KMS keys: region:uuid
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    rm_hckms: Option<String>,
    /// URLs of Azure Key Vault keys
    #[arg(long, value_name = "URLS", allow_hyphen_values = true)]
    rm_azure_kv: Option<String>,
    /// URIs of HashiCorp Vault transit keys
    #[arg(long, value_name = "URIS", allow_hyphen_values = true)]
    rm_hc_vault_transit: Option<String>,
    /// age recipients
    #[arg(long, value_name = "RECIPIENTS", allow_hyphen_values = true)]
    rm_age: Option<String>,
}

/// Keys of a new group. Each flag may be repeated.
#[derive(Args)]
#[command(next_help_heading = "Keys")]
pub(super) struct GroupKeys {
    /// PGP fingerprints
    #[arg(long, value_name = "FINGERPRINTS", allow_hyphen_values = true)]
    pgp: Vec<String>,
    /// ARNs of AWS KMS keys, each perhaps with `+` and a role
    #[arg(long, value_name = "ARNS", allow_hyphen_values = true)]
    kms: Vec<String>,
    /// Resource ids of GCP KMS keys
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    gcp_kms: Vec<String>,
    /// HuaweiCloud KMS keys: region:uuid
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    hckms: Vec<String>,
    /// URIs of HashiCorp Vault transit keys
    #[arg(long, value_name = "URIS", allow_hyphen_values = true)]
    hc_vault_transit: Vec<String>,
    /// URLs of Azure Key Vault keys
    #[arg(long, value_name = "URLS", allow_hyphen_values = true)]
    azure_kv: Vec<String>,
    /// age recipients
    #[arg(long, value_name = "RECIPIENTS", allow_hyphen_values = true)]
    age: Vec<String>,
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
    #[arg(long)]
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
        let lists = KeyLists([
            (Kind::AwsKms, self.kms.as_slice()),
            (Kind::GcpKms, self.gcp_kms.as_slice()),
            (Kind::HcKms, self.hckms.as_slice()),
            (Kind::AzureKv, self.azure_kv.as_slice()),
            (Kind::Pgp, self.pgp.as_slice()),
            (Kind::HcVault, self.hc_vault_transit.as_slice()),
            (Kind::Age, self.age.as_slice()),
        ]);
        if lists.are_empty() {
            return Ok(None);
        }
        let common =
            Common { aws_profile: self.aws.profile(), encryption_context: self.aws.encryption_context()? };
        lists.keys(&common).map(Some)
    }
}

/// Lists of keys as flags give them, in the order in which their keys enter a group (config.md §8).
pub(super) struct KeyLists<'a>([(Kind, &'a [String]); Kind::ALL.len()]);

impl KeyLists<'_> {
    /// No key is named.
    pub(super) fn are_empty(&self) -> bool {
        self.0.iter().flat_map(|(_, lists)| *lists).all(String::is_empty)
    }

    pub(super) fn keys(&self, common: &Common) -> Result<Vec<Key>, CommandError> {
        let lists = self.0.iter().flat_map(|(kind, lists)| lists.iter().map(|list| (*kind, list)));
        let keys = lists.map(|(kind, list)| kind.parse_list(list, common));
        let keys = keys.collect::<Result<Vec<_>, ParseKeyError>>().map_err(CommandError::Key)?;
        Ok(keys.into_iter().flatten().collect())
    }
}

impl AddedKeys {
    pub(super) fn lists(&self) -> KeyLists<'_> {
        KeyLists([
            (Kind::AwsKms, self.add_kms.as_slice()),
            (Kind::Pgp, self.add_pgp.as_slice()),
            (Kind::GcpKms, self.add_gcp_kms.as_slice()),
            (Kind::HcKms, self.add_hckms.as_slice()),
            (Kind::AzureKv, self.add_azure_kv.as_slice()),
            (Kind::HcVault, self.add_hc_vault_transit.as_slice()),
            (Kind::Age, self.add_age.as_slice()),
        ])
    }
}

impl RemovedKeys {
    pub(super) fn lists(&self) -> KeyLists<'_> {
        KeyLists([
            (Kind::AwsKms, self.rm_kms.as_slice()),
            (Kind::Pgp, self.rm_pgp.as_slice()),
            (Kind::GcpKms, self.rm_gcp_kms.as_slice()),
            (Kind::HcKms, self.rm_hckms.as_slice()),
            (Kind::AzureKv, self.rm_azure_kv.as_slice()),
            (Kind::HcVault, self.rm_hc_vault_transit.as_slice()),
            (Kind::Age, self.rm_age.as_slice()),
        ])
    }
}

impl GroupKeys {
    pub(super) fn lists(&self) -> KeyLists<'_> {
        KeyLists([
            (Kind::Pgp, self.pgp.as_slice()),
            (Kind::AwsKms, self.kms.as_slice()),
            (Kind::GcpKms, self.gcp_kms.as_slice()),
            // the reference passes over these (cli.md §13.2), so that the group lacks them
            (Kind::HcKms, self.hckms.as_slice()),
            (Kind::HcVault, self.hc_vault_transit.as_slice()),
            (Kind::AzureKv, self.azure_kv.as_slice()),
            (Kind::Age, self.age.as_slice()),
        ])
    }
}

impl ThresholdOptions {
    /// 0 is as good as nothing.
    pub(super) fn threshold(&self) -> Result<Option<usize>, CommandError> {
        match self.shamir_secret_sharing_threshold {
            None | Some(0) => Ok(None),
            Some(n) => usize::try_from(n).map(Some).map_err(|_| CommandError::Threshold(n)),
        }
    }
}

impl AwsOptions {
    fn profile(&self) -> String {
        self.aws_profile.clone().unwrap_or_default()
    }

    /// For keys of files that exist: a malformed context is only warned of (cli.md §9.3, §13.2).
    pub(super) fn common_or_warn(&self, ui: &Ui) -> Common {
        let encryption_context = self.encryption_context().unwrap_or_else(|_| {
            let text = "Encryption context contains a non-string value, context will not be used";
            ui.warn(Component::AwsKms, text, &[]);
            Vec::new()
        });
        Common { aws_profile: self.profile(), encryption_context }
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

/// A flag without a value, or with a boolean behind `=`. It is off unless its declaration says otherwise.
pub(super) fn switch_argument(argument: Arg) -> Arg {
    let argument = match argument.get_default_values() {
        [] => argument.default_value("false").hide_default_value(true),
        _ => argument,
    };
    argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_name("BOOL")
        .value_parser(switch)
}

/// A boolean in one of the twelve spellings; an empty environment variable is false (cli.md §1.2, §1.6).
fn switch(text: &str) -> Result<bool, String> {
    if text.is_empty() {
        return Ok(false);
    }
    rsops::tree::parse_bool(text.as_bytes()).map_err(|_| "parse error".to_owned())
}

/// A path, which may be empty: that is as good as none (cli.md §1.6), and no mistake as it is to clap.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// An integer in any of the spellings of cli.md §1.2.
pub(super) fn integer(text: &str) -> Result<i64, String> {
    parse_prefixed_int(text).filter(|_| !text.is_empty()).ok_or_else(|| "parse error".to_owned())
}
