use super::{
    super::wire::tests::{opt, query, record},
    *,
};

fn code(message: &[u8]) -> Option<Code> {
    Query::read(message, false).err()
}

fn with(message: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut message = message.to_vec();
    message[at] = value;
    message
}

#[test]
fn plain_questions_for_addresses_are_read_and_answered() {
    let message = query("Web.Demo.test", kind::AAAA, 0, &[]);
    let plain = Query::read(&message, false).unwrap();
    assert_eq!(plain.name, b"\x03web\x04demo\x04test\0");
    assert!(plain.is_plain());
    let answer = plain.answer("2001:db8::7".parse().unwrap(), 30);
    assert!(wire::answers(&answer, wire::question(&message)) && !wire::is_query(&answer));
    assert_eq!(answer[2..12], [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(answer[12..message.len()], message[12..]);
    let record = b"\xc0\x0c\0\x1c\0\x01\0\0\0\x1e\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07";
    assert_eq!(answer[message.len()..], *record);
    // A cookie may be there, and is not answered by another.
    let message = query("web.demo.test", kind::AAAA, 1, &opt(0, false, b"\0\x0a\0\x08abcdefgh"));
    let answer = Query::read(&message, false).unwrap().answer(Ipv6Addr::LOCALHOST, 0);
    assert_eq!(answer[10..12], [0, 1]);
    assert!(answer.ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
}

#[test]
fn whatever_wants_more_is_not_plain() {
    let plain = query("web.demo.test", kind::AAAA, 0, &[]);
    let cases = [
        query("web.demo.test", kind::AAAA, 1, &opt(0, true, &[])),
        with(&plain, 2, 0),
        with(&plain, 3, 0x10),
    ];
    for (number, message) in cases.iter().enumerate() {
        assert!(!Query::read(message, false).unwrap().is_plain(), "case {number}");
    }
    // That the querier would believe a server's own checks is no demand (RFC 6840 §5.7).
    assert!(Query::read(&with(&plain, 3, 0x20), false).unwrap().is_plain());
}

/// RFC 1035 §4.1.1: AA, TC, RA and RCODE are of answers. No querier gets past the rule by them, nor does a server see them.
#[test]
fn flags_of_answers_mean_nothing_in_a_query() {
    let plain = query("web.demo.test", kind::AAAA, 0, &[]);
    let with_edns = query("web.demo.test", kind::AAAA, 1, &opt(0, false, &[]));
    for message in [&plain, &with_edns] {
        for (at, value) in [(2, 0x05), (2, 0x03), (2, 0x07), (3, 0x80), (3, 0x0f), (3, 0x8f)] {
            let message = with(message, at, value);
            let read = Query::read(&message, false).unwrap();
            assert!(read.is_plain(), "{at} {value:x}");
            let onward = read.asked().unwrap().onward;
            assert_eq!(onward[2..4], [1, 0], "{at} {value:x}");
        }
    }
    // Whatever else stands there stays.
    let message = with(&with(&plain, 2, 0x07), 3, 0xff);
    let onward = Query::read(&message, false).unwrap().asked().unwrap().onward;
    assert_eq!(onward[2..4], [1, 0x70]);
    // Records that nobody asks for make no other of it.
    let other = record(&[0], kind::A, 0, &[192, 0, 2, 1]);
    assert!(
        Query::read(&query("web.demo.test", kind::AAAA, 1, &other), false)
            .unwrap()
            .is_plain()
    );
}

/// RFC 1995 §3: of what answers are made of, IXFR alone has something. RFC 8945 §5.1: TSIG stands at the end.
#[test]
fn records_of_answers_are_none_of_a_query() {
    let counted = |kind: u16, at: usize, record: &[u8]| with(&query("demo.test", kind, 0, record), at, 1);
    let (answer, authority) = (7, 9);
    let address = record(b"\xc0\x0c", kind::AAAA, 7, &[7; 16]);
    let soa = record(b"\xc0\x0c", kind::SOA, 7, &[0; 22]);
    let tsig = record(b"\x01k\0", kind::TSIG, 0, &[7; 40]);
    for (asked, at, record) in [
        (kind::AAAA, answer, &address),
        (kind::AAAA, authority, &soa),
        (kind::IXFR, answer, &soa),
        (kind::IXFR, authority, &address),
        (kind::AXFR, authority, &soa),
        (kind::AAAA, authority, &tsig),
    ] {
        let message = counted(asked, at, record);
        assert_eq!(
            Query::read(&message, true).err(),
            Some(Code::FormatError),
            "{asked} {at}"
        );
    }
    assert!(Query::read(&counted(kind::IXFR, authority, &soa), true).is_ok());
    let signed = [tsig, opt(0, false, &[])].concat();
    assert_eq!(
        code(&query("web.demo.test", kind::AAAA, 2, &signed)),
        Some(Code::FormatError)
    );
}

/// RFC 1035 §4.1.1, RFC 9619 §4, RFC 6891 §6.1.1 and §6.1.2.
#[test]
fn what_is_no_query_is_a_format_error() {
    let plain = query("web.demo.test", kind::AAAA, 0, &[]);
    let both = [opt(0, false, &[]), opt(0, false, &[])].concat();
    let cases = [
        with(&plain, 5, 2),
        with(&plain, 5, 0),
        with(&plain, 7, 1),
        with(&plain, 12, 0xc0),
        plain[..plain.len() - 1].to_vec(),
        query("web.demo.test", kind::AAAA, 0, b"x"),
        query("web.demo.test", kind::AAAA, 1, &[]),
        query("web.demo.test", kind::AAAA, 0, &opt(0, false, &[])),
        query("web.demo.test", kind::AAAA, 2, &both),
        query("web.demo.test", kind::AAAA, 1, &opt(0, false, b"\0\x0a\0\x09abcdefgh")),
        query("web.demo.test", kind::AAAA, 1, &record(b"\x01x\0", kind::OPT, 0, &[])),
        query(&vec!["a".repeat(63); 4].join("."), kind::AAAA, 0, &[]),
    ];
    for (number, message) in cases.iter().enumerate() {
        assert_eq!(code(message), Some(Code::FormatError), "case {number}: {message:x?}");
    }
}

/// RFC 6891 §6.1.3.
#[test]
fn a_later_version_of_edns_is_told() {
    let message = query("web.demo.test", kind::AAAA, 1, &opt(1, false, &[]));
    assert_eq!(code(&message), Some(Code::BadVersion));
}

/// RFC 2136, RFC 1996, RFC 8490: what is not a query is judged by its sender's address or is of its connection.
#[test]
fn no_opcode_but_query_is_implemented() {
    let plain = query("demo.test", 6, 0, &[]);
    for opcode in 1..16 {
        assert_eq!(
            code(&with(&plain, 2, opcode << 3)),
            Some(Code::NotImplemented),
            "{opcode}"
        );
    }
    let dso = [&[0, 1, 6 << 3, 0][..], &[0; 8], &[0, 1, 0, 4, 0, 0, 0, 0]].concat();
    assert_eq!(code(&dso), Some(Code::NotImplemented));
}

/// RFC 5936 §2.2.1, RFC 4892 §3, RFC 6895 §3.1.
#[test]
fn zones_and_what_servers_say_of_themselves_are_refused() {
    for kind in [kind::AXFR, kind::IXFR, kind::OPT, 249, 250, 253, 254] {
        assert_eq!(code(&query("demo.test", kind, 0, &[])), Some(Code::Refused), "{kind}");
    }
    let chaos = query("version.bind", 16, 0, &[]);
    for class in [3, 4, 254, 255] {
        assert_eq!(
            code(&with(&chaos, chaos.len() - 1, class)),
            Some(Code::Refused),
            "{class}"
        );
    }
    for (kind, expected) in [(kind::AXFR, true), (kind::IXFR, true), (255, false), (256, false)] {
        let message = query("demo.test", kind, 0, &[]);
        let asked = Query::read(&message, true).unwrap().asked().unwrap();
        assert_eq!(asked.is_transfer(), expected, "{kind}");
    }
    assert_eq!(
        Query::read(&query("demo.test", 250, 0, &[]), true).err(),
        Some(Code::Refused)
    );
}

fn options(message: &[u8]) -> Vec<u16> {
    let message = Message::read(message).unwrap();
    let record = message.records.iter().find(|record| record.kind == kind::OPT).unwrap();
    Opt::read(&message, record)
        .unwrap()
        .options()
        .map(|(code, _)| code)
        .collect()
}

/// RFC 6891 §6.1.1: OPT records are of one hop. RFC 7873, RFC 5001 §2.1, RFC 7828, RFC 7830: and so are these options.
#[test]
fn options_of_a_hop_stay_on_it() {
    let all: Vec<u8> = (1..=20_u8).chain([200]).flat_map(|code| [0, code, 0, 1, 0]).collect();
    let message = query("web.demo.test", kind::A, 1, &opt(0, true, &all));
    let asked = Query::read(&message, false).unwrap().asked().unwrap();
    assert_eq!(options(&asked.onward), [5, 6, 7, 8]);
    assert_eq!((asked.edns, asked.has_subnet), (Some(true), true));
    // Whatever stands behind it stays where it was, or is written again.
    let behind = record(b"\xc0\x0c", kind::A, 7, &[192, 0, 2, 9]);
    let message = query("web.demo.test", kind::A, 2, &[opt(0, false, &all), behind].concat());
    let asked = Query::read(&message, false).unwrap().asked().unwrap();
    assert_eq!(options(&asked.onward), [5, 6, 7, 8]);
    let onward = Message::read(&asked.onward).unwrap();
    assert_eq!(onward.data(&onward.records[0]), [192, 0, 2, 9]);
    assert_eq!(onward.owner(&onward.records[0]).unwrap(), asked.name);
}

/// RFC 6891 §6.2.3, RFC 9715 §3.
#[test]
fn sizes_are_bounded_on_both_sides() {
    let size = |size: u16| {
        let mut own = opt(0, false, &[]);
        own[3..5].copy_from_slice(&size.to_be_bytes());
        let message = query("web.demo.test", kind::A, 1, &own);
        let asked = Query::read(&message, false).unwrap().asked().unwrap();
        let at = asked.onward.len() - 8;
        (asked.limit, number(&asked.onward, at).unwrap())
    };
    assert_eq!(size(0), (512, 512));
    assert_eq!(size(511), (512, 512));
    assert_eq!(size(900), (900, 900));
    assert_eq!(size(4096), (1232, 1232));
    let message = query("web.demo.test", kind::A, 0, &[]);
    let asked = Query::read(&message, false).unwrap().asked().unwrap();
    assert_eq!((asked.limit, asked.onward, asked.edns), (512, message, None));
}

/// RFC 8945 §5.5: a forwarder that does not have the key hands on the message as it is; RFC 2931 §3.
#[test]
fn signed_queries_are_handed_on_as_they_are() {
    let cookie = opt(0, false, b"\0\x0a\0\x08abcdefgh");
    let tsig = record(b"\x01k\0", kind::TSIG, 0, &[7; 40]);
    let sig = record(&[0], kind::SIG, 0, &[0; 40]);
    for (signature, signed) in [
        (&tsig, true),
        (&sig, true),
        (&record(&[0], kind::SIG, 0, &[&[1][..], &[0; 39]].concat()), false),
    ] {
        let message = query(
            "web.demo.test",
            kind::AAAA,
            2,
            &[cookie.clone(), signature.clone()].concat(),
        );
        let read = Query::read(&message, false).unwrap();
        let asked = read.asked().unwrap();
        assert_eq!(read.is_plain(), !signed);
        assert_eq!((asked.is_signed, asked.onward == message), (signed, signed));
        assert_eq!(without_edns(&message), None);
    }
}

/// RFC 6891 §7.
#[test]
fn queries_can_do_without_edns() {
    let plain = query("web.demo.test", kind::A, 0, &[]);
    assert_eq!(
        without_edns(&query("web.demo.test", kind::A, 1, &opt(0, true, &[]))),
        Some(plain.clone())
    );
    assert_eq!(without_edns(&plain), None);
}
