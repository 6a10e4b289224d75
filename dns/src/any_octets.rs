//! Whatever octets come, they are an answer or none: nothing panics, and what is taken is bounded. The cases are the same
//! in every run.

use hickory_resolver::proto::{
    op::Query,
    rr::{DNSClass, RecordType},
};
use ssa_testing::Draw;

use crate::{
    MAX_ALIASES, Proof,
    servers::reply,
    system::servers_of,
    testing::{APL, ID, NAME, list, message, record, wire_name},
    wire::{Unfit, decode},
};

const CASES: usize = 60_000;

fn seeds() -> Vec<(u16, Vec<u8>)> {
    let alias = record(NAME, 5, 1, 9, &wire_name("one.test"));
    let pointed = record(b"\xc0\x0c", APL, 1, 9, b"\x00\x02\x40\x02\x20\x01");
    let start = [wire_name("ns.test"), wire_name("root.test"), vec![1; 20]].concat();
    let start = record(&wire_name("test"), 6, 1, 9, &start);
    let signature = [
        &b"\x00\x10\x0f\x02\x00\x00\x00\x09\x7f\xff\xff\xff\x00\x00\x00\x00\x00\x01"[..],
        b"\0",
        &[7; 64],
    ];
    let signature = record(NAME, 46, 1, 9, &signature.concat());
    let options = record(b"\0", 41, 1232, 0, b"\x00\x0a\x00\x08abcdefgh");
    let text = record(NAME, 16, 1, 9, b"\x06v=ssa1\x01;");
    let address = record(NAME, 28, 1, 9, &[1; 16]);
    let further = record(&wire_name("one.test"), APL, 1, 9, b"\x00\x02\x40\x02\x20\x01");
    vec![
        (APL, message(0x8600, APL, [1, 1, 0, 0], &[list()])),
        (APL, message(0x8400, APL, [1, 1, 0, 0], &[record(NAME, APL, 3, 9, b"")])),
        (
            APL,
            message(0x8400, APL, [1, 2, 0, 1], &[pointed, list(), options.clone()]),
        ),
        (
            APL,
            message(0x8400, APL, [1, 2, 1, 0], &[further, alias, start.clone()]),
        ),
        (16, message(0x8400, 16, [1, 2, 0, 1], &[text, signature, options])),
        (28, message(0x8400, 28, [1, 2, 0, 0], &[address.clone(), address])),
        (APL, message(0x8403, APL, [1, 0, 1, 0], &[start])),
        (APL, message(0x8401, APL, [0, 0, 0, 0], &[])),
    ]
}

fn changed(seed: &[u8], random: &mut Draw) -> Vec<u8> {
    let mut octets = seed.to_vec();
    for _ in 0..=random.index(3) {
        // The number at the start is guessed by few.
        let at = 2 + random.index(octets.len().saturating_sub(2));
        let end = (at + random.index(12)).min(octets.len());
        match random.index(6) {
            0 => octets.truncate(at),
            1 if at < end => drop(octets.drain(at..end)),
            2 if at <= end => {
                let again = octets.get(at..end).unwrap_or_default().to_vec();
                octets.splice(end..end, again);
            }
            3 => octets.iter_mut().skip(at).take(2).for_each(|octet| *octet = 0xff),
            4 => octets.iter_mut().skip(at).take(1).for_each(|octet| *octet = 0xc0),
            _ => octets
                .iter_mut()
                .skip(at)
                .take(1)
                .for_each(|octet| *octet ^= 1 << random.index(8)),
        }
    }
    octets
}

#[test]
fn any_octets_are_an_answer_or_none() {
    let mut random = Draw::seeded(5);
    let seeds = seeds();
    let name = crate::name("web.demo.test").unwrap();
    let mut met = [0; 5];
    for number in 0..CASES {
        let (kind, seed) = &seeds[number % seeds.len()];
        let kind = RecordType::from(*kind);
        let octets = changed(seed, &mut random);
        let answer = decode(&octets, ID, &Query::query(name.clone(), kind));
        let way = match answer {
            Err(Unfit::Stray(_)) => 0,
            Err(Unfit::Truncated) => 1,
            Err(Unfit::Malformed(_)) => 2,
            Err(Unfit::OffTopic) => 3,
            Ok(answer) => {
                for record in answer.answers.iter().chain(&answer.authorities) {
                    assert!(record.ttl <= 0x7fff_ffff && record.dns_class == DNSClass::IN);
                }
                // A record has 11 octets at least.
                assert!(answer.answers.len() <= octets.len() / 11);
                match reply(&answer, &name, kind, Proof::Unchecked, ([192, 0, 2, 53], 53).into()) {
                    Ok(reply) => assert!(reply.followed <= MAX_ALIASES),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
                4
            }
        };
        met[way] += 1;
    }
    // Each outcome is reached.
    assert!(met.iter().all(|count| *count > CASES / 1000), "{met:?}");
}

#[test]
fn any_resolv_conf_is_read() {
    let seed =
        b"# x\nsearch demo.test\nnameserver 192.0.2.1\nnameserver fe80::1%7 ; y\noptions edns0\nnameserver ::1\n";
    let mut random = Draw::seeded(7);
    let mut met = 0;
    for _ in 0..CASES / 4 {
        let text = changed(seed, &mut random);
        let found = servers_of(&String::from_utf8_lossy(&text));
        assert!(found.len() <= 8, "{found:?}");
        met += found.len();
    }
    assert!(met > CASES / 4, "{met}");
}

#[test]
fn any_name_is_taken_or_refused() {
    let mut random = Draw::seeded(9);
    let seed = "_ssa.W\u{fc}b\\046x\\.y-z.d\u{e9}mo.test.".as_bytes();
    let mut taken = 0;
    for _ in 0..CASES / 4 {
        let text = String::from_utf8_lossy(&changed(seed, &mut random)).into_owned();
        match crate::name(&text) {
            Ok(name) => {
                assert!(
                    name.is_fqdn() && name.len() <= 255 && name.iter().all(|label| (1..=63).contains(&label.len()))
                );
                taken += 1;
            }
            Err(reason) => assert!(!reason.to_string().is_empty()),
        }
    }
    assert!(taken > CASES / 40, "{taken}");
}
