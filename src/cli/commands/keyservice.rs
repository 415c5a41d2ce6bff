//! `rsops keyservice`.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use rsops::keys::{Key, KeyService, LocalKeys};
use rsops::keyservice::{Doorkeeper, Listener, Server, Step};

use crate::cli::environment::settings;
use crate::cli::error::CommandError;
use crate::cli::logged::Logged;
use crate::cli::prompt::confirm;
use crate::cli::signals::{Doomed, end_on_signal, remove_on_signal};
use crate::cli::ui::{Component, Ui};

/// Wrap and unwrap data keys for other programs, which name this one with --keyservice
///
/// The keys are those of this machine: age identities, gpg, credentials of clouds. Nothing is encrypted on the way, and
/// whoever can connect can use the keys: the address should be one of this machine, or a socket, which belongs to the
/// user alone. By default it is 127.0.0.1:5000. The program runs until it is interrupted.
#[derive(Args)]
pub(crate) struct ServeKeys {
    /// Network to listen on: tcp, tcp4, tcp6 or unix
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "tcp")]
    #[arg(help_heading = "Key service", allow_hyphen_values = true)]
    network: String,
    /// HOST:PORT, or the path of the socket. Without a host: all addresses of the machine; port 0: any that is free
    #[arg(long, visible_alias = "addr", value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    #[arg(help_heading = "Key service", allow_hyphen_values = true)]
    address: String,
    /// Ask before every request whether to answer it
    #[arg(long, help_heading = "Key service")]
    prompt: bool,
    /// Say what is being done
    #[arg(long, help_heading = "General options")]
    verbose: bool,
    // the reference passes over them
    #[arg(hide = true)]
    surplus: Vec<OsString>,
}

impl ServeKeys {
    pub(crate) fn run(self) -> Result<(), CommandError> {
        let ui = Arc::new(Ui::new(self.verbose));
        // what is wrong with the environment is told now, and not to the clients
        settings(&ui)?;
        let witness = ui.clone();
        let _ending = end_on_signal(move |signal| {
            witness.info(Component::KeyService, &format!("Caught signal {signal}: shutting down."), &[]);
        });
        let (listener, _socket) = self.listen()?;
        self.say_where(&ui, &listener);
        let served_with = ui.clone();
        let mut server = Server::new(move || keys(&served_with));
        if self.prompt {
            server = server.guarded_by(Arc::new(Person { ui }));
        }
        server.run(listener).map_err(CommandError::Serve)
    }

    /// The socket goes away with the program.
    fn listen(&self) -> Result<(Listener, Option<Doomed>), CommandError> {
        let bind = || Listener::bind(&self.network, &self.address);
        match self.network.as_str() {
            "unix" => {
                remove_on_signal(Path::new(&self.address), bind).map(|(made, doomed)| (made, Some(doomed)))
            }
            _ => bind().map(|listener| (listener, None)),
        }
        .map_err(CommandError::Listen)
    }

    fn say_where(&self, ui: &Ui, listener: &Listener) {
        let given = format!("{}://{}", self.network, self.address);
        let port = listener.local_address().filter(|_| self.address.ends_with(":0"));
        let port = port.map(|address| address.to_string());
        let fields: Vec<_> = port.iter().map(|address| ("address", address.as_str())).collect();
        ui.info(Component::KeyService, &format!("Listening on {given}"), &fields);
    }
}

/// What the machine has at this moment: identities that are added or taken away while the server runs count.
fn keys(ui: &Arc<Ui>) -> Result<Box<dyn KeyService>, String> {
    let settings = settings(ui).map_err(|error| error.to_string())?;
    Ok(Box::new(Logged::new(Box::new(LocalKeys::new(settings)), ui.clone())))
}

/// Whoever sits at the terminal.
struct Person {
    ui: Arc<Ui>,
}

impl Doorkeeper for Person {
    fn admits(&self, step: Step, key: &Key) -> Result<bool, String> {
        confirm(&self.ui, &question(step, key)).map_err(|error| error.to_string())
    }
}

fn question(step: Step, key: &Key) -> String {
    let step = match step {
        Step::Encrypt => "encrypt",
        Step::Decrypt => "decrypt",
    };
    let key = plain(&described(key));
    format!("\nReceived {step} request using {key}. Respond to request? (y/n): ")
}

fn described(key: &Key) -> String {
    match key {
        Key::Pgp(key) => format!("PGP key with fingerprint {}", key.fingerprint),
        Key::AwsKms(key) => format!("AWS KMS key with ARN {}", key.arn),
        Key::GcpKms(key) => format!("GCP KMS key with resource ID {}", key.resource_id),
        Key::AzureKv(key) => format!("Azure Key Vault key with URL {key}"),
        Key::HcVault(_) => format!("Hashicorp Vault key with URI {}", key.shown()),
        Key::HcKms(key) => format!("HuaweiCloud KMS key with ID {key}"),
        Key::Age(key) => format!("age key with recipient {}", key.recipient),
    }
}

/// Nothing that whoever asks could move the cursor with, to ask another question than it seems.
fn plain(text: &str) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|c| if is_unseen(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use rsops::keys::{Common, Kind, PgpKey};

    use super::*;

    #[test]
    fn every_kind_of_key_is_named_in_the_question() {
        for (kind, name, described) in [
            (Kind::Pgp, "ABCD", "PGP key with fingerprint ABCD"),
            (Kind::AwsKms, "arn:a+arn:r", "AWS KMS key with ARN arn:a"),
            (Kind::GcpKms, "projects/p", "GCP KMS key with resource ID projects/p"),
            (
                Kind::AzureKv,
                "https://v.example/keys/k/v",
                "Azure Key Vault key with URL https://v.example/keys/k/v",
            ),
            (
                Kind::HcVault,
                "https://v.example/v1/transit/keys/k",
                "Hashicorp Vault key with URI https://v.example/v1/transit/keys/k",
            ),
            (Kind::HcKms, "r:u", "HuaweiCloud KMS key with ID r:u"),
        ] {
            let keys = kind.parse_list(name, &Common::default()).expect("a key");
            let asked = format!("\nReceived decrypt request using {described}. Respond to request? (y/n): ");
            assert_eq!(question(Step::Decrypt, &keys[0]), asked);
        }
    }

    #[test]
    fn a_key_cannot_rewrite_the_question() {
        let key = Key::Pgp(PgpKey { fingerprint: "A\r\u{1b}[2KB\n\u{202e}é".to_owned() });
        let asked = question(Step::Encrypt, &key);
        assert!(asked.contains(r"fingerprint A\u{d}\u{1b}[2KB\u{a}\u{202e}é. Respond"), "{asked}");
    }
}
