//! What agents and nodes follow in the store: maps, moves and endpoints, with the last good state of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ssa_slices::handover::{self, Map};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::objects::{
    AppliedMap, Kind, Name, Object, Prefix, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove, SliceMoveSpec, Spec,
};
use crate::store::{Listed, Store, StoreError};

/// The pause after the store refused something.
const PAUSE: Duration = Duration::from_secs(1);

/// The last good state of the objects of a kind; none until they were listed once.
#[derive(Debug)]
pub(crate) struct Known<S: Spec>(Option<BTreeMap<Name, Object<S>>>);

impl<S: Spec> Default for Known<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Spec> Known<S> {
    /// Takes a list: what is faulty stays as it was known, what is gone goes. Returns what is wrong, for people.
    pub(crate) fn take(&mut self, listed: Listed<S>) -> Vec<String> {
        let faulty: BTreeSet<&str> = listed.faulty.iter().map(|one| one.name.as_str()).collect();
        let known = self.0.get_or_insert_default();
        known.retain(|name, _| faulty.contains(name.as_str()));
        known.extend(listed.objects.into_iter().map(|object| (object.name().clone(), object)));
        let told = listed.faulty.into_iter().flat_map(|one| {
            let (kind, name) = (S::KIND, one.name);
            let faults = one.faults.into_iter();
            faults.map(move |fault| format!("{kind} {name}: {fault}"))
        });
        told.collect()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<&Object<S>> {
        self.0.as_ref()?.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object<S>> {
        self.0.iter().flat_map(BTreeMap::values)
    }
}

/// What is followed.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) maps: Known<SliceMapSpec>,
    pub(crate) moves: Known<SliceMoveSpec>,
    pub(crate) endpoints: Known<SliceEndpointSpec>,
}

/// News of the store: all objects of a kind.
pub(crate) enum News {
    Maps(Listed<SliceMapSpec>),
    Moves(Listed<SliceMoveSpec>),
    Endpoints(Listed<SliceEndpointSpec>),
}

impl Objects {
    /// Takes news. Returns what is wrong, for people.
    pub(crate) fn learn(&mut self, news: News) -> Vec<String> {
        match news {
            News::Maps(listed) => self.maps.take(listed),
            News::Moves(listed) => self.moves.take(listed),
            News::Endpoints(listed) => self.endpoints.take(listed),
        }
    }

    /// Returns whether everything was listed once: what is not known yet must not be taken for gone.
    pub(crate) fn is_listed(&self) -> bool {
        self.maps.0.is_some() && self.moves.0.is_some() && self.endpoints.0.is_some()
    }

    /// Lists the slice sets that have maps.
    pub(crate) fn sets(&self) -> BTreeSet<&Name> {
        self.maps.iter().map(|map| &map.spec.slice_set).collect()
    }

    /// Lists the moves of a set.
    pub(crate) fn moves_of(&self, set: &Name) -> Vec<&SliceMove> {
        self.moves.iter().filter(|one| one.spec.slice_set == *set).collect()
    }

    /// Reads a set's map into `kept`, if it is whole and not older than what is there. Returns the parts that it is by.
    ///
    /// # Errors
    ///
    /// What is wrong, for people; then what is kept stays.
    pub(crate) fn read_map(&self, set: &Name, kept: &mut BTreeMap<Name, Map>) -> Result<Vec<AppliedMap>, Vec<String>> {
        let parts = self.newest(set);
        let map = whole(&parts).map_err(|faults| {
            let faults = faults.into_iter().map(|fault| format!("{set}: {fault}"));
            faults.collect::<Vec<_>>()
        })?;
        if let Some(before) = kept.get(set).filter(|before| before.epoch() > map.epoch()) {
            let (epoch, before) = (map.epoch(), before.epoch());
            return Err(vec![format!(
                "{set}: the map of epoch {epoch} comes after that of epoch {before}, which stays"
            )]);
        }
        kept.insert(set.clone(), map);
        let applied = parts.into_iter().map(|part| AppliedMap {
            name: part.name().clone(),
            epoch: part.spec.epoch,
        });
        Ok(applied.collect())
    }

    /// Returns the parts of a set's map that have its highest epoch.
    fn newest(&self, set: &Name) -> Vec<&SliceMap> {
        let of_set: Vec<&SliceMap> = self.maps.iter().filter(|map| map.spec.slice_set == *set).collect();
        let epoch = of_set.iter().map(|map| map.spec.epoch).max();
        of_set.into_iter().filter(|map| Some(map.spec.epoch) == epoch).collect()
    }
}

/// Puts the parts of a map together.
fn whole(parts: &[&SliceMap]) -> Result<Map, Vec<String>> {
    let (Some(first), wanted) = (parts.first(), parts.len()) else {
        return Err(vec!["has no map".to_owned()]);
    };
    let said = first.spec.parts.get();
    if usize::try_from(said).ok() != Some(wanted) {
        let epoch = first.spec.epoch;
        return Err(vec![format!("the map of epoch {epoch} has {wanted} of {said} parts")]);
    }
    let flat = |of: fn(&crate::objects::MapEndpoint) -> &[Prefix]| {
        let endpoints = parts.iter().flat_map(|map| &map.spec.endpoints);
        endpoints.flat_map(move |one| {
            let name = one.name.endpoint();
            of(one).iter().map(move |prefix| (prefix.net(), name.clone()))
        })
    };
    let epoch = handover::Epoch::new(first.spec.epoch.get());
    let (owned, standby) = (flat(|one| &one.owned), flat(|one| &one.standby));
    Map::new(epoch, first.spec.ownership.into(), owned, standby)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

/// Follows the store until the tasks are dropped. `rest` is how long changes of a kind may wait after one was read; `tell`
/// tells people why the store does not answer, and when it does again.
pub(crate) fn follow(store: &Store, rest: fn(Kind) -> Duration, tell: fn(&str)) -> (mpsc::Receiver<News>, JoinSet<()>) {
    let (sender, news) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    let store = || store.clone();
    tasks.spawn(follow_kind(store(), sender.clone(), News::Maps, rest, tell));
    tasks.spawn(follow_kind(store(), sender.clone(), News::Moves, rest, tell));
    tasks.spawn(follow_kind(store(), sender, News::Endpoints, rest, tell));
    (news, tasks)
}

/// Sends all objects of a kind, again after each change.
async fn follow_kind<S: Spec>(
    store: Store,
    news: mpsc::Sender<News>,
    wrap: fn(Listed<S>) -> News,
    rest: fn(Kind) -> Duration,
    tell: fn(&str),
) {
    let mut told: Option<String> = None;
    loop {
        let ended = async {
            let listed = store.list::<S>().await?;
            let mut watch = store.watch::<S>(&listed.version).await?;
            if told.take().is_some() {
                tell(&format!("{}: the store answers again", S::KIND));
            }
            let _ = news.send(wrap(listed)).await;
            loop {
                watch.next().await?;
                // A burst of changes is read once.
                while let Ok(event) = timeout(Duration::ZERO, watch.next()).await {
                    event?;
                }
                let listed = store.list::<S>().await?;
                if news.send(wrap(listed)).await.is_err() {
                    return Ok(());
                }
                sleep(rest(S::KIND)).await;
            }
        };
        let ended: Result<(), StoreError> = ended.await;
        match ended {
            Ok(()) => return,
            Err(StoreError::TooOld { .. }) => {}
            Err(error) => {
                let text = format!("{}: {error}", S::KIND);
                if told.as_ref() != Some(&text) {
                    tell(&text);
                    told = Some(text);
                }
                sleep(PAUSE).await;
            }
        }
    }
}
