//! The kernel of one network namespace: routes, rules, tunnels and the ruleset that tells flows apart.
//!
//! ```text
//!             eth0                       tunnel `try`                  tunnel `final`
//!               │                             │                             │
//!     ┌─────────┴──────────────┐   ┌──────────┴───────────────┐            │
//!     │ of a flow known here?  │   │ of a flow known here?    │            │
//!     │ yes: no mark           │   │ yes, or opens one: none  │            │
//!     │ opens one:  mark 1     │   │ no: mark 3; not TCP: 4   │            │
//!     │ neither: mark 2, or 1  │   └──────────┬───────────────┘            │
//!     └─────────┬──────────────┘              │                            │
//!               ▼                             ▼                            ▼
//!     rule 16  mark 1 → table 600  Outgoing   (by `try` to the new owner)
//!     rule 17  mark 2 → table 601  Incoming   (by `try` to the old owner)
//!     rule 18  mark 3 → table 602  Incoming   (by `final` to the old owner)
//!     rule 19  mark 3 or 4 → table 603  Outgoing   (by `final` back to the new owner)
//!     rule 20  interface → table 500          local: delivered
//!     rule 21  interface, the service's addresses → dropped
//! ```
//!
//! The ruleset never changes while slices move: a mark is set only if a table has a route for it. A packet that neither
//! end knows, such as the one that completes a handshake by SYN cookie, goes back once by `final`, and whatever comes
//! out of `final` is delivered: nothing loops.
//!
//! Everything here carries [`PROTOCOL`] or a name of its own. What others have put into a table, preference, mark or name
//! that is needed here is an error that says whose it is, and is left alone. What others change of what was set here is
//! seen and set again.

mod allowed;
mod applied;
mod batch;
mod error;
mod flows;
mod forwarding;
mod host;
mod links;
mod measure;
mod netlink;
mod nft;
mod plan;
mod routes;
mod rules;
mod steering;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use ssa_slices::handover::{Admission, EndpointName, KernelRoute};
use tokio::time::Instant;

use applied::count;
use steering::{Filled, Steering};
use watch::{Dirty, Watch, Watched};

pub use allowed::{Allowed, AllowedError, InterfaceName, InterfaceNameError};
pub use applied::{Applied, Repaired};
pub use error::{Error, Refusal, Refused};
pub use flows::{Flows, flows};
pub use host::{Host, HostRoute};
pub use measure::{Counted, Grains, MOST as MAX_COUNTED};
pub use netlink::Netlink;
pub use plan::{Route, Target};
pub use routes::{Changes, Routes};

/// The protocol number of all routes and rules that are set here, as `ip route show proto 199` takes it.
pub const PROTOCOL: u8 = 199;

/// Tables of routes.
pub mod table {
    /// Prefixes whose addresses are delivered here.
    pub const LOCAL: u32 = 500;
    /// What the routing daemon announces. No rule leads here: its routes forward nothing.
    pub const ANNOUNCED: u32 = 510;
    /// Prefixes whose new flows go to a peer.
    pub const OUTGOING: u32 = 600;
    /// Prefixes whose unknown flows go to a peer.
    pub const INCOMING: u32 = 601;
    /// The same as [`INCOMING`], by the tunnel whose packets are delivered whatever they are.
    pub const FINAL_INCOMING: u32 = 602;
    /// The same as [`OUTGOING`], by that tunnel.
    pub const FINAL_OUTGOING: u32 = 603;
    /// The kernel's main table.
    pub const MAIN: u32 = 254;

    /// The tables in which nobody else may have a route.
    pub const OWN: [u32; 6] = [LOCAL, ANNOUNCED, OUTGOING, INCOMING, FINAL_INCOMING, FINAL_OUTGOING];
}

/// Preferences of rules, in the order in which the kernel asks them.
pub mod preference {
    /// To [`table::OUTGOING`](super::table::OUTGOING).
    pub const OUTGOING: u32 = 16;
    /// To [`table::INCOMING`](super::table::INCOMING).
    pub const INCOMING: u32 = 17;
    /// To [`table::FINAL_INCOMING`](super::table::FINAL_INCOMING).
    pub const FINAL_INCOMING: u32 = 18;
    /// To [`table::FINAL_OUTGOING`](super::table::FINAL_OUTGOING).
    pub const FINAL_OUTGOING: u32 = 19;
    /// To [`table::LOCAL`](super::table::LOCAL), for each interface.
    pub const LOCAL: u32 = 20;
    /// Drops what belongs to the service and is nobody's, for each interface.
    pub const NOBODY: u32 = 21;
}

