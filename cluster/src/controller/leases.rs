//! Leases of endpoints of exclusive sets: who may take new flows, and who surely does not.
//!
//! An endpoint is given up only while this leader itself holds its lease. So that nothing that an earlier leader decided
//! about an endpoint comes true after it has its lease again, each of its open moves is written anew before it gets that:
//! what was decided on older versions is a conflict.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ssa_slices::handover::lease::free_after;
use ssa_snapshot::Number;

use super::{Controller, everything::Everything, moves, round::Round};
use crate::{
    lease::{self, Holder, holder},
    objects::{Lease, LeaseSpec, Message, Name, Ownership, Phase, SliceEndpoint, SliceMove, SliceSet, Timestamp},
    store::StoreError,
};

/// Who holds the leases in a round.
#[derive(Debug, Default)]
pub(super) struct Leased {
    /// Endpoints whose leases this leader has.
    taken: BTreeSet<Name>,
    /// The kernels that hold the leases of endpoints.
    kernels: BTreeMap<Name, Name>,
}

impl Leased {
    /// Says whether this leader has the lease of an endpoint: then nothing takes new flows by it.
    pub(super) fn is_taken(&self, endpoint: &Name) -> bool {
        self.taken.contains(endpoint)
    }

    /// Says whether an endpoint reports of the kernel that may take new flows; where none may, whatever it reports of.
    pub(super) fn speaks(&self, endpoint: &SliceEndpoint) -> bool {
        let kernel = self.kernels.get(endpoint.name());
        kernel.is_none_or(|kernel| endpoint.status.kernel.as_ref() == Some(kernel))
    }

    /// Says whether an endpoint reports of a kernel that holds its lease.
    pub(super) fn is_held(&self, endpoint: &SliceEndpoint) -> bool {
        self.kernels.contains_key(endpoint.name()) && self.speaks(endpoint)
    }
}

impl Controller {
    /// Takes the leases of endpoints that are gone and surely take no new flows any more, and gives them to those that follow
    /// all that was decided.
    pub(super) async fn lease(
        &mut self,
        everything: &mut Everything,
        (now, wall): (Duration, Timestamp),
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let leases = everything.leases.iter();
        let versions = leases.map(|(name, lease)| (name, lease.metadata.resource_version.clone()));
        self.renewals.note(versions, now);
        self.leased = Leased::default();
        for endpoint in concerned(everything) {
            match self.lease_of(&endpoint, everything, (now, wall), round).await {
                // Whoever was first: the next round sees it.
                Ok(()) | Err(StoreError::Conflict { .. } | StoreError::Exists { .. } | StoreError::NotFound { .. }) => {
                }
                Err(error @ (StoreError::Invalid { .. } | StoreError::Denied { .. })) => {
                    round.faults.push(format!("SliceEndpoint {endpoint}: {error}"));
                }
                Err(error) => return Err(error),
            }
            if let Some(lease) = everything.leases.get(&endpoint) {
                match holder(lease) {
                    Holder::Kernel(kernel) => drop(self.leased.kernels.insert(endpoint, kernel.clone())),
                    Holder::NoKernel if lease.spec.holder_identity.as_ref() == Some(&self.identity) => {
                        self.leased.taken.insert(endpoint);
                    }
                    Holder::NoKernel => {}
                }
            }
        }
        Ok(())
    }

    async fn lease_of(
        &self,
        endpoint: &Name,
        everything: &mut Everything,
        (now, wall): (Duration, Timestamp),
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let name = match lease::name(endpoint) {
            Ok(name) => name,
            Err(error) => {
                round.faults.push(format!("SliceEndpoint {endpoint}: {error}"));
                return Ok(());
            }
        };
        let known = everything.endpoints.get(endpoint);
        let is_silent = is_silent(known, self.liveness.silent_for(endpoint, now), self.options.lost_after);
        match everything.leases.get(endpoint) {
            None => {
                let lease = Lease::new(name, terms(None, self.identity.clone(), wall));
                let lease = self.store.create(&lease).await?;
                everything.leases.insert(endpoint.clone(), lease);
            }
            Some(lease) if lease.spec.holder_identity.as_ref() == Some(&self.identity) => {}
            Some(lease) => {
                if let Holder::Kernel(kernel) = holder(lease) {
                    let speaks = known.is_some_and(|known| known.status.kernel.as_ref() == Some(kernel));
                    let lasts = Duration::from_secs(lease.spec.lease_duration_seconds.get().into());
                    let unchanged = self.renewals.silent_for(endpoint, now);
                    let is_free = unchanged.is_some_and(|unchanged| unchanged >= free_after(lasts));
                    if (speaks && !is_silent) || !is_free {
                        return Ok(());
                    }
                    round.told.push(format!(
                        "endpoint {endpoint}: its lease has run out, and {kernel} takes no new flows"
                    ));
                }
                let terms = terms(Some(lease), self.identity.clone(), wall);
                self.grant(endpoint, terms, everything).await?;
            }
        }
        let Some(known) = everything.endpoints.get(endpoint).filter(|_| !is_silent) else {
            return Ok(());
        };
        let Some(kernel) = known.status.kernel.clone().filter(|_| follows(known, everything)) else {
            return Ok(());
        };
        let mine = everything.moves.iter_mut().filter(|one| takes_part(endpoint, one));
        for one in mine {
            let mut touched = one.clone();
            touched.status.message = Message::new(&format!("{endpoint} has its lease again: {wall}"));
            *one = self.store.update_status(&touched).await?;
        }
        round.told.push(format!(
            "endpoint {endpoint}: {kernel} has its lease, and may take new flows"
        ));
        let terms = terms(everything.leases.get(endpoint), kernel, wall);
        self.grant(endpoint, terms, everything).await
    }

