//! `ssa slices explain`.

use std::{collections::BTreeSet, net::Ipv6Addr};

use ipnet::Ipv6Net;
use serde::Serialize;
use ssa_cluster::objects::{Phase, SliceMove, SliceSet};
use ssa_slices::handover::{Admission, EndpointName, Handover, KernelRoute, Map, Ownership, View, fences, routes};

use super::{
    status::State,
    stored::{StoreArgs, Stored, now, reported},
};
use crate::{
    Outcome,
    failure::{Failure, Faults},
    output::Output,
    style::{self, paint},
};

const EXAMPLES: &str = "\
Computes from the objects of the store what the kernels of the endpoints should hold; it asks no kernel.

Examples:
  ssa slices explain --store /var/lib/ssa 2001:db8:5::7
  ssa slices explain 2001:db8:5::7 --json --store /var/lib/ssa

Exit codes: 0 the address has an owner that is ready; 1 it is in no set, or has no such owner;
2 usage, no store, or objects at fault.";

/// Explains where the packets to an address go: its slice, owner, standby, open move and routes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// An address of a service
    #[arg(value_name = "ADDRESS")]
    address: String,
    #[command(flatten)]
    store: StoreArgs,
}

/// What the store says of an address in one set.
#[derive(Debug, Serialize)]
struct Place {
    set: String,
    service: String,
    slice: Ipv6Net,
    /// The prefix that the map names the owner of.
    prefix: Option<Ipv6Net>,
    owner: Option<String>,
    owner_state: State,
    standby: Option<String>,
    r#move: Option<Open>,
    /// Where routers send packets, by the best announcement.
    routed_to: Option<String>,
    endpoints: Vec<Held>,
}

#[derive(Debug, Serialize)]
struct Open {
    name: String,
    from: Option<String>,
    to: String,
    phase: Phase,
}

/// What the kernel of one endpoint holds for an address, by table the longest prefix.
#[derive(Debug, Default, Serialize)]
struct Held {
    endpoint: String,
    /// Table 500.
    local: Option<Ipv6Net>,
    /// Table 600: the peer that new flows are handed to.
    outgoing: Option<(Ipv6Net, String)>,
    /// Table 601: the peer that packets of unknown flows are handed to.
    incoming: Option<(Ipv6Net, String)>,
    /// The route that is announced, with its metric.
    announced: Option<(Ipv6Net, u32)>,
    /// Where ownership is exclusive.
    fence: Option<Fenced>,
}

/// Of what an endpoint takes new flows, where ownership is exclusive.
#[derive(Debug, Serialize)]
struct Fenced {
    /// Whether its kernel holds its lease: else it takes none.
    lease: bool,
    /// From the network.
    direct: bool,
    /// Out of a tunnel.
    tunnelled: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Outcome, Failure> {
    let address: Ipv6Addr = args.address.parse().map_err(|_| {
        let problem = format!("`{}` is not an IPv6 address, such as 2001:db8:5::7", args.address);
        Failure::input("ADDRESS", problem)
    })?;
    let mut faults = Faults::default();
    let stored = args.store.open()?.read(&mut faults)?;
    let places = stored.sets.iter().filter_map(|set| Place::new(set, address, &stored));
    let places: Vec<Place> = places.collect();
    if places.is_empty() {
        faults.check()?;
        return Err(Failure::not_fine(
            address.to_string(),
            "is in the address list of no slice set",
        ));
    }
    if out.is_json() {
        out.json(&serde_json::json!({ "address": address, "sets": places, "faults": faults.0 }));
    } else {
        for place in &places {
            place.print(out);
        }
        if !faults.0.is_empty() {
            out.faults(&faults.0);
        }
    }
    if !faults.0.is_empty() {
        return Ok(Outcome::BadInput);
    }
    let served = |place: &Place| place.owner_state == State::Ready;
    Ok(if places.iter().all(served) {
        Outcome::Fine
    } else {
        Outcome::NotFine
    })
}

impl Place {
    fn new(set: &SliceSet, address: Ipv6Addr, stored: &Stored) -> Option<Self> {
        let space = set.spec.space().ok()?;
        let slice = space.prefix_of(space.slice_of(address)?)?;
        let host = Ipv6Net::from(address);
        let map = stored.map(set).map;
        let of_set = stored.moves.iter().filter(|one| one.spec.slice_set == *set.name());
        let handovers: Vec<Handover> = of_set.map(SliceMove::handover).collect();
        let open = stored
            .open_moves(set)
            .filter(|one| one.spec.prefixes.iter().any(|prefix| prefix.has(address)));
        let open = open.max_by_key(|one| one.epoch());
        let owned = map.owned_around(host);
        let owner = owned.map(|(_, owner)| owner.clone());
        // Whoever may hold something: those whom the map names, and both sides of moves.
        let mut names: BTreeSet<EndpointName> = owner.iter().cloned().collect();
        names.extend(
            map.standbys()
                .filter(|(prefix, _)| prefix.contains(&host))
                .map(|(_, name)| name.clone()),
        );
        for handover in handovers
            .iter()
            .filter(|one| one.prefixes.iter().any(|prefix| prefix.contains(&host)))
        {
            names.extend(handover.from.iter().chain([&handover.to]).cloned());
        }
        let endpoints = names.iter().map(|name| Held::new(name, host, &map, &handovers, stored));
        let endpoints: Vec<Held> = endpoints.filter(Held::is_something).collect();
        // The longest prefix decides, then the lowest metric.
        let best = endpoints.iter().filter_map(|held| {
            let (prefix, metric) = held.announced?;
            Some((std::cmp::Reverse(prefix.prefix_len()), metric, &held.endpoint))
        });
        let known = owner.as_ref().and_then(|owner| stored.endpoints.get(owner.as_str()));
        Some(Self {
            set: set.name().to_string(),
            service: set.spec.service.to_string(),
            slice,
            prefix: owned.map(|(prefix, _)| prefix),
            owner_state: State::of(known, reported(known, now())),
            standby: map.standby(host).map(ToString::to_string),
            owner: owner.map(|owner| owner.to_string()),
            r#move: open.map(|one| Open {
                name: one.name().to_string(),
                from: one.giver().map(ToString::to_string),
                to: one.taker().to_string(),
                phase: one.status.phase,
            }),
            routed_to: best.min().map(|(_, _, name)| name.clone()),
            endpoints,
        })
    }

    fn print(&self, out: &mut Output) {
        let mut row = |name: &str, text: String| {
            out.line(format_args!("{}{text}", paint(style::HEADING, format!("{name:<9}"))));
        };
        let nobody = || "nobody".to_owned();
        row("set", format!("{}, of {}", self.set, self.service));
        row("slice", self.slice.to_string());
        let owner = match (&self.owner, self.prefix) {
            (Some(owner), Some(prefix)) => format!("{owner} ({}), by {prefix}", self.owner_state.told()),
            _ => nobody(),
        };
        row("owner", owner);
        row("standby", self.standby.clone().unwrap_or_else(nobody));
        let open = self.r#move.as_ref().map(|one| {
            let from = one.from.as_deref().unwrap_or("nobody");
            format!("{}: {from} to {}, {:?}", one.name, one.to, one.phase)
        });
        row("move", open.unwrap_or_else(|| "none is open".to_owned()));
        let routed = self.routed_to.as_deref().unwrap_or("nobody: no endpoint announces it");
        row("routers", format!("send packets to {routed}"));
        for held in &self.endpoints {
            out.line("");
            out.line(paint(style::HEADING, format!("at {}", held.endpoint)));
            held.print(out);
        }
    }
}

