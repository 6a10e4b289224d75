//! Kubernetes as store: custom resources, and its own leases.
//!
//! An object is a custom resource of one namespace. A write is a JSON patch of the spec or the status that names the version
//! it changes, so that labels, owners and what else others keep in an object stay.

mod crds;
mod error;
mod occurrences;
mod pods;
mod policies;

use std::{collections::VecDeque, fmt::Write, time::Duration};

use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{Method, Request, header::CONTENT_TYPE};
use kube::{Client, Config, core::WatchEvent};
use serde_json::{Value, json};

pub use crds::crds;
pub use policies::{Identities, policies};

use self::error::{denied, failed, gone};
use super::{Answer, Backend, Events, Occurrence, Part, Pods, Raw, RawEvent, RawList, StoreError};
use crate::objects::{Kind, Metadata, Name, Owner, ResourceVersion};

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many objects are listed at once.
const PAGE: u32 = 250;

/// How long a watch lasts before it is begun anew, in seconds: the server ends it, and a connection that is dead is noticed.
const WATCH: u32 = 290;

/// Kubernetes as store. Clones share its connections.
#[derive(Clone)]
pub struct KubernetesStore {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for KubernetesStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesStore")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl KubernetesStore {
    /// Finds the cluster: by `KUBECONFIG` or `~/.kube/config`, or as a pod by its service account. The namespace is the one
    /// given, or else that of the context or of the pod.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if there is no configuration, or one that cannot be used.
    pub async fn infer(namespace: Option<&str>) -> Result<Self, StoreError> {
        let config = Config::infer().await.map_err(|error| denied(error.to_string()))?;
        Self::new(config, namespace)
    }

    /// Takes a configuration.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if it cannot be used.
    pub fn new(config: Config, namespace: Option<&str>) -> Result<Self, StoreError> {
        let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
        let namespace = Name::new(&namespace).map_err(|error| denied(format!("namespace {namespace}: {error}")))?;
        let client = Client::try_from(config).map_err(|error| denied(error.to_string()))?;
        Ok(Self {
            client,
            namespace: namespace.to_string(),
        })
    }

    fn path(&self, kind: Kind) -> String {
        let (group, version) = (kind.group(), kind.version());
        format!(
            "/apis/{group}/{version}/namespaces/{}/{}",
            self.namespace,
            kind.plural()
        )
    }

