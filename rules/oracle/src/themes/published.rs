//! Sections 1 and 4: several records.

use super::*;

struct Expected<'a> {
    client: Option<usize>,
    record: Option<usize>,
    verdict: &'a str,
}

fn expected(client: Option<usize>, record: Option<usize>, verdict: &str) -> Expected<'_> {
    Expected {
        client,
        record,
        verdict,
    }
}

impl Cases {
    fn stand(&mut self, note: &str, records: &[&str], apl: &str, who: &Who, destination: u128, expect: Expected<'_>) {
        let records: Vec<Value> = records.iter().map(|record| json!(record)).collect();
        self.stand_values(note, &records, apl, who, destination, expect);
    }

    fn stand_values(
        &mut self,
        note: &str,
        records: &[Value],
        apl: &str,
        who: &Who,
        destination: u128,
        expect: Expected<'_>,
    ) {
        let mut case = who.keys();
        case.insert("records".into(), json!(records));
        case.insert("apl".into(), json!(apl));
        case.insert("destination".into(), json!(text(destination)));
        self.push(note, "published", case, None);
        let case = self.0.last().unwrap();
        let oracle = &case["expect"];
        let whole = match oracle["part"].as_str() {
            Some(part) => format!("violation of {part}"),
            None => oracle["verdict"].as_str().unwrap().to_string(),
        };
        assert_eq!(oracle["client"], json!(expect.client), "hand against oracle: {case}");
        assert_eq!(oracle["record"], json!(expect.record), "hand against oracle: {case}");
        assert_eq!(whole, expect.verdict, "hand against oracle: {case}");
    }
}

