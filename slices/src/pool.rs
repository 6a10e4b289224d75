//! Blocks of slices that wait to be handed out.

use alloc::vec::Vec;

use crate::space::Block;

/// Keeps blocks by the order that can be taken from them.
///
/// Each block has a tag, for its user; a block may lie under a lower order than its own where not all of it may be taken.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    shelves: Vec<Vec<(Block, T)>>,
}

impl<T: Copy> Pool<T> {
    pub(crate) fn new(greatest: u8) -> Self {
        Self {
            shelves: (0..=greatest).map(|_| Vec::new()).collect(),
        }
    }

    pub(crate) fn put(&mut self, order: u8, block: Block, tag: T) {
        if let Some(shelf) = self.shelves.get_mut(usize::from(order)) {
            shelf.push((block, tag));
        }
    }

    /// Looks at the block `depth` below the top of a shelf.
    pub(crate) fn peek(&self, order: u8, depth: usize) -> Option<(Block, T)> {
        let blocks = self.shelves.get(usize::from(order))?;
        blocks.get(blocks.len().checked_sub(depth + 1)?).copied()
    }

    /// Takes away the block `depth` below the top of a shelf, leaving the others in their order.
    pub(crate) fn take(&mut self, order: u8, depth: usize) -> Option<(Block, T)> {
        let blocks = self.shelves.get_mut(usize::from(order))?;
        let position = blocks.len().checked_sub(depth + 1)?;
        Some(blocks.remove(position))
    }
}

/// Splits a block around one part of it; yields what remains, the largest first.
pub(crate) fn around_part(block: Block, part: Block) -> impl Iterator<Item = Block> {
    (part.order..block.order).rev().map(move |order| {
        // Of the two halves at this order within the block of the next, the one without the part.
        let with_part = (part.start >> order) << order;
        Block {
            start: with_part ^ (1 << order),
            order,
        }
    })
}
