//! Writes the status of the endpoint, in a task of its own: however long the store takes, the agent goes on.

use tokio::time::Instant;

use crate::clock::RENEWED;
use crate::objects::{Condition, LabelValue, Name, SliceEndpoint, SliceEndpointSpec, SliceEndpointStatus, Timestamp};
use crate::store::{Store, StoreError};
use crate::writing::{Next, Written};

use super::tell;

/// For how many renewals another run has to be silent before this one reports again.
const SILENT: u32 = 3;

/// Another run that reports for the same endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rival {
    instance: LabelValue,
    renewed: Option<Timestamp>,
    /// It was seen to report again after this run had: it is alive, and no trace of an earlier run.
    alive: bool,
    /// How often it was looked at since it last reported.
    silent: u32,
}

/// What writes the status of an endpoint.
#[derive(Debug)]
pub(super) struct StatusOfEndpoint {
    pub(super) endpoint: Name,
    /// The run that reports.
    pub(super) instance: LabelValue,
    /// Whether another run reports for the endpoint, and began later: this one is to end.
    pub(super) yields: tokio::sync::watch::Sender<bool>,
    rival: Option<Rival>,
    /// When the other was looked at last.
    looked: Option<Instant>,
    /// This run has written something.
    has_written: bool,
    /// The object as this run has written it last. Where it has changed since, the next write is a conflict.
    last: Option<SliceEndpoint>,
}

impl StatusOfEndpoint {
    pub(super) fn new(endpoint: Name, instance: LabelValue) -> Self {
        Self {
            endpoint,
            instance,
            yields: tokio::sync::watch::channel(false).0,
            rival: None,
            looked: None,
            has_written: false,
            last: None,
        }
    }

    fn yields(&self) -> bool {
        self.rival
            .as_ref()
            .is_some_and(|rival| rival.alive && rival.instance > self.instance)
    }

    /// Looks whether the other run still reports, as often as it would.
    async fn look_at_rival(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < RENEWED) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let endpoint = store.get::<SliceEndpointSpec>(&self.endpoint).await?;
        let Some(rival) = &mut self.rival else { return Ok(()) };
        if rival.renewed == endpoint.status.renewed_at {
            rival.silent += 1;
        } else {
            (rival.renewed, rival.silent) = (endpoint.status.renewed_at, 0);
        }
        if rival.silent > SILENT {
            tell("the other agent no longer reports: this one does again");
            self.rival = None;
        }
        Ok(())
    }

    /// Notes who else reports: what an earlier run has left is replaced, and does not come back.
    fn note_rival(&mut self, endpoint: &SliceEndpoint) {
        let other = endpoint.status.instance.as_ref().filter(|one| **one != self.instance);
        let (Some(other), true) = (other, self.has_written) else {
            return;
        };
        let renewed = endpoint.status.renewed_at;
        let seen = |rival: &Rival| rival.instance == *other && rival.renewed != renewed;
        let alive = self.rival.as_ref().is_some_and(|rival| rival.alive || seen(rival));
        if alive && !self.rival.as_ref().is_some_and(|rival| rival.alive) {
            tell(&format!(
                "another agent reports for SliceEndpoint {} too: run {other} beside this one, run {}; end one of them{}",
                self.endpoint,
                self.instance,
                if *other > self.instance {
                    "; this one is the earlier, and serves nothing"
                } else {
                    ""
                }
            ));
        }
        self.rival = Some(Rival {
            instance: other.clone(),
            renewed,
            alive,
            silent: 0,
        });
    }

    async fn write_once(&mut self, store: &Store, status: &SliceEndpointStatus) -> Result<(), StoreError> {
        loop {
            let mut endpoint = match self.last.take() {
                Some(last) => last,
                None => store.get::<SliceEndpointSpec>(&self.endpoint).await?,
            };
            self.note_rival(&endpoint);
            if self.yields() {
                return Ok(());
            }
            let mut conditions = status.conditions.clone();
            let generation = endpoint.metadata.generation;
            keep_since(&mut conditions, &endpoint.status.conditions, generation);
            endpoint.status = SliceEndpointStatus {
                observed_generation: generation,
                conditions,
                ..status.clone()
            };
            match store.update_status(&endpoint).await {
                Err(StoreError::Conflict { .. }) => {}
                other => {
                    self.last = Some(other?);
                    self.has_written = true;
                    return Ok(());
                }
            }
        }
    }
}

impl Written for StatusOfEndpoint {
    type Value = SliceEndpointStatus;

    async fn write(&mut self, store: &Store, status: &SliceEndpointStatus) -> Result<Next, StoreError> {
        let mut done = Ok(());
        if self.yields() {
            done = self.look_at_rival(store).await;
        }
        if done.is_ok() && !self.yields() {
            done = self.write_once(store, status).await;
        }
        let yields = self.yields();
        self.yields
            .send_if_modified(|before| std::mem::replace(before, yields) != yields);
        done?;
        Ok(if yields { Next::Again(RENEWED) } else { Next::Done })
    }
}

/// Keeps the time from which on each condition is as it is.
fn keep_since(conditions: &mut [Condition], before: &[Condition], generation: u64) {
    for one in conditions {
        one.observed_generation = generation;
        if let Some(before) = before
            .iter()
            .find(|other| other.kind == one.kind && other.status == one.status)
        {
            one.last_transition_time = before.last_transition_time;
        }
    }
}
