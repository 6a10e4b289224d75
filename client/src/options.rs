//! How a client plans and connects.

use std::{net::Ipv6Addr, time::Duration};

use ssa_rules::{Limits, record::MAX_POW};

use crate::keys::Keys;

/// How a client plans and connects. Every field has a default.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) keys: Keys,
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) limits: Limits,
    pub(crate) attempt_delay: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) stale: Duration,
    pub(crate) falls_back: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            source: None,
            limits: Limits {
                max_pow: 16,
                min_time_step: Limits::MIN_STEP,
            },
            attempt_delay: Duration::from_millis(250),
            attempt_timeout: Duration::from_secs(10),
            stale: Duration::from_hours(24),
            falls_back: true,
        }
    }
}

/// Why an option is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A duration is out of range.
    #[error("{option}: {found:?} is out of range; allowed are {min:?} to {max:?}")]
    Duration {
        /// The option.
        option: &'static str,
        /// What was given.
        found: Duration,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A proof of work is out of range.
    #[error("max_pow: {0} bits are out of range; allowed are 0 to {MAX_POW}")]
    MaxPow(u8),
}

fn within(option: &'static str, found: Duration, min: Duration, max: Duration) -> Result<Duration, OptionsError> {
    if (min..=max).contains(&found) {
        Ok(found)
    } else {
        Err(OptionsError::Duration {
            option,
            found,
            min,
            max,
        })
    }
}

impl Options {
    /// The client's keys, by the names that records give them; none by default. Those that a shim hands out come before
    /// them.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// The source of all connections; by default, for each item, the one that the kernel would use.
    #[must_use]
    pub const fn with_source(mut self, source: Ipv6Addr) -> Self {
        self.source = Some(source);
        self
    }

    /// The maximum proof of work of a record in bits, 0 to 24, by default 16. Planning takes 2ⁿ hashes of about 50 ns each
    /// on average, and 64 times that at most, on the thread that plans.
    ///
    /// # Errors
    ///
    /// [`OptionsError::MaxPow`].
    pub fn with_max_pow(mut self, bits: u8) -> Result<Self, OptionsError> {
        if bits > MAX_POW {
            return Err(OptionsError::MaxPow(bits));
        }
        self.limits.max_pow = bits;
        Ok(self)
    }

    /// How long one attempt to connect is alone before the next one is made beside it (RFC 8305 §5), 10 ms to 2 s, by
    /// default 250 ms.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Duration`].
    pub fn with_attempt_delay(mut self, delay: Duration) -> Result<Self, OptionsError> {
        let [min, max] = [10, 2000].map(Duration::from_millis);
        self.attempt_delay = within("attempt_delay", delay, min, max)?;
        Ok(self)
    }

    /// How long one attempt to connect may take, 10 ms to 5 minutes, by default 10 s.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Duration`].
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Result<Self, OptionsError> {
        let [min, max] = [10, 300_000].map(Duration::from_millis);
        self.attempt_timeout = within("attempt_timeout", timeout, min, max)?;
        Ok(self)
    }

    /// How long expired answers are used while nobody answers, at most a week, by default a day.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Duration`].
    pub fn with_stale(mut self, stale: Duration) -> Result<Self, OptionsError> {
        self.stale = within("stale", stale, Duration::ZERO, Duration::from_hours(7 * 24))?;
        Ok(self)
    }

    /// Whether [`Service::connect`](crate::Service::connect) goes to the published addresses (AAAA) where no usable record is
    /// in force, as a client without SSA does (docs/spec.md §1); by default it does.
    #[must_use]
    pub const fn with_fall_back(mut self, falls_back: bool) -> Self {
        self.falls_back = falls_back;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_told_with_what_is_allowed() {
        let told = |result: Result<Options, OptionsError>| result.unwrap_err().to_string();
        let ms = Duration::from_millis;
        assert_eq!(
            told(Options::default().with_attempt_delay(ms(9))),
            "attempt_delay: 9ms is out of range; allowed are 10ms to 2s"
        );
        assert!(
            Options::default().with_attempt_delay(ms(10)).is_ok()
                && Options::default().with_attempt_delay(ms(2000)).is_ok()
        );
        assert_eq!(
            told(Options::default().with_attempt_timeout(ms(300_001))),
            "attempt_timeout: 300.001s is out of range; allowed are 10ms to 300s"
        );
        assert_eq!(
            told(Options::default().with_max_pow(25)),
            "max_pow: 25 bits are out of range; allowed are 0 to 24"
        );
        assert_eq!(
            told(Options::default().with_stale(Duration::from_secs(604_801))),
            "stale: 604801s is out of range; allowed are 0ns to 604800s"
        );
    }
}