    async fn grant(&self, endpoint: &Name, terms: LeaseSpec, everything: &mut Everything) -> Result<(), StoreError> {
        if let Some(lease) = everything.leases.get_mut(endpoint) {
            lease.spec = terms;
            // If it fails, who holds it is not known in this round.
            match self.store.update(lease).await {
                Ok(kept) => *lease = kept,
                Err(error) => {
                    everything.leases.remove(endpoint);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Returns the terms by which somebody holds a lease from now on.
fn terms(before: Option<&Lease>, to: Name, wall: Timestamp) -> LeaseSpec {
    let before = before.map(|lease| &lease.spec);
    let transitions = before.map_or(0, |before| before.lease_transitions.get().saturating_add(1));
    LeaseSpec {
        holder_identity: Some(to),
        lease_duration_seconds: before.map_or_else(Number::default, |before| before.lease_duration_seconds),
        acquire_time: Some(wall),
        renew_time: Some(wall),
        lease_transitions: Number::new(transitions).unwrap_or_default(),
    }
}

/// Says whether an endpoint is gone, silent, or back without what it had.
pub(super) fn is_silent(endpoint: Option<&SliceEndpoint>, silent: Option<Duration>, patience: Duration) -> bool {
    let rejoined = endpoint.is_some_and(|one| one.status.rejoined);
    rejoined || silent.is_none_or(|silent| silent > patience)
}

/// Lists the endpoints that exclusive sets have, or had when they were last heard of.
fn concerned(everything: &Everything) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for set in everything.sets.iter().filter(|set| is_exclusive(set)) {
        let mine = everything.endpoints.values();
        let mine = mine.filter(|one| one.spec.slice_sets.contains(set.name()));
        names.extend(mine.map(|one| one.name().clone()));
        let maps = everything.maps.iter().filter(|map| map.spec.slice_set == *set.name());
        names.extend(maps.flat_map(|map| &map.spec.endpoints).map(|one| one.name.clone()));
        let moves = everything.moves.iter().filter(|one| one.spec.slice_set == *set.name());
        let open = moves.filter(|one| !one.status.phase.is_final());
        names.extend(open.flat_map(|one| one.spec.from.iter().chain([&one.spec.to])).cloned());
    }
    names
}

fn is_exclusive(set: &SliceSet) -> bool {
    set.spec.ownership == Ownership::Exclusive
}

fn takes_part(endpoint: &Name, one: &SliceMove) -> bool {
    !one.status.phase.is_final() && (one.spec.from.as_ref() == Some(endpoint) || one.spec.to == *endpoint)
}

/// Says whether an endpoint's kernel holds all that was decided. What is about to come to it counts for nothing: it takes
/// nothing of that before it has reported so, which it does with its lease.
fn follows(endpoint: &SliceEndpoint, everything: &Everything) -> bool {
    let name = endpoint.name();
    let maps = everything.maps.iter().filter(|map| {
        let is_named = map.spec.endpoints.iter().any(|one| one.name == *name);
        is_named || endpoint.spec.slice_sets.contains(&map.spec.slice_set)
    });
    let mut maps = maps.map(|map| {
        let applied = endpoint.status.maps.iter().find(|applied| applied.name == *map.name());
        applied.is_some_and(|applied| applied.epoch >= map.spec.epoch)
    });
    let moves = everything.moves.iter().filter(|one| takes_part(name, one));
    let mut moves = moves
        .filter(|one| one.status.phase != Phase::Prepare || one.taker() != name)
        .map(|one| {
            let observed = endpoint
                .status
                .moves
                .iter()
                .find(|observed| observed.name == *one.name());
            observed.is_some_and(|observed| moves::progress(observed) >= one.handover().progress())
        });
    maps.all(|follows| follows) && moves.all(|follows| follows)
}
