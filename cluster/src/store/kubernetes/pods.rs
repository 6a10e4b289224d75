//! Pods of the store's namespace, as a list that follows them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use futures_util::{StreamExt, stream};
use http::Method;
use kube::core::WatchEvent;
use serde_json::Value;

use super::{
    KubernetesStore, Told,
    error::{failed, gone},
};
use crate::{
    objects::{Kind, LabelValue, Name, ResourceVersion},
    store::{AGENT_PORT, Pod, Pods, StoreError},
};

/// What pods are for, in what is told of failures.
const FOR: Kind = Kind::SliceEndpoint;

/// The label of nodes with their zone, a well-known one of Kubernetes.
const ZONE: &str = "topology.kubernetes.io/zone";

/// How many nodes' zones are remembered; a cluster of Kubernetes has at most about 5000.
const MAX_NODES: usize = 8192;

struct Following {
    store: KubernetesStore,
    pods: BTreeMap<String, Pod>,
    /// The zone of each node that was asked for.
    zones: BTreeMap<Name, Option<LabelValue>>,
    version: ResourceVersion,
    told: Option<Told>,
}

/// Follows the pods of a store's namespace.
pub(super) fn follow(store: &KubernetesStore) -> Pods {
    let following = Following {
        store: store.clone(),
        pods: BTreeMap::new(),
        zones: BTreeMap::new(),
        version: ResourceVersion::new("0"),
        told: None,
    };
    let states = stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        match following.next().await {
            Ok(()) => {
                let pods = Arc::new(following.pods.values().cloned().collect());
                Some((Ok(pods), Some(following)))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Box::pin(states)
}

impl Following {
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.store.namespace)
    }

    /// Waits for the next change; at first for the list.
    async fn next(&mut self) -> Result<(), StoreError> {
        loop {
            let Some(told) = &mut self.told else {
                return self.list().await;
            };
            let Some(event) = told.next().await else {
                // The server ends every watch after a while.
                self.told = match self.store.begin(FOR, &self.path(), &self.version).await {
                    Ok(told) => Some(told),
                    Err(StoreError::TooOld { .. }) => None,
                    Err(error) => return Err(error),
                };
                continue;
            };
            match event.map_err(|error| failed(error, FOR, ""))? {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    self.pass(&item);
                    let pod = self.read(&item).await?;
                    // Most changes of a pod are none of what counts here.
                    if self.pods.get(&pod.name) != Some(&pod) {
                        self.pods.insert(pod.name.clone(), pod);
                        return Ok(());
                    }
                }
                WatchEvent::Deleted(item) => {
                    self.pass(&item);
                    let name = item["metadata"]["name"].as_str().unwrap_or_default();
                    if self.pods.remove(name).is_some() {
                        return Ok(());
                    }
                }
                WatchEvent::Bookmark(mark) => self.version = ResourceVersion::new(mark.metadata.resource_version),
                WatchEvent::Error(status) => match gone(*status, FOR) {
                    StoreError::TooOld { .. } => self.told = None,
                    error => return Err(error),
                },
            }
        }
    }

    async fn list(&mut self) -> Result<(), StoreError> {
        let (items, version) = self.store.items(FOR, &self.path()).await?;
        self.pods.clear();
        for item in items {
            let pod = self.read(&item).await?;
            self.pods.insert(pod.name.clone(), pod);
        }
        self.told = Some(self.store.begin(FOR, &self.path(), &version).await?);
        self.version = version;
        Ok(())
    }

    fn pass(&mut self, item: &Value) {
        if let Some(version) = item["metadata"]["resourceVersion"].as_str() {
            self.version = ResourceVersion::new(version);
        }
    }

    async fn read(&mut self, item: &Value) -> Result<Pod, StoreError> {
        let mut pod = pod(item);
        if let Some(node) = pod.node.clone() {
            pod.zone = self.zone(node).await?;
        }
        Ok(pod)
    }

    /// Returns the zone of a node. One that is not there, or that may not be read, has none.
    async fn zone(&mut self, node: Name) -> Result<Option<LabelValue>, StoreError> {
        if let Some(zone) = self.zones.get(&node) {
            return Ok(zone.clone());
        }
        let asked = self
            .store
            .ask((FOR, &node), Method::GET, format!("/api/v1/nodes/{node}"), None)
            .await;
        let zone = match asked {
            Ok(found) => found["metadata"]["labels"][ZONE]
                .as_str()
                .and_then(|zone| LabelValue::new(zone).ok()),
            Err(StoreError::NotFound { .. } | StoreError::Denied { .. }) => None,
            Err(error) => return Err(error),
        };
        if self.zones.len() >= MAX_NODES {
            self.zones.clear();
        }
        self.zones.insert(node, zone.clone());
        Ok(zone)
    }
}

