//! Object keys and chunks in requests: the tags `obj` and `chunk`, and what a rule costs at layer 7.

use ssa_rules::{
    http::{ChunkSource, KeySource, PathPattern, Segment},
    record::{Field, Input},
};

use super::{
    finding::{
        Code::{KeySpelling, ObjectWithTime, PatternNever, SourceNever, SourcesUnused, WideAtLayer7},
        Finding,
        Severity::{Note, Warning},
    },
    spread::{by_content, quantised},
    subject::{Subject, power},
};
use crate::{counts::plain, simulate::clients::ClientGroup};

/// The distinct addresses that a client's connections bear, one or more for each: 2 to this.
const CONNECTION_BITS: u32 = 12;

/// The fewest addresses an endpoint should have, so that endpoints get about as much: with 16 they differ by 6 %.
const ADDRESSES_AN_ENDPOINT: u32 = 16;

/// The connections that an endpoint bears.
const CONNECTIONS: u128 = 20_000;

pub(super) fn check(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let keys = subject.record.keys();
    if keys.is_empty() {
        return;
    }
    unused(subject, found);
    never(subject, found);
    swallowed(subject, found);
    with_time(subject, found);
    width(subject, found);
    spelling(subject, found);
}

fn place(subject: &Subject<'_>, tag: &str) -> String {
    format!("{} {tag}", subject.place)
}

fn unused(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let (needs, keys) = (subject.record.needs(), subject.record.keys());
    for (tag, unused) in [
        ("obj", !keys.object().is_empty() && !needs.object),
        ("chunk", keys.chunk().is_some() && !needs.chunk),
    ] {
        if unused {
            let what = format!("the tag {tag}, and nothing of the address depends on it");
            let why = "requests are read for it, and go where they would go without it";
            let mut tags = subject.record.tags();
            tags.remove(tag);
            let instead = tags.record().ok().map(|record| record.to_string());
            found.push(Finding::new(SourcesUnused, Warning, subject.place, what, why).record(instead));
        }
    }
}

/// All patterns, each with where it stands.
fn patterns<'a>(subject: &Subject<'a>) -> Vec<(String, &'a PathPattern)> {
    let keys = subject.record.keys();
    let of_object = keys
        .object()
        .iter()
        .enumerate()
        .filter_map(|(index, source)| match source {
            KeySource::Path(pattern) => Some((place(subject, &format!("obj[{index}]")), pattern)),
            _ => None,
        });
    let of_chunk = keys.chunk().and_then(|chunk| match chunk {
        ChunkSource::Key(KeySource::Path(pattern)) => Some((place(subject, "chunk"), pattern)),
        _ => None,
    });
    of_object.chain(of_chunk).collect()
}

fn never(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (place, pattern) in patterns(subject) {
        let dots = pattern.segments().iter().find_map(|segment| match segment {
            Segment::Literal(text) if text == "." || text == ".." => Some(text),
            _ => None,
        });
        if let Some(dots) = dots {
            let what = format!("{pattern} matches no path");
            let why = format!("a path with a segment `{dots}` matches no pattern, for servers and proxies resolve it");
            found.push(Finding::new(PatternNever, Warning, &place, what, why).instead("the path without it"));
        }
    }
}

fn swallowed(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let sources = subject.record.keys().object();
    for (index, source) in sources.iter().enumerate() {
        let earlier = sources.iter().take(index).find(|earlier| match (earlier, source) {
            (KeySource::Path(earlier), KeySource::Path(own)) => covers(earlier.segments(), own.segments()),
            (earlier, own) => *earlier == own,
        });
        if let Some(earlier) = earlier {
            let what = format!("{source} is never reached");
            let why = format!(
                "{earlier} stands before it and takes every request that it would take, except where that gives \
                 nothing or more than 1024 bytes"
            );
            let advice = if earlier == source {
                "without it".into()
            } else {
                format!("{source} before {earlier}")
            };
            found.push(
                Finding::new(
                    SourceNever,
                    Warning,
                    &place(subject, &format!("obj[{index}]")),
                    what,
                    why,
                )
                .instead(advice),
            );
        }
    }
}

/// Returns whether a pattern matches every path that another matches.
fn covers(pattern: &[Segment], other: &[Segment]) -> bool {
    match (pattern.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((segment, _)), Some(_)) if segment.takes_rest() => true,
        (Some((segment, rest)), Some((own, others))) => {
            let covered = match segment {
                Segment::Literal(_) => segment == own,
                _ => !own.takes_rest(),
            };
            covered && covers(rest, others)
        }
        _ => false,
    }
}

