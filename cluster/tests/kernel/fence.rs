//! Exclusive ownership in a real kernel: new flows by permission alone, which ends by itself; open ones go on.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_cluster::kernel::{Kernel, Wanted};
use ssa_slices::handover::{Admission, KernelRoute};
use tokio::time::Instant;

use crate::inside::{eventually, inside, run};
use crate::{BUSY, host, net, settings, wanted};

const PORT: u16 = 7000;
/// Where the server closes first.
const CLOSES: u16 = 7001;
/// In the first of the prefixes, and in the second.
const ADDRESSES: [&str; 2] = ["2001:db8:5::1", "2001:db8:5:0:4000::1"];

/// A network namespace beside this one, where clients are.
struct Clients(Child);

impl Clients {
    fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "sleep", "120"])
            .spawn()
            .expect("a namespace");
        let clients = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        eventually("the namespace is there", || {
            let other = std::fs::read_link(format!("/proc/{}/ns/net", clients.0.id()));
            other.is_ok_and(|other| other != own)
        });
        run(&format!("ip link set far netns {}", clients.0.id()));
        for command in [
            "ip link set lo up",
            "ip addr add fd00::2/64 dev far nodad",
            "ip link set far up",
            "ip -6 route add 2001:db8:5::/64 via fd00::1",
        ] {
            run(&format!("{} {command}", clients.enter()));
        }
        clients
    }

    fn enter(&self) -> String {
        format!("nsenter -t {} -n", self.0.id())
    }

    /// Says whether a new connection to an address is accepted.
    fn dial(&self, address: &str) -> bool {
        let script = format!("exec 3<>/dev/tcp/{address}/{PORT}");
        let entered = self.enter();
        let mut words = entered.split_whitespace();
        let done = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["timeout", "0.3", "bash", "-c", &script])
            .stderr(Stdio::null())
            .status();
        done.expect("nsenter").success()
    }

    /// Opens a connection that stays: what is written to its input comes back by its output.
    fn hold(&self, address: &str) -> Child {
        let script = format!(
            "exec 3<>/dev/tcp/{address}/{PORT}; while read -r line; do echo \"$line\" >&3; read -r back <&3; echo \"$back\"; \
             done"
        );
        let entered = self.enter();
        let mut words = entered.split_whitespace();
        Command::new(words.next().expect("a program"))
            .args(words)
            .args(["bash", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter")
    }
}

impl Clients {
    /// Says whether a connection from a certain port is accepted; waits until the other side has closed it.
    fn dial_from(&self, port: u16, address: &str) -> bool {
        let script = format!(
            "import socket; s = socket.socket(socket.AF_INET6); s.settimeout(0.3); \
             s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('fd00::2', {port})); \
             s.connect(('{address}', {CLOSES})); s.recv(1)"
        );
        let entered = self.enter();
        let mut words = entered.split_whitespace();
        let done = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["python3", "-c", &script])
            .stderr(Stdio::null())
            .status();
        done.expect("nsenter").success()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says whether a held connection answers.
fn answers(held: &mut Child) -> bool {
    writeln!(held.stdin.as_mut().expect("an input"), "hello").expect("it runs");
    let mut line = String::new();
    let mut output = BufReader::new(held.stdout.as_mut().expect("an output").take(6));
    output.read_line(&mut line).is_ok() && line == "hello\n"
}

/// Answers every connection with what it is sent.
fn serve() {
    let listener = TcpListener::bind(("::", PORT)).expect("a listener");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = connection.read(&mut buffer) {
                    if connection.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Closes every connection at once: the system then waits for its last packets for a minute.
fn close() {
    let listener = TcpListener::bind(("::", CLOSES)).expect("a listener");
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(drop));
}

/// An endpoint that has both prefixes, and takes new flows of some.
fn taking<const N: usize>(taken: [&str; N]) -> Wanted {
    let taken: BTreeSet<Ipv6Net> = taken.map(net).into();
    Wanted {
        admission: Admission {
            fenced: BUSY.map(net).into(),
            direct: taken.clone(),
            tunnelled: taken,
        },
        ..wanted(BUSY.map(|prefix| KernelRoute::Local { prefix: net(prefix) }))
    }
}

fn nft(script: &str) -> bool {
    let done = Command::new("nft").arg(script).stderr(Stdio::null()).status();
    done.expect("nft").success()
}

#[test]
fn new_flows_end_with_the_permission_and_open_ones_go_on() {
    inside(
        "fence::new_flows_end_with_the_permission_and_open_ones_go_on",
        async || {
            host();
            let clients = Clients::new();
            serve();
            let mut kernel = Kernel::open(settings()).await.expect("a kernel");
            let [first, second] = ADDRESSES;
            // Of a set that is not exclusive everything is taken.
            let open = wanted(BUSY.map(|prefix| KernelRoute::Local { prefix: net(prefix) }));
            assert!(kernel.apply(&open).await.holds());
            eventually("new flows are taken", || clients.dial(first));
            assert!(kernel.apply(&taking([BUSY[0]])).await.holds());
            assert!(!clients.dial(first), "nobody has permitted it");
            let permitted = Duration::from_secs(4);
            kernel
                .permit(Some(Instant::now() + permitted))
                .await
                .expect("permission");
            let began = std::time::Instant::now();
            assert!(clients.dial(first));
            assert!(!clients.dial(second), "it is not to take that");
            let mut held = clients.hold(first);
            assert!(answers(&mut held));
            // What changes now keeps the permission.
            assert!(kernel.apply(&taking(BUSY)).await.holds());
            assert!(clients.dial(second));
            // Nothing is done any more: the kernel forgets it.
            drop(kernel);
            eventually("permission ends", || !clients.dial(first));
            assert!(
                began.elapsed() < permitted + Duration::from_secs(2),
                "{:?}",
                began.elapsed()
            );
            assert!(!clients.dial(second));
            assert!(answers(&mut held), "what is open goes on");
            // An agent that starts again finds what is fenced, and has to ask for permission again.
            let mut kernel = Kernel::open(settings()).await.expect("a kernel");
            assert!(!clients.dial(first));
            kernel
                .permit(Some(Instant::now() + Duration::from_mins(1)))
                .await
                .expect("permission");
            eventually("new flows are taken", || clients.dial(first));
            // Somebody takes the ruleset away: it is set again, with the permission.
            run("nft flush ruleset");
            assert!(!kernel.apply(&taking(BUSY)).await.repaired.is_empty());
            assert!(clients.dial(first));
            kernel.permit(None).await.expect("an end");
            assert!(!clients.dial(first));
            held.kill().expect("it runs");
            held.wait().expect("it ended");
            kernel.close().await.expect("a kernel");
        },
    );
}

#[test]
fn what_waits_for_its_last_packets_lets_no_new_flow_in() {
    inside(
        "fence::what_waits_for_its_last_packets_lets_no_new_flow_in",
        async || {
            host();
            let clients = Clients::new();
            close();
            let mut kernel = Kernel::open(settings()).await.expect("a kernel");
            let [first, second] = ADDRESSES;
            assert!(kernel.apply(&taking(BUSY)).await.holds());
            kernel
                .permit(Some(Instant::now() + Duration::from_mins(1)))
                .await
                .expect("permission");
            for address in ADDRESSES {
                eventually("new flows are taken", || clients.dial_from(40001, address));
            }
            // The first is somebody else's now; both wait for last packets from this port.
            assert!(kernel.apply(&taking([BUSY[1]])).await.holds());
            assert!(!clients.dial_from(40001, first));
            assert!(
                clients.dial_from(40001, second),
                "it may be opened again where it may be opened"
            );
            kernel.close().await.expect("a kernel");
        },
    );
}

#[test]
fn a_program_that_was_held_up_gives_no_permission() {
    inside("fence::a_program_that_was_held_up_gives_no_permission", async || {
        host();
        let mut kernel = Kernel::open(settings()).await.expect("a kernel");
        let give =
            "delete element ip6 ssa-cluster ticket { ip6 }; add element ip6 ssa-cluster permission { ip6 timeout 9s }";
        let has_permission = || run("nft list set ip6 ssa-cluster permission").contains("expires");
        assert!(nft("add element ip6 ssa-cluster ticket { ip6 timeout 200ms }"));
        eventually("the ticket ends", || {
            !run("nft list set ip6 ssa-cluster ticket").contains("expires")
        });
        assert!(!nft(give), "what was to be given is late");
        assert!(!has_permission());
        assert!(nft("add element ip6 ssa-cluster ticket { ip6 timeout 60s }"));
        assert!(nft(give));
        assert!(has_permission());
        // What has run out already is not given at all.
        kernel.permit(None).await.expect("an end");
        kernel.permit(Some(Instant::now())).await.expect("nothing");
        assert!(!has_permission());
        kernel.close().await.expect("a kernel");
    });
}
