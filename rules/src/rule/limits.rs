//! What a record may ask of a client: whoever publishes it chooses the work and the haste, and clients pay for it.

use core::fmt;

use super::Rule;
use crate::record::MAX_TIME_STEP;

/// What a client does for a record at most, as its operator says.
///
/// ```
/// use ssa_rules::{AddressSpace, Apl, Key, Limits, Record, Rule};
///
/// let record: Record = "v=ssa1; addr=hash(src/64):20 rand:44; pow=8".parse()?;
/// let apl: Apl = "2:2001:db8:5::/64".parse()?;
/// let rule = Rule::prepare(&record, AddressSpace::new(&apl)?.as_ref(), &Key::None)?;
///
/// assert!(Limits { max_pow: 8, min_time_step: 1 }.check(&rule).is_ok());
/// assert!(Limits { max_pow: 7, min_time_step: 1 }.check(&rule).is_err());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum proof of work in bits, 0 to [`MAX_POW`](crate::record::MAX_POW).
    pub max_pow: u8,
    /// The minimum time step in seconds, [`Limits::MIN_STEP`] to [`Limits::MAX_STEP`].
    pub min_time_step: u32,
}

impl Limits {
    /// The minimum time step of a record, in seconds.
    pub const MIN_STEP: u32 = 1;
    /// The greatest minimum, in seconds: the maximum time step of a record.
    pub const MAX_STEP: u32 = MAX_TIME_STEP;

    /// Checks that a rule asks for no more.
    ///
    /// # Errors
    ///
    /// [`LimitError`] names what it asks for, and the limit.
    pub fn check(&self, rule: &Rule) -> Result<(), LimitError> {
        let (pow, max) = (rule.pow(), self.max_pow);
        if pow > max {
            return Err(LimitError::Pow { pow, max });
        }
        match rule.time_step() {
            Some(step) if step < self.min_time_step => Err(LimitError::TimeStep {
                step,
                min: self.min_time_step,
            }),
            _ => Ok(()),
        }
    }
}

/// What a record asks for beyond the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// More work.
    Pow {
        /// The bits that it asks for.
        pow: u8,
        /// The most.
        max: u8,
    },
    /// Another address more often.
    TimeStep {
        /// Its step, in seconds.
        step: u32,
        /// The shortest.
        min: u32,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pow { pow, max } => write!(f, "the record asks for pow={pow}, which exceeds {max}"),
            Self::TimeStep { step, min } => {
                write!(f, "the record asks for time steps of {step} s, which are below {min} s")
            }
        }
    }
}

impl core::error::Error for LimitError {}
