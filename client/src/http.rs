//! Requests over HTTP, by hyper's clients and those built on them: to the endpoint that has what they ask for.
//!
//! hyper-util's client keeps its connections by the authority of the URI. So [`Routed`] puts the composed address there, and
//! [`Connector`] connects to it from the source that it was composed for; the header `host` stays.
//!
//! ```
//! use http_body_util::Empty;
//! use hyper::body::Bytes;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use ssa_client::{Options, Service, http::{Connector, Routed}};
//!
//! let service = Service::fixed(
//!     "store.example",
//!     Some("2:2001:db8:5::/64"),
//!     &["v=ssa1; addr=hash(obj):10 const(0):54; obj=path:/cas/{obj}"],
//!     Options::default().with_source("2001:db8:77::7".parse()?),
//! )?;
//! let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(Connector::new(service.clone()));
//! let routed = Routed::new(service, client); // a tower Service of requests
//!
//! let request = hyper::Request::get("http://store.example/cas/x").body(Empty::<Bytes>::new())?;
//! let plan = routed.plan(&request)?;
//! assert_eq!(plan.first().address.to_string(), "[2001:db8:5:0:8240::]:80");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! tonic takes the connector alone, `Endpoint::connect_with_connector(Connector::new(service).with_object(key))`: all calls of
//! one channel go to the endpoint of that object. reqwest chooses addresses by name (`dns_resolver`), so it cannot choose by
//! object; use hyper-util's client, or the sidecar.

use std::{
    future::{Future, poll_fn},
    net::{Ipv6Addr, SocketAddrV6},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use hyper_util::rt::TokioIo;
use ssa_rules::HttpRequest;
use tokio::net::TcpStream;

use crate::{
    connect::ConnectError,
    error::PlanError,
    plan::{Plan, Target, Want},
    service::Service,
};

/// The future of a connector or of a request.
type Pending<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Connects hyper's clients to a service: by its name as [`Service::connect`] does, and to an address of it, as [`Routed`] puts
/// it into the URI, from the source that it was composed for.
#[derive(Clone, Debug)]
pub struct Connector {
    service: Service,
    object: Option<Arc<[u8]>>,
    chunk: Option<u64>,
}

/// Why a connector gives no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The connection fails.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The host is another one.
    #[error("host `{host}`: allowed are {service} and the addresses of its items")]
    OtherHost {
        /// The host of the URI.
        host: String,
        /// The service.
        service: Arc<str>,
    },
}

impl Connector {
    /// Connects to a service.
    #[must_use]
    pub const fn new(service: Service) -> Self {
        Self {
            service,
            object: None,
            chunk: None,
        }
    }

