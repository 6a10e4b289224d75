//! Who may write what: the policies, heeded by a real API server.

use std::path::Path;

use serde_json::json;
use ssa_cluster::{
    objects::{
        Lease, LeaseSpec, Name, SliceEndpoint, SliceEndpointSpec, SliceMap, SliceNode, SliceNodeSpec, SliceSet,
        SliceSetSpec, Timestamp,
    },
    store::{Identities, Store, StoreError, policies},
};

use super::until;
use crate::fixture::Env;

fn denied<T: std::fmt::Debug>(outcome: Result<T, StoreError>, why: &str) {
    match outcome {
        Err(StoreError::Denied { reason, .. }) if reason.contains(why) => {}
        outcome => panic!("{outcome:?} instead of: {why}"),
    }
}

/// An agent renews and gives up its own lease; other leases of the namespace are none of the policy's.
async fn leases_are_given_by_the_controller(administrator: &Store, agent: &Store, log: &Path) {
    let lease = |name: &str, holder: Option<&str>| {
        let spec = json!({"leaseDurationSeconds": 10, "holderIdentity": holder});
        Lease::new(Name::new(name).unwrap(), serde_json::from_value(spec).unwrap())
    };
    let mut other = administrator
        .create(&lease("ssa-endpoint-a-1", Some("kernel-1")))
        .await
        .unwrap();
    let mut own = administrator
        .create(&lease("ssa-endpoint-a-0", Some("kernel-1")))
        .await
        .unwrap();
    until("the policy of leases", log, async || {
        other.spec.renew_time = Some(Timestamp::from_millis(1));
        match agent.update(&other).await {
            Err(StoreError::Denied { reason, .. }) if reason.contains("is renewed by the pod of its name") => Ok(()),
            Ok(kept) => {
                other = kept;
                other.spec.renew_time = None;
                Err("the policy is not heeded yet".to_owned())
            }
            outcome => Err(format!("{outcome:?}")),
        }
    })
    .await;
    own.spec.renew_time = Some(Timestamp::from_millis(1));
    let mut own = agent.update(&own).await.unwrap();
    own.spec.holder_identity = Some(Name::new("kernel-2").unwrap());
    denied(agent.update(&own).await, "only the controller gives the lease");
    own.spec.holder_identity = None;
    let mut own = agent.update(&own).await.unwrap();
    own.spec.holder_identity = Some(Name::new("kernel-1").unwrap());
    denied(agent.update(&own).await, "only the controller gives the lease");
    let only_the_controller = "only the controller makes or deletes the lease of an endpoint";
    denied(agent.delete::<LeaseSpec>(own.name(), None).await, only_the_controller);
    denied(
        agent.create(&lease("ssa-endpoint-a-2", None)).await,
        only_the_controller,
    );
    agent.create(&lease("another", Some("somebody"))).await.unwrap();
}

