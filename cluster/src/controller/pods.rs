//! Endpoints that follow from pods: those of sets with a selector.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::SliceSet;
use crate::{
    objects::{LabelValue, MAX_ENDPOINT_SETS, Name, Owner, SliceEndpoint, SliceEndpointSpec},
    store::Pod,
};

/// What is known of pods.
#[derive(Debug, Clone, Default)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "controllers run on Linux alone")
)]
pub(super) enum Seen {
    /// Nothing yet, or nothing any more: endpoints stay as they are.
    #[default]
    Nothing,
    /// The store has no pods.
    None,
    /// They cannot be followed.
    Fault(
        /// Why.
        String,
    ),
    /// All of them.
    Pods(
        /// The pods of the namespace.
        Arc<Vec<Pod>>,
    ),
}

/// What is to be done about the object of an endpoint.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// It is made.
    Create(
        /// As it shall be.
        SliceEndpoint,
    ),
    /// Its spec is replaced.
    Update(
        /// As it shall be.
        SliceEndpoint,
    ),
    /// It is deleted.
    Delete(
        /// As it was seen.
        SliceEndpoint,
    ),
}

/// Returns the labels that a set selects pods by.
fn selector(set: &SliceSet) -> Option<&BTreeMap<String, LabelValue>> {
    set.spec.endpoints.selector.as_ref()
}

/// Says whether a set selects its endpoints from pods.
pub(super) fn selects(set: &SliceSet) -> bool {
    selector(set).is_some()
}

/// Returns what is to be done so that there is an endpoint for each pod that a set selects, and none for one that is gone;
/// and what is wrong.
///
/// A pod that is told to end, or is not ready, has an endpoint that is drained: what it has goes to others, while it serves
/// on. So has one that no set selects any more.
pub(super) fn changes(
    sets: &[SliceSet],
    pods: &[Pod],
    endpoints: &BTreeMap<Name, SliceEndpoint>,
) -> (Vec<Change>, Vec<String>) {
    let (mut changes, mut faults) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| !pod.ended) {
        let mut serves: Vec<Name> = sets
            .iter()
            .filter(|set| takes(set, pod))
            .map(|set| set.name().clone())
            .collect();
        let Ok(name) = Name::new(&pod.name) else { continue };
        let known = endpoints.get(&name);
        match known.map(|known| known.metadata.owner.as_ref()) {
            Some(Some(owner)) if owner.uid == pod.uid => {}
            // That of an earlier pod of this name, which is deleted below.
            Some(Some(_)) => continue,
            Some(None) => {
                for set in &serves {
                    faults.push(format!(
                        "SliceSet {set}: spec.endpoints.selector selects the pod {name}, but SliceEndpoint {name} \
                         belongs to no pod, and is left alone"
                    ));
                }
                continue;
            }
            None if serves.is_empty() => continue,
            None => {}
        }
        let Some(address) = pod.address else { continue };
        if serves.len() > MAX_ENDPOINT_SETS {
            faults.push(format!(
                "pod {name}: {} slice sets select it; it serves the first {MAX_ENDPOINT_SETS}",
                serves.len()
            ));
            serves.truncate(MAX_ENDPOINT_SETS);
        }
        let is_selected = !serves.is_empty();
        let before = known.map(|known| &known.spec);
        let spec = SliceEndpointSpec {
            slice_sets: if is_selected {
                serves
            } else {
                before.map(|before| before.slice_sets.clone()).unwrap_or_default()
            },
            domain: pod.zone.clone().or_else(|| LabelValue::new(pod.node.as_deref()?).ok()),
            node: pod.node.clone(),
            http_port: pod.http_port.and_then(ssa_snapshot::Port::new),
            drained: !is_selected || pod.terminating || !pod.ready,
            ..endpoint(address)
        };
        match known {
            Some(known) if known.spec != spec => {
                let mut known = known.clone();
                known.spec = spec;
                changes.push(Change::Update(known));
            }
            Some(_) => {}
            None => {
                let mut made = SliceEndpoint::new(name, spec);
                made.metadata.owner = Some(Owner {
                    name: pod.name.clone(),
                    uid: pod.uid.clone(),
                });
                changes.push(Change::Create(made));
            }
        }
    }
    let living: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| !pod.ended)
        .map(|pod| pod.uid.as_str())
        .collect();
    for known in endpoints.values() {
        let owner = known.metadata.owner.as_ref();
        if owner.is_some_and(|owner| !living.contains(owner.uid.as_str())) {
            changes.push(Change::Delete(known.clone()));
        }
    }
    (changes, faults)
}

fn endpoint(address: std::net::Ipv6Addr) -> SliceEndpointSpec {
    SliceEndpointSpec {
        slice_sets: Vec::new(),
        address,
        tunnel: crate::objects::Tunnel::default(),
        http_port: None,
        node: None,
        domain: None,
        weight: ssa_snapshot::Number::default(),
        drained: false,
    }
}