/// Marks of packets that leave for a peer.
pub mod mark {
    /// By [`table::OUTGOING`](super::table::OUTGOING).
    pub const OUTGOING: u32 = 1;
    /// By [`table::INCOMING`](super::table::INCOMING).
    pub const INCOMING: u32 = 2;
    /// By [`table::FINAL_INCOMING`](super::table::FINAL_INCOMING), or [`table::FINAL_OUTGOING`](super::table::FINAL_OUTGOING).
    pub const FINAL: u32 = 3;
    /// By [`table::FINAL_OUTGOING`](super::table::FINAL_OUTGOING) alone: what may open a flow.
    pub const FINAL_OUTGOING: u32 = 4;
}

/// What does not change while slices move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The interfaces by which clients' packets arrive, such as `eth0`.
    pub interfaces: Vec<String>,
    /// This endpoint's own address, which tunnels between peers lead to.
    pub tunnel: Ipv6Addr,
    /// What slices may lie in: the positive items of the services. Nothing outside is ever routed here.
    pub allowed: Vec<Ipv6Net>,
}

/// What the kernel shall hold at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Its routes, as [`ssa_slices::handover::routes`] gives them.
    pub routes: BTreeSet<KernelRoute>,
    /// The tunnel addresses of all endpoints: the only ones that packets are taken from.
    pub peers: BTreeMap<EndpointName, Ipv6Addr>,
    /// Of what new flows are taken, where ownership is exclusive: only while that is [permitted](Kernel::permit).
    pub admission: Admission,
    /// By what load is counted.
    pub grains: Grains,
}

/// One network namespace that slices are routed in.
#[derive(Debug)]
pub struct Kernel {
    netlink: Netlink,
    settings: Settings,
    links: links::Links,
    steering: Steering,
    routes: Routes,
    watch: Watch,
    /// What was not as it shall be, and could not be made so.
    failed: Dirty,
    repaired: Repaired,
    /// Until when new flows of what is fenced may be taken.
    permitted: Option<Instant>,
    /// Whether counting of load has begun anew, or why nothing is counted.
    measured: Result<bool, Error>,
}

