//! Where to connect and how: a connection string with the defaults of this machine, in the meaning of lib/pq.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use zeroize::Zeroizing;

use super::password_file::{Login, password};
use super::tls::{Check, Files, client_config};

/// How long a connection may take, unless `connect_timeout` says otherwise.
const CONNECT: Duration = Duration::from_secs(10);

/// How long what was sent may stay without an answer of the other machine, before the connection counts as broken.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What holds where a connection string says nothing.
#[derive(Default)]
pub struct Defaults {
    /// From the variables of libpq, by the names that connection strings have for them: `("host", PGHOST)`.
    pub parameters: Vec<(&'static str, Zeroizing<String>)>,
    /// `.pgpass` lies there.
    pub home: Option<PathBuf>,
    /// The name of the user of the operating system.
    pub user: Option<String>,
}

/// A database, ready to be connected to.
pub(super) struct Target {
    pub(super) config: Config,
    /// With these, one after the other, until one works.
    pub(super) modes: &'static [SslMode],
    /// None if no mode needs it.
    pub(super) tls: Option<ClientConfig>,
    /// For all of it: the name, the connection, the password.
    pub(super) limit: Duration,
}

impl Target {
    /// Errors name no values but harmless ones.
    pub(super) fn new(
        parameters: Vec<(String, Zeroizing<String>)>,
        defaults: &Defaults,
    ) -> Result<Self, String> {
        let mut values: Values = BTreeMap::new();
        // a variable must not lead what the administrator has named a host for to another address
        let names_host = parameters.iter().any(|(name, value)| name == "host" && !value.is_empty());
        let known = defaults.parameters.iter().filter(|(name, _)| !(names_host && *name == "hostaddr"));
        let known = known.map(|(name, value)| ((*name).to_owned(), value.clone()));
        values.extend(known.chain(parameters).filter(|(_, value)| !value.is_empty()));
        let mut reader = Reader { values };
        reader.refuse()?;
        let mut config = Config::new();
        let in_socket = reader.address(&mut config)?;
        let (mode, tls) = reader.encryption(in_socket)?;
        let limit = reader.limit()?;
        reader.login(&mut config, defaults)?;
        reader.session(&mut config)?;
        // a few addresses may have to be tried within the limit
        config.connect_timeout(limit);
        config.tcp_user_timeout(UNACKNOWLEDGED);
        Ok(Self { config, modes: mode.attempts(), tls, limit })
    }
}

type Values = BTreeMap<String, Zeroizing<String>>;

/// What lib/pq or libpq know and rsops cannot do; to pass over it could mean to trust more than was meant.
const UNSUPPORTED: &[&str] =
    &["require_auth", "service", "servicefile", "sslcrl", "sslcrldir", "sslinline", "sslpassword"];

/// What has no meaning here, and does no harm.
const WITHOUT_MEANING: &[&str] = &[
    "binary_parameters",
    "client_encoding",
    "disable_prepared_binary_result",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "sslcompression",
    "sslnegotiation",
    "sslsni",
];

/// The words of `sslmode`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(word: Option<&str>) -> Result<Self, String> {
        Ok(match word {
            Some("disable") => Self::Disable,
            Some("allow") => Self::Allow,
            Some("prefer") => Self::Prefer,
            // unlike libpq, which prefers
            None | Some("require") => Self::Require,
            Some("verify-ca") => Self::VerifyCa,
            Some("verify-full") => Self::VerifyFull,
            Some(word) => {
                return Err(format!(
                    "sslmode cannot be {word:?}; it is disable, allow, prefer, require, verify-ca or verify-full"
                ));
            }
        })
    }

    fn attempts(self) -> &'static [SslMode] {
        match self {
            Self::Disable => &[SslMode::Disable],
            Self::Allow => &[SslMode::Disable, SslMode::Require],
            Self::Prefer => &[SslMode::Require, SslMode::Disable],
            Self::Require | Self::VerifyCa | Self::VerifyFull => &[SslMode::Require],
        }
    }

    /// A certificate that is named is there to be checked.
    fn check(self, authorities: Option<&Path>) -> Check {
        match self {
            Self::VerifyFull => Check::AuthorityAndName,
            Self::VerifyCa => Check::Authority,
            Self::Require if authorities.is_some_and(Path::exists) => Check::Authority,
            _ => Check::Nothing,
        }
    }
}

