//! Objects that follow from others: endpoints from pods, and nothing from sets that are gone.

use super::{Controller, everything::Everything, pods, round::Round};
use crate::{
    objects::{Name, SliceMapSpec, SliceMoveSpec},
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
            let (done, told) = match change {
                pods::Change::Create(endpoint) => {
                    let told = format!("endpoint {}: is new", endpoint.name());
                    (self.store.create(&endpoint).await.map(drop), Some(told))
                }
                pods::Change::Update(endpoint) => {
                    let drained = endpoint.spec.drained;
                    let told = drained.then(|| format!("endpoint {}: is drained", endpoint.name()));
                    (self.write_endpoint(&endpoint).await, told)
                }
                pods::Change::Delete(endpoint) => {
                    let told = format!("endpoint {}: its pod is gone", endpoint.name());
                    (self.delete_endpoint(&endpoint).await, Some(told))
                }
            };
            match done {
                Ok(()) => round.told.extend(told),
                // Somebody else has written: the next round decides again, and this one goes on with all others.
                Err(StoreError::Conflict { .. } | StoreError::Exists { .. } | StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::sync::watch;

    use super::*;
    use crate::{
        controller::{Options, pods::Seen},
        objects::{SliceEndpointSpec, SliceSet, Timestamp},
        store::{Memory, Pod, Store},
    };

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    /// An endpoint that hands over reports several times a second.
    async fn reports(store: &Store) {
        let mut endpoint = store
            .get::<SliceEndpointSpec>(&name("web-0"))
            .await
            .expect("an endpoint");
        let before = endpoint.status.renewed_at.map_or(0, Timestamp::micros);
        endpoint.status.renewed_at = Some(Timestamp::from_millis(before / 1000 + 1));
        store.update_status(&endpoint).await.expect("a report");
    }

    #[tokio::test]
    async fn a_report_in_between_keeps_no_pod_from_being_drained_and_forgotten() {
        let store = Store::new(Arc::new(Memory::new()));
        let spec = json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"selector": {"app": "web"}}});
        let set = SliceSet::new(name("web"), serde_json::from_value(spec).expect("a spec"));
        store.create(&set).await.expect("a set");
        let mut pod = Pod {
            name: "web-0".into(),
            uid: "1".into(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            address: Some("fd00::1".parse().expect("an address")),
            ready: true,
            ..Pod::default()
        };
        let mut controller = Controller::new(store.clone(), Options::default());
        let (seen, pods) = watch::channel(Seen::Nothing);
        controller.pods = pods;
        let mut round = Round::default();
        let mut faults = Vec::new();
        for terminating in [false, true] {
            pod.terminating = terminating;
            seen.send_replace(Seen::Pods(Arc::new(vec![pod.clone()])));
            let everything = Everything::read(&store, &mut faults).await.expect("objects");
            if terminating {
                reports(&store).await;
            }
            controller.describe_pods(&everything, &mut round).await.expect("done");
            let endpoint = store
                .get::<SliceEndpointSpec>(&name("web-0"))
                .await
                .expect("an endpoint");
            assert_eq!(endpoint.spec.drained, terminating);
            assert_eq!(endpoint.status.renewed_at.is_some(), terminating, "its report stays");
        }
        seen.send_replace(Seen::Pods(Arc::default()));
        let everything = Everything::read(&store, &mut faults).await.expect("objects");
        reports(&store).await;
        controller.describe_pods(&everything, &mut round).await.expect("done");
        let gone = store.get::<SliceEndpointSpec>(&name("web-0")).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
        assert_eq!(
            round.told,
            [
                "endpoint web-0: is new",
                "endpoint web-0: is drained",
                "endpoint web-0: its pod is gone"
            ]
        );
    }
}
