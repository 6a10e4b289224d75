//! Admission policies: who may write what, where roles alone cannot tell one pod from another.

use serde_json::{Value, json};

use crate::objects::ENDPOINT_LEASE;
use crate::objects::{GROUP, Kind, VERSION};

/// Who is who, as Kubernetes names service accounts.
#[derive(Clone, Debug)]
pub struct Identities {
    /// The namespace of objects and controller.
    pub namespace: String,
    /// The controller's service account.
    pub controller: String,
}

/// Returns the policies and their bindings. They hold in one namespace, for everybody but the controller and cluster administrators:
///
/// - The status of a `SliceEndpoint` is written by the pod of its name, in its namespace: by a token that is bound to it,
///   as those are that kubelet mounts. Nothing else of it is.
/// - A `SliceNode` is written by a pod on the node of its name.
/// - Maps, moves and the status of sets are the controller's alone.
/// - The `Lease` of an endpoint is renewed and given up by the pod of its name: it is given, and taken, by the controller.
#[must_use]
pub fn policies(identities: &Identities) -> Vec<Value> {
    let mut made = Vec::new();
    made.extend(policy(
        "ssa-sliceendpoints",
        identities,
        &["sliceendpoints", "sliceendpoints/status"],
        &[
            (
                "has(request.subResource) && request.subResource == 'status'",
                "only the controller makes, changes or deletes a SliceEndpoint; its pod writes the status",
            ),
            (
                "'authentication.kubernetes.io/pod-name' in request.userInfo.extra && \
                 request.userInfo.extra['authentication.kubernetes.io/pod-name'][0] == request.name",
                "the status of a SliceEndpoint is written by the pod of its name, with a token that is bound to it",
            ),
            (
                "request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')",
                "the status of a SliceEndpoint is written by a pod of its namespace",
            ),
        ],
    ));
    made.extend(policy(
        "ssa-slicenodes",
        identities,
        &["slicenodes", "slicenodes/status"],
        &[(
            "'authentication.kubernetes.io/node-name' in request.userInfo.extra && \
             request.userInfo.extra['authentication.kubernetes.io/node-name'][0] == request.name",
            "a SliceNode is written by a pod on the node of its name, with a token that is bound to it",
        )],
    ));
    made.extend(policy(
        "ssa-controller-only",
        identities,
        &["slicemaps", "slicemoves", "slicemoves/status", "slicesets/status"],
        &[("false", "only the controller writes it")],
    ));
    made.extend(leases(identities));
    made
}

/// Other leases of the namespace are none of ours.
fn leases(identities: &Identities) -> [Value; 2] {
    let by_its_pod = format!(
        "'authentication.kubernetes.io/pod-name' in request.userInfo.extra && \
         '{ENDPOINT_LEASE}' + request.userInfo.extra['authentication.kubernetes.io/pod-name'][0] == request.name && \
         request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')"
    );
    let [mut policy, binding] = policy(
        "ssa-leases",
        identities,
        &[Kind::Lease.plural()],
        &[
            (
                "request.operation == 'UPDATE'",
                "only the controller makes or deletes the lease of an endpoint; its pod renews it",
            ),
            (
                &by_its_pod,
                "the lease of an endpoint is renewed by the pod of its name, with a token that is bound to it",
            ),
            (
                "request.operation != 'UPDATE' || !has(object.spec.holderIdentity) || \
                 (has(oldObject.spec.holderIdentity) && object.spec.holderIdentity == oldObject.spec.holderIdentity)",
                "only the controller gives the lease of an endpoint to somebody",
            ),
        ],
    );
    policy["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"] = json!([Kind::Lease.group()]);
    policy["spec"]["matchConstraints"]["resourceRules"][0]["apiVersions"] = json!([Kind::Lease.version()]);
    if let Some(conditions) = policy["spec"]["matchConditions"].as_array_mut() {
        let expression = format!("request.name.startsWith('{ENDPOINT_LEASE}')");
        conditions.insert(0, json!({"name": "of-an-endpoint", "expression": expression}));
    }
    [policy, binding]
}

fn policy(name: &str, identities: &Identities, resources: &[&str], rules: &[(&str, &str)]) -> [Value; 2] {
    let Identities { namespace, controller } = identities;
    // Policies are the cluster's, and each namespace with a controller has its own.
    let name = format!("{name}.{namespace}");
    let controller = format!("system:serviceaccount:{namespace}:{controller}");
    let rules: Vec<Value> = rules
        .iter()
        .map(|(expression, message)| json!({"expression": expression, "message": message, "reason": "Forbidden"}))
        .collect();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "resourceRules": [{
                    "apiGroups": [GROUP],
                    "apiVersions": [VERSION],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                    "resources": resources,
                }],
            },
            "matchConditions": [
                {
                    "name": "not-the-controller",
                    "expression": format!("request.userInfo.username != '{controller}'"),
                },
                {
                    "name": "no-administrator",
                    "expression": "!('system:masters' in request.userInfo.groups)",
                },
                {
                    "name": "not-the-garbage-collector",
                    "expression": "!(request.operation == 'DELETE' && request.userInfo.username in \
                                   ['system:serviceaccount:kube-system:generic-garbage-collector', \
                                   'system:serviceaccount:kube-system:namespace-controller'])",
                },
            ],
            "validations": rules,
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    [policy, binding]
}
