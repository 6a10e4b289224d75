//! An address taken apart, each field against what it should be.
//!
//! A field is judged by itself: a record is made in which every other field is the constant that the address has
//! there, and the address is verified by it.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_rules::{
    AddressSpace, Apl, AplItem, Destination, Flow, Key, Membership, Record, Replica, Request, Rule, Source, UnixTime,
    Verdict,
    record::{Field, Needs},
    rule::ItemSet,
    verdict::{Expected, Violation},
};

use crate::{
    input::{Inputs, Keys},
    style,
};

/// What an address is decoded by.
pub(super) struct Context<'a> {
    pub(super) record: &'a Record,
    /// The address space of the name's APL records.
    pub(super) published: Option<&'a AddressSpace>,
    pub(super) inputs: &'a Inputs,
    pub(super) keys: &'a Keys,
}

/// An address taken apart.
pub(super) struct Decoded {
    pub(super) address: Ipv6Addr,
    /// What a verifier says; nothing where it lacks what it needs for that.
    pub(super) verdict: Option<Verdict>,
    /// What a verdict would need.
    needs: Vec<&'static str>,
    /// The item, then the fields.
    pub(super) findings: Vec<Finding>,
}

/// What is found of a part.
pub(super) struct Finding {
    /// Its value.
    pub(super) value: String,
    /// Whether it fits; nothing where it is not checked.
    pub(super) fits: Option<bool>,
    /// Whether any value fits.
    pub(super) open: bool,
    /// What it should be, where it differs.
    expected: Option<Expected>,
    /// What else is to say.
    pub(super) note: String,
}

impl Finding {
    /// Returns what the part should be, where it differs and that may be shown.
    pub(super) fn shown(&self, reveal: bool) -> Option<String> {
        match self.expected? {
            Expected::Hidden(value) => reveal.then(|| format!("{:#x}", value.reveal())),
            expected => Some(expected.to_string()),
        }
    }

    pub(super) fn remark(&self, reveal: bool) -> String {
        match (self.expected, self.shown(reveal)) {
            (Some(_), Some(expected)) => format!("expected {expected}"),
            (Some(_), None) => "expected another (--reveal shows it)".into(),
            (None, _) => self.note.clone(),
        }
    }
}

impl Decoded {
    /// Returns whether nothing is found to differ.
    pub(super) fn conforms(&self) -> bool {
        match &self.verdict {
            Some(verdict) => matches!(verdict, Verdict::Conforming(_)),
            None => self.findings.iter().all(|finding| finding.fits != Some(false)),
        }
    }

    pub(super) fn verdict_text(&self, reveal: bool) -> (String, anstyle::Style) {
        match &self.verdict {
            Some(Verdict::Violation(
                violation @ Violation::Field {
                    expected: Expected::Hidden(value),
                    found,
                    kind,
                    ..
                },
            )) => {
                let (part, kind) = (violation.part(), kind.name());
                let text = if reveal {
                    let expected = value.reveal();
                    format!("violation of {part} ({kind}): expected {expected:#x}, found {found:#x}")
                } else {
                    format!("violation of {part}: another {kind} is expected")
                };
                (text, style::BAD)
            }
            Some(verdict @ Verdict::Conforming(_)) => (verdict.to_string(), style::GOOD),
            Some(verdict @ Verdict::Legacy) => (verdict.to_string(), style::WARN),
            Some(verdict @ (Verdict::Violation(_) | Verdict::Outside)) => (verdict.to_string(), style::BAD),
            None => (format!("unknown: needs {}", self.needs.join(", ")), style::DIM),
        }
    }
}

pub(super) fn decode(context: &Context<'_>, address: Ipv6Addr) -> Decoded {
    let mut findings = vec![item(context, address)];
    let fields = context.record.template().fields();
    findings.extend((0..fields.len()).map(|index| field(context, address, index)));
    let verdict = verdict(context, address);
    // The verdict is over all fields at one time step; a field by itself may fit at another.
    if let Some(Verdict::Violation(Violation::Field { index, expected, .. })) = verdict
        && let Some(finding) = findings.get_mut(usize::from(index) + 1)
    {
        finding.fits = Some(false);
        finding.expected = Some(expected);
        finding.note = String::new();
    }
    let no_list = context.record.space(context.published).is_none();
    let no_secret = context.record.key().is_some() && key(context) == Key::None;
    let needs = [
        ("--apl", no_list),
        (
            "--source",
            context.inputs.source.is_none() && needs_source(context.record),
        ),
        ("--secret", no_secret),
    ];
    let needs = needs
        .into_iter()
        .filter(|(_, lacks)| *lacks)
        .map(|(flag, _)| flag)
        .collect();
    Decoded {
        address,
        verdict,
        needs,
        findings,
    }
}

