//! The socket: whoever may connect gets a line at once, and another one after each change.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// The most connections at a time; others are closed at once.
const MOST: usize = 64;
/// How long a reader may take for a line.
const PATIENCE: Duration = Duration::from_secs(5);
/// The mode of the socket: its owner and its group.
const MODE: u32 = 0o660;

/// A socket that is removed when it is dropped.
#[derive(Debug)]
pub(in crate::agent) struct Served {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Serves lines at a path; in place of a socket there that nobody serves any more.
///
/// # Errors
///
/// If somebody serves it, if it is something else than a socket, or what the system says.
pub(in crate::agent) fn serve(path: &Path, lines: watch::Receiver<Arc<str>>) -> io::Result<Served> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "is there already, and is no socket",
            ));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
        }
        _ => {}
    }
    // Nobody finds it before it has its mode.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(MODE))?;
    std::fs::rename(&new, path)?;
    let task = tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(MOST));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                let lines = lines.clone();
                tokio::spawn(async move {
                    tell(stream, lines).await;
                    drop(place);
                });
            }
        }
    });
    Ok(Served {
        path: path.to_owned(),
        task,
    })
}

/// Tells one reader the latest line, and what comes after it; a slow one misses those in between.
async fn tell(mut stream: UnixStream, mut lines: watch::Receiver<Arc<str>>) {
    let (mut reads, mut writes) = stream.split();
    lines.mark_changed();
    let mut asked = [0; 64];
    loop {
        tokio::select! {
            changed = lines.changed() => {
                if changed.is_err() {
                    return;
                }
                let line = lines.borrow_and_update().clone();
                if line.is_empty() {
                    continue;
                }
                let written = async {
                    writes.write_all(line.as_bytes()).await?;
                    writes.write_all(b"\n").await
                };
                if !matches!(timeout(PATIENCE, written).await, Ok(Ok(()))) {
                    return;
                }
            }
            // There is nothing to ask: one that writes is given up, and so is one that is gone.
            _ = reads.read(&mut asked) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tokio::io::{AsyncBufReadExt as _, BufReader};

    use super::*;

    #[tokio::test]
    async fn a_reader_gets_the_latest_line_and_each_later_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slices.sock");
        let (sender, lines) = watch::channel(Arc::from("{}"));
        let served = serve(&path, lines.clone()).expect("a socket");
        let mode = std::fs::metadata(&path).expect("the socket").mode();
        assert_eq!(mode & 0o777, 0o660);
        let other = serve(&path, lines.clone()).expect_err("it is served");
        assert_eq!(other.to_string(), "another process serves it");
        let mut reader = BufReader::new(UnixStream::connect(&path).await.expect("a connection")).lines();
        assert_eq!(reader.next_line().await.expect("a line").as_deref(), Some("{}"));
        sender.send_replace(Arc::from("{\"ready\":true}"));
        assert_eq!(
            reader.next_line().await.expect("a line").as_deref(),
            Some("{\"ready\":true}")
        );
        // One that writes is given up.
        let mut writer = UnixStream::connect(&path).await.expect("a connection");
        writer.write_all(b"GET /").await.expect("room");
        let mut all = Vec::new();
        timeout(Duration::from_secs(20), writer.read_to_end(&mut all))
            .await
            .expect("in time")
            .ok();
        drop(served);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_left_of_an_earlier_run_is_replaced_and_other_files_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slices.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
        assert!(path.exists());
        let (_sender, lines) = watch::channel(Arc::from("{}"));
        drop(serve(&path, lines.clone()).expect("a socket"));
        std::fs::write(&path, "mine").expect("a file");
        let told = serve(&path, lines).expect_err("a file is there").to_string();
        assert_eq!(told, "is there already, and is no socket");
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), "mine");
    }

    #[tokio::test]
    async fn there_are_so_many_readers_and_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slices.sock");
        let (_sender, lines) = watch::channel(Arc::from("{}"));
        let _served = serve(&path, lines).expect("a socket");
        let mut readers = Vec::new();
        for _ in 0..MOST {
            let mut reader = BufReader::new(UnixStream::connect(&path).await.expect("a connection")).lines();
            assert_eq!(reader.next_line().await.expect("a line").as_deref(), Some("{}"));
            readers.push(reader);
        }
        let mut reader = BufReader::new(UnixStream::connect(&path).await.expect("a connection")).lines();
        assert_eq!(reader.next_line().await.expect("the end"), None);
    }
}
