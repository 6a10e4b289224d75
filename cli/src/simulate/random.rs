//! Reproducible randomness: the same seed gives the same simulation.

use crate::random::{GOLDEN, mix, split_mix};

/// A generator of 64-bit numbers, `SplitMix64` (Steele, Lea and Flood 2014). It is no source of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    /// Starts the stream of this number; streams of one seed have nothing to do with each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream.wrapping_add(GOLDEN))))
    }

    /// Draws 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        split_mix(&mut self.0)
    }

    /// Draws a number below `bound`, or 0 where that is 0. The bias is below bound·2⁻⁶⁴.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// Draws 128 bits.
    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// A shuffle of the numbers of `bits` bits that needs no memory: different numbers stay different.
#[derive(Clone, Debug)]
pub(crate) struct Shuffle {
    bits: u8,
    factors: [u128; 4],
    offsets: [u128; 4],
}

impl Shuffle {
    /// Makes one of the shuffles of numbers of 0 to 128 bits.
    pub(crate) fn new(bits: u8, random: &mut Seeded) -> Self {
        let mut draw = || [random.wide(), random.wide(), random.wide(), random.wide()];
        let (factors, offsets) = (draw().map(|factor| factor | 1), draw());
        Self { bits, factors, offsets }
    }

    /// Returns where the shuffle puts a number.
    pub(crate) fn at(&self, number: u128) -> u128 {
        let mask = !u128::MAX.checked_shl(u32::from(self.bits)).unwrap_or(0);
        let half = (u32::from(self.bits) / 2).max(1);
        // An odd factor, a sum and a shifted exclusive or are each one to one modulo 2^bits.
        let rounds = self.factors.iter().zip(self.offsets);
        rounds.fold(number & mask, |number, (factor, offset)| {
            let number = number.wrapping_mul(*factor).wrapping_add(offset) & mask;
            number ^ (number >> half)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_shuffle_is_one_to_one() {
        for bits in 0..=12 {
            let shuffle = Shuffle::new(bits, &mut Seeded::new(7, u64::from(bits)));
            let places: HashSet<u128> = (0..1_u128 << bits).map(|number| shuffle.at(number)).collect();
            assert_eq!(places.len(), 1 << bits);
            assert!(places.iter().all(|place| *place < 1 << bits));
        }
    }

    #[test]
    fn a_shuffle_of_128_bits_spreads_its_leading_bits() {
        let shuffle = Shuffle::new(96, &mut Seeded::new(1, 0));
        let leading: HashSet<u128> = (0..4096).map(|number| shuffle.at(number) >> 84).collect();
        assert!(leading.len() > 2400, "{}", leading.len()); // 1 − 1/e of 4096 are 2589
    }

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |seed, stream| Seeded::new(seed, stream).next();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_eq!(Seeded::new(1, 1).below(0), 0);
    }
}