impl Kernel {
    /// Sets up what does not change: tunnels, rules and the ruleset. What is there already stays, with open flows.
    ///
    /// # Errors
    ///
    /// [`Error`], if the kernel refuses something or somebody else uses what is needed.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let own = settings
            .allowed
            .iter()
            .find(|allowed| allowed.contains(&settings.tunnel));
        if let Some(&allowed) = own {
            let address = settings.tunnel;
            return Err(Error::OwnAddressAllowed { allowed, address });
        }
        let netlink = Netlink::open()?;
        routes::refuse_foreign(&netlink).await?;
        rules::refuse_foreign(&netlink).await?;
        links::refuse_foreign(&netlink).await?;
        let tables = steering::listings().await?;
        let mut earlier = tables.iter().any(Option::is_some);
        for name in links::NAMES {
            earlier |= netlink.link(name).await?.is_some();
        }
        match Self::set_up(netlink, settings).await {
            // Nothing of it was here before; what an earlier run has left stays, with its flows.
            Err(error) if !earlier => {
                // The error that comes first is the one to tell.
                let _ = Self::cleanup().await;
                Err(error)
            }
            done => done,
        }
    }

    async fn set_up(netlink: Netlink, settings: Settings) -> Result<Self, Error> {
        let routes = Routes::open(&table::OWN)?;
        let names = settings.interfaces.iter().map(String::as_str).chain(links::NAMES);
        let watch = Watch::start(Watched {
            own_tables: &table::OWN,
            shared_tables: &[],
            links: Some(names.chain(["lo"]).map(str::to_owned).collect()),
            own: vec![netlink.port, routes.port()?],
        })?;
        // What others change from here on is seen.
        watch.take();
        let (links, _) = links::ensure(&netlink, &settings).await?;
        if let Some(changes) = forwarding::needed()? {
            steering::note(&changes).await?;
            forwarding::enable(&changes)?;
        }
        let before = watch.generation()?;
        let mut steering = Steering::install(&settings, forwarding::Changes::default()).await?;
        watch.ruleset_settled(before, steering.commits())?;
        rules::reconcile(&netlink, &rules::wanted(&settings)).await?;
        Ok(Self {
            netlink,
            settings,
            links,
            steering,
            routes,
            watch,
            failed: Dirty::NONE,
            repaired: Repaired::default(),
            permitted: None,
            measured: Ok(false),
        })
    }

    /// Makes the kernel hold exactly what is wanted: new routes before old ones go, announcements last and withdrawn
    /// first. What others have changed of what was set here is set again.
    ///
    /// What cannot be set keeps nothing else from being set.
    pub async fn apply(&mut self, wanted: &Wanted) -> Applied {
        let dirty = self.watch.take().and(std::mem::replace(&mut self.failed, Dirty::NONE));
        let mut applied = Applied::default();
        if dirty.has(Dirty::LINKS) {
            match links::ensure(&self.netlink, &self.settings).await {
                Ok((links, changed)) => {
                    self.links = links;
                    applied.repaired.links += count(changed);
                }
                Err(error) => self.fail(&mut applied, Dirty::LINKS, error),
            }
        }
        if dirty.has(Dirty::FORWARDING) {
            match self.forward().await {
                Ok(was_off) => applied.repaired.forwarding += u64::from(was_off),
                Err(error) => self.fail(&mut applied, Dirty::FORWARDING, error),
            }
        }
        if dirty.has(Dirty::RULES) {
            if let Err(error) = rules::refuse_foreign(&self.netlink).await {
                self.fail(&mut applied, Dirty::RULES, error);
            }
            match rules::reconcile(&self.netlink, &rules::wanted(&self.settings)).await {
                Ok(changed) => applied.repaired.rules += count(changed),
                Err(error) => self.fail(&mut applied, Dirty::RULES, error),
            }
        }
        let filled = self.filled(wanted);
        match self.steer(dirty, &filled).await {
            Ok(repaired) => applied.repaired.rulesets += u64::from(repaired),
            Err(error) => self.fail(&mut applied, Dirty::RULESET, error),
        }
        let (routes, refused) = plan::plan(&self.settings, self.links, wanted);
        applied.refused = refused;
        if dirty.has(Dirty::ROUTES) {
            match self.routes.look(&self.netlink).await {
                Ok(differ) => applied.repaired.routes += count(differ),
                Err(error) => self.fail(&mut applied, Dirty::ROUTES, error),
            }
        }
        let (changes, errors) = self.routes.reconcile(&self.netlink, &routes).await;
        applied.changes = changes;
        for error in errors {
            self.fail(&mut applied, Dirty::ROUTES, error);
        }
        // What was refused on the way, and is not any more.
        if let Err(error) = self.fill(&filled).await {
            self.fail(&mut applied, Dirty::RULESET, error);
        }
        self.measured = self.measure(&wanted.grains).await;
        self.repaired += applied.repaired;
        applied
    }

    fn fail(&mut self, applied: &mut Applied, dirty: Dirty, error: Error) {
        self.failed = self.failed.and(dirty);
        applied.faults.push(error);
    }

    /// Turns forwarding on if somebody has turned it off; says whether that was so.
    async fn forward(&mut self) -> Result<bool, Error> {
        let Some(changes) = forwarding::needed()? else {
            return Ok(false);
        };
        self.steering.note(&changes).await?;
        forwarding::enable(&changes)?;
        Ok(true)
    }

    /// Returns what the ruleset's sets shall have.
    fn filled(&self, wanted: &Wanted) -> Filled {
        // What has this endpoint's own address as its source is from a program on this host, and none of a peer's.
        let others = wanted
            .peers
            .values()
            .filter(|address| **address != self.settings.tunnel);
        let is_allowed = |prefix: &Ipv6Net| plan::is_allowed(&self.settings.allowed, *prefix);
        let outgoing = wanted
            .routes
            .iter()
            .filter_map(|route| match route {
                KernelRoute::Outgoing { prefix, .. } => Some(*prefix),
                _ => None,
            })
            .filter(is_allowed)
            .collect();
        let allowed = |prefixes: &BTreeSet<Ipv6Net>| prefixes.iter().copied().filter(is_allowed).collect();
        let admission = Admission {
            fenced: allowed(&wanted.admission.fenced),
            direct: allowed(&wanted.admission.direct),
            tunnelled: allowed(&wanted.admission.tunnelled),
        };
        Filled::new(others.copied().collect(), &outgoing, admission)
    }

    /// Brings the ruleset to what it shall be, but for what is to be admitted only once the routes are there. Says whether
    /// somebody else had changed it.
    async fn steer(&mut self, dirty: Dirty, wanted: &Filled) -> Result<bool, Error> {
        let before = self.watch.generation()?;
        let changed = dirty.has(Dirty::RULESET) || !self.watch.is_ruleset_known(before);
        let repaired = changed && self.steering.verify(&self.settings).await?;
        let held = self.steering.filled().await?;
        self.steering.fill(&wanted.stricter(&held)).await?;
        if repaired && self.permitted.is_some() {
            self.steering.permit(self.permitted).await?;
        }
        self.watch.ruleset_settled(before, self.steering.commits())?;
        Ok(repaired)
    }

    /// Has load counted; where that fails nothing else does.
    async fn measure(&mut self, grains: &Grains) -> Result<bool, Error> {
        let before = self.watch.generation()?;
        let known = self.watch.is_ruleset_known(before);
        let begun = self.steering.measure(grains).await?;
        self.settle(before, known)?;
        Ok(begun)
    }

    /// Fills the ruleset's sets.
    async fn fill(&mut self, wanted: &Filled) -> Result<(), Error> {
        let before = self.watch.generation()?;
        let known = self.watch.is_ruleset_known(before);
        self.steering.fill(wanted).await?;
        self.settle(before, known)
    }

    /// Permits to take new flows of what is [fenced](Wanted::admission) until then; `None` ends it. The kernel ends it in
    /// time by itself.
    ///
    /// # Errors
    ///
    /// [`Error`], if the kernel was not told: what it was told before holds.
    pub async fn permit(&mut self, until: Option<Instant>) -> Result<(), Error> {
        // What has ended is not given again by a repair.
        self.permitted = self.permitted.filter(|_| until.is_some());
        let before = self.watch.generation()?;
        let known = self.watch.is_ruleset_known(before);
        self.steering.permit(until).await?;
        self.permitted = until;
        self.settle(before, known)
    }

    /// Until when new flows of what is fenced are permitted, as the kernel was told.
    #[must_use]
    pub const fn permitted(&self) -> Option<Instant> {
        self.permitted
    }

    /// Notes changes of ours to a ruleset that was as it shall be in a generation; what was not known then is not now.
    fn settle(&mut self, before: u32, known: bool) -> Result<(), Error> {
        let commits = self.steering.commits();
        if known {
            self.watch.ruleset_settled(before, commits)?;
        }
        Ok(())
    }

    /// Waits until somebody else may have changed what was set here: then [`apply`](Self::apply) looks at it.
    pub async fn disturbed(&self) {
        self.watch.disturbed().await;
    }

    /// Counts what others had changed and was set again.
    #[must_use]
    pub fn repaired(&self) -> Repaired {
        self.repaired
    }

    /// Lists the prefixes of a table of ours with their metrics, whichever run has set them.
    ///
    /// # Errors
    ///
    /// [`Error`], if the kernel refuses to list them.
    pub async fn held(&self, table: u32) -> Result<BTreeMap<Ipv6Net, u32>, Error> {
        routes::held(&self.netlink, table).await
    }

    /// Counts the packets that left for peers by [`table::OUTGOING`], by prefix, since it was last armed.
    ///
    /// # Errors
    ///
    /// [`Error`], if the ruleset is gone.
    pub async fn forwarded(&self) -> Result<BTreeMap<Ipv6Net, u64>, Error> {
        steering::forwarded().await
    }

    /// Says whether the last [`apply`](Self::apply) has begun to count load anew.
    ///
    /// # Errors
    ///
    /// Why load is not counted: nothing else depends on it.
    pub fn measured(&self) -> Result<bool, &Error> {
        self.measured.as_ref().copied()
    }

    /// Reads what was counted of load, by the first address of each prefix of [`Grains`]. It waits for the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Flows`], also if nothing is counted.
    pub fn counted() -> Result<BTreeMap<Ipv6Addr, Counted>, Error> {
        steering::counted()
    }

    /// Removes everything, as [`cleanup`](Self::cleanup) does.
    ///
    /// # Errors
    ///
    /// Those of [`cleanup`](Self::cleanup).
    pub async fn close(self) -> Result<(), Error> {
        clean(self.steering.changes()).await
    }

    /// Removes everything of this and of any earlier run, whatever else is there. What is somebody else's stays.
    ///
    /// # Errors
    ///
    /// [`Error`] of the first step that failed; the others are done all the same.
    pub async fn cleanup() -> Result<(), Error> {
        clean(forwarding::Changes::default()).await
    }
}

async fn clean(mut changes: forwarding::Changes) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    let mut routes = Routes::open(&table::OWN)?;
    let (_, errors) = routes.reconcile(&netlink, &BTreeSet::new()).await;
    // What others have there is no failure: all of ours is gone.
    let routes = errors.into_iter().find(|error| !error.is_foreign()).map_or(Ok(()), Err);
    let rules = rules::reconcile(&netlink, &BTreeSet::new()).await.map(drop);
    if let Ok(noted) = steering::noted().await {
        changes.add(noted);
    }
    // Before the note of it goes.
    let forwarding = forwarding::restore(&changes);
    let steering = steering::remove().await;
    let links = links::remove(&netlink).await;
    let done = [routes, rules, forwarding, steering, links];
    let failed = done
        .into_iter()
        .filter_map(Result::err)
        .find(|error| !error.is_foreign());
    failed.map_or(Ok(()), Err)
}
