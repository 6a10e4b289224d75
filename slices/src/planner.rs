//! Planning: which endpoint every slice is routed to, and which slices move.

use alloc::vec::Vec;
use core::fmt;

use crate::instance::{Instance, Score};
use crate::table::{Table, UNASSIGNED};
use crate::targets::{moves_for, targets};
use crate::{Endpoint, EndpointId, ReplicaError, Replicas, Siblings, SliceId, SliceSpace};
use crate::{ejection_chains, exact, incremental, initial};

/// The maximum number of endpoints of a service, drained ones included.
pub const MAX_ENDPOINTS: usize = 1 << 16;

/// How often the separation of siblings is repeated before a plan is left unsettled.
const ROUNDS: usize = 4;

/// The endpoint of every slice, and the moves from the current assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The endpoint of each slice, in the order of the slices.
    pub assignment: Vec<EndpointId>,
    /// The slices whose endpoint changes, in ascending order.
    pub moves: Vec<Move>,
    /// What the plan costs.
    pub report: Report,
}

/// A slice that is to be routed to another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The slice.
    pub slice: SliceId,
    /// The endpoint it was assigned to, even if that no longer exists; none if it was unassigned.
    pub from: Option<EndpointId>,
    /// The endpoint it goes to.
    pub to: EndpointId,
}

/// What a plan costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// No plan with this balance and as few conflicts moves fewer slices.
    pub lower_bound: usize,
    /// What the lower bound is derived from.
    pub bound: Bound,
    /// Pairs of different slices that hold replicas of one address and have one endpoint.
    pub endpoint_conflicts: usize,
    /// Pairs of slices that hold replicas of one address and have two endpoints of one domain.
    pub domain_conflicts: usize,
    /// Prefixes that all endpoints together announce.
    pub prefixes: usize,
    /// Planning again from this plan would move nothing. False if the search for fewer conflicts reached its budget.
    pub settled: bool,
}

/// What a lower bound on the moves is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The balance alone: unassigned slices, and those that endpoints hold beyond their share.
    Balance,
    /// Also the replicas: the plan has no conflict on endpoints, or none at all, so one of each pair of conflicting
    /// siblings moves.
    Replicas,
    /// An exhaustive search: the plan is optimal by every objective, and the bound is its number of moves.
    Exact,
}

/// Assigns slices to endpoints, and changes the current assignment as little as the objectives allow.
///
/// The objectives, each taking precedence over all later ones:
///
/// 1. Every slice has an endpoint with weight.
/// 2. Every endpoint holds the floor or the ceiling of its share, N·weight/Σweights.
/// 3. Replicas of one address are on different endpoints, as far as possible; then also in different domains. Counted
///    are pairs of [`Siblings`]. An endpoint without a domain shares one with no other.
/// 4. The fewest slices move; assigning an unassigned slice counts as a move.
/// 5. The fewest prefixes are announced, as aggregated by [`SliceSpace::aggregate`].
///
/// `current` has one entry for each slice. An entry may name a drained endpoint, or one past the end of `endpoints`,
/// which no longer exists. The plan is a function of the input, and the order of `endpoints` matters only between new
/// ones of the same weight and domain. Planning again from the plan moves nothing, if it is [settled](Report::settled).
///
/// # Quality
///
/// Up to 12 slices on 8 endpoints a branch-and-bound search covers all assignments, and unless it stops after 100,000
/// steps the plan is proven optimal by all objectives ([`Bound::Exact`]); 8 slices on 4 endpoints never need as many.
///
/// Beyond that, the balance always holds, and without replicas the moves are always minimal. Heuristics keep conflicts
/// and prefixes few, and more slices than necessary move only to resolve conflicts: with none to resolve, adding an
/// endpoint moves slices only to it, and removing one moves only its own. Ties in the balance are broken in favour of
/// fewer moves: an endpoint that holds the ceiling of its share keeps it.
///
/// # Errors
///
/// [`PlanError`] if the current assignment does not have one entry for each slice or has an endpoint from
/// [`MAX_ENDPOINTS`] on, there are more endpoints than that or none with weight, or the first field is wider than an
/// item leaves room for.
///
/// # Example
///
/// ```
/// use ssa_slices::{Endpoint, EndpointId, Replicas, SliceBits, SliceSpace, plan};
///
/// let space = SliceSpace::new(&["2001:db8:5::/64".parse()?], SliceBits::new(10)?)?;
/// let three = Replicas::new(3, 20)?;
/// let ten = [Endpoint::of_weight(1); 10];
/// let first = plan(&space, three, &vec![None; space.count()], &ten)?;
/// assert_eq!(first.report.endpoint_conflicts, 0);
///
/// // An eleventh endpoint takes 93 slices, and nothing else moves.
/// let eleven = [Endpoint::of_weight(1); 11];
/// let current: Vec<_> = first.assignment.iter().copied().map(Some).collect();
/// let second = plan(&space, three, &current, &eleven)?;
/// assert_eq!(second.moves.len(), 93);
/// assert!(second.moves.iter().all(|moved| moved.to == EndpointId::new(10)));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub fn plan(
    space: &SliceSpace,
    replicas: Replicas,
    current: &[Option<EndpointId>],
    endpoints: &[Endpoint],
) -> Result<Plan, PlanError> {
    plan_by(Method::Best, space, replicas, current, endpoints)
}

