//! What is measured.

use std::{hint::black_box, net::Ipv6Addr};

use maglev::{ConsistentHasher, Maglev};
use pingora_ketama::{Bucket, Continuum};
use ssa_rules::{
    AddressSpace, Apl, Chunk, Destination, Flow, Key, Port, Record, Replica, Request, Rule, Secret, Source, UnixTime,
    hash::siphash24,
};
use twox_hash::XxHash64;

/// One operation, repeated by calling `run`.
pub(crate) struct Operation {
    pub(crate) name: String,
    /// What its figures are of.
    pub(crate) subject: String,
    pub(crate) run: Box<dyn FnMut() -> u64>,
}

/// The records of the specification's table, and one of many items.
const RECORDS: [(&str, &str, &str); 13] = [
    ("naive", "v=ssa1; addr=rand:64", APL),
    ("hosts", "v=ssa1; addr=-; item=rand", HOSTS),
    ("raw", "v=ssa1; addr=src[0:64]", APL),
    ("hashed", "v=ssa1; addr=hash(src/64):20 rand:44", APL),
    ("pods", "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4", APL),
    ("objects", "v=ssa1; addr=hash(obj):20 const(0):44; replicas=3", APL),
    ("files", "v=ssa1; addr=hash(obj,chunk):20 const(0):44", APL),
    ("blocks", "v=ssa1; addr=obj[80:128] const(0):16", APL),
    ("mixed", "v=ssa1; addr=hash(obj):14 hash(src/64):50", APL),
    (
        "token",
        "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48",
        APL,
    ),
    ("work", "v=ssa1; addr=hash(src/48):20 rand:44; pow=14", APL),
    ("hopping", "v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=5", APL),
    ("items", "v=ssa1; addr=hash(src/64):20 rand:44", MANY),
];

const APL: &str = "2:2001:db8:5::/64";
const HOSTS: &str = "2:2001:db8::1/128 2:2001:db8::2/128 2:2001:db8::3/128 2:2001:db8::4/128";
const MANY: &str = "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:2001:db8:4::/64 2:2001:db8:5::/64 \
                    2:2001:db8:6::/64 2:2001:db8:7::/64 2:2001:db8:8::/64 2:2001:db8:9::/64 2:2001:db8:a::/64 \
                    2:2001:db8:b::/64 2:2001:db8:c::/64 2:2001:db8:d::/64 2:2001:db8:e::/64 2:2001:db8:f::/64";

const NOW: UnixTime = UnixTime(1_800_000_000);
const OBJECT: &[u8] = b"1234567890";
const ENDPOINTS: usize = 1000;

fn source() -> Source {
    Source(Ipv6Addr::new(0x2001, 0xdb8, 0x77, 1, 0, 0, 0, 7))
}

fn request() -> Request<'static> {
    Request {
        object: Some(OBJECT),
        chunk: Some(Chunk(3)),
        port: Some(Port(443)),
        time: Some(NOW),
        replica: Replica(0),
        ..Request::new(source())
    }
}

fn prepare(record: &str, apl: &str) -> Rule {
    let record: Record = record.parse().expect("a record of the table parses");
    let apl: Apl = apl.parse().expect("its list parses");
    let space = AddressSpace::new(&apl).expect("its list is an address space");
    let key = Key::Secret(Secret::new(*b"0123456789abcdef"));
    Rule::prepare(&record, space.as_ref(), &key).expect("they go together")
}

/// The callers' randomness, as cheap as any.
fn random() -> impl FnMut() -> u64 {
    let mut random = fastrand::Rng::with_seed(0);
    move || random.u64(..)
}

/// What there is beside the records.
const OTHERS: [fn() -> Operation; 4] = [siphash, parse, maglev_lookup, ring_lookup];

pub(crate) fn all() -> Vec<Operation> {
    let others = OTHERS.into_iter().map(|operation| operation());
    others
        .chain(
            RECORDS
                .into_iter()
                .flat_map(|(name, record, apl)| record_operations(name, record, apl)),
        )
        .collect()
}

