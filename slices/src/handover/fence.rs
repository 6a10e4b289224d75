//! What an endpoint refuses where ownership is exclusive.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use ipnet::Ipv6Net;

use super::open::{Open, Part};
use super::prefixes::subtract_all;
use super::routes::View;
use super::{EndpointName, Handover, Map, Ownership, Phase};

/// New flows that the kernel of one endpoint refuses, so that no two endpoints accept at once.
///
/// What it does not refuse it takes only as long as the endpoint holds its [lease](super::lease).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence {
    /// The prefix; as with routes, the longest decides.
    pub prefix: Ipv6Net,
    /// Refuses flows that come from the network.
    pub direct: bool,
    /// Refuses flows that come out of a tunnel.
    pub tunnelled: bool,
}

/// Returns what the kernel of `endpoint` refuses; nothing unless ownership is [exclusive](Ownership::Exclusive).
///
/// It is to be applied before [`routes`](super::routes()) where it refuses more than before, and after them where it
/// refuses less.
#[must_use]
pub fn fences(endpoint: &EndpointName, map: &Map, handovers: &[Handover], view: &View) -> BTreeSet<Fence> {
    if map.ownership() == Ownership::Available {
        return BTreeSet::new();
    }
    let mut fences: BTreeMap<Ipv6Net, (bool, bool)> = BTreeMap::new();
    for (prefix, _) in map.standbys().filter(|(_, standby)| *standby == endpoint) {
        fences.insert(prefix, (true, true));
    }
    for (prefix, _) in map.owned().filter(|(_, owner)| *owner == endpoint) {
        fences.insert(prefix, (view.rejoined, view.rejoined));
    }
    for Part { prefix, handover, .. } in Open::new(map, handovers).parts {
        let fence = if handover.to == *endpoint {
            match handover.phase {
                Phase::Prepare => (true, true),
                // Of a new flow that comes from the network nobody knows yet whether the old owner takes it.
                Phase::Arm => (handover.from.is_some(), false),
                _ => (false, false),
            }
        } else if handover.from.as_ref() == Some(endpoint) {
            // From Arm on it hands them over; should it know no way to the new owner, nobody takes them.
            let refuses = view.rejoined || handover.phase != Phase::Prepare;
            (refuses, refuses)
        } else if handover.phase >= Phase::Arm {
            (true, true)
        } else {
            continue;
        };
        fences.insert(prefix, fence);
    }
    let fence = |(prefix, (direct, tunnelled))| Fence {
        prefix,
        direct,
        tunnelled,
    };
    fences.into_iter().map(fence).collect()
}

/// The same as sets of prefixes that do not overlap, as a kernel looks addresses up in them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// What is fenced: new flows of it need a lease, and to be in one of the following.
    pub fenced: BTreeSet<Ipv6Net>,
    /// What of it is taken that comes from the network.
    pub direct: BTreeSet<Ipv6Net>,
    /// What of it is taken that comes out of a tunnel.
    pub tunnelled: BTreeSet<Ipv6Net>,
}

impl Admission {
    /// Resolves which fence counts for which addresses.
    #[must_use]
    pub fn of(fences: &BTreeSet<Fence>) -> Self {
        let mut admission = Self::default();
        // In ascending order a prefix comes before those within it.
        let fences: Vec<&Fence> = fences.iter().collect();
        for (number, fence) in fences.iter().enumerate() {
            if admission.fenced.last().is_none_or(|last| !last.contains(&fence.prefix)) {
                admission.fenced.insert(fence.prefix);
            }
            if fence.direct && fence.tunnelled {
                continue;
            }
            let mut within: Vec<Ipv6Net> = Vec::new();
            for inner in fences.iter().skip(number + 1).map(|inner| inner.prefix) {
                if !fence.prefix.contains(&inner) {
                    break;
                }
                if within.last().is_none_or(|last| !last.contains(&inner)) {
                    within.push(inner);
                }
            }
            let rest = subtract_all(fence.prefix, within);
            if !fence.direct {
                admission.direct.extend(rest.iter().copied());
            }
            if !fence.tunnelled {
                admission.tunnelled.extend(rest);
            }
        }
        admission
    }

