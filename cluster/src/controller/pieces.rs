//! The slices of a set, and the parts of those that are split, as balance sees them.

use std::collections::BTreeMap;

use ipnet::Ipv6Net;
use ssa_slices::{EndpointId, SliceId, SliceSpace, handover::Map};

use super::placement::{Numbered, slots};
use crate::objects::{Phase, SliceMove};

/// A slice, or a part of one that is split.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnePiece {
    pub(super) prefix: Ipv6Net,
    /// The place of its slice.
    pub(super) slot: usize,
    /// Who takes its new flows.
    pub(super) owner: EndpointId,
    /// Who may have some of its load: its owner, and the other side of an open move.
    pub(super) holders: [EndpointId; 2],
    /// It is in an open move.
    pub(super) moves: bool,
}

/// All of a set's, in ascending order.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) list: Vec<OnePiece>,
}

/// No member.
const NOBODY: EndpointId = EndpointId::new(u32::MAX);

impl Pieces {
    pub(super) fn new<'a>(
        space: &SliceSpace,
        map: &Map,
        numbered: &Numbered<'_>,
        open: impl Iterator<Item = &'a SliceMove>,
    ) -> Self {
        let mut moving: BTreeMap<Ipv6Net, &SliceMove> = BTreeMap::new();
        // Of two moves of a prefix the later one says who takes its new flows.
        let mut open: Vec<&SliceMove> = open.collect();
        open.sort_by_key(|one| one.epoch());
        for one in open {
            moving.extend(one.spec.prefixes.iter().map(|prefix| (prefix.net(), one)));
        }
        let mut list = Vec::new();
        for (prefix, owner) in map.owned() {
            let owner = numbered.number(owner).unwrap_or(NOBODY);
            let is_part = prefix.prefix_len() > space.slice_length();
            for slot in slots(space, prefix) {
                let slice = u32::try_from(slot).map(SliceId::new);
                let whole = slice.ok().and_then(|slice| space.prefix_of(slice));
                let Some(piece) = whole.map(|whole| if is_part { prefix } else { whole }) else {
                    continue;
                };
                let around = moving.range(..=piece).next_back();
                let within = moving.range(piece..).next();
                let of_move = around
                    .filter(|(prefix, _)| prefix.contains(&piece))
                    .or(within.filter(|(prefix, _)| piece.contains(*prefix)));
                let (mut takes, mut other) = (owner, owner);
                if let Some((_, one)) = of_move {
                    let taker = numbered.number(&one.taker().endpoint()).unwrap_or(NOBODY);
                    let giver = one.giver().and_then(|giver| numbered.number(&giver.endpoint()));
                    other = if taker == owner { giver.unwrap_or(NOBODY) } else { taker };
                    if one.status.phase >= Phase::Arm {
                        takes = taker;
                    }
                }
                list.push(OnePiece {
                    prefix: piece,
                    slot,
                    owner: takes,
                    holders: [owner, other],
                    moves: of_move.is_some(),
                });
            }
        }
        Self { list }
    }

    /// The places of the pieces that lie in a prefix, or of the one that it is a part of.
    pub(super) fn places(&self, prefix: Ipv6Net) -> std::ops::Range<usize> {
        let start = self.list.partition_point(|piece| piece.prefix < prefix);
        let around = start.checked_sub(1).filter(|place| {
            let piece = self.list.get(*place);
            piece.is_some_and(|piece| piece.prefix.contains(&prefix))
        });
        if let Some(place) = around {
            return place..place + 1;
        }
        let within = self.list.get(start..).unwrap_or_default();
        let count = within.iter().take_while(|piece| prefix.contains(&piece.prefix)).count();
        start..start + count
    }
}
