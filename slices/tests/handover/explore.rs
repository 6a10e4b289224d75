//! Every order of events.

use std::collections::HashMap;

use ssa_slices::handover::Ownership;

use crate::setting::Setting;
use crate::state::{End, Event, ROUTERS, World};

/// So many worlds are tried; with `SSA_LONG` in the environment, all of them.
const MOST: usize = 45_000;

/// Tries every order of events; tells how many worlds there are, or how the first wrong one came to be.
///
/// In every world nothing may be lost. From every world a way must lead to rest, where handovers are over and new flows come to
/// the owner that the map names.
pub(crate) fn explore(setting: &mut Setting, first: &World) -> Result<usize, String> {
    let mut graph = Graph::default();
    graph.add(first, None);
    let mut at = 0;
    while let Some(world) = graph.worlds.get(at).copied() {
        if let Some(wrong) = wrong_with(setting, &world) {
            return Err(graph.story(at, &wrong));
        }
        for event in world.events(setting) {
            let after = world.after(event, setting);
            if after != world {
                graph.add(&after, Some((at, event)));
            }
        }
        at += 1;
        if at == MOST && std::env::var_os("SSA_LONG").is_none() {
            return Ok(at); // the nearest ones; whether all come to rest is seen with all
        }
    }
    graph.all_come_to_rest(setting)?;
    Ok(at)
}

#[derive(Default)]
struct Graph {
    numbers: HashMap<World, usize>,
    worlds: Vec<World>,
    came_from: Vec<Option<(usize, Event)>>,
    before: Vec<Vec<u32>>,
}

impl Graph {
    fn add(&mut self, world: &World, from: Option<(usize, Event)>) {
        let number = *self.numbers.entry(*world).or_insert(self.worlds.len());
        if number == self.worlds.len() {
            self.worlds.push(*world);
            self.came_from.push(from);
            self.before.push(Vec::new());
        }
        if let Some((from, _)) = from {
            self.before[number].push(u32::try_from(from).unwrap());
        }
    }

    fn story(&self, at: usize, wrong: &str) -> String {
        let mut story = Vec::new();
        let mut step = self.came_from[at];
        while let Some((before, event)) = step {
            story.push(format!("{event:?}"));
            step = self.came_from[before];
        }
        story.reverse();
        let handovers: Vec<String> = self.worlds[at]
            .handovers
            .iter()
            .flatten()
            .map(|one| format!("{one:?}"))
            .collect();
        format!("{wrong}\nafter {}\n{}", story.join(", "), handovers.join("\n"))
    }

    fn all_come_to_rest(&self, setting: &Setting) -> Result<(), String> {
        let mut comes = vec![false; self.worlds.len()];
        let mut open: Vec<usize> = Vec::new();
        for (number, world) in self.worlds.iter().enumerate() {
            if world.is_over() && setting.at_rest(world) && served_by_owners(setting, world) {
                comes[number] = true;
                open.push(number);
            }
        }
        while let Some(number) = open.pop() {
            for before in &self.before[number] {
                let before = *before as usize;
                if !comes[before] {
                    comes[before] = true;
                    open.push(before);
                }
            }
        }
        match comes.iter().position(|comes| !comes) {
            Some(stuck) => Err(self.story(stuck, "never comes to rest")),
            None => Ok(()),
        }
    }
}

fn served_by_owners(setting: &Setting, world: &World) -> bool {
    let mut served = true;
    for router in 0..ROUTERS {
        for probe in 0..setting.probes.len() {
            let owner = setting.owner(world, setting.probes[probe]);
            setting.send(world, router, probe, None, |end| {
                served &= owner.map(End::Delivered) == Some(end);
            });
        }
    }
    served
}

/// What is lost, other than at a host that is down; or who accepts beside another, where ownership is exclusive.
fn wrong_with(setting: &Setting, world: &World) -> Option<String> {
    let mut wrong = None;
    let exclusive = setting.ownership == Ownership::Exclusive;
    for probe in 0..setting.probes.len() {
        for router in 0..ROUTERS {
            setting.send(world, router, probe, None, |end| {
                // An endpoint that was taken for lost gives up at once, and routers have yet to hear of it.
                let gives_up = |one| !setting.rehash && !setting.announces(world, one, probe);
                let fine = match end {
                    End::Delivered(_) | End::AtDeadHost => true,
                    End::NotLocal(one) => gives_up(one),
                    End::Refused => exclusive,
                    End::NoRoute | End::Reset(_) => false,
                };
                if !fine {
                    wrong = Some(format!("router {router}: a new flow to probe {probe} ends as {end:?}"));
                }
            });
            // A flow may change its router where all is planned; where there is harm, it comes as it came before.
            let calm = setting.is_calm(world);
            let has_flows = |one: usize| {
                let through = |from: usize| (setting.rehash || from == router) && world.has_flows(one, from, probe);
                (0..ROUTERS).any(through)
            };
            for holder in (0..4).filter(|one| calm && world.is_up(*one) && has_flows(*one)) {
                setting.send(world, router, probe, Some(holder), |end| {
                    let gave_up =
                        matches!(end, End::NotLocal(one) if !setting.rehash && !setting.announces(world, one, probe));
                    if !gave_up && !matches!(end, End::Delivered(_) | End::AtDeadHost) {
                        wrong = Some(format!(
                            "router {router}: a flow of {holder} to probe {probe} ends as {end:?}"
                        ));
                    }
                });
            }
        }
        if exclusive && setting.acceptors(world, probe).len() > 1 {
            wrong = Some(format!(
                "{:?} accept new flows to probe {probe}",
                setting.acceptors(world, probe)
            ));
        }
    }
    wrong
}
