//! What is said of bad input, to the letter: what is wrong, where, and what is allowed; every fault at once.

use std::net::Ipv6Addr;

use ssa_rules::{
    AddressSpace, Apl, AplItem, AplPrefix, ComposeError, Key, KeySources, Party, Publication, Published, Record,
    Replica, Request, Rule, Secret, Source, UnixTime,
    apl::{OtherPrefix, SpaceFault, TextFault},
    published::{SetError, Unusable},
    record::{Location, Problem, RecordFault},
    rule::{Missing, PrepareFault, SecretMissing},
};

/// Records at fault, and all that is said of them.
const RECORDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "record at byte 0: the first tag is not v=ssa1",
            "record at byte 0: empty tag; one semicolon stands between tags and at most one at the end",
            "record at byte 0: the tag addr is missing; it is required",
        ],
    ),
    (
        "v=ssa2",
        &[
            "record at byte 0: the first tag is not v=ssa1",
            "record at byte 0: the tag addr is missing; it is required",
        ],
    ),
    ("v=ssa1", &["record at byte 0: the tag addr is missing; it is required"]),
    (
        "v=ssa1;;",
        &[
            "record at byte 7: empty tag; one semicolon stands between tags and at most one at the end",
            "record at byte 0: the tag addr is missing; it is required",
        ],
    ),
    (
        "v=ssa1; addr",
        &[
            "record at byte 8: no `=`; a tag is name=value",
            "record at byte 0: the tag addr is missing; it is required",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; foo=1; addr=rand:1",
        &[
            "foo at byte 22: unknown tag; there are v, addr, item, salt, replicas, pow, key, kdf, skew, from, obj, chunk, apl and x-…",
            "addr at byte 29: duplicate tag",
        ],
    ),
    (
        "v=ssa1; addr=rand:65 rand:064 const(g):4 const(1f):4 const():4 src[5:5] obj[0:65] src[1:129] hash():5 hash(src/0,foo,src/64):99 mac(time/0):15 bogus",
        &[
            "addr[0] at byte 18: `65` is not a number from 1 to 64 without sign or leading zero",
            "addr[1] at byte 26: `064` is not a number from 1 to 64 without sign or leading zero",
            "addr[2] at byte 36: `g` is not 1 to 16 hex digits",
            "addr[3] at byte 47: constant 1f does not fit 4 bits",
            "addr[4] at byte 59: `` is not 1 to 16 hex digits",
            "addr[5] at byte 67: `5:5` is not a:b with a < b, b at most 128, at most 64 bits",
            "addr[6] at byte 76: `0:65` is not a:b with a < b, b at most 128, at most 64 bits",
            "addr[7] at byte 86: `1:129` is not a:b with a < b, b at most 128, at most 64 bits",
            "addr[8] at byte 98: `` is none of src/l, obj, chunk, time/s, port",
            "addr[9] at byte 111: `0` is not a number from 1 to 128 without sign or leading zero",
            "addr[9] at byte 113: `foo` is none of src/l, obj, chunk, time/s, port",
            "addr[9] at byte 117: duplicate input src",
            "addr[9] at byte 125: `99` is not a number from 1 to 64 without sign or leading zero",
            "addr[10] at byte 137: `0` is not a number from 1 to 86400 without sign or leading zero",
            "addr[10] at byte 128: mac of 15 bits; at least 16 are needed",
            "addr[11] at byte 143: `bogus` is none of rand:n, const(hex):n, src[a:b], obj[a:b], hash(inputs):n, mac(inputs):n",
            "addr at byte 13: a mac needs the tag key",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; salt=; key=a.b; kdf=src/129; skew=601; from=-1; replicas=17; pow=25",
        &[
            "salt at byte 27: `` is not 1 to 32 of a-z A-Z 0-9 - _ .",
            "key at byte 33: `a.b` is not 1 to 32 of a-z A-Z 0-9 - _",
            "kdf at byte 46: `129` is not a number from 1 to 128 without sign or leading zero",
            "skew at byte 56: `601` is not a number from 0 to 600 without sign or leading zero",
            "from at byte 66: `-1` is not a number from 0 to 9223372036854775807 without sign or leading zero",
            "replicas at byte 79: `17` is not a number from 1 to 16 without sign or leading zero",
            "pow at byte 87: `25` is not a number from 1 to 24 without sign or leading zero",
            "key at byte 33: the tag has no use without a mac field",
            "kdf at byte 42: the tag has no use without a mac field",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; kdf=64; item=far",
        &[
            "kdf at byte 26: `64` is not src/l with l from 1 to 128",
            "item at byte 35: `far` is none of near, rand, hash(inputs)",
            "kdf at byte 26: the tag has no use without a mac field",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; obj=path:/a b/{obj},path:x,header:Host,header:host,cookie:; chunk=range:0",
        &[
            "obj at byte 26: 5 sources exceed 4",
            "obj[0] at byte 32: `a b` is none of {*}, {obj}, {chunk}, {obj...}, {*...} and has other characters than a-z A-Z 0-9 - _ . ~ ! $ & ' ( ) * + = : @",
            "obj[1] at byte 47: `x` does not begin with `/`, as a path pattern does",
            "obj[2] at byte 56: `Host` is not 1 to 64 of a-z 0-9 - _ .",
            "obj[3] at byte 61: header:host is not allowed: cookies are sources as cookie:name, and the host is not one",
            "obj[4] at byte 80: `` is not 1 to 64 of a-z A-Z 0-9 - _ .",
            "chunk at byte 94: `0` is not a number from 1 to 9007199254740992 without sign or leading zero",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; obj=path:/{obj...}/{*...},body:k,path:/a/{chunk}; chunk=path:/{obj}",
        &[
            "obj[0] at byte 32: what takes all further segments must be the last segment",
            "obj[1] at byte 48: `body:k` is none of path:pattern, query:name, header:name, cookie:name",
            "obj[2] at byte 60: a pattern of obj has exactly one of {obj} and {obj...}, and no {chunk}",
            "chunk at byte 83: the pattern of chunk has exactly one {chunk}, and no {obj} or {obj...}",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; chunk=size:5; obj=path:/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/{obj}",
        &[
            "chunk at byte 28: `size:5` is none of range:n, path:pattern, query:name, header:name, cookie:name",
            "obj[0] at byte 45: 17 segments exceed 16",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; item=hash(time/3)",
        &["item at byte 27: time cannot choose the item"],
    ),
    (
        "v=ssa1; addr=rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1 rand:1",
        &["addr at byte 13: 17 fields exceed 16"],
    ),
    (
        "v=ssa1; addr=rand:64 rand:49",
        &["addr at byte 13: fields of 113 bits in all exceed 112"],
    ),
    (
        "v=ssa1; addr=mac(src/64):16",
        &["addr at byte 13: a mac needs the tag key"],
    ),
    (
        "v=ssa1; addr=rand:8; key=k; kdf=src/4",
        &[
            "key at byte 25: the tag has no use without a mac field",
            "kdf at byte 32: the tag has no use without a mac field",
        ],
    ),
    (
        "v=ssa1; addr=hash(time/30):4 hash(time/60):5 ; skew=61",
        &[
            "addr at byte 13: time steps of 30 s and 60 s; a record has one",
            "skew at byte 52: 61 s exceed twice the time step of 30 s",
        ],
    ),
    (
        "v=ssa1; addr=rand:64; pow=5; skew=121",
        &["skew at byte 34: 121 s exceed 120 s, the most beside a proof of work"],
    ),
    (
        "v=ssa1; addr=rand:12; pow=5",
        &["pow at byte 26: rand fields of 12 bits in all; at least 13 (pow+8) are needed"],
    ),
    (
        "v=ssa1; addr=rand:12; replicas=2",
        &["replicas at byte 31: replicas need a first field of the kind src, obj, hash or mac"],
    ),
    (
        "v=ssa1; addr=hash(obj):6; replicas=2",
        &["replicas at byte 35: 2 replicas need a first field of at least 7 bits; it has 6"],
    ),
    (
        "v=ssa1; addr=hash(obj):7; replicas=2; apl=2:2001:db8::/64 3:zz/4 2:::1/5",
        &[
            "apl at byte 58: apl[1].address: `zz` is not hex of at most 127 bytes (family 3)",
            "apl at byte 65: apl[2]: a bit of ::1 past length 5 is set; write ::/5",
        ],
    ),
    (
        "v=ssa1; addr=hash(obj):64; apl=1:10.0.0.0/8",
        &["apl at byte 31: apl: no positive item of family 2; at least one is needed"],
    ),
    (
        "v=ssa1; addr=hash(obj):64; apl=2:2001:db8::/48 !2:2001:db8::/48 2:2000::/8",
        &[
            "apl at byte 31: apl 2:2000::/8: a positive item has at least 16 bits",
            "apl at byte 31: apl 2:2001:db8::/48: is both positive and negated",
        ],
    ),
    (
        "v=ssa1; addr=hash(obj):64; apl=2:2001:db8::/64 !2:2001:db8::/70 2:2001:db9::/65",
        &[
            "apl at byte 31: apl 2:2001:db9::/65: the template of 64 bits needs positive items of exactly 64 bits",
            "apl at byte 31: apl !2:2001:db8::/70: the template has no rand bit among the 6 after 2:2001:db8::/64, so sources or objects would be locked out",
        ],
    ),
    (
        "v=ssa1; addr=hash(obj,):64 mac(obj):20; item=hash(obj)x",
        &[
            "addr[0] at byte 22: `` is none of src/l, obj, chunk, time/s, port",
            "item at byte 45: `hash(obj)x` is none of near, rand, hash(inputs)",
            "addr at byte 13: a mac needs the tag key",
        ],
    ),
    (
        "v=ssa1; ddr=é",
        &[
            "record at byte 12: what begins with the byte 0xc3 is not ASCII",
            "ddr at byte 8: unknown tag; there are v, addr, item, salt, replicas, pow, key, kdf, skew, from, obj, chunk, apl and x-…",
            "record at byte 0: the tag addr is missing; it is required",
        ],
    ),
];

#[test]
fn a_stretch_outside_ascii_is_one_fault_and_many_are_not_all_told() {
    let emoji = "\u{1f980}".repeat(200);
    let error = format!("v=ssa1; addr=rand:64; salt={emoji}")
        .parse::<Record>()
        .unwrap_err();
    let not_ascii = |fault: &&RecordFault| matches!(fault.problem, Problem::NotAscii { .. });
    let told: Vec<_> = error.faults.iter().filter(not_ascii).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].location.offset, told[0].location.length), (27, 800));
    assert_eq!(error.faults.len(), 1, "{error}");
    let apart = "é ".repeat(300);
    let error = format!("v=ssa1; addr=rand:64; salt={apart}")
        .parse::<Record>()
        .unwrap_err();
    assert_eq!(error.faults.iter().filter(not_ascii).count(), 16);
    for text in [
        "v=ssa1; addr=rand:64; \u{1f980}=1",
        "v=ssa1; addr=rand:64; item=\u{1f980}",
        "v=ssa1; addr=rand:64 \u{1f980}",
        "v=ssa1; addr=rand:6\u{1f980}",
        "v=ssa1; addr=src[\u{1f980}]",
        "v=ssa1; addr=const(\u{1f980}):64",
        "v=ssa1; addr=hash(\u{1f980}):64",
        "v=ssa1; addr=mac(obj):64; key=\u{1f980}",
        "v=ssa1; addr=mac(obj):64; key=k1; kdf=\u{1f980}",
    ] {
        let error = text.parse::<Record>().unwrap_err();
        assert_eq!(error.faults.iter().filter(not_ascii).count(), 1, "{error}");
        assert!(!error.to_string().contains("1a"), "{error}");
    }
}

#[test]
fn faults_of_records_say_what_and_where_and_what_is_allowed() {
    for (text, expected) in RECORDS {
        let error = text.parse::<Record>().unwrap_err();
        let found: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
        assert_eq!(&found, expected, "{text}");
        assert_eq!(error.to_string(), expected.join("; "));
    }
}

#[test]
fn faults_show_control_characters_as_escapes() {
    let record = "v=ssa1; addr=\u{1b}[2J; \u{7}tag\u{9b}=1; item=\r\nforged: line; salt=a\u{7f}b";
    let list = "2:2001:db8\u{1b}::/64 \u{8}:1/2 2:2001:db8::/\u{0}";
    let told = [
        record.parse::<Record>().unwrap_err().to_string(),
        list.parse::<Apl>().unwrap_err().to_string(),
    ];
    for told in &told {
        assert!(!told.contains(char::is_control), "{told:?}");
    }
    assert!(told[0].contains(r"`\u{1b}[2J` is none of"), "{}", told[0]);
    assert!(told[1].contains(r"`2001:db8\u{1b}::` is not IPv6"), "{}", told[1]);
}

#[test]
fn a_place_spans_the_text_at_fault() {
    let text = "v=ssa1;  addr = rand:64 mac(src/64):99 ;key= a.b";
    let error = text.parse::<Record>().unwrap_err();
    let spans: Vec<&str> = error
        .faults
        .iter()
        .map(|fault| &text[fault.location.offset..fault.location.offset + fault.location.length])
        .collect();
    assert_eq!(spans, ["99", "a.b"]);
    let Location { tag, field, .. } = &error.faults[0].location;
    assert_eq!((tag.as_str(), *field), ("addr", Some(1)));
    assert!(matches!(error.faults[1].problem, Problem::Name { .. }));
}

#[test]
fn a_record_past_its_limit_says_its_length() {
    let text = format!("v=ssa1; addr=rand:64; x-a={}", "b".repeat(1000));
    let error = text.parse::<Record>().unwrap_err();
    assert_eq!(error.to_string(), "record at byte 0: 1026 bytes exceed 1024");
}

#[test]
fn faults_of_lists_in_presentation_format_name_their_item() {
    let cases: &[(&str, &[&str])] = &[
        ("x", &["apl[0]: `x` is not [!]family:address/length"]),
        (
            "2:::/0/5 ::/64",
            &[
                "apl[0].address: `::/0` is not IPv6",
                "apl[1].family: `` is not a number from 0 to 65535 without leading zeros",
            ],
        ),
        (
            "70000:00/4 02:::/5",
            &[
                "apl[0].family: `70000` is not a number from 0 to 65535 without leading zeros",
                "apl[1].family: `02` is not a number from 0 to 65535 without leading zeros",
            ],
        ),
        (
            "1:::/5 2:1.2.3.4/5 3:0g/4",
            &[
                "apl[0].address: `::` is not IPv4",
                "apl[1].address: `1.2.3.4` is not IPv6",
                "apl[2].address: `0g` is not hex of at most 127 bytes (family 3)",
            ],
        ),
        (
            "1:1.2.3.4/33 2:::/129 4:00/256 2:::/064",
            &[
                "apl[0].length: `33` is not a number from 0 to 32 without leading zeros",
                "apl[1].length: `129` is not a number from 0 to 128 without leading zeros",
                "apl[2].length: `256` is not a number from 0 to 255 without leading zeros",
                "apl[3].length: `064` is not a number from 0 to 128 without leading zeros",
            ],
        ),
        (
            "2:2001:db8::1/64",
            &["apl[0]: a bit of 2001:db8::1 past length 64 is set; write 2001:db8::/64"],
        ),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Apl>().unwrap_err();
        let found: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
        assert_eq!(&found, expected, "{text}");
        assert_eq!(error.to_string(), expected.join("; "));
        for fault in &error.faults {
            assert!(fault.to_string().starts_with(&format!("apl[{}]", fault.item())));
        }
    }
    let past = TextFault::BitsPastLength {
        item: 3,
        address: Ipv6Addr::LOCALHOST,
        length: 200,
    };
    assert_eq!(
        past.to_string(),
        "apl[3]: a bit of ::1 past length 200 is set; write ::1/200"
    );
}

#[test]
fn faults_of_lists_on_the_wire_name_their_item_and_byte() {
    let cases: &[(&[u8], &str)] = &[
        (&[0, 2, 64], "apl[0] at byte 0: 4 bytes needed, 3 left"),
        (&[0, 2, 64, 1], "apl[0] at byte 0: 5 bytes needed, 4 left"),
        (&[0, 1, 33, 0], "apl[0] at byte 0: prefix length 33 exceeds 32"),
        (&[0, 2, 129, 0], "apl[0] at byte 0: prefix length 129 exceeds 128"),
        (
            &[0, 1, 8, 5, 1, 1, 1, 1, 1],
            "apl[0] at byte 0: address part of 5 bytes exceeds 4",
        ),
        (
            &[0, 2, 64, 17, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            "apl[0] at byte 0: address part of 17 bytes exceeds 16",
        ),
        (
            &[0, 2, 64, 1, 0],
            "apl[0] at byte 0: address part ends in a zero byte; trailing zeros are omitted",
        ),
        (
            &[0, 2, 8, 2, 32, 1],
            "apl[0] at byte 0: a bit past the prefix length 8 is set",
        ),
        (
            &[0, 2, 8, 1, 32, 0, 9, 0, 128, 9],
            "apl[2] at byte 9: 4 bytes needed, 1 left",
        ),
        (&[0, 2, 8, 1, 32, 0, 2, 0], "apl[1] at byte 5: 4 bytes needed, 3 left"),
    ];
    for (wire, expected) in cases {
        assert_eq!(&Apl::from_wire(wire).unwrap_err().to_string(), expected, "{wire:?}");
    }
}

#[test]
fn faults_of_address_spaces_name_their_items() {
    let list: Vec<String> = (0..65).map(|item| format!("!2:2001:db8:{item:x}::/48")).collect();
    let apl: Apl = list.join(" ").parse().unwrap();
    let error = AddressSpace::new(&apl).unwrap_err();
    assert_eq!(
        error.faults,
        [SpaceFault::TooManyItems { items: 65 }, SpaceFault::NoPositiveItem]
    );
    assert_eq!(
        error.to_string(),
        "apl: 65 items of family 2 exceed 64; apl: no positive item of family 2; at least one is needed"
    );
}

#[test]
fn items_of_any_family_can_be_made_and_read() {
    let v6 = AplItem::v6("2001:db8::/32".parse().unwrap(), true).unwrap();
    assert_eq!(AplItem::v6("2001:db8::1/32".parse().unwrap(), true), None);
    let other = OtherPrefix::new(9, 200, vec![1, 0]).unwrap();
    assert_eq!((other.family(), other.length(), other.address()), (9, 200, &[1, 0][..]));
    assert_eq!(OtherPrefix::new(1, 8, vec![1]), None);
    assert_eq!(OtherPrefix::new(2, 8, vec![1]), None);
    assert!(OtherPrefix::new(0, 8, vec![1; 127]).is_some());
    assert_eq!(OtherPrefix::new(0, 8, vec![1; 128]), None);
    let apl: Apl = [
        v6,
        AplItem {
            negated: false,
            prefix: AplPrefix::Other(other),
        },
    ]
    .into_iter()
    .collect();
    assert_eq!(apl.items().len(), 2);
    assert_eq!(apl.to_string(), "!2:2001:db8::/32 9:0100/200");
    assert_eq!(apl.to_string().parse(), Ok(apl.clone()));
    assert_eq!(Apl::from_wire(&apl.to_wire()), Ok(apl));
}

#[test]
fn reasons_not_to_compose_are_given() {
    let missing = Missing {
        object: true,
        chunk: true,
        time: true,
        port: true,
    };
    let cases = [
        (
            ComposeError::Missing(missing),
            "the record needs inputs that are not given: object key, chunk number, time, port",
        ),
        (
            ComposeError::SecretMissing,
            "the record has a mac and its secret is not given",
        ),
        (
            ComposeError::ReplicaOutOfRange {
                replica: Replica(3),
                replicas: 3,
            },
            "replica 3 is not one of 0 to 2",
        ),
        (
            ComposeError::ObjectNotNumeric,
            "the object key is not decimal, 0x hex or a UUID below 2^128, as obj[a:b] needs",
        ),
        (ComposeError::ObjectTooLong, "the object key is of 2^32 bytes or more"),
        (ComposeError::NoItemLeft, "every item is to be avoided"),
        (ComposeError::NotInService, "every address drawn lies in a negated item"),
        (
            ComposeError::PowExhausted { tries: 128 },
            "no proof of work in 128 tries",
        ),
        (
            ComposeError::Corrupt,
            "the rule's bytes were not made by preparing a record",
        ),
    ];
    for (error, expected) in cases {
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(
        SecretMissing.to_string(),
        "the record has a mac and the verifier does not have its secret"
    );
}

#[test]
fn reasons_not_to_prepare_are_given_all_at_once() {
    let record: Record = "v=ssa1; addr=mac(src/64):64; key=k1".parse().unwrap();
    let error = Rule::prepare(&record, None, &Key::None).unwrap_err();
    assert_eq!(error.faults, [PrepareFault::NoAddresses]);
    assert_eq!(
        error.to_string(),
        "no addresses: neither an APL record with items of family 2 nor a tag apl"
    );
    let apl: Apl = "2:2001:db8::/48 2:2001:db9::/65 !2:2001:db8::/50".parse().unwrap();
    let error = Rule::prepare(&record, AddressSpace::new(&apl).unwrap().as_ref(), &Key::None).unwrap_err();
    assert_eq!(error.faults.len(), 3, "{error}");
}

#[test]
fn a_client_key_is_none_where_the_record_has_no_kdf() {
    let apl: Apl = "2:2001:db8:5::/64".parse().unwrap();
    let key = Key::Client("000102030405060708090a0b0c0d0e0f".parse().unwrap());
    let newer = "v=ssa1; addr=mac(src/64):64; key=k1; from=2";
    let older = "v=ssa1; addr=rand:64; from=1";
    // The record stays the client's: it does not fall back to an older one that it could compose by.
    let set = Publication::read(Some(&apl), &[older, newer], Party::Client, |_| key)
        .set
        .unwrap();
    let rule = set.client_rule(UnixTime(3)).unwrap();
    assert_eq!(rule.from().0, 2);
    let request = Request::new(Source(Ipv6Addr::LOCALHOST));
    assert_eq!(rule.compose(&request, &mut || 0), Err(ComposeError::SecretMissing));
    let verifier = Publication::read(Some(&apl), &[older, newer], Party::Verifier, |_| key);
    assert!(matches!(verifier.candidates[1].rule, Err(Unusable::SecretMissing(_))));
}

#[test]
fn items_with_bits_past_their_length_count_as_their_network() {
    let item = |text: &str, negated| AplItem {
        negated,
        prefix: AplPrefix::V6(text.parse().unwrap()),
    };
    let apl: Apl = [item("2001:db8::1/64", false), item("2001:db8::2/64", true)]
        .into_iter()
        .collect();
    let conflict = SpaceFault::Conflict {
        item: "2001:db8::/64".parse().unwrap(),
    };
    assert_eq!(AddressSpace::new(&apl).unwrap_err().faults, [conflict]);
}

#[test]
fn an_apl_that_does_not_fit_is_told_beside_other_faults() {
    let error = "v=ssa1; addr=rand:64; foo=1; apl=2:2001:db8::/48"
        .parse::<Record>()
        .unwrap_err();
    let found: Vec<String> = error.faults.iter().map(|fault| fault.location.tag.clone()).collect();
    assert_eq!(found, ["foo", "apl"]);
}

#[test]
fn reasons_against_a_published_set_are_given() {
    let txt: Vec<String> = (0..5)
        .map(|from| format!("v=ssa1; addr=rand:64; from={from}"))
        .collect();
    let apl: Apl = "2:2001:db8::/64".parse().unwrap();
    let read = |txt: &[String]| Publication::read(Some(&apl), txt, Party::Client, |_| Key::None);
    assert_eq!(read(&txt).set, Err(SetError::TooManyRecords { records: 5 }));
    assert_eq!(
        SetError::TooManyRecords { records: 5 }.to_string(),
        "5 records exceed 4"
    );
    let twice = [txt[2].clone(), txt[2].clone()];
    let error = read(&twice).set.unwrap_err();
    assert_eq!(error.to_string(), "two usable records have from=2; each needs its own");
    let rule = |text: &str| {
        Rule::prepare(
            &text.parse().unwrap(),
            AddressSpace::new(&apl).unwrap().as_ref(),
            &Key::None,
        )
    };
    let one = (rule("v=ssa1; addr=rand:64").unwrap(), KeySources::default());
    let five = vec![one; 5];
    assert_eq!(Published::new(five), Err(SetError::TooManyRecords { records: 5 }));
}

#[test]
fn unusable_candidates_say_why() {
    let apl: Apl = "2:2001:db8::/64".parse().unwrap();
    let conflict: Apl = "2:2001:db8::/64 !2:2001:db8::/64".parse().unwrap();
    let why = |apl: &Apl, txt: &str, key: Key| {
        let publication = Publication::read(Some(apl), &[txt], Party::Verifier, |_| key);
        publication.candidates[0]
            .rule
            .as_ref()
            .map(|_| ())
            .map_err(ToString::to_string)
    };
    let mac = "v=ssa1; addr=mac(src/64):64; key=k1";
    assert_eq!(why(&apl, mac, Key::Secret(Secret::new([1; 16]))), Ok(()));
    assert_eq!(why(&apl, mac, Key::None), Err("the secret k1 is not available".into()));
    assert_eq!(
        why(&conflict, mac, Key::None),
        Err("apl 2:2001:db8::/64: is both positive and negated".into())
    );
    assert_eq!(
        why(&apl, "v=ssa1; addr=rand:63", Key::None),
        Err("apl 2:2001:db8::/64: the template of 63 bits needs positive items of exactly 65 bits".into())
    );
    assert_eq!(
        why(&apl, "v=ssa1", Key::None),
        Err("record at byte 0: the tag addr is missing; it is required".into())
    );
}

#[test]
fn a_candidate_keeps_its_number() {
    let apl: Apl = "2:2001:db8::/64".parse().unwrap();
    let txt: [&[u8]; 2] = [b"v=spf1 -all", b"v=ssa1; addr=rand:64; x-a=\xff"];
    let publication = Publication::read(Some(&apl), &txt, Party::Client, |_| Key::None);
    let [candidate] = &publication.candidates[..] else {
        panic!("one candidate: {publication:?}")
    };
    assert_eq!(candidate.index, 1);
    assert_eq!(publication.set.unwrap().client_rule(UnixTime(0)), None);
}
