//! Section 2: the record alone.

pub(super) mod grammar;
pub(super) mod http;
pub(super) mod limits;
pub(super) mod numbers;
pub(super) mod rules;