fn flow<'a>(context: &'a Context<'_>, source: Source, address: Ipv6Addr) -> Flow<'a> {
    Flow {
        source,
        destination: Destination(address),
        port: context.inputs.port,
        object: context.inputs.object.as_deref(),
        chunk: context.inputs.chunk,
        time: context.inputs.time,
    }
}

fn key(context: &Context<'_>) -> Key {
    // A client key verifies nothing.
    match context.record.key().map_or(Key::None, |id| context.keys.get(id)) {
        key @ Key::Secret(_) => key,
        Key::Client(_) | Key::None => Key::None,
    }
}

/// Returns whether a verifier looks at the source, which a proof of work binds too.
fn needs_source(record: &Record) -> bool {
    record.needs().source || record.pow() > 0
}

fn verdict(context: &Context<'_>, address: Ipv6Addr) -> Option<Verdict> {
    // Where the address lies is all there is to these two.
    match context.record.space(context.published)?.membership(address) {
        Membership::Outside => return Some(Verdict::Outside),
        Membership::Legacy(_) => return Some(Verdict::Legacy),
        Membership::Service(_) => {}
    }
    let rule = Rule::prepare(context.record, context.published, &key(context)).ok()?;
    let source = context
        .inputs
        .source
        .or_else(|| (!needs_source(context.record)).then_some(Source(Ipv6Addr::UNSPECIFIED)));
    rule.verify(&flow(context, source?, address)).ok()
}

fn item(context: &Context<'_>, address: Ipv6Addr) -> Finding {
    let length = context.record.template().item_length();
    let prefix = Ipv6Net::new(address, length).map_or_else(|_| String::new(), |net| net.trunc().to_string());
    let space = context.record.space(context.published);
    let (fits, note) = match space.map(|space| space.membership(address)) {
        None => (None, "no address list to look it up in".to_owned()),
        Some(Membership::Outside) => (Some(false), "in no item of the service: outside".into()),
        Some(Membership::Legacy(item)) => (Some(false), format!("legacy: in the negated item {item}")),
        Some(Membership::Service(_)) => match verdict(context, address) {
            Some(Verdict::Violation(Violation::Item { expected, .. })) => (Some(false), format!("expected {expected}")),
            _ => (Some(true), "in the service".into()),
        },
    };
    Finding {
        value: prefix,
        fits,
        open: false,
        expected: None,
        note,
    }
}

/// Returns a field's value in an address.
fn value(record: &Record, address: Ipv6Addr, index: usize) -> u64 {
    let fields = record.template().fields();
    let after: u32 = fields
        .iter()
        .skip(index + 1)
        .map(|field| u32::from(field.width()))
        .sum();
    let width = fields.get(index).map_or(0, Field::width);
    let bits = u128::from(address).checked_shr(after).unwrap_or(0)
        & u128::MAX.checked_shr(128 - u32::from(width)).unwrap_or(0);
    u64::try_from(bits).unwrap_or(u64::MAX)
}

