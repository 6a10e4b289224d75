//! Metrics: what a command counts and measures, and how Prometheus reads it.
//!
//! A [`Family`] is stated once, as a constant, with its help; a [`Registry`] holds the samples. Labels are names from the
//! program and values that others may choose, such as names of slice sets, so a family has at most [`MAX_SAMPLES`] samples:
//! what comes after them is dropped, and `ssa_cluster_metrics_dropped_total` counts it.
//!
//! ```
//! use ssa_cluster::metrics::{Family, Registry};
//!
//! const ROUNDS: Family = Family::counter("ssa_cluster_example_rounds_total", "Rounds that were made.");
//!
//! let registry = Registry::default();
//! registry.add(&ROUNDS, &[("outcome", "done")], 1);
//! let lines = [
//!     "# HELP ssa_cluster_example_rounds_total Rounds that were made.",
//!     "# TYPE ssa_cluster_example_rounds_total counter",
//!     "ssa_cluster_example_rounds_total{outcome=\"done\"} 1",
//! ];
//! assert!(registry.text().lines().eq(lines));
//! ```

mod text;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The type of the text that Prometheus reads.
pub const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most samples of a family.
pub const MAX_SAMPLES: usize = 1 << 14;

/// The bounds of histograms of how long moves are in a phase, in seconds.
pub const PHASES: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// Turns a count of things into the number of a gauge.
#[must_use]
pub fn number(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

/// How many samples were dropped because a family had too many.
const DROPPED: Family = Family::counter(
    "ssa_cluster_metrics_dropped_total",
    "Samples that were dropped because a metric had too many.",
);

/// A metric: its name, what it means and how it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram(&'static [f64]),
}

impl Family {
    /// A number that only grows. Its name ends in `_total`.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counter;
        Self { name, help, kind }
    }

    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Gauge;
        Self { name, help, kind }
    }

    /// How often something had a value of at most each of these bounds, which ascend.
    #[must_use]
    pub const fn histogram(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Self {
        let kind = Kind::Histogram(bounds);
        Self { name, help, kind }
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Labels, as the program states them.
pub type Labels<'a> = [(&'static str, &'a str)];

/// Labels, as they are kept.
type Kept = Vec<(&'static str, String)>;

#[derive(Clone, Debug)]
enum Value {
    Count(u64),
    Number(f64),
    Distribution {
        /// How many were at most each bound, and above the one before.
        buckets: Vec<u64>,
        sum: f64,
        count: u64,
    },
}

#[derive(Debug)]
struct Samples {
    family: Family,
    values: BTreeMap<Kept, Value>,
}

/// What a command counts and measures. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<&'static str, Samples>>>);

impl Registry {
    /// Adds to a counter; adding nothing makes it appear.
    pub fn add(&self, family: &Family, labels: &Labels<'_>, count: u64) {
        self.update(
            family,
            labels,
            || Value::Count(0),
            |value| {
                if let Value::Count(total) = value {
                    *total = total.saturating_add(count);
                }
            },
        );
    }

    /// Sets a gauge.
    pub fn set(&self, family: &Family, labels: &Labels<'_>, number: f64) {
        let made = || Value::Number(number);
        self.update(family, labels, made, |value| *value = Value::Number(number));
    }

    /// Notes a value in a histogram.
    pub fn observe(&self, family: &Family, labels: &Labels<'_>, observed: f64) {
        let Kind::Histogram(bounds) = family.kind else { return };
        let made = || Value::Distribution {
            buckets: vec![0; bounds.len()],
            sum: 0.0,
            count: 0,
        };
        self.update(family, labels, made, |value| {
            if let Value::Distribution { buckets, sum, count } = value {
                let place = bounds.iter().position(|bound| observed <= *bound);
                if let Some(bucket) = place.and_then(|place| buckets.get_mut(place)) {
                    *bucket = bucket.saturating_add(1);
                }
                *sum += observed;
                *count = count.saturating_add(1);
            }
        });
    }

    /// Removes the samples of a family, such as before gauges of what may be gone are set again.
    pub fn clear(&self, family: &Family) {
        if let Some(samples) = self.locked().get_mut(family.name) {
            samples.values.clear();
        }
    }

    /// Writes everything in the text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        text::written(self.locked().values())
    }

    fn update(
        &self,
        family: &Family,
        labels: &Labels<'_>,
        made: impl FnOnce() -> Value,
        change: impl FnOnce(&mut Value),
    ) {
        let mut families = self.locked();
        let samples = families.entry(family.name).or_insert_with(|| Samples {
            family: *family,
            values: BTreeMap::new(),
        });
        let kept: Kept = labels
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        if samples.values.len() >= MAX_SAMPLES && !samples.values.contains_key(&kept) {
            drop(families);
            if family.name != DROPPED.name {
                self.add(&DROPPED, &[("metric", family.name)], 1);
            }
            return;
        }
        change(samples.values.entry(kept).or_insert_with(made));
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Samples>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Family = Family::histogram("ssa_test_seconds", "How long.", &[0.1, 1.0]);
    const OPEN: Family = Family::gauge("ssa_test_open", "What is open.");

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let registry = Registry::default();
        for seconds in [0.05, 0.1, 0.5, 30.0] {
            registry.observe(&SECONDS, &[("phase", "Drain")], seconds);
        }
        let wanted = "# HELP ssa_test_seconds How long.\n# TYPE ssa_test_seconds histogram\n\
            ssa_test_seconds_bucket{phase=\"Drain\",le=\"0.1\"} 2\n\
            ssa_test_seconds_bucket{phase=\"Drain\",le=\"1\"} 3\n\
            ssa_test_seconds_bucket{phase=\"Drain\",le=\"+Inf\"} 4\n\
            ssa_test_seconds_sum{phase=\"Drain\"} 30.65\n\
            ssa_test_seconds_count{phase=\"Drain\"} 4\n";
        assert_eq!(registry.text(), wanted);
    }

    #[test]
    fn values_of_labels_are_escaped_and_gauges_of_what_is_gone_go() {
        let registry = Registry::default();
        registry.set(&OPEN, &[("name", "a\"b\\c\nd")], 1.5);
        let wanted = "# HELP ssa_test_open What is open.\n# TYPE ssa_test_open gauge\n\
            ssa_test_open{name=\"a\\\"b\\\\c\\nd\"} 1.5\n";
        assert_eq!(registry.text(), wanted);
        registry.clear(&OPEN);
        registry.set(&OPEN, &[], 2.0);
        assert!(registry.text().ends_with("gauge\nssa_test_open 2\n"));
    }

    #[test]
    fn a_family_has_a_bounded_number_of_samples() {
        let registry = Registry::default();
        for number in 0..MAX_SAMPLES + 3 {
            registry.set(&OPEN, &[("name", &number.to_string())], 1.0);
        }
        registry.set(&OPEN, &[("name", "0")], 7.0);
        let text = registry.text();
        assert_eq!(text.matches("ssa_test_open{").count(), MAX_SAMPLES);
        assert!(text.contains("ssa_test_open{name=\"0\"} 7\n"));
        assert!(text.contains("ssa_cluster_metrics_dropped_total{metric=\"ssa_test_open\"} 3\n"));
    }
}
