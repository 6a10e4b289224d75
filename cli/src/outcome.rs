//! What commands come to.

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Conforming, usable, passed: exit 0.
    Fine,
    /// Not so: exit 1.
    NotFine,
    /// Some of the input was bad, and all of that is reported: exit 2.
    BadInput,
}
