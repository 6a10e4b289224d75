//! What the socket tells: one line of JSON for all that there is at a moment.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use ssa_slices::handover::{Map, View};

use crate::agent::world::Part;
use crate::followed::Objects;
use crate::objects::{Name, SliceEndpoint};

/// Returns what an endpoint has and who its siblings are.
pub(in crate::agent) fn state(
    endpoint: &Name,
    world: &Objects,
    maps: &BTreeMap<Name, Map>,
    views: &BTreeMap<Name, View>,
    part: &Part,
    ready: bool,
) -> Value {
    let me = endpoint.as_str();
    let sets = maps.iter().map(|(set, map)| {
        let owned = map.owned().filter(|(_, owner)| owner.as_str() == me);
        let standby = map.standbys().filter(|(_, standby)| standby.as_str() == me);
        let taken = views.get(set).into_iter().flat_map(|view| &view.taken);
        json!({
            "sliceSet": set,
            "epoch": map.epoch().get(),
            "owned": owned.map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>(),
            "standby": standby.map(|(prefix, _)| prefix.to_string()).collect::<Vec<_>>(),
            "taken": taken.map(|(prefix, owner)| json!({"prefix": prefix.to_string(), "from": owner.as_str()})).collect::<Vec<_>>(),
        })
    });
    let moves = part.moves.iter().map(|one| {
        json!({
            "name": one.name(),
            "sliceSet": one.spec.slice_set,
            "epoch": one.epoch(),
            "phase": one.status.phase,
            "from": one.giver(),
            "to": one.taker(),
            "prefixes": one.spec.prefixes,
        })
    });
    let mine = world
        .endpoints
        .get(endpoint)
        .map(|one| one.spec.slice_sets.as_slice())
        .unwrap_or_default();
    let is_sibling =
        |one: &&SliceEndpoint| one.name() != endpoint && one.spec.slice_sets.iter().any(|set| mine.contains(set));
    let siblings = world.endpoints.iter().filter(is_sibling).map(|one| {
        json!({"name": one.name(), "address": one.spec.address, "domain": one.spec.domain, "ready": one.status.ready})
    });
    json!({
        "endpoint": endpoint,
        "ready": ready,
        "sliceSets": sets.collect::<Vec<_>>(),
        "moves": moves.collect::<Vec<_>>(),
        "siblings": siblings.collect::<Vec<_>>(),
    })
}
