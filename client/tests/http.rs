//! hyper's and tonic's clients reach the endpoint that has what they ask for. Servers are hyper's, at every address of the
//! service (`AnyIP`).
#![cfg(all(target_os = "linux", feature = "http"))]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use ssa_client::{
    Options, Order, Service, Want,
    http::{Connector, Routed},
};
use ssa_testing::namespace::{CLIENT, client_host, inside, run};
use tokio::net::TcpListener;
use tower_service::Service as _;

const RECORD: &str = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2; obj=path:/cas/{obj}";

fn service() -> Service {
    Service::fixed(
        "store.example",
        Some("2:2001:db8:5::/64"),
        &[RECORD],
        Options::default(),
    )
    .expect("a service")
}

/// What servers saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Ipv6Addr, String)>>>);

impl Seen {
    fn take(&self) -> Vec<(Ipv6Addr, String)> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

/// Returns whether an address is in the half whose server is told to misdirect.
fn is_upper(address: Ipv6Addr) -> bool {
    u128::from(address) >> 63 & 1 == 1
}

/// Serves HTTP/1.1 and HTTP/2 at every address, and answers 421 in the upper half if it is told to.
async fn serve(port: u16, misdirects: bool) -> Seen {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.expect("a port");
    let seen = Seen::default();
    let saw = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let IpAddr::V6(local) = stream.local_addr().expect("an address").ip() else {
                continue;
            };
            assert_eq!(peer.ip(), IpAddr::V6(CLIENT));
            let saw = saw.clone();
            let answer = move |request: Request<Incoming>| {
                let host = request
                    .headers()
                    .get("host")
                    .map(|host| host.to_str().expect("a host").to_owned());
                let told = format!(
                    "{} {} {}",
                    request.method(),
                    request.uri().path(),
                    host.unwrap_or_default()
                );
                saw.0.lock().expect("not poisoned").push((local, told));
                let status = if misdirects && is_upper(local) { 421 } else { 200 };
                let mut response = Response::new(Full::new(Bytes::from(local.to_string())));
                *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                async { Ok::<_, Infallible>(response) }
            };
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    });
    seen
}

fn within(test: &str, body: impl AsyncFnOnce()) {
    inside(test, || {
        client_host();
        run(&format!("ip -6 route add local 2001:db8:5::/64 dev lo src {CLIENT}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(body());
    });
}

type Hyper = Client<Connector, Full<Bytes>>;

fn routed() -> Routed<Hyper> {
    Routed::new(
        service(),
        Client::builder(TokioExecutor::new()).build(Connector::new(service())),
    )
}

fn request(method: &str, object: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://store.example:8080/cas/{object}");
    Request::builder()
        .method(method)
        .uri(uri)
        .body(Full::new(Bytes::from_static(b"body")))
        .expect("a request")
}

#[test]
fn each_request_goes_where_its_object_is_and_connections_are_kept() {
    within(
        "each_request_goes_where_its_object_is_and_connections_are_kept",
        async || {
            let seen = serve(8080, false).await;
            let mut routed = routed();
            let mut met = BTreeSet::new();
            for number in 0..30 {
                let object = format!("o{number}");
                let plan = service()
                    .plan(
                        &Want::port(8080).object(object.as_bytes()).order(Order::Fixed),
                        &mut ssa_client::random,
                    )
                    .expect("a plan");
                let planned: BTreeSet<Ipv6Addr> = plan.targets().iter().map(|target| *target.address.ip()).collect();
                let response = routed.call(request("GET", &object)).await.expect("an answer");
                assert_eq!(response.status(), 200);
                let body = response.into_body().collect().await.expect("a body").to_bytes();
                let at: Ipv6Addr = String::from_utf8_lossy(&body).parse().expect("an address");
                assert!(planned.contains(&at), "{object}: {at} is none of {planned:?}");
                assert_eq!(seen.take(), [(at, format!("GET /cas/{object} store.example:8080"))]);
                met.insert(at);
            }
            assert!(met.len() > 20, "{met:?}");
        },
    );
}

#[test]
fn reads_go_on_after_misdirected_and_refused_and_writes_do_not() {
    within(
        "reads_go_on_after_misdirected_and_refused_and_writes_do_not",
        async || {
            let seen = serve(8080, true).await;
            let mut routed = routed();
            let mut misdirected = 0;
            for number in 0..30 {
                let object = format!("o{number}");
                let response = routed.call(request("GET", &object)).await.expect("an answer");
                assert_eq!(response.status(), 200, "{object}");
                let tried = seen.take();
                assert!(!is_upper(tried.last().expect("a request").0) && tried.len() <= 2);
                misdirected += tried.len() - 1;
                // A write has one target: what it is told is the caller's to judge.
                let response = routed.call(request("PUT", &object)).await.expect("an answer");
                let tried = seen.take();
                assert_eq!(tried.len(), 1);
                assert_eq!(response.status().as_u16(), if is_upper(tried[0].0) { 421 } else { 200 });
            }
            assert!(misdirected > 3, "{misdirected}");

            // Nobody listens at this port: every target is tried, and the last one is named.
            let uri = "http://store.example:8081/cas/x";
            let nobody = Request::get(uri).body(Full::new(Bytes::new())).expect("a request");
            let error = routed.call(nobody).await.expect_err("nobody").to_string();
            assert!(
                error.starts_with("[2001:db8:5:") && error.contains("]:8081: "),
                "{error}"
            );
            let relative = Request::get("/cas/x").body(Full::new(Bytes::new())).expect("a request");
            let error = routed.call(relative).await.expect_err("no host").to_string();
            assert_eq!(error, "uri: `/cas/x` has no host; allowed is scheme://host/path");
        },
    );
}

#[test]
fn a_channel_of_tonic_leads_to_its_object() {
    within("a_channel_of_tonic_leads_to_its_object", async || {
        let seen = serve(50051, false).await;
        let connector = Connector::new(service()).with_object(*b"shard-7");
        let endpoint = tonic::transport::Endpoint::from_static("http://store.example:50051");
        let mut channel = endpoint.connect_with_connector(connector).await.expect("a channel");
        let want = Want::port(50051).object(b"shard-7").order(Order::Fixed);
        let plan = service().plan(&want, &mut ssa_client::random).expect("a plan");
        let planned: BTreeSet<SocketAddr> = plan.targets().iter().map(|target| target.address.into()).collect();
        for _ in 0..3 {
            std::future::poll_fn(|context| channel.poll_ready(context))
                .await
                .expect("ready");
            let call = Request::post("/store.Objects/Get").body(tonic::body::Body::new(Empty::<Bytes>::new()));
            let response = channel.call(call.expect("a call")).await.expect("an answer");
            assert_eq!(response.status(), 200);
            let [(at, told)] = &seen.take()[..] else {
                panic!("one request")
            };
            assert!(
                planned.contains(&SocketAddr::new((*at).into(), 50051)),
                "{at} is none of {planned:?}"
            );
            assert!(told.starts_with("POST /store.Objects/Get"), "{told}");
        }
    });
}
