//! What servers said of services beside their IPv6 addresses, for the time when they say nothing (RFC 8767).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Table, answer,
    query::{Asked, replace_opt},
    wire::{self, CODE, Message, TRUNCATED, kind},
};

/// The types that programs ask for beside AAAA when they connect: without an answer for them, many do not.
const KINDS: [u16; 2] = [kind::A, kind::HTTPS];

/// The maximum size in bytes of an answer that is kept.
const MAX_ANSWER: usize = 1232;

/// How long an answer is kept (RFC 8767 §5).
const MAX_AGE: Duration = Duration::from_hours(24);

/// A question: name and type.
type Key = (Vec<u8>, u16);

/// An answer, and when it came.
type Entry = (Arc<[u8]>, Instant);

/// Answers by name and type.
#[derive(Clone, Debug, Default)]
pub(crate) struct StaleCache(Arc<Mutex<HashMap<Key, Entry>>>);

impl StaleCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a question is one that this has answers for.
    pub(crate) fn is_for(table: &Table, asked: &Asked) -> bool {
        asked.is_plain && KINDS.contains(&asked.kind) && table.entries.contains_key(&asked.name)
    }

    /// Keeps an answer, where it is one to keep.
    pub(crate) fn keep(&self, table: &Table, asked: &Asked, answer: &[u8]) {
        let is_whole = wire::flags(answer) & (TRUNCATED | CODE) == 0;
        if !is_whole || asked.has_subnet || answer.len() > MAX_ANSWER || !Self::is_for(table, asked) {
            return;
        }
        let plain = Message::read(answer).and_then(|message| replace_opt(&message, None));
        let Some(plain) = plain else { return };
        let mut kept = self.lock();
        // Of services that are gone nothing is.
        if kept.len() >= table.entries.len().saturating_mul(KINDS.len()) {
            kept.retain(|(name, _), _| table.entries.contains_key(name));
        }
        kept.insert((asked.name.clone(), asked.kind), (plain.into(), Instant::now()));
    }

    /// Answers without a server: by what one said last, or that nothing is known.
    pub(crate) fn answer(&self, asked: &Asked) -> Option<Vec<u8>> {
        let kept = self.lock().get(&(asked.name.clone(), asked.kind)).cloned();
        let kept = kept.filter(|(_, at)| at.elapsed() < MAX_AGE);
        kept.and_then(|(kept, _)| answer::stale(asked, &kept))
            .or_else(|| answer::nothing_known(asked))
    }
}
