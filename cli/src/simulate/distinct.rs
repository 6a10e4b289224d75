//! Counting distinct addresses in bounded memory.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use crate::random::{GOLDEN, mix};

/// The most numbers kept: up to here the count is exact, past it within about 0.3 %.
const KEPT: usize = 1 << 20;

/// Counts distinct addresses by adaptive sampling (Flajolet 1990): where the set grows too large, only hashes that
/// start with one more zero bit are kept, and each stands for twice as many.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    hashes: HashSet<u64, BuildHasherDefault<Mixed>>,
    zeros: u32,
    kept: usize,
}

/// A hasher for numbers that are mixed already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| mix(hash ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // The leading zeros that sampling asks for must not crowd the table's buckets.
        self.0 = number.wrapping_mul(GOLDEN);
    }
}

impl Default for Distinct {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Distinct {
    fn keeping(kept: usize) -> Self {
        Self {
            hashes: HashSet::default(),
            zeros: 0,
            kept,
        }
    }

    /// Counts an address.
    pub(crate) fn add(&mut self, address: u128) {
        let low = u64::try_from(address & u128::from(u64::MAX)).unwrap_or(0);
        let high = u64::try_from(address >> 64).unwrap_or(0);
        self.add_hash(mix(low ^ mix(high.wrapping_add(GOLDEN))));
    }

    fn add_hash(&mut self, hash: u64) {
        if hash.leading_zeros() >= self.zeros && self.hashes.insert(hash) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        while self.hashes.len() > self.kept {
            self.zeros += 1;
            let zeros = self.zeros;
            self.hashes.retain(|hash| hash.leading_zeros() >= zeros);
        }
    }

    /// Counts what another counted too.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.zeros > self.zeros {
            self.zeros = other.zeros;
            self.hashes.retain(|hash| hash.leading_zeros() >= other.zeros);
        }
        other.hashes.iter().for_each(|hash| self.add_hash(*hash));
    }

    /// Returns the number of distinct addresses, and whether it is exact.
    pub(crate) fn count(&self) -> (u64, bool) {
        let kept = u64::try_from(self.hashes.len()).unwrap_or(u64::MAX);
        (
            kept.saturating_mul(1_u64.checked_shl(self.zeros).unwrap_or(u64::MAX)),
            self.zeros == 0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_counted_exactly() {
        let mut distinct = Distinct::default();
        (0..5000_u128).for_each(|address| distinct.add(address % 1000));
        assert_eq!(distinct.count(), (1000, true));
    }

    #[test]
    fn many_are_estimated_and_order_does_not_matter() {
        let mut parts = [Distinct::keeping(4096), Distinct::keeping(4096)];
        let mut whole = Distinct::keeping(4096);
        for address in 0..200_000_u128 {
            parts[usize::from(address % 3 == 0)].add(address << 40);
            whole.add(address << 40);
        }
        let (count, exact) = whole.count();
        assert!(!exact && (180_000..220_000).contains(&count), "{count}");
        let [mut first, second] = parts;
        first.merge(&second);
        assert_eq!(first.count(), whole.count());
    }
}
