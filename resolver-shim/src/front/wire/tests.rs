use super::*;

/// Writes a query with so many additional records, whose bytes follow.
pub(crate) fn query(name: &str, kind: u16, additional: u16, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0];
    message.extend(additional.to_be_bytes());
    message.extend(labels(name));
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message.extend(rest);
    message
}

/// Writes a name.
pub(crate) fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

pub(crate) fn opt(version: u8, dnssec: bool, options: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0, 41, 0x10, 0, 0, version, if dnssec { 0x80 } else { 0 }, 0];
    record.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
    record.extend(options);
    record
}

/// Writes a record under a name as it is on the wire.
pub(crate) fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    record.extend(data);
    record
}

/// Writes a server's answer with the records of three sections.
pub(crate) fn reply(query: &[u8], flags: u16, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let mut answer = query[..HEADER + question(query).len()].to_vec();
    let [answers, authorities, additional] = sections.map(|section| u16::try_from(section.len()).unwrap());
    set_header(&mut answer, flags, [1, answers, authorities, additional]);
    answer.extend(sections.iter().flat_map(|section| section.concat()));
    answer
}

/// RFC 6891 §6.1.1: where a request has an OPT record, its response has one.
#[test]
fn failures_repeat_the_question_and_have_edns_where_the_query_does() {
    let message = query("web.demo.test", 1, 1, &opt(0, true, b"\0\x0a\0\x08abcdefgh"));
    let end = HEADER + question(&message).len();
    let answer = failure(&message, Code::Refused).unwrap();
    assert_eq!(answer[2..12], [0x81, 0x85, 0, 1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(answer[12..end], message[12..end]);
    // The flag that asks for signatures is repeated (RFC 3225 §3), options are not.
    assert_eq!(answer[end..], *b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
    let answer = failure(&message, Code::BadVersion).unwrap();
    assert_eq!((answer[3], answer[end + 5]), (0x80, 1));
    let plain = failure(&message[..end], Code::Refused).unwrap();
    assert_eq!(plain[10..], *[&[0, 0], &message[12..end]].concat());
    assert_eq!(failure(&message[..14], Code::ServerFailure).unwrap().len(), 12);
    assert_eq!(failure(&message[..11], Code::ServerFailure), None);
}

#[test]
fn answers_have_the_question_or_a_reason_not_to() {
    let message = query("web.demo.test", 1, 0, &[]);
    let asked = question(&message);
    let with = |flags: u16, message: &[u8]| {
        let mut answer = message.to_vec();
        set_header(&mut answer, flags, [u16::from(message.len() > HEADER), 0, 0, 0]);
        answers(&answer, asked)
    };
    let other = query("wab.demo.test", 1, 0, &[]);
    assert!(with(RESPONSE, &message) && with(RESPONSE | 3, &message) && !with(0, &message));
    assert!(with(RESPONSE, &message.to_ascii_uppercase()));
    assert!(!with(RESPONSE, &other) && !with(RESPONSE, &message[..message.len() - 1]));
    assert!(!with(RESPONSE, &message[..HEADER]));
    assert!(with(RESPONSE | 1, &message[..HEADER]) && with(RESPONSE | 0x2800, &message[..HEADER]));
    // A question that cannot be read has no answer to compare.
    assert!(answers(&[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]) && !answers(&[0, 0, 0x80], &[]));
}

/// RFC 1035 §4.1.4: pointers are to a prior occurrence of a name.
#[test]
fn names_are_read_through_pointers_that_lead_back() {
    let message = query("web.demo.test", 1, 0, b"\x01a\xc0\x10\xc0\x1f\xc0\x25\xc0\x05\x40");
    let at = |at| name(&message, at);
    assert_eq!(at(12), Some((labels("web.demo.test"), 27)));
    assert_eq!(at(31), Some((labels("a.demo.test"), 35)));
    assert_eq!(at(35), Some((labels("a.demo.test"), 37)));
    // To itself, into the header, of an unknown kind, and past the end.
    for place in [37, 39, 41, 42] {
        assert_eq!(at(place), None, "{place}");
    }
    let long = [vec![[1, b'a']; 128].concat(), vec![0]].concat();
    assert_eq!(name(&long, 0), None);
    assert_eq!(name(&long, 2).map(|(name, _)| name.len()), Some(255));
}

#[test]
fn messages_are_read_whole_or_not_at_all() {
    let asked = query("web.demo.test", 1, 0, &[]);
    let address = record(b"\xc0\x0c", 1, 30, &[192, 0, 2, 1]);
    let good = reply(
        &asked,
        RESPONSE,
        [std::slice::from_ref(&address), &[], &[opt(0, false, &[])]],
    );
    let message = Message::read(&good).unwrap();
    let kinds: Vec<_> = message
        .records
        .iter()
        .map(|record| (record.section, record.kind))
        .collect();
    assert_eq!(kinds, [(Section::Answer, 1), (Section::Additional, 41)]);
    assert_eq!(message.records[0].ttl, 30);
    for end in 0..good.len() {
        assert_eq!(Message::read(&good[..end]), None, "{end}");
    }
    assert_eq!(Message::read(&[good.clone(), vec![0]].concat()), None);
    // Empty data are good: those of APL may be so (RFC 3123 §4).
    assert!(
        Message::read(&reply(
            &asked,
            RESPONSE,
            [&[record(b"\xc0\x0c", 42, 30, &[])], &[], &[]]
        ))
        .is_some()
    );
    let mut twice = good;
    twice[5] = 2;
    assert_eq!(Message::read(&twice), None);
}

/// Reads every name of a message's records, in data too.
fn names(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let message = Message::read(bytes).unwrap();
    let both = |record: &Record| {
        let skipped = match record.kind {
            15 => 2,
            33 => 6,
            35 => 12,
            46 => 18,
            _ => 0,
        };
        let data = name(bytes, record.data + skipped);
        (
            message.owner(record).unwrap(),
            data.map(|(name, _)| name).unwrap_or_default(),
        )
    };
    message.records.iter().map(both).collect()
}

/// RFC 3597 §4: names in data of these types may come compressed, whatever they ought to be.
#[test]
fn records_are_written_again_with_the_names_that_they_had() {
    let asked = query("web.demo.test", 255, 0, &[]);
    // All names are behind pointers into the first record's data, which goes.
    let first = record(b"\xc0\x0c", 5, 9, &labels("Far.away.example"));
    let at = u8::try_from(asked.len() + 12).unwrap();
    let pointer = [0xc0, at];
    let other = [0xc0, at + 4];
    let soa = [&pointer[..], &other, &[7; 20]].concat();
    let records = [
        record(&pointer, 2, 1, &other),
        record(&other, 6, 2, &soa),
        record(b"\x02mx\xc0\x0c", 15, 3, &[&[0, 5], &pointer[..]].concat()),
        record(b"\xc0\x0c", 33, 4, &[&[0; 6], &other[..]].concat()),
        record(
            b"\xc0\x0c",
            35,
            5,
            &[&b"\0\x01\0\x02\x01u\x03abc\x01!"[..], &pointer[..]].concat(),
        ),
        record(b"\xc0\x0c", 46, 6, &[&[9; 18], &other[..], &[8; 30]].concat()),
        record(&other, 16, 7, b"\x03abc"),
        record(&pointer, 42, 8, &[]),
        record(&pointer, 65280, 8, b"\xc0\x0c"),
    ];
    let records = records.map(|record| record.clone());
    let all = [std::slice::from_ref(&first), &records[..]].concat();
    let whole = reply(&asked, RESPONSE, [&all, &[], &[]]);
    let message = Message::read(&whole).unwrap();
    let mut builder = Builder::new(&message);
    for record in &message.records[1..] {
        builder.copy(&message, record).unwrap();
    }
    let bytes = builder.finish(RESPONSE).unwrap();
    let (before, after) = (names(&whole), names(&bytes));
    assert_eq!(after[..7], before[1..8]);
    assert!(after.iter().any(|(owner, _)| *owner == labels("far.away.example")));
    assert!(bytes.windows(3).any(|bytes| bytes == b"Far"), "letters keep their case");
    let message = Message::read(&bytes).unwrap();
    assert_eq!(message.data(&message.records[6]), b"\x03abc");
    assert_eq!(message.data(&message.records[7]), b"");
    assert_eq!(message.data(&message.records[8]), b"\xc0\x0c");
    let ttls: Vec<u32> = message.records.iter().map(|record| record.ttl).collect();
    assert_eq!(ttls, [1, 2, 3, 4, 5, 6, 7, 8, 8]);
    // Where nothing goes, nothing becomes larger.
    let message = Message::read(&whole).unwrap();
    let mut builder = Builder::new(&message);
    for record in &message.records {
        builder.copy(&message, record).unwrap();
    }
    let again = builder.finish(RESPONSE).unwrap();
    assert_eq!(names(&again), before);
    assert!(again.len() <= whole.len() + 60, "{} {}", again.len(), whole.len());
}

#[test]
fn what_grows_past_a_message_is_none() {
    let asked = query("web.demo.test", 255, 0, &[]);
    let first = record(
        b"\xc0\x0c",
        33,
        1,
        &[vec![0; 6], labels(&vec!["a".repeat(61); 4].join("."))].concat(),
    );
    let at = asked.len() + 18;
    let pointer = u16::try_from(0xc000 + at).unwrap().to_be_bytes();
    let mut records = vec![first];
    records.extend(vec![
        record(b"\xc0\x0c", 33, 1, &[&[0; 6], &pointer[..]].concat());
        3000
    ]);
    let whole = reply(&asked, RESPONSE, [&records, &[], &[]]);
    let message = Message::read(&whole).unwrap();
    let mut builder = Builder::new(&message);
    let mut copied = message.records.iter().map(|record| builder.copy(&message, record));
    assert!(copied.any(|copied| copied.is_none()));
    assert_eq!(builder.finish(RESPONSE), None);
}

/// RFC 9460 §7.3 and §8.
#[test]
fn hints_go_and_so_does_the_demand_to_understand_them() {
    let hint = [&[0, 6, 0, 16][..], &[0x20; 16]].concat();
    let alpn = b"\0\x01\0\x03\x02h2".to_vec();
    let data = |priority: u8, mandatory: &[u8], params: &[&[u8]]| {
        let mut data = vec![0, priority];
        data.extend(labels("Web.demo.test"));
        if !mandatory.is_empty() {
            data.extend([0, 0, 0, u8::try_from(mandatory.len()).unwrap()]);
            data.extend(mandatory);
        }
        data.extend(params.concat());
        data
    };
    let without = |data: &[u8]| svcb::Service::read(data).unwrap().without_hints();
    let whole = data(1, &[0, 1, 0, 6], &[&alpn, &hint]);
    let read = svcb::Service::read(&whole).unwrap();
    assert_eq!(read.target, labels("web.demo.test"));
    assert_eq!(read.hints().count(), 1);
    assert_eq!(read.without_hints(), data(1, &[0, 1], &[&alpn]));
    assert_eq!(without(&data(1, &[0, 6], &[&hint])), data(1, &[], &[]));
    assert_eq!(without(&data(1, &[], &[&alpn])), data(1, &[], &[&alpn]));
    // An alias has no parameters that count, and they go all the same.
    assert_eq!(without(&data(0, &[], &[&hint])), data(0, &[], &[]));
    // What is truncated, out of order or no addresses is none.
    for end in 0..whole.len() {
        let cut = svcb::Service::read(&whole[..end]);
        assert!(cut.is_none_or(|service| service.hints().next().is_none()), "{end}");
    }
    for params in [
        [&hint[..], &alpn],
        [&alpn, &alpn],
        [&alpn, b"\0\x06\0\x01x"],
        [&alpn, b"\0\x06\0\0"],
    ] {
        assert_eq!(svcb::Service::read(&data(1, &[], &params)), None);
    }
}
