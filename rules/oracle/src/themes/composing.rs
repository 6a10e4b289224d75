//! Section 3, steps 2 to 4: what cannot be composed, and what leaves nothing to chance but the draw.

use super::*;

pub(super) fn composing() -> Cases {
    let mut c = Cases::default();
    let w = who();
    let note = "3: a missing input or secret is an error";
    let no_object = Who { object: None, ..who() };
    let no_chunk = Who { chunk: None, ..who() };
    let no_port = Who { port: None, ..who() };
    let no_time = Who { time: None, ..who() };
    let no_secret = Who {
        secrets: vec![],
        ..who()
    };
    let other_secret = Who {
        secrets: vec![("k2", SECRET)],
        ..who()
    };
    for (rule, who) in [
        ("v=ssa1; addr=hash(obj):64", &no_object),
        ("v=ssa1; addr=obj[64:128]", &no_object),
        ("v=ssa1; addr=hash(src/64):32 hash(src/64,obj):32", &no_object),
        ("v=ssa1; addr=const(0):64; item=hash(obj)", &no_object),
        ("v=ssa1; addr=hash(chunk):64", &no_chunk),
        ("v=ssa1; addr=const(0):64; item=hash(chunk)", &no_chunk),
        ("v=ssa1; addr=hash(port):64", &no_port),
        ("v=ssa1; addr=const(0):64; item=hash(port)", &no_port),
        ("v=ssa1; addr=rand:64; pow=1", &no_port),
        ("v=ssa1; addr=mac(obj):64; key=k1", &no_object),
        ("v=ssa1; addr=mac(obj):64; key=k1", &no_secret),
        ("v=ssa1; addr=mac(obj):64; key=k1", &other_secret),
        ("v=ssa1; addr=mac(obj):64; key=k1; kdf=src/48", &no_secret),
        ("v=ssa1; addr=mac(obj):64; key=K1", &w),
        ("v=ssa1; addr=mac(obj):64; key=k", &w),
        ("v=ssa1; addr=hash(src/64):48 mac(src/64):16; key=k1", &no_secret),
    ] {
        c.compose_error(note, rule, A, who);
    }
    let note = "3: an input nobody asks for may be missing";
    for (rule, who) in [
        ("v=ssa1; addr=hash(src/64):64", &no_object),
        ("v=ssa1; addr=hash(src/64,obj):64", &no_chunk),
        ("v=ssa1; addr=hash(src/64,obj,chunk):64", &no_port),
        ("v=ssa1; addr=hash(src/64,obj,chunk,port):64", &no_time),
        ("v=ssa1; addr=hash(src/64,obj,chunk,time/30,port):64", &no_secret),
    ] {
        c.compose(note, rule, A, who);
    }
    // Half of the item is negated, so the draw is certain in the end.
    let note = "3.3: if the result is not in the service, redraw the rand fields";
    for (rule, apl, expect) in [
        (
            "v=ssa1; addr=rand:1 const(5):63",
            "2:2001:db8:5::/64 !2:2001:db8:5::/65",
            "2001:db8:5:0:8000::5",
        ),
        (
            "v=ssa1; addr=rand:1 const(5):63",
            "2:2001:db8:5::/64 !2:2001:db8:5:0:8000::/65",
            "2001:db8:5::5",
        ),
        (
            "v=ssa1; addr=const(1):1 rand:1 const(5):62",
            "2:2001:db8:5::/64 !2:2001:db8:5:0:8000::/66",
            "2001:db8:5:0:c000::5",
        ),
        (
            "v=ssa1; addr=rand:1 const(5):63; item=rand",
            "2:2001:db8:5::/64 !2:2001:db8:5::/65",
            "2001:db8:5:0:8000::5",
        ),
        (
            "v=ssa1; addr=rand:1 const(5):63; item=hash(obj)",
            "2:2001:db8:5::/64 !2:2001:db8:5::/65",
            "2001:db8:5:0:8000::5",
        ),
    ] {
        c.composes(note, rule, apl, &w, expect);
    }
    for rule in [
        "v=ssa1; addr=rand:1 mac(src/64):63; key=k1",
        "v=ssa1; addr=rand:1 mac(src/64):31 mac(obj):32; key=k1",
        "v=ssa1; addr=hash(obj):7 rand:1 mac(src/64):56; key=k1",
    ] {
        let apl = if rule.contains("hash") {
            // Both halves of every even /72, so that the drawn bit must be 1 wherever the hash lands.
            let fixed = made("v=ssa1; addr=hash(obj):7 const(0):57", A, &w, &[]);
            format!("2:2001:db8:5::/64 !2:{}/72", text(fixed))
        } else {
            "2:2001:db8:5::/64 !2:2001:db8:5::/65".to_string()
        };
        let found = c.compose("3.3: a mac is over the last draw", rule, &apl, &w);
        c.verify("3.3: a mac is over the last draw", rule, &apl, &w, found, "conforming");
    }
    // No draw is in the service under the nearest item.
    let blocked = "2:2001:db8:5::/64 !2:2001:db8:5::/65 !2:2001:db8:5:0:8000::/65 2:2001:db8:6::/64 !2:2001:db8:6::/65 2:fd00::/64 !2:fd00::/65";
    let near = w.source("2001:db8:5::77");
    let rule = "v=ssa1; addr=rand:1 const(5):63";
    c.composes(
        "3.3: then the next item: near: the next nearest",
        rule,
        blocked,
        &near,
        "2001:db8:6:0:8000::5",
    );
    let lost = "2:2001:db8:5::/64 !2:2001:db8:5::/65 !2:2001:db8:5:0:8000::/65 2:2001:db8:6::/64 !2:2001:db8:6::/65 !2:2001:db8:6:0:8000::/65 2:fd00::/64 !2:fd00::/65";
    c.composes(
        "3.3: then the next item, and the next",
        rule,
        lost,
        &near,
        "fd00::8000:0:0:5",
    );
    c.composes(
        "3.3: then the next item, in any order",
        "v=ssa1; addr=rand:1 const(5):63; item=rand",
        lost,
        &near,
        "fd00::8000:0:0:5",
    );
    let none = "2:2001:db8:5::/64 !2:2001:db8:5::/65 !2:2001:db8:5:0:8000::/65";
    c.compose_error("3.3: then an error", rule, none, &w);
    c.compose_error(
        "3.3: then an error",
        "v=ssa1; addr=rand:1 const(5):63; item=rand",
        none,
        &w,
    );
    // The winner of item=hash is blocked, whichever it is.
    let plain = "v=ssa1; addr=rand:1 const(5):63; item=hash(obj)";
    let two = "2:2001:db8:5::/64 2:2001:db8:6::/64";
    let winner = made(plain, two, &w, &[0]) >> 64 << 64;
    let (first, second) = (text(winner), text(winner | 1 << 63));
    let blocked = format!("{two} !2:{first}/65 !2:{second}/65");
    c.compose_error("3.3: not with item=hash", plain, &blocked, &w);
    // One rand bit and pow=... cannot be certain; a list that blocks all is.
    c.compose_error(
        "3.3: then an error, with pow too",
        "v=ssa1; addr=rand:64; pow=8",
        none,
        &w,
    );
    c
}
