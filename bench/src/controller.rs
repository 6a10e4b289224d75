//! The controller at the size of a large cluster, with endpoints that report at once what is asked of them and have no
//! kernels: what moves, how even it is afterwards, and how long rounds take.

use std::{
    collections::BTreeMap,
    error::Error,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use ssa_cluster::{
    controller::{Controller, Options, slots},
    objects::{
        AppliedMap, Message, Name, ObservedMove, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove, SliceMoveSpec,
        SliceSet, SliceSetSpec, Timestamp,
    },
    store::{FileStore, Memory, Store},
};

/// Rounds in which nothing happens, until all is quiet.
const QUIET: usize = 3;

/// Flags of `ssa-bench controller`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many slices there are: 2 to this power
    #[arg(long, default_value_t = 17, value_parser = clap::value_parser!(u8).range(4..=20))]
    bits: u8,
    /// The numbers of endpoints, one after another
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10")]
    endpoints: Vec<usize>,
    /// A new directory for the store; without it everything is in memory
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
}

/// Measures, and says whether every bound was kept.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = runtime
        .map_err(Box::from)
        .and_then(|runtime| runtime.block_on(measure(arguments)));
    match measured {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ssa-bench controller: {error}");
            ExitCode::from(2)
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let store = match &arguments.store {
        Some(path) => Store::new(Arc::new(FileStore::open(path).await?)),
        None => Store::new(Arc::new(Memory::new())),
    };
    let options = Options {
        quiet: Duration::ZERO,
        ..Options::default()
    };
    let mut cluster = Cluster {
        controller: Controller::new(store.clone(), options),
        store,
        now: Duration::ZERO,
        bits: arguments.bits,
    };
    println!("endpoints  slices moved  at least     ratio  max/mean  rounds  longest round  with a plan and moves");
    let mut kept = true;
    for count in &arguments.endpoints {
        let before = cluster.scale(*count).await?;
        let run = cluster.settle().await?;
        let after = cluster.owners().await?;
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after)
            .count();
        let least = least(&before, *count);
        let even = evenness(&after, *count);
        let ratio = if least == 0 { 1.0 } else { number(moved) / number(least) };
        kept &= ratio <= 1.02 && even <= 1.01;
        println!(
            "{count:>9}  {moved:>12}  {least:>8}  {ratio:>8.4}  {even:>8.4}  {:>6}  {:>10} ms  {:>18} ms",
            run.rounds,
            run.longest.as_millis(),
            run.planned.as_millis(),
        );
    }
    Ok(kept)
}

/// What it took until nothing moved any more.
#[derive(Default)]
struct Run {
    rounds: usize,
    longest: Duration,
    /// The longest of the rounds in which moves began: a plan, and the writes that follow from it.
    planned: Duration,
}

struct Cluster {
    controller: Controller,
    store: Store,
    now: Duration,
    bits: u8,
}

impl Cluster {
    /// Asks for so many endpoints; returns who has the slices until then.
    async fn scale(&mut self, count: usize) -> Result<Vec<String>, Box<dyn Error>> {
        let name = Name::new("bench")?;
        let entry = |number: usize| json!({"name": format!("e{number}"), "address": format!("2001:db8:ffff::{:x}", number + 1)});
        let spec = json!({
            "service": "bench.example", "apl": "2:2001:db8:5::/48", "bits": self.bits,
            "handover": {"parallel": 1024}, "endpoints": {"list": (0..count).map(entry).collect::<Vec<_>>()},
        });
        let spec: SliceSetSpec = serde_json::from_value(spec)?;
        let before = self.owners().await?;
        match self.store.get::<SliceSetSpec>(&name).await {
            Ok(mut set) => {
                set.spec = spec;
                self.store.update(&set).await?;
            }
            Err(_) => drop(self.store.create(&SliceSet::new(name, spec)).await?),
        }
        Ok(before)
    }

