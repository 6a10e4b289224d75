//! etcd as store: for clusters without Kubernetes.
//!
//! An object is one key, `PREFIX KINDS/NAME`, whose value is its JSON. Its version is the revision of its last change, and
//! every write is a transaction that compares it. The API is spoken directly: the few messages that are needed are written
//! out, so that no protoc is needed to build.

mod client;
mod messages;

use std::{collections::VecDeque, sync::Arc};

use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Streaming;

use self::{
    client::{Client, PAGE},
    messages::{
        Compare, Compared, DeleteRangeRequest, KeyValue, Operation, PutRequest, RangeRequest, RangeResponse, RequestOp,
        TxnRequest, TxnResponse, WatchCreateRequest, WatchEvent, WatchOrder, WatchRequest, WatchResponse,
    },
};
use super::{Answer, Backend, Events, Part, Raw, RawEvent, RawList, StoreError};
use crate::objects::{Kind, Metadata, Name, ResourceVersion};

pub use client::EtcdOptions;

/// etcd as store. Clones share its connections.
#[derive(Clone, Debug)]
pub struct EtcdStore {
    client: Arc<Client>,
    prefix: String,
}

/// An object as the value of a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    generation: u64,
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl EtcdStore {
    /// Takes where it is; connects when it is first asked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if the options say nothing that can be connected to.
    pub fn new(options: &EtcdOptions) -> Result<Self, StoreError> {
        let prefix = match options.prefix.as_str() {
            "" => EtcdOptions::PREFIX.to_owned(),
            prefix if prefix.ends_with('/') => prefix.to_owned(),
            prefix => format!("{prefix}/"),
        };
        let client = Arc::new(Client::new(options)?);
        Ok(Self { client, prefix })
    }

    fn keys_of(&self, kind: Kind) -> String {
        format!("{}{}/", self.prefix, kind.plural())
    }

    fn key_of(&self, kind: Kind, name: &Name) -> Vec<u8> {
        format!("{}{name}", self.keys_of(kind)).into_bytes()
    }

    /// Returns where the keys of a kind end: `/` is followed by `0`.
    fn end_of(&self, kind: Kind) -> Vec<u8> {
        format!("{}{}0", self.prefix, kind.plural()).into_bytes()
    }

    async fn range(&self, question: RangeRequest) -> Result<RangeResponse, StoreError> {
        self.client.call("/etcdserverpb.KV/Range", &question).await
    }

    /// Reads an object and the revision of its last change.
    async fn read(&self, kind: Kind, name: &Name) -> Result<(i64, Raw), StoreError> {
        let question = RangeRequest {
            key: self.key_of(kind, name),
            ..RangeRequest::default()
        };
        let found = self.range(question).await?.kvs.pop();
        let found = found.ok_or_else(|| not_found(kind, name))?;
        let revision = found.mod_revision;
        let object = self.object(kind, &found).map_err(|(name, reason)| StoreError::Invalid {
            kind,
            name,
            faults: vec![fault(reason)],
        });
        Ok((revision, object?))
    }

    /// Makes of a key what it stands for; else its name and what is wrong.
    fn object(&self, kind: Kind, found: &KeyValue) -> Result<Raw, (String, String)> {
        let key = String::from_utf8_lossy(&found.key).into_owned();
        let name = key.strip_prefix(&self.keys_of(kind)).unwrap_or(&key).to_owned();
        let told = |reason: String| (name.clone(), format!("{key}: {reason}"));
        let named = Name::new(&name).map_err(|error| told(format!("its name {error}")))?;
        let form: Form = ssa_input::json::read(&found.value).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            told(faults.join("; "))
        })?;
        let mut metadata = Metadata::new(named);
        metadata.generation = form.generation;
        metadata.resource_version = Some(version(found.mod_revision));
        Ok(Raw {
            metadata,
            spec: form.spec,
            status: form.status,
        })
    }

    /// Changes a key whose last change was of this revision; 0 stands for one that is not there. Returns the new revision,
    /// or nothing if it has changed.
    async fn change(&self, key: Vec<u8>, revision: i64, change: Operation) -> Result<Option<i64>, StoreError> {
        let question = TxnRequest {
            compare: vec![Compare {
                result: 0,
                target: Compare::MOD,
                key,
                with: Some(Compared::ModRevision(revision)),
            }],
            success: vec![RequestOp { request: Some(change) }],
        };
        let answer: TxnResponse = self.client.call("/etcdserverpb.KV/Txn", &question).await?;
        let header = answer.header.filter(|_| answer.succeeded);
        Ok(header.map(|header| header.revision))
    }

    async fn put(&self, kind: Kind, mut object: Raw, revision: i64) -> Result<Option<Raw>, StoreError> {
        let key = self.key_of(kind, &object.metadata.name);
        let mut value = json!({"generation": object.metadata.generation, "spec": object.spec});
        if !object.status.is_null() {
            value["status"] = object.status.clone();
        }
        let put = PutRequest {
            key: key.clone(),
            value: value.to_string().into_bytes(),
        };
        let kept = self.change(key, revision, Operation::Put(put)).await?;
        Ok(kept.map(|revision| {
            object.metadata.resource_version = Some(version(revision));
            object
        }))
    }

    async fn update_part(&self, kind: Kind, object: Raw, part: Part) -> Result<Raw, StoreError> {
        let (revision, mut next) = self.read(kind, &object.metadata.name).await?;
        let name = object.metadata.name.clone();
        if next.metadata.resource_version != object.metadata.resource_version {
            return Err(conflict(kind, &name));
        }
        match part {
            Part::Spec if next.spec == object.spec => return Ok(next),
            Part::Spec => {
                next.metadata.generation += 1;
                next.spec = object.spec;
            }
            Part::Status if next.status == object.status => return Ok(next),
            Part::Status => next.status = object.status,
        }
        let kept = self.put(kind, next, revision).await?;
        kept.ok_or_else(|| conflict(kind, &name))
    }

    async fn delete_version(
        &self,
        kind: Kind,
        name: &Name,
        wanted: Option<&ResourceVersion>,
    ) -> Result<(), StoreError> {
        loop {
            let question = RangeRequest {
                key: self.key_of(kind, name),
                ..RangeRequest::default()
            };
            let found = self.range(question).await?.kvs.pop();
            let revision = found.ok_or_else(|| not_found(kind, name))?.mod_revision;
            if wanted.is_some_and(|wanted| *wanted != version(revision)) {
                return Err(conflict(kind, name));
            }
            let key = self.key_of(kind, name);
            let delete = Operation::Delete(DeleteRangeRequest { key: key.clone() });
            if self.change(key, revision, delete).await?.is_some() {
                return Ok(());
            }
            // It has changed since: whoever wants any version gone tries again.
        }
    }

    async fn list_all(&self, kind: Kind) -> Result<RawList, StoreError> {
        let (mut objects, mut unreadable) = (Vec::new(), Vec::new());
        let mut question = RangeRequest {
            key: self.keys_of(kind).into_bytes(),
            range_end: self.end_of(kind),
            limit: PAGE.into(),
            revision: 0,
        };
        loop {
            let page = self.range(question.clone()).await?;
            if question.revision == 0 {
                // All pages are of one moment.
                question.revision = page.header.unwrap_or_default().revision;
            }
            for found in &page.kvs {
                match self.object(kind, found) {
                    Ok(object) => objects.push(object),
                    Err(wrong) => unreadable.push(wrong),
                }
            }
            match page.kvs.last() {
                Some(last) if page.more => {
                    question.key.clone_from(&last.key);
                    question.key.push(0);
                }
                _ => break,
            }
        }
        Ok(RawList {
            objects,
            unreadable,
            version: version(question.revision),
        })
    }

    async fn follow(&self, kind: Kind, from: &ResourceVersion) -> Result<Events, StoreError> {
        let from: i64 = from.as_str().parse().map_err(|_| StoreError::TooOld { kind })?;
        let order = WatchCreateRequest {
            key: self.keys_of(kind).into_bytes(),
            range_end: self.end_of(kind),
            start_revision: from.saturating_add(1),
            progress_notify: true,
        };
        let order = WatchRequest {
            order: Some(WatchOrder::Create(order)),
        };
        let watching = Watching {
            watch: self.client.watch(order).await?,
            store: self.clone(),
            kind,
            from,
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
}

struct Watching {
    store: EtcdStore,
    watch: Streaming<WatchResponse>,
    kind: Kind,
    from: i64,
    pending: VecDeque<RawEvent>,
}

impl Watching {
    async fn next(&mut self) -> Result<RawEvent, StoreError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            let told = self.store.client.told(&mut self.watch).await?;
            let revision = told.header.unwrap_or_default().revision;
            if told.canceled && told.compact_revision == 0 {
                let reason = format!("it ended the watch: {}", told.cancel_reason);
                return Err(self.store.client.unavailable(reason));
            }
            // A revision that it has not come to yet is that of an etcd which was restored since.
            if told.canceled || (told.created && revision < self.from) {
                return Err(StoreError::TooOld { kind: self.kind });
            }
            if told.events.is_empty() && !told.created {
                self.pending.push_back(RawEvent::Bookmark(version(revision)));
            }
            for WatchEvent { kind, kv } in told.events {
                let Some(found) = kv else { continue };
                let event = match self.store.object(self.kind, &found) {
                    _ if kind == WatchEvent::DELETE => self.deleted(&found),
                    Ok(object) => Some(RawEvent::Applied(object)),
                    Err((name, reason)) => Some(RawEvent::Unreadable { name, reason }),
                };
                self.pending.extend(event);
            }
        }
    }

    fn deleted(&self, found: &KeyValue) -> Option<RawEvent> {
        let key = String::from_utf8_lossy(&found.key);
        let name = Name::new(key.strip_prefix(&self.store.keys_of(self.kind))?).ok()?;
        let version = version(found.mod_revision);
        Some(RawEvent::Deleted { name, version })
    }
}

