//! `ssa-cluster controller`

use std::{error::Error, time::Duration};

use clap::Args;
use ssa_cluster::{
    controller::{self, Options, Round},
    election::{self, Election, Leading},
    objects::{Name, Timestamp},
    store::Location,
};
use ssa_input::text::clean;
use tokio::sync::watch;

/// Flags of `ssa-cluster controller`.
#[derive(Debug, Args)]
pub(crate) struct Controller {
    #[command(flatten)]
    location: Location,
    /// The name of this candidate, which no other controller of the store has
    #[arg(long, value_name = "NAME")]
    identity: Name,
    /// The lease that the leader holds
    #[arg(long, value_name = "NAME", default_value = "ssa-controller")]
    lease: Name,
    /// An endpoint that has not reported for so long is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(6..=3600))]
    lost_after_seconds: u32,
}

impl Controller {
    /// Does it, until it is killed: there is nothing to put in order, for the next leader goes on from what is stored.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let store = self.location.open().await?;
        let options = Options {
            lost_after: Duration::from_secs(self.lost_after_seconds.into()),
            ..Options::default()
        };
        let (leading, leads) = watch::channel(Leading::No);
        let candidate = Election::new(self.identity, ssa_snapshot::Number::default());
        let failed = |error: &ssa_cluster::store::StoreError| tell(&error.to_string());
        let elected = election::run(&store, &self.lease, candidate, leading, now, failed);
        let mut faults = Vec::new();
        let rounds = controller::run(
            controller::Controller::new(store.clone(), options),
            store.clone(),
            leads,
            now,
            |round: &Round| {
                round.told.iter().for_each(|line| tell(line));
                // What is wrong is said once, not in every round.
                let news = round.faults.iter().filter(|fault| !faults.contains(*fault));
                news.for_each(|fault| tell(fault));
                faults.clone_from(&round.faults);
            },
        );
        tokio::join!(elected, rounds);
        Ok(())
    }
}

fn tell(line: &str) {
    eprintln!("ssa-cluster controller: {}", clean(line));
}

/// Returns the time of the system, for people.
#[expect(
    clippy::disallowed_methods,
    reason = "the controller's one look at the clock, which nothing is decided by"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}
