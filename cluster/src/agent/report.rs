//! What an agent tells of itself: the status of its endpoint.

use std::collections::BTreeMap;

use ipnet::Ipv6Net;

use super::{Agent, tell};
use crate::clock::{now, renewed};
use crate::kernel::{Error, Flows, flows};
use crate::objects::{
    Condition, ConditionStatus, LabelValue, Message, Name, Phase, Prefix, SliceEndpointStatus, SliceMove, Taken,
    Timestamp,
};

/// The most prefixes that a status lists: of what was taken over, and of what is refused.
pub(super) const MOST: usize = 1024;
/// How many prefixes a message names.
const NAMED: usize = 8;

impl Agent {
    /// Works out the status, and has it written if it has changed. It does not wait for the store.
    pub(super) async fn report(&mut self) {
        if !self.is_here {
            return;
        }
        let status = self.status().await;
        self.record(&status);
        if self.reported.as_ref() != Some(&status) {
            self.writer.write(status.clone());
            self.reported = Some(status);
        }
    }

    async fn status(&self) -> SliceEndpointStatus {
        let reason = self.unready();
        let ready = reason.is_none();
        let since = self.reported.as_ref().filter(|before| before.ready == ready);
        let wall = now();
        let mut conditions = Vec::new();
        let (why, message) = reason.unwrap_or(("Serving", String::new()));
        conditions.extend(condition("Ready", ready, why, &message, wall));
        let refused = !self.refused.is_empty();
        let named: Vec<String> = self.refused.iter().take(NAMED).map(ToString::to_string).collect();
        let (why, message) = if refused {
            let allowed: Vec<String> = self
                .options
                .allowed
                .iter()
                .take(NAMED)
                .map(ToString::to_string)
                .collect();
            let more = self.refused.len().saturating_sub(NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let (named, allowed) = (named.join(", "), allowed.join(", "));
            ("Refused", format!("{named}{more}: outside of --allowed {allowed}"))
        } else {
            ("Allowed", String::new())
        };
        conditions.extend(condition("PrefixesAllowed", !refused, why, &message, wall));
        if self.part.exclusive {
            let why = self.unleased();
            let (holds, reason) = (why.is_none(), if why.is_none() { "Held" } else { "NotHeld" });
            let message = why.map(|why| format!("takes no new flows of exclusive sets: {why}"));
            conditions.extend(condition(
                "LeaseHeld",
                holds,
                reason,
                &message.unwrap_or_default(),
                wall,
            ));
        }
        let prefixes = self.refused.iter().take(MOST).map(|prefix| Prefix::new(*prefix));
        let mut status = SliceEndpointStatus {
            observed_generation: 0,
            instance: Some(self.instance.clone()),
            kernel: Some(self.kernel_name.clone()),
            refused: prefixes.collect(),
            ready,
            serving: self.serving(),
            ready_since: since.map_or(Some(wall), |before| before.ready_since),
            renewed_at: Some(renewed()),
            rejoined: self.views.values().any(|view| view.rejoined),
            taken: self.taken(),
            maps: Vec::new(),
            moves: Vec::new(),
            conditions,
        };
        if self.applied {
            status.maps.clone_from(&self.part.maps);
            status.moves = self.moves().await;
        } else if let Some(before) = &self.reported {
            // What it held when it last held what it should.
            status.maps.clone_from(&before.maps);
            status.moves.clone_from(&before.moves);
        }
        status
    }

    fn taken(&self) -> Vec<Taken> {
        let all = self.views.values().flat_map(|view| &view.taken);
        let taken = all.filter_map(|(prefix, owner)| {
            Some(Taken {
                prefix: Prefix::new(*prefix),
                from: Name::new(owner.as_str()).ok()?,
            })
        });
        taken.take(MOST).collect()
    }

    async fn moves(&self) -> Vec<crate::objects::ObservedMove> {
        let (flows, forwarded) = self.count().await;
        let mut observed = self.part.observed(|one| {
            let owns = one.giver() == Some(&self.options.endpoint);
            if !owns {
                return (None, None);
            }
            let prefixes = || one.spec.prefixes.iter().map(|prefix| prefix.net());
            let total = flows.as_ref().map(|flows| {
                prefixes()
                    .filter_map(|prefix| flows.get(&prefix))
                    .map(|one| one.total())
                    .sum::<u64>()
            });
            let total = total.map(|total| u32::try_from(total).unwrap_or(u32::MAX));
            (total, forwarded.as_ref().map(|counted| sent(prefixes(), counted)))
        });
        for told in &mut observed {
            if let Some(one) = self.part.moves.iter().find(|one| *one.name() == told.name) {
                self.hooks.hold(&self.options.endpoint, one, told);
                self.hold_without_lease(one, told);
            }
        }
        observed
    }

    /// Counts what is open and what was forwarded, of the moves by which this endpoint gives something.
    ///
    /// What could not be counted is none, and not 0: the leader takes silence for a sign that routers have followed.
    async fn count(&self) -> (Option<BTreeMap<Ipv6Net, Flows>>, Option<BTreeMap<Ipv6Net, u64>>) {
        let gives = |one: &&SliceMove| one.giver() == Some(&self.options.endpoint);
        let gives: Vec<&SliceMove> = self.part.moves.iter().filter(gives).collect();
        if gives.is_empty() {
            return (None, None);
        }
        let draining = gives.iter().filter(|one| one.status.phase >= Phase::Drain);
        let prefixes: Vec<Ipv6Net> = draining
            .flat_map(|one| one.spec.prefixes.iter().map(|prefix| prefix.net()))
            .collect();
        let forwarded = match &self.kernel {
            Some(kernel) => known(kernel.forwarded().await),
            None => None,
        };
        let counted = tokio::task::spawn_blocking(move || flows(&prefixes)).await;
        let open = match counted {
            Ok(counted) => known(counted),
            Err(_) => None,
        };
        (open, forwarded)
    }
}

/// Returns what was counted; a failure is told, and is no count.
fn known<T>(counted: Result<T, Error>) -> Option<T> {
    counted.map_err(|error| tell(&error.to_string())).ok()
}

/// Adds up what was forwarded of some prefixes.
fn sent(prefixes: impl Iterator<Item = Ipv6Net>, counted: &BTreeMap<Ipv6Net, u64>) -> u64 {
    prefixes.filter_map(|prefix| counted.get(&prefix)).sum()
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str, since: Timestamp) -> Option<Condition> {
    Some(Condition {
        kind: LabelValue::new(kind).ok()?,
        status: if holds {
            ConditionStatus::True
        } else {
            ConditionStatus::False
        },
        reason: LabelValue::new(reason).ok()?,
        message: Message::new(message),
        last_transition_time: since,
        observed_generation: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::super::telemetry::Telemetry;
    use super::super::{Application, Options};
    use super::*;
    use crate::contact::Contact;
    use crate::store::{Memory, Store};

    #[test]
    fn a_failed_count_is_none_and_not_0() {
        let gone = Error::Nft {
            what: "list a set",
            message: "no such set".to_owned(),
        };
        assert_eq!(known::<BTreeMap<Ipv6Net, u64>>(Err(gone)), None);
        assert_eq!(known(Ok(BTreeMap::<Ipv6Net, u64>::new())), Some(BTreeMap::new()));
    }

    #[tokio::test]
    async fn what_was_not_counted_of_a_move_is_not_reported() {
        let endpoint = Name::new("a").expect("a name");
        let options = Options {
            endpoint,
            interfaces: Vec::new(),
            allowed: Vec::new(),
            probe: None,
            drain: Duration::ZERO,
            heartbeats: None,
            application: Application::default(),
            lease: ssa_snapshot::Number::default(),
            listen: None,
        };
        let store = Store::new(Arc::new(Memory::new()));
        let (telemetry, contact) = (Telemetry::new(false), Contact::default());
        let mut agent = Agent::new(store, options, telemetry, contact, mpsc::channel(1).0).expect("an agent");
        let gives = serde_json::json!({
            "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceMove", "metadata": {"name": "web-2"},
            "spec": {"sliceSet": "web", "epoch": 2, "from": "a", "to": "b", "prefixes": ["2001:db8:5::/66"],
                     "reason": "Manual"},
        });
        agent.part.moves.push(SliceMove::from_value(&gives).expect("a move"));
        let [observed] = agent.moves().await.try_into().expect("a move");
        assert_eq!(observed.forwarded, None, "there is no kernel that counts");
    }
}
