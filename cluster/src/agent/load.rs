//! Load: by what the kernel counts it, and what an endpoint says of it.
//!
//! The kernel counts all the time, and is asked when somebody asks the agent: at most once in [`FRESH`], however often that
//! is. Rates are those of about the last [`INTERVAL`], whoever asked meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::Ipv6Net;
use ssa_slices::handover::Map;
use tokio::time::Instant;

use crate::http::Page;
use crate::kernel::{Counted, Grains, Kernel};
use crate::load::{INTERVAL, LoadReport, MAX_PREFIXES, PrefixLoad};
use crate::objects::Prefix;

/// How old an answer of the kernel may be that is used again.
const FRESH: Duration = Duration::from_secs(1);
/// The most slices that are counted by their parts, and the most prefixes that tell sets apart.
const MOST: usize = 1024;

/// One slice set, as far as load is counted by it.
pub(super) struct OfSet<'a> {
    /// The length of a slice, if the map says it.
    pub(super) slice_length: Option<u8>,
    pub(super) map: &'a Map,
    /// What of it is this endpoint's, or about to be.
    pub(super) mine: BTreeSet<Ipv6Net>,
}

/// Returns by what load is counted: each slice, and the parts of those that are split. While slices move it stays the same.
pub(super) fn grains(sets: &[OfSet<'_>]) -> Grains {
    let length = |set: &OfSet<'_>| {
        let longest = set.map.owned().map(|(prefix, _)| prefix.prefix_len()).max();
        set.slice_length.or(longest)
    };
    let lengths: BTreeSet<u8> = sets.iter().filter_map(length).collect();
    let mut grains = Grains::default();
    for set in sets {
        let Some(length) = length(set) else { continue };
        let mut within = Vec::new();
        // Where all sets are cut alike there is nothing to tell apart.
        if lengths.len() > 1 {
            let all = set.map.owned().map(|(prefix, _)| prefix).collect();
            within = Ipv6Net::aggregate(&all);
        }
        grains.add(length, within.into_iter().take(MOST));
        let mut split: BTreeMap<Ipv6Net, u8> = BTreeMap::new();
        for part in set.mine.iter().filter(|prefix| prefix.prefix_len() > length) {
            if let Ok(slice) = Ipv6Net::new(part.network(), length) {
                let longest = split.entry(slice.trunc()).or_default();
                *longest = (*longest).max(part.prefix_len());
            }
        }
        for (slice, longest) in split.into_iter().take(MOST) {
            grains.add(longest, [slice]);
        }
    }
    grains
}

/// What the agent knows of what is counted.
#[derive(Debug)]
struct Known {
    grains: Grains,
    /// What is this endpoint's, as it was told, and without what lies in something else.
    told: BTreeSet<Ipv6Net>,
    mine: Arc<BTreeSet<Ipv6Net>>,
    /// How often counting has begun anew, and when it last did.
    run: u64,
    since: Instant,
    /// Why nothing is counted.
    fault: Option<String>,
}

/// What the kernel had counted at a moment.
type Seen = (Instant, Arc<BTreeMap<Ipv6Addr, Counted>>);

/// What the kernel had counted at some moments, the last one at the end.
#[derive(Debug, Default)]
struct History {
    run: u64,
    seen: VecDeque<Seen>,
}