impl Held {
    fn new(name: &EndpointName, host: Ipv6Net, map: &Map, handovers: &[Handover], stored: &Stored) -> Self {
        let mut held = Self {
            endpoint: name.to_string(),
            ..Self::default()
        };
        let view = view(name, stored);
        if map.ownership() == Ownership::Exclusive {
            let admission = Admission::of(&fences(name, map, handovers, &view));
            let takes = |set: &BTreeSet<Ipv6Net>| set.iter().any(|prefix| prefix.contains(&host));
            held.fence = Some(Fenced {
                lease: stored.holds_lease(name.as_str()),
                direct: takes(&admission.direct),
                tunnelled: takes(&admission.tunnelled),
            });
        }
        for route in routes(name, map, handovers, &view) {
            let prefix = route.prefix();
            // In ascending order: of those that hold an address, the last one is the longest.
            if !prefix.contains(&host) {
                continue;
            }
            match route {
                KernelRoute::Local { .. } => held.local = Some(prefix),
                KernelRoute::Outgoing { to, .. } => held.outgoing = Some((prefix, to.to_string())),
                KernelRoute::Incoming { from, .. } => held.incoming = Some((prefix, from.to_string())),
                KernelRoute::Announced { metric, .. } => held.announced = Some((prefix, metric.value())),
            }
        }
        held
    }

    fn is_something(&self) -> bool {
        self.local.is_some() || self.outgoing.is_some() || self.incoming.is_some() || self.announced.is_some()
    }

    fn print(&self, out: &mut Output) {
        let mut row = |name: &str, text: String| out.line(format_args!("  {name:<21}{text}"));
        if let Some((prefix, metric)) = self.announced {
            row("announced", format!("{prefix} metric {metric}"));
        }
        if let Some(prefix) = self.local {
            row("table 500, local", prefix.to_string());
        }
        if let Some((prefix, to)) = &self.outgoing {
            row("table 600, outgoing", format!("{prefix} to {to}"));
        }
        if let Some((prefix, from)) = &self.incoming {
            row("table 601, incoming", format!("{prefix} to {from}"));
        }
        if let Some(fence) = &self.fence {
            let lease = if fence.lease { "is held" } else { "is not held" };
            row("its lease", lease.to_owned());
            let tunnelled = if fence.lease && fence.tunnelled {
                "delivered"
            } else {
                "refused"
            };
            row("a new flow by tunnel", tunnelled.to_owned());
        }
        let (new, unknown) = self.meets();
        row("its own flows", self.delivered("delivered"));
        row("a new flow", new);
        row("an unknown flow", unknown);
    }

    fn delivered(&self, how: &str) -> String {
        if self.local.is_some() {
            how
        } else {
            "not delivered here"
        }
        .to_owned()
    }

    /// What becomes of a packet that opens a flow, and of one whose flow this endpoint does not know.
    fn meets(&self) -> (String, String) {
        let peer = |held: &Option<(Ipv6Net, String)>| held.as_ref().map(|(_, peer)| format!("handed to {peer}"));
        let (outgoing, incoming) = (peer(&self.outgoing), peer(&self.incoming));
        let refuses = self.fence.as_ref().is_some_and(|fence| !(fence.lease && fence.direct));
        let how = |how| if refuses { "refused" } else { how };
        let new = outgoing.clone().unwrap_or_else(|| self.delivered(how("delivered")));
        let unknown = incoming.or(outgoing);
        (
            new,
            unknown.unwrap_or_else(|| self.delivered(how("delivered, and reset"))),
        )
    }
}

/// What an endpoint knows of its peers, as far as the store tells. Nothing is announced for one that is not there.
fn view(name: &EndpointName, stored: &Stored) -> View {
    let unready = || View {
        unready: true,
        ..View::default()
    };
    let endpoint = stored.endpoints.get(name.as_str());
    endpoint.map_or_else(unready, |one| one.stored_view(stored.endpoints.values()))
}
