//! Section 2: the record alone.

use super::{A, Cases};

pub(super) fn grammar() -> Cases {
    let mut c = Cases::default();
    c.usable(
        "2: record = \"v=ssa1\" *( \";\" tag ) [ \";\" ]",
        &[
            "v=ssa1;addr=rand:64",
            "v=ssa1;addr=rand:64;",
            "v=ssa1; addr=rand:64; item=rand",
            "v=ssa1; item=rand; addr=rand:64",
        ],
    );
    c.usable(
        "2: blanks (space, tab) around ; and = and at both ends are ignored",
        &[
            "  v=ssa1; addr=rand:64  ",
            "\tv=ssa1; addr=rand:64\t",
            "v = ssa1; addr=rand:64",
            "v\t=\tssa1\t;\taddr\t=\trand:64\t;\titem\t=\trand\t;\t",
            "v=ssa1   ;   addr   =   rand:64   ;   ",
            "v=ssa1; addr=rand:64; salt = x ; replicas = 1 ; skew = 3 ; from = 4 ; pow = 1 ; item = near",
            "v=ssa1; addr=mac(obj):64; key = k1 ; kdf = src/48",
        ],
    );
    c.unusable(
        "2: only space and tab are blanks",
        &[
            "v=ssa1;\naddr=rand:64",
            "v=ssa1; addr=rand:64\n",
            "v=ssa1; addr=rand:64;\r",
            "v=ssa1; addr=rand:32\nrand:32",
            "v=ssa1; addr=rand:64;\u{b}item=rand",
        ],
    );
    c.unusable(
        "2: an empty tag",
        &[
            "v=ssa1; addr=rand:64;;",
            "v=ssa1; addr=rand:64; ;",
            "v=ssa1;; addr=rand:64",
            "v=ssa1; \t; addr=rand:64",
            "; v=ssa1; addr=rand:64",
        ],
    );
    c.unusable(
        "2: the record begins with v=ssa1",
        &[
            "",
            " ",
            ";",
            "addr=rand:64",
            "addr=rand:64; v=ssa1",
            "item=rand; v=ssa1; addr=rand:64",
            "v=ssa2; addr=rand:64",
            "v=ssa; addr=rand:64",
            "v=ssa11; addr=rand:64",
            "v=; addr=rand:64",
            "v; addr=rand:64",
            "ssa1; addr=rand:64",
            "v=\"ssa1\"; addr=rand:64",
            "v=ssa1 addr=rand:64",
            "v=ssa1, addr=rand:64",
            "x-a=1; v=ssa1; addr=rand:64",
        ],
    );
    c.unusable(
        "2: names are lower case",
        &[
            "V=ssa1; addr=rand:64",
            "v=SSA1; addr=rand:64",
            "v=ssa1; Addr=rand:64",
            "v=ssa1; addr=RAND:64",
            "v=ssa1; addr=rand:64; item=Near",
            "v=ssa1; addr=rand:64; ITEM=near",
            "v=ssa1; addr=rand:64; item=HASH(obj)",
            "v=ssa1; addr=Hash(obj):64",
            "v=ssa1; addr=hash(OBJ):64",
            "v=ssa1; addr=hash(Src/64):64",
            "v=ssa1; addr=Src[0:64]",
            "v=ssa1; addr=Const(0):64",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=SRC/48",
        ],
    );
    c.unusable(
        "2: ASCII",
        &[
            "v=ssa1; addr=rand:64; x-note=caf\u{e9}",
            "v=ssa1; addr=rand:64; salt=caf\u{e9}",
            "v=ssa1;\u{a0}addr=rand:64",
            "v=ssa1; addr=rand:6\u{664}",
        ],
    );
    c.unusable("2: addr is required", &["v=ssa1", "v=ssa1;", "v=ssa1; item=rand"]);
    c.unusable(
        "2: another unknown tag",
        &[
            "v=ssa1; addr=rand:64; foo=1",
            "v=ssa1; addr=rand:64; X-foo=1",
            "v=ssa1; addr=rand:64; x=1",
            "v=ssa1; addr=rand:64; xa=1",
            "v=ssa1; addr=rand:64; address=1",
            "v=ssa1; addr=rand:64; ad dr=1",
            "v=ssa1; addr=rand:64; =1",
            "v=ssa1; addr=rand:64; items=near",
        ],
    );
    c.unusable(
        "2: a tag has a value",
        &[
            "v=ssa1; addr",
            "v=ssa1; addr rand:64",
            "v=ssa1; addr:rand:64",
            "v=ssa1; addr=rand:64; item",
            "v=ssa1; addr=rand:64; x-foo",
        ],
    );
    c.unusable(
        "2: a repeated tag",
        &[
            "v=ssa1; v=ssa1; addr=rand:64",
            "v=ssa1; addr=rand:64; v=ssa1",
            "v=ssa1; addr=rand:64; addr=rand:64",
            "v=ssa1; addr=rand:64; item=near; item=near",
            "v=ssa1; addr=rand:64; salt=a; salt=a",
            "v=ssa1; addr=rand:64; replicas=1; replicas=1",
            "v=ssa1; addr=rand:64; pow=1; pow=1",
            "v=ssa1; addr=mac(obj):64; key=k1; key=k1",
            "v=ssa1; addr=mac(obj):64; key=k1; kdf=src/48; kdf=src/48",
            "v=ssa1; addr=rand:64; skew=1; skew=1",
            "v=ssa1; addr=rand:64; from=0; from=0",
            "v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64; apl=2:2001:db8:5::/64",
        ],
    );
    c.usable(
        "2: tags whose name begins x- are ignored and may repeat",
        &[
            "v=ssa1; x-a=1; addr=rand:64",
            "v=ssa1; x-a=1; x-a=1; x-a=2; addr=rand:64; x-a=1",
            "v=ssa1; addr=rand:64; x-addr=hash(; x-v=ssa2",
            "v=ssa1; addr=rand:64; x-a=any thing, but == \"semicolons\" ! [] () : / \\ \t ~",
        ],
    );
    c.usable(
        "2: template = field *( 1*blank field )",
        &[
            "v=ssa1; addr=rand:32 rand:32",
            "v=ssa1; addr=rand:32  \t  rand:32",
            "v=ssa1; addr=rand:32\trand:32",
            "v=ssa1; addr=src[0:16] obj[0:16] const(0):8 hash(obj):8 rand:16",
        ],
    );
    c.parse("2: template = \"-\"", "v=ssa1; addr=-", "2:2001:db8::1/128", "usable");
    for rule in [
        "v=ssa1; addr=- -",
        "v=ssa1; addr=--",
        "v=ssa1; addr=- rand:1",
        "v=ssa1; addr=",
    ] {
        c.parse("2: template = \"-\"", rule, "2:2001:db8::1/128", "unusable");
    }
    c.unusable(
        "2: template",
        &[
            "v=ssa1; addr=",
            "v=ssa1; addr=rand:64 -",
            "v=ssa1; addr=- rand:64",
            "v=ssa1; addr=rand:32,rand:32",
            "v=ssa1; addr=rand:32rand:32",
            "v=ssa1; addr=rand:32+rand:32",
            "v=ssa1; addr=hash(obj):32rand:32",
            "v=ssa1; addr=src[0:32]rand:32",
        ],
    );
    c.unusable(
        "2: no blank inside a field",
        &[
            "v=ssa1; addr=rand :64",
            "v=ssa1; addr=rand: 64",
            "v=ssa1; addr=hash (obj):64",
            "v=ssa1; addr=hash( obj):64",
            "v=ssa1; addr=hash(obj ):64",
            "v=ssa1; addr=hash(obj) :64",
            "v=ssa1; addr=hash(obj, chunk):64",
            "v=ssa1; addr=src[0: 64]",
            "v=ssa1; addr=src [0:64]",
            "v=ssa1; addr=const( 0):64",
            "v=ssa1; addr=rand:64; item=hash( obj )",
            "v=ssa1; addr=rand:64; item=hash (obj)",
        ],
    );
    c.unusable(
        "2: field",
        &[
            "v=ssa1; addr=foo:64",
            "v=ssa1; addr=64",
            "v=ssa1; addr=rand",
            "v=ssa1; addr=rand:",
            "v=ssa1; addr=rand64",
            "v=ssa1; addr=rand(0):64",
            "v=ssa1; addr=rand:64:64",
            "v=ssa1; addr=rand:64]",
            "v=ssa1; addr=randx:64",
            "v=ssa1; addr=src:64",
            "v=ssa1; addr=src/64",
            "v=ssa1; addr=src[0:64]:64",
            "v=ssa1; addr=src[0:64",
            "v=ssa1; addr=src[0-64]",
            "v=ssa1; addr=src[64]",
            "v=ssa1; addr=src[:64]",
            "v=ssa1; addr=src[0:]",
            "v=ssa1; addr=src[]",
            "v=ssa1; addr=src[0:32:64]",
            "v=ssa1; addr=src(0:64)",
            "v=ssa1; addr=obj",
            "v=ssa1; addr=obj:64",
            "v=ssa1; addr=obj[0:64):64",
            "v=ssa1; addr=dst[0:64]",
            "v=ssa1; addr=chunk[0:64]",
            "v=ssa1; addr=const:64",
            "v=ssa1; addr=const(0)",
            "v=ssa1; addr=const(0)64",
            "v=ssa1; addr=const(0:64",
            "v=ssa1; addr=const[0]:64",
            "v=ssa1; addr=hash(obj)",
            "v=ssa1; addr=hash(obj):",
            "v=ssa1; addr=hash(obj:64",
            "v=ssa1; addr=hashobj):64",
            "v=ssa1; addr=hash:64",
            "v=ssa1; addr=hash[obj]:64",
            "v=ssa1; addr=hash(obj)):64",
            "v=ssa1; addr=hash((obj):64",
            "v=ssa1; addr=hash(obj):64:64",
            "v=ssa1; addr=mac(obj); key=k1",
            "v=ssa1; addr=mac:64; key=k1",
        ],
    );
    c.unusable(
        "2: inputs = input *( \",\" input )",
        &[
            "v=ssa1; addr=hash():64",
            "v=ssa1; addr=hash(,):64",
            "v=ssa1; addr=hash(obj,):64",
            "v=ssa1; addr=hash(,obj):64",
            "v=ssa1; addr=hash(obj,,chunk):64",
            "v=ssa1; addr=hash(obj;chunk):64",
            "v=ssa1; addr=hash(obj chunk):64",
            "v=ssa1; addr=mac():64; key=k1",
            "v=ssa1; addr=rand:64; item=hash()",
            "v=ssa1; addr=rand:64; item=hash(obj,)",
        ],
    );
    c.usable(
        "2: input",
        &[
            "v=ssa1; addr=hash(src/64):64",
            "v=ssa1; addr=hash(obj):64",
            "v=ssa1; addr=hash(chunk):64",
            "v=ssa1; addr=hash(time/30):64",
            "v=ssa1; addr=hash(port):64",
            "v=ssa1; addr=hash(port,time/30,chunk,obj,src/64):64",
            "v=ssa1; addr=mac(src/64,obj,chunk,time/30,port):64; key=k1",
            "v=ssa1; addr=rand:64; item=hash(port,chunk,obj,src/64)",
        ],
    );
    c.unusable(
        "2: input",
        &[
            "v=ssa1; addr=hash(src):64",
            "v=ssa1; addr=hash(src/):64",
            "v=ssa1; addr=hash(src64):64",
            "v=ssa1; addr=hash(time):64",
            "v=ssa1; addr=hash(time/):64",
            "v=ssa1; addr=hash(obj/64):64",
            "v=ssa1; addr=hash(chunk/1):64",
            "v=ssa1; addr=hash(port/1):64",
            "v=ssa1; addr=hash(dst/64):64",
            "v=ssa1; addr=hash(src/64/64):64",
            "v=ssa1; addr=hash(salt):64",
            "v=ssa1; addr=hash(rand):64",
        ],
    );
    c.usable(
        "2: item",
        &[
            "v=ssa1; addr=rand:64; item=near",
            "v=ssa1; addr=rand:64; item=rand",
            "v=ssa1; addr=rand:64; item=hash(src/48)",
        ],
    );
    c.unusable(
        "2: item",
        &[
            "v=ssa1; addr=rand:64; item=",
            "v=ssa1; addr=rand:64; item=far",
            "v=ssa1; addr=rand:64; item=nearest",
            "v=ssa1; addr=rand:64; item=rand:64",
            "v=ssa1; addr=rand:64; item=hash",
            "v=ssa1; addr=rand:64; item=hash(obj",
            "v=ssa1; addr=rand:64; item=hash(obj):20",
            "v=ssa1; addr=rand:64; item=mac(obj)",
            "v=ssa1; addr=rand:64; item=near rand",
        ],
    );
    c.usable(
        "2: salt = 1*32( a-z A-Z 0-9 - _ . )",
        &[
            "v=ssa1; addr=rand:64; salt=a",
            "v=ssa1; addr=rand:64; salt=azAZ09-_.",
            "v=ssa1; addr=rand:64; salt=-",
            "v=ssa1; addr=rand:64; salt=abcdefghijklmnopqrstuvwxyzABCDEF",
        ],
    );
    c.unusable(
        "2: salt = 1*32( a-z A-Z 0-9 - _ . )",
        &[
            "v=ssa1; addr=rand:64; salt=",
            "v=ssa1; addr=rand:64; salt=abcdefghijklmnopqrstuvwxyzABCDEFG",
            "v=ssa1; addr=rand:64; salt=a b",
            "v=ssa1; addr=rand:64; salt=a,b",
            "v=ssa1; addr=rand:64; salt=a+b",
            "v=ssa1; addr=rand:64; salt=a=b",
            "v=ssa1; addr=rand:64; salt=a/b",
            "v=ssa1; addr=rand:64; salt=a:b",
            "v=ssa1; addr=rand:64; salt=a@b",
            "v=ssa1; addr=rand:64; salt=a[b",
            "v=ssa1; addr=rand:64; salt=a`b",
            "v=ssa1; addr=rand:64; salt=a{b",
            "v=ssa1; addr=rand:64; salt=\"a\"",
        ],
    );
    c.usable(
        "2: key = 1*32( a-z A-Z 0-9 - _ )",
        &[
            "v=ssa1; addr=mac(obj):64; key=k",
            "v=ssa1; addr=mac(obj):64; key=azAZ09-_",
            "v=ssa1; addr=mac(obj):64; key=abcdefghijklmnopqrstuvwxyz012345",
        ],
    );
    c.unusable(
        "2: key = 1*32( a-z A-Z 0-9 - _ )",
        &[
            "v=ssa1; addr=mac(obj):64; key=",
            "v=ssa1; addr=mac(obj):64; key=abcdefghijklmnopqrstuvwxyz0123456",
            "v=ssa1; addr=mac(obj):64; key=k.1",
            "v=ssa1; addr=mac(obj):64; key=k 1",
            "v=ssa1; addr=mac(obj):64; key=k/1",
            "v=ssa1; addr=mac(obj):64; key=k:1",
        ],
    );
    c
}

