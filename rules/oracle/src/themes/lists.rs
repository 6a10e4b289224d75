//! Section 1: lists.

use super::*;

const OPEN: &str = "v=ssa1; addr=rand:64";

fn many(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("2:2001:db8:{i:x}::/64")).collect()
}

pub(super) fn lists() -> Cases {
    let mut c = Cases::default();
    for (apl, expect) in [
        ("2:2001:db8:5::/64", "usable"),
        ("2:2001:db8:5::/64 2:2001:db8:6::/64", "usable"),
        ("2:2001:db8:5::/64  \t 2:2001:db8:6::/64", "usable"),
        ("2:2001:DB8:5::/64", "usable"),
        ("2:2001:0db8:0005:0:0:0:0:0/64", "usable"),
        ("", "unusable"),
        ("2:2001:db8:5::", "unusable"),
        ("2:2001:db8:5::/", "unusable"),
        ("2001:db8:5::/64", "unusable"),
        (":2001:db8:5::/64", "unusable"),
        ("2/2001:db8:5::/64", "unusable"),
        ("2:/64", "unusable"),
        ("2:2001:db8:5/64", "unusable"),
        ("2:2001:db8:5:::/64", "unusable"),
        ("2:2001::5::/64", "unusable"),
        ("2:2001:db8:g::/64", "unusable"),
        ("2:192.0.2.0/64", "unusable"),
        ("2:2001:db8:5::/64/64", "unusable"),
        ("2:2001:db8:5::/129", "unusable"),
        ("2:2001:db8:5::/320", "unusable"),
        ("2:2001:db8:5::/064", "unusable"),
        ("2:2001:db8:5::/+64", "unusable"),
        ("2:2001:db8:5::/-64", "unusable"),
        ("02:2001:db8:5::/64", "unusable"),
        ("+2:2001:db8:5::/64", "unusable"),
        ("65538:2001:db8:5::/64", "unusable"),
        ("x:2001:db8:5::/64", "unusable"),
        ("!!2:2001:db8:5::/64", "unusable"),
        ("2:!2001:db8:5::/64", "unusable"),
        ("! 2:2001:db8:5::/64", "unusable"),
        ("2:2001:db8:5::/64,2:2001:db8:6::/64", "unusable"),
        ("2:2001:db8:5::%eth0/64", "unusable"),
        ("2:[2001:db8:5::]/64", "unusable"),
        ("2:2001:db8:5::/64 junk", "unusable"),
    ] {
        c.parse("1: presentation format (RFC 3123)", OPEN, apl, expect);
    }
    for (apl, expect) in [
        ("2:2001:db8:5:0:8000::/64", "unusable"),
        ("2:2001:db8:5::1/64", "unusable"),
        ("2:2001:db8:5::/64 !2:2001:db8:ffff::1/127", "unusable"),
        ("2:2001:db8:5::/64 !2:2001:db8:ffff::2/127", "usable"),
        ("2:2001:db8:5::/64 !2:8000::/0", "unusable"),
        ("2:2001:db8:5::/64 !2:::/0", "usable"),
    ] {
        c.parse("1: bits past a length must be zero", OPEN, apl, expect);
    }
    for (apl, expect) in [
        ("1:192.0.2.0/24 2:2001:db8:5::/64", "usable"),
        ("2:2001:db8:5::/64 1:192.0.2.0/24", "usable"),
        ("2:2001:db8:5::/64 !1:192.0.2.0/24", "usable"),
        ("2:2001:db8:5::/64 1:0.0.0.0/0", "usable"),
        ("2:2001:db8:5::/64 1:192.0.2.0/24 !1:192.0.2.0/24", "usable"),
    ] {
        c.parse("1: items of families other than 2 are ignored", OPEN, apl, expect);
    }
    c.parse(
        "1: items of families other than 2 are ignored: none is left",
        OPEN,
        "1:192.0.2.0/24",
        "unusable",
    );
    for (apl, expect) in [
        ("2:2001:db8:5::/64 !2:2001:db8:5::/64", "unusable"),
        ("!2:2001:db8:5::/64 2:2001:db8:5::/64", "unusable"),
        ("2:2001:db8:6::/64 !2:2001:db8:5::/64 2:2001:db8:5::/64", "unusable"),
        (
            "2:2001:db8:6::/64 2:2001:db8:5::/64 2:2001:db8:7::/64 !2:2001:db8:6::/64",
            "unusable",
        ),
        ("2:2001:db8:5::/64 2:2001:db8:5::/64", "usable"),
        ("2:2001:db8:5::/64 !2:2001:db8:6::/64 !2:2001:db8:6::/64", "usable"),
        ("2:2001:db8:5::/64 !2:2001:db8:5::/65", "usable"),
        ("2:2001:db8:5::/64 !2:2001:db8::/48", "usable"),
        ("2:2001:db8::/64 !2:2001:db8::/63", "usable"),
        ("2:2001:db8::/64 !2:2001:db8::/66", "usable"),
    ] {
        c.parse("1: equal items, one negated, are an error", OPEN, apl, expect);
    }
    for (apl, expect) in [
        ("!2:2001:db8:5::/64", "unusable"),
        ("!2:2001:db8:5::/64 !2:2001:db8:6::/64", "unusable"),
        ("!2:2001:db8:5::/64 1:192.0.2.0/24", "unusable"),
        ("!2:2001:db8:5::/64 2:2001:db8:6::/64", "usable"),
    ] {
        c.parse("1: no positive item is an error", OPEN, apl, expect);
    }
    c.parse("1: at most 64 items", OPEN, &many(64).join(" "), "usable");
    c.parse("1: at most 64 items", OPEN, &many(65).join(" "), "unusable");
    let copies = |count: usize| vec!["2:2001:db8:5::/64"; count].join(" ");
    c.parse("1: at most 64 items, duplicates counted", OPEN, &copies(64), "usable");
    c.parse("1: at most 64 items, duplicates counted", OPEN, &copies(65), "unusable");
    let negated = |count: usize| {
        let mut list = vec!["2:2001:db8:5::/64".to_string()];
        list.extend((0..count).map(|i| format!("!2:2001:db8:ffff:{i:x}::/64")));
        list.join(" ")
    };
    c.parse("1: at most 64 items, negated counted", OPEN, &negated(63), "usable");
    c.parse("1: at most 64 items, negated counted", OPEN, &negated(64), "unusable");
    let mut mixed = many(64);
    mixed.extend((0..40).map(|i| format!("1:192.0.2.{i}/32")));
    c.parse("1: at most 64 items of family 2", OPEN, &mixed.join(" "), "usable");
    mixed.reverse();
    c.parse("1: at most 64 items of family 2", OPEN, &mixed.join(" "), "usable");
    c.parse(
        "1: a positive item of /16",
        "v=ssa1; addr=rand:64 rand:48",
        "2:2001::/16",
        "usable",
    );
    c.parse(
        "1: a positive item shorter than /16",
        "v=ssa1; addr=rand:64 rand:49",
        "2:2000::/15",
        "unusable",
    );
    c.parse(
        "1: a positive item shorter than /16",
        "v=ssa1; addr=rand:64 rand:64",
        "2:::/0",
        "unusable",
    );
    c.parse(
        "1: a negated item may be shorter than /16",
        OPEN,
        "2:2001:db8:5::/64 !2:2000::/15",
        "usable",
    );
    c.parse(
        "1: a negated item may be shorter than /16",
        OPEN,
        "2:2001:db8:5::/64 !2:2000::/3",
        "usable",
    );
    c
}

