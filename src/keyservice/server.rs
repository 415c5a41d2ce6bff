//! Wrapping and unwrapping for others (keyservice.md §3).

use std::convert::Infallible;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, UnaryService};
use tonic::{Status, transport};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

use super::listen::Listener;
use super::wire::{
    Call, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, Key as WireKey, ReadKeyError,
};
use crate::keys::{Key, KeyService, MasterKey};

/// How long to wait when the system has no room for another connection.
const BREATH: Duration = Duration::from_millis(100);

/// How often a client with an open request is asked whether it still lives.
const PULSE: Duration = Duration::from_secs(60);

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A data key is to be wrapped.
    Encrypt,
    /// It is to be unwrapped.
    Decrypt,
}

/// Who decides whether a request is answered.
pub trait Doorkeeper: Send + Sync {
    /// Whether this may be done with this key, or why that cannot be found out. May take as long as a person.
    fn admits(&self, step: Step, key: &Key) -> Result<bool, String>;
}

/// Makes the keys that one request is answered with.
type Keys = dyn Fn() -> Result<Box<dyn KeyService>, String> + Send + Sync;

/// A key service for others. Requests are served at the same time, each with the identities and credentials that the
/// machine has at that moment; nothing is kept for the next one.
pub struct Server {
    keys: Box<Keys>,
    /// Asked about one request at a time.
    doorkeeper: Option<Mutex<Arc<dyn Doorkeeper>>>,
}

impl Server {
    /// A server that answers with the keys that `keys` makes for every request.
    pub fn new(keys: impl Fn() -> Result<Box<dyn KeyService>, String> + Send + Sync + 'static) -> Self {
        Self { keys: Box::new(keys), doorkeeper: None }
    }

    /// Asks before anything is done with a key: rejecting a request leaves no trace in the log of a service.
    #[must_use]
    pub fn guarded_by(mut self, doorkeeper: Arc<dyn Doorkeeper>) -> Self {
        self.doorkeeper = Some(Mutex::new(doorkeeper));
        self
    }

    /// Serves until the process ends.
    pub fn run(self, listener: Listener) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let methods = Methods(Arc::new(self));
            let server = transport::Server::builder().http2_keepalive_interval(Some(PULSE));
            let ended = match listener {
                Listener::Tcp(listener) => {
                    listener.set_nonblocking(true)?;
                    let listener = TcpListener::from_std(listener)?;
                    server.serve_with_incoming(methods, tcp_connections(listener)).await
                }
                Listener::Unix(listener) => {
                    listener.set_nonblocking(true)?;
                    let listener = UnixListener::from_std(listener)?;
                    server.serve_with_incoming(methods, unix_connections(listener)).await
                }
            };
            ended.map_err(io::Error::other)
        })
    }

    async fn encrypt(self: Arc<Self>, mut request: EncryptRequest) -> Result<EncryptResponse, Status> {
        let share = Zeroizing::new(mem::take(&mut request.plaintext));
        let key = self.admitted(Step::Encrypt, request.key.take()).await?;
        let wrapped = aside(move || {
            let service = (self.keys)()?;
            Handle::current().block_on(service.wrap(&key, &share).settled())
        });
        Ok(EncryptResponse { ciphertext: wrapped.await?.into_bytes() })
    }

    async fn decrypt(self: Arc<Self>, request: DecryptRequest) -> Result<DecryptResponse, Status> {
        let enc = String::from_utf8(request.ciphertext)
            .map_err(|_| Status::invalid_argument("the wrapped key is no text"))?;
        let key = self.admitted(Step::Decrypt, request.key).await?;
        let key = MasterKey { enc, ..MasterKey::new(key) };
        let mut share = aside(move || {
            let service = (self.keys)()?;
            Handle::current().block_on(service.unwrap(&key).settled())
        })
        .await?;
        Ok(DecryptResponse { plaintext: mem::take(&mut *share) })
    }

    /// The key of a request that may be served.
    async fn admitted(&self, step: Step, key: Option<WireKey>) -> Result<Key, Status> {
        let key = Key::try_from(key.unwrap_or_default()).map_err(|error| match error {
            ReadKeyError::Missing => Status::not_found(error.to_string()),
            ReadKeyError::Malformed(_) => Status::unknown(error.to_string()),
        })?;
        let Some(doorkeeper) = &self.doorkeeper else { return Ok(key) };
        // a client that goes away while others are asked about is not asked about any more
        let turn = doorkeeper.lock().await;
        let doorkeeper = turn.clone();
        let (key, admitted) =
            aside(move || doorkeeper.admits(step, &key).map(|admitted| (key, admitted))).await?;
        match admitted {
            true => Ok(key),
            false => Err(Status::permission_denied("Request rejected by user")),
        }
    }
}

/// Does what may take its time where it keeps nobody waiting. What fails is told in its own words.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Status> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(Status::unknown),
        // the hook has said where
        Err(_) => Err(Status::internal("the key service has a bug")),
    }
}

/// Where there is no room for another connection one waits until there is, since a listener that fails once need not
/// fail again.
fn tcp_connections(listener: TcpListener) -> impl Stream<Item = io::Result<tokio::net::TcpStream>> {
    unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let stream = stream.set_nodelay(true).map(|()| stream);
                    return Some((stream, listener));
                }
                Err(_) => sleep(BREATH).await,
            }
        }
    })
}

fn unix_connections(listener: UnixListener) -> impl Stream<Item = io::Result<tokio::net::UnixStream>> {
    unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((Ok(stream), listener)),
                Err(_) => sleep(BREATH).await,
            }
        }
    })
}

/// The methods of the protocol.
#[derive(Clone)]
struct Methods(Arc<Server>);

impl Service<Request<Body>> for Methods {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let methods = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                EncryptRequest::PATH => {
                    Grpc::new(ProstCodec::<EncryptResponse, EncryptRequest>::default())
                        .unary(methods, request)
                        .await
                }
                DecryptRequest::PATH => {
                    Grpc::new(ProstCodec::<DecryptResponse, DecryptRequest>::default())
                        .unary(methods, request)
                        .await
                }
                path => Status::unimplemented(format!("unknown method {path}")).into_http(),
            })
        })
    }
}

impl UnaryService<EncryptRequest> for Methods {
    type Response = EncryptResponse;
    type Future = BoxFuture<tonic::Response<EncryptResponse>, Status>;

    fn call(&mut self, request: tonic::Request<EncryptRequest>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { server.encrypt(request.into_inner()).await.map(tonic::Response::new) })
    }
}

impl UnaryService<DecryptRequest> for Methods {
    type Response = DecryptResponse;
    type Future = BoxFuture<tonic::Response<DecryptResponse>, Status>;

    fn call(&mut self, request: tonic::Request<DecryptRequest>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move { server.decrypt(request.into_inner()).await.map(tonic::Response::new) })
    }
}
