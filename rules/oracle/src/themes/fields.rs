//! Section 3, step 2, and section 4, step 2: fields.

use super::*;

pub(super) fn fields() -> Cases {
    let mut c = Cases::default();
    // Each address that is composed conforms; a flipped bit of each field is a violation of it.
    let mut both = |note: &str, rule: &str, who: &Who| {
        let found = c.compose(note, rule, A, who);
        c.verify(note, rule, A, who, found, "conforming");
        let fields = usable(rule, A).unwrap().record.template;
        let mut start = 64;
        for (place, field) in fields.iter().enumerate() {
            for bit in [start, start + field.width() - 1] {
                let expect = format!("violation of field {place}");
                c.verify(
                    "4.2: a field recomputed is not the same",
                    rule,
                    A,
                    who,
                    flip(found, bit),
                    &expect,
                );
                if field.width() == 1 {
                    break;
                }
            }
            start += field.width();
        }
    };
    let w = who();
    both("3.2: const: its value", "v=ssa1; addr=const(123456789abcdef0):64", &w);
    both(
        "3.2: const: hex digits of either case",
        "v=ssa1; addr=const(aBcD):16 const(AbCd):16 const(0f):32",
        &w,
    );
    both(
        "3.2: most significant first, directly after the item",
        "v=ssa1; addr=const(1):1 const(0):62 const(1):1",
        &w,
    );
    both(
        "3.2: most significant first, directly after the item",
        "v=ssa1; addr=const(1):4 const(2):4 const(3):8 const(4):16 const(5):32",
        &w,
    );
    both(
        "3.2: src[a:b], bit 0 the most significant",
        "v=ssa1; addr=src[0:64]",
        &w,
    );
    both(
        "3.2: src[a:b], bit 0 the most significant",
        "v=ssa1; addr=src[64:128]",
        &w,
    );
    both(
        "3.2: src[a:b], bit 0 the most significant",
        "v=ssa1; addr=src[0:1] src[127:128] src[1:63]",
        &w,
    );
    both(
        "3.2: src[a:b], bit 0 the most significant",
        "v=ssa1; addr=src[13:29] src[60:68] src[28:68]",
        &w,
    );
    both("3.2: obj[a:b]", "v=ssa1; addr=obj[64:128]", &w);
    both("3.2: obj[a:b]", "v=ssa1; addr=obj[80:128] const(0):16", &w);
    both("3.2: obj[a:b]", "v=ssa1; addr=obj[0:1] obj[127:128] obj[66:128]", &w);
    for inputs in ["src/64", "obj", "chunk", "time/30", "port"] {
        both("3: I of each input", &format!("v=ssa1; addr=hash({inputs}):64"), &w);
        both(
            "3.2: hash: the top n bits",
            &format!("v=ssa1; addr=hash({inputs}):1 const(0):63"),
            &w,
        );
        both(
            "3.2: hash: u8 i",
            &format!("v=ssa1; addr=const(0):24 hash({inputs}):20 hash({inputs}):20"),
            &w,
        );
    }
    for l in [1, 7, 8, 9, 32, 47, 48, 63, 64, 65, 96, 127, 128] {
        both(
            "3: src/l: bits l and after cleared",
            &format!("v=ssa1; addr=hash(src/{l}):64"),
            &w,
        );
    }
    for s in [1, 60, 3600, 86399, 86400] {
        both(
            "3: time/s: u32 s, u64 of time by s",
            &format!("v=ssa1; addr=hash(time/{s}):64"),
            &w.at(NOW + 17),
        );
    }
    both(
        "3: inputs in the order written",
        "v=ssa1; addr=hash(src/64,obj,chunk,time/30,port):64",
        &w,
    );
    both(
        "3: inputs in the order written",
        "v=ssa1; addr=hash(port,time/30,chunk,obj,src/64):64",
        &w,
    );
    both(
        "3: inputs in the order written",
        "v=ssa1; addr=hash(obj,chunk):32 hash(chunk,obj):32",
        &w,
    );
    both(
        "3: S is the salt if the inputs contain src",
        "v=ssa1; addr=hash(src/64):64; salt=2026a",
        &w,
    );
    both(
        "3: S is the salt if the inputs contain src",
        "v=ssa1; addr=hash(src/64):64; salt=A.b-c_9",
        &w,
    );
    both(
        "3: S is the salt if the inputs contain src",
        "v=ssa1; addr=hash(obj,src/64):64; salt=abcdefghijklmnopqrstuvwxyz012345",
        &w,
    );
    both(
        "3: S is the salt if the inputs contain src",
        "v=ssa1; addr=hash(src/64):32 hash(obj):32; salt=2026a",
        &w,
    );
    // The longest message that a field can have, but for the object key.
    both(
        "3: all inputs and the longest salt",
        "v=ssa1; addr=hash(src/128,obj,chunk,time/86400,port):64; salt=abcdefghijklmnopqrstuvwxyz012345",
        &w,
    );
    both(
        "3: all inputs and the longest salt",
        "v=ssa1; addr=mac(port,time/86400,chunk,obj,src/128):64; salt=abcdefghijklmnopqrstuvwxyz012345; key=k1; kdf=src/128",
        &w,
    );
    for source in ["::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::"] {
        both(
            "3: sources at the edges",
            "v=ssa1; addr=hash(src/64):24 src[0:8] src[120:128] hash(src/128):24",
            &w.source(source),
        );
    }
    for object in ["", "a", "1234567", "12345678", "ключ", "a/b c?d=e;f\u{0}g"] {
        both(
            "3: the object key's bytes exactly as named",
            "v=ssa1; addr=hash(obj):64",
            &w.object(object),
        );
    }
    both(
        "3: u32 length",
        "v=ssa1; addr=hash(obj):64",
        &w.object(&"k".repeat(300)),
    );
    both(
        "3: u32 length",
        "v=ssa1; addr=mac(obj):64; key=k1",
        &w.object(&"/long".repeat(300)),
    );
    for chunk in [0, 1, 255, 256, u64::from(u32::MAX) + 1, u64::MAX] {
        let w = Who {
            chunk: Some(chunk),
            ..who()
        };
        both("3: chunk is a u64", "v=ssa1; addr=hash(chunk):64", &w);
    }
    for port in [0, 1, 80, 256, 65535] {
        let w = Who {
            port: Some(port),
            ..who()
        };
        both("3: port is a u16", "v=ssa1; addr=hash(port):64", &w);
    }
    // Salt without src changes nothing.
    for inputs in ["obj", "chunk", "port", "time/30"] {
        let plain = made(&format!("v=ssa1; addr=hash({inputs}):64"), A, &w, &[]);
        let rule = format!("v=ssa1; addr=hash({inputs}):64; salt=2026a");
        c.composes("3: S is u16 0 if the inputs contain no src", &rule, A, &w, &text(plain));
    }
    // Bits of the source past l change nothing; those before do.
    let rule = "v=ssa1; addr=hash(src/52):64";
    let found = made(rule, A, &w, &[]);
    for (source, expect) in [
        ("2a02:1234:5678:9abc:def0:1357:9bdf:2468", "conforming"),
        ("2a02:1234:5678:9fff:ffff:ffff:ffff:ffff", "conforming"),
        ("2a02:1234:5678:9000::", "conforming"),
        ("2a02:1234:5678:8abc:def0:1357:9bdf:2468", "violation of field 0"),
        ("aa02:1234:5678:9abc:def0:1357:9bdf:2468", "violation of field 0"),
    ] {
        c.verify(
            "3: src/l: bits l and after cleared",
            rule,
            A,
            &w.source(source),
            found,
            expect,
        );
    }
    // Lists of other lengths put the fields elsewhere.
    for (template, apl) in [
        ("hash(src/64):64 src[0:48]", "2:2001::/16"),
        ("hash(src/64):20 hash(obj):60", "2:2001:db8:5::/48"),
        ("hash(src/64):8", "2:2001:db8:5::1:0/120"),
        ("src[127:128]", "2:2001:db8:5::2/127"),
        ("hash(src/64):1", "2:2001:db8:5::2/127"),
    ] {
        let rule = format!("v=ssa1; addr={template}");
        let found = c.compose("2: every positive item is 128-W bits long", &rule, apl, &w);
        c.verify(
            "2: every positive item is 128-W bits long",
            &rule,
            apl,
            &w,
            found,
            "conforming",
        );
        c.verify(
            "4.2: the last bit counts",
            &rule,
            apl,
            &w,
            flip(found, 127),
            if template.contains(' ') {
                "violation of field 1"
            } else {
                "violation of field 0"
            },
        );
    }
    let sixteen = "v=ssa1; addr=hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4 hash(src/64):4";
    let found = c.compose("3.2: u8 i, to 15", sixteen, A, &w);
    c.verify(
        "4.2: field 15",
        sixteen,
        A,
        &w,
        flip(found, 127),
        "violation of field 15",
    );
    c.verify(
        "4.2: the first field that fails",
        sixteen,
        A,
        &w,
        flip(flip(found, 127), 80),
        "violation of field 4",
    );
    // Rules as services would publish them.
    for (rule, apl) in [
        ("v=ssa1; addr=src[0:64]", A),
        ("v=ssa1; addr=hash(obj):20 const(0):44; replicas=3", A),
        ("v=ssa1; addr=hash(obj,chunk):20 const(0):44", A),
        ("v=ssa1; addr=obj[80:128] const(0):16", A),
        ("v=ssa1; addr=hash(obj):14 hash(src/64):50", A),
        (
            "v=ssa1; addr=hash(src/64):20 mac(src/64,time/3600):44; key=k1; kdf=src/48",
            A,
        ),
        ("v=ssa1; addr=mac(src/64,time/30):64; key=k1; skew=5", A),
    ] {
        let found = c.compose("the rules of the specification's table", rule, apl, &w);
        c.verify(
            "the rules of the specification's table",
            rule,
            apl,
            &w,
            found,
            "conforming",
        );
        c.verify(
            "the rules of the specification's table",
            rule,
            apl,
            &w,
            flip(found, 64),
            "violation of field 0",
        );
    }
    // rand is free.
    let rule = "v=ssa1; addr=hash(src/64):20 rand:44";
    let found = made(rule, A, &w, &[0x123_4567_89ab]);
    for bit in 84..128 {
        c.verify(
            "4.2: every field that is not rand",
            rule,
            A,
            &w,
            flip(found, bit),
            "conforming",
        );
    }
    c.verify(
        "4.2: every field that is not rand",
        rule,
        A,
        &w,
        flip(found, 83),
        "violation of field 0",
    );
    c.verify(
        "4.2: every field that is not rand",
        "v=ssa1; addr=rand:64",
        A,
        &w,
        address("2001:db8:5:0:ffff::"),
        "conforming",
    );
    // A key that is no text.
    for bytes in ["ff00fe", "c328", "00"] {
        let mut case = who().keys();
        case.remove("object");
        case.insert("object-hex".into(), json!(bytes));
        case.insert("rule".into(), json!("v=ssa1; addr=hash(obj):64"));
        case.insert("apl".into(), json!(A));
        case.insert("replica".into(), json!(0));
        c.push("3: object key: bytes", "compose", case, None);
    }
    c
}

