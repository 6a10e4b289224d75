//! The state, written while the daemon works.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use crate::{admin::Status, clock::Clock, folders::Folders, model::Model, store};

/// How long a change of the state may be unwritten, and how long a mere renewal.
pub(super) const WRITE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// Writes the state, one file at a time and not too often.
pub(super) struct Writer {
    path: Option<PathBuf>,
    folders: Folders,
    pub(super) due: Option<Instant>,
    clock: Clock,
    status: Arc<Status>,
    running: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn new(path: Option<PathBuf>, folders: Folders, clock: Clock, status: Arc<Status>) -> Self {
        Self {
            path,
            folders,
            due: None,
            clock,
            status,
            running: None,
        }
    }

    pub(super) fn want(&mut self, within: Duration) {
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |old| old.min(due)));
    }

    pub(super) fn write(&mut self, model: &Model) {
        self.due = None;
        let Some(path) = self.path.clone() else { return };
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            self.want(WRITE[0]);
            return;
        }
        let (services, now, folders) = (model.to_store(), self.clock.moment(), self.folders);
        let status = self.status.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let result = match store::save(&path, folders, services, now) {
                Ok(()) => "written",
                Err(error) => {
                    tracing::error!(path = %path.display(), error = ssa_input::files::reason(&error), "the state cannot be written");
                    "failed"
                }
            };
            status
                .counters
                .count("ssa_resolver_state_writes_total", &[("outcome", result)]);
        }));
    }

    pub(super) async fn finish(mut self, model: &Model) {
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
        self.write(model);
        if let Some(running) = self.running.take() {
            let _ = running.await;
        }
    }
}
