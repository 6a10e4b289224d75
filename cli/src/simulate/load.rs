//! Composing for everyone: which slices the clients of a record reach, and how often.

use std::{
    io::Write,
    net::Ipv6Addr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use indicatif::ProgressBar;
use ssa_rules::{Chunk, ComposeError, Port, Replica, Request, Rule, Source, UnixTime};
use ssa_slices::SliceSpace;

use super::{clients::Population, distinct::Distinct, random::Seeded};

/// How many clients a thread takes at a time.
const PORTION: u64 = 1 << 14;

/// The objects that are asked for.
#[derive(Clone, Debug)]
pub(crate) enum Objects {
    /// This many: `object-0` and so on, or the numbers themselves where the record needs numbers.
    Counted { count: u64, numbers: bool },
    /// These keys.
    Listed(Vec<Vec<u8>>),
}

impl Objects {
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Counted { count, .. } => *count,
            Self::Listed(keys) => u64::try_from(keys.len()).unwrap_or(u64::MAX),
        }
    }

    /// Writes the key of an object, counted from 0.
    fn key(&self, object: u64, key: &mut Vec<u8>) {
        key.clear();
        match self {
            Self::Counted { numbers, .. } => {
                let name = if *numbers { "" } else { "object-" };
                // Writing to a vector does not fail.
                let _ = write!(key, "{name}{object}");
            }
            Self::Listed(keys) => {
                let listed = usize::try_from(object).ok().and_then(|object| keys.get(object));
                key.extend(listed.into_iter().flatten());
            }
        }
    }
}

/// Who connects to what.
#[derive(Clone, Debug)]
pub(crate) enum Subjects {
    /// Clients, each asking for objects at random where there are objects.
    Clients(Population, Option<Objects>),
    /// Every chunk of every object once, from anywhere.
    Objects(Objects),
}

/// A run to be simulated.
#[derive(Clone, Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) space: &'a SliceSpace,
    pub(crate) subjects: &'a Subjects,
    /// How often each client connects, or each chunk is asked for.
    pub(crate) connections: u32,
    /// How many chunks an object has.
    pub(crate) chunks: u64,
    pub(crate) port: Port,
    pub(crate) time: UnixTime,
    pub(crate) seed: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Connections to each slice.
    pub(crate) per_slice: Vec<u64>,
    /// The different destinations.
    pub(crate) distinct: Distinct,
    /// Connections for which no address could be composed, and why.
    pub(crate) failures: Vec<(ComposeError, u64)>,
}

impl Load {
    fn new(slices: usize) -> Self {
        Self {
            per_slice: vec![0; slices],
            distinct: Distinct::default(),
            failures: Vec::new(),
        }
    }

    fn fail(&mut self, error: ComposeError, times: u64) {
        match self.failures.iter_mut().find(|(known, _)| *known == error) {
            Some((_, count)) => *count += times,
            None => self.failures.push((error, times)),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.per_slice
            .iter_mut()
            .zip(&other.per_slice)
            .for_each(|(sum, count)| *sum += count);
        self.distinct.merge(&other.distinct);
        other
            .failures
            .iter()
            .for_each(|(error, times)| self.fail(*error, *times));
    }

    /// Returns the number of connections that reached a slice.
    pub(crate) fn connections(&self) -> u64 {
        self.per_slice.iter().sum()
    }

    /// Returns the number of slices that any connection reached.
    pub(crate) fn slices_reached(&self) -> usize {
        self.per_slice.iter().filter(|count| **count > 0).count()
    }
}

impl Workload<'_> {
    /// Returns the number of clients, or the chunks of objects.
    pub(crate) fn count(&self) -> u64 {
        match self.subjects {
            Subjects::Clients(population, _) => population.count(),
            Subjects::Objects(objects) => objects.count().saturating_mul(self.chunks),
        }
    }

    /// Composes every connection. The result depends on the seed alone, not on threads.
    pub(crate) fn run(&self, progress: &ProgressBar) -> Load {
        let portions = self.count().div_ceil(PORTION);
        let next = AtomicU64::new(0);
        let slices = self.space.count();
        let whole = Mutex::new(Load::new(slices));
        let threads = thread::available_parallelism().map_or(1, usize::from).min(16);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut load = Load::new(slices);
                    loop {
                        let portion = next.fetch_add(1, Ordering::Relaxed);
                        if portion >= portions {
                            break;
                        }
                        progress.inc(self.compose_portion(portion, &mut load));
                    }
                    if let Ok(mut whole) = whole.lock() {
                        whole.merge(&load);
                    }
                });
            }
        });
        let mut load = whole.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        load.failures
            .sort_by_key(|(error, times)| (std::cmp::Reverse(*times), error.to_string()));
        load
    }

    fn compose_portion(&self, portion: u64, load: &mut Load) -> u64 {
        let mut random = Seeded::new(self.seed, portion);
        let mut key = Vec::new();
        let first = portion * PORTION;
        let end = self.count().min(first + PORTION);
        for subject in first..end {
            let replicas = u64::from(self.rule.replicas());
            let start = random.below(replicas);
            for connection in 0..u64::from(self.connections) {
                let (source, chunk, has_key) = match self.subjects {
                    Subjects::Clients(population, objects) => {
                        if let Some(objects) = objects {
                            objects.key(random.below(objects.count()), &mut key);
                        }
                        let source = population.source(subject).unwrap_or(Ipv6Addr::UNSPECIFIED);
                        (source, random.below(self.chunks), objects.is_some())
                    }
                    Subjects::Objects(objects) => {
                        objects.key(subject / self.chunks, &mut key);
                        let anywhere = Ipv6Addr::from(0b001 << 125 | random.wide() >> 3);
                        (anywhere, subject % self.chunks, true)
                    }
                };
                // A client starts at a random replica and takes the next one for every further connection.
                let replica = u8::try_from((start + connection) % replicas).unwrap_or(0);
                let request = Request {
                    source: Source(source),
                    object: has_key.then_some(key.as_slice()),
                    chunk: Some(Chunk(chunk)),
                    port: Some(self.port),
                    time: Some(self.time),
                    replica: Replica(replica),
                };
                match self.rule.compose(&request, &mut || random.next()) {
                    Ok(destination) => self.count_destination(destination.0, load),
                    Err(error) => load.fail(error, 1),
                }
            }
        }
        end - first
    }

    fn count_destination(&self, destination: Ipv6Addr, load: &mut Load) {
        let slice = self
            .space
            .slice_of(destination)
            .and_then(|slice| usize::try_from(slice.get()).ok());
        if let Some(count) = slice.and_then(|slice| load.per_slice.get_mut(slice)) {
            *count += 1;
            load.distinct.add(u128::from(destination));
        }
    }
}
