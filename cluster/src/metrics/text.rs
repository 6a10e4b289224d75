//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::{Kept, Kind, Samples, Value};

pub(super) fn written<'a>(families: impl Iterator<Item = &'a Samples>) -> String {
    let mut text = String::new();
    for samples in families.filter(|samples| !samples.values.is_empty()) {
        let (name, help) = (samples.family.name, samples.family.help);
        let (kind, bounds) = match samples.family.kind {
            Kind::Counter => ("counter", &[][..]),
            Kind::Gauge => ("gauge", &[][..]),
            Kind::Histogram(bounds) => ("histogram", bounds),
        };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in &samples.values {
            let _ = match value {
                Value::Count(count) => writeln!(text, "{name}{} {count}", told(labels, None)),
                Value::Number(number) => writeln!(text, "{name}{} {number}", told(labels, None)),
                Value::Distribution { buckets, sum, count } => {
                    let mut total = 0_u64;
                    for (bound, bucket) in bounds.iter().zip(buckets) {
                        total = total.saturating_add(*bucket);
                        let le = bound.to_string();
                        let _ = writeln!(text, "{name}_bucket{} {total}", told(labels, Some(&le)));
                    }
                    let _ = writeln!(text, "{name}_bucket{} {count}", told(labels, Some("+Inf")));
                    let labels = told(labels, None);
                    writeln!(text, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}")
                }
            };
        }
    }
    text
}

fn told(labels: &Kept, le: Option<&str>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs = labels.iter().map(|(name, value)| (*name, value.as_str()));
    let pairs = pairs.chain(le.map(|le| ("le", le)));
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", pairs.join(","))
    }
}
