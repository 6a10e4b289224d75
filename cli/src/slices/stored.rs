//! What a store has: every object that can be read, and what is wrong with the others.

use std::{collections::BTreeMap, path::Path, time::Duration};

use ssa_cluster::{
    controller::{StoredMap, stored_map},
    lease::{Holder, holder},
    objects::{
        ENDPOINT_LEASE, Lease, LeaseSpec, Name, Object, Ownership, SliceEndpoint, SliceEndpointSpec, SliceMap,
        SliceMove, SliceSet, SliceSetSpec, Spec, Timestamp,
    },
    store::{Location, Store, StoreError},
};
use ssa_input::files::reason;
use tokio::runtime::Runtime;

use crate::failure::{Failure, Faults};

/// Which store.
#[derive(Debug, clap::Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    location: Location,
}

/// A store, and what its answers are waited for by.
pub(super) struct Opened {
    pub(super) runtime: Runtime,
    pub(super) store: Store,
    /// How the store is named in faults.
    pub(super) place: String,
}

impl StoreArgs {
    /// Opens the store. A directory has to be one already.
    pub(super) fn open(&self) -> Result<Opened, Failure> {
        let place = format!("--store {}", self.location.store);
        let fail = |problem: &str| Failure::input(&*place, problem);
        if let Some(folder) = self.location.directory() {
            holds_store(folder).map_err(|problem| fail(&problem))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| fail(&reason(&error)))?;
        let store = runtime.block_on(self.location.open());
        let store = store.map_err(|error| fail(&error.to_string()))?;
        Ok(Opened { runtime, store, place })
    }
}

/// Says why a directory holds no store: opening one that is none would make it one.
fn holds_store(folder: &Path) -> Result<(), String> {
    let is_directory = |path: &Path| std::fs::metadata(path).map(|found| found.is_dir());
    if !is_directory(folder).map_err(|error| reason(&error))? {
        return Err("is not a directory".to_owned());
    }
    let sets = SliceSetSpec::KIND.plural();
    match is_directory(&folder.join(sets)) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(reason(&error)),
        _ => Err(format!("holds no store: it has no directory {sets}")),
    }
}

/// The objects of a store at about one moment.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) sets: Vec<SliceSet>,
    pub(super) maps: Vec<SliceMap>,
    pub(super) moves: Vec<SliceMove>,
    pub(super) endpoints: BTreeMap<Name, SliceEndpoint>,
    /// The leases of endpoints, by their names, where a set is exclusive.
    pub(super) leases: BTreeMap<Name, Lease>,
}

impl Opened {
    /// Does something with the store, and says what it says.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        let done = self.runtime.block_on(work);
        done.map_err(|error| Failure::input(&*self.place, error))
    }

    /// Reads every object, and notes what is wrong with those that cannot be used.
    pub(super) fn read(&self, faults: &mut Faults) -> Result<Stored, Failure> {
        let mut stored = Stored {
            leases: BTreeMap::new(),
            sets: self.list(faults)?,
            maps: self.list(faults)?,
            moves: self.list(faults)?,
            endpoints: self
                .list::<SliceEndpointSpec>(faults)?
                .into_iter()
                .map(|one| (one.name().clone(), one))
                .collect(),
        };
        if stored.sets.iter().any(|set| set.spec.ownership == Ownership::Exclusive) {
            for lease in self.list::<LeaseSpec>(faults)? {
                let endpoint = lease.name().strip_prefix(ENDPOINT_LEASE).map(Name::new);
                if let Some(Ok(endpoint)) = endpoint {
                    stored.leases.insert(endpoint, lease);
                }
            }
        }
        Ok(stored)
    }

    /// Changes the spec of an object, on its latest state. `change` says whether it has changed anything.
    pub(super) fn change<S: Spec>(&self, name: &Name, change: impl Fn(&mut S) -> bool) -> Result<bool, Failure> {
        self.wait(async {
            loop {
                let mut object = self.store.get::<S>(name).await?;
                if !change(&mut object.spec) {
                    return Ok(false);
                }
                match self.store.update(&object).await {
                    // Somebody, such as the controller, has written it meanwhile.
                    Err(StoreError::Conflict { .. }) => {}
                    done => return done.map(|_| true),
                }
            }
        })
    }

    fn list<S: Spec>(&self, faults: &mut Faults) -> Result<Vec<Object<S>>, Failure> {
        let listed = self.wait(self.store.list::<S>())?;
        for faulty in listed.faulty {
            for fault in faulty.faults {
                faults.push(format!("{} {}", S::KIND, faulty.name), fault);
            }
        }
        Ok(listed.objects)
    }
}

impl Stored {
    /// Returns a set's map, as far as the store has it.
    pub(super) fn map(&self, set: &SliceSet) -> StoredMap {
        let parts = self.maps.iter().filter(|map| map.spec.slice_set == *set.name());
        stored_map(&parts.collect::<Vec<_>>(), set.spec.ownership)
    }

    /// Lists a set's moves that are under way.
    pub(super) fn open_moves<'a>(&'a self, set: &'a SliceSet) -> impl Iterator<Item = &'a SliceMove> {
        let of_set = self.moves.iter().filter(|one| one.spec.slice_set == *set.name());
        of_set.filter(|one| !one.status.phase.is_final())
    }

    /// Says whether the kernel that an endpoint reports of holds its lease.
    pub(super) fn holds_lease(&self, endpoint: &str) -> bool {
        let holder = self.leases.get(endpoint).map(holder);
        let known = self.endpoints.get(endpoint);
        matches!(holder, Some(Holder::Kernel(kernel)) if known.is_some_and(|one| one.status.kernel.as_ref() == Some(kernel)))
    }

    /// Lists the endpoints that serve a set, or did.
    pub(super) fn endpoints<'a>(&'a self, set: &'a SliceSet) -> impl Iterator<Item = &'a SliceEndpoint> {
        let of_set = |one: &&SliceEndpoint| one.spec.slice_sets.contains(set.name());
        self.endpoints.values().filter(of_set)
    }
}

/// Returns the time of the system.
#[expect(
    clippy::disallowed_methods,
    reason = "what a person looks at has ages: the one look at the clock"
)]
pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// Returns how long ago a moment was, by the clocks of two machines: none if it is in the future.
pub(super) fn age(moment: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let millis = now.millis().saturating_sub(moment?.millis());
    Some(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// Writes a duration as people say it, such as `1 h 05 min`.
pub(super) fn told(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Returns how many seconds ago an endpoint's agent has reported, if it ever has.
pub(super) fn reported(endpoint: Option<&SliceEndpoint>, now: Timestamp) -> Option<u64> {
    age(endpoint?.status.renewed_at, now).map(|age| age.as_secs())
}
