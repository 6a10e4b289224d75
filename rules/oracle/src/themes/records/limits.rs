//! Section 2: limits of a record.

use crate::themes::{A, Cases};

pub(in crate::themes) fn cases() -> Cases {
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
