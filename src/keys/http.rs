//! Requests to services that have no SDK here: their limits, their certificates, and what went wrong in words.

use std::error::Error;
use std::iter::successors;
use std::sync::OnceLock;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Url};
use zeroize::Zeroizing;

use super::remote::{Limits, hinted};

/// No answer of these services is longer than this, in bytes: Vault takes no larger ones itself.
const LONGEST: usize = 32 << 20;

/// Room for an answer whose length is not told. One that grows leaves pieces of itself behind that nobody wipes.
const USUAL: usize = 16 << 10;

/// How servers see us in their logs.
const AGENT: &str = concat!("rsops/", env!("CARGO_PKG_VERSION"));

/// What makes a client different from others: certificates, proxies, names.
type Dress = dyn Fn(ClientBuilder) -> Result<ClientBuilder, String> + Send + Sync;

/// Connections, made when they are needed and used again.
pub(crate) struct Http {
    limits: Limits,
    dress: Box<Dress>,
    trust_hint: &'static str,
    /// Loads no certificates: a machine may have none.
    plain: OnceLock<Result<Client, String>>,
    secure: OnceLock<Result<Client, String>>,
}

/// What a server has answered.
pub(crate) struct Reply {
    /// HTTP's number.
    pub(crate) status: u16,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// It may hold a data key in clear.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Why a server has not answered.
pub(crate) struct NoReply {
    /// What a user reads, with a hint.
    pub(crate) text: String,
    /// Whether it may be otherwise in a moment.
    pub(crate) passing: bool,
}

impl Http {
    /// `trust_hint`: how another authority is trusted.
    pub(crate) fn new(
        limits: Limits,
        trust_hint: &'static str,
        dress: impl Fn(ClientBuilder) -> Result<ClientBuilder, String> + Send + Sync + 'static,
    ) -> Self {
        let (plain, secure) = (OnceLock::new(), OnceLock::new());
        Self { limits, dress: Box::new(dress), trust_hint, plain, secure }
    }

    /// Asks once. Redirects are answers like others.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, NoReply> {
        let client = self.client(url).map_err(NoReply::lasting)?;
        // the builder makes a header of a name and a password in the URL
        let request = client.request(method, url.clone()).headers(headers).body(body);
        let answer = request.send().await.map_err(|error| self.no_reply(&error, url))?;
        self.read(answer, url).await
    }

    fn client(&self, url: &Url) -> Result<&Client, String> {
        let make = |builder: ClientBuilder| {
            let builder =
                builder.connect_timeout(self.limits.connect).redirect(Policy::none()).user_agent(AGENT);
            (self.dress)(builder)?.build().map_err(|error| root(&error))
        };
        let made = match url.scheme() {
            "https" => self.secure.get_or_init(|| make(Client::builder())),
            _ => self.plain.get_or_init(|| make(Client::builder().tls_certs_only([]))),
        };
        made.as_ref().map_err(Clone::clone)
    }

    async fn read(&self, mut answer: reqwest::Response, url: &Url) -> Result<Reply, NoReply> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let expected = answer.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Zeroizing::new(Vec::with_capacity(expected.unwrap_or(USUAL).min(LONGEST)));
        while let Some(piece) = answer.chunk().await.map_err(|error| self.no_reply(&error, url))? {
            if body.len() + piece.len() > LONGEST {
                return Err(NoReply::lasting(format!(
                    "the answer of {} is longer than {} MiB",
                    place(url),
                    LONGEST >> 20
                )));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Reply { status, headers, body })
    }

    fn no_reply(&self, error: &reqwest::Error, url: &Url) -> NoReply {
        let (place, reason) = (place(url), root(error));
        if reason.contains("certificate") {
            let text =
                hinted(&format!("the certificate of {place} is not accepted: {reason}"), self.trust_hint);
            return NoReply::lasting(text);
        }
        let text = if error.is_timeout() {
            format!("no connection to {place} within {:?}", self.limits.connect)
        } else if error.is_connect() {
            format!("cannot connect to {place}: {reason}")
        } else {
            format!("{place} does not answer: {reason}")
        };
        let hint =
            "check the address, the network, and the proxy settings (HTTPS_PROXY, HTTP_PROXY, NO_PROXY)";
        NoReply { text: hinted(&text, hint), passing: !error.is_builder() }
    }
}

impl NoReply {
    fn lasting(text: String) -> Self {
        Self { text, passing: false }
    }
}

/// Host and port, without what a URL may have of names and passwords.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The beginning of a text that somebody else has written: a page of a proxy can be long.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(500) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The cause behind all others, without the number of the operating system.
fn root(error: &reqwest::Error) -> String {
    let cause = successors(Some(error as &dyn Error), |&error| error.source()).last();
    let text = cause.map(ToString::to_string).unwrap_or_default();
    text.split_once(" (os error").map_or(text.clone(), |(text, _)| text.to_owned())
}
