//! Load that the kernel counts: connections and datagrams of a client in a network namespace of its own.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};

use ssa_cluster::kernel::{Counted, Grains, Kernel, Settings};
use ssa_slices::handover::KernelRoute;

use crate::inside::{inside, run};
use crate::node::Pod;
use crate::{everything, held, host, name, net, settings, wanted};

/// Accepts whatever comes, and reads it to its end.
fn serve() -> u16 {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
        }
    });
    port
}

fn grains(all: &[(u8, &[&str])]) -> Grains {
    let mut grains = Grains::default();
    for (length, within) in all {
        grains.add(*length, within.iter().map(|prefix| net(prefix)));
    }
    grains
}

fn flows() -> BTreeMap<String, u64> {
    let counted = Kernel::counted().expect("counters");
    let flows = |(address, counted): (Ipv6Addr, Counted)| (address.to_string(), counted.flows);
    counted.into_iter().map(flows).filter(|(_, flows)| *flows > 0).collect()
}

fn told(flows: &[(&str, u64)]) -> BTreeMap<String, u64> {
    flows
        .iter()
        .map(|(address, flows)| ((*address).to_owned(), *flows))
        .collect()
}

#[test]
fn load_is_counted_by_slices_and_by_parts_of_them() {
    inside("load::load_is_counted_by_slices_and_by_parts_of_them", async || {
        host();
        let client = Pod::new("to-client", "2001:db8:7::1");
        // The way of the client's packets is by an address of this host.
        run("ip addr add 2001:db8:7::ffff/128 dev to-client nodad");
        client.shell("ip -6 route replace default via 2001:db8:7::ffff dev eth0 onlink");
        let before = everything();
        let interfaces = vec!["to-client".to_owned()];
        let mut kernel = Kernel::open(Settings {
            interfaces,
            ..settings()
        })
        .await
        .expect("a kernel");
        let [a, b] = ["2001:db8:5::/66", "2001:db8:5:0:8000::/66"].map(net);
        let mut both = wanted([KernelRoute::Local { prefix: a }, KernelRoute::Local { prefix: b }]);
        held(&kernel.apply(&both).await);
        assert!(Kernel::counted().is_err(), "nothing is to be counted");
        both.grains = grains(&[(66, &[])]);
        for begun in [true, false] {
            held(&kernel.apply(&both).await);
            assert!(matches!(kernel.measured(), Ok(found) if found == begun));
        }
        let port = serve();
        let dial = |address: &str| client.shell(&format!("exec 3<>/dev/tcp/{address}/{port}"));
        for _ in 0..3 {
            dial("2001:db8:5::1");
            dial("2001:db8:5:0:2fff::7");
        }
        dial("2001:db8:5:0:8000::1");
        assert_eq!(flows(), told(&[("2001:db8:5::", 6), ("2001:db8:5:0:8000::", 1)]));
        // A connection counts once, whatever goes over it; its bytes are those of a sample, as many as it stands for.
        let sent = 64_u64 << 20;
        client.shell(&format!(
            "head -c {sent} /dev/zero >/dev/tcp/2001:db8:5:0:8000::2/{port}"
        ));
        assert_eq!(flows()["2001:db8:5:0:8000::"], 2);
        let bytes = || Kernel::counted().expect("counters")[&"2001:db8:5:0:8000::".parse().expect("an address")].bytes;
        assert!((sent / 3..sent * 3).contains(&bytes()), "{} of {sent}", bytes());

        // Another protocol's flow counts until it is answered, at whoever takes it.
        let taker = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a socket");
        let udp = taker.local_addr().expect("an address").port();
        let datagram = |address: &str| client.shell(&format!("echo >/dev/udp/{address}/{udp}"));
        datagram("2001:db8:5::9");
        assert_eq!(flows()["2001:db8:5::"], 7);
        let mut moved = both.clone();
        moved.routes.insert(KernelRoute::Outgoing {
            prefix: b,
            to: name("new"),
        });
        held(&kernel.apply(&moved).await);
        datagram("2001:db8:5:0:8000::9");
        assert_eq!(flows()["2001:db8:5:0:8000::"], 2, "it is the new owner's");

        // A slice that is split is counted by its parts, from nothing on.
        both.grains = grains(&[(66, &[]), (68, &["2001:db8:5::/66"])]);
        held(&kernel.apply(&both).await);
        assert!(matches!(kernel.measured(), Ok(true)));
        assert_eq!(flows(), told(&[]));
        for address in ["2001:db8:5::1", "2001:db8:5:0:2fff::7", "2001:db8:5:0:8000::1"] {
            dial(address);
        }
        let parts = [
            ("2001:db8:5::", 1),
            ("2001:db8:5:0:2000::", 1),
            ("2001:db8:5:0:8000::", 1),
        ];
        assert_eq!(flows(), told(&parts));

        // Whoever removes the rules has them back.
        run("nft flush chain ip6 ssa-cluster opened");
        kernel.disturbed().await;
        assert_eq!(kernel.apply(&both).await.repaired.rulesets, 1);
        assert!(matches!(kernel.measured(), Ok(true)));
        dial("2001:db8:5::1");
        assert_eq!(flows(), told(&[("2001:db8:5::", 1)]));

        // Nothing is counted any more.
        both.grains = Grains::default();
        held(&kernel.apply(&both).await);
        dial("2001:db8:5::1");
        assert_eq!(flows(), told(&[]));
        kernel.close().await.expect("closed");
        assert_eq!(everything(), before);
    });
}