    /// Lets rounds and reports take turns until nothing happens any more.
    async fn settle(&mut self) -> Result<Run, Box<dyn Error>> {
        let (mut run, mut quiet) = (Run::default(), 0);
        while quiet < QUIET {
            let began = Instant::now();
            let round = self.controller.round(self.now, self.wall()).await?;
            let took = began.elapsed();
            if let Some(fault) = round.faults.first() {
                return Err(fault.clone().into());
            }
            run.rounds += 1;
            run.longest = run.longest.max(took);
            if round.changes.iter().any(|change| change.left.is_none()) {
                run.planned = run.planned.max(took);
            }
            quiet = if round.told.is_empty() { quiet + 1 } else { 0 };
            self.report().await?;
        }
        Ok(run)
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.now.as_millis()).unwrap_or(i64::MAX))
    }

    /// A second passes; every endpoint reports that it has done what is asked of it.
    async fn report(&mut self) -> Result<(), Box<dyn Error>> {
        self.now += Duration::from_secs(1);
        let maps = self.store.list::<SliceMapSpec>().await?.objects;
        let applied = |map: &SliceMap| AppliedMap {
            name: map.name().clone(),
            epoch: map.spec.epoch,
        };
        let applied: Vec<AppliedMap> = maps.iter().map(applied).collect();
        let moves = self.store.list::<SliceMoveSpec>().await?.objects;
        let mut of: BTreeMap<&Name, Vec<&SliceMove>> = BTreeMap::new();
        for one in moves.iter().filter(|one| !one.status.phase.is_final()) {
            for side in one.giver().into_iter().chain([one.taker()]) {
                of.entry(side).or_default().push(one);
            }
        }
        for mut endpoint in self.store.list::<SliceEndpointSpec>().await?.objects {
            let own = endpoint.name().clone();
            let observed = of.get(&own).into_iter().flatten().map(|one| ObservedMove {
                name: one.name().clone(),
                epoch: one.epoch(),
                phase: one.status.phase,
                flows: (one.giver() == Some(&own)).then_some(0),
                forwarded: Some(0),
                message: Message::default(),
            });
            endpoint.status.moves = observed.collect();
            endpoint.status.maps.clone_from(&applied);
            endpoint.status.ready = true;
            endpoint.status.serving = true;
            endpoint.status.renewed_at = Some(self.wall());
            self.store.update_status(&endpoint).await?;
        }
        Ok(())
    }

    /// The owner of each slice, as the map says.
    async fn owners(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let Some(set) = self.store.list::<SliceSetSpec>().await?.objects.into_iter().next() else {
            return Ok(Vec::new());
        };
        let space = set.spec.space().map_err(|fault| fault.to_string())?;
        let mut owners = vec![String::new(); space.count()];
        for map in self.store.list::<SliceMapSpec>().await?.objects {
            for endpoint in map.spec.endpoints {
                for place in endpoint.owned.iter().flat_map(|prefix| slots(&space, prefix.net())) {
                    if let Some(owner) = owners.get_mut(place) {
                        *owner = endpoint.name.to_string();
                    }
                }
            }
        }
        Ok(owners)
    }
}

/// How many slices have to move for an even spread over the first so many endpoints: what others have, and what one has
/// above the most that one may have.
fn least(before: &[String], count: usize) -> usize {
    let stays = counts(before, count);
    let (share, rest) = (before.len() / count.max(1), before.len() % count.max(1));
    // Those with the most keep the one more that some have.
    let mut counted: Vec<usize> = stays.values().copied().collect();
    counted.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let kept = counted.iter().enumerate();
    let kept: usize = kept
        .map(|(place, has)| (*has).min(share + usize::from(place < rest)))
        .sum();
    before.len() - kept
}

/// The most that one endpoint has, relative to the mean.
fn evenness(owners: &[String], count: usize) -> f64 {
    let most = counts(owners, count).values().copied().max().unwrap_or(0);
    number(most) * number(count) / number(owners.len().max(1))
}

/// How many slices each of the first so many endpoints has.
fn counts(owners: &[String], count: usize) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = (0..count).map(|number| (format!("e{number}"), 0)).collect();
    for owner in owners {
        if let Some(count) = counts.get_mut(owner) {
            *count += 1;
        }
    }
    counts
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
