//! Sends and receives heartbeats, in a thread of its own: an agent that is busy with routes does not fall silent.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;

use super::peers::{Peers, State, Told};
use super::wire::{Heartbeat, MAX, WireError};
use super::{INTERVAL, Key};
use crate::objects::Name;

/// The most datagrams that are looked at between two heartbeats; others are dropped.
const MOST: usize = 4096;

/// The nice value of the thread: it has little to do, and that at once.
const PRIORITY: i32 = -20;

/// Who the peers are and what they are told.
pub type Wanted = Arc<BTreeMap<Name, Told>>;

/// What is known of peers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// How it is with each peer.
    pub peers: BTreeMap<Name, State>,
    /// What is wrong, for people: the last of a kind.
    pub trouble: Option<String>,
}

/// Heartbeats that are sent and received until this is dropped.
#[derive(Debug)]
pub struct Beats {
    wanted: watch::Sender<Wanted>,
    heard: watch::Receiver<Heard>,
}

/// Draws a number for a run.
///
/// # Errors
///
/// If the system has no random numbers.
pub fn instance() -> io::Result<u64> {
    let mut bytes = [0; 8];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(u64::from_be_bytes(bytes))
}

impl Beats {
    /// Begins, without peers. The first key signs, and all are accepted.
    ///
    /// # Errors
    ///
    /// If the address and port cannot be bound, or there is no key.
    pub fn start(me: Name, instance: u64, address: Ipv6Addr, port: u16, keys: Vec<Key>) -> io::Result<Self> {
        let first = keys.first().cloned();
        let signs = first.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no key is given"))?;
        let socket = UdpSocket::bind((address, port))?;
        let (wanted, wants) = watch::channel(Wanted::default());
        let (hears, heard) = watch::channel(Heard::default());
        let worker = Worker {
            socket,
            port,
            peers: Peers::new(me, instance),
            signs,
            keys,
            wants,
            hears,
            began: Instant::now(),
            trouble: None,
        };
        std::thread::Builder::new()
            .name("heartbeats".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self { wanted, heard })
    }

    /// Says who the peers are and what they are told.
    pub fn tell(&self, wanted: BTreeMap<Name, Told>) {
        self.wanted.send_if_modified(|before| {
            let changed = **before != wanted;
            if changed {
                *before = Arc::new(wanted);
            }
            changed
        });
    }

    /// Follows what is known of peers.
    #[must_use]
    pub fn heard(&self) -> watch::Receiver<Heard> {
        self.heard.clone()
    }
}

struct Worker {
    socket: UdpSocket,
    port: u16,
    peers: Peers,
    signs: Key,
    keys: Vec<Key>,
    wants: watch::Receiver<Wanted>,
    hears: watch::Sender<Heard>,
    began: Instant,
    trouble: Option<String>,
}

impl Worker {
    fn run(mut self) {
        // Of this thread alone, on Linux. Where it is not allowed, a busy machine may raise false alarms at its peers.
        let _ = rustix::process::setpriority_process(None, PRIORITY);
        let mut due = Instant::now();
        let mut left = MOST;
        // One without an agent ends with it.
        while let Ok(is_new) = self.wants.has_changed() {
            if is_new {
                let wanted = self.wants.borrow_and_update().clone();
                self.peers.tell(&wanted, self.began.elapsed());
                self.publish();
            }
            let now = Instant::now();
            if now >= due {
                self.turn(now.saturating_duration_since(due));
                (due, left) = (now + self.peers.interval(), MOST);
            }
            // What changes is looked for now and then, however many peers there are.
            let pause = due.saturating_duration_since(Instant::now()).min(INTERVAL);
            if left == 0 {
                std::thread::park_timeout(pause);
            } else if self
                .socket
                .set_read_timeout(Some(pause.max(Duration::from_micros(1))))
                .is_ok()
                && self.take() == Some(true)
            {
                left -= 1;
            }
        }
    }

    /// What is due every interval.
    fn turn(&mut self, late: Duration) {
        // What has come by now is heard before anybody is judged.
        if self.socket.set_nonblocking(true).is_ok() {
            for _ in 0..MOST {
                if self.take() != Some(true) {
                    break;
                }
            }
            let _ = self.socket.set_nonblocking(false);
        }
        let now = self.began.elapsed();
        if late > INTERVAL {
            self.peers.excuse(now);
        }
        if self.peers.judge(now) {
            self.publish();
        }
        for (address, beat) in self.peers.beats() {
            // A network that is gone comes back, or peers notice.
            let _ = self.socket.send_to(&beat.encode(&self.signs), (address, self.port));
        }
    }

    /// Takes a datagram, if there is one.
    fn take(&mut self) -> Option<bool> {
        // One byte more than a heartbeat has: what is longer is none.
        let mut buffer = [0; MAX + 1];
        let (length, from) = match self.socket.recv_from(&mut buffer) {
            Ok((length, SocketAddr::V6(from))) => (length, *from.ip()),
            // Such as that nobody listens at a peer's port.
            Ok(_) => return Some(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return None,
            Err(_) => return Some(false),
        };
        // No MAC is computed for just anybody.
        if !self.peers.has(from) {
            return Some(true);
        }
        match Heartbeat::decode(buffer.get(..length).unwrap_or_default(), &self.keys) {
            Ok(beat) => {
                if self.peers.receive(from, beat, self.began.elapsed()) == Ok(true) {
                    self.publish();
                }
            }
            Err(WireError::Foreign) => {}
            Err(error) => {
                let trouble = format!("a heartbeat from {} {error}", IpAddr::V6(from));
                if self.trouble.as_ref() != Some(&trouble) {
                    self.trouble = Some(trouble);
                    self.publish();
                }
            }
        }
        Some(true)
    }

    fn publish(&self) {
        let heard = Heard {
            peers: self.peers.states(),
            trouble: self.trouble.clone(),
        };
        self.hears.send_if_modified(|before| {
            let changed = *before != heard;
            *before = heard;
            changed
        });
    }
}
