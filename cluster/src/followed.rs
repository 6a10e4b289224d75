//! What agents and nodes follow in the store: maps, moves and endpoints, with the last good state of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ssa_slices::handover::{self, Map};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::contact::Contact;
use crate::objects::{
    AppliedMap, Kind, Name, Object, Prefix, SliceEndpointSpec, SliceMap, SliceMapSpec, SliceMove, SliceMoveSpec, Spec,
};
use crate::store::{Event, Faulty, Listed, Store, StoreError};

/// The pause after the store refused something.
const PAUSE: Duration = Duration::from_secs(1);
/// How many changes are told at once.
const AT_ONCE: usize = 4096;

/// The last good state of the objects of a kind; none until they were listed once.
#[derive(Debug)]
pub(crate) struct Known<S: Spec>(Option<BTreeMap<Name, Object<S>>>);

impl<S: Spec> Default for Known<S> {
    fn default() -> Self {
        Self(None)
    }
}

/// What the store tells of the objects of a kind: all of them first, and then what changes.
#[derive(Debug)]
pub(crate) enum Told<S: Spec> {
    All(Listed<S>),
    Changes(Vec<Event<S>>),
}

impl<S: Spec> Known<S> {
    /// Takes what the store tells. Returns what is wrong, for people.
    pub(crate) fn learn(&mut self, told: Told<S>) -> Vec<String> {
        let changes = match told {
            Told::All(listed) => return self.take(listed),
            Told::Changes(changes) => changes,
        };
        let Some(known) = &mut self.0 else { return Vec::new() };
        let mut wrong = Vec::new();
        for change in changes {
            match change {
                Event::Applied(object) => drop(known.insert(object.name().clone(), object)),
                Event::Deleted(name) => drop(known.remove(&name)),
                Event::Faulty(faulty) => wrong.extend(faults::<S>(faulty)),
                Event::Bookmark => {}
            }
        }
        wrong
    }

    /// Takes a list: what is faulty stays as it was known, what is gone goes. Returns what is wrong, for people.
    pub(crate) fn take(&mut self, listed: Listed<S>) -> Vec<String> {
        let faulty: BTreeSet<&str> = listed.faulty.iter().map(|one| one.name.as_str()).collect();
        let known = self.0.get_or_insert_default();
        known.retain(|name, _| faulty.contains(name.as_str()));
        known.extend(listed.objects.into_iter().map(|object| (object.name().clone(), object)));
        listed.faulty.into_iter().flat_map(faults::<S>).collect()
    }

    pub(crate) fn get(&self, name: &Name) -> Option<&Object<S>> {
        self.0.as_ref()?.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object<S>> {
        self.0.iter().flat_map(BTreeMap::values)
    }
}

/// Says for people what is wrong with an object.
fn faults<S: Spec>(faulty: Faulty) -> impl Iterator<Item = String> {
    let Faulty { name, faults } = faulty;
    let kind = S::KIND;
    faults.into_iter().map(move |fault| format!("{kind} {name}: {fault}"))
}

/// What is followed.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) maps: Known<SliceMapSpec>,
    pub(crate) moves: Known<SliceMoveSpec>,
    pub(crate) endpoints: Known<SliceEndpointSpec>,
}

/// News of the store.
pub(crate) enum News {
    Maps(Told<SliceMapSpec>),
    Moves(Told<SliceMoveSpec>),
    Endpoints(Told<SliceEndpointSpec>),
}

