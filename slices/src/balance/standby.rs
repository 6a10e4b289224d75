//! Who stands by for what.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::{Endpoint, EndpointId};

/// A prefix that one endpoint announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its owner.
    pub owner: EndpointId,
    /// How many slices it has.
    pub slices: usize,
    /// Who stands by for it now.
    pub standby: Option<EndpointId>,
}

/// Chooses who stands by for each block: another endpoint than its owner, of another domain where there is one.
///
/// A standby that is still good stays. The others go to whoever stands by for the fewest slices relative to its weight, so
/// that what a lost endpoint had falls to many. Endpoints without weight stand by for nothing. `None` where there is
/// nobody else.
#[must_use]
pub fn standbys(blocks: &[Block], endpoints: &[Endpoint]) -> Vec<Option<EndpointId>> {
    let able = |one: EndpointId| endpoints.get(one.index()).filter(|endpoint| endpoint.weight > 0);
    let apart = |one: EndpointId, owner: EndpointId| {
        let domain = |one: EndpointId| endpoints.get(one.index()).and_then(|endpoint| endpoint.domain);
        one != owner && (domain(one).is_none() || domain(one) != domain(owner))
    };
    let mut slices: Vec<usize> = endpoints.iter().map(|_| 0).collect();
    let add = |slices: &mut Vec<usize>, one: EndpointId, count: usize| {
        if let Some(total) = slices.get_mut(one.index()) {
            *total += count;
        }
    };
    let kept: Vec<Option<EndpointId>> = blocks
        .iter()
        .map(|block| {
            let standby = block.standby?;
            (able(standby).is_some() && apart(standby, block.owner)).then_some(standby)
        })
        .collect();
    for (block, standby) in blocks.iter().zip(&kept) {
        if let Some(standby) = standby {
            add(&mut slices, *standby, block.slices);
        }
    }
    // Slices per weight, in 2^-32, so that the least comes first.
    let rank = |slices: &[usize], one: EndpointId| {
        let weight = u64::from(able(one).map_or(1, |endpoint| endpoint.weight));
        let count = slices.get(one.index()).copied().unwrap_or(0);
        u128::try_from(count).unwrap_or(u128::MAX).saturating_mul(1 << 32) / u128::from(weight)
    };
    let all = (0..endpoints.len())
        .map(EndpointId::at)
        .filter(|one| able(*one).is_some());
    let mut queue: BTreeSet<(u128, EndpointId)> = all.map(|one| (rank(&slices, one), one)).collect();
    let choose = |(block, kept): (&Block, Option<EndpointId>)| {
        if kept.is_some() {
            return kept;
        }
        let others = || queue.iter().copied().filter(|(_, one)| *one != block.owner);
        // Failing another domain, whoever stood by goes on.
        let standing = others().find(|(_, one)| Some(*one) == block.standby);
        let chosen = others()
            .find(|(_, one)| apart(*one, block.owner))
            .or(standing)
            .or_else(|| others().next())?;
        queue.remove(&chosen);
        add(&mut slices, chosen.1, block.slices);
        queue.insert((rank(&slices, chosen.1), chosen.1));
        Some(chosen.1)
    };
    blocks.iter().zip(kept).map(choose).collect()
}
