//! What is counted, and how Prometheus reads it.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

/// Labels: names and values that come from enums and the configuration alone.
pub type Labels = Vec<(&'static str, String)>;

/// A figure: its name, its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of the metric.
    pub name: &'static str,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: u64,
}

/// The name of a counter, and its labels.
type Counter = (&'static str, Vec<(&'static str, &'static str)>);

/// The counters.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<Counter, u64>>);

impl Counters {
    /// Counts one.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &'static str)]) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry((name, labels.to_vec())).or_insert(0);
        *counter = counter.saturating_add(1);
    }

    /// Returns all counters.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let figure = |((name, labels), value): (&Counter, &u64)| Figure {
            name,
            labels: labels
                .iter()
                .map(|(label, value)| (*label, (*value).to_owned()))
                .collect(),
            value: *value,
        };
        counters.iter().map(figure).collect()
    }
}

/// Writes figures as Prometheus reads them. A name that ends in `_total` is a counter's.
#[must_use]
pub fn exposition(mut figures: Vec<Figure>) -> String {
    figures.sort_by(|one, other| (one.name, &one.labels).cmp(&(other.name, &other.labels)));
    let mut text = String::new();
    let mut last = "";
    for figure in &figures {
        if figure.name != last {
            let kind = if figure.name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            let _ = writeln!(text, "# TYPE {} {kind}", figure.name);
            last = figure.name;
        }
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let pairs = figure
            .labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)));
        let labels = pairs.collect::<Vec<_>>().join(",");
        let _ = if labels.is_empty() {
            writeln!(text, "{} {}", figure.name, figure.value)
        } else {
            writeln!(text, "{}{{{labels}}} {}", figure.name, figure.value)
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_and_escaped() {
        let counters = Counters::default();
        counters.count("ssa_b_total", &[("role", "inbound")]);
        counters.count("ssa_b_total", &[("role", "inbound")]);
        let mut figures = counters.figures();
        figures.push(Figure {
            name: "ssa_a",
            labels: vec![("service", "a\"b".into())],
            value: 1,
        });
        figures.push(Figure {
            name: "ssa_c",
            labels: vec![],
            value: 0,
        });
        assert_eq!(
            exposition(figures),
            "# TYPE ssa_a gauge\nssa_a{service=\"a\\\"b\"} 1\n# TYPE ssa_b_total counter\nssa_b_total{role=\"inbound\"} \
             2\n# TYPE ssa_c gauge\nssa_c 0\n"
        );
    }
}
