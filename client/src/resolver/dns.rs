//! What the DNS says, asked again before it expires.

use std::time::Duration;

use ssa_dns::{Name, RecordSet, Resolution, ResolveError, Servers};
use ssa_rules::published::MAX_RECORDS;

use super::{Follower, jittered};
use crate::state::{MAX_ADDRESSES, Material};

/// How long an absence counts that does not say it itself.
const ABSENT: Duration = Duration::from_mins(1);

/// The longest that an absence counts.
const MAX_ABSENT: Duration = Duration::from_mins(5);

/// The shortest time between two questions.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// The longest time between two questions.
const MAX_REFRESH: Duration = Duration::from_hours(1);

/// An answer.
pub(super) struct Answer {
    pub(super) material: Material,
    /// How long it holds.
    pub(super) ttl: Duration,
}

/// Asks for everything of a name.
pub(super) async fn ask(name: &Name, servers: &Servers) -> Result<Answer, ResolveError> {
    ssa_dns::ask(name, servers).await.map(read)
}

fn read(found: Resolution) -> Answer {
    let ttls = [ttl(&found.apl), ttl(&found.txt), ttl(&found.aaaa)];
    let ttl = ttls
        .into_iter()
        .min()
        .unwrap_or(MIN_REFRESH)
        .clamp(MIN_REFRESH, MAX_REFRESH);
    let (apl, fault) = match found.apl() {
        Ok(apl) => (apl, None),
        Err(faults) => {
            let faults: Vec<String> = faults.iter().take(4).map(ToString::to_string).collect();
            (None, Some(format!("{} APL: {}", found.canonical, faults.join("; "))))
        }
    };
    let is_record = |text: &Vec<u8>| ssa_rules::Record::counts(text);
    // As many as may stand together, and one more to tell that there are too many.
    let records = found.txt.records.into_iter().filter(is_record).take(MAX_RECORDS + 1);
    let mut addresses = found.aaaa.records;
    addresses.truncate(MAX_ADDRESSES);
    Answer {
        material: Material {
            apl,
            records: records.collect(),
            addresses,
            fault,
            ..Material::default()
        },
        ttl,
    }
}

fn ttl<T>(set: &RecordSet<T>) -> Duration {
    let seconds = |ttl: u32| Duration::from_secs(ttl.into());
    if set.absence.is_none() {
        return set.ttl.map_or(Duration::ZERO, seconds);
    }
    let absence = set.absence_ttl.map_or(ABSENT, seconds).min(MAX_ABSENT);
    set.ttl.map_or(absence, |ttl| absence.min(seconds(ttl)))
}

/// Asks again and again.
pub(super) async fn follow(mut follower: Follower, name: Name, servers: Servers) {
    let mut pause = jittered(follower.good_until.duration_since(tokio::time::Instant::now()));
    loop {
        follower.wait(pause.max(MIN_REFRESH / 2)).await;
        pause = match ask(&name, &servers).await {
            Ok(answer) => {
                follower.answered(&answer.material, answer.ttl);
                jittered(answer.ttl)
            }
            Err(error) => follower.failed(&error),
        };
    }
}
