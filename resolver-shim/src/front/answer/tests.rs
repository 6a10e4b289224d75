use std::net::Ipv6Addr;

use super::{
    super::{
        query::Query,
        tests::{NOW, QUERIER, entries, querier},
        wire::{
            self, RESPONSE,
            tests::{labels, opt, query, record, reply},
        },
    },
    *,
};
use ssa_testing::Draw;

const PLAIN: &str = "2001:db8:6::1";
const AUTHORITY: u16 = RESPONSE | AUTHORITATIVE | RECURSION_DESIRED | AUTHENTIC_DATA;

fn table() -> Table {
    Table {
        entries: entries("v=ssa1; addr=hash(src/64):20 rand:44"),
        ..Table::default()
    }
}

fn asked(query: &[u8]) -> Asked {
    Query::read(query, false).unwrap().asked().unwrap()
}

fn receive(query: &[u8], answer: &[u8], from: &str) -> Option<Received> {
    receive_by(&table(), query, answer, from)
}

fn receive_by(table: &Table, query: &[u8], answer: &[u8], from: &str) -> Option<Received> {
    let mut random = Draw::seeded(5);
    table.receive(&asked(query), answer.to_vec(), querier(from), NOW, &mut || {
        random.bits()
    })
}

fn aaaa(owner: &[u8], address: &str) -> Vec<u8> {
    record(owner, kind::AAAA, 900, &address.parse::<Ipv6Addr>().unwrap().octets())
}

/// Returns the addresses of a section with their owners and TTLs.
fn addresses(bytes: &[u8], section: Section) -> Vec<(Vec<u8>, Ipv6Addr, u32)> {
    let message = Message::read(bytes).unwrap();
    let of = |record: &Record| {
        let address = <[u8; 16]>::try_from(message.data(record)).ok()?;
        Some((message.owner(record)?, address.into(), record.ttl))
    };
    let found = message
        .records
        .iter()
        .filter(|record| (record.section, record.kind, record.class) == (section, kind::AAAA, kind::IN));
    found.filter_map(of).collect()
}

fn is_composed(address: Ipv6Addr) -> bool {
    let items = ["2001:db8:5::/64", "2001:db8:7::/64"];
    items
        .iter()
        .any(|item| item.parse::<ipnet::Ipv6Net>().unwrap().contains(&address))
}

fn options(bytes: &[u8]) -> Option<Vec<u16>> {
    let message = Message::read(bytes).unwrap();
    let record = message.records.iter().find(|record| record.kind == kind::OPT)?;
    Some(Opt::read(&message, record)?.options().map(|(code, _)| code).collect())
}

/// RFC 7873 §5.3: a client that has met a server's cookie discards answers without one.
#[test]
fn no_cookie_of_a_server_reaches_an_querier() {
    let asking = query("other.test", kind::A, 1, &opt(0, false, b"\0\x0a\0\x08abcdefgh"));
    let all: Vec<u8> = (1..=20_u8).flat_map(|code| [0, code, 0, 1, 0]).collect();
    let address = record(b"\xc0\x0c", kind::A, 7, &[192, 0, 2, 9]);
    for additional in [
        vec![opt(0, false, &all)],
        vec![opt(0, false, &all), record(b"\xc0\x0c", kind::A, 7, &[192, 0, 2, 9])],
    ] {
        let answer = reply(&asking, AUTHORITY, [std::slice::from_ref(&address), &[], &additional]);
        let received = receive(&asking, &answer, QUERIER).unwrap();
        assert_eq!(options(&received.bytes), Some(vec![8, 15]));
        let message = Message::read(&received.bytes).unwrap();
        assert_eq!(message.records.len(), 1 + additional.len());
        assert_eq!(message.flags, AUTHORITY);
        let opt = message.records.last().unwrap();
        assert_eq!(opt.class, PAYLOAD);
    }
}

