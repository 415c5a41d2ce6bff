//! Connection strings: `postgres://user:password@host:port/database?key=value`, or `key=value …` as libpq has it.

use zeroize::Zeroizing;

/// What stands in for passwords wherever the string is shown.
const REDACTED: &str = "[redacted]";

/// What is said of a string that cannot be read: where its password stands is not known.
pub(super) const UNREADABLE: &str = "(not shown: it may hold a password)";

/// A connection string, taken apart.
pub(super) struct ConnectionString {
    /// Names and values in the order in which they stand; the last of a name counts.
    pub(super) parameters: Vec<(String, Zeroizing<String>)>,
    /// The string without passwords, for messages.
    pub(super) shown: String,
}

impl ConnectionString {
    /// Reads either form. Errors name no values.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut string = Self { parameters: Vec::new(), shown: String::new() };
        let scheme = ["postgres://", "postgresql://"].into_iter().find(|scheme| text.starts_with(scheme));
        match scheme {
            Some(scheme) => string.read_url(scheme, &text[scheme.len()..])?,
            None => string.read_pairs(text)?,
        }
        Ok(string)
    }

    fn add(&mut self, name: &str, value: Zeroizing<String>) {
        self.parameters.push((name.to_owned(), value));
    }

    fn read_pairs(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let value = after.trim_start().strip_prefix('=');
            // what has no name may be a part of a password
            let value = value.ok_or("a word without \"=\"; values with blanks stand in quotes")?.trim_start();
            let (value, raw, after) = pair_value(value).map_err(|problem| format!("{name}: {problem}"))?;
            if !self.shown.is_empty() {
                self.shown.push(' ');
            }
            self.shown += &format!("{name}={}", if is_secret(name) { REDACTED } else { raw });
            self.add(name, value);
            rest = after.trim_start();
        }
        Ok(())
    }

    fn read_url(&mut self, scheme: &str, rest: &str) -> Result<(), String> {
        let (rest, fragment) =
            rest.split_once('#').map_or((rest, None), |(rest, behind)| (rest, Some(behind)));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, path)| (a, Some(path)));
        let (credentials, hosts) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(credentials, hosts)| (Some(credentials), hosts));
        let is_torn = |part: Option<&str>| part.is_some_and(|part| part.contains('@'));
        if is_torn(path) || is_torn(fragment) || is_torn(query) {
            return Err("a password with / ? or # must be percent-encoded (%2F %3F %23)".to_owned());
        }
        self.shown = scheme.to_owned();
        if let Some(credentials) = credentials {
            self.read_credentials(credentials)?;
        }
        self.shown += hosts;
        self.read_hosts(hosts)?;
        if let Some(path) = path {
            self.shown += &format!("/{path}");
            if !path.is_empty() {
                self.add("dbname", decoded(path, Plus::Itself)?);
            }
        }
        query.map_or(Ok(()), |query| self.read_query(query))
    }

    fn read_credentials(&mut self, credentials: &str) -> Result<(), String> {
        let (user, password) = credentials
            .split_once(':')
            .map_or((credentials, None), |(user, password)| (user, Some(password)));
        self.add("user", decoded(user, Plus::Itself)?);
        self.shown += user;
        if let Some(password) = password {
            self.add("password", decoded(password, Plus::Itself)?);
            self.shown += &format!(":{REDACTED}");
        }
        self.shown.push('@');
        Ok(())
    }

    fn read_hosts(&mut self, text: &str) -> Result<(), String> {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for host in text.split(',').filter(|_| !text.is_empty()) {
            let (host, port) = match host.strip_prefix('[') {
                Some(address) => address.split_once(']').ok_or("host: \"[\" without \"]\"")?,
                None => host.split_at(host.find(':').unwrap_or(host.len())),
            };
            hosts.push(decoded(host, Plus::Itself)?.to_string());
            ports.push(port.strip_prefix(':').unwrap_or(port));
        }
        if hosts.iter().any(|host| !host.is_empty()) {
            self.add("host", Zeroizing::new(hosts.join(",")));
        }
        if ports.iter().any(|port| !port.is_empty()) {
            self.add("port", Zeroizing::new(ports.join(",")));
        }
        Ok(())
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded_name = decoded(name, Plus::Blank)?;
            let shown = if is_secret(&decoded_name) { REDACTED } else { value };
            self.shown += &format!("{separator}{name}={shown}");
            separator = '&';
            self.add(&decoded_name, decoded(value, Plus::Blank)?);
        }
        Ok(())
    }
}

