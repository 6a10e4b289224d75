//! Composing and verifying allocate nothing, whatever the record and the outcome.

use allocation_counter::measure;
use ssa_rules::{
    AddressSpace, Apl, Candidate, Choice, Chunk, Connection, Destination, Flow, ItemSet, ItemSource, Key, Port,
    Published, Record, Replica, Request, Rule, Secret, Source, Sources, UnixTime,
};
use ssa_testing::Draw;

const RECORDS: [&str; 14] = [
    "v=ssa1; addr=rand:64",
    "v=ssa1; addr=rand:64; item=rand",
    "v=ssa1; addr=rand:64; item=hash(obj,chunk,port,src/48)",
    "v=ssa1; addr=src[0:64]",
    "v=ssa1; addr=hash(src/64):20 rand:44",
    "v=ssa1; addr=hash(src/64):20 rand:44; salt=0123456789.ABCDEF-abcdef_0123456",
    "v=ssa1; addr=hash(src/128):20 rand:44; replicas=4",
    "v=ssa1; addr=hash(obj):20 const(0):44; replicas=3",
    "v=ssa1; addr=hash(obj,chunk,port):20 const(0):44",
    "v=ssa1; addr=obj[80:128] const(0):16",
    "v=ssa1; addr=hash(obj):14 hash(src/64):50",
    "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48",
    "v=ssa1; addr=hash(src/48):20 rand:44; pow=4",
    "v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=5",
];

fn random() -> impl FnMut() -> u64 {
    let mut draw = Draw::seeded(7);
    move || draw.bits()
}

#[test]
fn composing_and_verifying_allocate_nothing() {
    let apl: Apl = "2:2001:db8:5::/64 2:2001:db8:6::/64 !2:2001:db8::/32".parse().unwrap();
    let space = AddressSpace::new(&apl).unwrap();
    let key = Key::Secret(Secret::new([9; 16]));
    let source = Source("2001:db8:77::1".parse().unwrap());
    let request = Request {
        object: Some(b"00112233-4455-6677-8899-aabbccddeeff"),
        chunk: Some(Chunk(3)),
        port: Some(Port(443)),
        time: Some(UnixTime(1_800_000_000)),
        replica: Replica(0),
        ..Request::new(source)
    };
    for record in RECORDS {
        let parsed: Record = record.parse().unwrap();
        let rule = Rule::prepare(&parsed, space.as_ref(), &key).unwrap();
        let published = Published::new(vec![rule]).unwrap();
        let mut random = random();
        let mut composed = None;
        let composing = measure(|| composed = rule.compose(&request, &mut random).ok());
        assert_eq!(composing.count_total, 0, "composing {record}");

        let failing = measure(|| {
            let nothing = Request::new(source);
            let _ = rule.compose(&nothing, &mut random);
            let _ = rule.search(&request, ItemSet::EMPTY, &mut random);
        });
        assert_eq!(failing.count_total, 0, "failing to compose {record}");

        let connection = Connection {
            object: request.object,
            chunk: request.chunk,
            port: request.port,
            time: request.time,
        };
        let sources = rule
            .positive_items()
            .map(|(_, item)| ItemSource { item, source: source.0 });
        let sources: Vec<ItemSource> = sources.collect();
        let sources = Sources {
            by_item: &sources,
            default: None,
        };
        let failed = rule.positive_items().map(|(item, _)| Candidate {
            item,
            replica: Replica(0),
            address: composed.unwrap(),
        });
        let failed = failed.collect::<Vec<_>>().repeat(32);
        let mut chosen = None;
        let choosing = measure(|| {
            chosen = rule
                .choose(&connection, &sources, &failed.iter().copied(), &mut random)
                .ok();
            if let Some(Choice::Work(work)) = &mut chosen {
                let _ = rule.resume(work, &connection, u32::MAX, &mut random);
            }
        });
        assert_eq!(choosing.count_total, 0, "choosing {record}");
        assert!(chosen.is_some(), "{record}");

        let destination = composed.unwrap();
        let flow = Flow {
            port: request.port,
            object: request.object,
            chunk: request.chunk,
            ..Flow::new(source, destination, UnixTime(1_800_000_000))
        };
        let (mut verdict, mut judgement) = (None, None);
        let verifying = measure(|| verdict = rule.verify(&flow).ok());
        assert_eq!(verifying.count_total, 0, "verifying {record}");
        assert_eq!(verdict.unwrap().name(), "conforming", "{record}");
        let judging = measure(|| judgement = published.verify(&flow));
        assert_eq!(judging.count_total, 0, "judging {record}");

        let others = measure(|| {
            for bit in 0..128 {
                let destination = Destination((u128::from(destination.0) ^ (1 << bit)).into());
                let _ = rule.verify(&Flow {
                    destination,
                    object: None,
                    port: None,
                    ..flow
                });
                let _ = rule.verify(&Flow {
                    destination,
                    object: Some(b"no number"),
                    ..flow
                });
            }
        });
        assert_eq!(others.count_total, 0, "refusing {record}");
    }
}
