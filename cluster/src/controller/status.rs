//! What the leader tells of a set in its status.

use super::{Controller, report::Report};
use crate::{
    objects::{Condition, ConditionStatus, Epoch, LabelValue, Message, SliceSet, Timestamp},
    store::StoreError,
};

/// Something to know of a set: its type, whether it holds, why in one word, and why for people.
struct Told<'a>(&'static str, bool, &'static str, std::borrow::Cow<'a, str>);

impl Controller {
    /// Writes the status of a set that is served, if it has changed.
    pub(super) async fn describe(
        &self,
        set: &SliceSet,
        report: &Report,
        epoch: Epoch,
        placed: Option<LabelValue>,
        wall: Timestamp,
    ) -> Result<(), StoreError> {
        let mut described = set.clone();
        let status = &mut described.status;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        status.observed_generation = set.metadata.generation;
        status.epoch = epoch;
        status.slices = count(report.slices);
        status.endpoints = count(report.endpoints);
        status.ready_endpoints = count(report.serving);
        status.wanted_endpoints = report.wanted;
        status.open_moves = count(report.open());
        status.imbalance_permille = report.imbalance_permille;
        status.placed = placed;
        let without = |count: usize, what: &str| format!("{count} of {} slices have no {what}", report.slices).into();
        let none = || "".into();
        let mut told = vec![Told("Accepted", true, "Accepted", none())];
        told.push(match report.without_owner {
            0 => Told("Ready", true, "EverySliceOwned", none()),
            missing => Told("Ready", false, "NoOwner", without(missing, "owner")),
        });
        match report.unfenced.as_deref() {
            None => {}
            Some([]) => told.push(Told("Fenced", true, "EveryOwnerHasALease", none())),
            Some(unfenced) => told.push(Told("Fenced", false, "NotYet", unfenced.join("; ").into())),
        }
        if set.spec.standby {
            told.push(match report.without_standby {
                0 => Told("StandbysReady", true, "EverySliceHasOne", none()),
                missing => Told("StandbysReady", false, "NoStandby", without(missing, "standby")),
            });
        }
        told.push(match report.refused.as_slice() {
            [] => Told("PrefixesRoutable", true, "NobodyRefuses", none()),
            refused => Told("PrefixesRoutable", false, "Refused", refused.join("; ").into()),
        });
        told.push(match report.stuck.as_slice() {
            [] => Told("MovesProgress", true, "NoneStuck", none()),
            stuck => {
                let message = format!("in one phase for longer than the deadline: {}", stuck.join(", "));
                Told("MovesProgress", false, "Stuck", message.into())
            }
        });
        let tolerance = 1000 + 10 * set.spec.balance.tolerance_percent.get();
        told.push(if report.imbalance_permille <= tolerance {
            Told("Balanced", true, "WithinTolerance", none())
        } else {
            let message = format!(
                "an endpoint has {} permille of its share; the tolerance is {tolerance}",
                report.imbalance_permille
            );
            Told("Balanced", false, "ShareAboveTolerance", message.into())
        });
        status.conditions = conditions(set, told, wall);
        self.write_status(set, described).await
    }

    /// Writes the status of a set that is not served, if it has changed.
    pub(super) async fn refuse(&self, set: &SliceSet, why: &str, wall: Timestamp) -> Result<(), StoreError> {
        let mut described = set.clone();
        let status = &mut described.status;
        status.observed_generation = set.metadata.generation;
        let mut told = conditions(set, vec![Told("Accepted", false, "PrefixConflict", why.into())], wall);
        let others = set
            .status
            .conditions
            .iter()
            .filter(|one| one.kind.as_str() != "Accepted");
        told.extend(others.cloned());
        status.conditions = told;
        self.write_status(set, described).await
    }

    async fn write_status(&self, set: &SliceSet, described: SliceSet) -> Result<(), StoreError> {
        if described.status == set.status {
            return Ok(());
        }
        self.store.update_status(&described).await.map(drop)
    }
}

fn conditions(set: &SliceSet, told: Vec<Told<'_>>, wall: Timestamp) -> Vec<Condition> {
    let made = told.into_iter().filter_map(|Told(kind, holds, reason, message)| {
        let status = if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        };
        let mut before = set.status.conditions.iter();
        let before = before.find(|one| one.kind.as_str() == kind && one.status == status);
        Some(Condition {
            kind: LabelValue::new(kind).ok()?,
            status,
            reason: LabelValue::new(reason).ok()?,
            message: Message::new(&message),
            last_transition_time: before.map_or(wall, |before| before.last_transition_time),
            observed_generation: set.metadata.generation,
        })
    });
    made.collect()
}
