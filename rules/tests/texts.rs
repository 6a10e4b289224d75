//! Records and lists print to the letter what they should, and that parses again.

use ssa_rules::{Apl, Record};

#[test]
fn a_record_prints_canonically() {
    let text = " v = ssa1;\tx-a=1 ;from=7;skew=11;apl=!2:2001:0db9:0:0:0::/68\t2:2001:db8::/64;kdf=src/48;key=k1;pow=3;\
                replicas=3;salt=a.b;item=hash(src/64,obj);addr=hash(obj):14 mac(src/64,time/30):34  rand:15 const(0A):1;";
    assert!(text.parse::<Record>().is_err(), "a constant of 4 bits in 1");
    let text = text.replace("const(0A):1", "const(01):1");
    let record: Record = text.parse().unwrap();
    assert_eq!(
        record.to_string(),
        "v=ssa1; addr=hash(obj):14 mac(src/64,time/30):34 rand:15 const(1):1; item=hash(src/64,obj); salt=a.b; \
         replicas=3; pow=3; key=k1; kdf=src/48; skew=11; from=7; apl=!2:2001:db9::/68 2:2001:db8::/64"
    );
    assert_eq!(record.to_string().parse(), Ok(record));
}

#[test]
fn defaults_are_not_printed() {
    for (text, printed) in [
        (
            "v=ssa1; addr=-; item=near; replicas=1; skew=10; from=0",
            "v=ssa1; addr=-",
        ),
        ("v=ssa1; addr=src[0:64]; item=rand", "v=ssa1; addr=src[0:64]; item=rand"),
        ("v=ssa1; addr=hash(time/3):64; skew=6", "v=ssa1; addr=hash(time/3):64"),
        ("v=ssa1; addr=hash(time/5):64; skew=10", "v=ssa1; addr=hash(time/5):64"),
        (
            "v=ssa1; addr=hash(time/4):64; skew=7",
            "v=ssa1; addr=hash(time/4):64; skew=7",
        ),
        (
            "v=ssa1; addr=hash(time/86400):64; skew=10",
            "v=ssa1; addr=hash(time/86400):64",
        ),
    ] {
        assert_eq!(text.parse::<Record>().unwrap().to_string(), printed);
    }
}

#[test]
fn a_record_near_the_limit_prints_within_it() {
    // Written without blanks, and with addresses that RFC 5952 would print longer than they are here.
    let items: Vec<String> = (0..39)
        .map(|item| format!("!2:::ffff:fff{:x}:{:x}ff/128", item % 16, 0x10 + item))
        .collect();
    let text = format!(
        "v=ssa1;addr=rand:64;salt={};apl=2:2001:db8:1234:5678::/64 {}",
        "s".repeat(32),
        items.join(" ")
    );
    assert!(text.len() > 1021 && text.len() <= 1024, "{}", text.len());
    let record: Record = text.parse().unwrap();
    assert_eq!(record.to_string(), text);
}

#[test]
fn mapped_addresses_print_in_hex() {
    for text in [
        "2:::ffff:102:304/128",
        "!2:::ffff:0:0/96",
        "2:::fffe:102:304/128",
        "2:::/0",
    ] {
        assert_eq!(text.parse::<Apl>().unwrap().to_string(), text);
    }
    assert_eq!(
        "2:::ffff:1.2.3.4/128".parse::<Apl>().unwrap().to_string(),
        "2:::ffff:102:304/128"
    );
}

#[test]
fn hex_of_other_families_comes_in_whole_bytes() {
    assert_eq!("3:0aFF/4".parse::<Apl>().unwrap().to_string(), "3:0aff/4");
    assert_eq!("!3:/0".parse::<Apl>().unwrap().to_string(), "!3:/0");
    for text in ["3:abc/4", "3:0/4", "3:zz/4", "3:+1/4"] {
        assert!(text.parse::<Apl>().is_err(), "{text}");
    }
}
