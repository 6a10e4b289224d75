//! What a tunnel takes: packets from peers, by IPv6, to the services' addresses. Real datagrams are sent to its port.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use ssa_cluster::kernel::Kernel;
use ssa_slices::handover::KernelRoute;

use crate::inside::{eventually, inside, run};
use crate::{host, net, settings, wanted};

/// A service's address that is delivered here.
const SERVICE: &str = "2001:db8:5::1";
/// This endpoint's own address.
const OWN: &str = "fd00::1";
/// Somewhere else, by `eth0`.
const ELSEWHERE: &str = "fd00::99";
/// An address for IPv4.
const IPV4: &str = "192.0.2.1";
const TRY: u16 = 4795;
const FINAL: u16 = 4796;

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!u16::try_from(sum).expect("16 bits")).to_be_bytes()
}

/// An IP packet with a UDP datagram, from somebody to an address and port.
fn packet(to: IpAddr, port: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(8 + text.len()).expect("a short text");
    let udp = |sum: [u8; 2]| {
        let parts: [&[u8]; 5] = [
            &[0x30, 0x39],
            &port.to_be_bytes(),
            &length.to_be_bytes(),
            &sum,
            text.as_bytes(),
        ];
        parts.concat()
    };
    match to {
        IpAddr::V6(to) => {
            let from = v6("2001:db8:77::1").octets();
            let pseudo: [&[u8]; 5] = [&from, &to.octets(), &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 17]];
            let sum = checksum(&[pseudo.concat(), udp([0, 0])].concat());
            let head: [&[u8]; 5] = [&[0x60, 0, 0, 0], &length.to_be_bytes(), &[17, 64], &from, &to.octets()];
            [head.concat(), udp(sum)].concat()
        }
        IpAddr::V4(to) => {
            let total = (length + 20).to_be_bytes();
            let head = |sum: [u8; 2]| {
                let parts: [&[u8]; 6] = [
                    &[0x45, 0],
                    &total,
                    &[0, 0, 0, 0, 64, 17],
                    &sum,
                    &[192, 0, 2, 9],
                    &to.octets(),
                ];
                parts.concat()
            };
            // A datagram over IPv4 needs no checksum of its own.
            [head(checksum(&head([0, 0]))), udp([0, 0])].concat()
        }
    }
}

/// A packet in VXLAN-GPE, as it stands in the datagram.
fn carried(packet: &[u8]) -> Vec<u8> {
    let protocol = if packet[0] >> 4 == 4 { 1 } else { 2 };
    [&[0x0c, 0, 0, protocol, 0, 0, 0, 0], packet].concat()
}

/// Sends a datagram to a tunnel, from an address of this host to another one.
fn send(from: &str, to: &str, tunnel: u16, packet: &[u8]) {
    let from: IpAddr = from.parse().expect("an address");
    let to: IpAddr = to.parse().expect("an address");
    let socket = UdpSocket::bind((from, 0)).expect("a socket");
    let sent = socket.send_to(&carried(packet), SocketAddr::new(to, tunnel));
    sent.expect("a datagram");
}

/// An application that takes datagrams to every address.
struct Application {
    socket: UdpSocket,
    port: u16,
}

impl Application {
    fn start() -> Self {
        // IPv4 comes by the same socket.
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout");
        let port = socket.local_addr().expect("an address").port();
        Self { socket, port }
    }

    fn packet(&self, to: &str, text: &str) -> Vec<u8> {
        packet(to.parse().expect("an address"), self.port, text)
    }

    /// Returns what comes, up to what a peer sends last.
    fn heard(&self) -> Vec<String> {
        send("fd00::2", OWN, TRY, &self.packet(SERVICE, "the last"));
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != "the last") {
            let mut bytes = [0; 100];
            let (length, _) = self.socket.recv_from(&mut bytes).expect("what a peer sends");
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        heard
    }
}

