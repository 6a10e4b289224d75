//! Why a store did not do what it was asked to.

use std::fmt;

use crate::objects::{Fault, Kind};

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object has changed since the version that was to be replaced. Read it again, and decide again.
    #[error("{kind} {name}: has changed since it was read")]
    Conflict {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// An object of this name is there already.
    #[error("{kind} {name}: exists already")]
    Exists {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// There is no such object.
    #[error("{kind} {name}: there is none")]
    NotFound {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// The object is at fault, and nothing was changed.
    #[error("{kind} {name}: {}", Listing(faults))]
    Invalid {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
        /// Every fault, with its field.
        faults: Vec<Fault>,
    },
    /// What happened since that version is no longer known: list again.
    #[error("{kind}: what happened since that version is no longer known")]
    TooOld {
        /// The kind.
        kind: Kind,
    },
    /// The store refuses it to this client: trying again does not help.
    #[error("{store}: {reason}")]
    Denied {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
    /// The store does not answer. A write may have happened all the same: read the object to know.
    #[error("{store}: {reason}")]
    Unavailable {
        /// The store.
        store: String,
        /// Why.
        reason: String,
    },
}

struct Listing<'a>(&'a [Fault]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}
