//! A connection that a client has made, and when it is over.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::Request;

use super::server::Methods;

/// How often a client is asked whether it still lives.
const PULSE: Duration = Duration::from_secs(60);

/// How long a client that is told to go may take. One that has not even said hello is not told.
const FAREWELL: Duration = Duration::from_secs(5);

/// Answers requests until the client hangs up, or has asked nothing for `idle`: whoever connects and says nothing, or
/// never says all of it, would keep a file open for ever.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    methods: Methods,
    idle: Duration,
) {
    let work = methods.work.clone();
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let methods = methods.clone();
        async move { Ok::<_, Infallible>(methods.answer(request.map(Body::new)).await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PULSE);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
    if let Either::Left(_) = select(connection.as_mut(), pin!(work.none_for(idle))).await {
        return;
    }
    // the client is told, and a request that is on its way is answered; after that nobody is waited for
    connection.as_mut().graceful_shutdown();
    select(connection, pin!(work.none_for(FAREWELL.min(idle)))).await;
}

/// How many requests of a connection are worked on. They take as long as a person or a server.
#[derive(Clone, Default)]
pub(super) struct Work(watch::Sender<usize>);

/// A request that is worked on.
pub(super) struct Working(watch::Sender<usize>);

impl Work {
    pub(super) fn begin(&self) -> Working {
        self.0.send_modify(|requests| *requests += 1);
        Working(self.0.clone())
    }

    /// Until there was nothing to do for so long.
    async fn none_for(&self, limit: Duration) {
        let mut changes = self.0.subscribe();
        // there is a sender as long as there is `self`
        while changes.wait_for(|requests| *requests == 0).await.is_ok() {
            if timeout(limit, changes.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}
