//! The controller: it decides which endpoint owns which slice, and leads slices from one to another.
//!
//! It works in rounds. Each reads all objects, and does what is next by what they say: a round needs nothing of the round
//! before but how long something has been so. So a controller may be killed at any moment, and another one goes on. One
//! leads at a time; a write that was decided on old objects is a conflict, and the round is begun again.
//!
//! An object at fault changes nothing: the sets, maps and moves that can be read go on. What one set makes fail stops no
//! other.

mod balance;
mod calm;
mod chains;
#[cfg(target_os = "linux")]
mod events;
mod everything;
mod leases;
mod leftovers;
mod liveness;
mod maps;
mod moves;
mod pieces;
mod placement;
mod pods;
mod report;
mod round;
#[cfg(target_os = "linux")]
mod run;
mod serve;
mod status;
mod telemetry;
mod wishes;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use maps::{StoredMap, stored_map};
pub use placement::slots;
pub use report::Report;
pub use round::{Change, Round};
#[cfg(target_os = "linux")]
pub use run::{Heard, run};
pub use telemetry::{record, record_leading, record_left_out};

use crate::{
    lease,
    load::LoadReport,
    objects::{Name, ResourceVersion, SliceMove, SliceNode, SliceSet, Timestamp},
    store::{Store, StoreError},
};
use balance::Loads;
use calm::Calm;
use everything::Everything;
use leases::Leased;
use liveness::Liveness;
use moves::Memory;
use tokio::sync::watch;

/// How patient a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An endpoint that has not renewed its status for so long is lost.
    pub lost_after: Duration,
    /// Routers have followed once the old owner has had nothing to hand on for so long.
    pub quiet: Duration,
    /// Routers are not waited for any longer than this.
    pub converge_limit: Duration,
    /// Slices are spread anew over pods once these have been the same for so long, unless one leaves that has some.
    pub settle: Duration,
    /// How many moves that are over are kept for people to read, in each set.
    pub kept_moves: usize,
}

impl Default for Options {
    /// 15 s, 2 s, 30 s, 3 s and 64 moves.
    fn default() -> Self {
        Self {
            lost_after: Duration::from_secs(15),
            quiet: Duration::from_secs(2),
            converge_limit: Duration::from_secs(30),
            settle: Duration::from_secs(3),
            kept_moves: 64,
        }
    }
}

/// A controller. It has to lead: [`crate::election`] says who does.
#[derive(Debug)]
pub struct Controller {
    store: Store,
    options: Options,
    liveness: Liveness<Option<Timestamp>>,
    /// The same of nodes.
    hosts: Liveness<Option<Timestamp>>,
    /// By which name it holds leases of endpoints.
    identity: Name,
    /// When the leases of endpoints were seen to change last.
    renewals: Liveness<Option<ResourceVersion>>,
    leased: Leased,
    memory: Memory,
    calm: Calm,
    loads: Loads,
    /// What endpoints have said of their loads since the last round.
    measured: Option<BTreeMap<Name, LoadReport>>,
    pods: watch::Receiver<pods::Seen>,
}

impl Controller {
    /// Makes a controller that knows nothing yet.
    #[must_use]
    pub fn new(store: Store, options: Options) -> Self {
        Self {
            store,
            options,
            liveness: Liveness::default(),
            hosts: Liveness::default(),
            identity: lease::leader(),
            renewals: Liveness::default(),
            leased: Leased::default(),
            memory: Memory::default(),
            calm: Calm::default(),
            loads: Loads::default(),
            measured: None,
            pods: watch::channel(pods::Seen::Nothing).1,
        }
    }

    /// Takes what endpoints say of their loads: in the next round slices may move for it. To be called every
    /// [`INTERVAL`](crate::load::INTERVAL).
    pub fn measure(&mut self, reports: BTreeMap<Name, LoadReport>) {
        self.measured = Some(reports);
    }

    /// Does what is next. `now` is the time by a clock that never goes back; `wall` is what is written for people.
    ///
    /// # Errors
    ///
    /// What the store says when it does not answer; the next round goes on from there. What concerns one set alone is a
    /// fault of the round, and others go on.
    pub async fn round(&mut self, now: Duration, wall: Timestamp) -> Result<Round, StoreError> {
        let mut round = Round::default();
        let mut everything = Everything::read(&self.store, &mut round.faults).await?;
        let endpoints = everything.endpoints.values();
        let blind = self
            .liveness
            .note(endpoints.map(|one| (one.name(), one.status.renewed_at)), now);
        self.memory.discount(blind);
        let nodes = everything.nodes.iter();
        self.hosts
            .note(nodes.map(|one| (one.name(), one.status.renewed_at)), now);
        // A host that is gone follows nothing, and nobody is to wait for it.
        let silent = |node: &SliceNode| self.hosts.silent_for(node.name(), now);
        let lost_after = self.options.lost_after;
        everything
            .nodes
            .retain(|node| silent(node).is_some_and(|silent| silent < lost_after));
        self.lease(&mut everything, (now, wall), &mut round).await?;
        let open: BTreeSet<&Name> = everything
            .moves
            .iter()
            .filter(|one| !one.status.phase.is_final())
            .map(SliceMove::name)
            .collect();
        self.memory.retain(|name| open.contains(name));
        let is_there = |name: &Name| everything.sets.iter().any(|set| set.name() == name);
        self.loads.retain(is_there);
        self.calm.retain(is_there);
        self.describe_pods(&everything, &mut round).await?;
        self.forget_sets(&everything, &mut round).await?;
        let measured = self.measured.take();
        let overlaps = everything.overlaps();
        for set in &everything.sets {
            let done = if let Some(overlap) = overlaps.get(set.name()) {
                round.faults.push(format!("SliceSet {}: {overlap}", set.name()));
                self.refuse(set, &overlap.to_string(), wall).await
            } else {
                self.serve(set, &everything, measured.as_ref(), (now, wall), &mut round)
                    .await
            };
            match done {
                // Somebody else has written, which begins another round.
                Ok(()) | Err(StoreError::Conflict { .. } | StoreError::Exists { .. } | StoreError::NotFound { .. }) => {
                }
                Err(error @ (StoreError::Invalid { .. } | StoreError::Denied { .. })) => {
                    round.faults.push(format!("SliceSet {}: {error}", set.name()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(round)
    }
}
