//! A vector whose reads and writes by index never panic.

use alloc::vec;
use alloc::vec::Vec;

/// No endpoint: of a slice that is unassigned, or whose endpoint no longer exists or is drained. Also no domain.
pub(crate) const UNASSIGNED: usize = usize::MAX;

/// The value that a table returns for an index out of range.
pub(crate) trait Sentinel {
    /// A value that no endpoint, slice or domain has.
    const SENTINEL: Self;
}

impl Sentinel for usize {
    const SENTINEL: Self = UNASSIGNED;
}

impl Sentinel for i64 {
    const SENTINEL: Self = Self::MAX;
}

impl Sentinel for u8 {
    const SENTINEL: Self = Self::MAX;
}

impl Sentinel for bool {
    const SENTINEL: Self = false;
}

/// Holds one value for every slice, endpoint or domain.
///
/// The planner only reads indexes in range, which builds with debug assertions check. In others, a read out of range
/// returns [`Sentinel::SENTINEL`], so that nothing falls to the first endpoint. A write out of range, such as for
/// [`UNASSIGNED`], is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Table<T>(Vec<T>);

impl<T: Copy + Sentinel> Table<T> {
    pub(crate) fn filled(len: usize, value: T) -> Self {
        Self(vec![value; len])
    }

    pub(crate) fn at(&self, position: usize) -> T {
        debug_assert!(position < self.0.len(), "position {position} of {}", self.0.len());
        self.or_sentinel(position)
    }

    fn or_sentinel(&self, position: usize) -> T {
        self.0.get(position).copied().unwrap_or(T::SENTINEL)
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
    fn an_index_out_of_range_is_unassigned() {
        assert_eq!(Table::<usize>::default().or_sentinel(0), UNASSIGNED);
        assert_eq!(Table::filled(3, 0_usize).or_sentinel(3), UNASSIGNED);
        assert_eq!(Table::filled(3, 0_usize).or_sentinel(2), 0);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "position 3 of 3"]
    fn a_read_out_of_range_fails_in_debug_builds() {
        Table::filled(3, 0_usize).at(3);
    }

    #[test]
    fn a_write_out_of_range_is_ignored() {
        let mut table = Table::filled(3, 0_usize);
        table.set(UNASSIGNED, 1);
        table.update(3, |_| 1);
        assert_eq!(table, Table::filled(3, 0));
    }
}
