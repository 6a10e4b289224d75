//! Section 2: what makes a record unusable.

use crate::themes::Cases;

pub(in crate::themes) fn cases() -> Cases {
    let mut c = Cases::default();
    c.usable(
        "2: a kind of input may recur in other fields",
        &[
            "v=ssa1; addr=hash(src/64):32 hash(src/48):32",
            "v=ssa1; addr=hash(obj):32 hash(obj):32; item=hash(obj)",
            "v=ssa1; addr=hash(time/30):32 hash(time/30):32",
        ],
    );
    c.unusable(
        "2: repeats a kind of input (whatever its number) in one field or in item",
        &[
            "v=ssa1; addr=hash(src/64,src/64):64",
            "v=ssa1; addr=hash(src/64,src/48):64",
            "v=ssa1; addr=hash(src/64,obj,src/48):64",
            "v=ssa1; addr=hash(obj,obj):64",
            "v=ssa1; addr=hash(chunk,obj,chunk):64",
            "v=ssa1; addr=hash(time/30,time/30):64",
            "v=ssa1; addr=hash(port,port):64",
            "v=ssa1; addr=rand:32 hash(obj,port,obj):32",
            "v=ssa1; addr=mac(src/64,src/48):64; key=k1",
            "v=ssa1; addr=rand:64; item=hash(src/64,src/48)",
            "v=ssa1; addr=rand:64; item=hash(obj,obj)",
            "v=ssa1; addr=rand:64; item=hash(port,chunk,port)",
        ],
    );
    c.usable(
        "2: mac with key",
        &[
            "v=ssa1; addr=mac(obj):64; key=k1",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/48",
            "v=ssa1; addr=hash(src/64):20 mac(src/64):22 mac(obj):22; key=k1",
        ],
    );
    c.unusable(
        "2: mac without key, or key or kdf without mac",
        &[
            "v=ssa1; addr=mac(obj):64",
            "v=ssa1; addr=mac(obj):64; kdf=src/48",
            "v=ssa1; addr=rand:64; key=k1",
            "v=ssa1; addr=rand:64; kdf=src/48",
            "v=ssa1; addr=rand:64; key=k1; kdf=src/48",
            "v=ssa1; addr=hash(obj):64; key=k1",
        ],
    );
    c.usable(
        "2: a mac of 16",
        &[
            "v=ssa1; addr=mac(obj):16 rand:48; key=k1",
            "v=ssa1; addr=rand:32 mac(obj):16 mac(obj):16; key=k1",
        ],
    );
    c.unusable(
        "2: a mac narrower than 16",
        &[
            "v=ssa1; addr=mac(obj):15 rand:49; key=k1",
            "v=ssa1; addr=mac(obj):1 rand:63; key=k1",
            "v=ssa1; addr=mac(obj):49 mac(obj):15; key=k1",
            "v=ssa1; addr=mac(obj):15 mac(obj):49; key=k1",
        ],
    );
    c.unusable(
        "2: two different time steps",
        &[
            "v=ssa1; addr=hash(time/30):32 hash(time/31):32",
            "v=ssa1; addr=hash(time/30):32 mac(time/60):32; key=k1",
            "v=ssa1; addr=hash(time/30):20 hash(time/30):20 hash(time/60):24",
        ],
    );
    c.usable(
        "2: one time step",
        &["v=ssa1; addr=hash(time/30):32 mac(obj,time/30):32; key=k1"],
    );
    c.unusable(
        "2: time in item",
        &[
            "v=ssa1; addr=rand:64; item=hash(time/30)",
            "v=ssa1; addr=rand:64; item=hash(src/64,time/30)",
            "v=ssa1; addr=hash(time/30):64; item=hash(time/30)",
        ],
    );
    c.usable(
        "2: skew <= 2*step with time",
        &[
            "v=ssa1; addr=hash(time/5):64; skew=10",
            "v=ssa1; addr=hash(time/1):64; skew=2",
            "v=ssa1; addr=hash(time/1):64; skew=0",
            "v=ssa1; addr=hash(time/1):64",
            "v=ssa1; addr=hash(time/4):64",
            "v=ssa1; addr=hash(time/300):64; skew=600",
            "v=ssa1; addr=hash(time/86400):64; skew=600",
            "v=ssa1; addr=rand:32 hash(obj):8 hash(src/64,time/5):24; skew=10",
        ],
    );
    c.unusable(
        "2: skew > 2*step with time",
        &[
            "v=ssa1; addr=hash(time/5):64; skew=11",
            "v=ssa1; addr=hash(time/1):64; skew=3",
            "v=ssa1; addr=hash(time/299):64; skew=600",
            "v=ssa1; addr=rand:32 hash(obj):8 hash(src/64,time/5):24; skew=11",
            "v=ssa1; addr=mac(time/5):64; key=k1; skew=11",
        ],
    );
    c.usable(
        "2: skew <= 120 with pow",
        &[
            "v=ssa1; addr=rand:64; pow=1; skew=120",
            "v=ssa1; addr=rand:64; pow=24; skew=0",
            "v=ssa1; addr=hash(time/3600):32 rand:32; pow=8; skew=120",
            "v=ssa1; addr=rand:64; skew=121",
        ],
    );
    c.unusable(
        "2: skew > 120 with pow",
        &[
            "v=ssa1; addr=rand:64; pow=1; skew=121",
            "v=ssa1; addr=hash(time/3600):32 rand:32; pow=8; skew=121",
            "v=ssa1; addr=hash(time/30):32 rand:32; pow=8; skew=61",
        ],
    );
    c.usable(
        "2: rand widths summing to pow+8",
        &[
            "v=ssa1; addr=hash(src/64):55 rand:9; pow=1",
            "v=ssa1; addr=hash(src/64):48 rand:16; pow=8",
            "v=ssa1; addr=rand:8 hash(src/64):48 rand:8; pow=8",
            "v=ssa1; addr=rand:1 hash(src/64):32 rand:31; pow=24",
            "v=ssa1; addr=hash(src/64):63 rand:1",
        ],
    );
    c.unusable(
        "2: pow > 0 and rand widths summing to less than pow+8",
        &[
            "v=ssa1; addr=hash(src/64):56 rand:8; pow=1",
            "v=ssa1; addr=hash(src/64):49 rand:15; pow=8",
            "v=ssa1; addr=rand:8 hash(src/64):49 rand:7; pow=8",
            "v=ssa1; addr=rand:1 hash(src/64):33 rand:30; pow=24",
            "v=ssa1; addr=hash(src/64):64; pow=1",
        ],
    );
    c.parse(
        "2: pow needs rand bits",
        "v=ssa1; addr=-; item=rand; pow=1",
        "2:2001:db8::1/128",
        "unusable",
    );
    c.usable(
        "2: replicas > 1 and a first field of src, obj, hash or mac",
        &[
            "v=ssa1; addr=src[0:32] rand:32; replicas=2",
            "v=ssa1; addr=obj[0:32] rand:32; replicas=2",
            "v=ssa1; addr=hash(obj):32 rand:32; replicas=2",
            "v=ssa1; addr=mac(obj):32 rand:32; replicas=2; key=k1",
            "v=ssa1; addr=rand:32 hash(obj):32; replicas=1",
            "v=ssa1; addr=const(0):32 hash(obj):32; replicas=1",
        ],
    );
    c.unusable(
        "2: replicas > 1 and a first field that is not src, obj, hash or mac",
        &[
            "v=ssa1; addr=rand:32 hash(obj):32; replicas=2",
            "v=ssa1; addr=const(0):32 hash(obj):32; replicas=2",
            "v=ssa1; addr=rand:64; replicas=16",
        ],
    );
    c.parse(
        "2: replicas > 1 and no first field",
        "v=ssa1; addr=-; replicas=2",
        "2:2001:db8::1/128",
        "unusable",
    );
    c.parse(
        "2: replicas = 1 and no first field",
        "v=ssa1; addr=-; replicas=1",
        "2:2001:db8::1/128",
        "usable",
    );
    c.usable(
        "2: a first field of n with 2^n >= 64*replicas",
        &[
            "v=ssa1; addr=hash(obj):7 rand:57; replicas=2",
            "v=ssa1; addr=hash(obj):8 rand:56; replicas=3",
            "v=ssa1; addr=hash(obj):8 rand:56; replicas=4",
            "v=ssa1; addr=hash(obj):9 rand:55; replicas=5",
            "v=ssa1; addr=hash(obj):9 rand:55; replicas=8",
            "v=ssa1; addr=hash(obj):10 rand:54; replicas=9",
            "v=ssa1; addr=hash(obj):10 rand:54; replicas=16",
            "v=ssa1; addr=src[0:7] rand:57; replicas=2",
            "v=ssa1; addr=obj[100:110] rand:54; replicas=16",
            "v=ssa1; addr=hash(obj):64; replicas=16",
            "v=ssa1; addr=hash(obj):1 rand:63; replicas=1",
        ],
    );
    c.unusable(
        "2: a first field narrower than n with 2^n >= 64*replicas",
        &[
            "v=ssa1; addr=hash(obj):6 rand:58; replicas=2",
            "v=ssa1; addr=hash(obj):7 rand:57; replicas=3",
            "v=ssa1; addr=hash(obj):7 rand:57; replicas=4",
            "v=ssa1; addr=hash(obj):8 rand:56; replicas=5",
            "v=ssa1; addr=hash(obj):8 rand:56; replicas=8",
            "v=ssa1; addr=hash(obj):9 rand:55; replicas=9",
            "v=ssa1; addr=hash(obj):9 rand:55; replicas=16",
            "v=ssa1; addr=src[0:6] rand:58; replicas=2",
            "v=ssa1; addr=obj[100:109] rand:55; replicas=16",
            "v=ssa1; addr=hash(obj):1 hash(obj):63; replicas=2",
        ],
    );
    c
}
