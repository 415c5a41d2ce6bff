//! Values that something else fills in later, and what stands in clear beside them.

use memchr::memmem;

use crate::cipher::well_formed;

/// Values that begin so name a place where the secret is, or are encrypted by something else.
const ELSEWHERE: [&[u8]; 6] = [
    b"ref+",
    b"vault:",
    b"op://",
    b"$ANSIBLE_VAULT;",
    b"-----BEGIN AGE ENCRYPTED FILE-----",
    b"-----BEGIN PGP MESSAGE-----",
];

/// Names that end so are those of secrets.
const SECRETIVE: [&str; 7] = ["password", "passwd", "pwd", "secret", "token", "key", "credentials"];

/// Whether there is something in a value that should not be read: letters or digits that are neither encrypted nor a
/// place to be filled in.
pub(super) fn is_in_clear(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if well_formed(value).is_ok()
        || ELSEWHERE.iter().any(|start| value.starts_with(start))
        || is_variable(value)
    {
        return false;
    }
    let literal = literal(value);
    if !says_something(&literal.text) {
        return false;
    }
    let is_filled_in = literal.places > 0 && !literal.has_default;
    match is_filled_in {
        true if value.contains(&b'\n') => value.split(|byte| *byte == b'\n').any(assigns_secret),
        true => !is_url_without_user(value),
        false => true,
    }
}

/// `$PASSWORD`; what else begins with `$` may be a password.
fn is_variable(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    value.strip_prefix(b"$").is_some_and(|name| name.len() > 1 && name.iter().all(is_name))
}

fn says_something(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

/// In a text of several lines, such as a configuration, much is no secret. What is assigned to a name like `password`
/// is one.
fn assigns_secret(line: &[u8]) -> bool {
    let Some(at) = line.iter().position(|byte| b":=".contains(byte)) else { return false };
    let name = String::from_utf8_lossy(&line[..at]).to_ascii_lowercase();
    let name = name.trim_matches(|c: char| c.is_ascii_whitespace() || "\"'-".contains(c));
    // `{{ range $user, $password := .users }}`
    if memmem::rfind(&line[..at], b"{{") > memmem::rfind(&line[..at], b"}}") {
        return false;
    }
    let value = &line[at + 1..];
    let literal = literal(value);
    SECRETIVE.iter().any(|end| name.ends_with(end))
        && says_something(&literal.text)
        && !is_file(value)
        && (literal.places == 0 || literal.has_default)
}

/// Where a key lies is no secret.
fn is_file(value: &[u8]) -> bool {
    const ENDS: [&[u8]; 4] = [b".pem", b".key", b".crt", b".json"];
    let value = value.trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    value.starts_with(b"/") || ENDS.iter().any(|end| value.ends_with(end))
}

/// `postgres://${USER}:${PASSWORD}@db/app`: hosts and paths are no secrets.
fn is_url_without_user(value: &[u8]) -> bool {
    let Some(at) = memmem::find(value, b"://") else { return false };
    let is_scheme = value[..at].iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    let rest = &value[at + 3..];
    let user = memchr::memrchr(b'@', rest).map_or(&[][..], |end| &rest[..end]);
    is_scheme && !says_something(&literal(user).text)
}

/// What a value has beside its places.
#[derive(Default)]
struct Literal {
    text: Vec<u8>,
    /// How many places there are.
    places: usize,
    /// Whether one of them has a text of its own: `${PASSWORD:-hunter2}`, `{{ "hunter2" | b64enc }}`.
    has_default: bool,
}

fn literal(value: &[u8]) -> Literal {
    let mut literal = Literal::default();
    let mut rest = value;
    while let Some(first) = rest.first() {
        match place(rest) {
            Some(place) => {
                literal.places += usize::from(!place.is_markup);
                if is_default(place.default) {
                    literal.has_default = true;
                    literal.text.extend(place.default);
                }
                rest = &rest[place.length..];
            }
            None => {
                literal.text.push(*first);
                rest = &rest[1..];
            }
        }
    }
    literal
}

fn is_default(text: &[u8]) -> bool {
    !text.is_empty() && is_in_clear(text)
}

/// Nobody writes longer ones; what nothing closes is not searched to its end.
const LONGEST: usize = 2048;

/// A place at the beginning of a text.
struct Place<'a> {
    length: usize,
    /// What it stands for if nothing else is said.
    default: &'a [u8],
    /// A tag of XML that says nothing, and is filled in by nobody.
    is_markup: bool,
}

fn place(text: &[u8]) -> Option<Place<'_>> {
    let text = &text[..text.len().min(LONGEST)];
    let between = |start: &[u8], end: &[u8]| {
        let inside = text.strip_prefix(start)?;
        let length = memmem::find(inside, end)?;
        Some((&inside[..length], start.len() + length + end.len()))
    };
    let place = |(_, length): (&[u8], usize)| Place { length, default: b"", is_markup: false };
    match text.get(..2)? {
        b"{{" => {
            let length = template_length(text)?;
            Some(Place { length, default: quoted(&text[2..length - 2]), is_markup: false })
        }
        b"{%" => between(b"{%", b"%}").map(place),
        b"${" => {
            let length = braces_length(&text[1..])? + 1;
            Some(Place { length, default: fallback(&text[2..length - 1]), is_markup: false })
        }
        b"$(" => between(b"$(", b")").map(place),
        b"#{" => between(b"#{", b"}#").or_else(|| between(b"#{", b"}")).map(place),
        [b'<', b'/' | b'?'] => between(b"<", b">").map(place).map(|place| Place { is_markup: true, ..place }),
        [b'<', _] => between(b"<", b">").filter(|(inside, _)| is_name(inside)).map(place),
        _ => None,
    }
}

