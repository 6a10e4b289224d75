//! `ssa-cluster controller`

use std::{cell::RefCell, error::Error, net::SocketAddr, time::Duration};

use clap::Args;
use ssa_cluster::{
    clock::now,
    controller::{self, Heard, Options},
    election::{self, Election, Leading},
    http::{Health, Listener, Pages},
    metrics::Registry,
    objects::Name,
    store::Location,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::news::News;

/// Flags of `ssa-cluster controller`.
#[derive(Debug, Args)]
pub(crate) struct Controller {
    #[command(flatten)]
    location: Location,
    /// The name of this candidate; the lease names it with a suffix of its own for each process
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

/// How long a controller that was told to end tries to give up the lease.
const FAREWELL: Duration = Duration::from_secs(5);

impl Controller {
    /// Does it, until it is told to end: then it gives up the lease, so that another need not wait. If it is killed there is
    /// nothing to put in order either, for the next leader goes on from what is stored.
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
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let news = RefCell::new(News::new(|line: &str| eprintln!("ssa-cluster controller: {line}")));
        let silent = RefCell::new(News::new(|line: &str| eprintln!("ssa-cluster controller: {line}")));
        let (leading, leads) = watch::channel(Leading::No);
        let candidate = Election::new(unique(&self.identity)?, ssa_snapshot::Number::default());
        let elected = election::run(&store, &self.lease, candidate, leading, now, |answered| {
            let answered = answered.map_err(ToString::to_string);
            news.borrow_mut().store(answered);
        });
        let new = controller::Controller::new(store.clone(), options);
        let rounds = controller::run(
            new,
            (store.clone(), self.identity.clone()),
            leads,
            now,
            |heard: Heard<'_>| match heard {
                Heard::Alive(leads) => {
                    health.note();
                    controller::record_leading(&registry, leads);
                }
                Heard::Round(round) => {
                    let mut news = news.borrow_mut();
                    news.store(Ok(()));
                    round.told.iter().for_each(|line| news.tell(line));
                    news.faults(&round.faults);
                    controller::record(&registry, round);
                }
                Heard::LeftOut(count) => controller::record_left_out(&registry, count),
                Heard::Failed(error) => news.borrow_mut().store(Err(error.to_string())),
                Heard::Silent(endpoints) => {
                    let told = endpoints.iter();
                    let told: Vec<String> = told
                        .map(|(name, why)| format!("load of endpoint {name}: {why}"))
                        .collect();
                    silent.borrow_mut().faults(&told);
                }
            },
        );
        let mut elected = std::pin::pin!(elected);
        tokio::select! {
            () = &mut elected => return Ok(()),
            ((), ()) = async { tokio::join!(rounds, server) } => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if tokio::time::timeout(FAREWELL, elected).await.is_err() {
            news.borrow_mut()
                .tell("the lease could not be given up: another controller leads once it has ended");
        }
        Ok(())
    }
}

/// Makes an identity that no other process has, even if it was given the same name: two that share one would both lead.
fn unique(name: &Name) -> Result<Name, String> {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::hash::RandomState::new().build_hasher().finish();
    Name::new(&format!("{name}.{random:016x}")).map_err(|_| {
        format!(
            "--identity: has {} bytes; there may be at most {}",
            name.len(),
            Name::MAX - 17
        )
    })
}
