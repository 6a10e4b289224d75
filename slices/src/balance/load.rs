//! A load that forgets.

/// A load, smoothed: what was measured a half-life ago counts half.
///
/// It is in any unit, such as new flows a second; it is kept in 1/256 of it.
///
/// ```
/// use ssa_slices::balance::Load;
///
/// let mut load = Load::default();
/// load.measure(1000);
/// assert_eq!(load.get(), 500);
/// load.measure(1000);
/// assert_eq!(load.get(), 750);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Load(u64);

impl Load {
    /// The greatest load that is told from greater ones.
    pub const MAX: u64 = 1 << 40;

    /// Takes a load as measured.
    #[must_use]
    pub fn new(measured: u64) -> Self {
        Self(measured.min(Self::MAX) << 8)
    }

    /// Takes what was measured in the half-life since the last time.
    pub fn measure(&mut self, measured: u64) {
        self.0 = u64::midpoint(self.0, Self::new(measured).0);
    }

    /// Gives the load in the unit it was measured in.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0 >> 8
    }
}
