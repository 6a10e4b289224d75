//! The side of connections that a filter is on.

use crate::read::words;

words! {
    /// What a filter does with connections. The name is a label of metrics and a field of logs.
    pub enum Role {
        /// It verifies those that come in.
        Inbound = "inbound",
        /// It composes the addresses of those that go out.
        Outbound = "outbound",
    }
}

impl Role {
    /// Returns the path at which a resolver serves the role's snapshots.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Inbound => "/v1/inbound",
            Self::Outbound => "/v1/outbound",
        }
    }
}
