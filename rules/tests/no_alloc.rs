//! Composing and verifying allocate nothing, whatever the record and the outcome.

use std::time::Instant;

use allocation_counter::measure;
use ssa_rules::{
    AddressSpace, Apl, Candidate, Choice, Chunk, Connection, Destination, Flow, HttpRequest, ItemSet, ItemSource, Key,
    Port, Published, Record, Replica, Request, Rule, Secret, Source, Sources, UnixTime, http::MAX_OBJECT_BYTES,
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
        let published = Published::new(vec![(rule, parsed.keys().clone())]).unwrap();
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

type Field = (Vec<u8>, Vec<u8>);

/// Requests of 256 KiB: of fields, names and values, parts, segments and escapes.
fn requests() -> Vec<(Vec<u8>, Vec<Field>)> {
    const SIZE: usize = 1 << 18;
    let many = |text: &str| text.repeat(SIZE / text.len()).into_bytes();
    let target = |text: &str| [b"/", &many(text)[..]].concat();
    let one = |name: &str, value: &str| vec![(name.as_bytes().to_vec(), many(value))];
    let fields = |name: &str, value: &str| vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec()); SIZE / 8];
    vec![
        (target("a/"), vec![]),
        (target("/"), vec![]),
        (target("%2e/"), vec![]),
        (target("%"), vec![]),
        (target("%41"), vec![]),
        ([b"/?", &many("&")[..]].concat(), vec![]),
        ([b"/?", &many("a=b&")[..]].concat(), vec![]),
        ([b"/?", &many("%6b")[..], b"=1"].concat(), vec![]),
        (many("a"), vec![]),
        ([b"a://", &many("b")[..]].concat(), vec![]),
        (b"/".to_vec(), one("k", ",")),
        (b"/".to_vec(), one("k", " ")),
        (b"/".to_vec(), one("k", "a , ")),
        (b"/".to_vec(), one("cookie", ";")),
        (b"/".to_vec(), one("cookie", "a=b; ")),
        (b"/".to_vec(), one("cookie", "k")),
        (b"/".to_vec(), one("range", "bytes=0-1,")),
        (b"/".to_vec(), one("content-range", "0")),
        (b"/".to_vec(), fields("k", "")),
        (b"/".to_vec(), fields("k", "v")),
        (b"/".to_vec(), fields("x-other", "v")),
        (b"/".to_vec(), fields("cookie", "a=b")),
        (b"/".to_vec(), fields("range", "bytes=0-1")),
        (b"/".to_vec(), vec![(many("k"), b"v".to_vec())]),
    ]
}

/// The tags that read most of a request, each source in vain as far as it can be.
const READERS: [&str; 4] = [
    "obj=path:/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{*}/{obj},path:/{obj...},path:/{obj}/{*...},path:/k/{obj}",
    "obj=query:k,query:k,query:k,query:k; chunk=query:k",
    "obj=header:k,header:k,header:k,header:k; chunk=header:k",
    "obj=cookie:k,cookie:k,cookie:k,cookie:k; chunk=range:1048576",
];

#[test]
fn finding_keys_allocates_nothing_and_reads_requests_of_any_size_once_a_source() {
    for tags in READERS {
        let record: Record = format!("v=ssa1; addr=rand:64; {tags}").parse().unwrap();
        for (target, fields) in &requests() {
            let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            let mut buffer = [0; MAX_OBJECT_BYTES];
            let began = Instant::now();
            let finding = measure(|| {
                let request = HttpRequest::new(Some(target), &fields);
                let _ = record.keys().find_object(&request, &mut buffer);
                let _ = record.keys().find_chunk(&request);
            });
            assert_eq!(finding.count_total, 0, "{tags}");
            // What is read five times takes a fraction of a second; what grows with its square, minutes.
            assert!(began.elapsed().as_secs() < 30, "{tags}: {:?}", began.elapsed());
        }
    }
}
