//! What the API server's errors mean.

use kube::core::response::Status;

use crate::{
    objects::{Fault, Kind},
    store::StoreError,
};

const STORE: &str = "Kubernetes";

pub(super) fn denied(reason: String) -> StoreError {
    StoreError::Denied {
        store: STORE.into(),
        reason,
    }
}

fn unavailable(reason: String) -> StoreError {
    StoreError::Unavailable {
        store: STORE.into(),
        reason,
    }
}

pub(super) fn fault(path: &str, problem: String) -> Fault {
    Fault {
        path: path.to_owned(),
        problem: ssa_input::json::Problem::Other(problem),
        position: None,
    }
}

/// Returns what a failed call means for an object; for a kind as a whole where there is no name.
pub(super) fn failed(error: kube::Error, kind: Kind, name: &str) -> StoreError {
    let status = match error {
        kube::Error::Api(status) => *status,
        error => return unavailable(reasons(&error)),
    };
    let name = name.to_owned();
    match (status.code, status.reason.as_str()) {
        (404, _) if name.is_empty() || status.message.contains("could not find the requested resource") => {
            denied(format!(
                "does not know {}.{}: ssa-cluster crds prints what has to be applied",
                kind.plural(),
                kind.group()
            ))
        }
        (404, _) => StoreError::NotFound { kind, name },
        (409, "AlreadyExists") => StoreError::Exists { kind, name },
        (409, _) => StoreError::Conflict { kind, name },
        (410, _) => StoreError::TooOld { kind },
        (400 | 413 | 422, _) => {
            let causes = status.details.as_ref().map(|details| details.causes.as_slice());
            let mut faults: Vec<Fault> = causes
                .unwrap_or_default()
                .iter()
                .map(|cause| fault(&cause.field, cause.message.clone()))
                .collect();
            if faults.is_empty() {
                faults.push(fault("", status.message));
            }
            StoreError::Invalid { kind, name, faults }
        }
        (401 | 403, _) => denied(status.message),
        _ => unavailable(status.message),
    }
}

/// Returns what an event of a watch means that is an error.
pub(super) fn gone(status: Status, kind: Kind) -> StoreError {
    failed(kube::Error::Api(Box::new(status)), kind, "")
}

/// Returns what an error says, and what each of its causes adds.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        cause = error.source();
    }
    told
}
