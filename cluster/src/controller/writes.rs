//! What a round writes: moves, maps and the objects of endpoints.

use std::time::Duration;

use super::{
    Controller,
    everything::Everything,
    maps::{self, StoredMap},
    moves,
    placement::Wish,
    round::{Change, Round},
};
use crate::{
    objects::{
        EndpointEntry, Epoch, Metadata, Name, Phase, Prefix, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceMapSpec,
        SliceMove, SliceMoveSpec, SliceSet, SliceSetSpec, Spec, Timestamp,
    },
    store::StoreError,
};
use futures_util::{StreamExt as _, stream};
use ssa_slices::handover::{EndpointName, Map, Next};

/// How often an endpoint is written again that has reported meanwhile.
const ATTEMPTS: usize = 8;
/// How many moves are written at once.
const AT_ONCE: usize = 16;

impl Controller {
    /// Writes what is next about open moves; returns the epoch by then, and the map that is to be written.
    pub(super) async fn advance(
        &self,
        set: &SliceSet,
        read: &StoredMap,
        steps: &[(&SliceMove, Next)],
        mut epoch: Epoch,
        (now, wall): (Duration, Timestamp),
        round: &mut Round,
    ) -> Result<(Epoch, Option<Map>), StoreError> {
        let mut wanted = read.torn.then(|| maps::with_epoch(&read.map, epoch));
        let mut changes = Vec::new();
        for (one, next) in steps {
            if *next == Next::WriteMap {
                let handover = one.handover();
                let map = wanted.as_ref().unwrap_or(&read.map);
                let at = ssa_slices::handover::Epoch::new(epoch.get());
                wanted = Some(map.with_owner(&handover.prefixes, &handover.to, at));
            }
            let Some(changed) = moves::changed(one, *next, epoch, set.spec.ownership, wall) else {
                continue;
            };
            let turned_back = *next == Next::TurnBack;
            if turned_back {
                // The map of this round, and the next decision, are later.
                epoch = epoch.next();
                wanted = wanted.map(|map| maps::with_epoch(&map, epoch));
            }
            changes.push((*one, changed, turned_back));
        }
        // No move waits for another one's answer.
        let written = changes.iter().map(|(_, changed, _)| self.store.update_status(changed));
        let written: Vec<_> = stream::iter(written).buffered(AT_ONCE).collect().await;
        let mut failed = None;
        for ((one, changed, turned_back), done) in changes.into_iter().zip(written) {
            if let Err(error) = done {
                failed = failed.or(Some(error));
                continue;
            }
            let (from, to) = (one.status.phase, changed.status.phase);
            if from != to || turned_back {
                let how = if turned_back { ", turned back" } else { "" };
                round.told.push(format!("move {}: {from:?} to {to:?}{how}", one.name()));
                round.changes.push(Change {
                    set: set.name().clone(),
                    name: one.name().clone(),
                    reason: one.spec.reason,
                    left: Some((from, self.memory.elapsed(one.name(), now))),
                    phase: to,
                    turned_back,
                    from: one.spec.from.clone(),
                    to: one.spec.to.clone(),
                    prefixes: one.spec.prefixes.len(),
                });
            }
        }
        failed.map_or(Ok((epoch, wanted)), Err)
    }

    /// Opens a move.
    pub(super) async fn begin(
        &self,
        set: &SliceSet,
        wish: &Wish,
        epoch: Epoch,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let name = |endpoint: &EndpointName| Name::new(endpoint.as_str()).ok();
        let (Some(to), Ok(called)) = (name(&wish.to), Name::new(&format!("{}-{epoch}", set.name()))) else {
            return Ok(());
        };
        let prefixes: Vec<Prefix> = wish.prefixes.iter().map(|prefix| (*prefix).into()).collect();
        if let Some(prefix) = prefixes.iter().find(|prefix| !set.spec.allows(**prefix)) {
            let set = set.name();
            round.faults.push(format!(
                "SliceSet {set}: spec.allowed does not cover {prefix}, which stays where it is"
            ));
            return Ok(());
        }
        let from = wish.from.as_ref().and_then(name);
        let giver = from.as_ref().map_or("nobody", |from| from.as_str());
        let count = prefixes.len();
        let told = format!(
            "move {called}: {count} prefixes from {giver} to {to} ({:?})",
            wish.reason
        );
        let spec = SliceMoveSpec {
            slice_set: set.name().clone(),
            epoch,
            from: from.clone(),
            to: to.clone(),
            prefixes,
            reason: wish.reason,
            cancelled: false,
        };
        self.store.create(&SliceMove::new(called.clone(), spec)).await?;
        round.told.push(told);
        round.changes.push(Change {
            set: set.name().clone(),
            name: called,
            reason: wish.reason,
            left: None,
            phase: Phase::Prepare,
            turned_back: false,
            from,
            to,
            prefixes: count,
        });
        Ok(())
    }

