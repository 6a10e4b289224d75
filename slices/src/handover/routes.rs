//! What the kernel of one endpoint holds.

use alloc::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv6Net;

use super::open::{Open, Part};
use super::prefixes::subtract_all;
use super::{EndpointName, Handover, Map, Ownership, Phase};

/// One route in the kernel of an endpoint.
///
/// In every table the longest prefix decides, so a route for part of a prefix stands beside the route for the whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelRoute {
    /// Table 500: addresses of the prefix are this endpoint's (`local PREFIX dev lo`).
    Local {
        /// The prefix.
        prefix: Ipv6Net,
    },
    /// Table 600: what opens a flow goes to a peer; so does what belongs to no flow of this endpoint, unless
    /// [`Incoming`](Self::Incoming) says otherwise.
    Outgoing {
        /// The prefix.
        prefix: Ipv6Net,
        /// The peer, which takes new flows.
        to: EndpointName,
    },
    /// Table 601: what belongs to no flow of this endpoint, and opens none, goes to a peer.
    Incoming {
        /// The prefix.
        prefix: Ipv6Net,
        /// The peer, which may still have flows.
        from: EndpointName,
    },
    /// The route that the host's routing daemon announces.
    Announced {
        /// The prefix.
        prefix: Ipv6Net,
        /// How much routers prefer it.
        metric: Metric,
    },
}

impl KernelRoute {
    /// Returns the route's prefix.
    #[must_use]
    pub const fn prefix(&self) -> Ipv6Net {
        match self {
            Self::Local { prefix }
            | Self::Outgoing { prefix, .. }
            | Self::Incoming { prefix, .. }
            | Self::Announced { prefix, .. } => *prefix,
        }
    }
}

/// Ranks the announcements of one prefix; routers follow the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Of an endpoint that has just taken the prefix: better than that of an owner which may not know yet.
    Taken,
    /// Of the owner.
    Owner,
    /// Of the old owner: better than a standby's, for it has flows and knows where the others are.
    Former,
    /// Of a standby.
    Standby,
}

impl Metric {
    /// Returns the metric of the kernel's route.
    #[must_use]
    pub const fn value(self) -> u32 {
        match self {
            Self::Taken => 50,
            Self::Owner => 100,
            Self::Former => 500,
            Self::Standby => 1000,
        }
    }
}

/// What an endpoint itself knows of its peers, by heartbeats. It acts on this before the leader does, or without one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Peers whose heartbeats have stopped. With [exclusive](super::Ownership::Exclusive) ownership nobody is put here: a
    /// peer that is not heard may accept all the same, and only the leader knows when its lease has run out.
    pub lost: BTreeSet<EndpointName>,
    /// Peers that are there, say that they are not ready to serve, and announce nothing. Their prefixes are taken over as
    /// those of lost ones are: routers lead new flows to the standby, and flows have to stay with who has taken them.
    pub idle: BTreeSet<EndpointName>,
    /// Prefixes that this endpoint took over as their standby, with the owner that was lost: [`View::take`]. They stay
    /// taken when the owner is heard again, for there are flows now; the map ends it by naming another owner.
    pub taken: BTreeMap<Ipv6Net, EndpointName>,
    /// Peers that have said, in their heartbeats, that they have taken this endpoint's prefixes over.
    pub taken_by: BTreeSet<EndpointName>,
    /// This endpoint has lost its flows and its kernel's routes, as by a restart of the host, and a standby may have taken
    /// over meanwhile. It tells its peers, who keep it in [`lost`](Self::lost), and announces nothing that another one
    /// stands by for, until the map has nothing of its own any more: it joins again as a newcomer.
    pub rejoined: bool,
    /// This endpoint is not ready to serve, and announces nothing.
    pub unready: bool,
}

