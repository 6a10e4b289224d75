//! Writes to the store what a loop has to tell, in a task of its own: a store that neither answers nor refuses keeps no loop
//! from doing what is next.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::or_never;
use crate::contact::Contact;
use crate::store::{Store, StoreError};

/// The pause after the store has refused something.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a program that ends waits for its last word to be written.
const FAREWELL: Duration = Duration::from_secs(1);

/// What comes after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until there is something else to write.
    Done,
    /// It is not written yet: it is to be looked at again after so long.
    Again(Duration),
}

/// How something is written.
pub(crate) trait Written: Send + 'static {
    /// What is written.
    type Value: Clone + PartialEq + Send + Sync + 'static;

    /// Writes it, whatever it takes.
    fn write(&mut self, store: &Store, value: &Self::Value) -> impl Future<Output = Result<Next, StoreError>> + Send;
}

/// A task that writes what it was given last.
#[derive(Debug)]
pub(crate) struct Writer<V> {
    wanted: watch::Sender<Option<V>>,
    task: JoinHandle<()>,
}

impl<V> Drop for Writer<V> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<V: Clone + PartialEq + Send + Sync + 'static> Writer<V> {
    /// Begins, with nothing to write. `tell` tells people why something was not written.
    pub(crate) fn start(store: Store, how: impl Written<Value = V>, contact: Contact, tell: fn(&str)) -> Self {
        let (wanted, wants) = watch::channel(None);
        let task = tokio::spawn(run(store, how, wants, contact, tell));
        Self { wanted, task }
    }

    /// Has something written in place of what was to be written so far.
    pub(crate) fn write(&self, value: V) {
        self.wanted.send_replace(Some(value));
    }

    /// Ends, and waits for a while until what is to be written is.
    pub(crate) async fn finish(mut self) {
        // The task ends once it has written what there is.
        drop(std::mem::replace(&mut self.wanted, watch::channel(None).0));
        let _ = timeout(FAREWELL, &mut self.task).await;
    }
}

async fn run<W: Written>(
    store: Store,
    mut how: W,
    mut wants: watch::Receiver<Option<W::Value>>,
    contact: Contact,
    tell: fn(&str),
) {
    let (mut again, mut told): (Option<Instant>, Option<String>) = (None, None);
    loop {
        let ends = tokio::select! {
            changed = wants.changed() => changed.is_err(),
            () = or_never(again.map(sleep_until)) => false,
        };
        let value = wants.borrow_and_update().clone();
        let Some(value) = value.filter(|_| !ends || again.is_some()) else {
            if ends {
                return;
            }
            continue;
        };
        let done = how.write(&store, &value).await;
        contact.note(&done);
        again = match done {
            Ok(next) => {
                told = None;
                match next {
                    Next::Done => None,
                    Next::Again(pause) => Some(Instant::now() + pause),
                }
            }
            Err(error) => {
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tell(&text);
                    told = Some(text);
                }
                Some(Instant::now() + PAUSE)
            }
        };
        if ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::store::Memory;

    /// Writes into a list, after so long; every third time the store refuses it.
    struct Listed {
        takes: Duration,
        asked: usize,
        list: Arc<Mutex<Vec<u32>>>,
    }

    impl Written for Listed {
        type Value = u32;

        async fn write(&mut self, _: &Store, value: &u32) -> Result<Next, StoreError> {
            tokio::time::sleep(self.takes).await;
            self.asked += 1;
            if self.asked.is_multiple_of(3) {
                return Err(StoreError::Unavailable {
                    store: "test".into(),
                    reason: "no answer".into(),
                });
            }
            self.list.lock().expect("a list").push(*value);
            Ok(Next::Done)
        }
    }

    fn start(takes: Duration) -> (Writer<u32>, Arc<Mutex<Vec<u32>>>, Contact) {
        let (list, contact) = (Arc::default(), Contact::default());
        let how = Listed {
            takes,
            asked: 0,
            list: Arc::clone(&list),
        };
        let store = Store::new(Arc::new(Memory::new()));
        (Writer::start(store, how, contact.clone(), |_| ()), list, contact)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_store_that_does_not_answer() {
        let (writer, list, _) = start(Duration::from_hours(1));
        let began = Instant::now();
        for value in 0..100 {
            writer.write(value);
            tokio::task::yield_now().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        writer.finish().await;
        assert!(
            began.elapsed() <= FAREWELL + Duration::from_millis(1),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(*list.lock().expect("a list"), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_last_is_written_and_what_failed_is_tried_again() {
        let (writer, list, contact) = start(Duration::from_millis(100));
        let written = || list.lock().expect("a list").clone();
        writer.write(1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Of what comes while it writes, the last counts.
        for value in 2..=5 {
            writer.write(value);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(written(), [1, 5]);
        assert!(contact.state().0);
        writer.write(6);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(written() == [1, 5] && !contact.state().0, "it was refused");
        tokio::time::sleep(PAUSE * 2).await;
        assert_eq!(written(), [1, 5, 6]);
        writer.write(7);
        writer.finish().await;
        assert_eq!(written(), [1, 5, 6, 7]);
    }
}