    async fn ask(
        &self,
        (kind, name): (Kind, &str),
        method: Method,
        path: String,
        body: Option<(&'static str, Value)>,
    ) -> Result<Value, StoreError> {
        let mut request = Request::builder().method(method).uri(path);
        let body = match body {
            Some((content, body)) => {
                request = request.header(CONTENT_TYPE, content);
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let request = request.body(body).map_err(|error| denied(error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| failed(error, kind, name)),
            Err(_) => Err(StoreError::Unavailable {
                store: "Kubernetes".into(),
                reason: format!("no answer in {} s", PATIENCE.as_secs()),
            }),
        }
    }

    async fn list_all(&self, kind: Kind) -> Result<RawList, StoreError> {
        let (items, version) = self.items(kind, &self.path(kind)).await?;
        let mut list = RawList {
            objects: Vec::new(),
            unreadable: Vec::new(),
            version,
        };
        for item in items {
            match raw(&item) {
                Ok(object) => list.objects.push(object),
                Err(wrong) => list.unreadable.push(wrong),
            }
        }
        Ok(list)
    }

    /// Lists what is below a path, page by page; `kind` is what failures are told of.
    async fn items(&self, kind: Kind, path: &str) -> Result<(Vec<Value>, ResourceVersion), StoreError> {
        'anew: loop {
            let mut items = Vec::new();
            let mut rest = String::new();
            loop {
                let path = format!("{path}?limit={PAGE}{rest}");
                let page = match self.ask((kind, ""), Method::GET, path, None).await {
                    // It took so long that the first pages are of the past.
                    Err(StoreError::TooOld { .. }) if !rest.is_empty() => continue 'anew,
                    page => page?,
                };
                let mut page = page;
                if let Value::Array(more) = page["items"].take() {
                    items.extend(more);
                }
                let text = |field: &str| page["metadata"][field].as_str().unwrap_or_default().to_owned();
                match text("continue").as_str() {
                    "" => return Ok((items, ResourceVersion::new(text("resourceVersion")))),
                    next => rest = format!("&continue={}", encoded(next)),
                }
            }
        }
    }

    async fn follow(&self, kind: Kind, from: &ResourceVersion) -> Result<Events, StoreError> {
        let watching = Watching {
            told: self.begin(kind, &self.path(kind), from).await?,
            store: self.clone(),
            kind,
            from: from.clone(),
            pending: VecDeque::new(),
        };
        let events = stream::unfold(Some(watching), |watching| async move {
            let mut watching = watching?;
            match watching.next().await {
                Ok(event) => Some((Ok(event), Some(watching))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Box::pin(events))
    }

    /// Begins to watch what is below a path; `kind` is what failures are told of.
    async fn begin(&self, kind: Kind, path: &str, from: &ResourceVersion) -> Result<Told, StoreError> {
        let path = format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH}&resourceVersion={}",
            encoded(from.as_str())
        );
        let request = Request::get(path)
            .body(Vec::new())
            .map_err(|error| denied(error.to_string()))?;
        let told = match tokio::time::timeout(PATIENCE, self.client.request_events::<Value>(request)).await {
            Ok(told) => told.map_err(|error| failed(error, kind, ""))?,
            Err(_) => {
                return Err(StoreError::Unavailable {
                    store: "Kubernetes".into(),
                    reason: format!("no answer in {} s", PATIENCE.as_secs()),
                });
            }
        };
        Ok(told.boxed())
    }

    async fn patch(&self, kind: Kind, object: Raw, part: Part) -> Result<Raw, StoreError> {
        let name = &object.metadata.name;
        let version = object.metadata.resource_version.as_ref().map(ResourceVersion::as_str);
        let (field, below, value) = match part {
            Part::Spec => ("/spec", "", object.spec),
            Part::Status => ("/status", "/status", object.status),
        };
        let patch = json!([
            {"op": "add", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": field, "value": value},
        ]);
        let path = format!("{}/{name}{below}", self.path(kind));
        let body = Some(("application/json-patch+json", patch));
        let kept = self.ask((kind, name), Method::PATCH, path, body).await?;
        unspoilt(kind, &kept)
    }
}

type Told = BoxStream<'static, Result<WatchEvent<Value>, kube::Error>>;

struct Watching {
    store: KubernetesStore,
    told: Told,
    kind: Kind,
    from: ResourceVersion,
    pending: VecDeque<RawEvent>,
}

impl Watching {
    async fn next(&mut self) -> Result<RawEvent, StoreError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let kind = self.kind;
            let Some(told) = self.told.next().await else {
                // The server ends every watch after a while.
                self.told = self.store.begin(kind, &self.store.path(kind), &self.from).await?;
                continue;
            };
            let event = match told.map_err(|error| failed(error, kind, ""))? {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    self.pass(&item);
                    match raw(&item) {
                        Ok(object) => RawEvent::Applied(object),
                        Err((name, reason)) => RawEvent::Unreadable { name, reason },
                    }
                }
                WatchEvent::Deleted(item) => {
                    self.pass(&item);
                    let version = self.from.clone();
                    match metadata(&item) {
                        Ok(metadata) => RawEvent::Deleted {
                            name: metadata.name,
                            version,
                        },
                        Err(_) => continue,
                    }
                }
                WatchEvent::Bookmark(mark) => {
                    self.from = ResourceVersion::new(mark.metadata.resource_version);
                    RawEvent::Bookmark(self.from.clone())
                }
                WatchEvent::Error(status) => return Err(gone(*status, kind)),
            };
            self.pending.push_back(event);
        }
    }

    fn pass(&mut self, item: &Value) {
        if let Some(version) = item["metadata"]["resourceVersion"].as_str() {
            self.from = ResourceVersion::new(version);
        }
    }
}

fn metadata(item: &Value) -> Result<Metadata, (String, String)> {
    let text = |field: &str| item["metadata"][field].as_str();
    let name = text("name").unwrap_or_default();
    let wrong = |field: &str, reason: String| (name.to_owned(), format!("metadata.{field}: {reason}"));
    let mut metadata = Metadata::new(Name::new(name).map_err(|error| wrong("name", error.to_string()))?);
    let namespace = text("namespace").map(Name::new).transpose();
    metadata.namespace = namespace.map_err(|error| wrong("namespace", error.to_string()))?;
    metadata.resource_version = text("resourceVersion").map(ResourceVersion::new);
    metadata.owner = owner(&item["metadata"]);
    // Kinds of Kubernetes' own do not count.
    metadata.generation = item["metadata"]["generation"].as_u64().unwrap_or(0);
    Ok(metadata)
}

/// Returns the pod that an object goes away with.
fn owner(metadata: &Value) -> Option<Owner> {
    let all = metadata["ownerReferences"].as_array();
    let pod = all
        .into_iter()
        .flatten()
        .find(|one| one["kind"] == "Pod" && one["apiVersion"] == "v1")?;
    Some(Owner {
        name: pod["name"].as_str()?.to_owned(),
        uid: pod["uid"].as_str()?.to_owned(),
    })
}

/// Makes of what the server says an object; else its name and what is wrong.
fn raw(item: &Value) -> Result<Raw, (String, String)> {
    Ok(Raw {
        metadata: metadata(item)?,
        spec: item["spec"].clone(),
        status: item["status"].clone(),
    })
}

fn unspoilt(kind: Kind, item: &Value) -> Result<Raw, StoreError> {
    raw(item).map_err(|(name, reason)| StoreError::Invalid {
        kind,
        name,
        faults: vec![error::fault("", reason)],
    })
}

/// Writes a text as part of a query (RFC 3986 §2.1).
fn encoded(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(byte.into());
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}

impl Backend for KubernetesStore {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        Box::pin(async move {
            let path = format!("{}/{name}", self.path(kind));
            let found = self.ask((kind, name), Method::GET, path, None).await?;
            unspoilt(kind, &found)
        })
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        Box::pin(self.list_all(kind))
    }

