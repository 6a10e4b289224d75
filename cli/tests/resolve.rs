//! `ssa resolve`, and NAME elsewhere, against BIND and Knot, and against answers that no real server would give.

mod dns;
mod support;

use dns::{Kind, Liar, Server};
use serde_json::json;
use support::{Run, SOURCE, ssa};

const HEAD: &str = "\
$ORIGIN example.
$TTL 300
@ SOA ns.example. host.example. 1 3600 600 86400 60
@ NS ns.example.
ns A 127.0.0.1
";

fn resolve(name: &str, server: &str, more: &[&str]) -> Run {
    ssa(&[&["resolve", name, "--server", server, "--timeout", "2"], more].concat())
}

/// Ten TXT records that no UDP answer has room for.
fn long_texts() -> String {
    let record = |number| format!("_ssa.long TXT \"other {number} {}\"", "x".repeat(240));
    (0..10).map(record).collect::<Vec<_>>().join("\n") + "\n"
}

/// Runs a scenario with each kind of server.
macro_rules! with_each_server {
    ($($name:ident($server:ident, $zone:expr) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn scenario($server: &Server) $body

            #[test]
            fn by_bind() {
                scenario(&Server::start(Kind::Bind, concat!(stringify!($name), "_bind"), &format!("{HEAD}{}", $zone)));
            }

            #[test]
            fn by_knot() {
                scenario(&Server::start(Kind::Knot, concat!(stringify!($name), "_knot"), &format!("{HEAD}{}", $zone)));
            }
        }
    )*};
}