/// RFC 6891 §6.1.1 and §7.
#[test]
fn answers_have_edns_where_queries_have() {
    let address = [record(b"\xc0\x0c", kind::A, 7, &[192, 0, 2, 9])];
    let plain = query("other.test", kind::A, 0, &[]);
    let with_edns = query("other.test", kind::A, 1, &opt(0, true, &[]));
    for asking in [&plain, &with_edns] {
        for additional in [vec![], vec![opt(0, true, &[])]] {
            let answer = reply(asking, RESPONSE, [&address, &[], &additional]);
            let received = receive(asking, &answer, QUERIER).unwrap();
            assert_eq!(options(&received.bytes).is_some(), asking == &with_edns);
        }
    }
    // What a server says without it comes back as it was.
    let answer = reply(&plain, AUTHORITY, [&address, &[], &[]]);
    assert_eq!(receive(&plain, &answer, QUERIER).unwrap().bytes, answer);
    // Two of them, or one that is truncated, say nothing.
    for additional in [vec![opt(0, true, &[]); 2], vec![opt(0, true, b"\0\x0a\0\x08")]] {
        assert_eq!(
            receive(&plain, &reply(&plain, RESPONSE, [&[], &[], &additional]), QUERIER),
            None
        );
    }
}

/// RFC 2181 §9: what is truncated says nothing but that the querier is to come by TCP.
#[test]
fn what_is_cut_inside_a_record_is_cut_before_it() {
    let asking = query("other.test", 16, 1, &opt(0, false, &[]));
    let records = vec![record(b"\xc0\x0c", 16, 7, &[9; 200]); 4];
    let mut answer = reply(&asking, RESPONSE | TRUNCATED, [&records, &[], &[]]);
    answer.truncate(512);
    let received = receive(&asking, &answer, QUERIER).unwrap().bytes;
    let message = Message::read(&received).unwrap();
    assert_eq!((message.records.len(), message.flags & TRUNCATED), (1, TRUNCATED));
    answer[2] &= 0xfd;
    assert_eq!(receive(&asking, &answer, QUERIER), None);
}

#[test]
fn signed_answers_stay_as_they_are() {
    let tsig = record(b"\x01k\0", kind::TSIG, 0, &[7; 40]);
    let asking = query("web.demo.test", kind::AAAA, 1, &tsig);
    let answer = reply(
        &asking,
        AUTHORITY,
        [&[aaaa(b"\xc0\x0c", PLAIN)], &[], &[opt(0, false, b"\0\x0a\0\0"), tsig]],
    );
    assert_eq!(receive(&asking, &answer, QUERIER).unwrap().bytes, answer);
}

