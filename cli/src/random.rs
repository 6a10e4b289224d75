//! Random bits: the operating system's, or reproducible ones of a seed.

use crate::failure::Failure;

/// A source of random bits.
pub(crate) enum Random {
    /// The operating system's, drawn in blocks.
    System {
        /// What is drawn.
        block: Box<[u8; 512]>,
        /// How much of it is used, in bytes.
        used: usize,
    },
    /// `SplitMix64`: good enough for trying things out, and the same everywhere.
    Seeded(u64),
}

impl Random {
    /// Takes a seed, or draws from the operating system where there is none.
    pub(crate) fn new(seed: Option<u64>) -> Result<Self, Failure> {
        if let Some(seed) = seed {
            return Ok(Self::Seeded(seed));
        }
        let mut block = Box::new([0; 512]);
        let drawn = getrandom::fill(block.as_mut_slice());
        drawn.map_err(|error| Failure::input("random bits of the system", error))?;
        Ok(Self::System { block, used: 0 })
    }

    /// Returns 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        match self {
            Self::Seeded(state) => split_mix(state),
            Self::System { block, used } => {
                // A system that gave random bits once and then fails: what was drawn serves as a seed.
                if *used >= block.len() && getrandom::fill(block.as_mut_slice()).is_err() {
                    let mut state = u64::from_ne_bytes(*block.first_chunk().unwrap_or(&[0; 8]));
                    for chunk in block.chunks_exact_mut(8) {
                        chunk.copy_from_slice(&split_mix(&mut state).to_ne_bytes());
                    }
                }
                *used %= block.len();
                let bits = block
                    .get(*used..)
                    .and_then(|rest| rest.first_chunk())
                    .copied()
                    .unwrap_or_default();
                *used += 8;
                u64::from_ne_bytes(bits)
            }
        }
    }

    /// Returns a number below `bound`, which is not 0. The bias is below 2⁻⁵⁶ for bounds up to 256.
    pub(crate) fn below(&mut self, bound: u8) -> u8 {
        let product = u128::from(self.next()) * u128::from(bound);
        u8::try_from(product >> 64).unwrap_or(0)
    }
}

/// What each number of [`split_mix`] is further than the one before.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(GOLDEN);
    mix(*state)
}

/// Mixes 64 bits, one to one.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeded_bits_are_those_of_splitmix64() {
        let mut random = Random::Seeded(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(expected, [random.next(), random.next(), random.next()]);
    }

    #[test]
    fn system_bits_outlast_a_block() {
        let Ok(mut random) = Random::new(None) else {
            panic!("no random bits")
        };
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| random.next()).collect();
        assert_eq!(drawn.len(), 200);
    }
}
