//! Asks the DNS for services, again and again, each in its own rhythm.

use std::{sync::Arc, time::Duration};

use ssa_dns::{AskError, Name, Proof, RecordSet, Servers};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    answers::{Answer, Answers, Failure, List, MAX_ADDRESSES, records},
    config::Dns,
    probe::Probe,
    random::Random,
};

/// How long an absence counts that does not say it itself, in seconds.
const ABSENT: u64 = 60;

/// When the first try after a failure comes, in seconds; each further one takes twice as long.
const FIRST_RETRY: u64 = 1;

/// The answers for a service, and when it will be asked for again.
#[derive(Debug)]
pub struct Report {
    /// Which service.
    pub service: Arc<str>,
    /// Which of those that were made for it: an older one says nothing any more.
    pub round: u64,
    /// What was answered.
    pub answers: Answers,
    /// What is known of the signatures of all of it, where all was answered.
    pub proof: Option<Proof>,
}

/// Asks for one name without end.
pub async fn poll(
    name: Name,
    (service, round): (Arc<str>, u64),
    servers: Servers,
    dns: Dns,
    turns: Arc<Semaphore>,
    (reports, probe): (mpsc::Sender<Report>, Option<Arc<Probe>>),
) {
    let mut failures = 0;
    let mut random = Random::new();
    let mut check = LoopCheck::default();
    loop {
        let Ok(turn) = turns.acquire().await else { return };
        let (mut answers, mut proof) = ask(&servers, &name, &dns).await;
        if let Some(probe) = &probe
            && check.leads_back(&answers, probe.leads_back(&servers, &name)).await
        {
            let reason = format!("{name}: the DNS servers that are asked lead back to this shim's own front");
            (answers, proof) = (Answers::failed(&Failure::new("loop", &reason)), None);
        }
        drop(turn);
        failures = if answers.failure().is_some() {
            u32::saturating_add(failures, 1)
        } else {
            0
        };
        let wait = pause(&answers, failures, &dns, &mut random);
        let report = Report {
            service: service.clone(),
            round,
            answers,
            proof,
        };
        if reports.send(report).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// What is known of where the servers lead.
#[derive(Default)]
struct LoopCheck {
    /// The addresses that were answered when they did not lead back.
    good: Option<Vec<std::net::Ipv6Addr>>,
    /// Whether the last questions failed, and whether they led back then.
    failed: Option<bool>,
}

impl LoopCheck {
    /// Returns whether answers came by way of the front. That is asked for new addresses, which may be composed ones, and
    /// for the first of several failures.
    async fn leads_back(&mut self, answers: &Answers, probe: impl Future<Output = bool>) -> bool {
        if let (None, Ok(addresses)) = (answers.failure(), &answers.addresses) {
            self.failed = None;
            if self.good.as_ref() == Some(&addresses.value) {
                return false;
            }
            let back = probe.await;
            self.good = (!back).then(|| addresses.value.clone());
            return back;
        }
        if self.failed.is_none() {
            self.failed = Some(probe.await);
        }
        self.failed.unwrap_or(false)
    }
}

/// Asks everything of one name, and says what is known of the signatures where all was answered.
pub async fn ask(servers: &Servers, name: &Name, dns: &Dns) -> (Answers, Option<Proof>) {
    // Without the canonical name nobody knows where the rule records are.
    let (canonical, list) = match ssa_dns::lists(servers, name).await {
        Ok(found) => found,
        Err(error) => return (Answers::failed(&failure(&format!("{name} APL"), &error)), None),
    };
    let texts = match ssa_dns::rule_name(&canonical) {
        Ok(rule_name) => ssa_dns::texts(servers, &rule_name)
            .await
            .map_err(|error| failure(&format!("{rule_name} TXT"), &error)),
        Err(error) => Err(failure(&format!("{canonical} TXT"), &error)),
    };
    let addresses = ssa_dns::addresses(servers, name)
        .await
        .map_err(|error| failure(&format!("{name} AAAA"), &error));
    let united = match list.united() {
        Ok(Some(apl)) => List::of(&apl),
        Ok(None) => List::Absent,
        Err(faults) => {
            let faults: Vec<String> = faults.iter().take(4).map(ToString::to_string).collect();
            List::faulty(&faults.join("; "))
        }
    };
    let proof = match (&texts, &addresses) {
        (Ok(texts), Ok(addresses)) => Some(list.proof.min(texts.proof).min(addresses.proof)),
        _ => None,
    };
    let answers = Answers {
        list: Ok(answer(&list, united, dns)),
        records: texts.map(|set| {
            let found = answer(&set, records(set.records.iter().cloned()), dns);
            // The aliases of the name lead to where these are, too.
            let held = found.held.max(list.alias_ttl.map_or(0, u64::from));
            Answer { held, ..found }
        }),
        addresses: addresses.map(|set| {
            let mut addresses = set.records.clone();
            addresses.dedup();
            addresses.truncate(MAX_ADDRESSES);
            answer(&set, addresses, dns)
        }),
    };
    (answers, proof)
}

fn failure(question: &str, error: &AskError) -> Failure {
    Failure::new(error.name(), &format!("{question}: {error}"))
}

fn answer<T, V>(set: &RecordSet<T>, value: V, dns: &Dns) -> Answer<V> {
    let ttl = match (set.absence, set.ttl, set.absence_ttl) {
        (None, ttl, _) => ttl.map_or(0, u64::from),
        (Some(_), ttl, absence) => {
            let absence = absence.map_or(ABSENT, u64::from).min(dns.max_negative_ttl);
            ttl.map_or(absence, |ttl| absence.min(ttl.into()))
        }
    };
    // An alias that is held longer leads to the records for longer, and records that are held longer are used under it
    // however often it is asked anew.
    let own = if set.absence.is_some() {
        ttl
    } else {
        set.own_ttl.map_or(0, u64::from)
    };
    Answer {
        value,
        ttl,
        held: own.max(set.alias_ttl.map_or(0, u64::from)),
        absence: set.absence,
    }
}

/// Returns how long to wait before the next question: less than the least TTL by a random part, so that answers are
/// renewed before they expire and not all at once; after failures ever longer.
fn pause(answers: &Answers, failures: u32, dns: &Dns, random: &mut Random) -> Duration {
    let ttls = [
        answers.list.as_ref().ok().map(|answer| answer.ttl),
        answers.records.as_ref().ok().map(|answer| answer.ttl),
        answers.addresses.as_ref().ok().map(|answer| answer.ttl),
    ];
    let ttl = ttls.into_iter().flatten().min().unwrap_or(dns.max_refresh);
    let due = ttl.clamp(dns.min_refresh, dns.max_refresh.max(dns.min_refresh));
    let seconds = if failures == 0 {
        due
    } else {
        let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(dns.max_backoff).min(due.max(FIRST_RETRY))
    };
    let milliseconds = seconds.saturating_mul(1000);
    // 80 to 95 % of it.
    let part = 80_u64.saturating_add(random.below(16));
    let jittered = Duration::from_millis(milliseconds.saturating_mul(part) / 100);
    jittered.max(Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns() -> Dns {
        crate::config::Config::from_json(b"{}").unwrap().dns
    }

    fn answers(ttl: u64) -> Answers {
        Answers {
            list: Ok(Answer {
                value: List::Absent,
                ttl,
                held: ttl,
                absence: None,
            }),
            records: Ok(Answer {
                value: Vec::new(),
                ttl: ttl + 9,
                held: ttl + 9,
                absence: None,
            }),
            addresses: Err(Failure::new("timeout", "")),
        }
    }

    #[test]
    fn names_are_asked_again_before_answers_expire() {
        let mut random = Random::new();
        let mut met = std::collections::HashSet::new();
        for _ in 0..200 {
            let wait = pause(&answers(300), 0, &dns(), &mut random);
            assert!((240..=285).contains(&wait.as_secs()), "{wait:?}");
            met.insert(wait);
        }
        assert!(met.len() > 5, "{met:?}");
        assert!(pause(&answers(0), 0, &dns(), &mut random) >= Duration::from_millis(500));
        assert!(pause(&answers(u64::MAX - 9), 0, &dns(), &mut random) <= Duration::from_hours(1));
    }

    #[tokio::test]
    async fn the_way_is_looked_at_when_addresses_change_and_when_failures_begin() {
        let with = |addresses: &[&str]| Answers {
            addresses: Ok(Answer {
                value: addresses.iter().map(|address| address.parse().unwrap()).collect(),
                ttl: 9,
                held: 9,
                absence: None,
            }),
            ..answers(9)
        };
        let failed = || Answers::failed(&Failure::new("timeout", ""));
        let mut check = LoopCheck::default();
        let never = || async { unreachable!("the way is known") };
        assert!(!check.leads_back(&with(&["::1"]), async { false }).await);
        assert!(!check.leads_back(&with(&["::1"]), never()).await);
        assert!(check.leads_back(&with(&["::2"]), async { true }).await);
        assert!(check.leads_back(&with(&["::2"]), async { true }).await);
        assert!(check.leads_back(&failed(), async { true }).await);
        assert!(check.leads_back(&failed(), never()).await);
        assert!(!check.leads_back(&with(&["::1"]), async { false }).await);
        assert!(!check.leads_back(&failed(), async { false }).await);
        assert!(!check.leads_back(&failed(), never()).await);
    }

    #[test]
    fn failures_are_tried_again_ever_later() {
        let mut random = Random::new();
        let failed = Answers::failed(&Failure::new("timeout", ""));
        let mut last = Duration::ZERO;
        for failures in [1, 3, 5] {
            let wait = pause(&failed, failures, &dns(), &mut random);
            assert!(wait > last, "{failures}: {wait:?}");
            last = wait;
        }
        assert!(pause(&failed, u32::MAX, &dns(), &mut random) <= Duration::from_secs(30));
    }

    /// A verifier keeps what is gone for as long as somebody may still come by it: the longer of alias and record.
    #[test]
    fn records_behind_aliases_are_held_as_long_as_the_longer_of_both() {
        let held = |own: u32, alias: Option<u32>| {
            let set = RecordSet {
                records: vec![()],
                ttl: Some(alias.unwrap_or(own).min(own)),
                own_ttl: Some(own),
                alias_ttl: alias,
                absence: None,
                absence_ttl: None,
                proof: Proof::Unchecked,
            };
            let answer = answer(&set, (), &dns());
            (answer.ttl, answer.held)
        };
        assert_eq!(held(60, None), (60, 60));
        assert_eq!(held(60, Some(3600)), (60, 3600));
        assert_eq!(held(3600, Some(60)), (60, 3600));
    }

    #[test]
    fn absences_count_no_longer_than_allowed() {
        let set = |ttl, absence_ttl| RecordSet::<()> {
            records: Vec::new(),
            ttl,
            own_ttl: None,
            alias_ttl: None,
            absence: Some(ssa_dns::Absence::NoData),
            absence_ttl,
            proof: Proof::Unchecked,
        };
        assert_eq!(answer(&set(None, Some(86_400)), (), &dns()).ttl, 300);
        assert_eq!(answer(&set(None, Some(5)), (), &dns()).ttl, 5);
        assert_eq!(answer(&set(None, None), (), &dns()).ttl, ABSENT);
        assert_eq!(answer(&set(Some(2), None), (), &dns()).ttl, 2);
    }
}
