//! A store for tests that counts how often objects are listed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::{Answer, Backend, Events, Memory, Part, Raw, RawList, Store};
use crate::objects::{Kind, Name, ResourceVersion};

#[derive(Debug, Clone)]
struct Counting(Memory, Arc<AtomicUsize>);

/// Makes a store in memory, and what tells how often something was listed in it.
pub(crate) fn counted_in(memory: Memory) -> (Store, impl Fn() -> usize) {
    let lists = Arc::new(AtomicUsize::new(0));
    let store = Store::new(Arc::new(Counting(memory, Arc::clone(&lists))));
    (store, move || lists.load(Ordering::Relaxed))
}

impl Backend for Counting {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        self.0.get(kind, name)
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.list(kind)
    }

    fn create(&self, kind: Kind, object: Raw) -> Answer<'_, Raw> {
        self.0.create(kind, object)
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        self.0.update(kind, object, part)
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        self.0.delete(kind, name, version)
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        self.0.watch(kind, from)
    }
}