/// The search that [`plan_by`] uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Exhaustive for small instances, as [`plan`] does.
    Best,
    /// Never exhaustive, so that the heuristics for large instances can be compared with the optimum of small ones.
    Scalable,
}

/// Plans as [`plan`] does, by a chosen method.
///
/// # Errors
///
/// As for [`plan`].
pub fn plan_by(
    method: Method,
    space: &SliceSpace,
    replicas: Replicas,
    current: &[Option<EndpointId>],
    endpoints: &[Endpoint],
) -> Result<Plan, PlanError> {
    check(space, current, endpoints)?;
    let distances = Siblings::new(space, replicas)
        .map_err(PlanError::Replicas)?
        .into_distances();
    let instance = Instance::new(space.bits(), distances, current, endpoints);

    let targets = targets(&instance, &instance.held);
    let none_stays = instance.current.iter().all(|endpoint| endpoint == UNASSIGNED);
    let balanced = if none_stays {
        initial::assign(&instance, &targets)
    } else {
        incremental::reassign(&instance, &targets)
    };
    let (scalable, settled) = settle(
        &instance,
        ejection_chains::separate_siblings(&instance, balanced),
        endpoints,
    );
    let small = instance.slices() <= exact::EXACT_SLICES && instance.endpoints() <= exact::EXACT_ENDPOINTS;
    let exhaustive = method == Method::Best && small;
    let best = if exhaustive {
        exact::best(&instance, &scalable)
    } else {
        None
    };
    let (holder, exact) = best.map_or((scalable, false), |best| (best, true));

    let settled = exact || (settled && !exhaustive);
    let report = Report {
        settled,
        ..report(&instance, instance.score(&holder), exact)
    };
    let assignment: Vec<EndpointId> = holder.iter().map(|endpoint| instance.endpoint(endpoint)).collect();
    let changes = assignment
        .iter()
        .zip(current)
        .enumerate()
        .filter(|(_, (to, from))| Some(**to) != **from);
    let moves = changes
        .map(|(slice, (to, from))| Move {
            slice: SliceId::at(slice),
            from: *from,
            to: *to,
        })
        .collect();
    Ok(Plan {
        assignment,
        moves,
        report,
    })
}

/// Repeats the separation of siblings as planning again would, until nothing changes; returns whether it came to that.
fn settle(instance: &Instance, mut holder: Table<usize>, endpoints: &[Endpoint]) -> (Table<usize>, bool) {
    for _ in 0..ROUNDS {
        if !instance.score(&holder).conflicts.any() {
            return (holder, true);
        }
        let current: Vec<_> = holder
            .iter()
            .map(|endpoint| Some(instance.endpoint(endpoint)))
            .collect();
        let next = Instance::new(instance.bits, instance.distances.clone(), &current, endpoints);
        let separated = ejection_chains::separate_siblings(&next, next.current.clone());
        if separated == next.current {
            return (holder, true);
        }
        // From the numbers of the next instance back to those of this one.
        let mut number = Table::filled(endpoints.len(), UNASSIGNED);
        for (endpoint, index) in instance.index.iter().enumerate() {
            number.set(index, endpoint);
        }
        holder = separated
            .iter()
            .map(|endpoint| number.at(next.index.at(endpoint)))
            .collect();
    }
    (holder, false)
}

