//! Planning: which endpoint every slice is routed to, and which slices move.

use alloc::vec::Vec;
use core::fmt;

use crate::problem::{Problem, Score};
use crate::table::{NOBODY, Table};
use crate::targets::{moves_for, targets};
use crate::{Endpoint, EndpointIdx, ReplicaError, Replicas, Siblings, SliceId, SliceSpace};
use crate::{chains, exact, refit, scratch};

/// The greatest number of endpoints of a service, drained ones included.
pub const MAX_ENDPOINTS: usize = 1 << 16;

/// How often parting siblings is taken up again before a plan is left unsettled.
const ROUNDS: usize = 4;

/// Says where every slice is to be routed, and what changes for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The endpoint of each slice, in the order of the slices.
    pub assignment: Vec<EndpointIdx>,
    /// The slices whose endpoint changes, in ascending order.
    pub moves: Vec<Move>,
    /// What the plan costs.
    pub report: Report,
}

/// Tells a slice to be routed to another endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The slice.
    pub slice: SliceId,
    /// The endpoint it was assigned to, gone or not; none if it was unassigned.
    pub from: Option<EndpointIdx>,
    /// The endpoint it goes to.
    pub to: EndpointIdx,
}

/// Counts what a plan costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// No plan with the balance, and as few conflicts, moves fewer slices than this.
    pub lower_bound: usize,
    /// What the lower bound rests on.
    pub bound: Bound,
    /// Pairs of different slices that hold replicas of one address and have one endpoint.
    pub endpoint_conflicts: usize,
    /// Pairs of slices that hold replicas of one address and have two endpoints of one domain.
    pub domain_conflicts: usize,
    /// Prefixes that all endpoints together announce.
    pub prefixes: usize,
    /// Planning again from the plan would move nothing. False if the bound on work ended the search for fewer conflicts.
    pub settled: bool,
}

/// Tells what a lower bound of moves rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// On the balance alone: slices that nobody holds, and those that endpoints hold beyond their share.
    Balance,
    /// Also on replicas: the plan has no conflict on endpoints, or none at all, so of siblings that conflicted one moves.
    Replicas,
    /// On a search through all plans: the plan is the best there is by every aim, and the bound is its moves.
    Exact,
}

/// Plans slices over endpoints, changing the current assignment as little as the aims allow.
///
/// Aims, each going before all later ones:
///
/// 1. Every slice has an endpoint with weight.
/// 2. Every endpoint holds the floor or the ceiling of its share, N·weight/Σweights.
/// 3. Replicas of one address are with different endpoints, as far as possible; then also in different domains. What
///    counts is pairs of [`Siblings`]. An endpoint without a domain shares one with no other.
/// 4. The fewest slices move; slices that nobody holds count too.
/// 5. The fewest prefixes are announced, as [`SliceSpace::aggregate`] makes them.
///
/// `current` has an entry per slice. An entry may name a drained endpoint, or one past the end of `endpoints` that is
/// gone. The same input gives the same plan, and the order of `endpoints` matters only between newcomers of the same
/// weight and domain. Planning again from the plan moves nothing, if it is [settled](Report::settled).
///
/// # How well
///
/// Up to 12 slices on 8 endpoints a branch-and-bound search tries all assignments, and unless it gives up after
/// 100 000 steps the plan is proven best by all aims ([`Bound::Exact`]); 8 slices on 4 endpoints never need as many.
///
/// Beyond, the balance always holds, and without replicas the moves are always the fewest. Conflicts and prefixes are
/// kept few by heuristics, and slices beyond the fewest move only to end conflicts: so with none to end, adding an
/// endpoint moves slices only to it, and removing one only its own. Ties in the balance are settled in favour of fewer
/// moves: an endpoint that holds the ceiling of its share keeps it.
///
/// # Errors
///
/// [`PlanError`] if the current assignment is not one entry per slice or numbers an endpoint from [`MAX_ENDPOINTS`] on,
/// there are more endpoints than that or none with weight, or the first field is wider than what an item leaves.
///
/// # Example
///
/// ```
/// use ssa_slices::{Endpoint, EndpointIdx, Replicas, SliceBits, SliceSpace, plan};
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
/// assert!(second.moves.iter().all(|moved| moved.to == EndpointIdx::new(10)));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub fn plan(
    space: &SliceSpace,
    replicas: Replicas,
    current: &[Option<EndpointIdx>],
    endpoints: &[Endpoint],
) -> Result<Plan, PlanError> {
    plan_by(Method::Best, space, replicas, current, endpoints)
}