    /// Connections by the service's name lead to this object.
    #[must_use]
    pub fn with_object(mut self, object: impl Into<Arc<[u8]>>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Connections by the service's name lead to this chunk.
    #[must_use]
    pub const fn with_chunk(mut self, chunk: u64) -> Self {
        self.chunk = Some(chunk);
        self
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectorError> {
        let host = uri.host().unwrap_or_default();
        let port = port_of(&uri);
        let other = || ConnectorError::OtherHost {
            host: host.to_owned(),
            service: self.service.shared_name(),
        };
        let connected = if let Ok(address) = host.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
            let target = Target {
                address: SocketAddrV6::new(address, port, 0, 0),
                source: self.service.source_for(address).ok_or_else(other)?,
                replica: 0,
            };
            self.service.connect_to([target]).await?
        } else if is_name(host, self.service.name()) {
            let want = Want {
                object: self.object.as_deref(),
                chunk: self.chunk,
                ..Want::port(port)
            };
            self.service.connect(&want).await?
        } else {
            return Err(other());
        };
        Ok(TokioIo::new(connected.stream))
    }
}

fn is_name(host: &str, service: &str) -> bool {
    let plain = |name: &'_ str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    plain(host) == plain(service)
}

fn port_of(uri: &Uri) -> u16 {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectorError;
    type Future = Pending<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// Sends each request to the endpoint that has what it asks for.
///
/// Requests that only read (RFC 9110 §9.2.1) go to the next target where one fails or answers 421 (Misdirected Request);
/// others go to the first target alone. The inner service has to connect by [`Connector`], and its bodies are cloned for each
/// attempt.
#[derive(Clone, Debug)]
pub struct Routed<S> {
    service: Service,
    inner: S,
}

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum RoutedError<E> {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The URI is not absolute.
    #[error("uri: `{0}` has no host; allowed is scheme://host/path")]
    NoHost(Uri),
    /// The inner service fails at the last target.
    #[error("{target}: {error}", target = .target.address)]
    Inner {
        /// The target.
        target: Target,
        /// What it says.
        #[source]
        error: E,
    },
}

impl<S> Routed<S> {
    /// Sends requests by an inner service.
    pub const fn new(service: Service, inner: S) -> Self {
        Self { service, inner }
    }

    /// Plans a request, by the tags `obj` and `chunk` of the record.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn plan<B>(&self, request: &Request<B>) -> Result<Plan, PlanError> {
        let target = request.uri().path_and_query().map(|target| target.as_str().as_bytes());
        let fields = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        let found = HttpRequest::new(target, &fields);
        self.service
            .plan(&Want::port(port_of(request.uri())).request(&found), &mut crate::random)
    }
}

/// Returns the request as it is sent to a target: its address as the authority, the host in the header.
fn addressed<B: Clone>(request: &Request<B>, target: &Target) -> Option<Request<B>> {
    let host = request.uri().authority()?.as_str();
    // Credentials in a URI are not part of the host.
    let host = HeaderValue::from_str(host.rsplit('@').next()?).ok()?;
    let mut parts = request.uri().clone().into_parts();
    parts.authority = Some(target.address.to_string().parse::<Authority>().ok()?);
    let mut addressed = request.clone();
    *addressed.uri_mut() = Uri::from_parts(parts).ok()?;
    addressed.headers_mut().entry(HOST).or_insert(host);
    Some(addressed)
}

impl<S, B, R> tower_service::Service<Request<B>> for Routed<S>
where
    S: tower_service::Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Clone + Send + Sync + 'static,
    R: Send,
{
    type Response = Response<R>;
    type Error = RoutedError<S::Error>;
    type Future = Pending<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The inner service is waited for at each attempt.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let plan = self.plan(&request);
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let plan = plan?;
            let targets = if request.method().is_safe() {
                plan.targets()
            } else {
                &plan.targets()[..1]
            };
            let mut left = targets.iter().peekable();
            loop {
                let target = left.next().copied().unwrap_or_else(|| plan.first());
                let addressed = addressed(&request, &target);
                let addressed = addressed.ok_or_else(|| RoutedError::NoHost(request.uri().clone()))?;
                let answered = match poll_fn(|context| inner.poll_ready(context)).await {
                    Ok(()) => inner.call(addressed).await,
                    Err(error) => Err(error),
                };
                let is_last = left.peek().is_none();
                match answered {
                    Ok(response) if is_last || response.status() != StatusCode::MISDIRECTED_REQUEST => {
                        return Ok(response);
                    }
                    Err(error) if is_last => return Err(RoutedError::Inner { target, error }),
                    Ok(_) | Err(_) => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn service() -> Service {
        Service::fixed(
            "store.example",
            Some("2:2001:db8:5::/64"),
            &["v=ssa1; addr=hash(obj):10 const(0):54; obj=path:/cas/{obj},header:x-key"],
            Options::default().with_source("2001:db8:77::7".parse().unwrap()),
        )
        .unwrap()
    }

    #[test]
    fn the_address_is_the_authority_and_the_host_stays() {
        let request = Request::get("https://user@store.example:8443/cas/x?y=1")
            .body(())
            .unwrap();
        let routed = Routed::new(service(), ());
        let target = routed.plan(&request).unwrap().first();
        let addressed = addressed(&request, &target).unwrap();
        assert_eq!(
            addressed.uri().to_string(),
            format!("https://{}/cas/x?y=1", target.address)
        );
        assert_eq!(target.address.port(), 8443);
        assert_eq!(addressed.headers()[HOST], "store.example:8443");
    }

    #[test]
    fn keys_are_found_in_header_fields_too() {
        let routed = Routed::new(service(), ());
        let by_path = routed
            .plan(&Request::get("http://store.example/cas/x").body(()).unwrap())
            .unwrap();
        let by_field = Request::get("http://store.example/")
            .header("x-key", "x")
            .body(())
            .unwrap();
        assert_eq!(routed.plan(&by_field).unwrap().first(), by_path.first());
        let without = Request::get("http://store.example/").body(()).unwrap();
        assert_eq!(
            routed.plan(&without).unwrap_err().to_string(),
            "store.example: the record needs inputs that are not given: object key"
        );
    }

    #[tokio::test]
    async fn other_hosts_are_refused() {
        let connector = Connector::new(service());
        for uri in ["http://other.example/", "http://[2001:db8:6::1]/", "http://192.0.2.1/"] {
            let error = connector
                .clone()
                .connect(uri.parse().unwrap())
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with("allowed are store.example and the addresses of its items"),
                "{error}"
            );
        }
    }
}
