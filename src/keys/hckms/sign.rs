//! SDK-HMAC-SHA256: how HuaweiCloud knows who asks (keys.md §9.3).

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use sha2::{Digest as _, Sha256};

use super::credentials::Credentials;
use crate::tree::Timestamp;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// The headers that say who asks: date, project, token, signature.
pub(super) fn headers(
    credentials: &Credentials,
    project: Option<&str>,
    method: &Method,
    url: &Url,
    body: &[u8],
) -> Result<HeaderMap, String> {
    signed_at(&Timestamp::now().whole_seconds(), credentials, project, method, url, body)
}

/// `time`: RFC 3339 in UTC.
fn signed_at(
    time: &str,
    credentials: &Credentials,
    project: Option<&str>,
    method: &Method,
    url: &Url,
    body: &[u8],
) -> Result<HeaderMap, String> {
    let date = time.replace(['-', ':'], "");
    let mut signed = vec![("x-sdk-date", date.as_str())];
    signed.extend(project.map(|project| ("x-project-id", project)));
    signed.extend(credentials.security_token.as_ref().map(|token| ("x-security-token", token.as_str())));
    signed.sort_unstable();
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!(
        "{method}\n{}\n{}\n{lines}\n{names}\n{}",
        canonical_path(url),
        canonical_query(url),
        hex(&Sha256::digest(body))
    );
    let to_sign = format!("{ALGORITHM}\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut mac = Hmac::<Sha256>::new_from_slice(credentials.secret_key.as_bytes())
        .map_err(|_| "the secret key cannot sign".to_owned())?;
    mac.update(to_sign.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    let mut headers = HeaderMap::new();
    for (name, value) in signed {
        headers.insert(
            name,
            sensitive(value).ok_or_else(|| format!("{name} has characters that no header can have"))?,
        );
    }
    let authorization = format!(
        "{ALGORITHM} Access={}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key
    );
    let authorization =
        sensitive(&authorization).ok_or("the access key has characters that no header can have")?;
    headers.insert(AUTHORIZATION, authorization);
    Ok(headers)
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Always with a slash at the end, which is signed but not sent.
fn canonical_path(url: &Url) -> String {
    let path = url.path();
    if path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// Sorted. Ours have one name and need no escapes.
fn canonical_query(url: &Url) -> String {
    let mut pairs: Vec<&str> = url.query().unwrap_or_default().split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // a String takes everything
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    /// Made with the vendor's own client for Python.
    #[test]
    fn the_signature_is_that_of_the_vendor() {
        let credentials = Credentials {
            access_key: "ak".to_owned(),
            secret_key: Zeroizing::new("sk".to_owned()),
            security_token: Some(Zeroizing::new("st".to_owned())),
            project_id: None,
            iam_endpoint: None,
        };
        let sign = |method, url: &str, project, body: &[u8]| {
            let url = Url::parse(url).expect("a URL");
            let headers = signed_at("2026-11-25T16:23:00Z", &credentials, project, &method, &url, body);
            headers.expect("headers")[AUTHORIZATION].to_str().expect("text").to_owned()
        };
        assert_eq!(
            sign(Method::POST, "https://kms.example/v1.0/pid/kms/encrypt-data", Some("pid"), b"{\"a\":1}"),
            "SDK-HMAC-SHA256 Access=ak, SignedHeaders=x-project-id;x-sdk-date;x-security-token, Signature=79df581932bd81d1c96cc6f54fe8d019c57923d6840c195b0841c5058931cd61"
        );
        assert_eq!(
            sign(Method::GET, "https://iam.example/v3/projects?name=cn-north-4", None, b""),
            "SDK-HMAC-SHA256 Access=ak, SignedHeaders=x-sdk-date;x-security-token, Signature=398bd473aee9ad837fdb8ea68ae1e612ddd574376172f2dc93a3011785aa6667"
        );
    }
}
