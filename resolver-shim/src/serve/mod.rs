//! Serves snapshots over a Unix socket, each role to the peers that the configuration names.

mod access;
mod listener;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER},
};
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::Instant,
};

use ssa_snapshot::MAX_WAIT_S;

use crate::{
    config::Role,
    http::{self, Answer, ConnectionLimit, Limits},
    metrics::Counters,
    snapshot::Latest,
    users,
};

pub(crate) use self::listener::place;
pub use self::{access::Access, listener::Listener};

/// The maximum number of concurrent connections.
const MAX_CONNECTIONS: usize = 512;

/// The maximum number of concurrent connections of peers without access: they get an error, and use up no others' connections.
const MAX_UNAUTHORISED: usize = 16;

/// The timeouts of a connection: the largest snapshot within half a minute.
const LIMITS: Limits = Limits {
    head: Duration::from_secs(30),
    write: Duration::from_secs(30),
    whole: None,
};

/// The timeouts of peers without access.
const UNAUTHORISED_LIMITS: Limits = Limits {
    head: Duration::from_secs(2),
    write: Duration::from_secs(2),
    whole: Some(Duration::from_secs(5)),
};

/// How long a request without a time waits for the first snapshot.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// A command to the daemon.
#[derive(Debug)]
pub enum Command {
    /// Forget what the verifiers of a service retain although it is no longer in the DNS.
    Forget {
        /// The service.
        service: String,
        /// Receives the number of records and lists forgotten; none if there is no such service.
        reply: oneshot::Sender<Option<usize>>,
    },
}

/// What is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// For verifiers.
    pub inbound: Latest,
    /// For clients.
    pub outbound: Latest,
    /// Who may fetch what.
    pub access: watch::Receiver<Access>,
    /// The daemon's own user: it and root may send commands.
    pub own: u32,
    /// Where commands are sent.
    pub commands: mpsc::Sender<Command>,
    /// The counters.
    pub counters: Arc<Counters>,
    /// Whether to shut down.
    pub stop: watch::Receiver<bool>,
}

