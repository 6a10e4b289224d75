//! Handover: how slices go from one endpoint to another while their addresses stay reachable and open flows stay open.
//!
//! Three values say everything: a [`Map`] (who owns each prefix and who stands by), the open [`Handover`]s with their
//! [`Phase`]s, and for each endpoint its own [`View`] of its peers. [`routes()`] gives what the kernel of one endpoint
//! must hold; agents reconcile it and report the phase they have reached. Nobody has to remember what was done
//! before: the same values give the same routes, after any crash.
//!
//! # Packets
//!
//! Four tables of the kernel decide, for a packet to a prefix that does not come out of a tunnel:
//!
//! | the packet | `Local` alone | with `Incoming` | with `Outgoing` | with both |
//! | --- | --- | --- | --- | --- |
//! | belongs to a flow of this endpoint | delivered | delivered | delivered | delivered |
//! | opens a flow | delivered | delivered | to that peer | to the peer of `Outgoing` |
//! | belongs to a flow that this endpoint does not know | delivered (reset) | to that peer | to that peer | to the peer of `Incoming` |
//!
//! A packet that comes out of a tunnel is delivered if it opens a flow or this endpoint knows its flow. Else it goes on once
//! more, to the peer of `Incoming` or else of `Outgoing`, and is delivered there, whatever it is: nothing loops. That is why
//! the flows of three endpoints can be told apart, [and not of more](Handover::is_before).

mod epoch;
mod fence;
pub mod lease;
mod map;
mod name;
mod open;
mod phase;
mod prefixes;
mod routes;
mod step;

pub use epoch::Epoch;
pub use fence::{Admission, Fence, fences};
pub use map::{Map, MapFault, Ownership};
pub use name::{EndpointName, NameError};
pub use phase::{Handover, Phase, Progress};
pub use prefixes::{overlap, subtract};
pub use routes::{KernelRoute, Metric, View, routes};
pub use step::{Awaited, Facts, Next, Side, next};
