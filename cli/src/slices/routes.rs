//! The plan as `ip -6 route` commands, which may be run again and again.

use std::{collections::BTreeSet, net::Ipv6Addr};

use ipnet::Ipv6Net;
use ssa_slices::document::Document;

use crate::failure::Failure;

/// The commands of a router: every prefix to its endpoint's next hop.
///
/// New routes come first and stale ones go last, so that no address is without a route in between.
pub(super) fn of_router(plan: &Document, former: Option<&Document>) -> Result<Vec<String>, Failure> {
    let mut faults = crate::failure::Faults::default();
    let mut commands = Vec::new();
    for endpoint in plan.endpoints.iter().filter(|endpoint| !endpoint.prefixes.is_empty()) {
        let Some(via) = endpoint.via else {
            let message = "no next hop; give NAME,via=ADDRESS, or \"via\" in the file";
            faults.push(format!("--endpoint {}", endpoint.name), message);
            continue;
        };
        commands.extend(
            endpoint
                .prefixes
                .iter()
                .map(|prefix| format!("ip -6 route replace {prefix} via {via}")),
        );
    }
    faults.check()?;
    let planned: BTreeSet<Ipv6Net> = plan
        .endpoints
        .iter()
        .flat_map(|endpoint| endpoint.prefixes.clone())
        .collect();
    let stale = former
        .into_iter()
        .flat_map(|former| &former.endpoints)
        .flat_map(|endpoint| {
            let via = |via: Ipv6Addr| format!(" via {via}");
            let via = endpoint.via.map_or_else(String::new, via);
            let gone = endpoint.prefixes.iter().filter(|prefix| !planned.contains(*prefix));
            gone.map(move |prefix| format!("ip -6 route del {prefix}{via}"))
        });
    commands.extend(stale);
    Ok(commands)
}

/// The commands of an endpoint: every prefix of its own is local.
pub(super) fn of_endpoint(name: &str, plan: &Document, former: Option<&Document>) -> Result<Vec<String>, Failure> {
    let find = |document: &Document| {
        let endpoint = document.endpoints.iter().find(|endpoint| endpoint.name == name);
        endpoint.map(|endpoint| endpoint.prefixes.clone())
    };
    let Some(planned) = find(plan) else {
        let names: Vec<&str> = plan.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let message = format!("`{name}` is not an endpoint of the plan; allowed: {}", names.join(", "));
        return Err(Failure::input("--local", message));
    };
    let mut commands: Vec<String> = planned
        .iter()
        .map(|prefix| format!("ip -6 route replace local {prefix} dev lo"))
        .collect();
    let stale = former.and_then(find).unwrap_or_default();
    let stale = stale.iter().filter(|prefix| !planned.contains(prefix));
    commands.extend(stale.map(|prefix| format!("ip -6 route del local {prefix} dev lo")));
    Ok(commands)
}
