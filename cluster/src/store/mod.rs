//! Stores: one interface to a directory, to etcd and to Kubernetes.
//!
//! [`Store`] is what programs use: typed, and with every object held against its bounds, on the way in and on the way out.
//! [`Backend`] is what each store implements: values by kind and name.
//!
//! - Every write says which version of the object it changes, and fails with [`StoreError::Conflict`] if that is no longer
//!   the latest. Nobody overwrites what they have not seen.
//! - The spec and the status are written apart, each without touching the other.
//! - A watch tells, from a version on, the last state of every object that changes, each object's states in their order;
//!   it may pass over states in between. If a store no longer knows what happened since that version, the watch ends with
//!   [`StoreError::TooOld`]: list again, and watch from there.
//! - An object that is at fault is told as [`Event::Faulty`] with every fault and its field, and never as an object.

mod backend;
#[cfg(test)]
mod counting;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
#[cfg(target_os = "linux")]
mod file;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod location;
mod memory;
mod occurrence;
mod pod;
mod typed;

pub use backend::{Answer, Backend, Events, Part, Raw, RawEvent, RawList};
#[cfg(test)]
pub(crate) use counting::counted_in;
pub use error::StoreError;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdOptions, EtcdStore};
#[cfg(target_os = "linux")]
pub use file::FileStore;
#[cfg(feature = "kubernetes")]
pub use kubernetes::{Identities, KubernetesStore, crds, policies};
pub use location::Location;
pub use memory::Memory;
pub use occurrence::Occurrence;
pub use pod::{AGENT_PORT, Pod, Pods};
pub use typed::{Event, Faulty, Listed, Store, Watch};
