//! What macs, keys, time and proofs of work are worth.

use ssa_rules::{
    SourceBits,
    record::{Field, Inputs},
};

use crate::counts::plain;

use super::{
    finding::{
        Code::{
            KdfCoarse, KdfMissing, KdfPastMac, MacNarrow, MacSourceCoarse, MacUnchecked, MacWindowLong,
            MacWithoutSource, MacWithoutTime, NotAnIdentity, PowHeavy, PowReusable, PowWeak, SkewTight,
            TimeMovesPlacement,
        },
        Finding,
        Severity::{Note, Warning},
    },
    subject::{Subject, power, with_source},
};

/// The narrowest mac that is not guessed in passing.
const WIDE_ENOUGH: u8 = 32;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (index, inputs, width) in subject.macs() {
        mac(subject, index, inputs, width, found);
    }
    if subject.has_mac() {
        keys(subject, found);
        let what = "a mac tells that the source has a token".to_string();
        let why = "a verdict is about addresses, before TLS, and a spoofed source conforms where no handshake answers";
        let advice = "TLS or the like for who the client is";
        found.push(Finding::new(NotAnIdentity, Note, subject.place, what, why).instead(advice));
    }
    time(subject, found);
    pow(subject, found);
}

fn mac(subject: &Subject<'_>, index: usize, inputs: &Inputs, width: u8, found: &mut Vec<Finding>) {
    let place = subject.field_place(index);
    let written = |inputs: &str, width: u8| subject.with_field(index, &format!("mac({inputs}):{width}"));
    let skew = f64::from(subject.record.skew());
    let accepted = subject
        .record
        .time_step()
        .map_or(1.0, |step| 1.0 + (2.0 * skew / f64::from(step)).ceil());
    if width < WIDE_ENOUGH {
        let what = format!("a mac of {width} bits");
        let seconds = 2_f64.powi(width.into()) / 1e6 / accepted;
        let why = format!(
            "one address in 2^{width} conforms by chance: at a million packets a second, one every {seconds:.2} s"
        );
        found.push(Finding::new(MacNarrow, Warning, &place, what, why).record(wider(subject, index, inputs, width)));
    }
    if subject.record.macs_of_objects().any(|unchecked| unchecked == index) {
        let what = format!("mac({inputs}) depends on the object");
        let why = format!(
            "a verifier at layer 4 knows no object key and no chunk: any of 2^{width} values passes there as `unchecked`, \
             and the mac keeps nobody out"
        );
        let text = inputs.to_string();
        let known: Vec<&str> = text
            .split(',')
            .filter(|input| !matches!(*input, "obj" | "chunk"))
            .collect();
        let instead = if known.is_empty() {
            "src/64".to_owned()
        } else {
            known.join(",")
        };
        found.push(Finding::new(MacUnchecked, Warning, &place, what, why).record(written(&instead, width)));
    }
    let bits = inputs.source_bits().map(SourceBits::get);
    let bound = bits.max(subject.record.kdf().map(SourceBits::get));
    match bound {
        None => {
            let what = format!("mac({inputs}) does not look at the source");
            let why = "whoever sees an address can use it from anywhere: a token that anyone can replay";
            let instead = written(&with_source(inputs, 64), width);
            found.push(Finding::new(MacWithoutSource, Warning, &place, what, why).record(instead));
        }
        Some(bits) if bits < 48 => {
            let what = format!("the mac looks at {} of the source", plain(bits, "bit"));
            let why = format!(
                "a token of one serves all {} /64s of its /{bits}",
                power(u32::from(64 - bits))
            );
            let instead = written(&with_source(inputs, 64), width);
            found.push(Finding::new(MacSourceCoarse, Warning, &place, what, why).record(instead));
        }
        Some(_) => {}
    }
    match inputs.time_step() {
        None => {
            let timed = subject.record.time_step().unwrap_or(3600);
            let what = format!("mac({inputs}) does not look at the time");
            let why = "a token holds as long as the key";
            let instead = written(&format!("{inputs},time/{timed}"), width);
            found.push(Finding::new(MacWithoutTime, Warning, &place, what, why).record(instead));
        }
        Some(step) if step > 3600 => {
            let serves = u64::from(step) + 2 * u64::from(subject.record.skew());
            let what = format!("time steps of {step} s");
            let why = format!("a token that leaks serves for up to {serves} s (the step + 2·skew)");
            let fields = subject.record.template().to_string();
            let fields = fields.replace(&format!("time/{step}"), "time/3600");
            let instead = subject.with_tags(&[("addr", &fields)]);
            found.push(Finding::new(MacWindowLong, Note, &place, what, why).record(instead));
        }
        Some(_) => {}
    }
}

