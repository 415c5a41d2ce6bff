//! Servers of key services on a free port of this machine, in the test's own process: real cryptography behind the
//! HTTP of the vendor. Declared only by the tests that need them:
//!
//! ```ignore
//! #[path = "../support/server/mod.rs"]
//! mod server;
//! ```
// every test binary uses its own part of this
#![allow(dead_code)]

#[cfg(feature = "huawei")]
pub(crate) mod huawei;
pub(crate) mod vault;

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread;

use futures_util::future::select;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// As sent: escapes are kept.
    pub(crate) path: String,
    /// Without the question mark; empty for none.
    pub(crate) query: String,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What is answered.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[must_use]
    pub(crate) fn with(mut self, header: &str, value: &str) -> Self {
        self.headers.push((header.to_owned(), value.to_owned()));
        self
    }
}

type Handler = dyn Fn(&Request) -> Response + Send + Sync;

/// A server that lives as long as this value.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    authority: Option<Authority>,
    seen: Arc<Mutex<Vec<Request>>>,
    _stop: oneshot::Sender<()>,
}

/// The certificate authority of a server, made for it alone.
struct Authority {
    folder: tempfile::TempDir,
    config: Arc<ServerConfig>,
}

/// Who may connect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clients {
    Anybody,
    /// Those with a certificate of the same authority.
    Certified,
}

impl Authority {
    fn new(names: &[&str], clients: Clients) -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().expect("a key");
        let root = parameters.self_signed(&key).expect("a certificate");
        let issuer = rcgen::Issuer::new(parameters, key);
        let sign = |names: &[&str], key: &rcgen::KeyPair| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let parameters = rcgen::CertificateParams::new(names).expect("names");
            parameters.signed_by(key, &issuer).expect("a certificate")
        };
        let own_key = rcgen::KeyPair::generate().expect("a key");
        let chain = vec![sign(names, &own_key).der().clone()];
        let private = PrivateKeyDer::try_from(own_key.serialize_der()).expect("a key");
        let builder = match clients {
            Clients::Anybody => ServerConfig::builder().with_no_client_auth(),
            Clients::Certified => {
                let mut roots = RootCertStore::empty();
                roots.add(root.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a root");
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, private);
        let folder = tempfile::tempdir().expect("a temporary directory");
        put(folder.path(), "ca.pem", &root.pem());
        if clients == Clients::Certified {
            let client_key = rcgen::KeyPair::generate().expect("a key");
            put(folder.path(), "client.pem", &sign(&["client"], &client_key).pem());
            put(folder.path(), "client-key.pem", &client_key.serialize_pem());
        }
        Self { folder, config: Arc::new(config.expect("a certificate with its key")) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Server {
    /// Without encryption.
    pub(crate) fn http(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::start(None, Some(Arc::new(handler)))
    }

    /// With a certificate for `localhost`, whose authority is in [`Self::authority`].
    pub(crate) fn https(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::https_as(&["localhost", "127.0.0.1"], handler)
    }

    /// With a certificate for other names.
    pub(crate) fn https_as(
        names: &[&str],
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(Authority::new(names, Clients::Anybody)), Some(Arc::new(handler)))
    }

    /// For clients with a certificate, which is in [`Self::client_certificate`].
    pub(crate) fn https_for_known(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::start(Some(Authority::new(&["localhost"], Clients::Certified)), Some(Arc::new(handler)))
    }

    /// The files of a certificate that the server accepts, and of its key.
    pub(crate) fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let ca = self.authority();
        (ca.with_file_name("client.pem"), ca.with_file_name("client-key.pem"))
    }

    /// Accepts connections and never says a word.
    pub(crate) fn silent() -> Self {
        Self::start(None, None)
    }

    /// `http://127.0.0.1:<port>` or `https://localhost:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.host())
    }

    /// The host and the port.
    pub(crate) fn host(&self) -> String {
        let name = if self.authority.is_some() { "localhost" } else { "127.0.0.1" };
        format!("{name}:{}", self.address.port())
    }

    /// The PEM file of the authority that has signed its certificate: `SSL_CERT_FILE` wants it.
    pub(crate) fn authority(&self) -> PathBuf {
        self.authority.as_ref().map(Authority::file).expect("a server with a certificate")
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no handler panicked").clone()
    }

    fn start(authority: Option<Authority>, handler: Option<Arc<Handler>>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let acceptor = authority.as_ref().map(|authority| TlsAcceptor::from(authority.config.clone()));
        let witness = seen.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address")).expect("a test that waits");
                // the server, until the test is over
                select(pin!(serve(listener, acceptor, handler, witness)), stopped).await;
            });
        });
        let address = told.recv().expect("a server");
        let scheme = if authority.is_some() { "https" } else { "http" };
        Self { address, scheme, authority, seen, _stop: stop }
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    handler: Option<Arc<Handler>>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut ignored = Vec::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let Some(handler) = handler.clone() else {
            ignored.push(stream);
            continue;
        };
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        tokio::spawn(async move {
            match acceptor {
                None => answer(stream, handler, seen).await,
                // a client that does not trust us goes away here
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, handler, seen).await;
                    }
                }
            }
        });
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (handler, seen) = (handler.clone(), seen.clone());
        async move {
            let request = read(request).await;
            seen.lock().expect("no handler panicked").push(request.clone());
            let response = handler(&request);
            let mut answer = hyper::Response::builder().status(response.status);
            for (name, value) in &response.headers {
                answer = answer.header(name, value);
            }
            Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(response.body))).expect("a response"))
        }
    });
    // a client may hang up whenever it wants
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn read(request: hyper::Request<Incoming>) -> Request {
    let (head, body) = request.into_parts();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
    }
}

/// A file for a server or client to find.
pub(crate) fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("our own folder");
    path
}