/// Roles let all pods of the namespace write everything here: what stands between them are the policies.
#[expect(
    clippy::too_many_lines,
    reason = "one story: who is there, then what each of them may write"
)]
pub(super) async fn an_agent_writes_its_own_objects_alone(env: Env) {
    let running = env.fixture.kubernetes().unwrap().running();
    let (area, administrator) = (env.area.as_str(), env.open().await);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let accounts = format!("/api/v1/namespaces/{area}/serviceaccounts");
    for name in ["app", "controller"] {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        running.make(&accounts, &account).await.unwrap();
    }
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "ssa-all"},
        "rules": [{"apiGroups": ["ssa.dev.example", "coordination.k8s.io"], "resources": ["*"], "verbs": ["*"]}]
    });
    running.make(&format!("{rbac}/clusterroles"), &role).await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "ssa-all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ssa-all"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group",
                      "name": format!("system:serviceaccounts:{area}")}]
    });
    running
        .make(&format!("{rbac}/namespaces/{area}/rolebindings"), &binding)
        .await
        .unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}});
    running.make("/api/v1/nodes", &node).await.unwrap();
    let mut pods = Vec::new();
    for name in ["a-0", "a-1"] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"serviceAccountName": "app", "nodeName": "node-1", "containers": [{"name": "c", "image": "none"}]}
        });
        pods.push(
            running
                .make(&format!("/api/v1/namespaces/{area}/pods"), &pod)
                .await
                .unwrap(),
        );
        let spec = serde_json::from_value(json!({"address": "2001:db8::1"})).unwrap();
        administrator
            .create(&SliceEndpoint::new(Name::new(name).unwrap(), spec))
            .await
            .unwrap();
    }
    let set = json!({"service": "s", "apl": "2:2001:db8:5::/64", "endpoints": {"list": []}});
    let set = SliceSet::new(Name::new("one").unwrap(), serde_json::from_value(set).unwrap());
    let mut set = administrator.create(&set).await.unwrap();
    let identities = Identities {
        namespace: area.to_owned(),
        controller: "controller".to_owned(),
    };
    for policy in policies(&identities) {
        let kind = match policy["kind"].as_str().unwrap() {
            "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
            _ => "validatingadmissionpolicybindings",
        };
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}");
        running.make(&path, &policy).await.unwrap();
    }
    let token = running.token(area, "app", Some(&pods[0])).await;
    let agent = running.store_of(area, &token).await;
    let (own, other) = (Name::new("a-0").unwrap(), Name::new("a-1").unwrap());
    let write = async |store: &Store, name: &Name| {
        let mut endpoint = store.get::<SliceEndpointSpec>(name).await?;
        endpoint.status.ready = !endpoint.status.ready;
        store.update_status(&endpoint).await
    };
    // The server takes a moment until it heeds a policy.
    let by_its_pod = "the status of a SliceEndpoint is written by the pod of its name";
    until("the policies", &running.log(), async || {
        match write(&agent, &other).await {
            Err(StoreError::Denied { reason, .. }) if reason.contains(by_its_pod) => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        }
    })
    .await;
    write(&agent, &own).await.unwrap();
    let mut endpoint = agent.get::<SliceEndpointSpec>(&own).await.unwrap();
    endpoint.spec.drained = true;
    let by_the_controller = "only the controller makes, changes or deletes a SliceEndpoint";
    denied(agent.update(&endpoint).await, by_the_controller);
    denied(agent.delete::<SliceEndpointSpec>(&own, None).await, by_the_controller);
    let third = SliceEndpoint::new(Name::new("a-2").unwrap(), endpoint.spec.clone());
    denied(agent.create(&third).await, by_the_controller);
    // A token that is bound to no pod is no pod's.
    let unbound = running.store_of(area, &running.token(area, "app", None).await).await;
    denied(write(&unbound, &own).await, by_its_pod);
    let by_its_node = "a SliceNode is written by a pod on the node of its name";
    let node = SliceNode::new(Name::new("node-1").unwrap(), SliceNodeSpec {});
    until("the policy of nodes", &running.log(), async || {
        match agent
            .create(&SliceNode::new(Name::new("node-2").unwrap(), SliceNodeSpec {}))
            .await
        {
            Err(StoreError::Denied { reason, .. }) if reason.contains(by_its_node) => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        }
    })
    .await;
    let mut node = agent.create(&node).await.unwrap();
    node.status.ready = true;
    agent.update_status(&node).await.unwrap();
    let map = json!({"sliceSet": "one", "epoch": 1});
    let map = SliceMap::new(Name::new("one-0").unwrap(), serde_json::from_value(map).unwrap());
    until("the policy of maps", &running.log(), async || {
        match agent.create(&map).await {
            Err(StoreError::Denied { reason, .. }) if reason.contains("only the controller writes it") => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        }
    })
    .await;
    leases_are_given_by_the_controller(&administrator, &agent, &running.log()).await;
    set.status.slices = 7;
    denied(agent.update_status(&set).await, "only the controller writes it");
    // The user's own object is a matter of roles.
    set.spec.standby = false;
    agent.update(&set).await.unwrap();
    let token = running.token(area, "controller", None).await;
    let controller = running.store_of(area, &token).await;
    let mut set = controller
        .get::<SliceSetSpec>(&Name::new("one").unwrap())
        .await
        .unwrap();
    set.status.slices = 8;
    controller.update_status(&set).await.unwrap();
    let named = SliceMap::new(Name::new("one-1").unwrap(), map.spec);
    controller.create(&named).await.unwrap();
    let mut endpoint = controller.get::<SliceEndpointSpec>(&own).await.unwrap();
    endpoint.spec.drained = true;
    controller.update(&endpoint).await.unwrap();
    controller.delete::<SliceEndpointSpec>(&other, None).await.unwrap();
}