with_each_server! {
    a_service_is_understood(server, "
store APL 2:2001:db8:5::/64 !2:2001:db8:5:0:f000::/68 1:192.0.2.0/24
store AAAA 2001:db8:5:0:f000::1
store AAAA 2001:db8:5::1
store AAAA 2001:db9::1
_ssa.store TXT \"v=ssa1; addr=rand:4 hash(src/64):16 \" \"rand:44\"
_ssa.store TXT \"v=ssa1; addr=rand:64; from=4000000000\"
_ssa.store TXT \"v=ssa1; addr=rand:65 mac(src/64):8\"
_ssa.store TXT \"v=spf1 -all\"
alias CNAME further
further 60 CNAME store
") {
        let record = "v=ssa1; addr=rand:4 hash(src/64):16 rand:44";
        let run = resolve("alias.example", &server.v4(), &["--time", "1000"]).exits(0);
        run.prints(&[
            "usable", "canonical  store.example.", "TTL 60 s", "2001:db8:5::/64", "!2001:db8:5:0:f000::/68",
            &format!("in force   {record}"), "later      v=ssa1; addr=rand:64; from=4000000000",
            "unusable   v=ssa1; addr=rand:65", "1 of them no SSA records: ignored", "from=4000000000, in 3999999000 s",
            "addr[1]: mac of 8 bits; at least 16 are needed", "^^^^^^^^^^^^^",
        ]);

        let json = resolve("store.example.", &server.v6(), &["--json"]).exits(0).json();
        assert_eq!(json["usable"], true);
        assert_eq!((&json["name"], &json["rule_name"]), (&"store.example.".into(), &"_ssa.store.example.".into()));
        assert_eq!(json["record"], record);
        assert_eq!(json["next_from"], 4_000_000_000_u64);
        assert_eq!(json["needs"], json!(["source"]));
        assert_eq!(json["apl"]["answer"], json!({ "count": 1, "ttl": 300, "absence": null }));
        assert_eq!(json["space"]["positive"], json!(["2001:db8:5::/64"]));
        assert_eq!(json["space"]["negated"], json!(["2001:db8:5:0:f000::/68"]));
        assert_eq!(json["txt"]["ignored"], 1);
        let states: Vec<&str> = json["records"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["in_force", "later", "unusable"]);
        let classes = json["aaaa"].as_array().unwrap().iter().map(|one| (one["address"].as_str(), one["class"].as_str()));
        let expected = [("2001:db8:5::1", "refused"), ("2001:db8:5:0:f000::1", "legacy"), ("2001:db9::1", "outside")];
        assert!(classes.eq(expected.map(|(address, class)| (Some(address), Some(class)))), "{json}");

        let address = ssa(&["compose", "alias.example", "--server", &server.v4(), "--source", SOURCE]).exits(0).stdout;
        let verify = ["verify", "alias.example", "--server", &server.v4(), "--source", SOURCE, "--destination"];
        ssa(&[&verify[..], &[address.trim()]].concat()).exits(0).prints(&["conforming"]).tells(&["mac of 8 bits"]);
        ssa(&[&verify[..], &["2001:db8:5:0:f000::1"]].concat()).exits(1).prints(&["legacy"]);
        let explain = ["explain", "store.example", "--server", &server.v4(), "--source", SOURCE, address.trim()];
        ssa(&explain).exits(0).prints(&["conforming", record]);
    }

    a_record_may_hold_the_list_itself(server, "
own A 192.0.2.1
own AAAA 2001:db8:5::1
_ssa.own TXT \"v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64\"
_ssa.bare TXT \"v=ssa1; addr=rand:64\"
v4 APL 1:192.0.2.0/24
_ssa.v4 TXT \"v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64\"
") {
        let run = resolve("own.example", &server.v4(), &[]).exits(0);
        run.prints(&["the record's own list", "none (NODATA)", "in a positive item, and every address is open"]);
        resolve("v4.example", &server.v4(), &[]).exits(0);
        let bare = resolve("bare.example", &server.v4(), &[]).exits(1);
        bare.prints(&["no record is usable; fall back to a plain connection", "no addresses"]);
        ssa(&["compose", "bare.example", "--server", &server.v4(), "--source", SOURCE]).exits(1).tells(&["no addresses"]);
    }

    what_is_not_published_is_told_from_what_does_not_exist(server, "
plain AAAA 2001:db8::1
listed APL 2:2001:db8:5::/64
other TXT \"v=spf1 -all\"
_ssa.other TXT \"v=spf1 -all\"
") {
        let json = |name: &str| resolve(name, &server.v4(), &["--json"]).exits(1).json();
        let plain = json("plain.example");
        assert_eq!(plain["verdict"], "neither APL nor SSA record: not an SSA service; fall back to a plain connection");
        assert_eq!((&plain["apl"]["answer"]["absence"], &plain["txt"]["answer"]["absence"]), (&"NODATA".into(), &"NXDOMAIN".into()));
        assert_eq!(plain["aaaa"][0]["class"], "unknown");
        let none = json("none.example");
        assert_eq!(none["apl"]["answer"]["absence"], "NXDOMAIN");
        assert!(none["verdict"].as_str().unwrap().starts_with("the name does not exist (NXDOMAIN)"));
        assert!(json("listed.example")["verdict"].as_str().unwrap().starts_with("an APL, but no SSA record"));
        assert_eq!(json("other.example")["txt"]["ignored"], 1);
        ssa(&["compose", "none.example", "--server", &server.v4(), "--source", SOURCE]).exits(1).tells(&["fall back to a plain connection"]);
        resolve("store.elsewhere", &server.v4(), &[]).exits(2).tells(&["store.elsewhere. APL: REFUSED"]);
    }

    faulty_lists_and_sets_are_unusable_with_every_fault(server, "
conflict APL 2:2001:db8:5::/64 !2:2001:db8:5::/64 2:2000::/8
_ssa.conflict TXT \"v=ssa1; addr=rand:64\"
misfit APL 2:2001:db8:5::/64
_ssa.misfit TXT \"v=ssa1; addr=rand:60\"
equal APL 2:2001:db8:5::/64
_ssa.equal TXT \"v=ssa1; addr=rand:64\"
_ssa.equal TXT \"v=ssa1; addr=hash(src/64):64\"
early APL 2:2001:db8:5::/64
_ssa.early TXT \"v=ssa1; addr=rand:64; from=4000000000\"
") {
        resolve("conflict.example", &server.v4(), &[]).exits(1).prints(&["both positive and negated", "at least 16 bits"]);
        resolve("misfit.example", &server.v4(), &[]).exits(1).prints(&["exactly 68 bits"]);
        resolve("equal.example", &server.v4(), &[]).exits(1).prints(&["two usable records have from=0"]);
        resolve("early.example", &server.v4(), &[]).exits(1).prints(&["no record is in force before 4000000000"]);
        resolve("early.example", &server.v4(), &["--time", "4000000000"]).exits(0);
    }

    a_list_without_items_is_taken_for_none_and_costs_no_other(server, "
empty APL
_ssa.empty TXT \"v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64\"
both APL
both APL 2:2001:db8:6::/64
_ssa.both TXT \"v=ssa1; addr=rand:64\"
") {
        let json = resolve("empty.example", &server.v4(), &["--json"]).exits(0).json();
        assert_eq!(json["apl"]["answer"]["count"], 1);
        assert_eq!(json["space"]["positive"], json!(["2001:db8:5::/64"]));
        ssa(&["compose", "empty.example", "--server", &server.v4(), "--source", SOURCE]).exits(0);
        let json = resolve("both.example", &server.v4(), &["--json"]).exits(0).json();
        assert_eq!(json["apl"]["answer"]["count"], 2);
        assert_eq!(json["space"]["positive"], json!(["2001:db8:6::/64"]));
    }

    a_delegation_is_no_absence(server, "
sub NS ns.sub
ns.sub A 192.0.2.99
") {
        resolve("web.sub.example", &server.v4(), &[]).exits(2).tells(&["a referral to the name servers of sub.example."]);
        let json = resolve("web.sub.example", &server.v4(), &["--json"]).exits(2).json();
        assert_eq!(json["error"]["faults"][0]["code"], "referral");
    }

    an_answer_too_long_for_udp_comes_by_tcp(server, format!("
long APL 2:2001:db8:5::/64
_ssa.long TXT \"v=ssa1; addr=rand:64\"
{}", long_texts())) {
        resolve("long.example", &server.v4(), &[]).exits(0).prints(&["11 records", "10 of them no SSA records"]);
    }
}

#[test]
fn several_lists_are_united() {
    let zone = "two APL 2:2001:db8:5::/64\ntwo APL 2:2001:db8:6::/64\n_ssa.two TXT \"v=ssa1; addr=rand:64\"\n";
    let server = Server::start(Kind::Bind, "several_lists_bind", &format!("{HEAD}{zone}"));
    let json = resolve("two.example", &server.v4(), &["--json"]).exits(0).json();
    assert_eq!(json["space"]["positive"], json!(["2001:db8:5::/64", "2001:db8:6::/64"]));
}

/// The type numbers of DNS.
const CNAME: u16 = 5;
const TXT: u16 = 16;
const APL: u16 = 42;

fn txt(text: &str) -> Vec<u8> {
    let mut data = vec![u8::try_from(text.len()).expect("a short text")];
    data.extend(text.bytes());
    data
}

#[test]
fn a_list_that_does_not_decode_makes_all_records_unusable() {
    let server = Liar::start(|_, kind| {
        Some(match kind {
            // A trailing zero byte in AFDPART; bits past the length; a cut.
            APL => (
                0,
                vec![
                    (APL, vec![0, 2, 64, 2, 0x20, 0]),
                    (APL, vec![0, 2, 4, 1, 0x2f]),
                    (APL, vec![0, 2, 64]),
                ],
            ),
            TXT => (0, vec![(TXT, txt("v=ssa1; addr=rand:64; apl=2:2001:db8:5::/64"))]),
            _ => (0, vec![]),
        })
    });
    let run = resolve("store.example", &server.address(), &[]).exits(1);
    run.prints(&[
        "the APL is invalid",
        "trailing zeros are omitted",
        "past the prefix length 4",
        "4 bytes needed, 3 left",
    ]);
    let compose = [
        "compose",
        "store.example",
        "--server",
        &server.address(),
        "--source",
        SOURCE,
    ];
    ssa(&compose)
        .exits(1)
        .tells(&["store.example. APL: apl[0] at byte 0: address part ends in a zero byte"]);
}

#[test]
fn a_text_that_would_steer_the_terminal_is_escaped() {
    let server = Liar::start(|_, kind| {
        Some(match kind {
            APL => (0, vec![(APL, vec![0, 2, 64, 6, 0x20, 1, 0x0d, 0xb8, 0, 5])]),
            TXT => (0, vec![(TXT, txt("v=ssa1; addr=\u{1b}[2Jrand:64\u{7}; é"))]),
            _ => (0, vec![]),
        })
    });
    let run = resolve("store.example", &server.address(), &[]).exits(1);
    assert!(
        !run.stdout.contains(['\u{1b}', '\u{7}']),
        "{}",
        run.stdout.escape_debug()
    );
    resolve("store.example", &server.address(), &["--json"]).exits(1).json();
}

#[test]
fn aliases_without_end_are_told() {
    let server = Liar::start(|name, _| {
        let next = if name.starts_with('a') {
            b"\x01b\x07example\x00"
        } else {
            b"\x01a\x07example\x00"
        };
        Some((0, vec![(CNAME, next.to_vec())]))
    });
    resolve("a.example", &server.address(), &[])
        .exits(2)
        .tells(&["16 aliases (CNAME) followed"]);
}

#[test]
fn servers_that_fail_are_told_apart() {
    let failing = Liar::start(|_, _| Some((2, vec![])));
    resolve("store.example", &failing.address(), &[])
        .exits(2)
        .tells(&["store.example. APL: SERVFAIL"]);
    let json = resolve("store.example", &failing.address(), &["--json"])
        .exits(2)
        .json();
    assert_eq!(json["error"]["faults"][0]["code"], "SERVFAIL");
    let half = Liar::start(|_, kind| Some(if kind == TXT { (2, vec![]) } else { (0, vec![]) }));
    resolve("store.example", &half.address(), &[])
        .exits(2)
        .tells(&["_ssa.store.example. TXT: SERVFAIL"]);
    let silent = Liar::start(|_, _| None);
    let run = ssa(&[
        "resolve",
        "store.example",
        "--server",
        &silent.address(),
        "--timeout",
        "1",
    ])
    .exits(2);
    run.tells(&["timeout: no answer from", "within 1 s"]);
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begun = std::time::Instant::now();
    ssa(&[
        "resolve",
        "store.example",
        "--server",
        &nobody.to_string(),
        "--timeout",
        "30",
    ])
    .exits(2)
    .tells(&["cannot be reached: connection refused"]);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    let garbled = Liar::start(|_, kind| Some((0, vec![(kind, vec![0]), (28, vec![1])])));
    resolve("store.example", &garbled.address(), &[])
        .exits(2)
        .tells(&["cannot be decoded"]);
}

/// As dig has it: a host by its name, as the system knows it, and an IPv4 address with fewer parts (`inet_aton`).
#[test]
fn a_server_may_be_a_host_of_the_system() {
    let server = Liar::start(|_, _| Some((0, vec![])));
    let address = server.address();
    let (_, port) = address.rsplit_once(':').unwrap();
    for host in ["localhost", "127.1"] {
        // Of several addresses of a host the next is asked where the first does not answer.
        resolve("store.example", &format!("{host}:{port}"), &[])
            .exits(1)
            .prints(&["store.example"]);
    }
    for (text, what) in [
        ("fe80::1", "without an interface"),
        ("ff02::fb", "multicast"),
        ("127.0.0.1:0", "missing a port"),
        ("::", "unspecified"),
    ] {
        resolve("store.example", text, &[])
            .exits(2)
            .tells(&["--server: ", what]);
    }
}

#[test]
fn bad_names_and_servers_are_bad_input() {
    let label = "a".repeat(64);
    for name in ["", "a..b", &label] {
        ssa(&["resolve", name, "--server", "127.0.0.1:1"])
            .exits(2)
            .tells(&["NAME: "]);
    }
    let long = format!("{}.example", [&"a".repeat(60)[..]; 4].join("."));
    let server = Liar::start(|_, _| Some((0, vec![])));
    resolve(&long, &server.address(), &[])
        .exits(2)
        .tells(&["no room for _ssa."]);
    ssa(&[
        "resolve",
        "a.example",
        "--server",
        "dns.example",
        "--timeout",
        "0",
        "--time",
        "x",
    ])
    .exits(2)
    .tells(&[
        "--server: `dns.example` is not ADDR:PORT",
        "--timeout: `0` is not a number from 1 to 60",
        "--time: `x`",
    ]);
    ssa(&["compose", "a.example", "--apl", "2:2001:db8::/64", "--source", SOURCE])
        .exits(2)
        .tells(&["cannot be used with"]);
}
