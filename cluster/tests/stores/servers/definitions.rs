//! What an API server refuses by the definitions alone, before any program of ours sees it.

use serde_json::{Value, json};
use ssa_cluster::objects::{SliceSet, SliceSetSpec, Spec as _};

use crate::fixture::Env;

/// Spoils a set.
type Change = fn(&mut Value);

/// A set that is fine.
fn set(change: Change) -> Value {
    let mut set = json!({
        "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceSet", "metadata": {"name": "fine"},
        "spec": {
            "service": "store.example", "apl": "2:2001:db8:5::/64 !2:2001:db8:5::/96",
            "endpoints": {"list": [{"name": "a", "address": "2001:db8::1"}]},
        },
    });
    change(&mut set);
    set
}

/// What the types refuse of a set as a whole, `kubectl apply` tells too.
pub(super) async fn what_the_types_refuse_the_server_refuses(env: Env) {
    let running = env.fixture.kubernetes().unwrap().running();
    let path = format!("/apis/ssa.dev.example/v1alpha1/namespaces/{}/slicesets", env.area);
    env.open().await;
    let changes: [(Change, &str); 9] = [
        (
            |set| set["metadata"]["name"] = "a".repeat(234).into(),
            "at most 233 bytes",
        ),
        (
            |set| set["spec"]["replicas"] = 3.into(),
            "firstFieldBits is required with more than one replica",
        ),
        (
            |set| set["spec"]["apl"] = "1:192.0.2.0/24".into(),
            "apl has no IPv6 item",
        ),
        (|set| set["spec"]["apl"] = "2001:db8:5::/64".into(), "spec.apl"),
        (
            |set| set["spec"]["endpoints"]["selector"] = json!({"a": "b"}),
            "exactly one of selector and list is required",
        ),
        (
            |set| set["spec"]["endpoints"] = json!({}),
            "exactly one of selector and list is required",
        ),
        (|set| set["spec"]["endpoints"] = json!({"selector": {}}), "selector"),
        (
            |set| {
                let one = set["spec"]["endpoints"]["list"][0].clone();
                set["spec"]["endpoints"]["list"] = json!([one.clone(), one]);
            },
            "Duplicate",
        ),
        (
            |set| {
                let one = json!({"prefix": "2001:db8:5::/78", "endpoint": "a"});
                set["spec"]["placement"] = json!({"pinned": [one.clone(), one]});
            },
            "Duplicate",
        ),
    ];
    for (change, why) in changes {
        let spoilt = set(change);
        assert!(SliceSet::from_value(&spoilt).is_err(), "{why}");
        match running.make(&path, &spoilt).await {
            Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains(why) => {}
            outcome => panic!("{outcome:?} instead of: {why}"),
        }
    }
    let mut fine = set(|_| ());
    running.make(&path, &fine).await.unwrap();
    fine["metadata"]["name"] = "a".repeat(SliceSetSpec::MAX_NAME).into();
    running.make(&path, &fine).await.unwrap();
}