pub(super) fn objects() -> Cases {
    let mut c = Cases::default();
    let high = "v=ssa1; addr=obj[0:64]";
    let low = "v=ssa1; addr=obj[64:128]";
    for (object, number) in [
        ("0", 0),
        ("1", 1),
        ("000", 0),
        ("0001", 1),
        ("18446744073709551615", u128::from(u64::MAX)),
        ("18446744073709551616", 1 << 64),
        ("340282366920938463463374607431768211455", u128::MAX),
        (
            "0000000000000000000000000000340282366920938463463374607431768211455",
            u128::MAX,
        ),
        (
            "12345678901234567890123456789012",
            12_345_678_901_234_567_890_123_456_789_012,
        ),
        ("0x0", 0),
        ("0x1", 1),
        ("0xf", 15),
        ("0xDeadBeef", 0xdead_beef),
        ("0x00ff", 255),
        (
            "0x0123456789abcdefABCDEF0123456789",
            0x0123_4567_89ab_cdef_abcd_ef01_2345_6789,
        ),
        ("0xffffffffffffffffffffffffffffffff", u128::MAX),
        (
            "00112233-4455-6677-8899-aabbccddeeff",
            0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
        ),
        ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", u128::MAX),
        (
            "6F9619ff-8b86-d011-b42d-00c04fc964ff",
            0x6f96_19ff_8b86_d011_b42d_00c0_4fc9_64ff,
        ),
        (
            "12345678-1234-1234-1234-123456789012",
            0x1234_5678_1234_1234_1234_1234_5678_9012,
        ),
    ] {
        for (rule, half) in [(high, number >> 64), (low, number & u128::from(u64::MAX))] {
            let expect = text(address("2001:db8:5::") | half);
            c.composes("3.2: obj as a 128-bit number", rule, A, &who().object(object), &expect);
            c.verify(
                "3.2: obj as a 128-bit number",
                rule,
                A,
                &who().object(object),
                address(&expect),
                "conforming",
            );
        }
    }
    for object in [
        "",
        " ",
        "a",
        "ff",
        "photo.jpg",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "1_000",
        "1,000",
        "0x",
        "0xg",
        "0x 1",
        "0x+1",
        "0x-1",
        "x1",
        "0b1",
        "0o7",
        "1x0",
        "00x1",
        "340282366920938463463374607431768211456",
        "3402823669209384634633746074317682114550",
        "1000000000000000000000000000000000000000",
        "999999999999999999999999999999999999999999999999",
        "0x100000000000000000000000000000000",
        "0xfffffffffffffffffffffffffffffffff",
        "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233-4455-6677-8899aabbccddeeff",
        "0011223-34455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeegf",
        "00112233-4455-6677-8899-aabb-cddeeff",
        "00112233-4455-6677-8899+aabbccddeeff",
        "{00112233-4455-6677-8899-aabbccddeeff}",
        "urn:uuid:00112233-4455-6677-8899-aabbccddeeff",
        "00112233_4455_6677_8899_aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff ",
        "-0112233-4455-6677-8899-aabbccddeeff",
        "+0112233-4455-6677-8899-aabbccddeeff",
        "\u{661}\u{662}",
        "１２",
        "１12345678-1234-1234-1234-123456789",
        "12345678-1234-1234-1234-1234567890é",
    ] {
        c.compose_error("3.2: else, or from 2^128 on, an error", low, A, &who().object(object));
        c.verify(
            "4.2: a non-numeric object under obj[a:b] is a violation of that field",
            low,
            A,
            &who().object(object),
            address("2001:db8:5::1"),
            "violation of field 0",
        );
    }
    let rule = "v=ssa1; addr=const(7):8 obj[72:128]";
    let w = who().object("photo.jpg");
    c.verify(
        "4.2: the first field that fails",
        rule,
        A,
        &w,
        address("2001:db8:5:0:700::"),
        "violation of field 1",
    );
    c.verify(
        "4.2: the first field that fails",
        rule,
        A,
        &w,
        address("2001:db8:5:0:800::"),
        "violation of field 0",
    );
    let rule = "v=ssa1; addr=obj[72:128] const(7):8";
    c.verify(
        "4.2: a non-numeric object, whatever the bits",
        rule,
        A,
        &w,
        address("2001:db8:5::7"),
        "violation of field 0",
    );
    let rule = "v=ssa1; addr=hash(obj):32 obj[96:128]";
    let found = made("v=ssa1; addr=hash(obj):32 const(0):32", A, &w, &[]);
    c.verify(
        "4.2: a non-numeric object has a hash",
        rule,
        A,
        &w,
        found,
        "violation of field 1",
    );
    c.verify(
        "4.2: a non-numeric object is no violation of other fields",
        "v=ssa1; addr=hash(obj):32 const(0):32",
        A,
        &w,
        found,
        "conforming",
    );
    let rule = "v=ssa1; addr=obj[64:128]; replicas=4";
    c.verify(
        "4.2: a non-numeric object under replicas",
        rule,
        A,
        &w,
        address("2001:db8:5::1"),
        "violation of field 0",
    );
    let mut case = who().keys();
    case.remove("object");
    case.insert("object-hex".into(), json!("31ff"));
    case.insert("rule".into(), json!(low));
    case.insert("apl".into(), json!(A));
    case.insert("destination".into(), json!("2001:db8:5::1"));
    c.push(
        "4.2: a key that is no text is not numeric",
        "verify",
        case,
        Some(json!("violation")),
    );
    c
}

