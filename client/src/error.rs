//! Why there is no plan.

use std::sync::Arc;

use ssa_rules::{ComposeError, LimitError};

/// Why there is no plan, and of which service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{service}: {fault}")]
pub struct PlanError {
    /// The service.
    pub service: Arc<str>,
    /// What is wrong.
    pub fault: PlanFault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// No usable record is in force: clients then do as they would without SSA.
    #[error("no usable rule record is in force: {why}")]
    NoRecord {
        /// Why not.
        why: Arc<str>,
    },
    /// The record asks for more than the options allow.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No address can be composed.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The wanted replica is none of the record's.
    #[error("replica {replica} is wanted; the record has 0 to {}", .replicas.saturating_sub(1))]
    Replica {
        /// The wanted one.
        replica: u8,
        /// How many there are.
        replicas: u8,
    },
    /// Nothing is reached at port 0.
    #[error("port 0 is wanted; allowed are 1 to 65535")]
    Port,
}

/// Why a text is no service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The address list does not parse.
    #[error("apl: {0}")]
    Apl(#[from] ssa_rules::apl::TextError),
    /// No record is usable.
    #[error("no record is usable: {0}")]
    Unusable(Arc<str>),
}