/// Says whether a set selects a pod. No labels at all select none.
fn takes(set: &SliceSet, pod: &Pod) -> bool {
    selector(set).is_some_and(|wanted| {
        let has =
            |(name, value): (&String, &LabelValue)| pod.labels.get(name).map(String::as_str) == Some(value.as_str());
        !wanted.is_empty() && wanted.iter().all(has)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(name: &str, app: &str) -> SliceSet {
        let spec = json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"selector": {"app": app}}});
        SliceSet::new(
            Name::new(name).expect("a name"),
            serde_json::from_value(spec).expect("a spec"),
        )
    }

    fn pod(name: &str, uid: &str) -> Pod {
        Pod {
            name: name.into(),
            uid: uid.into(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            address: Some("fd00::1".parse().expect("an address")),
            node: Name::new("node-1").ok(),
            http_port: Some(9476),
            ready: true,
            ..Pod::default()
        }
    }

    /// Does what is to be done, and says what that was.
    fn done(
        sets: &[SliceSet],
        pods: &[Pod],
        endpoints: &mut BTreeMap<Name, SliceEndpoint>,
    ) -> (Vec<String>, Vec<String>) {
        let (changes, faults) = changes(sets, pods, endpoints);
        let told = changes.into_iter().map(|change| match change {
            Change::Create(one) | Change::Update(one) => {
                let (name, spec) = (one.name().clone(), &one.spec);
                let sets: Vec<&str> = spec.slice_sets.iter().map(Name::as_str).collect();
                let domain = spec.domain.as_ref().map_or("-", |domain| domain.as_str());
                let told = format!("{name} {} in {domain}, drained: {}", sets.join(" "), spec.drained);
                endpoints.insert(name, one);
                told
            }
            Change::Delete(one) => {
                endpoints.remove(one.name());
                format!("{} goes", one.name())
            }
        });
        (told.collect(), faults)
    }

    #[test]
    fn an_endpoint_follows_its_pod_from_its_address_to_its_end() {
        let sets = [set("one", "web"), set("two", "web"), set("other", "db")];
        let mut endpoints = BTreeMap::new();
        let mut one = pod("web-0", "1");
        (one.address, one.ready) = (None, false);
        let mut step = |pod: &[Pod], wanted: &[&str]| {
            let (told, faults) = done(&sets, pod, &mut endpoints);
            assert_eq!(
                (told, faults),
                (wanted.iter().map(|one| (*one).to_owned()).collect(), vec![])
            );
        };
        step(std::slice::from_ref(&one), &[]);
        one.address = Some("fd00::1".parse().expect("an address"));
        step(std::slice::from_ref(&one), &["web-0 one two in node-1, drained: true"]);
        step(std::slice::from_ref(&one), &[]);
        (one.ready, one.zone) = (true, LabelValue::new("zone-a").ok());
        step(std::slice::from_ref(&one), &["web-0 one two in zone-a, drained: false"]);
        one.terminating = true;
        step(std::slice::from_ref(&one), &["web-0 one two in zone-a, drained: true"]);
        // The next pod of this name is another one: its endpoint is made anew.
        let again = pod("web-0", "2");
        step(std::slice::from_ref(&again), &["web-0 goes"]);
        step(
            std::slice::from_ref(&again),
            &["web-0 one two in node-1, drained: false"],
        );
        let mut relabelled = again.clone();
        relabelled.labels.clear();
        step(
            std::slice::from_ref(&relabelled),
            &["web-0 one two in node-1, drained: true"],
        );
        let ended = Pod { ended: true, ..again };
        step(&[ended], &["web-0 goes"]);
        step(&[], &[]);
    }

    #[test]
    fn what_is_no_pods_is_left_alone() {
        let listed = SliceEndpoint::new(
            Name::new("web-0").expect("a name"),
            endpoint(std::net::Ipv6Addr::LOCALHOST),
        );
        let mut endpoints: BTreeMap<Name, SliceEndpoint> = [(listed.name().clone(), listed)].into();
        let (told, faults) = done(&[set("one", "web")], &[pod("web-0", "1")], &mut endpoints);
        assert_eq!(told, [""; 0]);
        assert!(
            faults[0].contains("SliceEndpoint web-0 belongs to no pod"),
            "{faults:?}"
        );
        let (told, faults) = done(&[set("one", "web")], &[], &mut endpoints);
        assert_eq!((told, faults), (vec![], vec![]));
    }

    #[test]
    fn a_pod_serves_a_bounded_number_of_sets() {
        let sets: Vec<SliceSet> = (0..17).map(|number| set(&format!("s{number}"), "web")).collect();
        let (changes, faults) = changes(&sets, &[pod("web-0", "1")], &BTreeMap::new());
        assert_eq!(faults, ["pod web-0: 17 slice sets select it; it serves the first 16"]);
        let Some(Change::Create(made)) = changes.first() else {
            panic!("{changes:?}")
        };
        assert_eq!(made.spec.slice_sets.len(), MAX_ENDPOINT_SETS);
        assert_eq!(made.spec.http_port.map(ssa_snapshot::Port::get), Some(9476));
        assert_eq!(made.check(), Ok(()));
    }
}