    /// Returns what refuses whatever this or another refuses: what holds on the way from one to the other.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let mut fenced: BTreeSet<Ipv6Net> = BTreeSet::new();
        for prefix in self.fenced.union(&other.fenced) {
            if fenced.last().is_none_or(|last| !last.contains(prefix)) {
                fenced.insert(*prefix);
            }
        }
        Self {
            fenced,
            direct: both((&self.direct, &self.fenced), (&other.direct, &other.fenced)),
            tunnelled: both((&self.tunnelled, &self.fenced), (&other.tunnelled, &other.fenced)),
        }
    }
}

/// Returns what both take, each of what it fences or because it does not fence it.
fn both(
    one: (&BTreeSet<Ipv6Net>, &BTreeSet<Ipv6Net>),
    other: (&BTreeSet<Ipv6Net>, &BTreeSet<Ipv6Net>),
) -> BTreeSet<Ipv6Net> {
    let mut taken = BTreeSet::new();
    for ((mine, _), (theirs, fenced)) in [(one, other), (other, one)] {
        for prefix in mine {
            if covered(theirs, *prefix) {
                taken.insert(*prefix);
            } else if !covered(fenced, *prefix) {
                // The other fences parts of it at most.
                taken.extend(subtract_all(*prefix, within(fenced, *prefix)));
            }
        }
    }
    taken
}

/// Says whether a member of a set whose members do not overlap covers a prefix.
fn covered(set: &BTreeSet<Ipv6Net>, prefix: Ipv6Net) -> bool {
    set.range(..=prefix)
        .next_back()
        .is_some_and(|around| around.contains(&prefix))
}

/// Lists the members of a set that lie in a prefix.
fn within(set: &BTreeSet<Ipv6Net>, prefix: Ipv6Net) -> impl Iterator<Item = Ipv6Net> {
    set.range(prefix..)
        .take_while(move |inner| prefix.contains(*inner))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    fn fence(prefix: &str, direct: bool, tunnelled: bool) -> Fence {
        let prefix = net(prefix);
        Fence {
            prefix,
            direct,
            tunnelled,
        }
    }

    fn nets<const N: usize>(texts: [&str; N]) -> BTreeSet<Ipv6Net> {
        texts.map(net).into()
    }

    #[test]
    fn of_fences_within_each_other_the_longest_counts() {
        let fences = [
            fence("2001:db8::/64", false, false),
            fence("2001:db8:0:0:4000::/66", true, true),
            fence("2001:db8:0:0:4000::/67", true, false),
            fence("2001:db8:1::/64", true, true),
        ];
        let admission = Admission::of(&fences.into());
        assert_eq!(admission.fenced, nets(["2001:db8::/64", "2001:db8:1::/64"]));
        let rest = ["2001:db8::/66", "2001:db8:0:0:8000::/65"];
        assert_eq!(admission.direct, nets(rest));
        assert_eq!(admission.tunnelled, nets([rest[0], "2001:db8:0:0:4000::/67", rest[1]]));
    }

    #[test]
    fn on_the_way_nothing_is_taken_that_either_end_refuses() {
        let of = |fences: &[Fence]| Admission::of(&fences.iter().copied().collect());
        let none = Admission::default();
        let whole = of(&[fence("2001:db8::/64", false, false)]);
        let half = of(&[fence("2001:db8::/64", false, false), fence("2001:db8::/65", true, true)]);
        for (one, other, direct) in [
            (&none, &whole, nets(["2001:db8::/64"])),
            (&whole, &half, nets(["2001:db8:0:0:8000::/65"])),
            (
                &of(&[fence("2001:db8::/65", true, true)]),
                &whole,
                nets(["2001:db8:0:0:8000::/65"]),
            ),
            (&of(&[fence("2001:db8::/64", true, true)]), &whole, nets([])),
        ] {
            for stricter in [one.stricter(other), other.stricter(one)] {
                assert_eq!(stricter.direct, direct);
                assert_eq!(stricter.tunnelled, direct);
                assert_eq!(stricter.fenced, nets(["2001:db8::/64"]));
            }
        }
    }
}
