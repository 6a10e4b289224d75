//! Admission policies: who may write what, where roles alone cannot tell one pod from another.

use serde_json::{Value, json};

use crate::objects::{GROUP, VERSION};

/// Who is who, as Kubernetes names service accounts.
#[derive(Clone, Debug)]
pub struct Identities {
    /// The controller's: `system:serviceaccount:NAMESPACE:NAME`.
    pub controller: String,
}

/// Returns the policies and their bindings. They hold for everybody but the controller and cluster administrators:
///
/// - The status of a `SliceEndpoint` is written by the pod of its name, in its namespace: by a token that is bound to it,
///   as those are that kubelet mounts. Nothing else of it is.
/// - A `SliceNode` is written by a pod on the node of its name.
/// - Maps, moves and the status of sets are the controller's alone.
#[must_use]
pub fn policies(identities: &Identities) -> Vec<Value> {
    let mut made = Vec::new();
    made.extend(policy(
        "ssa-sliceendpoints",
        &identities.controller,
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
        &identities.controller,
        &["slicenodes", "slicenodes/status"],
        &[(
            "'authentication.kubernetes.io/node-name' in request.userInfo.extra && \
             request.userInfo.extra['authentication.kubernetes.io/node-name'][0] == request.name",
            "a SliceNode is written by a pod on the node of its name, with a token that is bound to it",
        )],
    ));
    made.extend(policy(
        "ssa-controller-only",
        &identities.controller,
        &["slicemaps", "slicemoves", "slicemoves/status", "slicesets/status"],
        &[("false", "only the controller writes it")],
    ));
    made
}

fn policy(name: &str, controller: &str, resources: &[&str], rules: &[(&str, &str)]) -> [Value; 2] {
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
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [GROUP],
                "apiVersions": [VERSION],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "resources": resources,
            }]},
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
