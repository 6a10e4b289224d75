//! What records may ask of clients: whoever publishes a record chooses the work and the haste, and clients pay for it.

use core::fmt;

use ssa_rules::{ComposeError, Rule};

/// The most bits of a proof of work by default: some 0.1 s of a core for each service and port in each minute.
pub const DEFAULT_MAX_POW: u8 = 20;

/// The shortest time step by default, in seconds: any, for [`crate::random::Pool::for_step`] bounds its addresses.
pub const DEFAULT_MIN_TIME_STEP: u32 = 1;

/// What an operator has clients do for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bits of a proof of work, 0 to 24.
    pub max_pow: u8,
    /// The shortest time step in seconds, 1 to 86400.
    pub min_time_step: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pow: DEFAULT_MAX_POW,
            min_time_step: DEFAULT_MIN_TIME_STEP,
        }
    }
}

impl Limits {
    /// Says whether a rule asks for no more than that.
    ///
    /// # Errors
    ///
    /// What it asks for.
    pub fn check(&self, rule: &Rule) -> Result<(), Failure> {
        let (pow, most) = (rule.pow(), self.max_pow);
        if pow > most {
            return Err(Failure::Pow { pow, most });
        }
        match rule.time_step() {
            Some(step) if step < self.min_time_step => Err(Failure::TimeStep {
                step,
                least: self.min_time_step,
            }),
            _ => Ok(()),
        }
    }
}

/// Why no address is composed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The rule gives none.
    Compose(ComposeError),
    /// The record asks for more work than is done for it.
    Pow {
        /// The bits that it asks for.
        pow: u8,
        /// The most.
        most: u8,
    },
    /// The record asks for other addresses more often than they are made.
    TimeStep {
        /// Its step, in seconds.
        step: u32,
        /// The shortest.
        least: u32,
    },
}

impl From<ComposeError> for Failure {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compose(error) => error.fmt(f),
            Self::Pow { pow, most } => write!(f, "the record asks for pow={pow}: max_pow is {most}"),
            Self::TimeStep { step, least } => {
                write!(
                    f,
                    "the record asks for time steps of {step} s: min_time_step_s is {least}"
                )
            }
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
