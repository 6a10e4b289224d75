//! Whether the store answers, as Prometheus is told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    http::Page,
    metrics::{Family, METRICS, Registry},
    store::StoreError,
};

const REACHABLE: Family = Family::gauge(
    "ssa_cluster_store_reachable",
    "Whether the store answered when it was last asked.",
);
const AGE: Family = Family::gauge(
    "ssa_cluster_store_age_seconds",
    "How long ago the store last answered, or told of a change.",
);

/// When the store last answered, and whether it did when it was last asked. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Contact(Arc<Mutex<(bool, Option<Instant>)>>);

impl Contact {
    /// Notes whether the store has answered; that it refuses something is an answer.
    pub fn note<T>(&self, answer: &Result<T, StoreError>) {
        let answered = !matches!(answer, Err(StoreError::Unavailable { .. }));
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = answered;
        if answered {
            state.1 = Some(Instant::now());
        }
    }

    /// Says whether it did when it was last asked, and how long ago it last did.
    #[must_use]
    pub fn state(&self) -> (bool, Option<Duration>) {
        let (reachable, last) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (reachable, last.map(|last| last.elapsed()))
    }

    /// Makes `/metrics` of a registry, with this.
    pub fn metrics(&self, registry: Registry) -> impl Fn(&str) -> Page + Send + Sync + use<> {
        let contact = self.clone();
        move |_| {
            let (reachable, age) = contact.state();
            registry.set(&REACHABLE, &[], f64::from(u8::from(reachable)));
            if let Some(age) = age {
                registry.set(&AGE, &[], age.as_secs_f64());
            }
            Page {
                kind: METRICS,
                ..Page::text(200, registry.text())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Kind;

    #[test]
    fn an_answer_is_one_whatever_it_says_and_silence_is_none() {
        let contact = Contact::default();
        let page = contact.metrics(Registry::default());
        assert!(
            page("").body.ends_with("\nssa_cluster_store_reachable 0\n"),
            "{}",
            page("").body
        );
        contact.note::<()>(&Err(StoreError::TooOld { kind: Kind::SliceMap }));
        assert!(contact.state().0 && page("").body.contains("\nssa_cluster_store_reachable 1\n"));
        let silent = StoreError::Unavailable {
            store: "etcd".into(),
            reason: "no answer".into(),
        };
        contact.note::<()>(&Err(silent));
        let (reachable, age) = contact.state();
        assert!(!reachable && age.is_some());
        assert!(
            page("").body.contains("\nssa_cluster_store_age_seconds 0"),
            "{}",
            page("").body
        );
    }
}
