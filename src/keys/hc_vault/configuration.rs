//! The variables of Vault's own client, read as it reads them (keys.md §10).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Proxy};
use zeroize::Zeroizing;

use super::settings::VaultSettings;
use crate::os_error::os_text;

/// What a client is made with.
#[derive(Clone)]
pub(super) struct Configuration {
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) redirects: Redirects,
    pub(super) lookup: Lookup,
    pub(super) trust: Trust,
    pub(super) identity: Option<Identity>,
    pub(super) server_name: Option<String>,
    pub(super) proxy: Option<Proxy>,
    pub(super) headers: HeaderMap,
}

/// Whether the server may send us elsewhere, once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Once,
    Never,
}

/// How a host is found whose port the address does not say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    Address,
    Service,
}

/// Whose certificates are accepted.
#[derive(Clone)]
pub(super) enum Trust {
    System,
    Authorities(Vec<Certificate>),
    Everybody,
}

impl Configuration {
    /// Reads all of them, or says which one is malformed.
    pub(super) fn read(settings: &VaultSettings) -> Result<Self, String> {
        let setup = |reason| format!("error encountered setting up default configuration: {reason}");
        Ok(Self {
            retries: retries(settings.max_retries.as_deref()).map_err(setup)?,
            timeout: timeout(settings.client_timeout.as_deref()).map_err(setup)?,
            redirects: match boolean("VAULT_DISABLE_REDIRECTS", &settings.disable_redirects).map_err(setup)? {
                true => Redirects::Never,
                false => Redirects::Once,
            },
            lookup: match boolean("VAULT_SRV_LOOKUP", &settings.srv_lookup).map_err(setup)? {
                true => Lookup::Service,
                false => Lookup::Address,
            },
            trust: trust(settings).map_err(setup)?,
            identity: identity(settings).map_err(setup)?,
            server_name: settings.tls_server_name.clone(),
            proxy: proxy(settings).map_err(setup)?,
            headers: {
                check_rate(settings.rate_limit.as_deref()).map_err(setup)?;
                headers(settings.headers.as_ref().map(|headers| headers.as_str()))?
            },
        })
    }
}

fn retries(text: Option<&str>) -> Result<u32, String> {
    let Some(text) = text else { return Ok(2) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse().ok().filter(|_| digits);
    count.ok_or_else(|| format!("VAULT_MAX_RETRIES: {text:?} is no number of retries"))
}

/// Seconds, or a number with a unit; nothing and less mean no limit of its own.
fn timeout(text: Option<&str>) -> Result<Option<Duration>, String> {
    let Some(text) = text else { return Ok(None) };
    let seconds = text.parse::<i64>().ok().map(|seconds| seconds as f64).or_else(|| go_duration(text));
    let seconds = seconds.ok_or("could not parse \"VAULT_CLIENT_TIMEOUT\"")?;
    Ok(Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()))
}

/// `1m30s`, in seconds.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut total = None;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total = Some(total.unwrap_or_default() + number.parse::<f64>().ok()? * unit);
        rest = behind;
    }
    total.map(|total: f64| sign * total)
}

fn boolean(name: &str, text: &Option<String>) -> Result<bool, String> {
    match text.as_deref() {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(_) => Err(format!("could not parse {name}")),
    }
}

/// `rate` or `rate:burst`. A command asks less often than anybody limits.
fn check_rate(text: Option<&str>) -> Result<(), String> {
    let Some(text) = text else { return Ok(()) };
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    if rate.parse::<f64>().is_ok() && burst.is_none_or(|burst| burst.parse::<i64>().is_ok()) {
        return Ok(());
    }
    Err("VAULT_RATE_LIMIT was provided but incorrectly formatted".to_owned())
}

fn trust(settings: &VaultSettings) -> Result<Trust, String> {
    if boolean("VAULT_SKIP_VERIFY", &settings.skip_verify)? {
        return Ok(Trust::Everybody);
    }
    let certificates = if let Some(file) = &settings.ca_cert {
        certificates_of(Path::new(file))?
    } else if let Some(text) = &settings.ca_cert_bytes {
        certificates(text.as_bytes()).ok_or("Error appending CA: Couldn't parse PEM")?
    } else if let Some(folder) = &settings.ca_path {
        let mut all = Vec::new();
        collect(Path::new(folder), &mut all)?;
        all
    } else {
        return Ok(Trust::System);
    };
    Ok(Trust::Authorities(certificates))
}

fn collect(folder: &Path, all: &mut Vec<Certificate>) -> Result<(), String> {
    let failed = |error: io::Error| format!("open {}: {}", folder.display(), os_text(&error));
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    for path in entries.iter().map(fs::DirEntry::path) {
        if path.is_dir() {
            collect(&path, all)?;
        } else {
            all.extend(certificates_of(&path)?);
        }
    }
    Ok(())
}