/// Takes the values out one by one; what is left goes to the server.
struct Reader {
    values: Values,
}

impl Reader {
    fn take(&mut self, name: &str) -> Option<Zeroizing<String>> {
        self.values.remove(name)
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.take(name).map(|path| PathBuf::from(path.as_str()))
    }

    fn refuse(&self) -> Result<(), String> {
        match UNSUPPORTED.iter().find(|name| self.values.contains_key(**name)) {
            Some(name) => Err(format!("{name} is not supported")),
            None => Ok(()),
        }
    }

    /// Returns whether the server is behind a socket of this machine, where there is no TLS.
    fn address(&mut self, config: &mut Config) -> Result<bool, String> {
        // looked at again for the password
        let host =
            self.values.entry("host".to_owned()).or_insert_with(|| Zeroizing::new("localhost".to_owned()));
        let hosts: Vec<&str> =
            host.split(',').map(|host| if host.is_empty() { "localhost" } else { host }).collect();
        for host in &hosts {
            config.host(*host);
        }
        let in_socket = hosts.iter().all(|host| host.starts_with('/'));
        for address in self.take("hostaddr").iter().flat_map(|addresses| addresses.split(',')) {
            let address: IpAddr = address.parse().map_err(|_| "hostaddr is no IP address")?;
            config.hostaddr(address);
        }
        let port = self.values.entry("port".to_owned()).or_insert_with(|| Zeroizing::new("5432".to_owned()));
        for port in port.split(',') {
            let port = if port.is_empty() { "5432" } else { port };
            config.port(port.parse().map_err(|_| "port is no number from 1 to 65535")?);
        }
        Ok(in_socket)
    }