pub(super) fn numbers() -> Cases {
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

pub(super) fn rules() -> Cases {
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

pub(super) fn limits() -> Cases {
    let mut c = Cases::default();
    let padded = |total: usize| {
        let head = "v=ssa1; addr=rand:64; x-pad=";
        format!("{head}{}", "p".repeat(total - head.len()))
    };
    c.parse("2: at most 1024 bytes", &padded(1024), A, "usable");
    c.parse("2: at most 1024 bytes", &padded(1025), A, "unusable");
    c.parse("2: at most 1024 bytes", &padded(4096), A, "unusable");
    let blanks = |total: usize| {
        let (head, tail) = ("v=ssa1;", "addr=rand:64");
        format!("{head}{}{tail}", " ".repeat(total - head.len() - tail.len()))
    };
    c.parse("2: at most 1024 bytes, blanks too", &blanks(1024), A, "usable");
    c.parse("2: at most 1024 bytes, blanks too", &blanks(1025), A, "unusable");
    let fields = |count: usize| {
        let mut template = vec!["rand:1".to_string(); count - 1];
        template.push(format!("rand:{}", 64 - (count - 1)));
        format!("v=ssa1; addr={}", template.join(" "))
    };
    c.parse("2: at most 16 fields", &fields(16), A, "usable");
    c.parse("2: at most 16 fields", &fields(17), A, "unusable");
    c.parse("2: at most 16 fields", &fields(64), A, "unusable");
    for (w, list, expect) in [
        ("rand:64 rand:48", "2:2001::/16", "usable"),
        ("rand:64 rand:49", "2:2000::/15", "unusable"),
        ("rand:64 rand:64", "2:2000::/16", "unusable"),
        ("rand:64 rand:64 rand:64", "2:2000::/64", "unusable"),
        (
            "rand:64 rand:64 rand:64 rand:64 rand:64",
            "2:2001:db8:5::/64",
            "unusable",
        ),
        ("rand:64 rand:64", "2:::/0", "unusable"),
        ("rand:64 rand:64 rand:1", "2:::/0", "unusable"),
        ("rand:1", "2:2001:db8::2/127", "usable"),
        ("-", "2:2001:db8::2/128", "usable"),
        ("-", "2:2001:db8::2/127", "unusable"),
        ("rand:1", "2:2001:db8::2/128", "unusable"),
        ("rand:64", "2:2001:db8:4::/63", "unusable"),
        ("rand:64", "2:2001:db8:5::/65", "unusable"),
        ("rand:63", "2:2001:db8:5::/64", "unusable"),
        ("rand:64", "2:2001:db8:5::/64 2:2001:db8:4::/63", "unusable"),
        ("rand:64", "2:2001:db8:4::/63 2:2001:db8:5::/64", "unusable"),
    ] {
        let rule = format!("v=ssa1; addr={w}");
        c.parse(
            "2: every positive APL item is exactly 128-W bits long",
            &rule,
            list,
            expect,
        );
    }
    c
}