/// Chooses how [`plan_by`] looks for a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Tries all plans where the problem is small, as [`plan`] does.
    Best,
    /// Never tries all, so that what serves large problems can be judged on small ones.
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
    current: &[Option<EndpointIdx>],
    endpoints: &[Endpoint],
) -> Result<Plan, PlanError> {
    check(space, current, endpoints)?;
    let distances = Siblings::new(space, replicas)
        .map_err(PlanError::Replicas)?
        .into_distances();
    let problem = Problem::new(space.bits(), distances, current, endpoints);

    let targets = targets(&problem, &problem.held);
    let nobody_stays = problem.current.iter().all(|endpoint| endpoint == NOBODY);
    let balanced = if nobody_stays {
        scratch::lay_out(&problem, &targets)
    } else {
        refit::refit(&problem, &targets)
    };
    let (scalable, settled) = settle(&problem, chains::part_siblings(&problem, balanced), endpoints);
    let small = problem.slices() <= exact::EXACT_SLICES && problem.endpoints() <= exact::EXACT_ENDPOINTS;
    let tries_all = method == Method::Best && small;
    let best = if tries_all {
        exact::best(&problem, &scalable)
    } else {
        None
    };
    let (holder, exact) = best.map_or((scalable, false), |best| (best, true));

    let settled = exact || (settled && !tries_all);
    let report = Report {
        settled,
        ..report(&problem, problem.score(&holder), exact)
    };
    let assignment: Vec<EndpointIdx> = holder.iter().map(|endpoint| problem.endpoint(endpoint)).collect();
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

/// Goes on parting siblings as planning again would, until that changes nothing; tells whether it came to that.
fn settle(problem: &Problem, mut holder: Table<usize>, endpoints: &[Endpoint]) -> (Table<usize>, bool) {
    for _ in 0..ROUNDS {
        if !problem.score(&holder).conflicts.any() {
            return (holder, true);
        }
        let current: Vec<_> = holder.iter().map(|endpoint| Some(problem.endpoint(endpoint))).collect();
        let next = Problem::new(problem.bits, problem.distances.clone(), &current, endpoints);
        let parted = chains::part_siblings(&next, next.current.clone());
        if parted == next.current {
            return (holder, true);
        }
        // Back from the numbers of the next problem to those of this one.
        let mut number = Table::filled(endpoints.len(), NOBODY);
        for (endpoint, place) in problem.place.iter().enumerate() {
            number.set(place, endpoint);
        }
        holder = parted
            .iter()
            .map(|endpoint| number.at(next.place.at(endpoint)))
            .collect();
    }
    (holder, false)
}

fn check(space: &SliceSpace, current: &[Option<EndpointIdx>], endpoints: &[Endpoint]) -> Result<(), PlanError> {
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
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.position() >= MAX_ENDPOINTS) {
            return Err(PlanError::EndpointIndex {
                slice: SliceId::at(slice),
                endpoint,
            });
        }
    }
    Ok(())
}

fn report(problem: &Problem, score: Score, exact: bool) -> Report {
    let balance = moves_for(problem, &problem.held);
    let mut with_replicas = balance;
    if score.conflicts.on_endpoint == 0 {
        let mut keepable = problem.held.clone();
        for slice in pairs(problem, |one, other| one == other) {
            keepable.update(problem.current.at(slice), |count| count - 1);
        }
        with_replicas = moves_for(problem, &keepable);
    }
    if !score.conflicts.any() {
        let unheld = problem.slices() - problem.held.iter().sum::<usize>();
        let conflicting = pairs(problem, |one, other| problem.domain.at(one) == problem.domain.at(other));
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

/// Pairs siblings whose present holders conflict, no slice in two pairs, and lists one slice of each pair.
///
/// If such siblings are all to be parted, each pair has a slice that moves. Pairing greedily finds many pairs, not the
/// most.
fn pairs(problem: &Problem, conflict: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut paired = Table::filled(problem.slices(), false);
    let mut firsts = Vec::new();
    for (slice, endpoint) in problem.current.iter().enumerate() {
        let free = |other: &usize| {
            let holder = problem.current.at(*other);
            !paired.at(*other) && holder != NOBODY && conflict(endpoint, holder)
        };
        if endpoint == NOBODY || paired.at(slice) {
            continue;
        }
        if let Some(partner) = problem.siblings(slice).find(free) {
            paired.set(slice, true);
            paired.set(partner, true);
            firsts.push(slice);
        }
    }
    firsts
}

/// Says why no plan can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanError {
    /// The current assignment has not one entry per slice.
    CurrentLength {
        /// How many entries it has.
        entries: usize,
        /// How many slices there are.
        slices: usize,
    },
    /// The current assignment numbers an endpoint from [`MAX_ENDPOINTS`] on.
    EndpointIndex {
        /// The slice.
        slice: SliceId,
        /// The endpoint.
        endpoint: EndpointIdx,
    },
    /// There are more than [`MAX_ENDPOINTS`].
    TooManyEndpoints {
        /// How many there are.
        endpoints: usize,
    },
    /// No endpoint has weight, or there is none.
    NoWeight {
        /// How many endpoints there are.
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