#[test]
fn aliases_lead_to_composed_addresses() {
    let asking = query("www.demo.test", kind::AAAA, 1, &opt(0, false, &[]));
    let alias = record(b"\xc0\x0c", kind::CNAME, 60, b"\x05alias\xc0\x10");
    let second = record(b"\x05Alias\xc0\x10", kind::CNAME, 60, b"\x03WEB\xc0\x10");
    let owner = b"\x03web\xc0\x10";
    let soa = record(b"\xc0\x10", kind::SOA, 5, &[0; 22]);
    let whole = [
        alias.clone(),
        second.clone(),
        aaaa(owner, PLAIN),
        aaaa(owner, "2001:db8:6::2"),
    ];
    let none = [alias.clone(), second];
    for (answers, authorities) in [(&whole[..], vec![]), (&none[..], vec![soa])] {
        let answer = reply(&asking, AUTHORITY, [answers, &authorities, &[opt(0, false, &[])]]);
        let received = receive(&asking, &answer, QUERIER).unwrap();
        assert!(received.is_composed);
        let found = addresses(&received.bytes, Section::Answer);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == labels("web.demo.test") && is_composed(found[0].1) && found[0].2 <= 100);
        let message = Message::read(&received.bytes).unwrap();
        // Nobody has proven it, nor is it of the zone (RFC 4035 §3.2.3); nothing says that there is none.
        assert_eq!(message.flags & (AUTHENTIC_DATA | AUTHORITATIVE), 0);
        assert!(
            !message
                .records
                .iter()
                .any(|record| record.section == Section::Authority)
        );
        assert_eq!(options(&received.bytes), Some(vec![]));
        // To whom nothing can be composed, the published address is told.
        assert_eq!(
            receive(&asking, &answer, "192.0.2.1").unwrap().bytes[..answer.len() - 11],
            answer[..answer.len() - 11]
        );
    }
    // Who wants signatures, or no checks, gets what the server says.
    for (at, flag) in [(3, 0x10_u8), (asking.len() - 4, 0x80)] {
        let mut asking = asking.clone();
        asking[at] |= flag;
        let answer = reply(&asking, AUTHORITY, [&whole, &[], &[]]);
        let found = addresses(&receive(&asking, &answer, QUERIER).unwrap().bytes, Section::Answer);
        assert_eq!(found.len(), 2);
    }
    // An alias that leads nowhere, in a circle, or elsewhere.
    for target in ["nowhere.test", "www.demo.test"] {
        let circle = record(b"\xc0\x0c", kind::CNAME, 60, &labels(target));
        let answer = reply(&asking, RESPONSE, [&[circle], &[], &[]]);
        assert!(!receive(&asking, &answer, QUERIER).unwrap().is_composed);
    }
    let failing = reply(&asking, RESPONSE | 3, [&[alias], &[], &[]]);
    assert!(!receive(&asking, &failing, QUERIER).unwrap().is_composed);
}

/// RFC 2782, RFC 9460 §4: servers add addresses of what records name. RFC 8482 §4.1: ANY may be a choice.
#[test]
fn addresses_of_services_are_composed_wherever_they_stand() {
    let asking = query("demo.test", 33, 0, &[]);
    let service = record(b"\xc0\x0c", 33, 60, &[&[0; 6][..], &labels("web.demo.test")].concat());
    // The owner points into the data of the record before.
    let at = u8::try_from(asking.len() + 18).unwrap();
    let other = aaaa(b"\x02ns\xc0\x0c", "2001:db8::53");
    let additional = [
        aaaa(&[0xc0, at], PLAIN),
        aaaa(&[0xc0, at], "2001:db8:6::2"),
        other.clone(),
    ];
    let received = receive(
        &asking,
        &reply(&asking, RESPONSE, [&[service], &[], &additional]),
        QUERIER,
    )
    .unwrap();
    assert!(!received.is_composed);
    let found = addresses(&received.bytes, Section::Additional);
    assert_eq!(found.len(), 2);
    assert!(is_composed(found[0].1), "{found:?}");
    assert_eq!(found[1].1, "2001:db8::53".parse::<Ipv6Addr>().unwrap());
    let any = query("web.demo.test", 255, 0, &[]);
    let own = [
        record(b"\xc0\x0c", kind::A, 1, &[192, 0, 2, 1]),
        aaaa(b"\xc0\x0c", PLAIN),
    ];
    let received = receive(&any, &reply(&any, RESPONSE, [&own, &[], &[]]), QUERIER).unwrap();
    assert!(received.is_composed && is_composed(addresses(&received.bytes, Section::Answer)[0].1));
    assert_eq!(Message::read(&received.bytes).unwrap().records.len(), 2);
}

