//! Wrapping and unwrapping for others (keyservice.md §3).

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex;
use tokio::task::{spawn, spawn_blocking};
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::http::{Request, Response};
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

use super::connection::{Work, serve};
use super::listen::Listener;
use super::wire::{
    Call, DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, Key as WireKey, ReadKeyError,
};
use crate::keys::{Key, KeyService, MasterKey};

/// How long to wait when the system has no room for another connection.
const BREATH: Duration = Duration::from_millis(100);

/// How long a connection may be open without a request. Clients connect again by themselves.
const IDLE: Duration = Duration::from_secs(120);

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
    doorkeeper: Option<Arc<Mutex<Arc<dyn Doorkeeper>>>>,
    idle: Duration,
}

impl Server {
    /// A server that answers with the keys that `keys` makes for every request.
    pub fn new(keys: impl Fn() -> Result<Box<dyn KeyService>, String> + Send + Sync + 'static) -> Self {
        Self { keys: Box::new(keys), doorkeeper: None, idle: IDLE }
    }

    /// Another limit than two minutes for how long a connection may be open without a request.
    #[must_use]
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// Asks before anything is done with a key: rejecting a request leaves no trace in the log of a service.
    #[must_use]
    pub fn guarded_by(mut self, doorkeeper: Arc<dyn Doorkeeper>) -> Self {
        self.doorkeeper = Some(Arc::new(Mutex::new(doorkeeper)));
        self
    }

    /// Serves until the process ends.
    pub fn run(self, listener: Listener) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Arc::new(self).accept(listener))
    }

    /// Where there is no room for another connection one waits until there is, since a listener that fails once need
    /// not fail again.
    async fn accept(self: Arc<Self>, listener: Listener) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => {
                            // answers are short, and nothing follows them
                            let _ = stream.set_nodelay(true);
                            self.attend(stream);
                        }
                        Err(_) => sleep(BREATH).await,
                    }
                }
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => self.attend(stream),
                        Err(_) => sleep(BREATH).await,
                    }
                }
            }
        }
    }

    /// Answers what is asked on a connection.
    fn attend(self: &Arc<Self>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let methods = Methods { server: self.clone(), work: Work::default() };
        spawn(serve(stream, methods, self.idle));
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
        // a client that goes away while others are asked about is not asked about any more; one that has been asked
        // about keeps its turn until there is an answer
        let turn = doorkeeper.clone().lock_owned().await;
        let (key, admitted) = aside(move || turn.admits(step, &key).map(|admitted| (key, admitted))).await?;
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

/// The methods of the protocol, for the client of one connection.
#[derive(Clone)]
pub(super) struct Methods {
    server: Arc<Server>,
    /// A request counts from when it is there as a whole.
    pub(super) work: Work,
}

impl Methods {
    pub(super) async fn answer(self, request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            EncryptRequest::PATH => {
                Grpc::new(ProstCodec::<EncryptResponse, EncryptRequest>::default()).unary(self, request).await
            }
            DecryptRequest::PATH => {
                Grpc::new(ProstCodec::<DecryptResponse, DecryptRequest>::default()).unary(self, request).await
            }
            path => Status::unimplemented(format!("unknown method {path}")).into_http(),
        }
    }
}

impl UnaryService<EncryptRequest> for Methods {
    type Response = EncryptResponse;
    type Future = BoxFuture<tonic::Response<EncryptResponse>, Status>;

    fn call(&mut self, request: tonic::Request<EncryptRequest>) -> Self::Future {
        let (server, working) = (self.server.clone(), self.work.begin());
        Box::pin(async move {
            let _working = working;
            server.encrypt(request.into_inner()).await.map(tonic::Response::new)
        })
    }
}

impl UnaryService<DecryptRequest> for Methods {
    type Response = DecryptResponse;
    type Future = BoxFuture<tonic::Response<DecryptResponse>, Status>;

    fn call(&mut self, request: tonic::Request<DecryptRequest>) -> Self::Future {
        let (server, working) = (self.server.clone(), self.work.begin());
        Box::pin(async move {
            let _working = working;
            server.decrypt(request.into_inner()).await.map(tonic::Response::new)
        })
    }
}
