//! Lookups: sorted entries of a configuration, names, and a map of the proxy's numbers.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::{BinaryHeap, HashMap};

use ssa_rules::hash::siphash24;

/// A map by the proxy's numbers, which ascend.
pub(crate) type Numbers<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// A hash of numbers that spreads consecutive ones over a table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32((*byte).into());
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Entries in ascending order. All lookups share this type, and so the module has one sort.
#[derive(Clone, Debug, Default)]
pub struct Index(Vec<(u128, u64)>);

impl Index {
    /// Makes an index; entries may have equal keys.
    #[must_use]
    pub fn new(entries: impl Iterator<Item = (u128, u64)>) -> Self {
        // Unlike a sort, a heap has no code that panics.
        let mut heap = BinaryHeap::new();
        for entry in entries {
            heap.push(entry);
        }
        Self(heap.into_sorted_vec())
    }

    /// Returns the entries, ascending.
    #[must_use]
    pub fn entries(&self) -> &[(u128, u64)] {
        &self.0
    }

    /// Returns the least number of a key.
    #[must_use]
    pub fn get(&self, key: u128) -> Option<u64> {
        self.all(key).next()
    }

    /// Returns the numbers of a key, ascending.
    pub fn all(&self, key: u128) -> impl Iterator<Item = u64> {
        let place = self.0.partition_point(|(known, _)| *known < key);
        let entries = self.0.get(place..).unwrap_or_default().iter();
        entries
            .take_while(move |(known, _)| *known == key)
            .map(|(_, number)| *number)
    }

    /// Returns the last entry whose key is not above this one.
    #[must_use]
    pub fn at_or_below(&self, key: u128) -> Option<(u128, u64)> {
        let next = self.0.partition_point(|(known, _)| *known <= key);
        self.0.get(next.checked_sub(1)?).copied()
    }
}

/// Names, each found by its hash. Names are the operator's: no client chooses them.
pub(crate) struct NameIndex<'a> {
    names: Vec<&'a str>,
    hashes: Index,
}

impl<'a> NameIndex<'a> {
    pub(crate) fn new(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        let hashes = names.iter().enumerate();
        let hashes = Index::new(hashes.map(|(place, name)| (hash(name), number(place))));
        Self { names, hashes }
    }

    /// Returns the first place of a name.
    pub(crate) fn get(&self, name: &str) -> Option<usize> {
        let mut places = self.hashes.all(hash(name)).map(service);
        places.find(|place| self.names.get(*place) == Some(&name))
    }
}

fn hash(name: &str) -> u128 {
    siphash24(&[0; 16], name.as_bytes()).into()
}

/// Returns a service's number as a number of an index.
pub(crate) fn number(service: usize) -> u64 {
    u64::try_from(service).unwrap_or(u64::MAX)
}

/// Returns a number of an index as a service's number.
pub(crate) fn service(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_at_their_first_place() {
        let names = NameIndex::new(["b", "a", "b", ""].into_iter());
        assert_eq!(
            ["a", "b", "", "c"].map(|name| names.get(name)),
            [Some(1), Some(0), Some(3), None]
        );
    }

    #[test]
    fn entries_are_found_by_their_key() {
        let index = Index::new([(7, 3), (7, 1), (5, 2)].into_iter());
        assert_eq!(
            [index.get(4), index.get(5), index.get(6), index.get(7)],
            [None, Some(2), None, Some(1)]
        );
        assert_eq!(
            [4, 6, 7, 8].map(|key| index.at_or_below(key)),
            [None, Some((5, 2)), Some((7, 3)), Some((7, 3))]
        );
    }
}