/// RFC 9460 §7.3: clients may connect by hints alone.
#[test]
fn hints_do_not_lead_past_the_rule() {
    let hint = |address: &str| [&[0, 6, 0, 16][..], &address.parse::<Ipv6Addr>().unwrap().octets()].concat();
    let data = |target: &str, hint: &[u8]| [&[0, 1][..], &labels(target), b"\0\x01\0\x03\x02h2", hint].concat();
    let elsewhere = hint("2001:db8:99::1");
    for (name, target, hint, goes) in [
        // By name: the owner's own, and another's.
        ("web.demo.test", "", elsewhere.clone(), true),
        ("_8443._https.demo.test", "WEB.demo.test", elsewhere.clone(), true),
        // By address: a published one, and one that follows the rule.
        ("www.demo.test", "", hint(PLAIN), true),
        ("www.demo.test", "", hint("2001:db8:5::77"), true),
        ("www.demo.test", "cdn.test", elsewhere.clone(), false),
        ("www.demo.test", "cdn.test", vec![], false),
    ] {
        for kind in [kind::HTTPS, kind::SVCB] {
            let asking = query(name, kind, 0, &[]);
            let https = record(b"\xc0\x0c", kind, 300, &data(target, &hint));
            let answer = reply(&asking, RESPONSE, [&[https], &[], &[]]);
            let received = receive(&asking, &answer, QUERIER).unwrap().bytes;
            let message = Message::read(&received).unwrap();
            let expected = data(target, if goes { &[] } else { &hint });
            assert_eq!(message.data(&message.records[0]), expected, "{name} {target}");
            assert_eq!(message.records[0].ttl, 300);
            // To whom nothing is composed, they are the published addresses.
            assert_eq!(receive(&asking, &answer, "192.0.2.1").unwrap().bytes, answer);
        }
    }
    // More than are compared go, whatever they are.
    let asking = query("www.demo.test", kind::HTTPS, 0, &[]);
    let many = record(
        b"\xc0\x0c",
        kind::HTTPS,
        300,
        &data("", &[&[0, 6, 2, 0][..], &[0x30; 512]].concat()),
    );
    let received = receive(&asking, &reply(&asking, RESPONSE, [&[many], &[], &[]]), QUERIER)
        .unwrap()
        .bytes;
    let message = Message::read(&received).unwrap();
    assert_eq!(message.data(&message.records[0]), data("", &[]));
}

/// RFC 9460 §2.2 and §7.3: who meets such a record is to use none of its set; but there are those who read what they can.
#[test]
fn hints_that_cannot_be_read_do_not_get_through() {
    let plain: Ipv6Addr = PLAIN.parse().unwrap();
    let param = |key: u8, value: &[u8]| [&[0, key, 0, u8::try_from(value.len()).unwrap()][..], value].concat();
    let hint = param(6, &plain.octets());
    let data = |priority: u8, params: &[&[u8]]| [&[0, priority, 0][..], &params.concat()].concat();
    let good = data(1, &[&param(1, b"\x02h2")]);
    let cases = [
        // Cut short, behind the hint and in it.
        data(1, &[&hint, b"\0\x07\0"]),
        data(1, &[&hint, b"\0\x07\0\x09x"]),
        data(1, &[b"\0\x06\0\x20", &plain.octets()]),
        // Hints that are no addresses.
        data(1, &[&param(6, &[])]),
        data(1, &[&param(6, &[&plain.octets()[..], &[0]].concat())]),
        data(1, &[&param(6, &plain.octets()[..15])]),
        // Keys out of order, and one twice.
        data(1, &[&hint, &param(1, b"\x02h2")]),
        data(1, &[&hint, &hint]),
        // A name behind a pointer, and one that does not end.
        [b"\0\x01\xc0\x0c", &hint[..]].concat(),
        [b"\0\x01\x3fweb", &hint[..]].concat(),
        vec![0],
    ];
    for kind in [kind::HTTPS, kind::SVCB] {
        let asking = query("www.demo.test", kind, 0, &[]);
        for (number, case) in cases.iter().enumerate() {
            let records = [good.as_slice(), case].map(|data| record(b"\xc0\x0c", kind, 300, data));
            let answer = reply(&asking, RESPONSE, [&records, &[], &[]]);
            let received = receive(&asking, &answer, QUERIER).unwrap().bytes;
            assert!(Message::read(&received).unwrap().records.is_empty(), "case {number}");
            // To whom nothing is composed, it comes as it is.
            assert_eq!(receive(&asking, &answer, "192.0.2.1").unwrap().bytes, answer);
        }
        // An alias has no hints that count (RFC 9460 §2.4.2), and they go all the same.
        let alias = record(b"\xc0\x0c", kind, 300, &data(0, &[&hint]));
        let received = receive(&asking, &reply(&asking, RESPONSE, [&[alias], &[], &[]]), QUERIER).unwrap();
        let message = Message::read(&received.bytes).unwrap();
        assert_eq!(message.data(&message.records[0]), data(0, &[]));
    }
}

