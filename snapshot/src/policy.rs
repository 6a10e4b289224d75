//! The findings of the filter, and the actions of a policy.

use serde::{Deserialize, Serialize};

use crate::{
    TrafficClass,
    read::{Json, Path, Reader, Value, words},
};

macro_rules! findings {
    (
        policy { $($(#[$of_policy:meta])* $judged:ident $field:ident = $default:ident,)* }
        others { $($(#[$of_other:meta])* $other:ident $name:ident,)* }
    ) => {
        /// An inbound filter's finding for a connection: a verdict, or why there is none. The names are metric labels and
        /// log fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "snake_case"))]
        pub enum Finding {
            $($(#[$of_policy])* $judged,)*
            $($(#[$of_other])* $other,)*
        }

        impl Finding {
            /// All findings, each at its [number](Finding::number).
            pub const ALL: &[Self] = &[$(Self::$judged,)* $(Self::$other,)*];

            /// Returns the finding's stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$judged => stringify!($field),)*
                    $(Self::$other => stringify!($name),)*
                }
            }

            /// Returns the finding's number, its index in [`Finding::ALL`].
            #[must_use]
            pub const fn number(self) -> usize {
                self as usize
            }
        }

        /// The action for each finding of a service.
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
            fn read(json: &Json, path: &Path<'_>, reader: &mut Reader) -> Self {
                let object = reader.object(json, path, Some(&[$(stringify!($field)),*]));
                Self { $($field: object.optional(stringify!($field), reader).unwrap_or(Action::$default),)* }
            }

            fn placeholder() -> Self {
                Self::default()
            }
        }

        impl Policy {
            /// Returns the action for a finding. Findings that no policy covers are allowed.
            #[must_use]
            pub const fn action(&self, finding: Finding) -> Action {
                match finding {
                    $(Finding::$judged => self.$field,)*
                    $(Finding::$other)|* => Action::Allow,
                }
            }

            /// Returns whether this is the default policy, which need not be written.
            #[must_use]
            pub fn is_default(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

findings! {
    policy {
        /// Source and destination conform to a rule in force, completely.
        Conforming conforming = Allow,
        /// Everything that can be checked conforms; the reported parts depend on an object key or a chunk, which are unknown at layer 4.
        Unchecked unchecked = Allow,
        /// The destination is in a negated item, reserved for clients without SSA support.
        Legacy legacy = Demote,
        /// Source and destination conform to no rule; the failing part is reported: `item`, `field_0` to `field_15`, `pow`.
        Violation violation = Deny,
        /// A port of the service, on an address of no service, or in no item of a record in force.
        Outside outside = Deny,
        /// An address of the service, on a port that it does not serve.
        OtherPort other_port = Deny,
        /// The service has no rule in force.
        NoRule no_rule = Deny,
        /// A request in which its object key or its chunk was not found, though the address depends on it; all else conforms.
        NoObject no_object = Allow,
    }
    others {
        /// The service is off, or all services are: the connection passes.
        Unverified unverified,
        /// A plain address and an exempt source: the connection passes.
        Exempt exempt,
        /// Neither the address nor the port belongs to a service: `no_match` decides.
        NoMatch no_match,
        /// Envoy did not provide the connection's addresses: it is closed, unless nothing is enforced.
        Unreadable unreadable,
        /// No snapshot arrived in time: `failure_mode_allow` decides.
        NoSnapshot no_snapshot,
    }
}

words! {
    /// The action for a connection.
    pub enum Action {
        /// It passes.
        Allow = "allow",
        /// It passes, marked for low priority.
        Demote = "demote",
        /// It is closed.
        Deny = "deny",
    }
}

impl Action {
    /// Returns the traffic class that it assigns; none where the connection does not pass.
    #[must_use]
    pub const fn class(self) -> Option<TrafficClass> {
        match self {
            Self::Allow => Some(TrafficClass::Assumed),
            Self::Demote => Some(TrafficClass::Bad),
            Self::Deny => None,
        }
    }
}

words! {
    /// Whether a service's policy is enforced.
    #[derive(Default)]
    pub enum Mode {
        /// It is.
        #[default]
        Enforce = "enforce",
        /// Findings are counted and logged, and everything passes.
        Shadow = "shadow",
        /// Nothing is verified, and everything passes.
        Off = "off",
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format};

    use super::*;

    #[test]
    fn findings_have_distinct_names_and_numbers() {
        let names: BTreeSet<&str> = Finding::ALL.iter().map(|finding| finding.name()).collect();
        assert_eq!(names.len(), Finding::ALL.len());
        for (number, finding) in Finding::ALL.iter().copied().enumerate() {
            assert_eq!(finding.number(), number);
        }
    }

    #[test]
    fn actions_assign_classes_or_none() {
        let classes = [Action::Allow, Action::Demote, Action::Deny].map(Action::class);
        assert_eq!(classes, [Some(TrafficClass::Assumed), Some(TrafficClass::Bad), None]);
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
