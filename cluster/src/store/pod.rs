//! Pods, of which endpoints are made where the store is Kubernetes.

use std::{collections::BTreeMap, net::Ipv6Addr, pin::Pin, sync::Arc};

use futures_util::Stream;

use super::StoreError;
use crate::objects::{LabelValue, Name};

/// All pods of the store's namespace, again after each change. It ends after the first error.
pub type Pods = Pin<Box<dyn Stream<Item = Result<Arc<Vec<Pod>>, StoreError>> + Send>>;

/// How a container names the port where the agent serves `/load`.
pub const AGENT_PORT: &str = "ssa-agent";

/// A pod, as far as an endpoint follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// What tells it from an earlier pod of that name.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its first IPv6 address, once it has one.
    pub address: Option<Ipv6Addr>,
    /// Its node, once it has one.
    pub node: Option<Name>,
    /// The zone of that node (`topology.kubernetes.io/zone`), if it has one.
    pub zone: Option<LabelValue>,
    /// The TCP port where its agent tells its load: that of its containers which is named [`AGENT_PORT`].
    pub http_port: Option<u16>,
    /// Its condition `Ready`: its containers, and its readiness gates.
    pub ready: bool,
    /// Whether it has been told to end.
    pub terminating: bool,
    /// Whether all its containers have ended, for good.
    pub ended: bool,
}
