//! The client library beside the command: BIND publishes, real servers answer, and each object is where `ssa compose` says.
#![cfg(target_os = "linux")]

mod dns;
mod support;

use std::{collections::BTreeSet, net::Ipv6Addr, process::Command};

use dns::{Kind, Server};
use ssa_client::{Options, Order, Resolver, Servers, Service, Want};
use ssa_testing::namespace::{CLIENT, Endpoint, Process, client_host, eventually, inside};
use support::ssa;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HEAD: &str = "\
$ORIGIN example.
$TTL 1
@ SOA ns.example. host.example. 1 3600 600 86400 1
@ NS ns.example.
ns A 127.0.0.1
";

const RECORDS: &str = "
store APL 2:2001:db8:5::/64 !2:2001:db8:6::/120 1:192.0.2.0/24
store AAAA 2001:db8:6::1
_ssa.store TXT \"v=ssa1; addr=hash(obj):10 const(0):54; \" \"replicas=2; obj=path:/cas/{obj}\"
_ssa.store TXT \"v=spf1 -all\"
alias CNAME store
old AAAA 2001:db8:6::1
";

/// Answers as a web server does: who it is, and at which address.
const WEB: &str = r#"
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{sys.argv[1]} {self.connection.getsockname()[0]} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", 80), Handler).serve_forever()
"#;

fn web(endpoint: &Endpoint, name: &str) -> Process {
    let server = Process::start(endpoint.command("python3").args(["-c", WEB, name]));
    eventually("the web server listens", || {
        endpoint.run("ss -6 -l -t -n").contains(":80 ")
    });
    server
}

fn resolver(dns: &Server) -> Resolver {
    let server = dns.v4().parse().expect("an address");
    Resolver::dns(Servers::new(vec![server], std::time::Duration::from_secs(2)))
}

fn block_on<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(body)
}

/// Asks for a path, and returns who answered, at which address, and whom it saw.
async fn get(service: &Service, want: &Want<'_>) -> Vec<String> {
    let mut stream = service.connect(want).await.expect("a connection").stream;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    body.split(' ').map(str::to_owned).collect()
}

#[test]
fn objects_are_reached_where_the_command_says() {
    inside("objects_are_reached_where_the_command_says", || {
        client_host();
        let dns = Server::start(Kind::Bind, "client_objects", &format!("{HEAD}{RECORDS}"));
        let endpoints = [
            Endpoint::new(0, &["2001:db8:5::/65"]),
            Endpoint::new(1, &["2001:db8:5:0:8000::/65"]),
        ];
        let _servers = [web(&endpoints[0], "e0"), web(&endpoints[1], "e1")];
        block_on(async {
            for name in ["store.example", "alias.example."] {
                let service = resolver(&dns).service(name).await.expect("a service");
                assert_eq!(&*service.faults(), "");
                let mut met = BTreeSet::new();
                for number in 0..20 {
                    let object = format!("photos/{number}.jpg");
                    let source = CLIENT.to_string();
                    let composed = ssa(&[
                        "compose",
                        name,
                        "--server",
                        &dns.v4(),
                        "--source",
                        &source,
                        "--object",
                        &object,
                        "--replica",
                        "all",
                    ]);
                    let composed = composed.exits(0);
                    let want = Want::port(80).object(object.as_bytes()).order(Order::Fixed);
                    let plan = service.plan(&want, &mut ssa_client::random).expect("a plan");
                    let planned: Vec<String> = plan
                        .targets()
                        .iter()
                        .map(|target| target.address.ip().to_string())
                        .collect();
                    assert_eq!(planned, composed.lines(), "{object}");
                    let answer = get(&service, &want).await;
                    let address: Ipv6Addr = planned[0].parse().expect("an address");
                    let half = if u128::from(address) >> 63 & 1 == 0 { "e0" } else { "e1" };
                    assert_eq!(answer, [half, &*planned[0], &*source], "{object}");
                    met.insert(half);
                }
                assert_eq!(met.len(), 2);
            }
        });
    });
}

