//! Whether a command lives.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Whether a command lives: its main loop says so again and again. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    /// When it last said so.
    last: Arc<Mutex<Instant>>,
    patience: Duration,
}

impl Health {
    /// Takes how long a command may say nothing.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            last: Arc::new(Mutex::new(Instant::now())),
            patience,
        }
    }

    /// Notes that the command lives.
    pub fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Says what is wrong, if something is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let silent = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (silent > self.patience).then(|| format!("the main loop has not run for {} s", silent.as_secs()))
    }
}
