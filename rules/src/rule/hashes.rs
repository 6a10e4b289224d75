//! How many hashes composing and verifying take: what each costs most of its time.

use super::*;
use crate::{
    apl::{AddressSpace, Apl},
    choice::{Connection, Sources},
    hash::count::counted,
    record::Record,
    types::{Destination, Port, Secret, Source, UnixTime},
    verdict::Verdict,
};

const NOW: UnixTime = UnixTime(1_800_000_030);

fn prepared(record: &str) -> Rule {
    let record: Record = record.parse().unwrap();
    let apl: Apl = "2:2001:db8:5::/64 2:2001:db8:6::/64".parse().unwrap();
    let space = AddressSpace::new(&apl).unwrap();
    Rule::prepare(&record, space.as_ref(), &Key::Secret(Secret::new([7; 16]))).unwrap()
}

#[test]
fn nothing_is_hashed_twice() {
    // Of each record: the hashes to compose by it, and to find that an address conforms, or does not in its last bit.
    for (record, composing, conforming, violating) in [
        ("v=ssa1; addr=const(1):64", 0, 0, 0),
        ("v=ssa1; addr=rand:44 hash(src/64):20", 1, 1, 1),
        ("v=ssa1; addr=hash(src/64):20 hash(port):44", 2, 2, 2),
        ("v=ssa1; addr=hash(src/64,time/30):64; skew=0", 1, 1, 1),
        // A step before and one after are tried too.
        ("v=ssa1; addr=hash(src/64,time/30):64; skew=30", 1, 1, 3),
        ("v=ssa1; addr=rand:20 mac(src/64):44; key=k1", 1, 1, 1),
        // The client's own key is two.
        ("v=ssa1; addr=rand:20 mac(src/64):44; key=k1; kdf=src/48", 3, 3, 3),
        // Two items, then the field.
        ("v=ssa1; addr=rand:44 hash(src/64):20; item=hash(src/48)", 3, 3, 3),
        (
            "v=ssa1; addr=rand:20 mac(src/64):44; key=k1; kdf=src/48; item=hash(src/48)",
            5,
            5,
            5,
        ),
    ] {
        let rule = prepared(record);
        let source = Source("2001:db8:77::1".parse().unwrap());
        let request = Request {
            port: Some(Port(443)),
            time: Some(NOW),
            ..Request::new(source)
        };
        let (destination, hashes) = counted(|| rule.compose(&request, &mut || 0).unwrap());
        assert_eq!(hashes, composing, "composing by {record}");

        let connection = Connection {
            port: Some(Port(443)),
            time: Some(NOW),
            ..Connection::default()
        };
        let sources = Sources::all(source.0);
        let none = core::iter::empty();
        let (choice, hashes) = counted(|| rule.choose(&connection, &sources, &none, &mut || 0));
        assert!(choice.is_ok());
        assert_eq!(hashes, composing, "choosing by {record}");

        let mut flow = Flow::new(source, destination, NOW);
        flow.port = Some(Port(443));
        let (verdict, hashes) = counted(|| rule.verify(&flow).unwrap());
        assert!(matches!(verdict, Verdict::Conforming(_)), "{record}");
        assert_eq!(hashes, conforming, "verifying by {record}");

        flow.destination = Destination((u128::from(destination.0) ^ 1).into());
        let (verdict, hashes) = counted(|| rule.verify(&flow).unwrap());
        assert!(matches!(verdict, Verdict::Violation(_)), "{record}");
        assert_eq!(hashes, violating, "a violation of {record}");
    }
}

#[test]
fn a_proof_of_work_is_one_hash_a_try_and_a_minute() {
    let rule = prepared("v=ssa1; addr=rand:64; pow=6; skew=60");
    let source = Source("2001:db8:77::1".parse().unwrap());
    let request = Request {
        port: Some(Port(443)),
        time: Some(NOW),
        ..Request::new(source)
    };
    let mut search = rule.search(&request, ItemSet::EMPTY, &mut || 0).unwrap();
    let mut number = 0;
    let mut random = || {
        number += 1;
        number
    };
    let (found, hashes) = counted(|| rule.advance(&mut search, &request, u32::MAX, &mut random).unwrap());
    assert!(matches!(found, Progress::Found(_)));
    assert_eq!(u64::from(hashes), search.tries());

    // The minutes before, of and after now.
    let mut flow = Flow::new(source, Destination("2001:db8:5::1".parse().unwrap()), NOW);
    flow.port = Some(Port(443));
    let (verdict, hashes) = counted(|| rule.verify(&flow).unwrap());
    assert!(matches!(verdict, Verdict::Violation(_)));
    assert_eq!(hashes, 3);
}
