//! Objects that follow from others: endpoints from pods, and nothing from sets that are gone.

use super::{Controller, everything::Everything, pods, round::Round};
use crate::{
    objects::{Name, SliceEndpointSpec, SliceMapSpec, SliceMoveSpec},
    store::StoreError,
};

impl Controller {
    /// Makes the objects of endpoints that are pods, and deletes those of pods that are gone.
    pub(super) async fn describe_pods(&self, everything: &Everything, round: &mut Round) -> Result<(), StoreError> {
        let seen = self.pods.borrow().clone();
        let pods = match seen {
            pods::Seen::Pods(pods) => pods,
            pods::Seen::Nothing => return Ok(()),
            pods::Seen::None => {
                for set in everything.sets.iter().filter(|set| pods::selects(set)) {
                    let set = set.name();
                    round.faults.push(format!(
                        "SliceSet {set}: spec.endpoints.selector: only Kubernetes has pods; list the endpoints"
                    ));
                }
                return Ok(());
            }
            pods::Seen::Fault(fault) => {
                if everything.sets.iter().any(pods::selects) {
                    round.faults.push(format!("pods cannot be followed: {fault}"));
                }
                return Ok(());
            }
        };
        let (changes, faults) = pods::changes(&everything.sets, &pods, &everything.endpoints);
        round.faults.extend(faults);
        for change in changes {
            match change {
                pods::Change::Create(endpoint) => {
                    round.told.push(format!("endpoint {}: is new", endpoint.name()));
                    self.store.create(&endpoint).await?;
                }
                pods::Change::Update(endpoint) => {
                    if endpoint.spec.drained {
                        round.told.push(format!("endpoint {}: is drained", endpoint.name()));
                    }
                    self.store.update(&endpoint).await?;
                }
                pods::Change::Delete(name, version) => {
                    round.told.push(format!("endpoint {name}: its pod is gone"));
                    self.store.delete::<SliceEndpointSpec>(&name, version.as_ref()).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes what is left of sets that are gone: then no kernel holds anything of them any more.
    pub(super) async fn forget_sets(&self, everything: &Everything, round: &mut Round) -> Result<(), StoreError> {
        let is_gone = |set: &Name| !everything.known_sets.contains(set.as_str());
        for one in everything.moves.iter().filter(|one| is_gone(&one.spec.slice_set)) {
            let version = one.metadata.resource_version.as_ref();
            self.store.delete::<SliceMoveSpec>(one.name(), version).await?;
        }
        for map in everything.maps.iter().filter(|map| is_gone(&map.spec.slice_set)) {
            round
                .told
                .push(format!("set {}: is gone, and its map", map.spec.slice_set));
            let version = map.metadata.resource_version.as_ref();
            self.store.delete::<SliceMapSpec>(map.name(), version).await?;
        }
        Ok(())
    }
}
