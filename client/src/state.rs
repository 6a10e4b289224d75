//! What is known of a service at one moment.

use std::{net::Ipv6Addr, sync::Arc};

use ssa_rules::{Apl, ItemSource, Party, Publication, Published};

use crate::{keys::Keys, sources};

/// The most plain addresses kept of an answer.
#[cfg(any(feature = "dns", feature = "socket"))]
pub(crate) const MAX_ADDRESSES: usize = 64;

/// What was published, as it was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Material {
    /// The united APL records.
    pub(crate) apl: Option<Apl>,
    /// The TXT records.
    pub(crate) records: Vec<Vec<u8>>,
    /// The plain addresses.
    pub(crate) addresses: Vec<Ipv6Addr>,
    /// The port to connect to in place of the wanted one.
    pub(crate) port: Option<u16>,
    /// The sources of items, where somebody else found them.
    pub(crate) sources: Vec<ItemSource>,
    /// Keys that came with it.
    pub(crate) keys: Keys,
    /// Why nothing of it counts.
    pub(crate) fault: Option<String>,
}

/// What is known of a service at one moment, prepared.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) published: Published,
    /// The sources of items; those of others come by the kernel.
    pub(crate) sources: Vec<ItemSource>,
    /// The source of all connections, where the options say so.
    pub(crate) source: Option<Ipv6Addr>,
    pub(crate) addresses: Vec<Ipv6Addr>,
    pub(crate) port: Option<u16>,
    /// Why records are not used; empty where all are.
    pub(crate) why: Arc<str>,
    /// Whether the kernel is asked for sources.
    pub(crate) asks_kernel: bool,
}

impl State {
    /// Prepares what was published.
    pub(crate) fn new(material: &Material, keys: &Keys, source: Option<Ipv6Addr>) -> Self {
        let (published, why) = match &material.fault {
            Some(fault) => (Published::default(), fault.clone()),
            None => read(material, keys),
        };
        let asks_kernel = source.is_none() && material.sources.is_empty();
        let sources = match source {
            Some(_) => Vec::new(),
            None if asks_kernel => sources::of_items(&published),
            None => material.sources.clone(),
        };
        Self {
            published,
            sources,
            source,
            addresses: material.addresses.clone(),
            port: material.port,
            why: why.into(),
            asks_kernel,
        }
    }

    /// Asks the kernel for the sources again; nothing where none has changed, or where it is not asked.
    pub(crate) fn with_fresh_sources(&self) -> Option<Self> {
        if !self.asks_kernel {
            return None;
        }
        let sources = sources::of_items(&self.published);
        (sources != self.sources).then(|| Self {
            sources,
            ..self.clone()
        })
    }
}

fn read(material: &Material, keys: &Keys) -> (Published, String) {
    let key_of = |id: &ssa_rules::KeyId| match material.keys.get(id) {
        ssa_rules::Key::None => keys.get(id),
        key => key,
    };
    let publication = Publication::read(material.apl.as_ref(), &material.records, Party::Client, key_of);
    let mut faults: Vec<String> = Vec::new();
    if let Err(error) = &publication.space {
        faults.push(format!("apl: {error}"));
    }
    for candidate in &publication.candidates {
        if let (Err(error), Ok(_)) = (&candidate.rule, &publication.space) {
            faults.push(format!("record[{}]: {error}", candidate.index));
        }
    }
    if publication.candidates.is_empty() {
        faults.push("no SSA record is published".into());
    }
    let published = publication.set.unwrap_or_else(|error| {
        faults.push(error.to_string());
        Published::default()
    });
    (published, faults.join("; "))
}
