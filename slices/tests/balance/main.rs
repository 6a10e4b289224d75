//! Balance in simulation: membership that changes, and load that does.

mod load;
mod membership;
