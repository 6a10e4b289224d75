//! Messages made by hand, and a server that answers as it is told.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hickory_resolver::proto::{op::Query, rr::RecordType};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use crate::Servers;

pub(crate) const ID: u16 = 0x5aa5;
pub(crate) const NAME: &[u8] = b"\x03web\x04demo\x04test\x00";
pub(crate) const APL: u16 = 42;

pub(crate) fn query(kind: u16) -> Query {
    Query::query(crate::name("web.demo.test").unwrap(), RecordType::from(kind))
}

pub(crate) fn record(owner: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut octets = owner.to_vec();
    octets.extend(kind.to_be_bytes());
    octets.extend(class.to_be_bytes());
    octets.extend(ttl.to_be_bytes());
    octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    octets.extend(data);
    octets
}

/// An answer to a question of a type, with these flags, counts and records.
pub(crate) fn message(flags: u16, kind: u16, counts: [u16; 4], records: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = Vec::new();
    for word in [ID, flags].into_iter().chain(counts) {
        octets.extend(word.to_be_bytes());
    }
    for _ in 0..counts[0] {
        octets.extend(NAME);
        octets.extend(kind.to_be_bytes());
        octets.extend(1_u16.to_be_bytes());
    }
    octets.extend(records.concat());
    octets
}

pub(crate) fn answer(kind: u16, records: &[Vec<u8>]) -> Vec<u8> {
    message(0x8400, kind, [1, u16::try_from(records.len()).unwrap(), 0, 0], records)
}

pub(crate) fn list() -> Vec<u8> {
    record(NAME, APL, 1, 9, b"\x00\x02\x40\x02\x20\x01")
}

/// The name of another owner.
pub(crate) fn wire_name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut octets: Vec<u8> = labels
        .flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes()))
        .collect();
    octets.push(0);
    octets
}

/// What a scripted server is asked.
pub(crate) struct Asked {
    pub(crate) octets: Vec<u8>,
    pub(crate) by_tcp: bool,
}

impl Asked {
    /// The type of the question: behind a name that ends at the first zero.
    pub(crate) fn kind(&self) -> u16 {
        let end = self.octets.iter().skip(12).position(|octet| *octet == 0).unwrap() + 13;
        u16::from_be_bytes([self.octets[end], self.octets[end + 1]])
    }

    pub(crate) fn has_edns(&self) -> bool {
        self.octets[11] > 0
    }

    /// An answer with these flags, counts of the other sections, and records.
    pub(crate) fn told(&self, flags: u16, counts: [u16; 3], records: &[Vec<u8>]) -> Vec<u8> {
        let end = self.octets.iter().skip(12).position(|octet| *octet == 0).unwrap() + 17;
        let mut octets = self.octets[..2].to_vec();
        for word in [flags, 1].into_iter().chain(counts) {
            octets.extend(word.to_be_bytes());
        }
        octets.extend(&self.octets[12..end]);
        octets.extend(records.concat());
        octets
    }

    pub(crate) fn found(&self, records: &[Vec<u8>]) -> Vec<u8> {
        self.told(0x8400, [u16::try_from(records.len()).unwrap(), 0, 0], records)
    }
}

/// A server that sends, to each question, the messages that a function returns.
pub(crate) async fn scripted(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> SocketAddr {
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    let script = Arc::new(script);
    let by_udp = script.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
            let asked = Asked {
                octets: buffer[..length].to_vec(),
                by_tcp: false,
            };
            for message in by_udp(&asked) {
                udp.send_to(&message, peer).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let script = script.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut octets = vec![0; usize::from(length)];
                    stream.read_exact(&mut octets).await.unwrap();
                    for message in script(&Asked { octets, by_tcp: true }) {
                        let length = u16::try_from(message.len()).unwrap();
                        stream.write_u16(length).await.unwrap();
                        stream.write_all(&message).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

/// An address where nothing listens.
pub(crate) async fn nobody() -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tcp.local_addr().unwrap()
}

pub(crate) fn servers(addresses: &[SocketAddr]) -> Servers {
    Servers::new(addresses.to_vec(), Duration::from_millis(600))
}
