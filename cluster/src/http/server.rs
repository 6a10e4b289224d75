//! Connections, with bounds.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{Page, Pages};

/// The most connections at a time.
pub const MAX_CONNECTIONS: usize = 64;

/// The most connections of one address at a time.
pub const MAX_OF_ADDRESS: usize = 16;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// How long is waited for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For the head of a request; a connection without one is kept for as long.
    pub head: Duration,
    /// For a whole connection; then the request under way is its last.
    pub whole: Duration,
    /// For the end of that request.
    pub last: Duration,
}

impl Default for Patience {
    /// 10 s, 5 min and 10 s.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            whole: Duration::from_mins(5),
            last: Duration::from_secs(10),
        }
    }
}

/// Where a command serves its pages.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    patience: Patience,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    ///
    /// Why it cannot be bound, with the address.
    pub async fn bind(address: SocketAddr) -> Result<Self, String> {
        let socket = TcpListener::bind(address).await;
        let socket = socket.map_err(|error| format!("--listen {address}: {}", ssa_input::files::reason(&error)))?;
        let patience = Patience::default();
        Ok(Self { socket, patience })
    }

    /// Waits for others for other times.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Returns the address that is bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves pages until it is dropped.
    pub async fn serve(self, pages: Pages) {
        let room = Room::default();
        let patience = self.patience;
        let pages = Arc::new(pages);
        // Dropped with this future: then its connections end.
        let mut conversations = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                Some(_) = conversations.join_next() => continue,
            };
            let Ok((stream, from)) = accepted else {
                // Most likely out of file descriptors: do not retry in a tight loop.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            if let Some(place) = room.take(from.ip().to_canonical()) {
                let pages = Arc::clone(&pages);
                conversations.spawn(async move {
                    converse(stream, &pages, patience).await;
                    drop(place);
                });
            }
        }
    }
}

/// Serves one connection to its end.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, pages: &Pages, patience: Patience) {
    let service = service_fn(async |request| Ok::<_, Infallible>(answer(&request, pages).await));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(MAX_HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // How a connection ended is nobody's concern.
    if timeout(patience.whole, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(patience.last, connection).await;
    }
}

async fn answer(request: &Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let mut refused = written(Page::text(405, "only GET is allowed\n"));
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let uri = request.uri();
    written(pages.page(uri.path(), uri.query().unwrap_or("")).await)
}

fn written(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(page.body.into()));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(page.kind));
    response
}

/// How many connections each address has. Clones share it.
#[derive(Clone, Debug, Default)]
struct Room(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

impl Room {
    /// Takes a place for a connection; none if there are too many.
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&address).copied().unwrap_or(0);
        if all >= MAX_CONNECTIONS || own >= MAX_OF_ADDRESS {
            return None;
        }
        taken.insert(address, own + 1);
        let room = self.clone();
        Some(Place { room, address })
    }
}

/// A connection's place, which is free again when it is dropped.
#[derive(Debug)]
struct Place {
    room: Room,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = taken.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            taken.remove(&self.address);
        } else {
            taken.insert(self.address, left);
        }
    }
}