pub(super) fn published() -> Cases {
    let mut c = Cases::default();
    let w = who();
    let to = |value: u64| address("2001:db8:5::") | u128::from(value);
    let one = "v=ssa1; addr=const(1):64";
    let at = |value: u64, from: u64, more: &str| format!("v=ssa1; addr=const({value:x}):64; from={from}{more}");

    c.stand(
        "1: one record",
        &[one],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand(
        "1: one record",
        &[one],
        A,
        &w,
        to(2),
        expected(Some(0), Some(0), "violation of field 0"),
    );
    c.stand(
        "1: one record",
        &[one],
        A,
        &w,
        address("2001:db8:6::"),
        expected(Some(0), Some(0), "outside"),
    );
    c.stand("1: no record", &[], A, &w, to(1), expected(None, None, "none"));

    // from and clients.
    let note = "1: clients use the usable one with the greatest from not after now";
    let (past, now, soon) = (at(2, NOW - 100, ""), at(3, NOW, ""), at(4, NOW + 1, ""));
    c.stand(
        note,
        &[one, &past],
        A,
        &w,
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );
    c.stand(
        note,
        &[&past, one],
        A,
        &w,
        to(1),
        expected(Some(0), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[one, &past, &now],
        A,
        &w,
        to(2),
        expected(Some(2), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[&now, &past, one],
        A,
        &w,
        to(3),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand(
        note,
        &[&now, &past, one],
        A,
        &w.at(NOW - 1),
        to(2),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[one, &past, &soon],
        A,
        &w,
        to(2),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[one, &past, &soon],
        A,
        &w.at(NOW + 1),
        to(2),
        expected(Some(2), Some(1), "conforming"),
    );
    c.stand(note, &[&soon], A, &w, to(4), expected(None, Some(0), "conforming"));
    c.stand(
        "2: from=0 by default",
        &[one],
        A,
        &w.at(0),
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    let last = at(5, (1 << 63) - 1, "");
    c.stand(
        note,
        &[one, &last],
        A,
        &w.at((1 << 63) - 1),
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );
    c.stand(
        note,
        &[one, &last],
        A,
        &w.at((1 << 63) - 2),
        to(5),
        expected(Some(0), Some(1), "conforming"),
    );

    // from and verifiers.
    let note = "1: verifiers accept every usable one whose from is not after now + its skew";
    for (more, skew) in [("", 10), ("; skew=0", 0), ("; skew=600", 600), ("; skew=7", 7)] {
        let next = at(4, NOW, more);
        let records = [one, &next];
        c.stand(
            note,
            &records,
            A,
            &w.at(NOW - skew),
            to(4),
            expected(Some(if skew == 0 { 1 } else { 0 }), Some(1), "conforming"),
        );
        c.stand(
            note,
            &records,
            A,
            &w.at(NOW - skew - 1),
            to(4),
            expected(Some(0), Some(0), "violation of field 0"),
        );
        c.stand(
            note,
            &records,
            A,
            &w.at(NOW - skew - 1),
            to(1),
            expected(Some(0), Some(0), "conforming"),
        );
        c.stand(
            note,
            &records,
            A,
            &w.at(NOW + 1000),
            to(1),
            expected(Some(1), Some(0), "conforming"),
        );
    }
    let slow = at(4, NOW, "; skew=600");
    let fast = at(5, NOW + 1, "; skew=0");
    c.stand(
        "1: its skew, not another's",
        &[&slow, &fast],
        A,
        &w,
        to(5),
        expected(Some(0), Some(0), "violation of field 0"),
    );
    c.stand(
        "1: its skew, not another's",
        &[&slow, &fast],
        A,
        &w.at(NOW - 500),
        to(4),
        expected(None, Some(0), "conforming"),
    );
    let stepped = format!("v=ssa1; addr=hash(time/1):64; from={NOW}");
    c.stand(
        "2: skew by default is at most twice the time step",
        &[one, &stepped],
        A,
        &w.at(NOW - 3),
        to(9),
        expected(Some(0), Some(0), "violation of field 0"),
    );
    c.stand(
        "2: skew by default is at most twice the time step",
        &[one, &stepped],
        A,
        &w.at(NOW - 2),
        to(9),
        expected(Some(0), Some(1), "violation of field 0"),
    );
    c.stand(
        "1: none stands yet",
        &[&at(4, NOW, "")],
        A,
        &w.at(NOW - 11),
        to(4),
        expected(None, None, "none"),
    );
    c.stand(
        "4: sums of times saturate",
        &[one, &last],
        A,
        &w.at(u64::MAX),
        to(5),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        "4: sums of times saturate",
        &[one, &last],
        A,
        &w.at(u64::MAX - 3),
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );

    // Which records count.
    let note = "1: only records whose first tag is v with the value ssa1 count";
    for other in [
        "",
        "v=spf1 -all",
        "v=ssa2; addr=const(1):64",
        "v=ssa11; addr=const(1):64",
        "addr=const(1):64; v=ssa1",
        "x-a=1; v=ssa1; addr=const(1):64",
        "google-site-verification=abc",
        "ssa1",
        "v",
    ] {
        c.stand(
            note,
            &[other, one],
            A,
            &w,
            to(1),
            expected(Some(1), Some(1), "conforming"),
        );
        c.stand(
            note,
            &[other, other, other, other, one],
            A,
            &w,
            to(1),
            expected(Some(4), Some(4), "conforming"),
        );
        c.stand(note, &[other], A, &w, to(1), expected(None, None, "none"));
    }
    c.stand(
        note,
        &[" v = ssa1 ; addr=const(1):64"],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand_values(
        "1: strings of one TXT record are concatenated",
        &[json!(["v=ssa1; ad", "dr=const(1", "):64"])],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand_values(
        "1: strings of one TXT record are concatenated",
        &[json!(["v=ss", "", "a1;addr=const(1):64"]), json!(["v=spf1", " -all"])],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );

    // How many.
    let note = "1: up to 4 records may stand together";
    let five: Vec<String> = (1..=5).map(|value| at(value, value, "")).collect();
    let four: Vec<&str> = five.iter().take(4).map(String::as_str).collect();
    for value in 1..=4 {
        c.stand(
            note,
            &four,
            A,
            &w,
            to(value),
            expected(Some(3), Some(value as usize - 1), "conforming"),
        );
    }
    let five: Vec<&str> = five.iter().map(String::as_str).collect();
    c.stand(
        "1: more than 4 make all unusable",
        &five,
        A,
        &w,
        to(1),
        expected(None, None, "none"),
    );
    let mut mixed = vec!["v=spf1 -all"];
    mixed.extend(&four);
    c.stand(
        "1: up to 4 records that count",
        &mixed,
        A,
        &w,
        to(1),
        expected(Some(4), Some(1), "conforming"),
    );

    // Equal from.
    let note = "1: equal from values among usable ones make all unusable";
    let (a, b) = (at(1, 7, ""), at(2, 7, ""));
    c.stand(note, &[&a, &b], A, &w, to(1), expected(None, None, "none"));
    c.stand(note, &[&a, &a], A, &w, to(1), expected(None, None, "none"));
    c.stand(
        note,
        &[one, "v=ssa1; addr=const(2):64; from=0"],
        A,
        &w,
        to(1),
        expected(None, None, "none"),
    );
    c.stand(note, &[&a, &past, &b], A, &w, to(2), expected(None, None, "none"));
    let (later, later_too) = (at(3, NOW + 5000, ""), at(4, NOW + 5000, ""));
    c.stand(
        note,
        &[one, &later, &later_too],
        A,
        &w,
        to(1),
        expected(None, None, "none"),
    );
    let broken = "v=ssa1; addr=const(2):63; from=7";
    c.stand(
        "1: equal from among usable ones: an unusable one is not",
        &[&a, broken],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand(
        "1: equal from among usable ones: an unusable one is not",
        &["v=ssa1; addr=nonsense", one],
        A,
        &w,
        to(1),
        expected(Some(1), Some(1), "conforming"),
    );

    // Unusable ones.
    let note = "1: no usable record";
    c.stand(
        note,
        &["v=ssa1; addr=const(1):63"],
        A,
        &w,
        to(1),
        expected(None, None, "none"),
    );
    c.stand(note, &["v=ssa1"], A, &w, to(1), expected(None, None, "none"));
    c.stand(note, &[one], "", &w, to(1), expected(None, None, "none"));
    c.stand(note, &[one], "1:192.0.2.0/24", &w, to(1), expected(None, None, "none"));
    c.stand(
        note,
        &[one],
        "2:2001:db8:5::/64 !2:2001:db8:5::/64",
        &w,
        to(1),
        expected(None, None, "none"),
    );
    c.stand(
        "1: an unusable record beside a usable one",
        &[&at(2, 7, "; foo=1"), one],
        A,
        &w,
        to(1),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        "1: an unusable record beside a usable one",
        &[&at(2, 7, "; foo=1"), one],
        A,
        &w,
        to(2),
        expected(Some(1), Some(1), "violation of field 0"),
    );

    // Each with its own list.
    let own = |value: u64, from: u64, list: &str| at(value, from, &format!("; apl={list}"));
    let (five_list, six_list) = (own(1, 0, "2:2001:db8:5::/64"), own(2, 5, "2:2001:db8:6::/64"));
    let six = address("2001:db8:6::2");
    let note = "1: the record's own apl= tag";
    c.stand(
        note,
        &[&five_list, &six_list],
        "",
        &w,
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );
    c.stand(
        note,
        &[&five_list, &six_list],
        "",
        &w,
        six,
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[&five_list, &six_list],
        "",
        &w,
        to(2),
        expected(Some(1), Some(0), "violation of field 0"),
    );
    c.stand(
        note,
        &[&five_list, &six_list],
        "1:192.0.2.0/24",
        &w,
        six,
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        "1: an APL RRset wins over it",
        &[&five_list, &six_list],
        A,
        &w,
        six,
        expected(Some(1), Some(1), "outside"),
    );
    c.stand(
        "1: an APL RRset wins over it",
        &[&five_list, &six_list],
        A,
        &w,
        to(2),
        expected(Some(1), Some(1), "conforming"),
    );
    let wide =
        "v=ssa1; addr=const(2):80; from=5; apl=2:2001:db8:6::/48".replace("const(2):80", "const(0):16 const(2):64");
    c.stand(
        "1: while an RRset stands, all records share its W",
        &[one, &wide],
        A,
        &w,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    c.stand(
        "1: to change W, remove the RRset",
        &[&five_list, &wide],
        "",
        &w,
        six,
        expected(Some(1), Some(1), "conforming"),
    );

    // Secrets.
    let note = "1: a record whose secret a verifier lacks counts as unusable";
    let keyed = "v=ssa1; addr=mac(src/64):64; key=k2; from=5";
    let poor = Who {
        secrets: vec![("k1", SECRET)],
        ..who()
    };
    let rich = Who {
        secrets: vec![("k1", SECRET), ("k2", OTHER_SECRET)],
        ..who()
    };
    let token = made(keyed, A, &rich, &[]);
    c.stand(
        note,
        &[one, keyed],
        A,
        &rich,
        token,
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[one, keyed],
        A,
        &poor,
        token,
        expected(Some(1), Some(0), "violation of field 0"),
    );
    c.stand(
        note,
        &[one, keyed],
        A,
        &poor,
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );
    c.stand(note, &[keyed], A, &poor, token, expected(Some(0), None, "none"));

    // The best verdict.
    let legacy_list = own(1, 0, "2:2001:db8:6::/64 !2:2001:db8:5::/64");
    let conforming = own(2, 1, "2:2001:db8:5::/64");
    let violation = own(3, 2, "2:2001:db8:5::/64");
    let outside = own(4, 3, "2:2001:db8:7::/64");
    let note = "4.4: the best verdict: conforming, legacy, violation, outside";
    c.stand(
        note,
        &[&legacy_list, &conforming, &violation, &outside],
        "",
        &w,
        to(2),
        expected(Some(3), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[&outside, &violation, &conforming, &legacy_list],
        "",
        &w,
        to(2),
        expected(Some(0), Some(2), "conforming"),
    );
    c.stand(
        note,
        &[&legacy_list, &violation, &outside],
        "",
        &w,
        to(2),
        expected(Some(2), Some(0), "legacy"),
    );
    c.stand(
        note,
        &[&outside, &violation, &legacy_list],
        "",
        &w,
        to(2),
        expected(Some(0), Some(2), "legacy"),
    );
    c.stand(
        note,
        &[&violation, &outside],
        "",
        &w,
        to(2),
        expected(Some(1), Some(0), "violation of field 0"),
    );
    c.stand(
        note,
        &[&outside, &violation],
        "",
        &w,
        to(2),
        expected(Some(0), Some(1), "violation of field 0"),
    );
    c.stand(
        note,
        &[&legacy_list, &outside],
        "",
        &w,
        to(2),
        expected(Some(1), Some(0), "legacy"),
    );
    c.stand(note, &[&outside], "", &w, to(2), expected(Some(0), Some(0), "outside"));
    c.stand(
        note,
        &[&outside, &own(5, 9, "2:2001:db8:8::/64")],
        "",
        &w,
        to(2),
        expected(Some(1), Some(1), "outside"),
    );
    c.stand(
        "4.4: then greatest from",
        &[
            &own(5, 8, "2:2001:db8:5::/64"),
            &own(5, 9, "2:2001:db8:5::/64"),
            &own(5, 4, "2:2001:db8:5::/64"),
        ],
        "",
        &w,
        to(5),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        "4.4: then greatest from",
        &[
            &own(5, 8, "2:2001:db8:5::/64"),
            &own(6, 9, "2:2001:db8:5::/64"),
            &own(7, 4, "2:2001:db8:5::/64"),
        ],
        "",
        &w,
        to(1),
        expected(Some(1), Some(1), "violation of field 0"),
    );
    // Fewest unchecked.
    let none_unchecked = "v=ssa1; addr=const(0):20 const(0):20 const(1):24; from=1";
    let one_unchecked = "v=ssa1; addr=hash(obj):20 const(0):20 const(1):24; from=2";
    let two_unchecked = "v=ssa1; addr=hash(obj):20 hash(chunk):20 const(1):24; from=3";
    let blind = w.blind();
    let note = "4.4: then fewest unchecked, then greatest from";
    c.stand(
        note,
        &[none_unchecked, one_unchecked, two_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(2), Some(0), "conforming"),
    );
    c.stand(
        note,
        &[two_unchecked, one_unchecked, none_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(0), Some(2), "conforming"),
    );
    c.stand(
        note,
        &[two_unchecked, one_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(0), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[one_unchecked, two_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(1), Some(0), "conforming"),
    );
    let same = "v=ssa1; addr=const(0):20 hash(obj):20 const(1):24; from=4";
    c.stand(
        note,
        &[one_unchecked, same, two_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(1), Some(1), "conforming"),
    );
    c.stand(
        note,
        &[same, one_unchecked, two_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(0), Some(0), "conforming"),
    );
    let strict = "v=ssa1; addr=const(9):64; from=9";
    c.stand(
        "4.4: conforming with much unchecked before violation",
        &[strict, two_unchecked],
        A,
        &blind,
        to(1),
        expected(Some(0), Some(1), "conforming"),
    );
    c
}