    fn create(&self, kind: Kind, object: Raw) -> Answer<'_, Raw> {
        Box::pin(async move {
            let name = object.metadata.name;
            let mut body = json!({
                "apiVersion": kind.api_version(),
                "kind": kind.name(),
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": object.spec,
            });
            if let Some(owner) = object.metadata.owner {
                let reference = json!({"apiVersion": "v1", "kind": "Pod", "name": owner.name, "uid": owner.uid});
                body["metadata"]["ownerReferences"] = json!([reference]);
            }
            let body = Some(("application/json", body));
            let made = self.ask((kind, &name), Method::POST, self.path(kind), body).await?;
            unspoilt(kind, &made)
        })
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        Box::pin(self.patch(kind, object, part))
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        Box::pin(async move {
            let path = format!("{}/{name}", self.path(kind));
            let wanted = version.map(|version| {
                let order = json!({
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"resourceVersion": version},
                });
                ("application/json", order)
            });
            self.ask((kind, name), Method::DELETE, path, wanted).await.map(drop)
        })
    }

    fn pods(&self) -> Option<Pods> {
        Some(pods::follow(self))
    }

    fn publish<'a>(&'a self, occurrence: &'a Occurrence, by: &'a str) -> Answer<'a, ()> {
        Box::pin(occurrences::publish(self, occurrence, by))
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        Box::pin(self.follow(kind, from))
    }
}