fn check(space: &SliceSpace, current: &[Option<EndpointId>], endpoints: &[Endpoint]) -> Result<(), PlanError> {
    let (entries, slices) = (current.len(), space.count());
    if entries != slices {
        return Err(PlanError::CurrentLength { entries, slices });
    }
    if endpoints.len() > MAX_ENDPOINTS {
        return Err(PlanError::TooManyEndpoints {
            endpoints: endpoints.len(),
        });
    }
    if endpoints.iter().all(|endpoint| endpoint.weight == 0) {
        return Err(PlanError::NoWeight {
            endpoints: endpoints.len(),
        });
    }
    for (slice, endpoint) in current.iter().enumerate() {
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.index() >= MAX_ENDPOINTS) {
            return Err(PlanError::EndpointIndex {
                slice: SliceId::at(slice),
                endpoint,
            });
        }
    }
    Ok(())
}

fn report(instance: &Instance, score: Score, exact: bool) -> Report {
    let balance = moves_for(instance, &instance.held);
    let mut with_replicas = balance;
    if score.conflicts.on_endpoint == 0 {
        let mut keepable = instance.held.clone();
        for slice in pairs(instance, |one, other| one == other) {
            keepable.update(instance.current.at(slice), |count| count - 1);
        }
        with_replicas = moves_for(instance, &keepable);
    }
    if !score.conflicts.any() {
        let unheld = instance.slices() - instance.held.iter().sum::<usize>();
        let conflicting = pairs(instance, |one, other| {
            instance.domain.at(one) == instance.domain.at(other)
        });
        with_replicas = with_replicas.max(unheld + conflicting.len());
    }
    let (lower_bound, bound) = match (exact, with_replicas > balance) {
        (true, _) => (score.moves, Bound::Exact),
        (false, true) => (with_replicas, Bound::Replicas),
        (false, false) => (balance, Bound::Balance),
    };
    let count = |conflicts: i64| usize::try_from(conflicts).unwrap_or(0);
    Report {
        lower_bound,
        bound,
        endpoint_conflicts: count(score.conflicts.on_endpoint),
        domain_conflicts: count(score.conflicts.in_domain),
        prefixes: score.prefixes,
        settled: true,
    }
}

/// Returns one slice of each pair in a matching of siblings whose current holders conflict.
///
/// To separate all such siblings, one slice of each pair must move. The greedy matching is maximal, not maximum.
fn pairs(instance: &Instance, conflict: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut paired = Table::filled(instance.slices(), false);
    let mut firsts = Vec::new();
    for (slice, endpoint) in instance.current.iter().enumerate() {
        let free = |other: &usize| {
            let holder = instance.current.at(*other);
            !paired.at(*other) && holder != UNASSIGNED && conflict(endpoint, holder)
        };
        if endpoint == UNASSIGNED || paired.at(slice) {
            continue;
        }
        if let Some(partner) = instance.siblings(slice).find(free) {
            paired.set(slice, true);
            paired.set(partner, true);
            firsts.push(slice);
        }
    }
    firsts
}

/// The reason why a request cannot be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// The current assignment does not have one entry for each slice.
    CurrentLength {
        /// The number of entries.
        entries: usize,
        /// The number of slices.
        slices: usize,
    },
    /// The current assignment has an endpoint from [`MAX_ENDPOINTS`] on.
    EndpointIndex {
        /// The slice.
        slice: SliceId,
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// There are more than [`MAX_ENDPOINTS`].
    TooManyEndpoints {
        /// The number of endpoints.
        endpoints: usize,
    },
    /// No endpoint has weight, or there is none.
    NoWeight {
        /// The number of endpoints.
        endpoints: usize,
    },
    /// The replicas do not fit the space.
    Replicas(ReplicaError),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CurrentLength { entries, slices } => write!(f, "current: {entries} entries for {slices} slices"),
            Self::EndpointIndex { slice, endpoint } => {
                write!(f, "current[{slice}]: endpoint {endpoint} is not below {MAX_ENDPOINTS}")
            }
            Self::TooManyEndpoints { endpoints } => write!(f, "endpoints: {endpoints} exceeds {MAX_ENDPOINTS}"),
            Self::NoWeight { endpoints } => write!(f, "endpoints: none of {endpoints} has weight"),
            Self::Replicas(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for PlanError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Replicas(error) => Some(error),
            _ => None,
        }
    }
}