pub(super) fn unchecked() -> Cases {
    let mut c = Cases::default();
    let list = "2:2001:db8:5::/64 2:2001:db8:6::/64 2:2001:db8:7::/64";
    let w = who();
    let no_object = Who { object: None, ..who() };
    let no_chunk = Who { chunk: None, ..who() };
    let no_port = Who { port: None, ..who() };
    let note = "4.2: fields (and item) needing an unknown object key or chunk are unchecked";
    let rule = "v=ssa1; addr=hash(obj):16 hash(chunk):16 obj[112:128] hash(src/64):16; item=hash(obj,chunk)";
    let found = c.compose(note, rule, list, &w);
    c.verify(note, rule, list, &w, found, "conforming");
    c.verify(
        note,
        rule,
        list,
        &no_object,
        found,
        "conforming but item, field 0, field 2",
    );
    c.verify(note, rule, list, &no_chunk, found, "conforming but item, field 1");
    c.verify(
        note,
        rule,
        list,
        &w.blind(),
        found,
        "conforming but item, field 0, field 1, field 2",
    );
    c.verify(
        note,
        rule,
        list,
        &no_object,
        flip(found, 64),
        "conforming but item, field 0, field 2",
    );
    c.verify(
        note,
        rule,
        list,
        &no_object,
        flip(found, 111),
        "conforming but item, field 0, field 2",
    );
    c.verify(note, rule, list, &no_object, flip(found, 80), "violation of field 1");
    c.verify(note, rule, list, &no_object, flip(found, 127), "violation of field 3");
    c.verify(note, rule, list, &w.blind(), flip(found, 127), "violation of field 3");
    let other = if found >> 64 == address("2001:db8:5::") >> 64 {
        "2001:db8:6::"
    } else {
        "2001:db8:5::"
    };
    let moved = address(other) | (found & u128::from(u64::MAX));
    c.verify(note, rule, list, &w, moved, "violation of item");
    c.verify(note, rule, list, &no_chunk, moved, "conforming but item, field 1");

    let rule = "v=ssa1; addr=hash(src/64,obj):32 hash(src/64,chunk,obj):32; item=hash(src/64)";
    let found = c.compose(note, rule, list, &w);
    c.verify(note, rule, list, &w.blind(), found, "conforming but field 0, field 1");
    c.verify(note, rule, list, &no_chunk, found, "conforming but field 1");
    c.verify(note, rule, list, &no_chunk, flip(found, 64), "violation of field 0");
    c.verify(note, rule, list, &no_chunk, flip(found, 127), "conforming but field 1");

    let rule = "v=ssa1; addr=mac(src/64,obj):32 mac(src/64):32; key=k1";
    let found = c.compose(note, rule, A, &w);
    c.verify(note, rule, A, &no_object, found, "conforming but field 0");
    c.verify(
        "3.2: a mac covers what is unchecked too",
        rule,
        A,
        &no_object,
        flip(found, 64),
        "violation of field 1",
    );

    let rule = "v=ssa1; addr=hash(obj,time/30):32 hash(src/64,time/30):32";
    let found = c.compose("4.2: steps with an unknown object", rule, A, &w);
    c.verify(
        "4.2: steps with an unknown object",
        rule,
        A,
        &no_object,
        found,
        "conforming but field 0",
    );
    c.verify(
        "4.2: steps with an unknown object",
        rule,
        A,
        &no_object.at(NOW + 50),
        found,
        "violation of field 1",
    );
    let rule = "v=ssa1; addr=hash(obj,time/30):64";
    let found = made(rule, A, &w, &[]);
    c.verify(
        "4.2: steps with an unknown object",
        rule,
        A,
        &no_object.at(NOW + 5000),
        found,
        "conforming but field 0",
    );

    let note = "4: a later fragment has no port (what needs it is unchecked)";
    let rule = "v=ssa1; addr=hash(src/64,port):32 hash(src/64):32; item=hash(port)";
    let found = c.compose(note, rule, list, &w);
    c.verify(note, rule, list, &no_port, found, "conforming but item, field 0");
    c.verify(note, rule, list, &no_port, flip(found, 127), "violation of field 1");
    c.verify(
        note,
        rule,
        list,
        &no_port,
        flip(found, 64),
        "conforming but item, field 0",
    );
    let rule = "v=ssa1; addr=hash(src/64):20 rand:44; pow=24";
    let found = made(rule, A, &w, &[5]);
    c.verify(note, rule, A, &w, found, "violation of pow");
    c.verify(note, rule, A, &no_port, found, "conforming but pow");
    c.verify(note, rule, A, &no_port, flip(found, 64), "violation of field 0");
    let rule = "v=ssa1; addr=hash(port):20 hash(obj):20 rand:24; pow=8; item=hash(obj)";
    let found = made(rule, A, &w, &[5]);
    let fragment = Who {
        port: None,
        ..who().blind()
    };
    c.verify(
        note,
        rule,
        A,
        &fragment,
        found,
        "conforming but item, field 0, field 1, pow",
    );
    let rule = "v=ssa1; addr=hash(src/64):20 rand:44";
    let found = made(rule, A, &w, &[5]);
    c.verify(note, rule, A, &fragment, found, "conforming");
    c.verify(
        "4: an empty object key is a known one",
        "v=ssa1; addr=hash(obj):64",
        A,
        &w.object(""),
        address("2001:db8:5::"),
        "violation of field 0",
    );
    c
}