pub(super) fn negated() -> Cases {
    let mut c = Cases::default();
    let note = "2: no rand bit among the template's first L-P bits";
    let hash = "v=ssa1; addr=hash(src/64):20 rand:44";
    for (rule, apl, expect) in [
        (hash, "2:2001:db8:5::/64 !2:2001:db8:5::/65", "unusable"),
        (hash, "2:2001:db8:5::/64 !2:2001:db8:5::/80", "unusable"),
        (hash, "2:2001:db8:5::/64 !2:2001:db8:5::/84", "unusable"),
        (hash, "2:2001:db8:5::/64 !2:2001:db8:5::/85", "usable"),
        (hash, "2:2001:db8:5::/64 !2:2001:db8:5::1/128", "usable"),
        (hash, "!2:2001:db8:5::/84 2:2001:db8:5::/64", "unusable"),
        (
            hash,
            "2:2001:db8:5::/64 !2:2001:db8:5::/85 !2:2001:db8:5:0:1000::/84",
            "unusable",
        ),
        (
            hash,
            "2:2001:db8:5::/64 !2:2001:db8:5:0:1000::/84 !2:2001:db8:5::/85",
            "unusable",
        ),
        (
            hash,
            "2:2001:db8:4::/64 2:2001:db8:5::/64 !2:2001:db8:5::/84",
            "unusable",
        ),
        (
            hash,
            "2:2001:db8:5::/64 2:2001:db8:6::/64 !2:2001:db8:5::/84",
            "unusable",
        ),
        (hash, "2:2001:db8:4::/64 2:2001:db8:5::/64 !2:2001:db8:5::/85", "usable"),
        ("v=ssa1; addr=rand:64", "2:2001:db8:5::/64 !2:2001:db8:5::/65", "usable"),
        (
            "v=ssa1; addr=rand:1 const(0):63",
            "2:2001:db8:5::/64 !2:2001:db8:5::/65",
            "usable",
        ),
        (
            "v=ssa1; addr=const(0):1 rand:1 const(0):62",
            "2:2001:db8:5::/64 !2:2001:db8:5::/65",
            "unusable",
        ),
        (
            "v=ssa1; addr=const(0):1 rand:1 const(0):62",
            "2:2001:db8:5::/64 !2:2001:db8:5::/66",
            "usable",
        ),
        (
            "v=ssa1; addr=hash(obj):63 rand:1",
            "2:2001:db8:5::/64 !2:2001:db8:5::/127",
            "unusable",
        ),
        (
            "v=ssa1; addr=hash(obj):63 rand:1",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "usable",
        ),
        (
            "v=ssa1; addr=hash(obj):64",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "unusable",
        ),
        (
            "v=ssa1; addr=src[0:64]",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "unusable",
        ),
        (
            "v=ssa1; addr=obj[0:64]",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "unusable",
        ),
        (
            "v=ssa1; addr=const(1):64",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "unusable",
        ),
        (
            "v=ssa1; addr=mac(obj):64; key=k1",
            "2:2001:db8:5::/64 !2:2001:db8:5::/128",
            "unusable",
        ),
    ] {
        c.parse(note, rule, apl, expect);
    }
    let note = "2: only a negated item inside a positive one matters";
    for apl in [
        "2:2001:db8:5::/64 !2:2001:db8:6::/64",
        "2:2001:db8:5::/64 !2:2001:db8:4::/64",
        "2:2001:db8:5::/64 !2:2001:db8:6::/80",
        "2:2001:db8:5::/64 !2:2001:db8:4:0:8000::/65 !2:2001:db8:6::/65",
        "2:2001:db8:5::/64 !2:2001:db8:4::/47",
        "2:2001:db8:5::/64 !2:2001:db8::/48",
        "2:2001:db8:5::/64 !2:::/0",
    ] {
        c.parse(note, "v=ssa1; addr=hash(src/64):64", apl, "usable");
    }
    c.parse(
        "2: a positive item inside a negated one, itself with a negated one inside",
        hash,
        "!2:2001:db8::/48 2:2001:db8:0:5::/64 !2:2001:db8:0:5::/84",
        "unusable",
    );
    c.parse(
        "2: a positive item inside a negated one, itself with a negated one inside",
        hash,
        "!2:2001:db8::/48 2:2001:db8:0:5::/64 !2:2001:db8:0:5::/85",
        "usable",
    );
    c
}

