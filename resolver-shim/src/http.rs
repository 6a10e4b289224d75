//! What both servers share: HTTP/1.1 with bounds on connections, heads, answers and time.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Sleep,
};

/// A response with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What a connection may take in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// A request's head; a connection stays as long without one.
    pub(crate) head: Duration,
    /// An answer, from its first octet to when the client's system has the last.
    pub(crate) write: Duration,
    /// All of it: after that the request under way is the last, and no more is waited for it than for an answer.
    pub(crate) whole: Option<Duration>,
}

/// The maximum size in bytes of a head.
const MAX_HEAD: usize = 16 << 10;

/// Makes a response of a text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A limit on concurrent connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// Allows this number of connections.
    #[must_use]
    pub(crate) fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// Takes a permit for one connection, unless the limit is reached.
    #[must_use]
    pub(crate) fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Waits for shutdown.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A closed channel means shutdown too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Makes a response the last of its connection.
pub(crate) fn last(mut response: Answer) -> Answer {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Serves one connection, until its end or, when `stop` says so, that of its request.
pub(crate) async fn converse<S, F, A>(stream: S, limits: Limits, mut stop: watch::Receiver<bool>, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD);
    let stream = Timed::new(stream, limits.write);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let whole = async {
        match limits.whole {
            Some(whole) => tokio::time::sleep(whole).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            Some(connection.await)
        }
        () = whole => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.write, connection).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        None => tracing::debug!("a connection took too long"),
    }
}

/// A stream whose writer has so long from the first octet that is written to when all of them are.
struct Timed<S> {
    stream: S,
    most: Duration,
    ends: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    fn new(stream: S, most: Duration) -> Self {
        Self {
            stream,
            most,
            ends: None,
        }
    }

    /// Returns whether the time is over; if not, the task is woken when it is.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let most = self.most;
        let ends = self.ends.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        ends.as_mut().poll(context).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_late(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Is called when all octets are written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.ends = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