/// Widens a mac at the cost of rand or const fields.
fn wider(subject: &Subject<'_>, index: usize, inputs: &Inputs, width: u8) -> Option<String> {
    let needed = WIDE_ENOUGH - width;
    let mut fields: Vec<String> = subject.fields().iter().map(ToString::to_string).collect();
    *fields.get_mut(index)? = format!("mac({inputs}):{WIDE_ENOUGH}");
    let (giver, left) = subject.fields().iter().enumerate().find_map(|(giver, field)| {
        let free = matches!(field, Field::Rand { .. } | Field::Const { value: 0, .. });
        (free && field.width() > needed).then(|| (giver, field.width() - needed))
    })?;
    let given = subject.fields().get(giver)?;
    *fields.get_mut(giver)? = if matches!(given, Field::Rand { .. }) {
        format!("rand:{left}")
    } else {
        format!("const(0):{left}")
    };
    subject.with_fields(&fields)
}

fn keys(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(kdf) = subject.record.kdf().map(SourceBits::get) else {
        let what = "every client holds the service's secret".to_string();
        let why = "one client that leaks it lets anyone compose for any source; with kdf a client's key serves its own prefix";
        let instead = subject.with_tags(&[("kdf", "src/48")]);
        found.push(Finding::new(KdfMissing, Note, subject.place, what, why).record(instead));
        return;
    };
    for (index, inputs, _) in subject.macs() {
        if let Some(bits) = inputs.source_bits().map(SourceBits::get).filter(|bits| kdf > *bits) {
            let what = format!("kdf=src/{kdf} is longer than the mac's src/{bits}");
            let why = format!(
                "the mac differs with the key, so for each /{kdf} and not for each /{bits} as it says: a client that moves \
                 among the {} /{kdf}s of its /{bits} needs another key",
                power(u32::from(kdf - bits))
            );
            let instead = subject.with_tags(&[("kdf", &format!("src/{bits}"))]);
            found.push(Finding::new(KdfPastMac, Warning, &subject.field_place(index), what, why).record(instead));
        }
    }
    if kdf < 48 {
        let what = format!("kdf=src/{kdf} gives all sources of a /{kdf} one key");
        let why = format!(
            "{} sites of a /48 share it, and each can compose for the others",
            power(u32::from(48 - kdf))
        );
        let instead = subject.with_tags(&[("kdf", "src/48")]);
        found.push(Finding::new(KdfCoarse, Warning, subject.place, what, why).record(instead));
    }
}

fn time(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(step) = subject.record.time_step() else { return };
    let skew = subject.record.skew();
    if skew < 5 {
        let what = format!("skew={skew}: clocks may differ by {skew} s");
        let why = format!("a client whose clock is off by more fails whenever a step of {step} s begins or ends");
        let instead = if step >= 3 {
            subject.with_tags(&[("skew", "5")])
        } else {
            None
        };
        found.push(Finding::new(SkewTight, Warning, subject.place, what, why).record(instead));
    }
    let timed = subject
        .placing()
        .find(|(_, field, _)| field.inputs().is_some_and(|inputs| inputs.time_step().is_some()));
    if let Some((index, field, _)) = timed {
        let what = format!("{field} places by time");
        let why = format!(
            "every {step} s all clients open their flows somewhere else: caches and sessions start anew, and what was \
             issued ahead is void"
        );
        let advice = "this is address hopping; for tokens alone, place by hash(src/64) and put the mac after it";
        found.push(Finding::new(TimeMovesPlacement, Note, &subject.field_place(index), what, why).instead(advice));
    }
}

fn pow(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let pow = subject.record.pow();
    if pow == 0 {
        return;
    }
    let tries = 1_u64 << pow;
    let serves = 60 + 2 * u32::from(subject.record.skew());
    let what = format!("pow={pow}: {tries} hashes a solution");
    let why = format!(
        "a solution serves its source and destination for {serves} s (60 + 2·skew) however often it is used, and can be \
         computed ahead"
    );
    let advice = "limits for connections of one source at the endpoint; a smaller skew ends a solution sooner";
    found.push(Finding::new(PowReusable, Note, subject.place, what, why).instead(advice));
    if pow < 10 {
        let what = format!("pow={pow} costs {tries} hashes");
        let why = format!("a core finds {:.0} solutions a second", 1e7 / 2_f64.powi(pow.into()));
        let instead = (10..=14_u8)
            .rev()
            .find_map(|pow| subject.with_tags(&[("pow", &pow.to_string())]));
        found.push(Finding::new(PowWeak, Warning, subject.place, what, why).record(instead));
    }
    if pow > 20 {
        let what = format!("pow={pow} costs {tries} hashes");
        let why = format!(
            "a core needs {:.1} s for each, a telephone several times that",
            2_f64.powi(pow.into()) / 1e7
        );
        let instead = subject.with_tags(&[("pow", "16")]);
        found.push(Finding::new(PowHeavy, Warning, subject.place, what, why).record(instead));
    }
}