/// Measures the load of an endpoint.
#[derive(Debug)]
pub(super) struct Meter {
    known: Mutex<Known>,
    history: tokio::sync::Mutex<History>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::new(Known {
                grains: Grains::default(),
                told: BTreeSet::new(),
                mine: Arc::default(),
                run: 0,
                since: Instant::now(),
                fault: None,
            }),
            history: tokio::sync::Mutex::default(),
        }
    }

    /// Takes what is counted now; `begun` says whether that began anew just now, or why nothing is.
    pub(super) fn note(&self, grains: &Grains, mine: BTreeSet<Ipv6Net>, begun: Result<bool, String>) {
        let mut known = self.known();
        if begun == Ok(true) {
            (known.run, known.since) = (known.run.wrapping_add(1), Instant::now());
        }
        if known.grains != *grains {
            known.grains = grains.clone();
        }
        if known.told != mine {
            let apart = Ipv6Net::aggregate(&mine.iter().copied().collect());
            (known.told, known.mine) = (mine, Arc::new(apart.into_iter().collect()));
        }
        known.fault = begun.err();
    }

    /// Makes the page that tells the load.
    pub(super) async fn page(&self) -> Page {
        match self.report().await {
            Ok(report) => match serde_json::to_value(report) {
                Ok(report) => Page::json(200, &report),
                Err(error) => Page::text(500, format!("{error}\n")),
            },
            Err(why) => Page::text(503, format!("load is not counted: {why}\n")),
        }
    }

    async fn report(&self) -> Result<LoadReport, String> {
        // Those who ask at once wait for one answer of the kernel.
        let mut history = self.history.lock().await;
        let (grains, mine, run, since) = {
            let known = self.known();
            if let Some(fault) = &known.fault {
                return Err(fault.clone());
            }
            (known.grains.clone(), Arc::clone(&known.mine), known.run, known.since)
        };
        if grains.is_empty() {
            return Ok(LoadReport::default());
        }
        if history.is_due(run, since, Instant::now()) {
            let counted = tokio::task::spawn_blocking(Kernel::counted).await;
            let counted = counted
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
            history.note(Instant::now(), counted);
        }
        Ok(history.report(&grains, &mine))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Says whether the kernel is to be asked. Counters that have begun anew since are at 0 at that moment.
    fn is_due(&mut self, run: u64, since: Instant, now: Instant) -> bool {
        if self.run != run || self.seen.is_empty() {
            self.run = run;
            self.seen = [(since, Arc::default())].into();
            return true;
        }
        let last = self.seen.back().map(|(at, _)| now.saturating_duration_since(*at));
        self.seen.len() < 2 || last.is_none_or(|last| last >= FRESH)
    }

    /// Notes what was counted by now, and forgets what is older than it has to be.
    fn note(&mut self, now: Instant, counted: BTreeMap<Ipv6Addr, Counted>) {
        self.seen.push_back((now, Arc::new(counted)));
        let age = |seen: Option<&Seen>| seen.map(|(at, _)| now.saturating_duration_since(*at));
        // The leader asks once in an interval, more or less.
        while age(self.seen.get(1)).is_some_and(|age| age > INTERVAL * 4 / 5) && self.seen.len() > 2 {
            self.seen.pop_front();
        }
    }

    /// Tells the rates between the first and the last moment, of what is this endpoint's.
    fn report(&self, grains: &Grains, mine: &BTreeSet<Ipv6Net>) -> LoadReport {
        let (Some((from, before)), Some((to, after))) = (self.seen.front(), self.seen.back()) else {
            return LoadReport::default();
        };
        // After a moment a single flow would be many a second.
        let seconds = to.saturating_duration_since(*from).max(FRESH).as_secs_f64();
        let mut loads: BTreeMap<Ipv6Net, Counted> = BTreeMap::new();
        for (address, now) in after.iter() {
            let prefix = grains.of(*address).filter(|prefix| is_in(mine, *prefix));
            let Some(prefix) = prefix else { continue };
            let before = before.get(address).copied().unwrap_or_default();
            let load = loads.entry(prefix).or_default();
            load.flows += since(before.flows, now.flows);
            load.bytes += since(before.bytes, now.bytes);
        }
        loads.retain(|_, load| *load != Counted::default());
        while loads.len() > MAX_PREFIXES {
            loads = shorter(&loads);
        }
        let prefixes = loads.into_iter().map(|(prefix, load)| PrefixLoad {
            prefix: Prefix::new(prefix),
            new_flows: rate(load.flows, seconds),
            bytes: rate(load.bytes, seconds),
        });
        LoadReport {
            prefixes: prefixes.collect(),
        }
    }
}

/// What came since; one that was forgotten began again at 0.
fn since(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^53, or not to be told from what is near"
)]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Says whether a prefix is in one of some that do not overlap, or has one of them in it.
fn is_in(all: &BTreeSet<Ipv6Net>, prefix: Ipv6Net) -> bool {
    let around = all.range(..=prefix).next_back();
    let within = all.range(prefix..).next();
    around.is_some_and(|one| one.contains(&prefix)) || within.is_some_and(|one| prefix.contains(one))
}

/// Adds loads up by prefixes that are one bit shorter than the longest of these.
fn shorter(loads: &BTreeMap<Ipv6Net, Counted>) -> BTreeMap<Ipv6Net, Counted> {
    let longest = loads.keys().map(Ipv6Net::prefix_len).max().unwrap_or(0);
    let mut added: BTreeMap<Ipv6Net, Counted> = BTreeMap::new();
    for (prefix, load) in loads {
        let is_longest = prefix.prefix_len() == longest;
        let prefix = prefix.supernet().filter(|_| is_longest).unwrap_or(*prefix);
        let total = added.entry(prefix).or_default();
        total.flows += load.flows;
        total.bytes += load.bytes;
    }
    added
}

