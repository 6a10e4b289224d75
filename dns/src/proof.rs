//! What signatures prove of an answer.

/// What is known of the signatures of an answer, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nobody looked at them.
    Unchecked,
    /// It has none, and is proven to be of a zone without.
    Insecure,
    /// They lead to a trust anchor.
    Secure,
}
