//! Heartbeats between the owner of a prefix and its standby: how a standby learns that the owner's host is gone, without a
//! store and without a controller.
//!
//! A datagram every 50 ms, with a MAC ([`wire`]). A peer is lost when three that it promised did not come ([`Peers`]); both
//! numbers may be others ([`Pace`]). One
//! that was never heard is not lost, for it may have no heartbeats; neither is one that said that it stops.
//!
//! A peer is believed once it has shown that it hears this endpoint now: its heartbeats name the run of this endpoint, and
//! a sequence number of late. So what somebody recorded earlier proves nothing, and no clocks are compared.

mod ignored;
mod key;
mod keys;
mod peers;
mod thread;
pub mod wire;

pub use key::{Key, KeyError};
pub use keys::{Keys, ROTATION};
pub use peers::{Peers, Refused, Standing, State, Told};
pub use thread::{Beats, Heard, Wanted, instance};
pub use wire::{Heartbeat, SetId, SetState, WireError};

use std::time::Duration;

/// How often heartbeats are sent, and how patient an endpoint is with its peers.
///
/// A peer says in each heartbeat when the next one follows: those with another pace understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often they are sent to so many peers as [`AT_ONCE`]; to more, less often.
    pub interval: Duration,
    /// How many of a peer's in a row have to be missing.
    pub missing: u32,
}

impl Default for Pace {
    /// 50 ms, and three.
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(50),
            missing: 3,
        }
    }
}

/// How many peers have heartbeats every [`Pace::interval`].
pub const AT_ONCE: usize = 64;
/// The most peers. Others have no heartbeats, and are not taken for lost.
pub const MAX_PEERS: usize = 1024;
/// The UDP port, where none is given.
pub const PORT: u16 = 4797;
