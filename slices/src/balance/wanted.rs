//! How many endpoints the load asks for.

/// What a service has to bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The load of all slices together.
    pub total: u64,
    /// The load that one endpoint is to have; at least 1.
    pub each: u64,
    /// The endpoints there are.
    pub endpoints: u32,
    /// How far from `each` an endpoint's share may be before the number changes, in thousandths.
    pub tolerance: u32,
}

/// Says how many endpoints the load asks for: as a `HorizontalPodAutoscaler` would, the ceiling of total over each, and no
/// change within the tolerance. Never fewer than one.
///
/// ```
/// use ssa_slices::balance::{Demand, wanted_endpoints};
///
/// let demand = Demand { total: 4_200, each: 1_000, endpoints: 4, tolerance: 100 };
/// assert_eq!(wanted_endpoints(demand), 4);
/// assert_eq!(wanted_endpoints(Demand { total: 4_500, ..demand }), 5);
/// ```
#[must_use]
pub fn wanted_endpoints(demand: Demand) -> u32 {
    let each = u128::from(demand.each.max(1));
    let total = u128::from(demand.total);
    let now = each * u128::from(demand.endpoints);
    if demand.endpoints > 0 && now.abs_diff(total) * 1000 <= now * u128::from(demand.tolerance) {
        return demand.endpoints;
    }
    u32::try_from(total.div_ceil(each)).unwrap_or(u32::MAX).max(1)
}
