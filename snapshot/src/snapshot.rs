//! The services of a role at one moment.

use alloc::string::String;

use crate::{Generation, InboundService, List, Number, OutboundService, read::object};

/// The version of the format. A reader refuses every other one, and reads nothing more of it.
pub const VERSION: u32 = 1;

/// The maximum size of a snapshot, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The maximum number of services in a snapshot or a plugin's configuration.
pub const MAX_SERVICES: usize = 1024;

/// A version that this crate knows.
pub type Version = Number<VERSION, VERSION, VERSION>;

object! {
    /// The services of one role at one moment.
    ///
    /// It is generic over the list of services, so that a server can write the same services again and again.
    pub struct Snapshot<L> {
        /// The version of this format.
        required version: Version,
        /// The snapshot's name in logs. It changes with the content; a snapshot of the same name is considered unchanged.
        required generation: Generation,
        /// Mixed into the random bits of the filter that reads it.
        default seed: String,
        /// The kill switch: inbound lets everything pass and outbound composes nothing. No connection is drained.
        default off: bool,
        /// The services.
        required services: L,
    }
}

/// A snapshot for servers' filters.
pub type InboundSnapshot = Snapshot<List<InboundService, 0, MAX_SERVICES>>;

/// A snapshot for clients' filters.
pub type OutboundSnapshot = Snapshot<List<OutboundService, 0, MAX_SERVICES>>;