pub(super) fn tag() -> Cases {
    let mut c = Cases::default();
    let own = "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64";
    c.parse("1: no RRset: the record's own list", own, "", "usable");
    c.parse(
        "1: neither an RRset nor an own list",
        "v=ssa1; addr=rand:64",
        "",
        "unusable",
    );
    c.parse(
        "1: an RRset of family 1 alone counts as absent",
        own,
        "1:192.0.2.0/24",
        "usable",
    );
    c.parse(
        "1: an RRset of family 1 alone counts as absent",
        "v=ssa1; addr=rand:64",
        "1:192.0.2.0/24",
        "unusable",
    );
    for (rule, expect) in [
        (
            "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64 2:2001:db8:6::/64",
            "usable",
        ),
        (
            "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64 \t !2:2001:db8:6::/64",
            "usable",
        ),
        ("v=ssa1; addr=rand:64; apl = 2:2001:db8:5::/64 ;", "usable"),
        ("v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64 1:192.0.2.0/24", "usable"),
        ("v=ssa1; addr=rand:64; apl=", "unusable"),
        (
            "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64,2:2001:db8:6::/64",
            "unusable",
        ),
        ("v=ssa1; addr=rand:64; apl=1:192.0.2.0/24", "unusable"),
        ("v=ssa1; addr=rand:64; apl=!2:2001:db8:5::/64", "unusable"),
        ("v=ssa1; addr=rand:64; apl=2:2001:db8:4::/63", "unusable"),
        ("v=ssa1; addr=rand:64; apl=2:2001:db8:5::/064", "unusable"),
        ("v=ssa1; addr=rand:64; apl=2:2001:db8:5::/129", "unusable"),
        ("v=ssa1; addr=rand:64; apl=2001:db8:5::/64", "unusable"),
        (
            "v=ssa1; addr=hash(obj):64; apl=2:2001:db8:5::/64 !2:2001:db8:5::/80",
            "unusable",
        ),
        (
            "v=ssa1; addr=hash(obj):64; apl=2:2001:db8:5::/64 !2:2001:db8:6::/80",
            "usable",
        ),
    ] {
        c.parse("2: apl = item *( 1*blank item )", rule, "", expect);
    }
    c.parse("1: an APL RRset wins over it", own, "2:2001:db8:9::/64", "usable");
    c.parse(
        "1: an APL RRset wins over it: its length",
        own,
        "2:2001:db8::/48",
        "unusable",
    );
    c.parse(
        "1: an APL RRset wins over it: its negated item",
        "v=ssa1; addr=hash(obj):64; apl=2:2001:db8:5::/64",
        "2:2001:db8:5::/64 !2:2001:db8:5::/80",
        "unusable",
    );
    c.parse(
        "1: an APL RRset wins over it, with its errors",
        own,
        "!2:2001:db8:5::/64",
        "unusable",
    );
    c.parse(
        "1: an APL RRset wins over it, with its errors",
        own,
        "2:2001:db8:5::1/64",
        "unusable",
    );
    c.parse(
        "1: an APL RRset wins over it, with its errors",
        own,
        "2:2001:db8:5::/64 !2:2001:db8:5::/64",
        "unusable",
    );
    let many = |count: usize| vec!["2:fd00::/64"; count].join(" ");
    for (own, expect) in [
        ("2:2001:db8:5::/64".to_string(), "usable"),
        ("2:2001:db8:5::/64 !2:2001:db8:5::/64".to_string(), "unusable"),
        ("!2:2001:db8:5::/64".to_string(), "unusable"),
        ("2:2001:db8:5::1/64".to_string(), "unusable"),
        ("2:2001:db8:5::/129".to_string(), "unusable"),
        ("nonsense".to_string(), "unusable"),
        (many(64), "usable"),
        (many(65), "unusable"),
        (String::new(), "unusable"),
    ] {
        let rule = format!("v=ssa1; addr=rand:64; apl={own}");
        c.parse("1: its own errors count although an RRset wins", &rule, A, expect);
    }
    // The list in use decides the verdict.
    let rule = "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64";
    let (a, b) = (address("2001:db8:5::1"), address("2001:db8:9::1"));
    c.verify("1: no RRset: the record's own list", rule, "", &who(), a, "conforming");
    c.verify("1: no RRset: the record's own list", rule, "", &who(), b, "outside");
    c.verify("1: an APL RRset wins", rule, "2:2001:db8:9::/64", &who(), a, "outside");
    c.verify(
        "1: an APL RRset wins",
        rule,
        "2:2001:db8:9::/64",
        &who(),
        b,
        "conforming",
    );
    c.verify(
        "1: an RRset of family 1 alone counts as absent",
        rule,
        "1:192.0.2.0/24",
        &who(),
        a,
        "conforming",
    );
    c
}

