//! Section 3: macs, keys and SipHash itself.

use super::*;

pub(super) fn mac() -> Cases {
    let mut c = Cases::default();
    let w = who();
    for (note, rule) in [
        (
            "3.2: mac: the top n bits of SipHash(K, 02 u8 i S I A)",
            "v=ssa1; addr=mac(src/64):64; key=k1",
        ),
        (
            "3.2: mac: the top n bits",
            "v=ssa1; addr=mac(src/64):16 const(0):48; key=k1",
        ),
        (
            "3.2: mac: u8 i and A",
            "v=ssa1; addr=const(0):16 mac(src/64):16 mac(src/64):16 mac(src/64):16; key=k1",
        ),
        ("3.2: mac of obj", "v=ssa1; addr=mac(obj):64; key=k1"),
        ("3.2: mac of chunk", "v=ssa1; addr=mac(chunk):64; key=k1"),
        ("3.2: mac of time", "v=ssa1; addr=mac(time/30):64; key=k1"),
        ("3.2: mac of port", "v=ssa1; addr=mac(port):64; key=k1"),
        (
            "3.2: mac of all",
            "v=ssa1; addr=mac(port,src/64,time/30,obj,chunk):64; key=k1",
        ),
        ("3: S in a mac", "v=ssa1; addr=mac(src/64):64; key=k1; salt=2026a"),
        (
            "3: S in a mac without src",
            "v=ssa1; addr=mac(obj):64; key=k1; salt=2026a",
        ),
        ("3.2: kdf=src/l", "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/48"),
        ("3.2: kdf=src/l", "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/1"),
        ("3.2: kdf=src/l", "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/64"),
        ("3.2: kdf=src/l", "v=ssa1; addr=mac(src/64):64; key=k1; kdf=src/128"),
        (
            "3.2: kdf without src among the inputs",
            "v=ssa1; addr=mac(port):64; key=k1; kdf=src/48; salt=2026a",
        ),
        (
            "3.2: kdf of two macs",
            "v=ssa1; addr=mac(src/64):32 mac(obj):32; key=k1; kdf=src/48",
        ),
    ] {
        let found = c.compose(note, rule, A, &w);
        c.verify(note, rule, A, &w, found, "conforming");
        let stranger = Who {
            secrets: vec![("k1", OTHER_SECRET)],
            ..who()
        };
        let expect = if rule.contains("addr=const") {
            "violation of field 1"
        } else {
            "violation of field 0"
        };
        c.verify("3.2: K is the secret", rule, A, &stranger, found, expect);
        c.compose("3.2: K is the secret", rule, A, &stranger);
    }
    // Salt counts only with src.
    let plain = made("v=ssa1; addr=mac(obj):64; key=k1", A, &w, &[]);
    c.composes(
        "3: S is u16 0 if the inputs contain no src",
        "v=ssa1; addr=mac(obj):64; key=k1; salt=2026a",
        A,
        &w,
        &text(plain),
    );
    // A mac covers the item and every field before it, and no bit of or after itself.
    let rule = "v=ssa1; addr=rand:16 mac(src/64):24 rand:24; key=k1";
    let found = made(rule, A, &w, &[0x1234, 0x56_789a]);
    c.verify("3.2: A", rule, A, &w, found, "conforming");
    for bit in [64, 70, 79] {
        c.verify(
            "3.2: a mac covers every field before it",
            rule,
            A,
            &w,
            flip(found, bit),
            "violation of field 1",
        );
    }
    for bit in [80, 90, 103] {
        c.verify(
            "4.2: the mac's own bits",
            rule,
            A,
            &w,
            flip(found, bit),
            "violation of field 1",
        );
    }
    for bit in [104, 115, 127] {
        c.verify(
            "3.2: A has this field and all bits after it cleared",
            rule,
            A,
            &w,
            flip(found, bit),
            "conforming",
        );
    }
    let two = "2:2001:db8:5::/64 2:2001:db8:4::/64";
    c.verify("3.2: a mac covers the item", rule, two, &w, found, "conforming");
    c.verify(
        "3.2: a mac covers the item",
        rule,
        two,
        &w,
        flip(found, 47),
        "violation of field 1",
    );
    let rule = "v=ssa1; addr=mac(src/64):24 mac(src/64):20 mac(src/64):20; key=k1";
    let found = c.compose("3.2: a mac covers the macs before it", rule, A, &w);
    c.verify(
        "4.2: the first field that fails",
        rule,
        A,
        &w,
        flip(found, 64),
        "violation of field 0",
    );
    c.verify(
        "4.2: the first field that fails",
        rule,
        A,
        &w,
        flip(found, 88),
        "violation of field 1",
    );
    c.verify(
        "4.2: the first field that fails",
        rule,
        A,
        &w,
        flip(found, 127),
        "violation of field 2",
    );
    // mac over the destination's own bits: a field before it that fails does not hide behind it.
    let rule = "v=ssa1; addr=const(5):16 mac(src/64):48; key=k1";
    let forged = made("v=ssa1; addr=const(6):16 mac(src/64):48; key=k1", A, &w, &[]);
    c.verify(
        "4.2: mac over the destination's own bits",
        rule,
        A,
        &w,
        forged,
        "violation of field 0",
    );
    let rule = "v=ssa1; addr=obj[112:128] mac(src/64):48; key=k1";
    let other = made(rule, A, &w.object("6"), &[]);
    c.verify(
        "4.2: mac over the destination's own bits",
        rule,
        A,
        &w.blind(),
        other,
        "conforming but field 0",
    );
    c.verify(
        "4.2: mac over the destination's own bits",
        rule,
        A,
        &w.object("6"),
        other,
        "conforming",
    );
    c.verify(
        "4.2: mac over the destination's own bits",
        rule,
        A,
        &w.object("7"),
        other,
        "violation of field 0",
    );
    // Which key.
    let both = Who {
        secrets: vec![("k1", SECRET), ("k2", OTHER_SECRET)],
        ..who()
    };
    let k2 = "v=ssa1; addr=mac(src/64):64; key=k2";
    let found = c.compose("2: key names the secret", k2, A, &both);
    c.verify("2: key names the secret", k2, A, &both, found, "conforming");
    c.verify(
        "2: key names the secret",
        "v=ssa1; addr=mac(src/64):64; key=k1",
        A,
        &both,
        found,
        "violation of field 0",
    );
    let none = Who {
        secrets: vec![],
        ..who()
    };
    c.refused(
        "4.2: a verifier without the secret refuses the record",
        k2,
        A,
        &none,
        found,
    );
    c.refused(
        "4.2: a verifier without the secret refuses the record",
        k2,
        A,
        &w,
        found,
    );
    c.refused(
        "4.2: a verifier without the secret refuses the record",
        "v=ssa1; addr=mac(obj):64; key=k2",
        A,
        &w.blind(),
        found,
    );
    // kdf binds the source even where the inputs do not.
    let rule = "v=ssa1; addr=mac(port):64; key=k1; kdf=src/48";
    let found = made(rule, A, &w, &[]);
    c.verify(
        "3.2: a client's own key",
        rule,
        A,
        &w.source("2a02:1234:5678:ffff::1"),
        found,
        "conforming",
    );
    c.verify(
        "3.2: a client's own key",
        rule,
        A,
        &w.source("2a02:1234:5679:9abc:def0:1357:9bdf:2468"),
        found,
        "violation of field 0",
    );
    c
}

