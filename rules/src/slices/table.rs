//! A vector that is read and written by position and cannot panic.

use alloc::vec;
use alloc::vec::Vec;

/// Holds one value for every slice, endpoint or domain.
///
/// The planner only asks for positions that exist. A read elsewhere would give the default value and a write
/// elsewhere would be dropped: a fault would show as a bad plan, which the tests judge, and never as a panic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table<T>(Vec<T>);

impl<T: Copy + Default> Table<T> {
    pub(super) fn filled(len: usize, value: T) -> Self {
        Self(vec![value; len])
    }

    pub(super) fn at(&self, position: usize) -> T {
        self.0.get(position).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, position: usize, value: T) {
        if let Some(slot) = self.0.get_mut(position) {
            *slot = value;
        }
    }

    pub(super) fn update(&mut self, position: usize, change: impl FnOnce(T) -> T) {
        if let Some(slot) = self.0.get_mut(position) {
            *slot = change(*slot);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.0.iter().copied()
    }
}

impl<T> FromIterator<T> for Table<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}