/// `<password>`, `<your password here>`, `<path:secret/data/db#password>`; no tag with a value in it.
fn is_name(inside: &[u8]) -> bool {
    let has_value = [&b"=\""[..], b"='"].iter().any(|start| memmem::find(inside, start).is_some());
    says_something(inside)
        && !has_value
        && !inside.ends_with(b"/")
        && !inside.iter().any(|byte| b"<\n".contains(byte))
}

/// How long a `{{ … }}` is, in whose strings there may be more braces.
pub(super) fn template_length(text: &[u8]) -> Option<usize> {
    if text
        .get(2..)
        .is_some_and(|inside| inside.trim_ascii_start().starts_with(b"/*") || inside.starts_with(b"- /*"))
    {
        let comment = memmem::find(text, b"*/")?;
        return memmem::find(&text[comment..], b"}}").map(|end| comment + end + 2);
    }
    let mut string = None;
    let mut at = 2;
    while at < text.len() {
        match (string, text[at]) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(quote), byte) if quote == byte => string = None,
            (None, quote @ (b'"' | b'`')) => string = Some(quote),
            (None, b'}') if text.get(at + 1) == Some(&b'}') => return Some(at + 2),
            _ => {}
        }
        at += 1;
    }
    // a quote that is none
    memmem::find(text, b"}}").map(|end| end + 2)
}

/// The string that a template begins with.
fn quoted(inside: &[u8]) -> &[u8] {
    let inside = inside.strip_prefix(b"-").unwrap_or(inside).trim_ascii_start();
    let Some(quote @ (b'"' | b'`' | b'\'')) = inside.first() else { return b"" };
    let string = &inside[1..];
    memchr::memchr(*quote, string).map_or(b"", |end| &string[..end])
}

fn braces_length(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// What a variable is if it is not set: `NAME:-this`, `NAME:=this`.
fn fallback(inside: &[u8]) -> &[u8] {
    let name = inside.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let rest = inside[name..].strip_prefix(b":").unwrap_or(&inside[name..]);
    rest.strip_prefix(b"-").or(rest.strip_prefix(b"=")).unwrap_or(b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_be_filled_in_are_not_in_clear() {
        for value in [
            "",
            "  ",
            "***",
            "${PASSWORD}",
            "${PASSWORD:-}",
            "${PASSWORD:?is not set}",
            "$(PASSWORD)",
            "$PASSWORD",
            "#{PASSWORD}#",
            "{{ .Values.password | b64enc }}",
            "{{- .Values.password -}}",
            "\"{{ .Values.user }}:{{ .Values.password }}\"",
            "{{ index .Values \"a}}b\" | quote }}",
            "{{ default \"\" .Values.x }}",
            "{{/* nothing */}}",
            "<password>",
            "<your password here>",
            "<path:secret/data/db#password | base64encode>",
            "<config><password>{{ .Values.password }}</password></config>",
            "{% if x %}{{ x }}{% endif %}",
            "ref+vault://x#/y",
            "vault:secret/data/db#password",
            "op://vault/item/field",
            "postgres://${USER}:${PASSWORD}@db.example.com:5432/app?sslmode=disable",
            "https://{{ .host }}/hooks/{{ .token }}",
            "user = app\npassword = ${PASSWORD}\n",
            "users:\n{{- range $user, $password := .users }}\n  {{ $user }}: {{ hashed $password }}\n{{- end }}\n",
            "host: ${HOST}\nprivate_key: matrix.pem\ntls_key: \"/tls/tls.key\"\n",
            "ENC[AES256_GCM,data:qqo=,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]",
        ] {
            assert!(!is_in_clear(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_stands_beside_them_is() {
        for value in [
            "hunter2",
            "p\u{e4}ss",
            "$ecret",
            "ENC[AES256_GCM,hunter2",
            "ENC[hunter2]",
            "hunter2{{ .x }}",
            "{{ .x }}hunter2{{ .y }}",
            "${A}hunter2${B}",
            "${PASSWORD:-hunter2}",
            "${PASSWORD:=hunter2}",
            "{{ \"hunter2\" | b64enc }}",
            "{{ unclosed",
            "<password>hunter2</password>",
            "<user password=\"hunter2\"/>",
            "<?xml version=\"1.0\"?><a>hunter2</a>",
            "<a<b>",
            "postgres://app:hunter2@{{ .host }}/app",
            "postgres://app:hunter2@db/app",
            "user = ${USER}\npassword = hunter2\n",
            "- host: ${HOST}\n- api_key: 'hunter2'\n",
        ] {
            assert!(is_in_clear(value.as_bytes()), "{value}");
        }
    }
}
