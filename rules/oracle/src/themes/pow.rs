//! Section 3, step 4, and section 4, step 3: proof of work.

use super::*;

/// Rand bits that solve pow for exactly these of the minutes −3..=3 around NOW (or around `time`).
fn solved(rule: &str, who: &Who, minutes: &[i64]) -> u128 {
    let record = usable(rule, A).unwrap().record;
    let base = who.time.unwrap() / 60;
    for rand in 0..10_000_000u64 {
        let found = made(rule, A, who, &[rand]);
        let fits = (-3i64..=3).all(|delta| {
            let Some(minute) = base.checked_add_signed(delta) else {
                return true;
            };
            let ok = pow_ok(&record, address(who.source), found, who.port.unwrap(), minute);
            ok == minutes.contains(&delta)
        });
        if fits {
            return found;
        }
    }
    panic!("no solution of {rule}");
}

pub(super) fn pow() -> Cases {
    let mut c = Cases::default();
    let w = who();
    let note = "4.3: every minute from floor((now-skew)/60) to floor((now+skew)/60)";
    for (skew, e) in [
        ("", 10),
        ("; skew=0", 0),
        ("; skew=1", 1),
        ("; skew=60", 60),
        ("; skew=61", 61),
        ("; skew=120", 120),
    ] {
        let rule = format!("v=ssa1; addr=rand:64; pow=6{skew}");
        let found = solved(&rule, &w, &[0]);
        for (now, expect) in [
            (NOW, "conforming"),
            (NOW + 59, "conforming"),
            (NOW - e, "conforming"),
            (NOW + 59 + e, "conforming"),
            (NOW - e - 1, "violation of pow"),
            (NOW + 60 + e, "violation of pow"),
        ] {
            c.verify(note, &rule, A, &w.at(now), found, expect);
        }
    }
    let rule = "v=ssa1; addr=rand:64; pow=6; skew=120";
    for (minute, expect) in [
        (-3, "violation of pow"),
        (-2, "conforming"),
        (-1, "conforming"),
        (0, "conforming"),
        (1, "conforming"),
        (2, "conforming"),
        (3, "violation of pow"),
    ] {
        let found = solved(rule, &w, &[minute]);
        for now in [NOW, NOW + 30, NOW + 59] {
            c.verify("4: 5 minutes at most", rule, A, &w.at(now), found, expect);
        }
    }
    // What the message holds.
    let rule = "v=ssa1; addr=rand:64; pow=12; skew=0";
    let found = solved(rule, &w, &[0]);
    let note = "3.4: the top d bits of SipHash(public, 03 salt source destination port minute)";
    c.verify(note, rule, A, &w, found, "conforming");
    c.verify(note, rule, A, &w.at(NOW + 60), found, "violation of pow");
    c.verify(
        note,
        rule,
        A,
        &w.source("2a02:1234:5678:9abc:def0:1357:9bdf:2469"),
        found,
        "violation of pow",
    );
    c.verify(
        note,
        rule,
        A,
        &w.source("aa02:1234:5678:9abc:def0:1357:9bdf:2468"),
        found,
        "violation of pow",
    );
    c.verify(note, rule, A, &w, flip(found, 127), "violation of pow");
    c.verify(note, rule, A, &w, flip(found, 64), "violation of pow");
    c.verify(
        note,
        rule,
        A,
        &Who {
            port: Some(444),
            ..who()
        },
        found,
        "violation of pow",
    );
    let salted = format!("{rule}; salt=2026a");
    c.verify(
        "3.4: salt, whatever the inputs",
        &salted,
        A,
        &w,
        found,
        "violation of pow",
    );
    let solution = solved(&salted, &w, &[0]);
    c.verify("3.4: salt, whatever the inputs", &salted, A, &w, solution, "conforming");
    c.verify(
        "3.4: salt, whatever the inputs",
        rule,
        A,
        &w,
        solution,
        "violation of pow",
    );
    let two = "2:2001:db8:5::/64 2:2001:db8:4::/64";
    c.verify("3.4: destination", rule, two, &w, found, "conforming");
    c.verify("3.4: destination", rule, two, &w, flip(found, 47), "violation of pow");
    // d bits, neither fewer nor more.
    for d in 1..=10u32 {
        let rule = |d: u32| format!("v=ssa1; addr=rand:64; pow={d}; skew=0");
        let record = usable(&rule(d), A).unwrap().record;
        let harder = usable(&rule(d + 1), A).unwrap().record;
        let exact = (0u64..).map(|rand| made(&rule(d), A, &w, &[rand])).find(|found| {
            let solves = |record| pow_ok(record, address(w.source), *found, 443, NOW / 60);
            solves(&record) && !solves(&harder)
        });
        let exact = exact.unwrap();
        c.verify("3.4: the top d bits must be zero", &rule(d), A, &w, exact, "conforming");
        c.verify(
            "3.4: the top d bits must be zero",
            &rule(d + 1),
            A,
            &w,
            exact,
            "violation of pow",
        );
    }
    // pow among other things.
    let rule = "v=ssa1; addr=hash(src/48):20 rand:44; pow=8";
    let found = solved(rule, &w, &[0]);
    c.verify("4.3: pow and fields", rule, A, &w, found, "conforming");
    c.verify(
        "4.2: fields before pow",
        rule,
        A,
        &w,
        flip(found, 64),
        "violation of field 0",
    );
    c.verify("4.3: pow and fields", rule, A, &w, flip(found, 127), "violation of pow");
    c.verify(
        "4.1: outside before pow",
        rule,
        "2:2001:db8:6::/64",
        &w,
        found,
        "outside",
    );
    c.verify(
        "4.1: legacy before pow",
        rule,
        "2:2001:db8:6::/64 !2:2001:db8:5::/64",
        &w,
        flip(found, 127),
        "legacy",
    );
    let rule = "v=ssa1; addr=hash(obj):20 rand:44; pow=8";
    let found = solved(rule, &w, &[0]);
    c.verify(
        "4.3: pow with what is unchecked",
        rule,
        A,
        &w.blind(),
        found,
        "conforming but field 0",
    );
    c.verify(
        "4.3: pow with what is unchecked",
        rule,
        A,
        &w.blind(),
        flip(found, 127),
        "violation of pow",
    );
    // Minutes and steps are tried apart.
    let rule = "v=ssa1; addr=hash(src/64,time/30):32 rand:32; pow=6; skew=10";
    let found = solved(rule, &w, &[0]);
    c.verify(
        "4.3: minutes and steps are tried apart",
        rule,
        A,
        &w.at(NOW + 39),
        found,
        "conforming",
    );
    c.verify(
        "4.3: minutes and steps are tried apart",
        rule,
        A,
        &w.at(NOW + 40),
        found,
        "violation of field 0",
    );
    c.verify(
        "4.3: minutes and steps are tried apart",
        rule,
        A,
        &w.at(NOW - 10),
        found,
        "conforming",
    );
    let found = solved(rule, &w, &[-1]);
    c.verify(
        "4.3: minutes and steps are tried apart",
        rule,
        A,
        &w.at(NOW + 9),
        found,
        "conforming",
    );
    c.verify(
        "4.3: minutes and steps are tried apart",
        rule,
        A,
        &w.at(NOW + 10),
        found,
        "violation of pow",
    );
    // Saturation.
    let rule = "v=ssa1; addr=rand:64; pow=6; skew=120";
    let found = solved(rule, &w.at(0), &[0]);
    for (now, expect) in [
        (0, "conforming"),
        (60, "conforming"),
        (119, "conforming"),
        (179, "conforming"),
        (180, "violation of pow"),
    ] {
        c.verify(
            "4: sums and differences of times saturate",
            rule,
            A,
            &w.at(now),
            found,
            expect,
        );
    }
    let last = u64::MAX / 60 * 60;
    let found = solved(rule, &w.at(u64::MAX), &[0]);
    for (now, expect) in [
        (u64::MAX, "conforming"),
        (u64::MAX - 120, "conforming"),
        (last - 120, "conforming"),
        (last - 121, "violation of pow"),
    ] {
        c.verify(
            "4: sums and differences of times saturate",
            rule,
            A,
            &w.at(now),
            found,
            expect,
        );
    }
    let found = solved(rule, &w.at(u64::MAX), &[-2]);
    c.verify(
        "4: sums and differences of times saturate",
        rule,
        A,
        &w.at(u64::MAX),
        found,
        "conforming",
    );
    let found = solved(rule, &w.at(u64::MAX), &[-3]);
    c.verify(
        "4: sums and differences of times saturate",
        rule,
        A,
        &w.at(u64::MAX),
        found,
        "violation of pow",
    );
    c
}
