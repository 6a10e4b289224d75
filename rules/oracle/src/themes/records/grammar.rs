//! Section 2: the grammar of a record.

use crate::themes::Cases;

pub(in crate::themes) fn cases() -> Cases {
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
