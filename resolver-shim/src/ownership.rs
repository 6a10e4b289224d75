//! Which service has which addresses: no two share any.

use std::{collections::BTreeMap, net::Ipv6Addr};

use ipnet::Ipv6Net;

/// Ranges of addresses, each with its owner.
#[derive(Clone, Debug, Default)]
pub struct Ownership {
    /// By first address: the last one and the owner. They do not overlap.
    ranges: BTreeMap<u128, (u128, usize)>,
}

fn range(prefix: Ipv6Net) -> (u128, u128) {
    (u128::from(prefix.network()), u128::from(prefix.broadcast()))
}

impl Ownership {
    /// Returns another than this owner who has an address of the prefix.
    #[must_use]
    pub fn other(&self, prefix: Ipv6Net, owner: usize) -> Option<usize> {
        self.others(prefix, owner).next()
    }

    /// Returns all others than this owner who have an address of the prefix, some of them more than once.
    pub fn others(&self, prefix: Ipv6Net, owner: usize) -> impl Iterator<Item = usize> {
        let (first, last) = range(prefix);
        // Prefixes nest or are apart, so whoever is met walking down is inside, around, or the end of the walk.
        let met = self.ranges.range(..=last).rev().map(|(_, range)| *range);
        let inside = met.take_while(move |(end, _)| *end >= first);
        inside.map(|(_, other)| other).filter(move |other| *other != owner)
    }

    /// Assigns an owner a prefix of which no other has anything.
    pub fn take(&mut self, prefix: Ipv6Net, owner: usize) {
        let (first, last) = range(prefix);
        let around = self.ranges.range(..=first).next_back();
        if around.is_some_and(|(_, (end, _))| *end >= last) {
            return;
        }
        let inside: Vec<u128> = self.ranges.range(first..=last).map(|(start, _)| *start).collect();
        for start in inside {
            self.ranges.remove(&start);
        }
        self.ranges.insert(first, (last, owner));
    }

    /// Returns the owner of an address.
    #[must_use]
    pub fn owner(&self, address: Ipv6Addr) -> Option<usize> {
        let address = u128::from(address);
        let (_, (end, owner)) = self.ranges.range(..=address).next_back()?;
        (*end >= address).then_some(*owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_around_inside_and_equal_are_another_s() {
        let mut ownership = Ownership::default();
        ownership.take(net("2001:db8:5::/64"), 1);
        ownership.take(net("2001:db8:7::/64"), 1);
        for taken in [
            "2001:db8:5::/64",
            "2001:db8:5::/48",
            "2001:db8:5::1/128",
            "2001:db8:4::/46",
            "::/0",
        ] {
            assert_eq!(ownership.other(net(taken), 2), Some(1), "{taken}");
            assert_eq!(ownership.other(net(taken), 1), None, "{taken}");
        }
        for free in [
            "2001:db8:6::/48",
            "2001:db8:5:1::/64",
            "2001:db8:4::/48",
            "2001:db8:8::/64",
        ] {
            assert_eq!(ownership.other(net(free), 2), None, "{free}");
        }
        assert_eq!(ownership.owner("2001:db8:5::9".parse().unwrap()), Some(1));
        assert_eq!(ownership.owner("2001:db8:5:1::".parse().unwrap()), None);
    }

    #[test]
    fn an_owner_s_ranges_merge() {
        let mut ownership = Ownership::default();
        ownership.take(net("2001:db8:5:1::/64"), 1);
        ownership.take(net("2001:db8:5::/48"), 1);
        ownership.take(net("2001:db8:5:2::/64"), 1);
        assert_eq!(ownership.ranges.len(), 1);
        assert_eq!(ownership.other(net("2001:db8:5:9::/64"), 2), Some(1));
    }

    #[test]
    fn walks_pass_over_the_own() {
        let mut ownership = Ownership::default();
        ownership.take(net("2001:db8:5:1::/64"), 2);
        ownership.take(net("2001:db8:5:2::/64"), 1);
        assert_eq!(ownership.other(net("2001:db8:5::/48"), 1), Some(2));
        ownership.take(net("2001:db8:5:3::/64"), 3);
        let others = |owner| ownership.others(net("2001:db8:5::/48"), owner).collect::<Vec<_>>();
        assert_eq!((others(1), others(9)), (vec![3, 2], vec![3, 1, 2]));
    }
}
