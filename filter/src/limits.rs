//! What is done for records where the operator says nothing else, and why no address is composed.

use core::fmt;

use ssa_rules::{ComposeError, LimitError, Limits};

/// The limits of a sidecar by default.
pub const DEFAULT: Limits = Limits {
    // Some 0.1 s of a core for each service and port in each minute.
    max_pow: 20,
    // Any: crate::random::Pool::for_step bounds the addresses.
    min_time_step: 1,
};

/// Why no address is composed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The rule gives none.
    Compose(ComposeError),
    /// The record asks for more than the operator lets it.
    Limit(LimitError),
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}

impl From<LimitError> for Failure {
    fn from(error: LimitError) -> Self {
        Self::Limit(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use ssa_rules::UnixTime;

    use crate::config::{Config, Role};

    /// Says what becomes of a record under limits as a configuration has them.
    fn asked(limits: &str, rule: &str) -> Option<String> {
        let json = format!(
            r#"{{"role": "outbound", "source": "2001:db8::7"{limits}, "services": [{{"name": "web",
                "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr={rule}"], "addresses": ["2001:db8:6::1"]}}]}}"#
        );
        let Role::Outbound(outbound) = Config::from_json(json.as_bytes()).unwrap().role else {
            panic!("outbound")
        };
        let rules = &outbound.services().services()[0].service.rules;
        let rule = rules.client_rule(UnixTime(1_790_000_000)).unwrap();
        outbound.limits().check(rule).err().map(|failure| failure.to_string())
    }

    #[test]
    fn records_ask_for_as_much_as_the_operator_says() {
        let pow = |bits: u8| format!("hash(src/64):20 rand:44; pow={bits}");
        assert_eq!(asked("", &pow(20)), None);
        assert_eq!(
            asked("", &pow(21)).as_deref(),
            Some("the record asks for pow=21: max_pow is 20")
        );
        assert_eq!(asked(r#", "max_pow": 24"#, &pow(24)), None);
        assert!(asked(r#", "max_pow": 0"#, &pow(1)).is_some());
        assert_eq!(asked(r#", "max_pow": 0"#, "hash(src/64):20 rand:44"), None);

        let step = |step: u32| format!("hash(src/64,time/{step}):20 rand:44");
        assert_eq!(asked("", &step(1)), None);
        assert_eq!(asked(r#", "min_time_step_s": 30"#, &step(30)), None);
        assert_eq!(
            asked(r#", "min_time_step_s": 30"#, &step(29)).as_deref(),
            Some("the record asks for time steps of 29 s: min_time_step_s is 30")
        );
        assert_eq!(asked(r#", "min_time_step_s": 86400"#, "rand:64"), None);
    }
}
