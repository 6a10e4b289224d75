//! Free lists of blocks of slices, as a buddy allocator has them.

use alloc::vec::Vec;

use crate::space::Block;

/// Blocks by the order that can be allocated from them.
///
/// Each block has a tag that belongs to the caller. A block is in the list of a lower order than its own if only a part
/// of it may be allocated.
#[derive(Debug)]
pub(crate) struct FreeLists<T> {
    lists: Vec<Vec<(Block, T)>>,
}

impl<T: Copy> FreeLists<T> {
    pub(crate) fn new(greatest: u8) -> Self {
        Self {
            lists: (0..=greatest).map(|_| Vec::new()).collect(),
        }
    }

    pub(crate) fn push(&mut self, order: u8, block: Block, tag: T) {
        if let Some(list) = self.lists.get_mut(usize::from(order)) {
            list.push((block, tag));
        }
    }

    /// Returns the block `depth` below the top of a list.
    pub(crate) fn peek(&self, order: u8, depth: usize) -> Option<(Block, T)> {
        let blocks = self.lists.get(usize::from(order))?;
        blocks.get(blocks.len().checked_sub(depth + 1)?).copied()
    }

    /// Removes the block `depth` below the top of a list, and preserves the order of the others.
    pub(crate) fn take(&mut self, order: u8, depth: usize) -> Option<(Block, T)> {
        let blocks = self.lists.get_mut(usize::from(order))?;
        let position = blocks.len().checked_sub(depth + 1)?;
        Some(blocks.remove(position))
    }
}

/// Splits a block around one part of it, and yields the buddies that remain, the largest first.
pub(crate) fn remainder(block: Block, part: Block) -> impl Iterator<Item = Block> {
    (part.order..block.order).rev().map(move |order| {
        // Of the two buddies at this order, the one without the part.
        let with_part = (part.start >> order) << order;
        Block {
            start: with_part ^ (1 << order),
            order,
        }
    })
}
