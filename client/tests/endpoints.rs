//! Real servers in network namespaces: the client reaches who has the slice, from the source that was composed for, and goes on
//! when one of them is lost.
#![cfg(target_os = "linux")]

mod redis;

use std::{net::Ipv6Addr, time::Duration};

use ssa_client::{Options, Order, Service, Target, Want, read_fastest, write_to_all};
use ssa_testing::namespace::{CLIENT, Endpoint, Process, client_host, eventually, inside, program};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The halves of the service's space.
const HALVES: [&str; 2] = ["2001:db8:5::/65", "2001:db8:5:0:8000::/65"];

/// Where a chunk of 1 of 1024 slices and its other replica are in different halves.
const RECORD: &str = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=2";

/// Answers each connection with its own name, the address that was dialled, and the client's; to datagrams likewise.
const SERVER: &str = r#"
import socket, sys, threading
name, port = sys.argv[1], int(sys.argv[2])
tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind(("::", port))
tcp.listen(128)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
IPV6_FREEBIND = 78  # the addresses are local by a route alone
udp.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
udp.bind(("::", port))
def datagrams():
    while True:
        data, ancillary, _, peer = udp.recvmsg(2048, 256)
        destination = socket.inet_ntop(socket.AF_INET6, ancillary[0][2][:16])
        # From the address asked, by whatever interface leads back.
        source = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, ancillary[0][2][:16] + bytes(4))]
        udp.sendmsg([f"{name} {destination} {peer[0]}".encode()], source, 0, peer)
threading.Thread(target=datagrams, daemon=True).start()
while True:
    stream, peer = tcp.accept()
    stream.sendall(f"{name} {stream.getsockname()[0]} {peer[0]}".encode())
    stream.close()
"#;

fn service(options: Options) -> Service {
    Service::fixed("store.example", Some("2:2001:db8:5::/64"), &[RECORD], options).expect("a service")
}

fn serve(endpoint: &Endpoint, name: &str) -> Process {
    let server = Process::start(endpoint.command("python3").args(["-c", SERVER, name, "80"]));
    eventually("the server listens", || endpoint.run("ss -6 -l -t -n").contains(":80 "));
    server
}

fn in_half(address: &Ipv6Addr, half: usize) -> bool {
    usize::from(u128::from(*address) >> 63 & 1 == 1) == half
}

/// Reads what a server says: its name, the address dialled, the client's.
async fn said(mut stream: TcpStream) -> Vec<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text.split(' ').map(str::to_owned).collect()
}

fn block_on<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let limited = async {
        tokio::time::timeout(Duration::from_mins(1), body)
            .await
            .expect("it ends in time")
    };
    runtime.expect("a runtime").block_on(limited)
}

fn objects() -> impl Iterator<Item = String> {
    (0..40).map(|number| format!("photos/{number}.jpg"))
}

async fn connect(service: &Service, object: &str) -> (Target, Vec<String>) {
    let connected = service
        .connect(&Want::port(80).object(object.as_bytes()))
        .await
        .expect("a connection");
    (connected.target.expect("a target"), said(connected.stream).await)
}

