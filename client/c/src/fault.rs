//! How a call ended, and what is told of it.

use std::fmt::Display;

use ssa_client::{ConnectError, PlanError};

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Ok = 0,
    /// An argument is faulty.
    Invalid = 1,
    /// Neither DNS nor shim answers.
    NoAnswer = 2,
    /// No address can be composed.
    NoPlan = 3,
    /// No target can be connected to.
    NoConnection = 4,
    /// A fault of this library.
    Internal = 5,
}

/// A fault as C receives it: a status and a text.
pub(crate) struct Fault(pub(crate) Status, pub(crate) String);

pub(crate) fn invalid(error: impl Display) -> Fault {
    Fault(Status::Invalid, error.to_string())
}

impl From<PlanError> for Fault {
    fn from(error: PlanError) -> Self {
        Self(Status::NoPlan, error.to_string())
    }
}

impl From<ConnectError> for Fault {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Plan(error) => error.into(),
            error => Self(Status::NoConnection, error.to_string()),
        }
    }
}
