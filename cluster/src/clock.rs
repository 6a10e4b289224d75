//! The time of the system, which objects tell people, and waiting for what may not be there.

use std::future::Future;
use std::time::Duration;

use crate::objects::Timestamp;

/// How often agents and nodes say that they are alive.
pub const RENEWED: Duration = Duration::from_secs(5);

/// Returns the time of the system.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one look at the clock of agents, nodes and controllers: what names runs and tells people, and nothing \
              else is decided by it"
)]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// Returns the moment from which on somebody says that it is alive: a status changes once in [`RENEWED`].
#[must_use]
pub fn renewed() -> Timestamp {
    let every = i64::try_from(RENEWED.as_millis()).unwrap_or(i64::MAX);
    let now = now().millis();
    Timestamp::from_millis(now - now.rem_euclid(every))
}

/// Waits for what there is to wait for, or for ever.
pub async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
