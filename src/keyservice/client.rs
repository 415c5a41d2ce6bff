//! Asking a key service (keyservice.md §2).

use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

use super::address::{Address, Place};
use super::line::{Dial, Heard};
use super::wire::{Call, DecryptRequest, EncryptRequest};
use crate::keys::{self, Answer, KeyService, Limits, MasterKey, Share, hinted};

/// How often a server that works on a request is asked whether it still lives. The library of the reference hangs up
/// on those who ask more often than every five minutes.
const PULSE: Duration = Duration::from_secs(310);

/// How long it may take to say so.
const PULSE_LIMIT: Duration = Duration::from_secs(20);

/// A key service that is reached over a connection, which is made when it is first asked.
///
/// It may take its time over an answer, since it may have to ask a person. But something that accepts connections and
/// says nothing at all is no key service, and costs no more than [`Limits::total`], whatever is asked of it.
pub struct Client {
    address: Address,
    limits: Limits,
    connection: OnceLock<Connection>,
    /// Why nothing more is asked.
    given_up: OnceLock<String>,
}

#[derive(Clone)]
struct Connection {
    channel: Channel,
    heard: Heard,
}

impl Client {
    /// Nothing is connected yet.
    pub fn new(address: Address, limits: Limits) -> Self {
        Self { address, limits, connection: OnceLock::new(), given_up: OnceLock::new() }
    }

    async fn encrypt(&self, key: &keys::Key, share: &[u8]) -> Result<String, String> {
        let request = EncryptRequest { key: Some(key.into()), plaintext: share.to_vec() };
        let answer = self.ask(request).await?;
        String::from_utf8(answer.ciphertext)
            .map_err(|_| format!("the key service at {} sent a wrapped key that is no text", self.address))
    }

    async fn decrypt(&self, key: &MasterKey) -> Result<Share, String> {
        let request =
            DecryptRequest { key: Some((&key.key).into()), ciphertext: key.enc.clone().into_bytes() };
        let mut answer = self.ask(request).await?;
        Ok(Zeroizing::new(std::mem::take(&mut answer.plaintext)))
    }

    async fn ask<C: Call>(&self, request: C) -> Result<C::Answer, String> {
        if let Place::Nowhere(reason) = &self.address.place {
            let hint = "a key service is named tcp://HOST:PORT or unix:///PATH, with --keyservice or SOPS_KEYSERVICE";
            return Err(hinted(&in_words(&Status::unavailable(reason)), hint));
        }
        if let Some(reason) = self.given_up.get() {
            return Err(reason.clone());
        }
        // it wants a runtime, which there is by now
        let connection = self.connection.get_or_init(|| self.connect());
        let started = Instant::now();
        let answer = connection.within(self.limits.total, connection.ask(request)).await;
        if let Err(reason) = &answer
            && !connection.heard.anything()
            && started.elapsed() >= self.limits.connect
        {
            // the keys that are tried next shall not wait as long
            let _ = self.given_up.set(reason.clone());
        }
        answer
    }

    fn connect(&self) -> Connection {
        let heard = Heard::default();
        let dial =
            Dial { place: self.address.place.clone(), limit: self.limits.connect, heard: heard.clone() };
        let channel = Endpoint::from_static("http://localhost")
            .http2_keep_alive_interval(PULSE)
            .keep_alive_timeout(PULSE_LIMIT)
            .connect_with_connector_lazy(dial);
        Connection { channel, heard }
    }
}

impl Connection {
    async fn ask<C: Call>(&self, request: C) -> Result<C::Answer, String> {
        let is_used = self.heard.anything();
        let answer = match self.try_to_ask(request.clone()).await {
            // an idle connection may have ended unnoticed, when the server was started again
            Err(status) if is_used && is_lost(&status) => self.try_to_ask(request).await,
            answer => answer,
        };
        answer.map_err(|status| explained(&status))
    }

    async fn try_to_ask<C: Call>(&self, request: C) -> Result<C::Answer, Status> {
        let mut service = Grpc::new(self.channel.clone());
        // a connection that cannot be made is told by the request
        service.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<C, C::Answer>::default();
        let answer = service.unary(Request::new(request), PathAndQuery::from_static(C::PATH), codec).await?;
        Ok(answer.into_inner())
    }

    /// The answer, or that for so long nobody has said a word.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let answer = pin!(answer);
        match select(answer, pin!(tokio::time::sleep(limit))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), answer)) if self.heard.anything() => answer.await,
            Either::Right(_) => {
                Err(explained(&Status::unavailable(format!("nothing was heard within {limit:?}"))))
            }
        }
    }
}

impl KeyService for Client {
    fn wrap<'a>(&'a self, key: &'a keys::Key, share: &'a [u8]) -> Answer<'a, Result<String, String>> {
        Answer::later(self.encrypt(key, share))
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey) -> Answer<'a, Result<Share, String>> {
        Answer::later(self.decrypt(key))
    }
}

/// What the server, or the library, says of a request that failed, and what to do.
fn explained(status: &Status) -> String {
    let reason = in_words(status);
    match status.code() {
        _ if is_lost(status) => hinted(&reason, "the server closed the connection; is it a key service?"),
        Code::Unavailable => hinted(&reason, "is a key service running there? `rsops keyservice` starts one"),
        Code::Unimplemented => hinted(&reason, "what listens there is no key service"),
        _ => reason,
    }
}

fn in_words(status: &Status) -> String {
    let (code, message) = match last_cause(status) {
        // the library says no more than that there was an error
        Some(cause) if is_lost(status) => (Code::Unavailable, format!("connection error: desc = {cause:?}")),
        _ => (status.code(), status.message().to_owned()),
    };
    format!("rpc error: code = {} desc = {message}", name(code))
}

/// The connection ended before there was an answer. What servers say themselves has no cause.
fn is_lost(status: &Status) -> bool {
    matches!(status.code(), Code::Unknown | Code::Cancelled) && status.source().is_some()
}

fn last_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// The name of a code in the reference.
fn name(code: Code) -> String {
    match code {
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    }
}
