//! Putting values in order.

use alloc::{collections::BinaryHeap, vec::Vec};

/// Returns values in ascending order. Unlike `sort`, a heap has no code for an order that contradicts itself, which
/// panics.
pub(crate) fn ascending<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().collect::<BinaryHeap<T>>().into_sorted_vec()
}
