//! Health, readiness, metrics and the state of each service, over TCP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    fair_semaphore::FairSemaphore,
    http::{self, Answer, Limits},
    metrics::{Counters, Figure, exposition},
    model::ServiceStatus,
};

/// The maximum number of concurrent connections, of which an address has half of what is left at most, as with the front.
const MAX_CONNECTIONS: usize = 64;

/// What a connection may take in time.
const LIMITS: Limits = Limits {
    head: Duration::from_secs(10),
    write: Duration::from_secs(10),
    whole: Some(Duration::from_mins(5)),
};

/// How long the daemon may be silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(10);

/// What the daemon says of itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether there is something to serve.
    pub has_snapshots: bool,
    /// Whether it can be had at the socket's path.
    pub has_socket: bool,
    /// How each service stands.
    pub statuses: Vec<ServiceStatus>,
    /// Gauges.
    pub gauges: Vec<Figure>,
    /// When it last said so.
    pub at: Option<Instant>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            has_snapshots: false,
            has_socket: true,
            statuses: Vec::new(),
            gauges: Vec::new(),
            at: None,
        }
    }
}

impl Report {
    fn is_ready(&self) -> bool {
        self.has_snapshots && self.has_socket
    }
}

/// What is told to whoever asks.
#[derive(Debug, Default)]
pub struct Status {
    /// What is counted.
    pub counters: Arc<Counters>,
    report: Mutex<Report>,
}

impl Status {
    /// Changes what the daemon says of itself, and notes that it lives.
    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut report);
        report.at = Some(Instant::now());
    }

    fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves until it is to stop.
pub async fn serve(listener: TcpListener, status: Arc<Status>, mut stop: watch::Receiver<bool>) {
    let room = FairSemaphore::new(MAX_CONNECTIONS);
    let mut conversations = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = http::stopped(&mut stop) => break,
            Some(_) = conversations.join_next() => continue,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(place) = room.take(from.ip().to_canonical(), 1) else {
            status.counters.count(
                "ssa_resolver_connections_refused_total",
                &[("reason", "too_many_admin")],
            );
            continue;
        };
        let (status, stop) = (status.clone(), stop.clone());
        conversations.spawn(async move {
            let answer = |request: Request<_>| {
                let response = answer(&request, &status);
                async move { response }
            };
            http::converse(stream, LIMITS, stop, answer).await;
            drop(place);
        });
    }
    conversations.join_all().await;
}

/// Binds where health and metrics are served.
///
/// # Errors
///
/// Why it cannot be bound.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn answer<B>(request: &Request<B>, status: &Status) -> Answer {
    if request.method() != Method::GET {
        return http::text(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed\n");
    }
    let report = status.report();
    let alive = report.at.is_some_and(|at| at.elapsed() < SILENCE);
    let state = |good: bool, yes: &'static str, no: &'static str| {
        if good {
            http::text(StatusCode::OK, yes)
        } else {
            http::text(StatusCode::SERVICE_UNAVAILABLE, no)
        }
    };
    match request.uri().path() {
        "/healthz" => state(alive, "ok\n", "the daemon has stopped responding\n"),
        "/readyz" => state(
            alive && report.is_ready(),
            "ready\n",
            "no usable snapshot, or the socket is not reachable\n",
        ),
        "/metrics" => {
            let mut figures = status.counters.figures();
            figures.push(Figure {
                name: "ssa_resolver_ready",
                labels: Vec::new(),
                value: u64::from(report.is_ready()),
            });
            figures.extend(report.gauges);
            for status in report.statuses {
                let role = status.role.name();
                figures.push(Figure {
                    name: "ssa_resolver_service_state",
                    labels: vec![
                        ("service", status.service.to_string()),
                        ("role", role.to_owned()),
                        ("state", status.state.to_owned()),
                    ],
                    value: 1,
                });
            }
            let mut response = http::text(StatusCode::OK, exposition(figures));
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/status" => match serde_json::to_string(&report.statuses) {
            Ok(json) => {
                let mut response = http::text(StatusCode::OK, json);
                let kind = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => http::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        },
        _ => http::text(
            StatusCode::NOT_FOUND,
            "not found: the paths are /healthz, /readyz, /metrics and /status\n",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: &Status, path: &str) -> u16 {
        let request = Request::builder().uri(path).body(()).unwrap();
        answer(&request, status).status().as_u16()
    }

    #[test]
    fn health_and_readiness_are_what_the_daemon_says() {
        let status = Status::default();
        assert_eq!((code(&status, "/healthz"), code(&status, "/readyz")), (503, 503));
        status.update(|_| {});
        assert_eq!((code(&status, "/healthz"), code(&status, "/readyz")), (200, 503));
        status.update(|report| report.has_snapshots = true);
        assert_eq!(code(&status, "/readyz"), 200);
        status.update(|report| report.has_socket = false);
        assert_eq!(code(&status, "/readyz"), 503);
        assert_eq!(
            (code(&status, "/metrics"), code(&status, "/status"), code(&status, "/")),
            (200, 200, 404)
        );
    }
}
