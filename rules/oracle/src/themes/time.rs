//! Section 4, step 2: steps of time.

use super::*;

pub(super) fn time() -> Cases {
    let mut c = Cases::default();
    let w = who();
    let note = "4.2: every step from floor((now-skew)/s) to floor((now+skew)/s)";
    // (tag, step, first second before NOW, last second after NOW) that accept an address of NOW.
    for (template, skew, s, e) in [
        ("hash(src/64,time/30):64", "; skew=5", 30, 5),
        ("hash(src/64,time/30):64", "; skew=0", 30, 0),
        ("hash(src/64,time/30):64", "; skew=1", 30, 1),
        ("hash(src/64,time/30):64", "", 30, 10),
        ("hash(src/64,time/30):64", "; skew=60", 30, 60),
        ("hash(time/1):64", "", 1, 2),
        ("hash(time/1):64", "; skew=0", 1, 0),
        ("hash(time/1):64", "; skew=1", 1, 1),
        ("hash(time/4):64", "", 4, 8),
        ("hash(time/5):64", "", 5, 10),
        ("hash(time/6):64", "", 6, 10),
        ("hash(time/300):64", "; skew=600", 300, 600),
        ("hash(time/86400):64", "; skew=600", 86400, 600),
        ("mac(src/64,time/3600):64", "; key=k1", 3600, 10),
    ] {
        let rule = format!("v=ssa1; addr={template}{skew}");
        // NOW is no second 0 of every step.
        let start = NOW / s * s;
        let found = c.compose(note, &rule, A, &w.at(start));
        c.composes("3: time by s, floored", &rule, A, &w.at(start + s - 1), &text(found));
        if s > 1 {
            c.composes("3: time by s, floored", &rule, A, &w.at(start + s / 2), &text(found));
        }
        for (now, expect) in [
            (start, "conforming"),
            (start + s - 1, "conforming"),
            (start - e, "conforming"),
            (start + s - 1 + e, "conforming"),
            (start - e - 1, "violation of field 0"),
            (start + s + e, "violation of field 0"),
            (start - 3 * s - e, "violation of field 0"),
            (start + 4 * s + e, "violation of field 0"),
        ] {
            c.verify(note, &rule, A, &w.at(now), found, expect);
        }
    }
    // Five steps.
    let rule = "v=ssa1; addr=hash(src/64,time/30):64; skew=60";
    for (k, expect) in [
        (-3i64, "violation of field 0"),
        (-2, "conforming"),
        (-1, "conforming"),
        (0, "conforming"),
        (1, "conforming"),
        (2, "conforming"),
        (3, "violation of field 0"),
    ] {
        let found = made(rule, A, &w.at(NOW.saturating_add_signed(30 * k)), &[]);
        for now in [NOW, NOW + 15, NOW + 29] {
            c.verify("4: 5 steps at most", rule, A, &w.at(now), found, expect);
        }
    }
    // One step for all fields.
    let rule = "v=ssa1; addr=hash(src/64,time/30):32 hash(obj,time/30):32";
    let first = made(rule, A, &w.at(NOW - 30), &[]);
    let second = made(rule, A, &w.at(NOW), &[]);
    let mask = u128::from(u32::MAX);
    let mixed = first & !mask | second & mask;
    let xedmi = second & !mask | first & mask;
    for now in [NOW - 1, NOW - 5, NOW, NOW + 5] {
        c.verify("4.2: one step for all fields", rule, A, &w.at(now), first, "conforming");
        c.verify(
            "4.2: one step for all fields",
            rule,
            A,
            &w.at(now),
            second,
            "conforming",
        );
        let (mixed_fails, xedmi_fails) = if now < NOW { (1, 0) } else { (0, 1) };
        let note = "4.2: one step for all fields; the first that fails in the step of now";
        c.verify(
            note,
            rule,
            A,
            &w.at(now),
            mixed,
            &format!("violation of field {mixed_fails}"),
        );
        c.verify(
            note,
            rule,
            A,
            &w.at(now),
            xedmi,
            &format!("violation of field {xedmi_fails}"),
        );
    }
    // The step of now names the field, not the step that came closest.
    let rule = "v=ssa1; addr=hash(src/64,time/30):32 const(5):32";
    let found = flip(made(rule, A, &w, &[]), 127);
    let note = "4.2: naming the first field that fails in the step of now";
    c.verify(note, rule, A, &w, found, "violation of field 1");
    c.verify(note, rule, A, &w.at(NOW - 1), found, "violation of field 0");
    c.verify(note, rule, A, &w.at(NOW + 30), found, "violation of field 0");
    c.verify(note, rule, A, &w.at(NOW + 29), found, "violation of field 1");
    let rule = "v=ssa1; addr=const(5):32 hash(src/64,time/30):32";
    let found = made(rule, A, &w, &[]);
    c.verify(note, rule, A, &w.at(NOW + 100), found, "violation of field 1");
    c.verify(note, rule, A, &w.at(NOW + 100), flip(found, 64), "violation of field 0");
    c.verify(note, rule, A, &w.at(NOW + 30), flip(found, 95), "violation of field 0");
    // Without time, time is nothing.
    for now in [0, 1, NOW, u64::MAX] {
        let rule = "v=ssa1; addr=hash(src/64):64";
        let found = made(rule, A, &w, &[]);
        c.verify(
            "4.2: without time there is no step",
            rule,
            A,
            &w.at(now),
            found,
            "conforming",
        );
    }
    // Saturation.
    let note = "4: sums and differences of times saturate";
    for (s, skew) in [(30, 10), (30, 60), (1, 2), (3600, 10), (86400, 600)] {
        let rule = format!("v=ssa1; addr=hash(src/64,time/{s}):64; skew={skew}");
        let found = c.compose(note, &rule, A, &w.at(0));
        for now in [0, 1, skew - 1, skew, s - 1, s - 1 + skew] {
            c.verify(note, &rule, A, &w.at(now), found, "conforming");
        }
        c.verify(note, &rule, A, &w.at(s + skew), found, "violation of field 0");
        c.verify(note, &rule, A, &w.at(u64::MAX), found, "violation of field 0");
        let found = c.compose(note, &rule, A, &w.at(u64::MAX));
        for now in [u64::MAX, u64::MAX - 1, u64::MAX - skew, u64::MAX - skew + 1] {
            c.verify(note, &rule, A, &w.at(now), found, "conforming");
        }
        let first = u64::MAX / s * s;
        c.verify(note, &rule, A, &w.at(first - skew), found, "conforming");
        c.verify(note, &rule, A, &w.at(first - skew - 1), found, "violation of field 0");
        c.verify(note, &rule, A, &w.at(0), found, "violation of field 0");
    }
    // u64 steps.
    for now in [u64::from(u32::MAX), u64::from(u32::MAX) + 1, 1 << 63, (1 << 63) + 1] {
        c.compose("3: u64 of time by s", "v=ssa1; addr=hash(time/1):64", A, &w.at(now));
    }
    c
}
