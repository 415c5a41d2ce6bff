//! Whom to trust: `sslmode` and certificates, as lib/pq has them.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What must hold of the certificate of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: encrypted, for whoever answers.
    Nothing,
    /// Somebody trusted has signed it.
    Authority,
    /// That, and it is for the host.
    AuthorityAndName,
}

/// The files that `sslrootcert`, `sslcert` and `sslkey` name.
pub(super) struct Files<'a> {
    /// None for those of the system.
    pub(super) authorities: Option<&'a Path>,
    /// The certificate of the client, and its key.
    pub(super) identity: Option<(&'a Path, &'a Path)>,
}

/// How TLS is spoken.
pub(super) fn client_config(check: Check, files: &Files<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier: Arc<dyn ServerCertVerifier> = match check {
        Check::Nothing => Arc::new(Anybody(provider)),
        _ => Arc::new(Trusted::new(authorities(files.authorities)?, check, provider)?),
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = files.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates("sslcert", certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| format!("sslkey: {}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| format!("sslcert, sslkey: {error}"))
}

fn authorities(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, String> {
    match file {
        Some(file) => certificates("sslrootcert", file),
        None => Ok(rustls_native_certs::load_native_certs().certs),
    }
}

fn certificates(parameter: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |reason: String| format!("{parameter}: {}: {reason}", file.display());
    let pem = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<_> = pem.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("no certificate in it".to_owned())) } else { Ok(certificates) }
}

/// Takes every certificate, even one that cannot be read: old servers have such. Who is not asked for a name need not
/// prove it either.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes what somebody trusted has signed.
#[derive(Debug)]
struct Trusted {
    chain: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    check: Check,
}

impl Trusted {
    fn new(
        authorities: Vec<CertificateDer<'static>>,
        check: Check,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let chain =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|_| {
                "no certificate of an authority can be read; sslrootcert names a file with some".to_owned()
            })?;
        Ok(Self { chain, authorities, check })
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext, Other};
        match self.chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // the name is looked at last
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
                if self.check == Check::Authority =>
            {
                Ok(ServerCertVerified::assertion())
            }
            // The usual certificate of a PostgreSQL server has signed itself and calls itself an authority, which
            // webpki lets no server be. That is found out after the dates were looked at.
            Err(Error::InvalidCertificate(Other(_)))
                if self.authorities.iter().any(|known| known == certificate) =>
            {
                if self.check == Check::AuthorityAndName {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
