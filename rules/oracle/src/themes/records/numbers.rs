//! Section 2: numbers in a record.

use crate::themes::Cases;

pub(in crate::themes) fn cases() -> Cases {
    let mut c = Cases::default();
    c.unusable(
        "2: numbers are decimal with no sign or leading zero",
        &[
            "v=ssa1; addr=rand:064",
            "v=ssa1; addr=rand:+64",
            "v=ssa1; addr=rand:-64",
            "v=ssa1; addr=rand:0x40",
            "v=ssa1; addr=rand:64.0",
            "v=ssa1; addr=rand:6_4",
            "v=ssa1; addr=hash(obj):064",
            "v=ssa1; addr=const(0):064",
            "v=ssa1; addr=mac(obj):064; key=k1",
            "v=ssa1; addr=src[00:64]",
            "v=ssa1; addr=src[0:064]",
            "v=ssa1; addr=src[+0:64]",
            "v=ssa1; addr=src[-0:64]",
            "v=ssa1; addr=obj[064:128]",
            "v=ssa1; addr=obj[64:+128]",
            "v=ssa1; addr=hash(src/064):64",
            "v=ssa1; addr=hash(src/+64):64",
            "v=ssa1; addr=hash(time/030):64",
            "v=ssa1; addr=hash(time/+30):64",
            "v=ssa1; addr=rand:64; item=hash(src/064)",
            "v=ssa1; addr=hash(obj):64; replicas=04",
            "v=ssa1; addr=hash(obj):64; replicas=+4",
            "v=ssa1; addr=hash(obj):64; replicas=",
            "v=ssa1; addr=rand:64; pow=08",
            "v=ssa1; addr=rand:64; pow=+8",
            "v=ssa1; addr=rand:64; pow=",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/048",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/+48",
            "v=ssa1; addr=rand:64; skew=05",
            "v=ssa1; addr=rand:64; skew=00",
            "v=ssa1; addr=rand:64; skew=+5",
            "v=ssa1; addr=rand:64; skew=-0",
            "v=ssa1; addr=rand:64; skew=1.5",
            "v=ssa1; addr=rand:64; skew=",
            "v=ssa1; addr=rand:64; from=00",
            "v=ssa1; addr=rand:64; from=01",
            "v=ssa1; addr=rand:64; from=+1",
            "v=ssa1; addr=rand:64; from=-1",
            "v=ssa1; addr=rand:64; from=",
            "v=ssa1; addr=rand:64; from=1 2",
        ],
    );
    c.unusable(
        "2: numbers do not wrap",
        &[
            "v=ssa1; addr=rand:320",
            "v=ssa1; addr=rand:65600",
            "v=ssa1; addr=rand:4294967360",
            "v=ssa1; addr=rand:18446744073709551680",
            "v=ssa1; addr=rand:340282366920938463463374607431768211520",
            "v=ssa1; addr=src[256:320]",
            "v=ssa1; addr=src[0:4294967360]",
            "v=ssa1; addr=src[0:320]",
            "v=ssa1; addr=hash(src/320):64",
            "v=ssa1; addr=hash(time/4294967326):64",
            "v=ssa1; addr=rand:64; pow=257",
            "v=ssa1; addr=rand:64; skew=65536",
            "v=ssa1; addr=rand:64; from=18446744073709551616",
        ],
    );
    c.usable(
        "2: n is 1..64",
        &[
            "v=ssa1; addr=rand:64",
            "v=ssa1; addr=hash(obj):64",
            "v=ssa1; addr=const(0):64",
            "v=ssa1; addr=mac(obj):64; key=k1",
            "v=ssa1; addr=rand:1 hash(obj):1 const(0):1 rand:61",
        ],
    );
    c.unusable(
        "2: n is 1..64",
        &[
            "v=ssa1; addr=rand:0 rand:64",
            "v=ssa1; addr=rand:64 hash(obj):0",
            "v=ssa1; addr=rand:64 const(0):0",
            "v=ssa1; addr=rand:64 mac(obj):0; key=k1",
        ],
    );
    for rule in [
        "v=ssa1; addr=rand:65",
        "v=ssa1; addr=hash(obj):65",
        "v=ssa1; addr=const(0):65",
        "v=ssa1; addr=mac(obj):65; key=k1",
        "v=ssa1; addr=src[0:65]",
        "v=ssa1; addr=obj[63:128]",
    ] {
        c.parse(
            "2: n is 1..64, b-a is at most 64",
            rule,
            "2:2001:db8:4::/63",
            "unusable",
        );
    }
    c.parse(
        "2: 65 bits in two fields",
        "v=ssa1; addr=rand:64 rand:1",
        "2:2001:db8:4::/63",
        "usable",
    );
    c.usable(
        "2: 0 <= a < b <= 128, b-a <= 64",
        &[
            "v=ssa1; addr=src[0:64]",
            "v=ssa1; addr=src[64:128]",
            "v=ssa1; addr=obj[0:64]",
            "v=ssa1; addr=obj[64:128]",
            "v=ssa1; addr=src[0:1] src[127:128] rand:62",
            "v=ssa1; addr=obj[0:1] obj[127:128] rand:62",
        ],
    );
    c.unusable(
        "2: 0 <= a < b <= 128, b-a <= 64",
        &[
            "v=ssa1; addr=src[65:129]",
            "v=ssa1; addr=obj[65:129]",
            "v=ssa1; addr=src[128:192]",
            "v=ssa1; addr=src[64:0]",
            "v=ssa1; addr=src[0:0] rand:64",
            "v=ssa1; addr=obj[128:128] rand:64",
            "v=ssa1; addr=rand:64 obj[5:5]",
            "v=ssa1; addr=src[1:0] rand:64",
            "v=ssa1; addr=src[128:129] rand:63",
        ],
    );
    c.usable(
        "2: hex is 1 to 16 digits of either case whose value fits n bits",
        &[
            "v=ssa1; addr=const(0):1 rand:63",
            "v=ssa1; addr=const(1):1 rand:63",
            "v=ssa1; addr=const(ff):8 rand:56",
            "v=ssa1; addr=const(FF):8 rand:56",
            "v=ssa1; addr=const(aBcDeF):24 rand:40",
            "v=ssa1; addr=const(0ff):8 rand:56",
            "v=ssa1; addr=const(00000000000000ff):8 rand:56",
            "v=ssa1; addr=const(0000000000000000):1 rand:63",
            "v=ssa1; addr=const(ffffffffffffffff):64",
            "v=ssa1; addr=const(7fffffffffffffff):63 rand:1",
        ],
    );
    c.unusable(
        "2: hex is 1 to 16 digits of either case whose value fits n bits",
        &[
            "v=ssa1; addr=const():64",
            "v=ssa1; addr=const(2):1 rand:63",
            "v=ssa1; addr=const(100):8 rand:56",
            "v=ssa1; addr=const(00000000000000000):64",
            "v=ssa1; addr=const(10000000000000000):64",
            "v=ssa1; addr=const(8000000000000000):63 rand:1",
            "v=ssa1; addr=const(0x1f):8 rand:56",
            "v=ssa1; addr=const(+1):8 rand:56",
            "v=ssa1; addr=const(-1):64",
            "v=ssa1; addr=const(g):8 rand:56",
            "v=ssa1; addr=const(1_0):8 rand:56",
        ],
    );
    c.usable(
        "2: input = src/1..128, time/1..86400",
        &[
            "v=ssa1; addr=hash(src/1):64",
            "v=ssa1; addr=hash(src/128):64",
            "v=ssa1; addr=hash(time/1):64",
            "v=ssa1; addr=hash(time/86400):64",
            "v=ssa1; addr=rand:64; item=hash(src/1)",
            "v=ssa1; addr=rand:64; item=hash(src/128)",
        ],
    );
    c.unusable(
        "2: input = src/1..128, time/1..86400",
        &[
            "v=ssa1; addr=hash(src/0):64",
            "v=ssa1; addr=hash(src/129):64",
            "v=ssa1; addr=hash(time/0):64",
            "v=ssa1; addr=hash(time/86401):64",
            "v=ssa1; addr=rand:64; item=hash(src/0)",
            "v=ssa1; addr=rand:64; item=hash(src/129)",
        ],
    );
    c.usable(
        "2: replicas = 1..16, pow = 1..24, kdf = src/1..128, skew = 0..600, from = 0..2^63-1",
        &[
            "v=ssa1; addr=hash(obj):64; replicas=1",
            "v=ssa1; addr=hash(obj):64; replicas=16",
            "v=ssa1; addr=rand:64; pow=1",
            "v=ssa1; addr=rand:64; pow=24",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/1",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/128",
            "v=ssa1; addr=rand:64; skew=0",
            "v=ssa1; addr=rand:64; skew=600",
            "v=ssa1; addr=rand:64; from=0",
            "v=ssa1; addr=rand:64; from=9223372036854775807",
        ],
    );
    c.unusable(
        "2: replicas = 1..16, pow = 1..24, kdf = src/1..128, skew = 0..600, from = 0..2^63-1",
        &[
            "v=ssa1; addr=hash(obj):64; replicas=0",
            "v=ssa1; addr=hash(obj):64; replicas=17",
            "v=ssa1; addr=rand:64; pow=0",
            "v=ssa1; addr=rand:64; pow=25",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/0",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/129",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=48",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=obj",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=",
            "v=ssa1; addr=rand:64; skew=601",
            "v=ssa1; addr=rand:64; from=9223372036854775808",
            "v=ssa1; addr=rand:64; from=9223372036854775807000",
        ],
    );
    c
}