pub(super) fn client_key() -> Cases {
    let mut c = Cases::default();
    for secret in [SECRET, OTHER_SECRET] {
        for source in [
            "2a02:1234:5678:9abc:def0:1357:9bdf:2468",
            "2001:db8::",
            "::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            for l in [1, 8, 47, 48, 49, 56, 64, 127, 128] {
                let mut case = Map::new();
                case.insert("secret".into(), json!(secret));
                case.insert("source".into(), json!(source));
                case.insert("kdf".into(), json!(l));
                c.push(
                    "3.2: SipHash(secret, 05 00 l source) then 05 01",
                    "client-key",
                    case,
                    None,
                );
            }
        }
    }
    // Bits past l are nothing.
    for source in ["2a02:1234:5678::", "2a02:1234:5678:ffff:ffff:ffff:ffff:ffff"] {
        let mut case = Map::new();
        case.insert("secret".into(), json!(SECRET));
        case.insert("source".into(), json!(source));
        case.insert("kdf".into(), json!(48));
        c.push("3.2: bits l and after cleared", "client-key", case, None);
    }
    let keys: Vec<&Value> = c.0.iter().rev().take(2).map(|case| &case["expect"]).collect();
    assert_eq!(keys[0], keys[1]);
    c
}

/// The 64 outputs of the reference implementation, as the bytes it prints.
pub(super) fn siphash() -> Cases {
    let mut c = Cases::default();
    for (length, bytes) in include_str!("siphash.txt").lines().enumerate() {
        let message: Vec<u8> = (0..length as u8).collect();
        let mut number = crate::cases::unhex(bytes);
        number.reverse();
        let mut case = Map::new();
        case.insert("key".into(), json!(SECRET));
        case.insert("message".into(), json!(hex(&message)));
        let note = "3: SipHash-2-4 with 64-bit output, taken as a 64-bit number";
        c.push(note, "siphash", case, Some(json!(hex(&number))));
    }
    assert_eq!(c.0.len(), 64);
    c
}