impl Objects {
    /// Takes news. Returns what is wrong, for people.
    pub(crate) fn learn(&mut self, news: News) -> Vec<String> {
        match news {
            News::Maps(told) => self.maps.learn(told),
            News::Moves(told) => self.moves.learn(told),
            News::Endpoints(told) => self.endpoints.learn(told),
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

/// How a store is followed.
#[derive(Clone)]
pub(crate) struct Following {
    pub(crate) store: Store,
    /// How long changes of a kind may wait after one was told.
    pub(crate) rest: fn(Kind) -> Duration,
    pub(crate) contact: Contact,
    /// Tells people why the store does not answer, and when it does again.
    pub(crate) tell: fn(&str),
}

impl Following {
    /// Follows the store until the tasks are dropped.
    pub(crate) fn begin(self) -> (mpsc::Receiver<News>, JoinSet<()>) {
        let (sender, news) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().follow(sender.clone(), News::Maps));
        tasks.spawn(self.clone().follow(sender.clone(), News::Moves));
        tasks.spawn(self.follow(sender, News::Endpoints));
        (news, tasks)
    }

    /// Sends all objects of a kind, and then what changes.
    async fn follow<S: Spec>(self, news: mpsc::Sender<News>, wrap: fn(Told<S>) -> News) {
        let mut told: Option<String> = None;
        loop {
            let ended = self.once(&news, wrap, &mut told).await;
            self.contact.note(&ended);
            match ended {
                Ok(()) => return,
                Err(StoreError::TooOld { .. }) => {}
                Err(error) => {
                    let text = format!("{}: {error}", S::KIND);
                    if told.as_ref() != Some(&text) {
                        (self.tell)(&text);
                        told = Some(text);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Lists once, and watches for as long as the store goes on telling.
    async fn once<S: Spec>(
        &self,
        news: &mpsc::Sender<News>,
        wrap: fn(Told<S>) -> News,
        told: &mut Option<String>,
    ) -> Result<(), StoreError> {
        let listed = self.store.list::<S>().await?;
        let mut watch = self.store.watch::<S>(&listed.version).await?;
        self.contact.note::<()>(&Ok(()));
        if told.take().is_some() {
            (self.tell)(&format!("{}: the store answers again", S::KIND));
        }
        let mut next = Told::All(listed);
        loop {
            if news.send(wrap(next)).await.is_err() {
                return Ok(());
            }
            sleep((self.rest)(S::KIND)).await;
            let mut changes = Vec::new();
            while changes.is_empty() {
                let first = watch.next().await?;
                self.contact.note::<()>(&Ok(()));
                // A burst of changes is told at once.
                let mut more = Some(Ok(first));
                while let Some(event) = more {
                    changes.extend(Some(event?).filter(|event| !matches!(event, Event::Bookmark)));
                    more = match changes.len() {
                        AT_ONCE => None,
                        _ => timeout(Duration::ZERO, watch.next()).await.ok(),
                    };
                }
            }
            next = Told::Changes(changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::ResourceVersion;
    use crate::store::{Memory, counted_in};

    fn map(name: &str, epoch: u64) -> SliceMap {
        let map = json!({
            "apiVersion": "ssa.dev.example/v1alpha1", "kind": "SliceMap", "metadata": {"name": name},
            "spec": {"sliceSet": name, "epoch": epoch},
        });
        Object::from_value(&map).expect("a map")
    }

    #[tokio::test]
    async fn each_change_is_told_and_nothing_is_listed_again_until_the_watch_is_over() {
        let memory = Memory::new();
        let (store, lists) = counted_in(memory.clone());
        store.create(&map("kept", 1)).await.expect("made");
        let contact = Contact::default();
        let following = Following {
            store: store.clone(),
            rest: |_| Duration::ZERO,
            contact: contact.clone(),
            tell: |_| (),
        };
        let (mut news, _tasks) = following.begin();
        let mut world = Objects::default();
        while !world.is_listed() {
            world.learn(news.recv().await.expect("news"));
        }
        let known = |world: &Objects| -> Vec<(String, u64)> {
            let maps = world.maps.iter();
            maps.map(|map| (map.name().to_string(), map.spec.epoch.get())).collect()
        };
        let expect = |wanted: &[(&str, u64)]| {
            wanted
                .iter()
                .map(|(name, epoch)| ((*name).to_owned(), *epoch))
                .collect()
        };
        let until = async |world: &mut Objects, news: &mut mpsc::Receiver<News>, wanted: Vec<(String, u64)>| {
            while known(world) != wanted {
                world.learn(news.recv().await.expect("news"));
            }
        };
        assert_eq!(lists(), 3);
        let mut kept = store
            .get::<SliceMapSpec>(&Name::new("kept").expect("a name"))
            .await
            .expect("a map");
        for epoch in 2..50 {
            kept.spec.epoch = map("kept", epoch).spec.epoch;
            kept = store.update(&kept).await.expect("updated");
            let other = store.create(&map("other", epoch)).await.expect("made");
            until(&mut world, &mut news, expect(&[("kept", epoch), ("other", epoch)])).await;
            store.delete::<SliceMapSpec>(other.name(), None).await.expect("deleted");
            until(&mut world, &mut news, expect(&[("kept", epoch)])).await;
        }
        assert_eq!(lists(), 3, "the watch tells everything");
        assert!(contact.state().0);
        // A watch that is over, for what happened is no longer known, lists again: those of moves and of endpoints.
        memory.compact();
        until(&mut world, &mut news, expect(&[("kept", 49)])).await;
        while lists() < 5 {
            tokio::task::yield_now().await;
        }
        store.create(&map("later", 1)).await.expect("made");
        until(&mut world, &mut news, expect(&[("kept", 49), ("later", 1)])).await;
    }

    #[test]
    fn what_becomes_faulty_stays_as_it_was_known() {
        let mut known: Known<SliceMapSpec> = Known::default();
        let faulty = || Faulty {
            name: "web".to_owned(),
            faults: vec![SliceMapSpec::fault("spec.epoch", "is wrong")],
        };
        known.learn(Told::All(Listed {
            objects: vec![map("web", 1)],
            faulty: Vec::new(),
            version: ResourceVersion::new("1"),
        }));
        let told = known.learn(Told::Changes(vec![Event::Faulty(faulty())]));
        assert_eq!(told, ["SliceMap web: spec.epoch: is wrong"]);
        assert_eq!(known.iter().map(|map| map.spec.epoch.get()).collect::<Vec<_>>(), [1]);
        known.learn(Told::Changes(vec![Event::Deleted(map("web", 1).name().clone())]));
        assert_eq!(known.iter().count(), 0);
    }
}
