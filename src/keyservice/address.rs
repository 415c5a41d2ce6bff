//! Where a key service is: `tcp://HOST:PORT` or `unix:///PATH` (keyservice.md §2.2).

use std::fmt;

/// The address of a key service, read as the reference reads it. Some lead nowhere: those are known before anything
/// is dialled, but are an error of the first request only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    shown: String,
    pub(super) place: Place,
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `family` is `tcp`, `tcp4` or `tcp6`.
    Tcp { family: String, host: String, port: u16 },
    /// The path of a socket.
    Unix(String),
    /// Nowhere, because of this.
    Nowhere(String),
}

/// A text that is no URL. The service is left out, with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseAddressError;

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a URL such as tcp://HOST:PORT or unix:///PATH")
    }
}

impl std::error::Error for ParseAddressError {}

/// As the log shows it: without path, query and user information.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Address {
    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self, ParseAddressError> {
        let url = Url::parse(text).ok_or(ParseAddressError)?;
        let (scheme, host) = (&url.scheme, &url.host);
        if scheme == "unix" {
            let shown = format!("unix://{}", url.path);
            let place = match (host.is_empty(), url.path.is_empty()) {
                (false, _) => Place::Nowhere(format!("invalid (non-empty) authority: {host}")),
                (true, true) => Place::Nowhere(dialling("dial unix: missing address")),
                (true, false) => Place::Unix(url.path),
            };
            return Ok(Self { shown, place });
        }
        Ok(Self { shown: format!("{scheme}://{host}"), place: Place::of_host(scheme, host) })
    }
}

impl Place {
    fn of_host(scheme: &str, host_and_port: &str) -> Self {
        let (host, port) = split_port(host_and_port);
        if host_and_port.is_empty() {
            return Self::Nowhere("dns resolver: missing address".to_owned());
        }
        if !["tcp", "tcp4", "tcp6"].contains(&scheme) {
            return Self::Nowhere(dialling(&format!("dial {scheme}: unknown network {scheme}")));
        }
        let port = match port {
            // the library of the reference takes every address for one of the web
            None => Ok(443),
            Some("") => {
                return Self::Nowhere("dns resolver: missing port after port-separator colon".to_owned());
            }
            Some(port) => port.parse().map_err(|_| port),
        };
        match port {
            Ok(port) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let host = if host.is_empty() { "localhost" } else { host };
                Self::Tcp { family: scheme.to_owned(), host: host.to_owned(), port }
            }
            Err(port) => Self::Nowhere(dialling(&format!("dial {scheme}: address {port}: invalid port"))),
        }
    }
}

/// What the reference says when it comes to no connection.
pub(super) fn dialling(reason: &str) -> String {
    format!("connection error: desc = {:?}", format!("transport: Error while dialing: {reason}"))
}

/// `host:port`; the brackets of an IPv6 address stay.
fn split_port(host: &str) -> (&str, Option<&str>) {
    let name_end = host.rfind(']').map_or(0, |at| at + 1);
    match host[name_end..].rfind(':') {
        Some(at) => (&host[..name_end + at], Some(&host[name_end + at + 1..])),
        None => (host, None),
    }
}

/// The parts of a URL that count. The rules are those of the reference, which reads `localhost:5000` as a scheme with
/// something behind it.
struct Url {
    scheme: String,
    /// With the port, without user information.
    host: String,
    /// Escapes resolved.
    path: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        if text.chars().any(|c| c.is_ascii_control()) {
            return None;
        }
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = split_scheme(text)?;
        let rest = rest.split('?').next().unwrap_or_default();
        // a path must not look like one with a scheme
        if scheme.is_empty() && rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return None;
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
            None => ("", rest),
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        is_host(host).then_some(())?;
        Some(Self { scheme: scheme.to_ascii_lowercase(), host: host.to_owned(), path: unescape(path)? })
    }
}

/// The scheme, empty if there is none, and what follows its colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let Some(at) = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)) else {
        return Some(("", text));
    };
    match (&text[..at], &text[at..]) {
        ("", rest) if rest.starts_with(':') => None,
        (scheme, rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && rest.starts_with(':') => {
            Some((scheme, &rest[1..]))
        }
        _ => Some(("", text)),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = split_port(host);
    let name_is_fine = match name.strip_prefix('[') {
        Some(name) => name.ends_with(']'),
        None => !name.contains([' ', '"', '<', '>', '^', '`', '{', '}', '|', '\\', '%', '[', ']']),
    };
    name_is_fine && port.unwrap_or_default().chars().all(|c| c.is_ascii_digit())
}

/// `%20` becomes a blank.
fn unescape(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(family: &str, host: &str, port: u16) -> Place {
        Place::Tcp { family: family.to_owned(), host: host.to_owned(), port }
    }

    #[test]
    fn urls_lead_where_they_lead_the_reference() {
        for (url, shown, place) in [
            ("tcp://127.0.0.1:1/path?x#y", "tcp://127.0.0.1:1", tcp("tcp", "127.0.0.1", 1)),
            ("tcp://u:p@h:1", "tcp://h:1", tcp("tcp", "h", 1)),
            ("TCP://localhost", "tcp://localhost", tcp("tcp", "localhost", 443)),
            ("tcp://:5999", "tcp://:5999", tcp("tcp", "localhost", 5999)),
            ("tcp6://[::1]:1", "tcp6://[::1]:1", tcp("tcp6", "::1", 1)),
            ("tcp://[::1]", "tcp://[::1]", tcp("tcp", "::1", 443)),
            ("unix:///tmp/a%20b", "unix:///tmp/a b", Place::Unix("/tmp/a b".to_owned())),
            ("unix:/tmp/a", "unix:///tmp/a", Place::Unix("/tmp/a".to_owned())),
            ("unix:a", "unix://a", Place::Unix("a".to_owned())),
        ] {
            let address = Address::parse(url).unwrap_or_else(|_| panic!("{url}"));
            assert_eq!((address.to_string().as_str(), &address.place), (shown, &place), "{url}");
        }
    }

    #[test]
    fn some_urls_lead_nowhere() {
        for (url, words) in [
            ("x://h:1", "dial x: unknown network x"),
            ("localhost:5000", "dns resolver: missing address"),
            ("word", "dns resolver: missing address"),
            ("", "dns resolver: missing address"),
            ("tcp:///x", "dns resolver: missing address"),
            ("tcp://h:", "missing port after port-separator colon"),
            ("tcp://h:99999", "dial tcp: address 99999: invalid port"),
            ("unix:", "dial unix: missing address"),
            ("unix://relative/path", "invalid (non-empty) authority: relative"),
        ] {
            match Address::parse(url).map(|address| address.place) {
                Ok(Place::Nowhere(reason)) => assert!(reason.contains(words), "{url}: {reason}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }

    #[test]
    fn some_texts_are_no_urls() {
        for text in
            ["://bad", "tcp://[::1", "tcp://h:99x", "tcp://a b", "127.0.0.1:5000", "unix:///%zz", "tcp://h\n"]
        {
            assert_eq!(Address::parse(text), Err(ParseAddressError), "{text}");
        }
    }
}