/// Serves until shutdown, and then until every request is answered. A successor replaces the socket, and existing connections
/// stay open.
pub async fn serve(mut bound: Listener, mut successors: mpsc::UnboundedReceiver<Listener>, served: Served) {
    let (authorised, unauthorised) = (
        ConnectionLimit::new(MAX_CONNECTIONS),
        ConnectionLimit::new(MAX_UNAUTHORISED),
    );
    let mut stop = served.stop.clone();
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = bound.socket.accept() => accepted,
            () = http::stopped(&mut stop) => break,
            Some(_) = conversations.join_next() => continue,
            Some(successor) = successors.recv() => {
                bound = successor;
                continue;
            }
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(peer) = stream.peer_cred() else { continue };
                let known = served.access.borrow().knows(peer.uid(), peer.gid());
                let (limit, limits, reason) = if known {
                    (&authorised, LIMITS, "too_many")
                } else {
                    (&unauthorised, UNAUTHORISED_LIMITS, "too_many_forbidden")
                };
                let Some(permit) = limit.take() else {
                    served
                        .counters
                        .count("ssa_resolver_connections_refused_total", &[("reason", reason)]);
                    continue;
                };
                conversations.spawn(converse(stream, (permit, limits), served.clone()));
            }
            Err(error) => {
                // Most likely out of file descriptors: do not retry in a tight loop.
                tracing::warn!(error = ssa_input::files::reason(&error), "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(bound);
    conversations.join_all().await;
}

async fn converse(stream: UnixStream, (permit, limits): (OwnedSemaphorePermit, Limits), served: Served) {
    let Ok(peer) = stream.peer_cred() else { return };
    let stop = served.stop.clone();
    http::converse(stream, limits, stop, |request| {
        answer(request, peer.uid(), peer.gid(), served.clone())
    })
    .await;
    drop(permit);
}

/// The path of the command to forget, followed by the name of the service.
const FORGET: &str = "/v1/forget/";

/// Handles the command to forget, from the daemon's own user and root alone.
async fn forget(service: &str, method: &Method, uid: u32, served: &Served) -> Answer {
    if method != Method::POST {
        return http::last(http::text(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed\n"));
    }
    let is_own = uid == served.own && Some(uid) != users::overflow_user();
    if uid != 0 && !is_own {
        tracing::warn!(
            uid,
            "rejected a request to forget: only root and the daemon's own user may make one"
        );
        return http::last(http::text(
            StatusCode::FORBIDDEN,
            "only root and the daemon's own user may do this\n",
        ));
    }
    let (reply, answered) = oneshot::channel();
    let command = Command::Forget {
        service: service.to_owned(),
        reply,
    };
    if served.commands.send(command).await.is_err() {
        return http::last(http::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is shutting down\n",
        ));
    }
    match answered.await {
        Ok(Some(count)) => http::last(http::text(StatusCode::OK, format!("{count}\n"))),
        Ok(None) => http::last(http::text(StatusCode::NOT_FOUND, "there is no such service\n")),
        Err(_) => http::last(http::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon is shutting down\n",
        )),
    }
}

async fn answer<B>(request: Request<B>, uid: u32, gid: u32, served: Served) -> Answer {
    if let Some(service) = request.uri().path().strip_prefix(FORGET) {
        return forget(service, request.method(), uid, &served).await;
    }
    let (role, mut latest) = match request.uri().path() {
        "/v1/inbound" => (Role::Inbound, served.inbound),
        "/v1/outbound" => (Role::Outbound, served.outbound),
        _ => {
            return http::last(http::text(
                StatusCode::NOT_FOUND,
                "not found: the paths are /v1/inbound and /v1/outbound\n",
            ));
        }
    };
    let count = |code| {
        let role = role.name();
        served
            .counters
            .count("ssa_resolver_requests_total", &[("role", role), ("code", code)]);
    };
    if request.method() != Method::GET {
        count("405");
        return http::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n");
    }
    if !served.access.borrow().allows(uid, gid, role) {
        count("403");
        tracing::warn!(
            uid,
            gid,
            role = role.name(),
            "rejected a request that socket.peers does not allow"
        );
        return http::last(http::text(StatusCode::FORBIDDEN, "socket.peers does not allow this\n"));
    }
    let known = request.headers().get(IF_NONE_MATCH).cloned();
    let wait = wait_of(request.headers());
    let is_known = |tag: &str| known.as_ref().is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut stop = served.stop.clone();
    let deadline = Instant::now() + wait;
    let first = Instant::now() + wait.max(FIRST_WAIT);
    loop {
        let snapshot = latest.borrow_and_update().clone();
        let tag = snapshot.as_ref().map(|snapshot| snapshot.tag());
        let until = match (&snapshot, &tag) {
            (Some(snapshot), Some(tag)) if !is_known(tag) => {
                count("200");
                return whole(snapshot.json(), tag);
            }
            (Some(_), _) => deadline,
            (None, _) => first,
        };
        let late = tokio::select! {
            changed = latest.changed() => changed.is_err(),
            () = http::stopped(&mut stop) => true,
            () = tokio::time::sleep_until(until) => true,
        };
        if !late {
            // A reload may have revoked access meanwhile.
            if !served.access.borrow().allows(uid, gid, role) {
                count("403");
                return http::last(http::text(StatusCode::FORBIDDEN, "socket.peers does not allow this\n"));
            }
            continue;
        }
        return if let Some(tag) = tag {
            count("304");
            tagged(http::text(StatusCode::NOT_MODIFIED, ""), &tag)
        } else {
            count("503");
            let mut response = http::text(StatusCode::SERVICE_UNAVAILABLE, "there is no snapshot yet\n");
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        };
    }
}

fn whole(json: String, tag: &str) -> Answer {
    let mut response = http::text(StatusCode::OK, json);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // It holds secrets.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tagged(response, tag)
}

fn tagged(mut response: Answer, tag: &str) -> Answer {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Reads `prefer: wait=SECONDS` (RFC 7240 §4.3).
fn wait_of(headers: &HeaderMap) -> Duration {
    let prefer = HeaderName::from_static("prefer");
    let values = headers.get_all(prefer).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(',')).map(str::trim);
    let seconds = preferences.find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().parse::<u64>().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
    });
    Duration::from_secs(seconds.unwrap_or(0).min(MAX_WAIT_S.into()))
}
