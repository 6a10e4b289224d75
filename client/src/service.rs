//! A service that is followed.

use std::{
    net::Ipv6Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ssa_rules::{FailedAddresses, RandomBits, Rule};
use tokio::sync::{oneshot, watch};

use crate::{
    clock,
    error::{PlanError, PlanFault, ServiceError},
    options::Options,
    plan::{Plan, Target, Want},
    state::{Material, State},
};

/// A service. Clones share what is known of it, and what failed; when the last of them goes, it is followed no longer.
#[derive(Clone, Debug)]
pub struct Service(Arc<Shared>);

/// What the clones of a service share.
#[derive(Debug)]
pub(crate) struct Shared {
    name: Arc<str>,
    state: watch::Sender<Arc<State>>,
    failed: Mutex<FailedAddresses>,
    options: Options,
    /// Ends whoever follows the service when it is dropped.
    #[expect(dead_code, reason = "what counts is that it is dropped")]
    stop: Option<oneshot::Sender<()>>,
}

/// Tells of changes of what is known of a service.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Arc<State>>);

impl Changes {
    /// Waits for the next change: of records, addresses, or the sources of this host. Without end once nobody has the
    /// service any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Service {
    /// Makes a service of records that are known already: for tests, and where neither DNS nor shim is asked. `records` are
    /// the TXT records at `_ssa`.
    ///
    /// # Errors
    ///
    /// Where no record is usable.
    pub fn fixed(name: &str, apl: Option<&str>, records: &[&str], options: Options) -> Result<Self, ServiceError> {
        let material = Material {
            apl: apl.map(str::parse).transpose()?,
            records: records.iter().map(|record| record.as_bytes().to_vec()).collect(),
            ..Material::default()
        };
        let state = State::new(&material, &options.keys, options.source);
        if state.published.rules().is_empty() {
            return Err(ServiceError::Unusable(state.why));
        }
        Ok(Self::new(name, state, options, None))
    }

    pub(crate) fn new(name: &str, state: State, options: Options, stop: Option<oneshot::Sender<()>>) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            state: watch::Sender::new(Arc::new(state)),
            failed: Mutex::default(),
            options,
            stop,
        }))
    }

    #[cfg(any(feature = "dns", feature = "socket"))]
    pub(crate) fn downgrade(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    #[cfg(any(feature = "dns", feature = "socket"))]
    pub(crate) fn upgrade(shared: &std::sync::Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(Self)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Plans for what is wanted, by what is known of the service now. It allocates nothing, asks nobody and does bounded
    /// work: a proof of work is bounded by [`Options::with_max_pow`].
    ///
    /// Random bits choose what the rule leaves open: an item, the first replica, and the rand fields.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn plan(&self, want: &Want<'_>, random: &mut impl RandomBits) -> Result<Plan, PlanError> {
        let state = self.state();
        let failed = self.failed();
        let failed_at = |address, now| failed.failed_at(address, now);
        let plan = state.plan(want, self.0.options.limits, failed_at, random);
        plan.map_err(|fault| self.error(fault))
    }

    /// Plans for all replicas of what is wanted, one target for each, replica 0 first: for
    /// [`write_to_all`](crate::write_to_all). Whether they failed recently makes no difference.
    ///
    /// # Errors
    ///
    /// Why no address can be composed.
    pub fn plan_all(&self, want: &Want<'_>, random: &mut impl RandomBits) -> Result<Vec<Target>, PlanError> {
        let state = self.state();
        let time = want.time.unwrap_or_else(|| clock::now().0);
        let replicas = state
            .published
            .client(ssa_rules::UnixTime(time))
            .map_or(1, |(rule, _)| rule.replicas());
        let plan = |replica| {
            let want = want.time(time).replica(replica);
            let plan = state.plan(&want, self.0.options.limits, |_, _| None, random);
            plan.map(|plan| plan.first())
        };
        let targets: Result<Vec<Target>, PlanFault> = (0..replicas).map(plan).collect();
        targets.map_err(|fault| self.error(fault))
    }

    /// Remembers for 30 s that connections to a target fail, so that plans have it last. [`Service::connect`] does so by
    /// itself; callers that connect by themselves say so here. At least 4096 addresses are remembered; the oldest give way.
    pub fn report_failure(&self, target: &Target) {
        self.failed().add(*target.address.ip(), clock::now());
    }

    /// Returns the published addresses (AAAA), for clients that do without SSA.
    #[must_use]
    pub fn addresses(&self) -> Vec<Ipv6Addr> {
        self.state().addresses.clone()
    }

    /// Returns why records are not used, or why none is; empty where all are.
    #[must_use]
    pub fn faults(&self) -> Arc<str> {
        self.state().why.clone()
    }

    /// Returns what tells of changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.0.state.subscribe())
    }

    /// Returns the sources that connections to the service have, by the item of an address; nothing for addresses that are
    /// not in it.
    #[must_use]
    pub fn source_for(&self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        let state = self.state();
        let mut items = state.published.rules().iter().flat_map(Rule::positive_items);
        let (_, item) = items.find(|(_, item)| item.contains(&address))?;
        let own = state.sources.iter().find(|own| own.item == item);
        state.source.or(own.map(|own| own.source))
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.0.name.clone()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn error(&self, fault: PlanFault) -> PlanError {
        PlanError {
            service: self.0.name.clone(),
            fault,
        }
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.0.state.borrow().clone()
    }

    #[cfg(any(feature = "dns", feature = "socket"))]
    pub(crate) fn set(&self, state: State) {
        self.0.state.send_replace(Arc::new(state));
    }

    /// Asks the kernel for the sources again, and returns whether one has changed.
    pub(crate) fn refresh_sources(&self) -> bool {
        let fresh = self.state().with_fresh_sources();
        let changed = fresh.is_some();
        if let Some(state) = fresh {
            self.0.state.send_replace(Arc::new(state));
        }
        changed
    }

    fn failed(&self) -> MutexGuard<'_, FailedAddresses> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