impl View {
    /// Takes over what lost or idle owners have and `endpoint` stands by for, or is about to have; forgets what the map has settled.
    ///
    /// To be called whenever the map, a handover or the set of lost peers has changed.
    pub fn take(&mut self, endpoint: &EndpointName, map: &Map, handovers: &[Handover]) {
        let goes_on = |prefix: &Ipv6Net, owner: &EndpointName| {
            let mut open = handovers.iter().filter(|one| one.phase.is_open());
            open.any(|one| one.to == *endpoint && one.from.as_ref() == Some(owner) && one.prefixes.contains(prefix))
        };
        self.taken.retain(|prefix, owner| {
            let (owner, now): (&EndpointName, _) = (owner, map.owner(*prefix));
            now == Some(owner) || (now != Some(endpoint) && goes_on(prefix, owner))
        });
        let mut owned = map.owned().filter(|(_, owner)| *owner == endpoint);
        self.rejoined = self.rejoined && owned.any(|(prefix, _)| map.standby(prefix).is_some());
        // With exclusive ownership two that do not know of each other must not take the same: the leader alone gives, and
        // what was taken before ownership became exclusive is given back.
        if map.ownership() == Ownership::Exclusive {
            self.taken.clear();
            return;
        }
        // One that is not ready would take what it cannot serve.
        if (self.lost.is_empty() && self.idle.is_empty()) || self.unready {
            return;
        }
        let gone = |owner: &EndpointName| self.lost.contains(owner) || self.idle.contains(owner);
        let mut taken = BTreeMap::new();
        let mine = map.standbys().filter(|(_, standby)| *standby == endpoint);
        for (owned, owner) in mine.flat_map(|(prefix, _)| map.owned_within(prefix)) {
            if gone(owner) && map.standby(owned) == Some(endpoint) {
                taken.insert(owned, owner.clone());
            }
        }
        for Part { prefix, handover, .. } in Open::new(map, handovers).parts {
            if let Some(from) = handover.from.as_ref().filter(|from| gone(from))
                && handover.to == *endpoint
                && handover.phase == Phase::Arm
            {
                taken.insert(prefix, from.clone());
            }
        }
        self.taken.append(&mut taken);
    }

    fn has_taken(&self, owned: Ipv6Net, owner: &EndpointName) -> bool {
        let around = self.taken.range(..=owned).next_back();
        around.is_some_and(|(prefix, from)| prefix.contains(&owned) && from == owner)
    }
}

/// Returns what the kernel of `endpoint` must hold.
///
/// It is a function of its arguments alone: an agent that was restarted, or has missed any number of changes, comes to the
/// same routes as one that saw them all. Closed handovers count for nothing; where open ones overlap, the one with the
/// greatest epoch decides, and whoever has flows by the one [before](Handover::is_before) it is reached. A handover that is
/// done counts until the map is later than it: whichever of the two an agent sees first, the new owner keeps what it has got.
#[must_use]
pub fn routes(endpoint: &EndpointName, map: &Map, handovers: &[Handover], view: &View) -> BTreeSet<KernelRoute> {
    let open = Open::new(map, handovers);
    let mut held = Held::default();
    owner(endpoint, map, &open, view, &mut held);
    standby(endpoint, map, &open, view, &mut held);
    for part in open.all() {
        if part.handover.to == *endpoint {
            new_owner(part, view, &mut held);
        } else if part.handover.from.as_ref() == Some(endpoint) {
            old_owner(endpoint, part, map.ownership(), view, &mut held);
        } else if part.before.is_some_and(|before| before.from.as_ref() == Some(endpoint)) {
            first_owner(part, view, &mut held);
        }
    }
    held.into_routes(view)
}

/// Routes by prefix: one for each prefix and table.
#[derive(Default)]
struct Held {
    local: BTreeSet<Ipv6Net>,
    outgoing: BTreeMap<Ipv6Net, EndpointName>,
    incoming: BTreeMap<Ipv6Net, EndpointName>,
    announced: BTreeMap<Ipv6Net, Metric>,
}