    fn encryption(&mut self, in_socket: bool) -> Result<(Mode, Option<ClientConfig>), String> {
        let words = self.take("sslmode");
        let root = self.path("sslrootcert");
        let of_system = root.as_ref().is_some_and(|path| path.as_os_str() == "system");
        // who asks for the authorities of the system wants them to be asked, as in libpq
        let mode = match words.as_deref().map(String::as_str) {
            None | Some("") if of_system => Mode::parse(Some("verify-full"))?,
            word => Mode::parse(word)?,
        };
        let authorities = root.filter(|_| !of_system);
        let (certificate, key) = (self.path("sslcert"), self.path("sslkey"));
        if in_socket || mode == Mode::Disable {
            return Ok((Mode::Disable, None));
        }
        let identity = match (&certificate, &key) {
            (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
            (None, None) => None,
            _ => return Err("sslcert and sslkey belong together".to_owned()),
        };
        let files = Files { authorities: authorities.as_deref(), identity };
        Ok((mode, Some(client_config(mode.check(files.authorities), &files)?)))
    }

    fn limit(&mut self) -> Result<Duration, String> {
        let Some(text) = self.take("connect_timeout") else { return Ok(CONNECT) };
        match text.trim().parse::<i64>().map(u64::try_from) {
            Ok(Ok(seconds)) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            // for libpq that means to wait for ever
            Ok(_) => Ok(CONNECT),
            Err(_) => Err("connect_timeout is no number of seconds".to_owned()),
        }
    }

    fn login(&mut self, config: &mut Config, defaults: &Defaults) -> Result<(), String> {
        let user = self.take("user").or_else(|| defaults.user.clone().map(Zeroizing::new));
        let user = user.ok_or("no user is named, and you have no name in this system")?;
        let database = self.take("dbname").or_else(|| self.take("database")).unwrap_or_else(|| user.clone());
        let file = self.path("passfile").or_else(|| Some(defaults.home.as_ref()?.join(".pgpass")));
        let (host, port) = (self.take("host").unwrap_or_default(), self.take("port").unwrap_or_default());
        let login = Login { host: &host, port: &port, database: &database, user: &user };
        let password = self.take("password").or_else(|| password(&file?, &login));
        if let Some(password) = password {
            config.password(password.as_bytes());
        }
        config.user(user.as_str()).dbname(database.as_str());
        Ok(())
    }

    /// What the session is like; settings of the server travel as its options.
    fn session(&mut self, config: &mut Config) -> Result<(), String> {
        let fallback = self.take("fallback_application_name");
        let name = self.take("application_name").or(fallback);
        config.application_name(name.as_deref().map_or("rsops", String::as_str));
        match self.take("channel_binding").as_deref().map(String::as_str) {
            None | Some("prefer") => {}
            Some("disable") => {
                config.channel_binding(ChannelBinding::Disable);
            }
            Some("require") => {
                config.channel_binding(ChannelBinding::Require);
            }
            Some(_) => return Err("channel_binding is disable, prefer or require".to_owned()),
        }
        match self.take("target_session_attrs").as_deref().map(String::as_str) {
            None | Some("any") => {}
            Some("read-write" | "primary") => {
                config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
            // nothing could be recorded there
            Some(_) => return Err("target_session_attrs is any or read-write".to_owned()),
        }
        let mut options = self.take("options").map(|options| options.to_string()).unwrap_or_default();
        let left = self.values.iter().filter(|(name, _)| !WITHOUT_MEANING.contains(&name.as_str()));
        for (name, value) in left {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            options += &format!(" -c {name}={value}");
        }
        if !options.is_empty() {
            config.options(options);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::super::connection_string::ConnectionString;
    use super::*;

    fn target(text: &str, variables: &[(&'static str, &str)]) -> Result<Target, String> {
        let value = |(name, value): &(&'static str, &str)| (*name, Zeroizing::new((*value).to_owned()));
        let defaults = Defaults {
            parameters: variables.iter().map(value).collect(),
            home: None,
            user: Some("me".to_owned()),
        };
        Target::new(ConnectionString::parse(text)?.parameters, &defaults)
    }

    fn refused(text: &str) -> String {
        target(text, &[]).map(drop).expect_err(text)
    }

    #[test]
    fn variables_fill_the_gaps() {
        let target =
            target("user=u", &[("host", "h"), ("port", "7"), ("user", "v"), ("password", "")]).expect("fine");
        let config = target.config;
        assert_eq!(config.get_hosts(), [Host::Tcp("h".to_owned())]);
        assert_eq!(config.get_ports(), [7]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("u")));
        assert_eq!(config.get_password(), None);
    }

    #[test]
    fn without_anything_it_is_the_database_of_the_user_on_this_machine() {
        let target = target("", &[]).expect("fine");
        assert_eq!(target.config.get_hosts(), [Host::Tcp("localhost".to_owned())]);
        assert_eq!(target.config.get_ports(), [5432]);
        assert_eq!((target.config.get_user(), target.config.get_dbname()), (Some("me"), Some("me")));
        assert_eq!((target.modes, target.limit), (&[SslMode::Require][..], CONNECT));
    }

    #[test]
    fn encryption_is_as_strict_as_the_mode() {
        let modes = |text: &str| target(text, &[]).map(|target| target.modes).expect(text);
        assert_eq!(modes("sslmode=disable"), [SslMode::Disable]);
        assert_eq!(modes("sslmode=allow"), [SslMode::Disable, SslMode::Require]);
        assert_eq!(modes("sslmode=prefer"), [SslMode::Require, SslMode::Disable]);
        assert_eq!(modes("host=/run/postgresql sslmode=verify-full"), [SslMode::Disable], "a socket");
        assert_eq!(modes("host=/run/postgresql,db"), [SslMode::Require]);
        assert!(refused("sslmode=bogus").contains("verify-full"));
        let there = Some(Path::new("/"));
        assert_eq!(Mode::Require.check(there), Check::Authority);
        assert_eq!(Mode::Require.check(Some(Path::new("/nowhere"))), Check::Nothing);
        assert_eq!(Mode::Prefer.check(there), Check::Nothing);
        assert_eq!(Mode::VerifyCa.check(None), Check::Authority);
        assert_eq!(Mode::VerifyFull.check(None), Check::AuthorityAndName);
    }

    #[test]
    fn other_names_are_settings_of_the_server() {
        let target = target("work_mem=1MB search_path='a, b' keepalives=1 options='-c x=y'", &[]);
        let options = target.expect("fine").config.get_options().map(str::to_owned);
        assert_eq!(options.as_deref(), Some(r"-c x=y -c search_path=a,\ b -c work_mem=1MB"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(refused("service=x").contains("service is not supported"));
        assert!(refused("port=x").contains("port is no number"));
        assert!(refused("connect_timeout=soon").contains("connect_timeout"));
        assert!(refused("sslcert=/x").contains("belong together"));
        assert!(refused("sslmode=verify-ca sslrootcert=/nowhere").starts_with("sslrootcert: /nowhere: "));
        assert!(refused("target_session_attrs=standby").contains("read-write"));
    }
}
