//! What came of bringing a kernel to what is wanted.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;

use super::{Changes, Error, Refused};

/// What came of bringing a kernel to what is wanted.
#[derive(Debug, Default)]
pub struct Applied {
    /// The routes that were changed.
    pub changes: Changes,
    /// What somebody else had changed, and is as it shall be again.
    pub repaired: Repaired,
    /// What is not set, while everything else is.
    pub refused: BTreeSet<Refused>,
    /// What else is not as it shall be.
    pub faults: Vec<Error>,
}

impl Applied {
    /// Says whether the kernel holds all that is wanted, and nobody else has anything in its way.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.refused.is_empty() && self.faults.is_empty()
    }

    /// Says for people what is not as it shall be.
    pub fn wrong(&self) -> impl Iterator<Item = String> {
        let refused = self.refused.iter().map(ToString::to_string);
        refused.chain(self.faults.iter().map(ToString::to_string))
    }
}

/// Counts what somebody else had changed, and is as it shall be again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repaired {
    /// Routes that were missing, led elsewhere or were too many.
    pub routes: u64,
    /// Rules that were missing or too many.
    pub rules: u64,
    /// Tunnels that were missing, down, or without their address or MTU.
    pub links: u64,
    /// Times that the ruleset was not as it was set.
    pub rulesets: u64,
    /// Times that forwarding was off.
    pub forwarding: u64,
}

impl Repaired {
    /// Lists the kinds with their counts, as labels of a metric.
    #[must_use]
    pub fn by_kind(self) -> [(&'static str, u64); 5] {
        [
            ("routes", self.routes),
            ("rules", self.rules),
            ("links", self.links),
            ("rulesets", self.rulesets),
            ("forwarding", self.forwarding),
        ]
    }

    /// Says whether nothing had to be repaired.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Repaired {
    fn add_assign(&mut self, other: Self) {
        self.routes += other.routes;
        self.rules += other.rules;
        self.links += other.links;
        self.rulesets += other.rulesets;
        self.forwarding += other.forwarding;
    }
}

impl fmt::Display for Repaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.by_kind().into_iter().filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts.map(|(kind, count)| format!("{kind} ({count})")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// Turns a count of things into one that is told.
pub(super) fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_are_told_by_kind_and_add_up() {
        let mut all = Repaired {
            routes: 3,
            ..Repaired::default()
        };
        assert_eq!(all.to_string(), "routes (3)");
        all += Repaired {
            routes: 1,
            rulesets: 1,
            ..Repaired::default()
        };
        assert_eq!(all.to_string(), "routes (4), rulesets (1)");
        assert!(!all.is_empty() && Repaired::default().is_empty());
    }
}
