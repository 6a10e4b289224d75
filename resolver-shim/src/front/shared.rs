//! What all conversations of the front share, and how servers are asked in a querier's place.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    Asked, Decision, Outcome, Querier, Table, Upstreams,
    querier::Queriers,
    stale_cache::StaleCache,
    upstreams::{Reply, Transport},
    wire::{self, Code},
};
use crate::{
    clock::Clock,
    fair_semaphore::{FairPermit, FairSemaphore},
    metrics::Counters,
    random::Bits,
};

/// The maximum number of queries by UDP that servers are asked at once; a large one counts for several.
const MAX_QUERIES: usize = 2048;

/// The maximum number of concurrent connections. Each may have several descriptors, of which processes often have 1024.
const MAX_CONNECTIONS: usize = 128;

/// The maximum number of queries by TCP that servers are asked at once: each is a connection, and an answer of up to 64 KiB.
const MAX_STREAMED: usize = 256;

/// How long servers are waited for where something can be told without them (RFC 8767 §5), and how long when it is known
/// that they do not answer: for the service's own records, or the last that was asked of them.
pub(super) const PATIENCE: [Duration; 2] = [Duration::from_millis(1800), Duration::from_millis(100)];

/// What all conversations share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(super) table: watch::Receiver<Arc<Table>>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) queriers: Queriers,
    pub(super) kept: StaleCache,
    pub(super) queries: FairSemaphore,
    pub(super) streamed: FairSemaphore,
    pub(super) connections: FairSemaphore,
}

impl Shared {
    pub(crate) fn new(table: watch::Receiver<Arc<Table>>, clock: Clock, counters: Arc<Counters>) -> Self {
        Self {
            table,
            clock,
            counters,
            queriers: Queriers::default(),
            kept: StaleCache::default(),
            queries: FairSemaphore::new(MAX_QUERIES),
            streamed: FairSemaphore::new(MAX_STREAMED),
            connections: FairSemaphore::new(MAX_CONNECTIONS),
        }
    }

    pub(super) fn count(&self, transport: Transport, outcome: Outcome) {
        let labels = [("transport", transport.name()), ("outcome", outcome.name())];
        self.counters.count("ssa_resolver_front_queries_total", &labels);
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.borrow().clone()
    }

    pub(super) fn decide(&self, message: &[u8], querier: Querier, bits: &mut Bits) -> Decision {
        self.table()
            .decide(message, querier, self.clock.both(), &mut || bits.draw())
    }

    pub(super) fn upstreams(&self) -> Arc<Upstreams> {
        self.table.borrow().upstreams.clone()
    }

    /// Takes a place for a query by TCP.
    pub(super) fn take_streamed(&self, querier: Querier) -> Option<FairPermit> {
        self.streamed.take(querier.address, 1)
    }

    /// Asks servers in a querier's place, and returns what it is told.
    pub(super) async fn hand_on(
        self,
        outcome: Outcome,
        asked: Asked,
        querier: Querier,
        transport: Transport,
        place: FairPermit,
    ) -> (Outcome, Vec<u8>) {
        let told = if StaleCache::is_for(&self.table(), &asked) {
            match self.ask_impatiently(&asked, querier, transport, place).await {
                Ok(told) => told,
                Err(without) => return (Outcome::Stale, without),
            }
        } else {
            let told = self.ask(&asked, querier, transport).await;
            drop(place);
            told
        };
        match told {
            Told::Answer(bytes, true) => (Outcome::Composed, bytes),
            Told::Answer(bytes, false) | Told::Failure(bytes) => (outcome, bytes),
            Told::Nothing => {
                let failure = wire::failure(&asked.onward, Code::ServerFailure);
                (Outcome::Failed, failure.unwrap_or_default())
            }
        }
    }

    /// Asks for what programs ask beside the address of a service. Where that can be composed for the querier and servers
    /// do not answer soon, it is told what is known without them: that is the error.
    async fn ask_impatiently(
        &self,
        asked: &Asked,
        querier: Querier,
        transport: Transport,
        place: FairPermit,
    ) -> Result<Told, Vec<u8>> {
        let upstreams = self.upstreams();
        let is_stale = self
            .table()
            .entries
            .get(&asked.name)
            .is_some_and(|entry| entry.is_stale);
        let patience = PATIENCE[usize::from(is_stale || upstreams.are_silent())];
        let (asking, question) = (self.clone(), asked.clone());
        // It goes on when nobody waits any more: its answer is kept.
        let mut task = tokio::spawn(async move {
            let told = asking.ask(&question, querier, transport).await;
            drop(place);
            told
        });
        let told = timeout(patience, &mut task).await;
        if let Ok(Ok(Told::Answer(bytes, is_composed))) = told {
            return Ok(Told::Answer(bytes, is_composed));
        }
        if told.is_err() {
            upstreams.note_silence();
        }
        let mut bits = Bits::default();
        let composed = (self.table()).compose(&asked.name, querier, self.clock.both(), &mut || bits.draw());
        if composed.is_some()
            && let Some(without) = self.kept.answer(asked)
        {
            return Err(without);
        }
        let told = match told {
            Ok(told) => told,
            Err(_) => task.await,
        };
        Ok(told.unwrap_or(Told::Nothing))
    }

    async fn ask(&self, asked: &Asked, querier: Querier, transport: Transport) -> Told {
        let (answer, is_final) = match self.upstreams().ask(&asked.onward, transport).await {
            Reply::Answer(answer) => (answer, true),
            Reply::Failure(answer) => (answer, false),
            Reply::Silence => return Told::Nothing,
        };
        let table = self.table();
        let mut bits = Bits::default();
        let received = table.receive(asked, answer, querier, self.clock.both(), &mut || bits.draw());
        let Some(received) = received else { return Told::Nothing };
        if !is_final {
            return Told::Failure(received.bytes);
        }
        self.kept.keep(&table, asked, &received.bytes);
        Told::Answer(received.bytes, received.is_composed)
    }
}

/// What is known from servers.
enum Told {
    /// An answer, and whether an address that was asked for is composed.
    Answer(Vec<u8>, bool),
    /// That they cannot or will not say.
    Failure(Vec<u8>),
    /// Nothing.
    Nothing,
}