#[test]
fn one_of_two_replicas_is_killed_and_every_object_stays() {
    inside("one_of_two_replicas_is_killed_and_every_object_stays", || {
        client_host();
        let dns = Server::start(Kind::Bind, "client_killed", &format!("{HEAD}{RECORDS}"));
        let endpoints = [
            Endpoint::new(0, &["2001:db8:5::/65"]),
            Endpoint::new(1, &["2001:db8:5:0:8000::/65"]),
        ];
        let survivor = web(&endpoints[0], "e0");
        let killed = web(&endpoints[1], "e1");
        block_on(async {
            let service = resolver(&dns).service("store.example").await.expect("a service");
            let objects: Vec<String> = (0..40).map(|number| format!("photos/{number}.jpg")).collect();
            let mut met = BTreeSet::new();
            for object in &objects {
                met.extend(
                    get(&service, &Want::port(80).object(object.as_bytes()))
                        .await
                        .into_iter()
                        .take(1),
                );
            }
            assert_eq!(met.len(), 2, "both answer while both are there");
            drop(killed);
            for round in 0..2 {
                for object in &objects {
                    let answer = get(&service, &Want::port(80).object(object.as_bytes())).await;
                    assert_eq!(answer[0], "e0", "{object} in round {round}");
                }
            }
            assert!(survivor.id() > 0);
        });
    });
}

#[test]
fn changes_in_the_dns_are_followed_and_what_lacks_a_record_is_plain() {
    inside(
        "changes_in_the_dns_are_followed_and_what_lacks_a_record_is_plain",
        || {
            client_host();
            let name = "client_changes";
            let dns = Server::start(Kind::Bind, name, &format!("{HEAD}{RECORDS}"));
            let endpoint = Endpoint::new(0, &["2001:db8:5::/64", "2001:db8:6::/120"]);
            let _server = web(&endpoint, "e0");
            block_on(async {
                let store = resolver(&dns).service("store.example").await.expect("a service");
                let old = resolver(&dns).service("old.example").await.expect("a service");
                // No record: a client does as one without SSA does, unless it is told not to.
                assert_eq!(&*old.faults(), "no SSA record is published");
                assert_eq!(get(&old, &Want::port(80)).await[1], "2001:db8:6::1");
                let strict = resolver(&dns).with_options(Options::default().with_fall_back(false));
                let strict = strict.service("old.example").await.expect("a service");
                let error = strict
                    .connect(&Want::port(80))
                    .await
                    .expect_err("no record")
                    .to_string();
                assert_eq!(
                    error,
                    "old.example: no usable rule record is in force: no SSA record is published"
                );
                let nobody = resolver(&dns)
                    .service("nobody.example")
                    .await
                    .expect("an absence is an answer");
                let error = nobody
                    .connect(&Want::port(80))
                    .await
                    .expect_err("no address")
                    .to_string();
                assert!(error.ends_with("and no AAAA record is published"), "{error}");

                // Four times as many slices.
                let changed = RECORDS.replace("hash(obj):10 const(0):54", "hash(obj):12 const(0):52");
                let zone = format!("{}{changed}", HEAD.replace("host.example. 1 ", "host.example. 2 "));
                std::fs::write(
                    std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
                        .join(name)
                        .join("zone"),
                    zone,
                )
                .expect("a zone");
                let reload = Command::new("kill").args(["-HUP", &dns.id().to_string()]).status();
                assert!(reload.is_ok_and(|status| status.success()));
                let want = Want::port(80).object(b"photos/cat.jpg").order(Order::Fixed);
                let composed = ssa(&[
                    "compose",
                    "--apl",
                    "2:2001:db8:5::/64 !2:2001:db8:6::/120",
                    "--rule",
                    "v=ssa1; addr=hash(obj):12 const(0):52; replicas=2",
                    "--source",
                    &CLIENT.to_string(),
                    "--object",
                    "photos/cat.jpg",
                    "--replica",
                    "0",
                ]);
                let expected = composed.exits(0).lines().join("");
                let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
                let mut changes = store.changes();
                loop {
                    let first = store.plan(&want, &mut ssa_client::random).expect("a plan").first();
                    if first.address.ip().to_string() == expected {
                        break;
                    }
                    tokio::time::timeout_at(until, changes.changed())
                        .await
                        .expect("the change is followed");
                }
                assert_eq!(get(&store, &want).await[1], expected);

                // While nobody answers, what is known stays.
                drop(dns);
                let error = Resolver::dns(Servers::new(
                    vec!["127.0.0.1:9".parse().expect("an address")],
                    std::time::Duration::from_millis(300),
                ));
                let error = error
                    .service("store.example")
                    .await
                    .expect_err("nobody answers")
                    .to_string();
                assert!(error.starts_with("store.example. APL: "), "{error}");
                assert_eq!(get(&store, &want).await[1], expected);
            });
        },
    );
}
