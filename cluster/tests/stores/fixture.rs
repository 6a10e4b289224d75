//! Stores under test, and what a test may do to them.

use std::{
    fs,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use serde_json::Value;
use ssa_cluster::{
    objects::Kind,
    store::{Backend, FileStore, Memory, Part, Raw, Store},
};
use tempfile::TempDir;

/// What is done sooner or later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A case: what it does with a store of its own.
pub(crate) type Case = fn(Env) -> Pin<Box<dyn Future<Output = ()>>>;

/// A kind of store, with its server.
pub(crate) trait Fixture: Send + Sync {
    /// Says why it cannot run here.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Starts the server, if it has one that does not run yet.
    fn prepare(&self) {}

    /// Returns itself, if it is Kubernetes.
    #[cfg(all(feature = "etcd", feature = "kubernetes"))]
    fn kubernetes(&self) -> Option<&crate::servers::Kubernetes> {
        None
    }

    /// Makes a client of its own for an area: what happens in one area is not seen in another.
    fn open<'a>(&'a self, area: &'a str) -> Later<'a, Store>;

    /// Returns how a program is told of an area: values of environment variables. `None` where it cannot have one.
    fn told(&self, _area: &str) -> Option<Vec<(&'static str, String)>> {
        None
    }

    /// Starts the server again; what it kept is there still.
    fn restart(&self);

    /// Has an area forget its history: a watch from before has to list again.
    fn forget<'a>(&'a self, area: &'a str) -> Later<'a, ()>;

    /// Writes an object past everything that holds it against its bounds: over the one that is there.
    fn spoil<'a>(&'a self, area: &'a str, kind: Kind, object: Value) -> Later<'a, ()>;
}

/// A store that only one case uses.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) fixture: Arc<dyn Fixture>,
    pub(crate) area: String,
}

impl Env {
    pub(crate) async fn open(&self) -> Store {
        self.fixture.open(&self.area).await
    }
}

/// A fixture whose cases run beside each other, but for those that disturb the server.
pub(crate) struct Shared {
    fixture: Arc<dyn Fixture>,
    quiet: RwLock<()>,
}

impl Shared {
    pub(crate) fn missing(&self) -> Option<String> {
        self.fixture.missing()
    }

    pub(crate) fn run(&self, name: &str, disturbs: bool, case: Case) {
        let env = Env {
            fixture: Arc::clone(&self.fixture),
            area: name.replace('_', "-"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        self.fixture.prepare();
        let run = || runtime.unwrap().block_on(case(env));
        if disturbs {
            let _alone = self.quiet.write().unwrap_or_else(PoisonError::into_inner);
            run();
        } else {
            let _with_others = self.quiet.read().unwrap_or_else(PoisonError::into_inner);
            run();
        }
    }
}

/// Returns all kinds of stores, with their names.
pub(crate) fn fixtures() -> Vec<(&'static str, Arc<Shared>)> {
    let all: Vec<(&'static str, Arc<dyn Fixture>)> = vec![
        ("memory", Arc::new(InMemory::default())),
        ("file", Arc::new(InFiles(tempfile::tempdir().unwrap()))),
        #[cfg(all(feature = "etcd", feature = "kubernetes"))]
        ("etcd", Arc::new(crate::servers::Etcd::new())),
        #[cfg(all(feature = "etcd", feature = "kubernetes"))]
        ("kubernetes", Arc::new(crate::servers::Kubernetes::new())),
    ];
    all.into_iter()
        .map(|(name, fixture)| {
            let quiet = RwLock::default();
            (name, Arc::new(Shared { fixture, quiet }))
        })
        .collect()
}

#[derive(Default)]
struct InMemory(Mutex<std::collections::BTreeMap<String, Memory>>);

impl InMemory {
    fn of(&self, area: &str) -> Memory {
        self.0.lock().unwrap().entry(area.to_owned()).or_default().clone()
    }
}

impl Fixture for InMemory {
    fn open<'a>(&'a self, area: &'a str) -> Later<'a, Store> {
        let memory = self.of(area);
        Box::pin(async { Store::new(Arc::new(memory)) })
    }

    fn restart(&self) {}

    fn forget<'a>(&'a self, area: &'a str) -> Later<'a, ()> {
        self.of(area).compact();
        Box::pin(async {})
    }

    fn spoil<'a>(&'a self, area: &'a str, kind: Kind, object: Value) -> Later<'a, ()> {
        let memory = self.of(area);
        Box::pin(async move {
            let raw = Raw {
                metadata: serde_json::from_value(object["metadata"].clone()).unwrap(),
                spec: object["spec"].clone(),
                status: object["status"].clone(),
            };
            memory.update(kind, raw, Part::Spec).await.unwrap();
        })
    }
}

struct InFiles(TempDir);

impl Fixture for InFiles {
    fn open<'a>(&'a self, area: &'a str) -> Later<'a, Store> {
        let path = self.0.path().join(area);
        Box::pin(async move { Store::new(Arc::new(FileStore::open(&path).await.unwrap())) })
    }

    fn told(&self, area: &str) -> Option<Vec<(&'static str, String)>> {
        Some(vec![("SSA_STORE", self.0.path().join(area).display().to_string())])
    }

    fn restart(&self) {}

    fn forget<'a>(&'a self, area: &'a str) -> Later<'a, ()> {
        let path = self.0.path().join(area);
        Box::pin(async move {
            let revision = fs::read_to_string(path.join("revision")).unwrap();
            let noted = format!(r#"{{"forgotten": {}, "deleted": []}}"#, revision.trim());
            fs::write(path.join("deleted.json"), noted).unwrap();
        })
    }

    fn spoil<'a>(&'a self, area: &'a str, kind: Kind, mut object: Value) -> Later<'a, ()> {
        let path = self.0.path().join(area);
        Box::pin(async move {
            let revision: u64 = fs::read_to_string(path.join("revision"))
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            fs::write(path.join("revision"), (revision + 1).to_string()).unwrap();
            object["metadata"]["resourceVersion"] = (revision + 1).to_string().into();
            let name = object["metadata"]["name"].as_str().unwrap();
            let file = path.join(kind.plural()).join(format!("{name}.json"));
            fs::write(file.with_file_name(".spoilt"), object.to_string()).unwrap();
            fs::rename(file.with_file_name(".spoilt"), file).unwrap();
        })
    }
}
