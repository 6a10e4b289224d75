//! Why no address is composed.

use core::fmt;

use ssa_rules::{ComposeError, LimitError};

/// Why no address is composed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComposeFailure {
    /// The rule cannot be satisfied.
    Compose(ComposeError),
    /// The record asks for more than the operator allows.
    Limit(LimitError),
    /// This many proofs of work are already in progress.
    Busy(usize),
    /// A proof of work was not found in time, or there was no room to wait for it.
    NotInTime,
    /// The record asks for a proof of work, and requests have none made for them.
    WorkForRequest,
}

impl From<ComposeError> for ComposeFailure {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}

impl From<LimitError> for ComposeFailure {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

impl fmt::Display for ComposeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(error) => error.fmt(f),
            Self::Busy(max) => write!(f, "more than {max} proofs of work at once"),
            Self::WorkForRequest => f.write_str("the record asks for a proof of work, which requests do not have"),
            Self::NotInTime => f.write_str("no proof of work, and no time or room left to wait for it"),
            // By the names of the configuration's fields.
            Self::Limit(LimitError::Pow { pow, max }) => {
                write!(f, "the record asks for pow={pow}: max_pow is {max}")
            }
            Self::Limit(LimitError::TimeStep { step, min }) => {
                write!(
                    f,
                    "the record asks for time steps of {step} s: min_time_step_s is {min}"
                )
            }
        }
    }
}

impl core::error::Error for ComposeFailure {}

#[cfg(test)]
mod tests {
    use ssa_rules::Limits;

    use crate::config::{Config, RoleConfig};

    fn configured(limits: &str) -> Limits {
        let json = format!(
            r#"{{"role": "outbound", "source": "2001:db8::7"{limits}, "services": [{{"name": "web",
                "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=rand:64"], "addresses": ["2001:db8:6::1"]}}]}}"#
        );
        let RoleConfig::Outbound(outbound) = Config::from_json(json.as_bytes()).unwrap().role else {
            panic!("outbound")
        };
        *outbound.limits()
    }

    #[test]
    fn the_operators_limits_apply() {
        let default = Limits {
            // Some 0.1 s of a core for each service and port in each minute.
            max_pow: 20,
            // Any: crate::random::Pool::for_step bounds the addresses.
            min_time_step: 1,
        };
        assert_eq!(configured(""), default);
        let wanted = Limits {
            max_pow: 24,
            min_time_step: 30,
        };
        assert_eq!(configured(r#", "max_pow": 24, "min_time_step_s": 30"#), wanted);
    }
}