#[test]
fn each_object_is_reached_where_it_is_from_the_source_composed_for() {
    inside(
        "each_object_is_reached_where_it_is_from_the_source_composed_for",
        || {
            client_host();
            let endpoints = [Endpoint::new(0, &HALVES[..1]), Endpoint::new(1, &HALVES[1..])];
            let _servers = [serve(&endpoints[0], "e0"), serve(&endpoints[1], "e1")];
            block_on(async {
                // The kernel says the source.
                let service = service(Options::default());
                let mut met = [0, 0];
                for object in objects() {
                    let (target, told) = connect(&service, &object).await;
                    let half = usize::from(in_half(target.address.ip(), 1));
                    let expected = [format!("e{half}"), target.address.ip().to_string(), CLIENT.to_string()];
                    assert_eq!(told, expected, "{object}");
                    met[half] += 1;
                }
                assert!(met[0] > 5 && met[1] > 5, "{met:?}");

                let connected = service
                    .udp(&Want::port(80).object(b"photos/cat.jpg"))
                    .await
                    .expect("a socket");
                let target = connected.target.expect("a target");
                connected.stream.send(b"hello").await.expect("sent");
                let mut answer = [0; 256];
                let length = connected.stream.recv(&mut answer).await.expect("an answer");
                let half = usize::from(in_half(target.address.ip(), 1));
                let expected = format!("e{half} {} {CLIENT}", target.address.ip());
                assert_eq!(String::from_utf8_lossy(&answer[..length]), expected);

                // A slice moves: the client's records and plans stay as they are.
                endpoints[0].take(HALVES[1]);
                let (target, told) = connect(&service, "photos/cat.jpg").await;
                assert_eq!(told[..2], ["e0".to_owned(), target.address.ip().to_string()]);
            });
        },
    );
}

#[test]
fn a_replica_that_refuses_or_is_silent_is_passed_over_and_remembered() {
    inside(
        "a_replica_that_refuses_or_is_silent_is_passed_over_and_remembered",
        || {
            client_host();
            let endpoints = [Endpoint::new(0, &HALVES[..1]), Endpoint::new(1, &HALVES[1..])];
            let _server = serve(&endpoints[0], "e0");
            let other = serve(&endpoints[1], "e1");
            let delay = Duration::from_millis(100);
            let options = || Options::default().with_attempt_delay(delay).expect("a delay");
            block_on(async {
                drop(other);
                for silent in [false, true] {
                    if silent {
                        endpoints[1].silence();
                    }
                    let service = service(options());
                    for object in objects() {
                        // Replica 0 first: of half of the objects it is the one that is lost.
                        let want = Want::port(80).object(object.as_bytes()).order(Order::Fixed);
                        let before = service.plan(&want, &mut ssa_client::random).expect("a plan");
                        let connected = service.connect(&want).await.expect("a connection");
                        let target = connected.target.expect("a target");
                        assert_eq!(said(connected.stream).await[0], "e0", "{object}");
                        let after = service.plan(&want, &mut ssa_client::random).expect("a plan");
                        assert_eq!(after.first(), target, "what answered comes first: {object}");
                        let was_lost = in_half(before.first().address.ip(), 1);
                        assert_eq!(after != before, was_lost, "{object}");
                    }
                }
            });
        },
    );
}

#[test]
fn errors_name_every_target_and_what_became_of_it() {
    inside("errors_name_every_target_and_what_became_of_it", || {
        client_host();
        let endpoints = [Endpoint::new(0, &HALVES[..1]), Endpoint::new(1, &HALVES[1..])];
        endpoints[1].silence();
        block_on(async {
            let options = Options::default()
                .with_attempt_timeout(Duration::from_millis(300))
                .expect("a timeout");
            let service = service(options);
            let want = Want::port(80).object(b"x").order(Order::Fixed);
            let error = service.connect(&want).await.expect_err("nobody listens").to_string();
            assert!(
                error.starts_with("store.example: no target can be connected to: "),
                "{error}"
            );
            for part in [
                "Connection refused (os error 111)",
                "no answer within 0.3 s",
                &format!(":80 from {CLIENT}: "),
            ] {
                assert!(error.contains(part), "{part} is not in {error}");
            }
            // A source that this host has not.
            let elsewhere = Want::port(80)
                .object(b"x")
                .source("2001:db8:99::1".parse().expect("an address"));
            let error = service.connect(&elsewhere).await.expect_err("no source").to_string();
            assert!(
                error.contains("from 2001:db8:99::1: Cannot assign requested address"),
                "{error}"
            );
        });
    });
}

