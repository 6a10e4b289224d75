//! Endpoints that refuse what they are given.

use std::collections::{BTreeMap, BTreeSet};

use ssa_slices::handover::overlap;

use crate::objects::{LabelValue, Name, Prefix, SliceEndpoint, SliceSet};

/// Which endpoints have refused prefixes, for as long as the same run of their agent goes on.
///
/// An endpoint that has nothing has nothing to refuse. So that it is not given the same again, that it refused is
/// remembered until its agent has been started anew, with other flags perhaps. A new leader has to learn it again.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_endpoint: BTreeMap<Name, (Option<LabelValue>, BTreeSet<Prefix>)>,
}

/// The most refused prefixes of an endpoint that are remembered: one is enough.
const MAX_REMEMBERED: usize = 64;

impl Refusals {
    /// Notes what endpoints say now.
    pub(super) fn note(&mut self, endpoints: &BTreeMap<Name, SliceEndpoint>) {
        self.by_endpoint.retain(|name, (instance, _)| {
            let endpoint = endpoints.get(name);
            endpoint.is_some_and(|one| one.status.instance == *instance)
        });
        for endpoint in endpoints.values().filter(|one| !one.status.refused.is_empty()) {
            let made = || (endpoint.status.instance.clone(), BTreeSet::new());
            let (_, refused) = self.by_endpoint.entry(endpoint.name().clone()).or_insert_with(made);
            let room = MAX_REMEMBERED.saturating_sub(refused.len());
            refused.extend(endpoint.status.refused.iter().take(room).copied());
        }
    }

    /// Finds a prefix of a set that an endpoint has refused. Such an endpoint is to have nothing of the set: whatever it may
    /// not route, it is not told what that is before it is given it.
    pub(super) fn of(&self, set: &SliceSet, endpoint: &Name) -> Option<Prefix> {
        let (_, refused) = self.by_endpoint.get(endpoint)?;
        let space = set.spec.space().ok()?;
        let is_of_set = |prefix: &&Prefix| space.items().any(|item| overlap(item, prefix.net()));
        refused.iter().find(is_of_set).copied()
    }
}