/// An endpoint with a slice, on whose loopback interface a peer and a stranger speak.
async fn endpoint() -> Kernel {
    host();
    for address in ["fd00::2/128", "fd00::66/128"] {
        run(&format!("ip addr add {address} dev lo nodad"));
    }
    run(&format!("ip addr add {IPV4}/32 dev lo"));
    let mut kernel = Kernel::open(settings()).await.expect("a kernel");
    let mut all = wanted([KernelRoute::Local {
        prefix: net("2001:db8:5::/66"),
    }]);
    // The store names all endpoints, this one too.
    all.peers.insert(crate::name("me"), v6(OWN));
    assert!(kernel.apply(&all).await.holds());
    for interface in ["all", "ssa-try", "ssa-final"] {
        for (setting, value) in [("rp_filter", "0"), ("forwarding", "1")] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/{setting}"), value).expect("a setting");
        }
    }
    kernel
}

#[test]
fn a_tunnel_takes_datagrams_from_peers_alone_and_by_ipv6_alone() {
    inside(
        "tunnels::a_tunnel_takes_datagrams_from_peers_alone_and_by_ipv6_alone",
        async || {
            let _kernel = endpoint().await;
            let application = Application::start();
            let strangers = || {
                for tunnel in [TRY, FINAL] {
                    for (from, to) in [
                        ("127.0.0.1", "127.0.0.1"),
                        (IPV4, IPV4),
                        ("fd00::66", OWN),
                        (OWN, OWN),
                        ("::1", "::1"),
                    ] {
                        send(from, to, tunnel, &application.packet(SERVICE, from));
                    }
                }
                application.heard()
            };
            assert_eq!(strangers(), ["the last"]);
            // They would come, were it not for the ruleset.
            run("nft flush chain ip ssa-cluster tunnels");
            let heard = strangers();
            let of_ipv4 = |heard: &[String]| heard.iter().filter(|text| text.contains('.')).count();
            assert_eq!((of_ipv4(&heard), heard.len()), (4, 5), "{heard:?}");
            run("nft flush chain ip6 ssa-cluster tunnels");
            assert_eq!(strangers().len(), 11);
        },
    );
}

#[test]
fn a_tunnel_carries_packets_to_the_services_alone() {
    inside("tunnels::a_tunnel_carries_packets_to_the_services_alone", async || {
        let _kernel = endpoint().await;
        let application = Application::start();
        for words in [
            "add table inet theirs",
            "add chain inet theirs passing { type filter hook forward priority 0 ; }",
            "add rule inet theirs passing iifname ssa-try counter",
            "add rule inet theirs passing iifname ssa-final counter",
        ] {
            run(&format!("nft {words}"));
        }
        // A packet to a neighbour that is not there is passed on as far as to the question for it.
        run("ip route add 198.51.100.0/24 dev eth0");
        let passed = || {
            let listed = run("nft list chain inet theirs passing");
            let counted = listed.split("packets ").skip(1);
            counted
                .filter_map(|rest| rest.split(' ').next()?.parse::<u32>().ok())
                .sum::<u32>()
        };
        let others = || {
            for tunnel in [TRY, FINAL] {
                for to in [OWN, ELSEWHERE, IPV4, "198.51.100.7"] {
                    send("fd00::2", OWN, tunnel, &application.packet(to, to));
                }
            }
            application.heard()
        };
        assert_eq!(others(), ["the last"]);
        assert_eq!(passed(), 0);
        // They would come, and go on from here, were it not for the ruleset.
        run("nft flush chain ip6 ssa-cluster elsewhere");
        let heard = others();
        assert_eq!(heard, [OWN, OWN, "the last"]);
        eventually("those to elsewhere are passed on", || passed() == 2);
        run("nft flush chain ip ssa-cluster carried");
        let mut heard = others();
        heard.sort();
        assert_eq!(heard, [IPV4, IPV4, OWN, OWN, "the last"]);
        eventually("those over IPv4 are passed on", || passed() == 6);
    });
}
