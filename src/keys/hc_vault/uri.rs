//! URLs as the reference takes them apart: what is stored in files depends on it (keys.md §8.1).

use std::borrow::Cow;
use std::fmt::Write as _;

/// A URL with a host.
pub(super) struct Uri<'a> {
    /// Lower-case.
    pub(super) scheme: String,
    /// User, host and port.
    pub(super) authority: &'a str,
    /// Escaped, if it was not.
    pub(super) path: Cow<'a, str>,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// The parts, `None` where there is no scheme or no host, or what is wrong.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, String> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(r, f)| (r, Some(f)));
        let Some((scheme, rest)) = scheme(rest)? else {
            let first = rest.split(['/', '?']).next().unwrap_or_default();
            return if first.contains(':') {
                Err("first path segment in URL cannot contain colon".to_owned())
            } else {
                Ok(None)
            };
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
        let Some(rest) = rest.strip_prefix("//") else { return Ok(None) };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        check_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host))?;
        let path = escaped(path)?;
        Ok(Some(Self { scheme: scheme.to_ascii_lowercase(), authority, path, query, fragment }))
    }
}

/// The scheme and what follows the colon.
fn scheme(text: &str) -> Result<Option<(&str, &str)>, String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok(Some((&text[..at], &text[at + 1..]))),
            _ => break,
        }
    }
    Ok(None)
}

fn check_host(host: &str) -> Result<(), String> {
    let port = match host.strip_prefix('[') {
        Some(inner) => inner.rsplit_once(']').ok_or("missing ']' in host")?.1,
        None => host.rfind(':').map_or("", |at| &host[at..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(if port.is_empty() { "" } else { "x" });
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid port {port:?} after host"));
    }
    match host.chars().find(|c| " \"<>\\^`{|}".contains(*c)) {
        Some(c) => Err(format!("invalid character {:?} in host name", c.to_string())),
        None => Ok(()),
    }
}

/// The path as it is if it could be sent so, else with everything escaped that must be.
fn escaped(path: &str) -> Result<Cow<'_, str>, String> {
    let bytes = unescaped(path)?;
    let sendable = |byte: u8| keeps_its_form(byte) || b"!'()*[]%".contains(&byte);
    Ok(if path.bytes().all(sendable) { Cow::Borrowed(path) } else { Cow::Owned(escape(&bytes)) })
}

fn unescaped(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => {
                let wrong = String::from_utf8_lossy(&behind[..behind.len().min(2)]);
                return Err(format!("invalid URL escape \"%{wrong}\""));
            }
        }
        rest = &behind[2..];
    }
    Ok(bytes)
}

/// A path on the wire. What is escaped already is escaped once more, as the reference does.
pub(super) fn escape(path: &[u8]) -> String {
    path.iter().fold(String::with_capacity(path.len()), |mut text, byte| {
        if keeps_its_form(*byte) {
            text.push(char::from(*byte));
        } else {
            // a String takes everything
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn keeps_its_form(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

/// An address as it is shown: without the name and the password in front of its host. What follows the host stays, and so
/// do addresses that are none; nothing behind the host is taken for it.
pub(crate) fn without_credentials(address: &str) -> Cow<'_, str> {
    let authority_at = address.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = address.split_at(authority_at);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}{}", &rest[at + 1..])),
        None => Cow::Borrowed(address),
    }
}

/// `a/../b` → `b`; empty parts go.
pub(super) fn resolve_dots<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_url_is_is_said_as_the_reference_says_it() {
        for (text, reason) in [
            (" https://v/v1/t/keys/n", "first path segment in URL cannot contain colon"),
            ("1http://v/v1/t/keys/n", "first path segment in URL cannot contain colon"),
            (":", "missing protocol scheme"),
            ("http://[::1/v1/t/keys/n", "missing ']' in host"),
            ("http://h:port/v1/t/keys/n", "invalid port \":port\" after host"),
            ("http://h/v1/t/keys/%zz", "invalid URL escape \"%zz\""),
            ("http://h h/v1/t/keys/n", "invalid character \" \" in host name"),
            ("http://h/v1/t/keys/n\u{7f}", "net/url: invalid control character in URL"),
        ] {
            assert_eq!(Uri::parse(text).err().as_deref(), Some(reason), "{text}");
        }
        assert!(matches!(Uri::parse("v/v1/t/keys/n"), Ok(None)));
    }

    /// Guards against passwords in messages, and against a host that only seems to be one.
    #[test]
    fn addresses_are_shown_without_names_and_passwords() {
        for (address, shown) in [
            ("http://user:hvs.password@v:1/x@y", "http://v:1/x@y"),
            ("https://user:p@ss@v", "https://v"),
            ("https://token@v?x=1#f", "https://v?x=1#f"),
            ("user:password@v:8200", "v:8200"),
            ("https://evil.example?@v", "https://evil.example?@v"),
            ("https://evil.example#@v", "https://evil.example#@v"),
            ("https://evil.example\\@v", "https://evil.example\\@v"),
            ("https://v:8200/", "https://v:8200/"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(address), shown, "{address}");
        }
    }

    #[test]
    fn paths_are_escaped_where_they_must_be() {
        let path = |path| Uri::parse(path).expect("a URL").expect("a scheme").path.into_owned();
        assert_eq!(path("https://v/v1/t/keys/a b"), "/v1/t/keys/a%20b");
        assert_eq!(path("https://v/v1/t/keys/é"), "/v1/t/keys/%C3%A9");
        assert_eq!(path("https://v/v1/t/keys/a*b!c%2f"), "/v1/t/keys/a*b!c%2f");
        // seen on the wire of the reference
        assert_eq!(
            escape(b"/v1/transit/encrypt/a*b!c'(d)[e]~;:@&=+$_-.x"),
            "/v1/transit/encrypt/a%2Ab%21c%27%28d%29%5Be%5D~;:@&=+$_-.x"
        );
        assert_eq!(escape(b"k%2Fx?x=1"), "k%252Fx%3Fx=1");
    }
}