pub(super) fn wire() -> Cases {
    let mut c = Cases::default();
    let mut ok = |note: &str, wire: &str, expect: &str| {
        let mut case = Map::new();
        case.insert("wire".into(), json!(wire));
        c.push(note, "apl-wire", case, Some(json!(expect)));
        // Families 1 and 2 also from their text.
        let items: Vec<_> = expect.split(' ').map(from_text).collect();
        if items.iter().all(Result::is_ok) {
            let items: Vec<_> = items.into_iter().map(Result::unwrap).collect();
            assert_eq!(hex(&to_wire(&items)), wire);
        }
    };
    let rfc = "RFC 3123, 5: example";
    ok(
        rfc,
        "00011503c0a82000011c83c0a826",
        "1:192.168.32.0/21 !1:192.168.38.0/28",
    );
    ok(
        rfc,
        "00011a03c0a82a00011a04c0a82a4000011984c0a82a80",
        "1:192.168.42.0/26 1:192.168.42.64/26 !1:192.168.42.128/25",
    );
    ok(rfc, "000120047f00000100011603ac1040", "1:127.0.0.1/32 1:172.16.64.0/22");
    ok(rfc, "00010401e000020801ff", "1:224.0.0.0/4 2:ff00::/8");
    ok("RFC 3123, 4: an empty list", "", "");
    ok(
        "RFC 3123, 4.2: AFDPART without trailing zero octets",
        "0002400620010db80005",
        "2:2001:db8:5::/64",
    );
    ok("RFC 3123, 4: N", "0002408620010db80005", "!2:2001:db8:5::/64");
    ok("RFC 3123, 4.2: AFDLENGTH 0", "00020000", "2:::/0");
    ok("RFC 3123, 4.2: AFDLENGTH 0", "00020080", "!2:::/0");
    ok("RFC 3123, 4.2: AFDLENGTH 0 with a prefix", "00024000", "2:::/64");
    ok(
        "RFC 3123, 4.2: 16 octets, prefix 128",
        "0002801020010db8000000000000000000000001",
        "2:2001:db8::1/128",
    );
    ok(
        "RFC 3123, 4.2: zero octets inside",
        "0002500a20010db8000000000001",
        "2:2001:db8:0:0:1::/80",
    );
    ok(
        "1: several items, families mixed",
        "00011803c000020002400620010db800050002808620010db80006",
        "1:192.0.2.0/24 2:2001:db8:5::/64 !2:2001:db8:6::/128",
    );
    ok(
        "RFC 3123, 4: a family not known stands as it is",
        "40000c020a0b",
        "16384:0a0b/12",
    );
    ok(
        "RFC 3123, 4: a family not known stands as it is",
        "4000ff820a0b",
        "!16384:0a0b/255",
    );
    ok(
        "RFC 3123, 4: a family not known stands as it is",
        "000340000002400620010db80005",
        "3:/64 2:2001:db8:5::/64",
    );
    let longest = format!("0003407f{}", "ab".repeat(127));
    ok(
        "RFC 3123, 4: the longest AFDPART",
        &longest,
        &format!("3:{}/64", "ab".repeat(127)),
    );
    for (note, wire) in [
        ("truncated: family", "00"),
        ("truncated: prefix", "0002"),
        ("truncated: AFDLENGTH", "000240"),
        ("truncated: AFDPART", "0002400620010db800"),
        ("truncated: AFDPART", "00024001"),
        ("truncated: AFDPART of a family not known", "4000080201"),
        ("truncated: second item", "0002400620010db80005000240"),
        ("junk at the end", "0002400620010db8000500"),
        ("junk at the end", "0002400620010db80005ffffff"),
        (
            "AFDPART longer than 16 octets",
            "0002801120010db800000000000000000000000101",
        ),
        (
            "AFDPART longer than 16 octets",
            "0002807f20010db80000000000000000000000010101",
        ),
        ("prefix longer than 128", "0002810620010db80005"),
        ("prefix longer than 128", "0002ff0620010db80005"),
        (
            "4.1: the sender MUST NOT include trailing zero octets",
            "0002400720010db8000500",
        ),
        (
            "4.1: the sender MUST NOT include trailing zero octets",
            "0002400820010db800050000",
        ),
        ("4.1: the sender MUST NOT include trailing zero octets", "0002000100"),
        (
            "4.1: the sender MUST NOT include trailing zero octets",
            "0002801020010db8000000000000000000000000",
        ),
    ] {
        let mut case = Map::new();
        case.insert("wire".into(), json!(wire));
        c.push(
            &format!("RFC 3123, 4: {note}"),
            "apl-wire",
            case,
            Some(json!("malformed")),
        );
    }
    for wire in [
        "0002400920010db80005000080",
        "0002400920010db80005000001",
        "00022f0620010db80005",
        "00020001ff",
    ] {
        let mut case = Map::new();
        case.insert("wire".into(), json!(wire));
        c.push(
            "1: bits past a length must be zero",
            "apl-wire",
            case,
            Some(json!("malformed")),
        );
    }
    c
}