fn is_secret(name: &str) -> bool {
    // `sslkey` may be the key itself with `sslinline`
    ["password", "sslpassword", "sslkey"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// A value, how it was written, and what comes behind it.
fn pair_value(text: &str) -> Result<(Zeroizing<String>, &str, &str), &'static str> {
    let quoted = text.starts_with('\'');
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if quoted => return Ok((value, &text[..=at], &text[at + 1..])),
            c if c.is_whitespace() && !quoted => return Ok((value, &text[..at], &text[at..])),
            '\\' => value.push(characters.next().ok_or("nothing behind the last \"\\\"")?.1),
            c => value.push(c),
        }
    }
    if quoted { Err("the quote does not end") } else { Ok((value, text, "")) }
}

/// What `+` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Itself,
    /// Behind the question mark.
    Blank,
}

fn decoded(text: &str, plus: Plus) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let code = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                code.ok_or("\"%\" without two hexadecimal digits; a percent sign itself is %25")?
            }
            b'+' if plus == Plus::Blank => b' ',
            byte => byte,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "what is percent-encoded is no UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> String {
        let string = ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let pair = |(name, value): &(String, Zeroizing<String>)| format!("{name}={}", **value);
        string.parameters.iter().map(pair).collect::<Vec<_>>().join("|")
    }

    fn shown(text: &str) -> String {
        ConnectionString::parse(text)
            .map(|string| string.shown)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn pairs_are_read_as_libpq_does() {
        for (text, expected) in [
            ("", ""),
            ("host=a port=1", "host=a|port=1"),
            ("  host = a\n\tport= 1 ", "host=a|port=1"),
            (r"password='a b\'c\\'", r"password=a b'c\"),
            (r"password=a\ b user=x", "password=a b|user=x"),
            ("password='' user=é", "password=|user=é"),
            ("user=", "user="),
        ] {
            assert_eq!(parameters(text), expected, "{text}");
        }
    }

    #[test]
    fn urls_are_read_too() {
        for (text, expected) in [
            ("postgres://", ""),
            ("postgres://h", "host=h"),
            ("postgresql://u@h:5/d", "user=u|host=h|port=5|dbname=d"),
            ("postgres://u:p%40%2f@h/d%20e", "user=u|password=p@/|host=h|dbname=d e"),
            ("postgres://u:p:@q@h/", "user=u|password=p:@q|host=h"),
            ("postgres://[::1]:5,b/d", "host=::1,b|port=5,|dbname=d"),
            ("postgres:///d?host=/run/x&a=b+c%2B", "dbname=d|host=/run/x|a=b c+"),
            ("postgres://%2Frun%2Fx/d?x", "host=/run/x|dbname=d|x="),
        ] {
            assert_eq!(parameters(text), expected, "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, expected) in [
            ("host=h password='a b' user=u", "host=h password=[redacted] user=u"),
            ("PASSWORD=x sslpassword = y", "PASSWORD=[redacted] sslpassword=[redacted]"),
            ("postgres://u:p@h:5/d?sslmode=disable", "postgres://u:[redacted]@h:5/d?sslmode=disable"),
            ("postgres://u:p@q@h", "postgres://u:[redacted]@h"),
            ("postgres://h?pass%77ord=p&a=b", "postgres://h?pass%77ord=[redacted]&a=b"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_repeated() {
        for text in [
            "hunter2",
            "password=hunter2 hunter2",
            "password='hunter2",
            r"password=hunter2\",
            "postgres://u:1/hunter2@h/d",
            "postgres://u:1?hunter2@h/d",
            "postgres://u:1#hunter2@h/d",
            "postgres://u:p@ss?hunter2@h/d",
            "postgres://u:hunter2%@h",
            "postgres://u:hunter2%ff@h",
            "postgres://u:hunter2@[h",
        ] {
            let Err(error) = ConnectionString::parse(text) else { panic!("{text}") };
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
}