#[test]
fn addresses_of_this_host_may_change() {
    inside("addresses_of_this_host_may_change", || {
        client_host();
        let endpoint = Endpoint::new(0, &HALVES);
        let _server = serve(&endpoint, "e0");
        block_on(async {
            let service = service(Options::default());
            assert_eq!(connect(&service, "x").await.1[2], CLIENT.to_string());
            // Renumbered, as by a router: the old address and the routes that name it are gone.
            let run = ssa_testing::namespace::run;
            run("ip -6 addr add 2001:db8:78::8/128 dev lo");
            for half in HALVES {
                run(&format!("ip -6 route replace {half} via fd00:0::2 src 2001:db8:78::8"));
            }
            run(&format!("ip -6 addr del {CLIENT}/128 dev lo"));
            assert_eq!(connect(&service, "x").await.1[2], "2001:db8:78::8");
            let (target, told) = connect(&service, "y").await;
            assert_eq!(
                (target.source.to_string(), &*told[2]),
                ("2001:db8:78::8".into(), "2001:db8:78::8")
            );
        });
    });
}

#[test]
fn all_replicas_take_a_write_and_the_fastest_answers_a_read() {
    inside("all_replicas_take_a_write_and_the_fastest_answers_a_read", || {
        client_host();
        if program("redis-server").is_none() {
            eprintln!(
                "SKIPPED: all_replicas_take_a_write_and_the_fastest_answers_a_read: redis-server is not installed; make setup does it"
            );
            return;
        }
        let endpoints = [Endpoint::new(0, &HALVES[..1]), Endpoint::new(1, &HALVES[1..])];
        let _first = redis::start(&endpoints[0], &[]);
        let second = redis::start(&endpoints[1], &[]);
        block_on(async {
            let service = service(Options::default());
            let want = Want::port(6379).object(b"key").order(Order::Fixed);
            let exchange = async |target: Target, command: &str| -> Result<String, String> {
                let connected = service.connect_to([target]).await.map_err(|error| error.to_string())?;
                let mut stream = connected.stream;
                stream
                    .write_all(format!("{command}\r\n").as_bytes())
                    .await
                    .map_err(|error| error.to_string())?;
                let mut answer = vec![0; 64];
                let length = stream.read(&mut answer).await.map_err(|error| error.to_string())?;
                Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
            };
            let all = service.plan_all(&want, &mut ssa_client::random).expect("targets");
            assert_eq!(all.len(), 2);
            let written = write_to_all(all.clone(), |target| exchange(target, "SET key value"))
                .await
                .expect("written");
            assert!(written.iter().all(|(_, answer)| answer == "+OK\r\n"), "{written:?}");
            for target in &all {
                assert_eq!(exchange(*target, "GET key").await.as_deref(), Ok("$5\r\nvalue\r\n"));
            }

            // One of them is lost without a word.
            endpoints[1].silence();
            let lost = all
                .iter()
                .position(|target| in_half(target.address.ip(), 1))
                .expect("one in each half");
            let plan = service.plan(&want, &mut ssa_client::random).expect("a plan");
            let read = read_fastest(plan, Duration::from_millis(50), |target| exchange(target, "GET key")).await;
            let (target, answer) = read.expect("the other one answers");
            assert_eq!((usize::from(target.replica), &*answer), (1 - lost, "$5\r\nvalue\r\n"));
            drop(second);
            let short = Options::default()
                .with_attempt_timeout(Duration::from_millis(200))
                .expect("a timeout");
            let service = self::service(short);
            let write = async |target: Target| service.connect_to([target]).await.map(drop);
            let error = write_to_all(all.clone(), write).await.expect_err("one is lost");
            let named = format!(
                "1 of 2 replicas did not acknowledge: replica {lost} at {}: ",
                all[lost].address
            );
            assert!(error.to_string().starts_with(&named), "{error}");
            assert_eq!(usize::from(error.acknowledged[0].0.replica), 1 - lost);
        });
    });
}
