//! What the tests of all crates share: random cases that are the same in every run, and hosts made of network namespaces.
//!
//! The bits are those of [`fastrand`], a generator without dependencies: a seed gives the same numbers on every platform, as
//! long as `Cargo.lock` names the same version. No test depends on the numbers themselves.

#[cfg(target_os = "linux")]
pub mod namespace;

/// A source of random cases.
///
/// ```
/// use ssa_testing::Draw;
///
/// let mut draw = Draw::seeded(7);
/// let word = draw.of(&["a", "b"]);
/// assert!(draw.below(10) < 10 && word.len() == 1);
/// assert_eq!(Draw::seeded(7).of(&["a", "b"]), word);
/// ```
#[derive(Clone, Debug)]
pub struct Draw(fastrand::Rng);

impl Draw {
    /// Makes the source of a test, which gives the same cases in every run; with `SSA_SEED=N` in the environment, others.
    ///
    /// # Panics
    ///
    /// Where `SSA_SEED` is not a number.
    #[must_use]
    pub fn new(test: u64) -> Self {
        let seed = std::env::var("SSA_SEED").map_or(0, |seed| seed.parse().expect("SSA_SEED is a number"));
        Self::seeded(test | seed << 20)
    }

    /// Makes the source that a seed stands for.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Draws 128 bits.
    pub fn wide(&mut self) -> u128 {
        self.0.u128(..)
    }

    /// Draws a number below this one, and 0 below 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end.max(1))
    }

    /// Draws an index below this length, and 0 below 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.0.usize(..length.max(1))
    }

    /// Draws a number from the lowest to the highest, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        self.0.u64(low..=high)
    }

    /// Returns true so many times in a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Returns true once in so many times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.index(count) == 0
    }

    /// Draws one of several values.
    pub fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())].clone()
    }

    /// Draws so many octets.
    pub fn octets(&mut self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        self.0.fill(&mut octets);
        octets
    }

    /// Puts a list in another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        self.0.shuffle(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_and_another_seed_others() {
        let drawn = |seed| {
            let mut draw = Draw::seeded(seed);
            (0..20).map(|_| draw.bits()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn what_is_drawn_keeps_to_its_bounds_and_reaches_them() {
        let mut draw = Draw::seeded(3);
        let numbers: std::collections::BTreeSet<u64> = (0..200).map(|_| draw.within(3, 5)).collect();
        assert_eq!(numbers, [3, 4, 5].into());
        let numbers: std::collections::BTreeSet<u64> = (0..200).map(|_| draw.below(3)).collect();
        assert_eq!(numbers, [0, 1, 2].into());
        assert!((0..200).any(|_| draw.percent(50)) && !(0..200).any(|_| draw.percent(0)));
        let mut list = [1, 2, 3, 4, 5, 6, 7, 8];
        draw.shuffle(&mut list);
        assert_ne!(list, [1, 2, 3, 4, 5, 6, 7, 8]);
        list.sort_unstable();
        assert_eq!(list, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(draw.octets(9).len(), 9);
    }
}