fn version(revision: i64) -> ResourceVersion {
    ResourceVersion::new(revision.to_string())
}

fn fault(reason: String) -> crate::objects::Fault {
    crate::objects::Fault {
        path: String::new(),
        problem: ssa_input::json::Problem::Other(reason),
        position: None,
    }
}

fn not_found(kind: Kind, name: &Name) -> StoreError {
    StoreError::NotFound {
        kind,
        name: name.to_string(),
    }
}

fn conflict(kind: Kind, name: &Name) -> StoreError {
    StoreError::Conflict {
        kind,
        name: name.to_string(),
    }
}

impl Backend for EtcdStore {
    fn get<'a>(&'a self, kind: Kind, name: &'a Name) -> Answer<'a, Raw> {
        Box::pin(async move { Ok(self.read(kind, name).await?.1) })
    }

    fn list(&self, kind: Kind) -> Answer<'_, RawList> {
        Box::pin(self.list_all(kind))
    }

    fn create(&self, kind: Kind, mut object: Raw) -> Answer<'_, Raw> {
        object.metadata.generation = 1;
        object.status = Value::Null;
        Box::pin(async move {
            let name = object.metadata.name.to_string();
            let kept = self.put(kind, object, 0).await?;
            kept.ok_or(StoreError::Exists { kind, name })
        })
    }

    fn update(&self, kind: Kind, object: Raw, part: Part) -> Answer<'_, Raw> {
        Box::pin(self.update_part(kind, object, part))
    }

    fn delete<'a>(&'a self, kind: Kind, name: &'a Name, version: Option<&'a ResourceVersion>) -> Answer<'a, ()> {
        Box::pin(self.delete_version(kind, name, version))
    }

    fn watch<'a>(&'a self, kind: Kind, from: &'a ResourceVersion) -> Answer<'a, Events> {
        Box::pin(self.follow(kind, from))
    }
}