/// Reads what counts of a pod, but for its zone.
fn pod(item: &Value) -> Pod {
    let metadata = &item["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels = metadata["labels"].as_object();
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), text(value)));
    let conditions = item["status"]["conditions"].as_array();
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    Pod {
        name: text(&metadata["name"]),
        uid: text(&metadata["uid"]),
        labels: labels.collect(),
        address: address(&item["status"]),
        node: item["spec"]["nodeName"].as_str().and_then(|name| Name::new(name).ok()),
        zone: None,
        http_port: http_port(&item["spec"]),
        ready: conditions.into_iter().flatten().any(is_ready),
        terminating: !metadata["deletionTimestamp"].is_null(),
        ended: ["Succeeded", "Failed"].contains(&text(&item["status"]["phase"]).as_str()),
    }
}

/// Finds the agent's port. A native sidecar is among the init containers.
fn http_port(spec: &Value) -> Option<u16> {
    let lists = ["initContainers", "containers"].into_iter();
    let containers = lists.filter_map(|list| spec[list].as_array()).flatten();
    let mut ports = containers.filter_map(|one| one["ports"].as_array()).flatten();
    let port = ports.find(|port| port["name"] == AGENT_PORT)?;
    u16::try_from(port["containerPort"].as_u64()?)
        .ok()
        .filter(|port| *port > 0)
}

fn address(status: &Value) -> Option<Ipv6Addr> {
    let all = status["podIPs"].as_array().into_iter().flatten();
    let mut all = all.filter_map(|one| one["ip"].as_str()?.parse().ok());
    all.find_map(|address| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_counts_of_a_pod_is_read() {
        let running = json!({
            "metadata": {"name": "web-0", "uid": "1", "labels": {"app": "web"}},
            "spec": {
                "nodeName": "node-1",
                "initContainers": [
                    {"name": "first"},
                    {"name": "ssa-agent", "restartPolicy": "Always",
                     "ports": [{"name": "http", "containerPort": 80}, {"name": "ssa-agent", "containerPort": 9476}]},
                ],
                "containers": [{"name": "app", "ports": [{"containerPort": 8080}]}],
            },
            "status": {
                "phase": "Running",
                "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "fd00::2"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        let read = pod(&running);
        let wanted = Pod {
            name: "web-0".into(),
            uid: "1".into(),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            address: Some("fd00::1".parse().expect("an address")),
            node: Name::new("node-1").ok(),
            http_port: Some(9476),
            ready: true,
            ..Pod::default()
        };
        assert_eq!(read, wanted);
        let mut other = running;
        other["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        other["status"]["conditions"][0]["status"] = "False".into();
        other["status"]["phase"] = "Failed".into();
        let read = pod(&other);
        assert_eq!((read.ready, read.terminating, read.ended), (false, true, true));
        for wrong in [json!(0), json!(65536), json!("9476"), json!(null)] {
            other["spec"]["initContainers"][1]["ports"][1]["containerPort"] = wrong;
            assert_eq!(pod(&other).http_port, None);
        }
        // One that no node has yet.
        assert_eq!(pod(&json!({"metadata": {"name": "web-1"}})).address, None);
    }
}
