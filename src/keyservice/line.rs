//! The connection to a key service: how it is made, and whether anybody has spoken on it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

use super::address::{Place, dialling};
use crate::os_error::os_text;

/// Whether the other side has sent anything. What speaks HTTP/2 does so as soon as there is a connection.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

impl Heard {
    pub(super) fn anything(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes connections to one place.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) place: Place,
    /// How long it may take to be connected.
    pub(super) limit: Duration,
    pub(super) heard: Heard,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Line>;
    /// The reference's words; they become the status of the request.
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Line>, String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    /// The URI is that of the requests; it does not say where to go.
    fn call(&mut self, _: Uri) -> Self::Future {
        let dial = self.clone();
        dial.heard.0.store(false, Ordering::Relaxed);
        Box::pin(async move {
            match timeout(dial.limit, dial.place.connect()).await {
                Ok(stream) => Ok(TokioIo::new(Line { stream: stream?, heard: dial.heard })),
                Err(_) => Err(dialling(&format!("no connection within {:?}: i/o timeout", dial.limit))),
            }
        })
    }
}

impl Place {
    async fn connect(&self) -> Result<Stream, String> {
        match self {
            Self::Tcp { family, host, port } => connect_tcp(family, host, *port).await,
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::pin(stream)),
                Err(error) => Err(refused("unix", path, &error)),
            },
            Self::Nowhere(reason) => Err(reason.clone()),
        }
    }
}

/// The addresses of a name are tried in turn; the last one tells why none will do.
async fn connect_tcp(family: &str, host: &str, port: u16) -> Result<Stream, String> {
    let fits = |address: &SocketAddr| match family {
        "tcp4" => address.is_ipv4(),
        "tcp6" => address.is_ipv6(),
        _ => true,
    };
    let mut reason = "name resolver error: produced zero addresses".to_owned();
    let addresses = lookup_host((host, port)).await.into_iter().flatten();
    for address in addresses.filter(fits) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // questions are short, and nothing follows them
                let _ = stream.set_nodelay(true);
                return Ok(Box::pin(stream));
            }
            Err(error) => reason = refused(family, &address.to_string(), &error),
        }
    }
    Err(reason)
}

fn refused(network: &str, address: &str, error: &io::Error) -> String {
    dialling(&format!("dial {network} {address}: connect: {}", os_text(error)))
}

/// Bytes in both directions.
trait Duplex: AsyncRead + AsyncWrite + Send {}

impl Duplex for TcpStream {}
impl Duplex for UnixStream {}

type Stream = Pin<Box<dyn Duplex>>;

/// A connection that notes when the first bytes come.
pub(super) struct Line {
    stream: Stream,
    heard: Heard,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream.as_mut().poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }
}