fn field(context: &Context<'_>, address: Ipv6Addr, index: usize) -> Finding {
    let record = context.record;
    let found = value(record, address, index);
    let value = format!("{found:#x}");
    let finding = |fits, note: &str| Finding {
        value: value.clone(),
        fits,
        open: false,
        expected: None,
        note: note.into(),
    };
    let Some(field) = record.template().fields().get(index) else {
        return finding(None, "");
    };
    if matches!(field, Field::Rand { .. }) {
        return Finding {
            open: true,
            ..finding(None, "any value fits")
        };
    }
    let Some(alone) = alone(record, address, index) else {
        return finding(None, "");
    };
    let lacking = lacking(context, alone.needs());
    if !lacking.is_empty() {
        return finding(None, &format!("needs {}", lacking.join(", ")));
    }
    let Some(rule) = rule_alone(context, &alone, address) else {
        return finding(None, "");
    };
    let source = context.inputs.source.unwrap_or(Source(Ipv6Addr::UNSPECIFIED));
    match rule.verify(&flow(context, source, address)) {
        Ok(Verdict::Violation(Violation::Field { expected, .. })) => Finding {
            expected: Some(expected),
            ..finding(Some(false), "")
        },
        Ok(_) => finding(Some(true), &replica(context, &rule, address, index)),
        Err(_) => finding(None, "needs --secret"),
    }
}

/// Returns the flags that would have to be given for these needs.
fn lacking(context: &Context<'_>, needs: Needs) -> Vec<&'static str> {
    let inputs = context.inputs;
    let needs = [
        ("--source", needs.source && inputs.source.is_none()),
        ("--object", needs.object && inputs.object.is_none()),
        ("--chunk", needs.chunk && inputs.chunk.is_none()),
        ("--port", needs.port && inputs.port.is_none()),
        ("--secret", needs.key && key(context) == Key::None),
    ];
    needs
        .into_iter()
        .filter(|(_, lacks)| *lacks)
        .map(|(flag, _)| flag)
        .collect()
}

/// Makes a record of which one field is as in this one, and all else as in the address.
fn alone(record: &Record, address: Ipv6Addr, index: usize) -> Option<Record> {
    let fields = record.template().fields().iter().enumerate().map(|(other, field)| {
        if other == index {
            field.to_string()
        } else {
            format!("const({:x}):{}", value(record, address, other), field.width())
        }
    });
    let field = record.template().fields().get(index)?;
    let mac = matches!(field, Field::Mac { .. });
    let mut tags = record.tags();
    tags.set("addr", &fields.collect::<Vec<_>>().join(" ")).ok()?;
    // Of another template it might be another by default.
    tags.set("skew", &record.skew()).ok()?;
    for (name, stays) in [
        ("replicas", index == 0),
        ("key", mac),
        ("kdf", mac),
        ("item", false),
        ("pow", false),
        ("from", false),
        ("apl", false),
    ] {
        if !stays {
            tags.remove(name);
        }
    }
    tags.record().ok()
}

/// Prepares such a record, with the address's own item for its list.
fn rule_alone(context: &Context<'_>, alone: &Record, address: Ipv6Addr) -> Option<Rule> {
    let item = Ipv6Net::new(address, alone.template().item_length()).ok()?.trunc();
    let apl: Apl = AplItem::v6(item, false).into_iter().collect();
    let space = AddressSpace::new(&apl).ok()??;
    let key = if alone.key().is_some() { key(context) } else { Key::None };
    Rule::prepare(alone, Some(&space), &key).ok()
}

/// Returns which replica the first field is of, where there are several.
fn replica(context: &Context<'_>, rule: &Rule, address: Ipv6Addr, index: usize) -> String {
    if index > 0 || rule.replicas() == 1 {
        return String::new();
    }
    let inputs = context.inputs;
    let step = u64::from(context.record.time_step().unwrap_or(1));
    let skew = i64::from(rule.skew());
    let times = [0, -skew, skew]
        .into_iter()
        .chain((-2..=2).map(|n| n * i64::try_from(step).unwrap_or(1)));
    for time in times.filter_map(|shift| inputs.time.0.checked_add_signed(shift)) {
        for replica in 0..rule.replicas() {
            let request = Request {
                source: inputs.source.unwrap_or(Source(Ipv6Addr::UNSPECIFIED)),
                object: inputs.object.as_deref(),
                chunk: inputs.chunk,
                port: inputs.port,
                time: Some(UnixTime(time)),
                replica: Replica(replica),
            };
            let mut none = || 0;
            let found = rule.search(&request, ItemSet::EMPTY, &mut none);
            let found = found.and_then(|mut search| rule.advance(&mut search, &request, 1, &mut none));
            if found.is_ok_and(|found| found == ssa_rules::Progress::Found(Destination(address))) {
                return format!("replica {replica}");
            }
        }
    }
    String::new()
}
