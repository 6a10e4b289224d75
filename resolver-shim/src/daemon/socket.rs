//! Keeps the snapshot socket where the configuration has it.

use std::{os::unix::fs::MetadataExt, sync::Arc};

use tokio::sync::mpsc;

use crate::{
    config::{Folders, Socket},
    metrics::Counters,
    serve::Listener,
};

/// Looks whether the socket is still at its path: its folder may have been replaced, or the socket removed.
pub(super) struct SocketWatch {
    config: Socket,
    folders: Folders,
    /// The socket that was bound last: device and inode.
    file: (u64, u64),
    /// Where another one goes to be served.
    bound: mpsc::UnboundedSender<Listener>,
    counters: Arc<Counters>,
    is_reachable: bool,
}

impl SocketWatch {
    pub(super) fn new(
        bound: &Listener,
        (config, folders): (Socket, Folders),
        successors: mpsc::UnboundedSender<Listener>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            config,
            folders,
            file: bound.file(),
            bound: successors,
            counters,
            is_reachable: true,
        }
    }

    /// Returns whether snapshots can be had at the path.
    pub(super) fn is_reachable(&self) -> bool {
        self.is_reachable
    }

    /// Binds the socket again where it is not at its path any more. That it cannot be is reported once; it is tried until it can.
    pub(super) fn look(&mut self) {
        let found = std::fs::symlink_metadata(&self.config.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            self.is_reachable = true;
            return;
        }
        let path = self.config.path.display();
        let outcome = match Listener::new(&self.config, self.folders) {
            Ok(bound) => {
                tracing::warn!(%path, "the socket was gone from its path, and is bound there again");
                self.file = bound.file();
                self.is_reachable = true;
                // Without a receiver all ends.
                let _ = self.bound.send(bound);
                "bound"
            }
            Err(error) => {
                if self.is_reachable {
                    let error = ssa_input::files::reason(&error);
                    tracing::error!(%path, error, "the socket is gone from its path, and cannot be bound there yet");
                }
                self.is_reachable = false;
                "failed"
            }
        };
        self.counters
            .count("ssa_resolver_socket_binds_total", &[("outcome", outcome)]);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixStream};

    use super::*;
    use crate::{config::Config, testing::Folder};

    #[tokio::test(flavor = "current_thread")]
    async fn a_socket_that_is_gone_from_its_path_is_bound_again() {
        let folder = Folder::new("socket");
        let (inner, moved) = (folder.path().join("inner"), folder.path().join("moved"));
        let path = inner.join("a.sock");
        let json = format!(r#"{{"socket": {{"path": "{}"}}}}"#, path.display());
        let config = Config::from_json(json.as_bytes()).unwrap();
        let mut bound = Listener::new(&config.socket, config.folders).unwrap();
        let (successors, mut next) = mpsc::unbounded_channel();
        let of = (config.socket, config.folders);
        let mut watch = SocketWatch::new(&bound, of, successors, Arc::default());
        watch.look();
        assert!(next.try_recv().is_err());
        // Removed, its folder removed, and its folder replaced.
        for step in 0..4 {
            match step {
                0 => fs::remove_file(&path).unwrap(),
                1 => fs::remove_dir_all(&inner).unwrap(),
                2 => fs::rename(&inner, &moved).unwrap(),
                _ => {
                    fs::remove_dir_all(&moved).unwrap();
                    fs::rename(&inner, &moved).unwrap();
                    fs::create_dir(&inner).unwrap();
                }
            }
            watch.look();
            bound = next.try_recv().unwrap();
            assert!(watch.is_reachable() && UnixStream::connect(&path).is_ok(), "{step}");
            watch.look();
            assert!(next.try_recv().is_err(), "{step}");
        }
        // Another process has taken the place meanwhile, and leaves it.
        fs::remove_file(&path).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for _ in 0..2 {
            watch.look();
            assert!(!watch.is_reachable() && next.try_recv().is_err());
        }
        drop(bound);
        assert!(UnixStream::connect(&path).is_ok());
        drop(other);
        watch.look();
        let _bound = next.try_recv().unwrap();
        assert!(watch.is_reachable());
    }
}