/// Returns the operation of this name, setting up little else.
pub(crate) fn named(wanted: &str) -> Option<Operation> {
    let record = wanted
        .split_once('-')
        .and_then(|(_, of)| RECORDS.into_iter().find(|(name, ..)| *name == of));
    match record {
        Some((name, record, apl)) => record_operations(name, record, apl)
            .into_iter()
            .find(|operation| operation.name == wanted),
        None => OTHERS
            .into_iter()
            .map(|operation| operation())
            .find(|operation| operation.name == wanted),
    }
}

fn record_operations(name: &str, record: &str, apl: &str) -> [Operation; 2] {
    let rule = Box::new(prepare(record, apl));
    let destination = rule.compose(&request(), &mut random()).expect("the record composes");
    let verified = rule.clone();
    let flow = Flow {
        port: Some(Port(443)),
        object: Some(OBJECT),
        chunk: Some(Chunk(3)),
        ..Flow::new(source(), destination, NOW)
    };
    let mut random = random();
    [
        Operation {
            name: format!("verify-{name}"),
            subject: record.into(),
            run: Box::new(move || {
                let verdict = black_box(&*verified).verify(black_box(&flow));
                u64::from(black_box(verdict).is_ok())
            }),
        },
        Operation {
            name: format!("compose-{name}"),
            subject: record.into(),
            run: Box::new(move || {
                let composed = black_box(&*rule).compose(black_box(&request()), &mut random);
                composed.map_or(0, |Destination(address)| u64::from(address.octets()[15]))
            }),
        },
    ]
}

/// The bare hash of the message that `hash(src/64):20 rand:44` hashes: 01 ‖ 00 ‖ 0000 ‖ 01 ‖ 40 ‖ source.
fn siphash() -> Operation {
    let mut message = [0_u8; 22];
    message[..6].copy_from_slice(&[1, 0, 0, 0, 1, 64]);
    message[6..14].copy_from_slice(&source().0.octets()[..8]);
    let run = move || siphash24(black_box(b"ssa1-public-hash"), black_box(&message));
    Operation {
        name: "siphash".into(),
        subject: "bare SipHash-2-4 of its 22-byte message".into(),
        run: Box::new(run),
    }
}

fn parse() -> Operation {
    let run = || {
        let record: Record = black_box("v=ssa1; addr=hash(src/64):20 rand:44")
            .parse()
            .expect("parses");
        let apl: Apl = black_box(APL).parse().expect("parses");
        u64::from(record.skew()) + apl.items().len() as u64
    };
    Operation {
        name: "parse".into(),
        subject: "parsing record and APL".into(),
        run: Box::new(run),
    }
}

/// What a proxy hashes of a connection to place it: the addresses and the ports.
fn tuple() -> [u8; 36] {
    let mut tuple = [0_u8; 36];
    tuple[..16].copy_from_slice(&source().0.octets());
    tuple[16..32].copy_from_slice(&source().0.octets());
    tuple[32..].copy_from_slice(&[0xc0, 0, 1, 187]);
    tuple
}

fn maglev_lookup() -> Operation {
    let endpoints: Vec<String> = (0..ENDPOINTS).map(|endpoint| format!("endpoint-{endpoint}")).collect();
    let table = Maglev::new(endpoints);
    let tuple = tuple();
    let run = move || {
        let hash = XxHash64::oneshot(0, black_box(&tuple));
        black_box(table.get(&hash)).map_or(0, |endpoint| endpoint.len() as u64)
    };
    Operation {
        name: "maglev".into(),
        subject: "Maglev lookup, 1000 endpoints".into(),
        run: Box::new(run),
    }
}

fn ring_lookup() -> Operation {
    let buckets: Vec<Bucket> = (0..ENDPOINTS)
        .map(|endpoint| {
            let [high, low] = u16::try_from(endpoint).unwrap_or(0).to_be_bytes();
            Bucket::new(std::net::SocketAddr::from(([10, 0, high, low], 443)), 1)
        })
        .collect();
    let ring = Continuum::new(&buckets);
    let tuple = tuple();
    let run = move || u64::from(ring.node(black_box(&tuple)).is_some());
    Operation {
        name: "ring".into(),
        subject: "ketama ring lookup, 1000 endpoints".into(),
        run: Box::new(run),
    }
}
