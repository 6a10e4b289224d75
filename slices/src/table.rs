//! A vector that is read and written by position and cannot panic.

use alloc::vec;
use alloc::vec::Vec;

/// Stands for no endpoint: a slice that is unassigned, or whose endpoint is gone or drained.
pub(crate) const NOBODY: usize = usize::MAX;

/// What a table answers for a position that it does not have.
pub(crate) trait Vacant {
    /// Nothing that is there: no endpoint, slice or domain has this value.
    const VACANT: Self;
}

impl Vacant for usize {
    const VACANT: Self = NOBODY;
}

impl Vacant for i64 {
    const VACANT: Self = Self::MAX;
}

impl Vacant for u8 {
    const VACANT: Self = Self::MAX;
}

impl Vacant for bool {
    const VACANT: Self = false;
}

/// Holds one value for every slice, endpoint or domain.
///
/// The planner only reads positions that exist, which builds with debug assertions check. In others a read elsewhere
/// gives [`Vacant::VACANT`], so that nothing falls to the first endpoint. A write elsewhere, as for [`NOBODY`], is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Table<T>(Vec<T>);

impl<T: Copy + Vacant> Table<T> {
    pub(crate) fn filled(len: usize, value: T) -> Self {
        Self(vec![value; len])
    }

    pub(crate) fn at(&self, position: usize) -> T {
        debug_assert!(position < self.0.len(), "position {position} of {}", self.0.len());
        self.or_vacant(position)
    }

    fn or_vacant(&self, position: usize) -> T {
        self.0.get(position).copied().unwrap_or(T::VACANT)
    }

    pub(crate) fn set(&mut self, position: usize, value: T) {
        self.update(position, |_| value);
    }

    pub(crate) fn update(&mut self, position: usize, change: impl FnOnce(T) -> T) {
        if let Some(slot) = self.0.get_mut(position) {
            *slot = change(*slot);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().copied()
    }
}

impl<T> FromIterator<T> for Table<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_is_not_there_is_nobodys() {
        assert_eq!(Table::<usize>::default().or_vacant(0), NOBODY);
        assert_eq!(Table::filled(3, 0_usize).or_vacant(3), NOBODY);
        assert_eq!(Table::filled(3, 0_usize).or_vacant(2), 0);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "position 3 of 3"]
    fn reading_a_position_that_is_not_there_is_a_fault() {
        Table::filled(3, 0_usize).at(3);
    }

    #[test]
    fn what_is_written_for_nobody_is_dropped() {
        let mut table = Table::filled(3, 0_usize);
        table.set(NOBODY, 1);
        table.update(3, |_| 1);
        assert_eq!(table, Table::filled(3, 0));
    }
}
