//! `ssa-cluster controller`

use std::{error::Error, net::SocketAddr, time::Duration};

use clap::Args;
use ssa_cluster::{
    controller::{self, Options, Round},
    election::{self, Election, Leading},
    http::{Health, Listener, Pages},
    metrics::Registry,
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
    /// Where /metrics and /healthz are served, such as 127.0.0.1:9474 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// How long the controller's loop may stand still before it counts as dead: a round waits for the store for as long.
const STANDSTILL: Duration = Duration::from_mins(1);

impl Controller {
    /// Does it, until it is killed: there is nothing to put in order, for the next leader goes on from what is stored.
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let store = self.location.open().await?;
        let options = Options {
            lost_after: Duration::from_secs(self.lost_after_seconds.into()),
            ..Options::default()
        };
        let (registry, health) = (Registry::default(), Health::new(STANDSTILL));
        let served = match self.listen {
            Some(address) => Some(Listener::bind(address).await?),
            None => None,
        };
        let pages = Pages::new(registry.clone(), health.clone());
        let server = async {
            if let Some(listener) = served {
                listener.serve(pages).await;
            }
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
            || health.note(),
            |round: &Round| {
                round.told.iter().for_each(|line| tell(line));
                // What is wrong is said once, not in every round.
                let news = round.faults.iter().filter(|fault| !faults.contains(*fault));
                news.for_each(|fault| tell(fault));
                faults.clone_from(&round.faults);
                controller::record(&registry, &round.reports);
            },
        );
        tokio::join!(elected, rounds, server);
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
