//! How it stands with a service.

/// How it stands with a service in a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No question has been answered yet.
    Pending,
    /// Its records are in use.
    Usable,
    /// Its last records are in use, for no server answers now.
    Stale,
    /// Its verifiers keep what was usable last, for what is published is not.
    Kept,
    /// Its clients do as legacy ones: no server has answered for too long.
    Expired,
    /// It publishes no records.
    Absent,
    /// What it publishes is unusable.
    Unusable,
    /// What it publishes lies where it must not.
    Refused,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Usable,
        Self::Stale,
        Self::Kept,
        Self::Expired,
        Self::Absent,
        Self::Unusable,
        Self::Refused,
    ];

    /// Returns the stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Usable => "usable",
            Self::Stale => "stale",
            Self::Kept => "kept",
            Self::Expired => "expired",
            Self::Absent => "absent",
            Self::Unusable => "unusable",
            Self::Refused => "refused",
        }
    }

    /// Returns whether rules are in use.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Usable | Self::Stale | Self::Kept)
    }
}

/// How it stands with a service in a role, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// What is wrong with single records, each with its number: the reason is made of that.
    pub faults: Vec<(usize, String)>,
}

impl Standing {
    /// Returns how, and why.
    #[must_use]
    pub const fn new(state: State, reason: Option<String>) -> Self {
        Self {
            state,
            reason,
            faults: Vec::new(),
        }
    }
}
