//! What is found of a connection, and what is done about it.

use serde::{Deserialize, Serialize};

use crate::read::{Json, Reader, Value, Way, words};

macro_rules! findings {
    (
        policy { $($(#[$of_policy:meta])* $judged:ident $field:ident = $default:ident,)* }
        others { $($(#[$of_other:meta])* $other:ident $name:ident,)* }
    ) => {
        /// What an inbound filter finds of a connection: a verdict, or why there is none. The names are labels of metrics
        /// and fields of logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
        pub enum Finding {
            $($(#[$of_policy])* $judged,)*
            $($(#[$of_other])* $other,)*
        }

        impl Finding {
            /// All of them; each stands at its [number](Finding::number).
            pub const ALL: &[Self] = &[$(Self::$judged,)* $(Self::$other,)*];

            /// Returns the finding's stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$judged => stringify!($field),)*
                    $(Self::$other => stringify!($name),)*
                }
            }

            /// Returns the finding's number, its place in [`Finding::ALL`].
            #[must_use]
            pub const fn number(self) -> usize {
                self as usize
            }
        }

        /// What is done with each finding of a service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(default, deny_unknown_fields)]
        pub struct Policy {
            $($(#[$of_policy])* pub $field: Action,)*
        }

        impl Default for Policy {
            fn default() -> Self {
                Self { $($field: Action::$default,)* }
            }
        }

        impl Value for Policy {
            fn read(json: &Json, way: &Way<'_>, reader: &mut Reader) -> Self {
                let object = reader.object(json, way, Some(&[$(stringify!($field)),*]));
                Self { $($field: object.optional(stringify!($field), reader).unwrap_or(Action::$default),)* }
            }

            fn stand_in() -> Self {
                Self::default()
            }
        }

        impl Policy {
            /// Returns the action for a finding. Those that no policy speaks of are allowed.
            #[must_use]
            pub const fn action(&self, finding: Finding) -> Action {
                match finding {
                    $(Finding::$judged => self.$field,)*
                    $(Finding::$other)|* => Action::Allow,
                }
            }

            /// Says whether it is the default one, which needs not be told.
            #[must_use]
            pub fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

findings! {
    policy {
        /// Source and destination fit a rule in force, all of it.
        Conforming conforming = Allow,
        /// What can be checked fits; the parts told depend on an object key or a chunk, which are not known at layer 4.
        Unchecked unchecked = Allow,
        /// The destination lies in a negated item, kept for devices without SSA.
        Legacy legacy = Demote,
        /// Source and destination fit no rule; the part at fault is told: `item`, `field_0` to `field_15`, `pow`.
        Violation violation = Deny,
        /// A port of the service, on an address that is no service's, or in no item of a record in force.
        Outside outside = Deny,
        /// An address of the service, on a port that is not its own.
        OtherPort other_port = Deny,
        /// The service has no rule in force now.
        NoRule no_rule = Deny,
    }
    others {
        /// The service is off, or all are: it passes.
        Unverified unverified,
        /// A plain address, and an exempt source: it passes.
        Exempt exempt,
        /// Neither address nor port concern a service: what is done `unclaimed` says.
        Unclaimed unclaimed,
        /// Envoy did not say what the connection is: it is closed, unless nothing is enforced.
        Unreadable unreadable,
        /// No snapshot came in time: what is done `missing` says.
        NoSnapshot no_snapshot,
    }
}

words! {
    /// What is done with a connection.
    pub enum Action {
        /// It passes.
        Allow = "allow",
        /// It passes, marked for low priority.
        Demote = "demote",
        /// It is closed.
        Deny = "deny",
    }
}

words! {
    /// Whether a service's policy is carried out.
    #[derive(Default)]
    pub enum Mode {
        /// It is.
        #[default]
        Enforce = "enforce",
        /// It is counted and logged, and all passes.
        Shadow = "shadow",
        /// Nothing is verified, and all passes.
        Off = "off",
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format};

    use super::*;

    #[test]
    fn findings_have_names_and_numbers_of_their_own() {
        let names: BTreeSet<&str> = Finding::ALL.iter().map(|finding| finding.name()).collect();
        assert_eq!(names.len(), Finding::ALL.len());
        for (number, finding) in Finding::ALL.iter().copied().enumerate() {
            assert_eq!(finding.number(), number);
        }
    }

    #[test]
    fn a_policys_fields_are_findings() {
        let mut allowed = 0;
        for finding in Finding::ALL.iter().copied() {
            let json = format!(r#"{{"{}": "demote"}}"#, finding.name());
            let policy = serde_json::from_str::<Policy>(&json).ok();
            let action = policy.unwrap_or_default().action(finding);
            if policy.is_some() {
                assert_eq!(action, Action::Demote, "{json}");
            } else {
                allowed += 1;
                assert_eq!(action, Action::Allow, "{json}");
            }
        }
        assert_eq!(allowed, 5);
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }
}
