//! Balance: which slices move because of their load, who stands by for what, and how many endpoints the load asks for.
//!
//! The [planner](crate::plan) spreads slices by number; what follows evens out what they cost. All of it are values for
//! values: loads are measured elsewhere, and time is counted in rounds.

mod load;
mod round;
mod standby;
mod wanted;

pub use load::Load;
pub use round::{Piece, Policy, Relocation, Round, Split, imbalance, round};
pub use standby::{Block, standbys};
pub use wanted::{Demand, wanted_endpoints};