impl Held {
    /// Announces with a metric, in place of any before.
    fn announce(&mut self, prefix: Ipv6Net, metric: Metric) {
        self.announced.insert(prefix, metric);
    }

    fn into_routes(self, view: &View) -> BTreeSet<KernelRoute> {
        let local = self.local.into_iter().map(|prefix| KernelRoute::Local { prefix });
        let outgoing = self.outgoing.into_iter();
        let outgoing = outgoing.map(|(prefix, to)| KernelRoute::Outgoing { prefix, to });
        let incoming = self.incoming.into_iter();
        let incoming = incoming.map(|(prefix, from)| KernelRoute::Incoming { prefix, from });
        let announced = self
            .announced
            .into_iter()
            .filter(|_| !view.unready)
            .map(|(prefix, metric)| KernelRoute::Announced { prefix, metric });
        local.chain(outgoing).chain(incoming).chain(announced).collect()
    }
}

/// What the map gives an owner. A part that it has given up is missing: the rest is announced in its place.
fn owner(endpoint: &EndpointName, map: &Map, open: &Open<'_>, view: &View, held: &mut Held) {
    for (prefix, _) in map.owned().filter(|(_, owner)| *owner == endpoint) {
        let given_up = open
            .overlapping(prefix)
            .filter(|part| part.handover.phase >= Phase::Withdraw && part.handover.to != *endpoint)
            .map(|part| part.prefix);
        let taker = taker(map, prefix, view);
        for rest in subtract_all(prefix, given_up) {
            held.local.insert(rest);
            if let Some(taker) = taker {
                held.outgoing.insert(rest, taker.clone());
                if !view.rejoined {
                    held.announce(rest, Metric::Former);
                }
            } else {
                held.announce(rest, Metric::Owner);
            }
        }
    }
}

/// The standby that has taken an owner's prefix over, or has to be taken to have.
fn taker<'a>(map: &'a Map, owned: Ipv6Net, view: &View) -> Option<&'a EndpointName> {
    let has_taken =
        |standby: &EndpointName| (view.rejoined || view.taken_by.contains(standby)) && !view.lost.contains(standby);
    map.standby(owned).filter(|standby| has_taken(standby))
}

/// What the map gives a standby: all that it needs to take over is there beforehand.
fn standby(endpoint: &EndpointName, map: &Map, open: &Open<'_>, view: &View, held: &mut Held) {
    for (prefix, _) in map.standbys().filter(|(_, standby)| *standby == endpoint) {
        held.local.insert(prefix);
        held.announced.entry(prefix).or_insert(Metric::Standby);
        for (owned, owner) in map.owned_within(prefix) {
            if owner == endpoint || map.standby(owned) != Some(endpoint) {
                continue;
            }
            held.incoming.insert(owned, owner.clone());
            // What a new owner announces by now needs no other way to it.
            let is_announced = |part: &Part<'_>| {
                let Handover { to, phase, .. } = part.handover;
                part.prefix == owned && *phase >= Phase::Announce && to != endpoint && !view.lost.contains(to)
            };
            if view.has_taken(owned, owner) && !open.overlapping(owned).any(is_announced) {
                held.announce(owned, Metric::Taken);
            }
            for part in open.overlapping(owned).filter(|part| part.handover.phase >= Phase::Arm) {
                // By the handover before, the owner has given its new flows away already.
                let owner = part.before.map_or(owner, |before| &before.to);
                beside(part, owner, map.ownership(), view, held);
            }
        }
    }
}

/// What a standby holds for a part that changes hands between two others: it takes no new flows of it, for neither would
/// know them.
fn beside(part: &Part<'_>, owner: &EndpointName, ownership: Ownership, view: &View, held: &mut Held) {
    let Part { prefix, handover, .. } = part;
    // Most flows are with the old owner until all new ones have gone to the new owner for a while.
    let has_flows = if handover.phase >= Phase::Announce || view.lost.contains(owner) {
        &handover.to
    } else {
        owner
    };
    held.incoming.insert(*prefix, has_flows.clone());
    // Exclusive ownership: until the old owner has surely said that it takes none, none may reach the new owner but by it.
    let may_take = ownership == Ownership::Available || handover.phase >= Phase::Announce;
    if may_take && !view.lost.contains(&handover.to) {
        held.outgoing.insert(*prefix, handover.to.clone());
    }
}

