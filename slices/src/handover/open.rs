//! Which handovers decide about a prefix.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ipnet::Ipv6Net;

use super::{EndpointName, Handover, Map, Phase, overlap};

/// A prefix of an open handover.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) prefix: Ipv6Net,
    pub(super) handover: &'a Handover,
    /// The one that this goes on [from](Handover::is_before): a prefix of its own equals or covers this one.
    pub(super) before: Option<&'a Handover>,
}

impl<'a> Part<'a> {
    /// Returns whoever has flows by the handover before that are still sent there.
    pub(super) fn first(&self) -> Option<&'a EndpointName> {
        let before = self.before.filter(|before| before.phase < Phase::Release)?;
        before.from.as_ref()
    }
}

/// The prefixes of all open handovers.
///
/// Where some overlap, the one with the greatest epoch decides, beside the one that it goes on from.
#[derive(Debug)]
pub(super) struct Open<'a> {
    /// What decides, in ascending order; none of these overlap.
    pub(super) parts: Vec<Part<'a>>,
    /// What others go on from; the same.
    pub(super) earlier: Vec<Part<'a>>,
}

impl<'a> Open<'a> {
    /// Takes open handovers, and those that the map does not know to be done.
    pub(super) fn new(map: &Map, handovers: &'a [Handover]) -> Self {
        let counts = |one: &&Handover| one.phase.is_open() || (one.phase == Phase::Done && map.epoch() < one.epoch);
        let mut open: Vec<&Handover> = handovers.iter().filter(counts).collect();
        open.sort_by_key(|one| core::cmp::Reverse(one.epoch));
        let (mut parts, mut earlier) = (BTreeMap::new(), BTreeMap::new());
        for handover in open {
            for &prefix in &handover.prefixes {
                let part = Part {
                    prefix,
                    handover,
                    before: None,
                };
                if covers_any(&earlier, prefix) {
                    continue;
                }
                if !covers_any(&parts, prefix) {
                    parts.insert(prefix, part);
                } else if goes_on_from(&mut parts, &part, map) {
                    earlier.insert(prefix, part);
                }
            }
        }
        Self {
            parts: parts.into_values().collect(),
            earlier: earlier.into_values().collect(),
        }
    }

    /// All parts: what others go on from, and then what decides.
    pub(super) fn all(&self) -> impl Iterator<Item = &Part<'a>> {
        self.earlier.iter().chain(&self.parts)
    }

    /// Those that overlap a prefix, in the same order.
    pub(super) fn overlapping(&self, prefix: Ipv6Net) -> impl Iterator<Item = &Part<'a>> {
        overlapping(&self.earlier, prefix).chain(overlapping(&self.parts, prefix))
    }
}

/// Says whether a prefix overlaps one of those that do not overlap each other.
fn covers_any<T>(parts: &BTreeMap<Ipv6Net, T>, prefix: Ipv6Net) -> bool {
    let around = parts.range(..=prefix).next_back();
    let within = parts.range(prefix..).next();
    let mut both = around.into_iter().chain(within);
    both.any(|(other, _)| overlap(prefix, *other))
}

/// Notes that all parts that overlap an earlier one go on from it, if they do.
fn goes_on_from<'a>(parts: &mut BTreeMap<Ipv6Net, Part<'a>>, earlier: &Part<'a>, map: &Map) -> bool {
    let within = |(prefix, _): &(&Ipv6Net, &Part<'_>)| earlier.prefix.contains(*prefix);
    let mut later = parts.range(earlier.prefix..).take_while(within).peekable();
    let ownership = map.ownership();
    let goes_on = |part: &Part<'_>| part.before.is_none() && earlier.handover.is_before(part.handover, ownership);
    if later.peek().is_none() || !later.all(|(_, part)| goes_on(part)) {
        return false;
    }
    let later = parts.range_mut(earlier.prefix..);
    for (_, part) in later.take_while(|(prefix, _)| earlier.prefix.contains(*prefix)) {
        part.before = Some(earlier.handover);
    }
    true
}

/// The parts that overlap a prefix; parts are in ascending order and do not overlap.
fn overlapping<'o, 'a>(parts: &'o [Part<'a>], prefix: Ipv6Net) -> impl Iterator<Item = &'o Part<'a>> {
    let start = parts.partition_point(|part| part.prefix.broadcast() < prefix.network());
    parts
        .iter()
        .skip(start)
        .take_while(move |part| overlap(part.prefix, prefix))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::{Epoch, Ownership};
    use super::*;

    fn handover(epoch: u64, from: &str, to: &str, prefix: &str, phase: Phase) -> Handover {
        let name = |text| EndpointName::new(text).expect("a name");
        Handover {
            epoch: Epoch::new(epoch),
            from: Some(name(from)),
            to: name(to),
            prefixes: [prefix.parse().expect("a prefix")].into(),
            phase,
        }
    }

    /// The parts that decide, each with the epoch of what it goes on from; then what others go on from.
    fn told(handovers: &[Handover], ownership: Ownership) -> (Vec<(u64, Option<u64>)>, Vec<u64>) {
        let map = Map::new(Epoch::new(1), ownership, [], []).expect("a map");
        let open = Open::new(&map, handovers);
        let parts = open.parts.iter();
        let parts = parts.map(|part| (part.handover.epoch.get(), part.before.map(|before| before.epoch.get())));
        let earlier = open.earlier.iter().map(|part| part.handover.epoch.get());
        (parts.collect(), earlier.collect())
    }

    const WHOLE: &str = "2001:db8::/64";
    const HALVES: [&str; 2] = ["2001:db8::/65", "2001:db8:0:0:8000::/65"];

    #[test]
    fn both_halves_go_on_from_what_drains() {
        let draining = handover(2, "a", "b", WHOLE, Phase::Drain);
        let [one, other] = HALVES;
        let first = handover(3, "b", "c", one, Phase::Arm);
        let second = handover(4, "b", "d", other, Phase::Prepare);
        let all = [draining.clone(), first.clone(), second.clone()];
        assert_eq!(
            told(&all, Ownership::Available),
            (vec![(3, Some(2)), (4, Some(2))], vec![2])
        );
        // Only one half has gone on: the other is the second's.
        assert_eq!(
            told(&[draining, first], Ownership::Available),
            (vec![(3, Some(2))], vec![2])
        );
    }

    #[test]
    fn nothing_goes_on_from_what_has_not_gone_is_fenced_or_led_elsewhere() {
        let first = handover(2, "a", "b", WHOLE, Phase::Drain);
        let later = handover(3, "b", "c", WHOLE, Phase::Arm);
        let alone = (vec![(3, None)], vec![]);
        assert_eq!(told(&[first.clone(), later.clone()], Ownership::Exclusive), alone);
        let early = Handover {
            phase: Phase::Prepare,
            ..first.clone()
        };
        assert_eq!(told(&[early, later.clone()], Ownership::Available), alone);
        for (from, to) in [("d", "c"), ("b", "a")] {
            let other = handover(3, from, to, WHOLE, Phase::Arm);
            assert_eq!(told(&[first.clone(), other], Ownership::Available), alone);
        }
        // What is turned back goes on from the same; a fourth endpoint is out of reach.
        let back = handover(4, "c", "b", WHOLE, Phase::Announce);
        assert_eq!(
            told(&[first.clone(), back], Ownership::Available),
            (vec![(4, Some(2))], vec![2])
        );
        let fourth = handover(1, "d", "a", WHOLE, Phase::Drain);
        assert_eq!(
            told(&[fourth, first, later], Ownership::Available),
            (vec![(3, Some(2))], vec![2])
        );
    }
}