#[cfg(test)]
mod tests {
    use ssa_slices::handover::{EndpointName, Epoch, Ownership};

    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().expect("a prefix")
    }

    fn map(owned: &[&str]) -> Map {
        let name = EndpointName::new("a").expect("a name");
        let owned = owned.iter().map(|prefix| (net(prefix), name.clone()));
        Map::new(Epoch::new(1), Ownership::Available, owned, []).expect("a map")
    }

    fn counted(all: &[(&str, u64, u64)]) -> BTreeMap<Ipv6Addr, Counted> {
        let counted = |&(address, flows, bytes): &(&str, u64, u64)| {
            (address.parse().expect("an address"), Counted { flows, bytes })
        };
        all.iter().map(counted).collect()
    }

    /// The load of prefixes, in whole numbers a second.
    fn told(report: &LoadReport) -> Vec<(String, u64, u64)> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and positive"
        )]
        let whole = |rate: f64| rate.round() as u64;
        let one = |one: &PrefixLoad| (one.prefix.to_string(), whole(one.new_flows), whole(one.bytes));
        report.prefixes.iter().map(one).collect()
    }

    #[test]
    fn load_is_counted_by_slices_and_by_the_parts_of_those_that_are_split() {
        let (one, other) = (
            map(&["2001:db8::/65", "2001:db8:0:0:8000::/65"]),
            map(&["2001:db9::/64"]),
        );
        let set = |map, mine: &[&str]| OfSet {
            slice_length: Some(68),
            map,
            mine: mine.iter().map(|prefix| net(prefix)).collect(),
        };
        let by = |grains: &Grains, address: &str| {
            let found = grains.of(address.parse().expect("an address"));
            found.map(|prefix| prefix.to_string()).unwrap_or_default()
        };
        let grains_of = grains(&[set(&one, &["2001:db8::/65"]), set(&other, &[])]);
        assert_eq!(by(&grains_of, "2001:db8:0:0:ffff::"), "2001:db8:0:0:f000::/68");
        // A slice of another endpoint is counted by itself, whatever its parts are there.
        let parts = ["2001:db8:0:0:1000::/69", "2001:db8:0:0:1c00::/70"];
        let split = grains(&[set(&one, &parts)]);
        assert_eq!(by(&split, "2001:db8:0:0:1fff::"), "2001:db8:0:0:1c00::/70");
        assert_eq!(by(&split, "2001:db8:0:0:2fff::"), "2001:db8:0:0:2000::/68");
        let several = grains(&[
            set(&one, &[]),
            OfSet {
                slice_length: Some(72),
                ..set(&other, &[])
            },
        ]);
        assert_eq!(by(&several, "2001:db9:0:0:ffff::"), "2001:db9:0:0:ff00::/72");
        assert_eq!(by(&several, "2001:db8:0:0:ffff::"), "2001:db8:0:0:f000::/68");
        assert_eq!(by(&several, "2001:dba::"), "", "it is of no set");
    }

    #[test]
    fn rates_are_those_of_the_last_interval_whoever_asks_in_between() {
        let mut grains = Grains::default();
        grains.add(66, []);
        let mine = [net("2001:db8::/65")].into();
        let (mut history, begun) = (History::default(), Instant::now());
        assert!(history.is_due(1, begun, begun));
        history.note(begun, BTreeMap::new());
        for second in 1..=30_u64 {
            let now = begun + Duration::from_secs(second);
            assert!(history.is_due(1, begun, now));
            // The second slice gets all of its load in second 15, and what is another's is not told.
            let burst = if second >= 15 { 100 } else { 0 };
            let all = [
                ("2001:db8::", 7 * second, 70 * second),
                ("2001:db8:0:0:4000::", burst, 0),
                ("2001:db9::", second, 9),
            ];
            history.note(now, counted(&all));
            assert!(!history.is_due(1, begun, now + FRESH / 2), "it was asked just now");
            assert!(history.seen.len() <= 11, "{}", history.seen.len());
            let told = told(&history.report(&grains, &mine));
            assert_eq!(told[0], ("2001:db8::/66".to_owned(), 7, 70), "second {second}");
            assert_eq!(told.len() == 2, (15..24).contains(&second), "second {second}: {told:?}");
        }
        // Counting begins anew: nothing of before counts, and a flow in the first moment is not many a second.
        let anew = begun + Duration::from_secs(31);
        assert!(history.is_due(2, anew, anew));
        history.note(anew + FRESH / 10, counted(&[("2001:db8::", 5, 0)]));
        assert_eq!(
            told(&history.report(&grains, &mine)),
            [("2001:db8::/66".to_owned(), 5, 0)]
        );
    }

    #[test]
    fn what_the_kernel_has_forgotten_begins_again_at_0() {
        let mut grains = Grains::default();
        grains.add(66, []);
        let begun = Instant::now();
        let mut history = History::default();
        history.is_due(1, begun, begun);
        history.note(begun + FRESH, counted(&[("2001:db8::", 1000, 0)]));
        history.seen.pop_front();
        history.note(begun + FRESH * 2, counted(&[("2001:db8::", 3, 0)]));
        let told = told(&history.report(&grains, &[net("2001:db8::/64")].into()));
        assert_eq!(told, [("2001:db8::/66".to_owned(), 3, 0)]);
    }

    #[test]
    fn a_report_has_as_many_prefixes_as_it_may_have() {
        let mut grains = Grains::default();
        grains.add(80, []);
        let all = (0..=MAX_PREFIXES).map(|number| {
            let address = 0x2001_0db8_u128 << 96 | u128::try_from(number).expect("small") << 48;
            (Ipv6Addr::from(address), Counted { flows: 1, bytes: 0 })
        });
        let begun = Instant::now();
        let mut history = History::default();
        history.is_due(1, begun, begun);
        history.note(begun, all.collect());
        let report = history.report(&grains, &[net("2001:db8::/32")].into());
        assert_eq!(report.prefixes.len(), MAX_PREFIXES / 2 + 1);
        assert_eq!(report.prefixes[0].prefix.to_string(), "2001:db8::/79");
        let text = serde_json::to_string(&report).expect("JSON");
        assert_eq!(LoadReport::read(text.as_bytes()), Ok(report));
    }
}
