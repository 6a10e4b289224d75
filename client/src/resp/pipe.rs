//! A connection on which commands follow each other without waiting for replies.

use std::sync::Arc;

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::{mpsc, oneshot},
};

use super::value::{self, Value, ValueError};

/// The most commands that wait to be written, and the most that wait for a reply.
const MAX_WAITING: usize = 1024;

/// How many commands are written at once.
const BATCH: usize = 256;

/// What became of a command.
type Reply = Result<Value, Arc<ValueError>>;

/// A command on its way.
struct Job {
    bytes: Vec<u8>,
    reply: oneshot::Sender<Reply>,
}

/// A connection. It closes when it is dropped, once the commands under way are answered.
#[derive(Clone)]
pub(super) struct Pipe(mpsc::Sender<Job>);

impl Pipe {
    /// Serves a connection by a task of this runtime.
    pub(super) fn new(stream: TcpStream) -> Self {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(serve(stream, waiting));
        Self(jobs)
    }

    /// Returns whether the connection is lost.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a command and waits for its reply; nothing where the connection is lost before.
    pub(super) async fn send(&self, bytes: Vec<u8>) -> Option<Reply> {
        let (reply, answered) = oneshot::channel();
        self.0.send(Job { bytes, reply }).await.ok()?;
        answered.await.ok()
    }
}

async fn serve(stream: TcpStream, mut waiting: mpsc::Receiver<Job>) {
    // Commands are small, and each is waited for.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let (sent, mut replies) = mpsc::channel::<oneshot::Sender<Reply>>(MAX_WAITING);
    let writer = async move {
        let mut batch = Vec::with_capacity(BATCH);
        let mut bytes = Vec::new();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            bytes.clear();
            for job in batch.drain(..) {
                bytes.extend(job.bytes);
                // Without a reader there is no connection.
                if sent.send(job.reply).await.is_err() {
                    return;
                }
            }
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let reader = async move {
        let mut read = BufReader::new(read);
        while let Some(reply) = replies.recv().await {
            let value = value::read(&mut read).await.map_err(Arc::new);
            let is_lost = value.is_err();
            // Who has given up waiting reads nothing.
            let _ = reply.send(value);
            if is_lost {
                return;
            }
        }
    };
    tokio::pin!(writer);
    tokio::pin!(reader);
    tokio::select! {
        // What is under way is answered, even if no more is sent.
        () = &mut writer => reader.await,
        () = &mut reader => {}
    }
}
