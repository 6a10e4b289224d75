//! Section 3, step 1, and section 4, step 2: which item.

use super::*;

const TWO: &str = "2:2001:db8:5::/64 2:2001:db8:6::/64";
const THREE: &str = "2:2001:db8:5::/64 2:fd00:a:b::/64 2:2a02:1234:ffff::/64";

pub(super) fn items() -> Cases {
    let mut c = Cases::default();
    let near = "v=ssa1; addr=const(1):64";
    for (note, apl, source, expect) in [
        (
            "3.1: near: the most leading bits",
            THREE,
            "2a02:1234:5678::1",
            "2a02:1234:ffff::1",
        ),
        (
            "3.1: near: the most leading bits",
            THREE,
            "fd00:a:c::1",
            "fd00:a:b:0:0:0:0:1",
        ),
        (
            "3.1: near: the most leading bits",
            THREE,
            "2001:db8:ffff::1",
            "2001:db8:5::1",
        ),
        ("3.1: near: the source's own item", THREE, "fd00:a:b::9", "fd00:a:b::1"),
    ] {
        c.composes(note, near, apl, &who().source(source), expect);
    }
    // 0x7fff and 0x8000 are neighbours as numbers; 0x8000 shares no bit of the group with 0x7fff.
    let apart = "2:2001:db8:0:8000::/64 2:2001:db8:0:4000::/64";
    c.composes(
        "3.1: near: leading bits, not distance",
        near,
        apart,
        &who().source("2001:db8:0:7fff::1"),
        "2001:db8:0:4000::1",
    );
    c.composes(
        "3.1: near: leading bits, not distance",
        near,
        apart,
        &who().source("2001:db8:0:ffff::1"),
        "2001:db8:0:8000::1",
    );
    let deep = "2:2001:db8:0:fffc::/64 2:2001:db8:0:fffe::/64";
    c.composes(
        "3.1: near: the last bits of an item count",
        near,
        deep,
        &who().source("2001:db8:0:ffff::1"),
        "2001:db8:0:fffe::1",
    );
    c.composes(
        "3.1: near: the last bits of an item count",
        near,
        deep,
        &who().source("2001:db8:0:fffd::1"),
        "2001:db8:0:fffc::1",
    );
    let early = "2:8000::/64 2:4000::/64";
    c.composes(
        "3.1: near: the first bit counts",
        near,
        early,
        &who().source("c000::1"),
        "8000::1",
    );
    c.composes(
        "3.1: near: the first bit counts",
        near,
        early,
        &who().source("6000::1"),
        "4000::1",
    );
    c.composes(
        "2: item=near is the default",
        "v=ssa1; addr=const(1):64; item=near",
        THREE,
        &who().source("fd00:a:c::1"),
        "fd00:a:b::1",
    );
    c.composes(
        "3.1: near: duplicates are one item",
        near,
        "2:fd00::/64 2:fd00::/64 2:2001:db8::/64",
        &who().source("fd00::9"),
        "fd00::1",
    );
    c.composes(
        "3.1: near: a positive item, not a negated one",
        near,
        "!2:fd00:a:b::/64 2:fd00:a::/64 2:2001:db8::/64",
        &who().source("fd00:a:b::9"),
        "fd00:a::1",
    );
    let hosts = "2:2001:db8::1/128 2:2001:db8::2/128 2:fd00::77/128";
    c.composes(
        "3.1: near over /128 items",
        "v=ssa1; addr=-",
        hosts,
        &who().source("fd00::78"),
        "fd00::77",
    );
    c.composes(
        "3.1: near over /128 items",
        "v=ssa1; addr=-",
        hosts,
        &who().source("2001:db8::3"),
        "2001:db8::2",
    );
    c.composes(
        "3.1: rand over one item",
        "v=ssa1; addr=const(1):64; item=rand",
        A,
        &who(),
        "2001:db8:5::1",
    );

    // hash
    let list = "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:3::/64 2:2001:db8:4::/64 2:2001:db8:5::/64";
    let reversed = "2:2001:db8:5::/64 2:2001:db8:4::/64 2:2001:db8:3::/64 2:2001:db8:2::/64 2:2001:db8:1::/64";
    let note = "3.1: hash: the greatest SipHash(public, 04 00 S I item)";
    for inputs in [
        "src/64",
        "src/48",
        "src/128",
        "src/1",
        "obj",
        "chunk",
        "port",
        "obj,chunk",
        "chunk,obj",
        "src/64,obj,chunk,port",
    ] {
        let rule = format!("v=ssa1; addr=const(1):64; item=hash({inputs})");
        let found = c.compose(note, &rule, list, &who());
        c.composes(
            "3.1: hash: the order of the list is nothing",
            &rule,
            reversed,
            &who(),
            &text(found),
        );
        let salted = format!("{rule}; salt=2026a");
        c.compose("3: S is the salt if the inputs contain src", &salted, list, &who());
        c.verify("4.2: item=hash, the winner", &rule, list, &who(), found, "conforming");
        for loser in [
            "2001:db8:1::1",
            "2001:db8:2::1",
            "2001:db8:3::1",
            "2001:db8:4::1",
            "2001:db8:5::1",
        ] {
            if address(loser) != found {
                c.verify(
                    "4.2: another item than the destination's wins",
                    &rule,
                    list,
                    &who(),
                    address(loser),
                    "violation of item",
                );
            }
        }
    }
    for object in ["", "a", "b", "/v1/objects/a/b", "ключ"] {
        let rule = "v=ssa1; addr=-; item=hash(obj)";
        c.compose(
            note,
            rule,
            "2:2001:db8::1/128 2:2001:db8::2/128 2:2001:db8::3/128 2:2001:db8::4/128",
            &who().object(object),
        );
    }
    let longest = "v=ssa1; addr=const(1):64; item=hash(src/128,obj,chunk,port); salt=abcdefghijklmnopqrstuvwxyz012345";
    c.compose("3.1: hash: all inputs and the longest salt", longest, list, &who());
    let rule = "v=ssa1; addr=const(1):64; item=hash(obj)";
    c.compose(
        "3.1: hash: duplicates are one item",
        rule,
        "2:2001:db8:1::/64 2:2001:db8:2::/64 2:2001:db8:1::/64",
        &who(),
    );
    c.compose(
        "3.1: hash: positive items only",
        rule,
        "!2:2001:db8:1::/64 2:2001:db8:2::/64 !2:2001:db8:3::/64",
        &who(),
    );
    let hashed = "v=ssa1; addr=hash(obj):64; item=hash(obj)";
    let pair = "2:2001:db8:4::/64 2:2001:db8:5::/64";
    let found = c.compose("3.1: item and field hash differ", hashed, pair, &who());
    c.verify(
        "4.2: item before fields",
        hashed,
        pair,
        &who(),
        flip(flip(found, 47), 100),
        "violation of item",
    );
    c.verify(
        "4.2: field after item",
        hashed,
        pair,
        &who(),
        flip(found, 100),
        "violation of field 0",
    );

    // near and rand are the client's affair: a verifier accepts any positive item.
    for rule in [
        "v=ssa1; addr=const(1):64; item=near",
        "v=ssa1; addr=const(1):64; item=rand",
        "v=ssa1; addr=const(1):64",
    ] {
        for destination in ["2001:db8:5::1", "fd00:a:b::1", "2a02:1234:ffff::1"] {
            c.verify(
                "4.2: only item=hash binds the item",
                rule,
                THREE,
                &who(),
                address(destination),
                "conforming",
            );
        }
    }
    c.verify(
        "4: fields are fields under any item",
        "v=ssa1; addr=const(1):64",
        TWO,
        &who(),
        address("2001:db8:6::2"),
        "violation of field 0",
    );
    c
}