/// C libraries follow pointers that lead forward; whose such a record is the front does not know.
#[test]
fn owners_that_cannot_be_read_do_not_get_through() {
    let asking = query("www.demo.test", kind::AAAA, 0, &[]);
    let own = record(b"\xc0\x0c", kind::CNAME, 60, &labels("web.demo.test"));
    let at = u8::try_from(asking.len() + own.len() + 28).unwrap();
    let hidden = aaaa(&[0xc0, at], PLAIN);
    let name = record(&labels("web.demo.test"), kind::A, 60, &[192, 0, 2, 1]);
    let answer = reply(&asking, RESPONSE, [&[own, hidden, name], &[], &[]]);
    assert_eq!(receive(&asking, &answer, QUERIER), None);
    assert_eq!(receive(&asking, &answer, "192.0.2.1").unwrap().bytes, answer);
}

/// RFC 1034 §4.3.1, RFC 6672 §2.2, RFC 6891 §6.1.3.
#[test]
fn other_servers_are_asked_where_one_does_not_say() {
    let asking = query("other.test", kind::A, 0, &[]);
    let ns = record(b"\xc0\x12", kind::NS, 9, &labels("ns.test"));
    let soa = record(b"\xc0\x12", kind::SOA, 9, &[0; 22]);
    let address = record(b"\xc0\x0c", kind::A, 9, &[192, 0, 2, 1]);
    let told = |flags: u16, sections: [&[Vec<u8>]; 3]| is_final(&reply(&asking, RESPONSE | flags, sections), &asking);
    for code in 0..16 {
        assert_eq!(told(code, [&[], &[], &[]]), [0, 3, 6].contains(&code), "{code}");
    }
    let mut bad_version = opt(0, false, &[]);
    bad_version[5] = 1;
    assert!(!told(0, [&[], &[], &[bad_version]]));
    assert!(!told(0, [&[], std::slice::from_ref(&ns), &[]]));
    for (flags, sections) in [
        (AUTHORITATIVE, [&[][..], &[ns.clone()][..], &[][..]]),
        (wire::RECURSION_AVAILABLE, [&[], std::slice::from_ref(&ns), &[]]),
        (0, [&[], &[soa.clone(), ns.clone()], &[]]),
        (0, [&[address], std::slice::from_ref(&ns), &[]]),
    ] {
        assert!(told(flags, sections));
    }
    let whole = reply(&asking, RESPONSE, [&[], std::slice::from_ref(&soa), &[]]);
    assert!(!is_final(&whole[..whole.len() - 1], &asking));
    let cut = reply(&asking, RESPONSE | TRUNCATED, [&[], &[soa], &[]]);
    assert!(is_final(&cut[..cut.len() - 1], &asking));
    // Who wants no recursion gets the referral.
    let mut iterative = asking.clone();
    iterative[2] = 0;
    assert!(is_final(&reply(&iterative, RESPONSE, [&[], &[ns], &[]]), &iterative));
}

