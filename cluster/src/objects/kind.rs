//! The kinds of objects, as Kubernetes names them.

use std::fmt;

/// The API group of the project's own kinds.
pub const GROUP: &str = "ssa.dev.example";

/// The version of that group.
pub const VERSION: &str = "v1alpha1";

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A service whose addresses are spread over endpoints.
    SliceSet,
    /// Which endpoint owns which prefix.
    SliceMap,
    /// Prefixes on their way from one endpoint to another.
    SliceMove,
    /// An endpoint.
    SliceEndpoint,
    /// A host that routes prefixes to its endpoints.
    SliceNode,
    /// Who leads, or who may serve exclusively, and until when; Kubernetes' own kind.
    Lease,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::SliceSet,
        Self::SliceMap,
        Self::SliceMove,
        Self::SliceEndpoint,
        Self::SliceNode,
        Self::Lease,
    ];

    /// Returns its name, as in `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SliceSet => "SliceSet",
            Self::SliceMap => "SliceMap",
            Self::SliceMove => "SliceMove",
            Self::SliceEndpoint => "SliceEndpoint",
            Self::SliceNode => "SliceNode",
            Self::Lease => "Lease",
        }
    }

    /// Returns its name for several, as in paths: lower case.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::SliceSet => "slicesets",
            Self::SliceMap => "slicemaps",
            Self::SliceMove => "slicemoves",
            Self::SliceEndpoint => "sliceendpoints",
            Self::SliceNode => "slicenodes",
            Self::Lease => "leases",
        }
    }

    /// Returns its API group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Lease => "coordination.k8s.io",
            _ => GROUP,
        }
    }

    /// Returns the version of its API group.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Lease => "v1",
            _ => VERSION,
        }
    }

    /// Returns group and version, as in `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> String {
        format!("{}/{}", self.group(), self.version())
    }

    /// Says whether the status is written apart from the spec.
    #[must_use]
    pub const fn has_status(self) -> bool {
        !matches!(self, Self::SliceMap | Self::Lease)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