    /// Writes the parts of a map; one that dies between them leaves a torn map, which is written again.
    pub(super) async fn write_map(
        &self,
        set: &SliceSet,
        wanted: &[(Name, SliceMapSpec)],
        parts: &[&SliceMap],
    ) -> Result<(), StoreError> {
        for (name, spec) in wanted {
            for endpoint in &spec.endpoints {
                let prefixes = endpoint.owned.iter().chain(&endpoint.standby);
                if let Some(prefix) = prefixes.clone().find(|prefix| !set.spec.allows(**prefix)) {
                    let problem = format!(
                        "does not cover {prefix}, which the map of {} would give out",
                        set.name()
                    );
                    return Err(StoreError::Invalid {
                        kind: crate::objects::Kind::SliceSet,
                        name: set.name().to_string(),
                        faults: vec![SliceSetSpec::fault("spec.allowed", problem)],
                    });
                }
            }
            match parts.iter().find(|part| part.name() == name) {
                Some(part) => {
                    let mut part = (*part).clone();
                    part.spec = spec.clone();
                    self.store.update(&part).await?;
                }
                None => {
                    self.store.create(&SliceMap::new(name.clone(), spec.clone())).await?;
                }
            }
        }
        for part in parts
            .iter()
            .filter(|part| wanted.iter().all(|(name, _)| part.name() != name))
        {
            let version = part.metadata.resource_version.as_ref();
            self.store.delete::<SliceMapSpec>(part.name(), version).await?;
        }
        Ok(())
    }

    /// Makes the objects of endpoints that a set lists, so that their agents can report.
    pub(super) async fn describe_endpoints(
        &self,
        set: &SliceSet,
        everything: &Everything,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        for (number, entry) in set.spec.endpoints.list.iter().flatten().enumerate() {
            if everything.faulty_endpoints.contains(entry.name.as_str()) {
                continue; // as the round tells; it is not to be overwritten
            }
            match self.describe_endpoint(set, entry, everything).await {
                Ok(None) => {}
                Ok(Some(told)) => round.told.push(told),
                // One endpoint that cannot be had stops no other.
                Err(error @ (StoreError::Invalid { .. } | StoreError::Denied { .. })) => {
                    let path = format!("SliceSet {}: spec.endpoints.list[{number}]", set.name());
                    round.faults.push(format!("{path}: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn describe_endpoint(
        &self,
        set: &SliceSet,
        entry: &EndpointEntry,
        everything: &Everything,
    ) -> Result<Option<String>, StoreError> {
        let Some(known) = everything.endpoints.get(&entry.name) else {
            let spec = endpoint_spec(entry, vec![set.name().clone()]);
            self.store.create(&SliceEndpoint::new(entry.name.clone(), spec)).await?;
            return Ok(Some(format!("endpoint {}: is new", entry.name)));
        };
        let mut sets = known.spec.slice_sets.clone();
        if !sets.contains(set.name()) {
            sets.push(set.name().clone());
        }
        let wanted = SliceEndpointSpec {
            drained: known.spec.drained,
            ..endpoint_spec(entry, sets)
        };
        if wanted != known.spec {
            let mut known = known.clone();
            known.spec = wanted;
            self.write_endpoint(&known).await?;
        }
        Ok(None)
    }

    /// Writes the spec of an endpoint, which is the leader's alone. That the endpoint has reported since it was read, as it
    /// does several times a second while it hands over, is no reason to decide again.
    pub(super) async fn write_endpoint(&self, wanted: &SliceEndpoint) -> Result<(), StoreError> {
        let mut wanted = wanted.clone();
        let mut attempts = ATTEMPTS;
        while let Err(conflict) = self.store.update(&wanted).await {
            wanted = self.reported_since(wanted, conflict, &mut attempts).await?;
        }
        Ok(())
    }

    /// Deletes an endpoint; the same holds.
    pub(super) async fn delete_endpoint(&self, seen: &SliceEndpoint) -> Result<(), StoreError> {
        let mut seen = seen.clone();
        let mut attempts = ATTEMPTS;
        loop {
            let version = seen.metadata.resource_version.as_ref();
            match self.store.delete::<SliceEndpointSpec>(seen.name(), version).await {
                Ok(()) => return Ok(()),
                Err(conflict) => seen = self.reported_since(seen, conflict, &mut attempts).await?,
            }
        }
    }

    /// Returns the endpoint with the version that it has now, if nothing but its status has changed and it may be tried again.
    async fn reported_since(
        &self,
        mut endpoint: SliceEndpoint,
        why: StoreError,
        attempts: &mut usize,
    ) -> Result<SliceEndpoint, StoreError> {
        if *attempts == 0 || !matches!(why, StoreError::Conflict { .. }) {
            return Err(why);
        }
        *attempts -= 1;
        let now = self.store.get::<SliceEndpointSpec>(endpoint.name()).await?.metadata;
        let same = |one: &Metadata| (one.generation, one.owner.clone());
        if same(&now) != same(&endpoint.metadata) {
            return Err(why);
        }
        endpoint.metadata = now;
        Ok(endpoint)
    }

    /// Deletes the oldest moves that are over.
    pub(super) async fn forget(&self, mine: &[&SliceMove]) -> Result<(), StoreError> {
        let mut over: Vec<&&SliceMove> = mine.iter().filter(|one| one.status.phase.is_final()).collect();
        over.sort_by_key(|one| std::cmp::Reverse(one.epoch()));
        for one in over.into_iter().skip(self.options.kept_moves) {
            let version = one.metadata.resource_version.as_ref();
            self.store.delete::<SliceMoveSpec>(one.name(), version).await?;
        }
        Ok(())
    }
}

pub(super) fn endpoint_spec(entry: &EndpointEntry, slice_sets: Vec<Name>) -> SliceEndpointSpec {
    SliceEndpointSpec {
        slice_sets,
        address: entry.address,
        tunnel: entry.tunnel.clone(),
        http_port: entry.http_port,
        node: entry.node.clone(),
        domain: entry.domain.clone(),
        weight: entry.weight,
        drained: false,
    }
}
