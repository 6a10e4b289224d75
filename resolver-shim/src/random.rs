//! Random numbers where an attacker gains nothing by guessing them, and random names where nobody should.

use std::fmt;

/// A small generator (xorshift64*), seeded by the system.
#[derive(Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl Random {
    /// Makes one with a seed of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below this one, and 0 below 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.bits() >> 11).checked_rem(end).unwrap_or(0)
    }
}

/// Bits of the system's randomness, which nobody can guess, fetched many at once.
#[derive(Default)]
pub struct Bits {
    block: Vec<u64>,
    /// For a system that gives none.
    spare: Random,
}

impl Bits {
    /// Returns the next 64 bits.
    pub fn draw(&mut self) -> u64 {
        if let Some(bits) = self.block.pop() {
            return bits;
        }
        let mut bytes = [0; 256];
        if getrandom::fill(&mut bytes).is_err() {
            return self.spare.bits();
        }
        let (numbers, _) = bytes.as_chunks();
        self.block.extend(numbers.iter().copied().map(u64::from_ne_bytes));
        self.block.pop().unwrap_or_default()
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bits(hidden)")
    }
}

/// Returns 16 hex digits of the system's randomness.
#[must_use]
pub fn name() -> String {
    format!("{:016x}", bits())
}

/// Returns 64 bits of the system's randomness.
#[must_use]
pub fn bits() -> u64 {
    getrandom::u64().unwrap_or_else(|_| Random::new().bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_keep_below() {
        let mut random = Random::new();
        let numbers: std::collections::HashSet<u64> = (0..1000).map(|_| random.below(50)).collect();
        assert_eq!(numbers.len(), 50);
        assert_eq!(random.below(0), 0);
        assert_ne!(name(), name());
        let mut bits = Bits::default();
        let drawn: std::collections::HashSet<u64> = (0..100).map(|_| bits.draw()).collect();
        assert_eq!(drawn.len(), 100);
    }
}
