//! Authentication of a service principal by a certificate. The SDK's own needs OpenSSL, so the assertion is signed here,
//! with what TLS is done with anyway.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// For how many seconds an assertion is good.
const LIFETIME: u64 = 600;

/// Whether the certificates go along with an assertion, for applications that go by the name in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainOfTrust {
    Kept,
    Sent,
}

/// A certificate with its key, for one application at one token endpoint.
pub(super) struct Certificate {
    key: Arc<dyn SigningKey>,
    /// The first is that of the key.
    certificates: Vec<CertificateDer<'static>>,
    chain: ChainOfTrust,
    client_id: String,
    audience: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a PEM file that has both. Errors name the file.
    pub(super) fn read(
        path: &Path,
        chain: ChainOfTrust,
        client_id: &str,
        audience: String,
    ) -> Result<Self, String> {
        let wrong = |reason: &str| format!("{}: {reason}", path.display());
        let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| wrong(&error.to_string()))?;
        // a DER sequence: what PKCS #12 files begin with
        if bytes.first() == Some(&0x30) {
            return Err(wrong(
                "PKCS #12 is not supported; `openssl pkcs12 -in FILE -nodes -out FILE.pem` makes it a PEM file",
            ));
        }
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(&error.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| wrong("there is no private key in it that needs no pass phrase"))?;
        let key = any_supported_type(&key).map_err(|error| wrong(&error.to_string()))?;
        if key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).is_none() {
            return Err(wrong("the private key is no RSA key"));
        }
        if !is_plain(client_id) {
            return Err(format!("AZURE_CLIENT_ID cannot be {client_id:?}"));
        }
        Ok(Self { key, certificates, chain, client_id: client_id.to_owned(), audience })
    }

    /// A JWT that says who we are, signed.
    fn assertion(&self) -> Result<String, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut identifier = [0; 16];
        getrandom::fill(&mut identifier).map_err(|error| error.to_string())?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let claims = format!(
            r#"{{"aud":"{}","exp":{},"iss":"{client}","jti":"{}","nbf":{now},"sub":"{client}"}}"#,
            self.audience,
            now + LIFETIME,
            encode(&identifier),
            client = self.client_id,
        );
        let signed = format!("{}.{}", encode(self.header().as_bytes()), encode(claims.as_bytes()));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).ok_or("no RSA key")?;
        let signature = signer.sign(signed.as_bytes()).map_err(|error| error.to_string())?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }

    fn header(&self) -> String {
        let thumbprint =
            self.certificates.first().map(|leaf| BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(leaf)));
        let chain = match self.chain {
            ChainOfTrust::Kept => String::new(),
            ChainOfTrust::Sent => {
                let quoted = |der: &CertificateDer<'_>| format!("\"{}\"", BASE64_STANDARD.encode(der));
                let quoted: Vec<String> = self.certificates.iter().map(quoted).collect();
                format!(r#","x5c":[{}]"#, quoted.join(","))
            }
        };
        format!(r#"{{"alg":"PS256","typ":"JWT","x5t#S256":"{}"{chain}}}"#, thumbprint.unwrap_or_default())
    }
}

/// Nothing that would mean something in JSON.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:/".contains(c))
}

#[async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.assertion().map_err(|reason| {
            azure_core::Error::with_message(ErrorKind::Credential, format!("cannot sign: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), bytes).expect("our own file");
        let read = Certificate::read(file.path(), ChainOfTrust::Kept, "c", String::new());
        let reason = read.expect_err("no certificate");
        reason.strip_prefix(&format!("{}: ", file.path().display())).expect("the file is named").to_owned()
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told() {
        assert!(refused(b"0\x82\x01\x00").starts_with("PKCS #12 is not supported; `openssl pkcs12 "));
        assert_eq!(refused(b""), "there is no certificate in it");
        let certificate = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(certificate), "there is no private key in it that needs no pass phrase");
    }
}