fn with_time(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (index, field) in subject.fields().iter().enumerate() {
        let Some(inputs) = field.inputs() else { continue };
        let object = inputs.has_kind(Input::Object) || inputs.has_kind(Input::Chunk);
        let Some(step) = inputs.time_step().filter(|_| object) else {
            continue;
        };
        let what = format!("{field} depends on both the request and the time");
        let why = format!(
            "a server judges time by when the connection was opened: a request on a connection that is older than {step} \
             s has another address than the one that its client would compose now, and each step opens new connections \
             for all objects"
        );
        let others = inputs
            .as_slice()
            .iter()
            .filter(|input| !matches!(input, Input::Time(_)));
        let others: Vec<String> = others.map(ToString::to_string).collect();
        let with = |kind: &str, width: u8| format!("{kind}({}):{width}", others.join(","));
        let instead = match field {
            Field::Hash { width, .. } => subject.with_field(index, &with("hash", *width)),
            Field::Mac { width, .. } => subject.with_field(index, &with("mac", *width)),
            _ => None,
        };
        found.push(Finding::new(ObjectWithTime, Warning, &subject.field_place(index), what, why).record(instead));
    }
}

/// Returns the width of content that is enough for the endpoints, and bearable for connections.
fn enough(subject: &Subject<'_>) -> u32 {
    let endpoints = subject.around.endpoints.unwrap_or(1);
    let wanted = u64::from(endpoints.saturating_mul(ADDRESSES_AN_ENDPOINT)).next_power_of_two();
    wanted.trailing_zeros().max(CONNECTION_BITS)
}

fn width(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let content = subject.fields().iter().filter(|field| by_content(field));
    let content: u32 = content.map(|field| u32::from(field.width())).sum();
    let enough = enough(subject);
    if content > enough {
        let what = format!("{} distinct addresses by content", power(content));
        let why = format!(
            "at layer 7 a client's sidecar keeps a connection to each address in use, of 27 to 50 kB with its host; {} \
             are {} for each of {}",
            power(enough),
            (1_u64 << enough.min(63)) / u64::from(subject.around.endpoints.unwrap_or(100).max(1)),
            plain(subject.around.endpoints.unwrap_or(100), "endpoint"),
        );
        let instead = quantised(subject, by_content, enough);
        found.push(Finding::new(WideAtLayer7, Warning, subject.place, what, why).record(instead));
    }
    let clients: Option<u64> = subject.around.clients.iter().map(ClientGroup::known_count).sum();
    let (Some(clients), Some(endpoints)) = (clients, subject.around.endpoints.filter(|endpoints| *endpoints > 0))
    else {
        return;
    };
    let each = (u128::from(clients) << content.min(64)) / u128::from(endpoints);
    if each > CONNECTIONS {
        let what = format!("up to {each} connections to each endpoint");
        let why = format!(
            "each of {} may have one to each of {} addresses; an endpoint bears about {CONNECTIONS}",
            plain(clients, "client"),
            power(content)
        );
        let advice = "fewer bits of content, or a short idle_timeout upstream";
        found.push(Finding::new(WideAtLayer7, Warning, subject.place, what, why).instead(advice));
    }
}

/// Tells once what clients have to spell alike.
fn spelling(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let mut differ: Vec<&str> = Vec::new();
    let (mut path, mut query) = (false, false);
    for source in subject.record.keys().object() {
        let how = match source {
            KeySource::Path(pattern) => {
                path = true;
                let rest = pattern.segments().contains(&Segment::ObjectRest);
                if rest {
                    "`a` and `A`, `a` and `a/`, `a/b` and `a//b` are different keys, and `%2F` is the same as `/`"
                } else {
                    "`a` and `A` are different keys, and `%41` is the same as `A`"
                }
            }
            KeySource::Query(_) => {
                query = true;
                "of a query, `+` and `%20` are a blank and `%2B` is a plus"
            }
            KeySource::Header(_) => "a header's `a` and `A` are different keys, and `%41` stays as it is",
            KeySource::Cookie(_) => "a cookie's `a` and `A` are different keys, and `%41` stays as it is",
        };
        if !differ.contains(&how) {
            differ.push(how);
        }
    }
    if path && query {
        differ.push("`a+b` in a path is another key than `a+b` in a query");
    }
    if differ.is_empty() {
        return;
    }
    let what = "keys are compared byte by byte, after one decoding".to_string();
    let why = format!(
        "clients that spell a key differently go to different places: {}",
        differ.join("; ")
    );
    let advice = "keys that have one spelling: lower case, digits and `-`, as digests in hex have";
    found.push(Finding::new(KeySpelling, Note, &place(subject, "obj"), what, why).instead(advice));
}