fn certificates_of(file: &Path) -> Result<Vec<Certificate>, String> {
    let pem = read(file).map_err(|reason| format!("Error loading CA File: {reason}"))?;
    certificates(&pem)
        .ok_or_else(|| format!("Error loading CA File: Couldn't parse PEM in: {}", file.display()))
}

/// None if there is not a single one.
fn certificates(pem: &[u8]) -> Option<Vec<Certificate>> {
    Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty())
}

fn identity(settings: &VaultSettings) -> Result<Option<Identity>, String> {
    let (certificate, key) = match (&settings.client_cert, &settings.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err("both client cert and client key must be provided".to_owned()),
    };
    let mut pem = read(Path::new(key))?;
    pem.push(b'\n');
    pem.extend_from_slice(&read(Path::new(certificate))?);
    let identity = Identity::from_pem(&pem);
    // the reason could quote the key
    identity.map(Some).map_err(|_| format!("{certificate} and {key} hold no certificate with its key in PEM"))
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let bytes = fs::read(file).map_err(|error| format!("open {}: {}", file.display(), os_text(&error)))?;
    Ok(Zeroizing::new(bytes))
}

fn proxy(settings: &VaultSettings) -> Result<Option<Proxy>, String> {
    let (name, url) = match (&settings.proxy_addr, &settings.http_proxy) {
        (Some(url), _) => ("VAULT_PROXY_ADDR", url),
        (None, Some(url)) => ("VAULT_HTTP_PROXY", url),
        (None, None) => return Ok(None),
    };
    // a proxy may have a password
    Proxy::all(url.as_str()).map(Some).map_err(|_| format!("{name} is no URL of a proxy"))
}

fn headers(text: Option<&str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let Some(text) = text else { return Ok(headers) };
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| "could not unmarshal environment-supplied headers")?;
    for (name, value) in map {
        let value = value.as_str().ok_or("environment-supplied headers include non-string values")?;
        let wrong = || format!("VAULT_HEADERS: {name:?} cannot be sent");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut VaultSettings)) -> String {
        let mut settings = VaultSettings::default();
        change(&mut settings);
        Configuration::read(&settings).err().unwrap_or_default()
    }

    #[test]
    fn malformed_variables_are_named() {
        let setup = |reason: &str| format!("error encountered setting up default configuration: {reason}");
        let some = || Some("x".to_owned());
        assert_eq!(problem(|s| s.skip_verify = some()), setup("could not parse VAULT_SKIP_VERIFY"));
        assert_eq!(problem(|s| s.srv_lookup = some()), setup("could not parse VAULT_SRV_LOOKUP"));
        assert_eq!(
            problem(|s| s.disable_redirects = some()),
            setup("could not parse VAULT_DISABLE_REDIRECTS")
        );
        assert_eq!(problem(|s| s.client_timeout = some()), setup("could not parse \"VAULT_CLIENT_TIMEOUT\""));
        let rate = "VAULT_RATE_LIMIT was provided but incorrectly formatted";
        assert_eq!(problem(|s| s.rate_limit = some()), setup(rate));
        assert!(problem(|s| s.max_retries = Some("-1".to_owned())).contains("VAULT_MAX_RETRIES: \"-1\""));
        let pair = "both client cert and client key must be provided";
        assert_eq!(problem(|s| s.client_cert = some()), setup(pair));
        assert_eq!(problem(|s| s.ca_cert_bytes = some()), setup("Error appending CA: Couldn't parse PEM"));
        let open = "Error loading CA File: open /nope: no such file or directory";
        assert_eq!(problem(|s| s.ca_cert = Some("/nope".to_owned())), setup(open));
        assert_eq!(
            problem(|s| s.proxy_addr = Some(":".to_owned())),
            setup("VAULT_PROXY_ADDR is no URL of a proxy")
        );
        let headers = |text: &str| problem(|s| s.headers = Some(Zeroizing::new(text.to_owned())));
        assert_eq!(headers("x"), "could not unmarshal environment-supplied headers");
        assert_eq!(headers("{\"a\":1}"), "environment-supplied headers include non-string values");
        assert_eq!(headers("{\"a\\n\":\"b\"}"), "VAULT_HEADERS: \"a\\n\" cannot be sent");
    }

    #[test]
    fn limits_have_units_or_are_seconds() {
        let seconds = |text| timeout(Some(text)).map(|limit| limit.map(|limit| limit.as_secs_f64()));
        assert_eq!(seconds("90"), Ok(Some(90.0)));
        assert_eq!(seconds("1m30s"), Ok(Some(90.0)));
        assert_eq!(seconds("1.5s"), Ok(Some(1.5)));
        assert_eq!(seconds("250ms"), Ok(Some(0.25)));
        assert_eq!(seconds("0"), Ok(None));
        assert_eq!(seconds("-3"), Ok(None));
        for text in ["x", "5 s", "s", "1y", "."] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