pub(super) fn replicas() -> Cases {
    let mut c = Cases::default();
    let note = "3.2: replica r adds floor(r*2^n/replicas) mod 2^n to the first field";
    for (template, replicas, more) in [
        ("hash(obj):20 const(0):44", 3, ""),
        ("hash(obj):7 const(0):57", 2, ""),
        ("hash(obj):64", 16, ""),
        ("hash(obj):64", 7, ""),
        ("src[0:8] const(0):56", 3, ""),
        ("src[64:128]", 5, ""),
        ("obj[118:128] const(0):54", 16, ""),
        ("obj[64:128]", 2, ""),
        ("mac(obj):20 mac(obj):44", 4, "; key=k1"),
        ("mac(src/64):64", 3, "; key=k1; kdf=src/48"),
        ("hash(src/64,time/30):20 mac(port):44", 11, "; key=k1; skew=0"),
    ] {
        let rule = format!("v=ssa1; addr={template}{more}; replicas={replicas}");
        let mut seen = Vec::new();
        for r in 0..replicas {
            let found = c.compose(note, &rule, A, &who().replica(r));
            assert!(!seen.contains(&found));
            seen.push(found);
            c.verify(
                "4.2: the first field may match any replica",
                &rule,
                A,
                &who(),
                found,
                "conforming",
            );
        }
        c.compose_error("3: the replica r in 0..replicas-1", &rule, A, &who().replica(replicas));
    }
    let rule = "v=ssa1; addr=obj[120:128] const(0):56; replicas=3";
    // ⌊256/3⌋ = 85, ⌊512/3⌋ = 170.
    let w = who().object("200");
    let at = |value: u128| address("2001:db8:5::") | value << 56;
    for (r, value) in [(0, 200), (1, 285 - 256), (2, 370 - 256)] {
        c.composes(note, rule, A, &w.replica(r), &text(at(value)));
    }
    for (value, expect) in [
        (200, "conforming"),
        (29, "conforming"),
        (114, "conforming"),
        (199, "violation of field 0"),
        (201, "violation of field 0"),
        (28, "violation of field 0"),
        (30, "violation of field 0"),
        (113, "violation of field 0"),
        (115, "violation of field 0"),
        (0, "violation of field 0"),
        (85, "violation of field 0"),
        (170, "violation of field 0"),
    ] {
        c.verify(
            "4.2: the first field may match any replica",
            rule,
            A,
            &w,
            at(value),
            expect,
        );
    }
    let rule = "v=ssa1; addr=hash(obj):20 hash(obj):20 const(0):24; replicas=2";
    let found = made(rule, A, &who(), &[]);
    c.verify(
        "3.2: the first field, no other",
        rule,
        A,
        &who(),
        flip(found, 64),
        "conforming",
    );
    c.verify(
        "3.2: the first field, no other",
        rule,
        A,
        &who(),
        flip(found, 84),
        "violation of field 1",
    );
    let rule = "v=ssa1; addr=hash(obj):20 const(0):44";
    let found = made(rule, A, &who(), &[]);
    c.verify(
        "2: replicas=1 by default",
        rule,
        A,
        &who(),
        flip(found, 64),
        "violation of field 0",
    );
    c.compose_error("3: the replica r in 0..replicas-1", rule, A, &who().replica(1));
    // A mac after the first field covers the replica's value.
    let rule = "v=ssa1; addr=hash(obj):20 mac(obj):44; key=k1; replicas=2";
    let found = made(rule, A, &who(), &[]);
    c.verify(
        "3.2: a mac covers every field before it",
        rule,
        A,
        &who(),
        flip(found, 64),
        "violation of field 1",
    );
    c
}