/// RFC 8767 §4, RFC 8914 §4.4.
#[test]
fn what_is_stale_holds_for_half_a_minute() {
    let address = record(b"\xc0\x0c", kind::A, 900, &[192, 0, 2, 1]);
    let kept = reply(
        &query("web.demo.test", kind::A, 0, &[]),
        AUTHORITY,
        [&[address], &[], &[]],
    );
    let asking = query("wEb.demo.test", kind::A, 1, &opt(0, false, &[]));
    let told = stale(&asked(&asking), &kept).unwrap();
    let message = Message::read(&told).unwrap();
    assert_eq!(
        (message.records[0].ttl, message.data(&message.records[0])),
        (30, &[192, 0, 2, 1][..])
    );
    assert_eq!(message.flags & (AUTHENTIC_DATA | AUTHORITATIVE | CODE), 0);
    assert!(wire::answers(&told, wire::question(&asking)) && told[..2] == asking[..2]);
    assert_eq!(wire::question(&told), wire::question(&asking));
    assert_eq!(options(&told), Some(vec![15]));
    let nothing = nothing_known(&asked(&asking)).unwrap();
    assert_eq!((nothing[3] & 15, options(&nothing)), (0, Some(vec![15])));
    assert_eq!(Message::read(&nothing).unwrap().records.len(), 1);
    let plain = query("web.demo.test", kind::A, 0, &[]);
    assert_eq!(nothing_known(&asked(&plain)).unwrap().len(), plain.len());
}

#[test]
fn any_octets_of_a_server_become_an_answer_or_none() {
    let service = record(b"\xc0\x0c", 33, 60, &[&[0; 6][..], &labels("web.demo.test")].concat());
    let https = [&[0, 1][..], &labels("web.demo.test"), b"\0\x06\0\x10", &[0x20; 16]].concat();
    let asking = query("www.demo.test", kind::AAAA, 1, &opt(0, false, &[]));
    let answers = [
        record(b"\xc0\x0c", kind::CNAME, 60, b"\x03web\xc0\x10"),
        aaaa(b"\x03web\xc0\x10", PLAIN),
        aaaa(b"\xc0\x2f", PLAIN),
        service,
        record(b"\xc0\x0c", kind::HTTPS, 60, &https),
    ];
    let good = reply(
        &asking,
        AUTHORITY,
        [
            &answers,
            &[record(
                b"\xc0\x0c",
                kind::SOA,
                1,
                b"\xc0\x0c\xc0\x10abcdefghijklmnopqrst",
            )],
            &[opt(0, false, b"\0\x0a\0\x08abcdefgh")],
        ],
    );
    let (table, mut random) = (table(), Draw::seeded(11));
    let [mut composed, mut received, mut unread] = [0; 3];
    for _ in 0..50_000 {
        let mut answer = good.clone();
        let mut below = |end: usize| usize::try_from(random.below(u64::try_from(end).unwrap())).unwrap();
        for _ in 0..below(4) {
            let place = below(answer.len().max(1));
            match below(6) {
                0 => answer.truncate(place),
                1 => answer.insert(place.min(answer.len()), u8::try_from(below(256)).unwrap()),
                _ => answer
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|byte| *byte = u8::try_from(below(256)).unwrap()),
            }
        }
        let _ = (is_final(&answer, &asking), knows_no_edns(&answer));
        if !wire::answers(&answer, wire::question(&asking)) {
            continue;
        }
        match receive_by(&table, &asking, &answer, QUERIER) {
            None => unread += 1,
            Some(found) => {
                received += 1;
                composed += usize::from(found.is_composed);
                let message = Message::read(&found.bytes).unwrap();
                assert!(options(&found.bytes).is_some());
                assert!(found.bytes.len() <= answer.len() + 60);
                let published = addresses(&found.bytes, Section::Answer);
                let web = labels("web.demo.test");
                assert!(
                    published
                        .iter()
                        .all(|(owner, address, _)| *owner != web || is_composed(*address))
                );
                assert!(message.records.iter().filter(|record| record.kind == kind::OPT).count() == 1);
            }
        }
    }
    assert!(
        composed > 5000 && received > 10_000 && unread > 5000,
        "{composed} {received} {unread}"
    );
}