pub(super) fn place() -> Cases {
    let mut c = Cases::default();
    let rule = "v=ssa1; addr=rand:64";
    let nested = "2:2001:db8:0:5::/64 !2:2001:db8::/48 !2:2001:db8:0:5:8000::/80";
    for (note, apl, destination, expect) in [
        ("1: none: outside", A, "2001:db8:6::1", "outside"),
        ("1: none: outside", A, "2001:db8:4:ffff:ffff:ffff:ffff:ffff", "outside"),
        ("1: none: outside", A, "2001:db8:5:1::", "outside"),
        ("1: none: outside", A, "::", "outside"),
        ("1: positive: in the service", A, "2001:db8:5::", "conforming"),
        (
            "1: positive: in the service",
            A,
            "2001:db8:5:0:ffff:ffff:ffff:ffff",
            "conforming",
        ),
        ("1: the longest item decides", nested, "2001:db8:0:5::1", "conforming"),
        (
            "1: the longest item decides",
            nested,
            "2001:db8:0:5:7fff:ffff:ffff:ffff",
            "conforming",
        ),
        ("1: the longest item decides", nested, "2001:db8:0:5:8000::", "legacy"),
        (
            "1: the longest item decides",
            nested,
            "2001:db8:0:5:8000:ffff:ffff:ffff",
            "legacy",
        ),
        (
            "1: the longest item decides",
            nested,
            "2001:db8:0:5:8001::",
            "conforming",
        ),
        ("1: the longest item decides", nested, "2001:db8:0:6::", "legacy"),
        ("1: the longest item decides", nested, "2001:db8:1::", "outside"),
        (
            "1: a negated item need not lie inside a positive one",
            "2:2001:db8:5::/64 !2:2001:db8:ffff::/112",
            "2001:db8:ffff::ffff",
            "legacy",
        ),
        (
            "1: a negated item need not lie inside a positive one",
            "2:2001:db8:5::/64 !2:2001:db8:ffff::/112",
            "2001:db8:ffff::1:0",
            "outside",
        ),
        (
            "1: a negated /128",
            "2:2001:db8:5::/64 !2:2001:db8:5::1/128",
            "2001:db8:5::1",
            "legacy",
        ),
        (
            "1: a negated /128",
            "2:2001:db8:5::/64 !2:2001:db8:5::1/128",
            "2001:db8:5::2",
            "conforming",
        ),
        ("1: a negated /0", "2:2001:db8:5::/64 !2:::/0", "ffff::", "legacy"),
        (
            "1: a negated /0",
            "2:2001:db8:5::/64 !2:::/0",
            "2001:db8:5::",
            "conforming",
        ),
        (
            "1: items of other families are ignored",
            "2:2001:db8:5::/64 1:0.0.0.0/0",
            "192::",
            "outside",
        ),
        (
            "1: a negated item before and after",
            "!2:2001:db8:5:0:8000::/65 2:2001:db8:5::/64",
            "2001:db8:5:0:8000::",
            "legacy",
        ),
        (
            "1: a negated item before and after",
            "2:2001:db8:5::/64 !2:2001:db8:5:0:8000::/65",
            "2001:db8:5:0:8000::",
            "legacy",
        ),
        (
            "1: negated items of several lengths",
            "2:2001:db8:5::/64 !2:2001:db8:5::/70 !2:2001:db8:5::/80",
            "2001:db8:5:0:3ff::",
            "legacy",
        ),
        (
            "1: negated items of several lengths",
            "2:2001:db8:5::/64 !2:2001:db8:5::/80 !2:2001:db8:5::/70",
            "2001:db8:5:0:400::",
            "conforming",
        ),
    ] {
        c.verify(note, rule, apl, &who(), address(destination), expect);
    }
    let list = usable(rule, nested).unwrap().apl;
    assert_eq!(list.place(address("2001:db8:0:6::")), Place::Legacy);
    // A rule that no address of the list keeps leaves outside and legacy what they are.
    let strict = "v=ssa1; addr=mac(obj):48 rand:16; key=k1; pow=8";
    c.verify(
        "4: outside before all else",
        strict,
        A,
        &who(),
        address("2001:db8:6::"),
        "outside",
    );
    c.verify(
        "4: legacy before all else",
        strict,
        "2:2001:db8:5::/64 !2:2001:db8:ffff::/112",
        &who(),
        address("2001:db8:ffff::1"),
        "legacy",
    );
    c
}