fn new_owner(part: &Part<'_>, view: &View, held: &mut Held) {
    let Part { prefix, handover, .. } = part;
    held.local.insert(*prefix);
    held.outgoing.remove(prefix);
    held.incoming.remove(prefix);
    // The first of three passes on to the second what it does not know.
    let first = part.first().filter(|first| !view.lost.contains(*first));
    let from = handover.from.as_ref().filter(|_| handover.phase < Phase::Release);
    if let Some(from) = first.or(from) {
        held.incoming.insert(*prefix, from.clone());
    }
    let has_taken = handover.from.as_ref().is_some_and(|from| view.has_taken(*prefix, from));
    // Nothing is announced before it is the best: a router that has not yet heard of the old owner's route for this
    // very prefix would follow it, whatever its metric.
    let best = handover.phase >= Phase::Announce || (handover.phase == Phase::Arm && has_taken);
    if best {
        held.announce(*prefix, Metric::Taken);
    }
}

fn old_owner(endpoint: &EndpointName, part: &Part<'_>, ownership: Ownership, view: &View, held: &mut Held) {
    let Part {
        prefix,
        handover,
        before,
    } = part;
    let taken = view.taken_by.contains(&handover.to);
    let metric = match handover.phase {
        // Beside the whole that it is cut from, so that from here on routers compare metrics, and not lengths.
        Phase::Prepare | Phase::Arm if !taken => Metric::Owner,
        Phase::Withdraw | Phase::Done => return,
        // Better than the first of three, which may be about to give it up.
        _ if before.is_some() => Metric::Owner,
        _ => Metric::Former,
    };
    held.local.insert(*prefix);
    if !view.rejoined {
        held.announce(*prefix, metric);
    }
    held.outgoing.remove(prefix);
    held.incoming.remove(prefix);
    if view.rejoined && ownership == Ownership::Exclusive {
        return; // a standby that does not know of this handover may have taken over
    }
    let first = part.first();
    let hands_on = handover.phase >= Phase::Arm || taken;
    if !hands_on || view.lost.contains(&handover.to) {
        // It takes new flows, and there may be flows of others: of a peer that is lost, should it live after all.
        let peer = first.or(Some(&handover.to).filter(|_| hands_on));
        held.incoming.extend(peer.map(|peer| (*prefix, peer.clone())));
        return;
    }
    held.outgoing.insert(*prefix, handover.to.clone());
    if let Some(before) = before {
        // Of three, the second leaves it to the third to ask the first, who passes on to the second what it does not know:
        // asked by the second, it would know no way to the third. In place of the route by the handover before, which would
        // count for this prefix too.
        let peer = if before.to == *endpoint {
            Some(&handover.to)
        } else {
            first
        };
        held.incoming.extend(peer.map(|peer| (*prefix, peer.clone())));
    }
}

/// What the first of three owners holds beside what it holds as the old owner of the handover before: the third asks it for
/// all flows that it does not know itself.
fn first_owner(part: &Part<'_>, view: &View, held: &mut Held) {
    let Part {
        prefix,
        handover,
        before,
    } = part;
    let Some(second) = before
        .filter(|before| before.phase < Phase::Withdraw)
        .map(|before| &before.to)
    else {
        return;
    };
    // Where it was turned back, there are two owners left.
    if handover.phase < Phase::Arm || handover.to == *second || view.lost.contains(&handover.to) {
        return;
    }
    held.outgoing.insert(*prefix, handover.to.clone());
    held.incoming.insert(*prefix, second.clone());
}
