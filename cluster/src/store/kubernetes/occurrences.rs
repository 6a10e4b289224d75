//! Events of Kubernetes.

use http::Method;
use serde_json::{Value, json};

use super::KubernetesStore;
use crate::{
    clock::now,
    store::{Occurrence, StoreError},
};

/// What tells them, as `kubectl describe` names it.
const COMPONENT: &str = "ssa-controller";

/// The longest message of an Event, in bytes.
const MOST: usize = 1024;

/// Makes an Event about an object.
pub(super) async fn publish(store: &KubernetesStore, occurrence: &Occurrence, by: &str) -> Result<(), StoreError> {
    let (kind, name) = (occurrence.kind, &occurrence.name);
    // `kubectl describe` finds the Events of an object by this alone.
    let object = format!("{}/{name}", store.path(kind));
    let object = store.ask((kind, name), Method::GET, object, None).await?;
    let event = event(occurrence, by, &store.namespace, &object["metadata"]["uid"]);
    let path = format!("/api/v1/namespaces/{}/events", store.namespace);
    let body = Some(("application/json", event));
    store.ask((kind, name), Method::POST, path, body).await.map(drop)
}

fn event(occurrence: &Occurrence, by: &str, namespace: &str, uid: &Value) -> Value {
    let Occurrence {
        kind,
        name,
        reason,
        message,
        warning,
    } = occurrence;
    let now = now();
    let message = message.get(..message.floor_char_boundary(MOST)).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{name}."), "namespace": namespace},
        "involvedObject": {
            "apiVersion": kind.api_version(),
            "kind": kind.name(),
            "namespace": namespace,
            "name": name,
            "uid": uid,
        },
        "reason": reason,
        "message": message,
        "type": if *warning { "Warning" } else { "Normal" },
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Kind, Name};

    #[test]
    fn a_message_has_as_many_bytes_as_it_may_have() {
        let occurrence = Occurrence {
            kind: Kind::SliceSet,
            name: Name::new("web").expect("a name"),
            reason: "PrefixesRefused",
            message: "ä".repeat(1000),
            warning: true,
        };
        let event = event(&occurrence, "controller-1", "shop", &json!("1"));
        assert_eq!(event["message"], "ä".repeat(512));
        assert_eq!(
            (&event["type"], &event["involvedObject"]["kind"]),
            (&json!("Warning"), &json!("SliceSet"))
        );
    }
}
