//! Sends and receives heartbeats, in a thread of its own: an agent that is busy with routes does not fall silent.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::watch;

use super::ignored::Ignored;
use super::peers::{Peers, State, Told};
use super::wire::{Heartbeat, MAX};
use super::{Keys, Pace};
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
}

/// Heartbeats that are sent and received until this is dropped.
#[derive(Debug)]
pub struct Beats {
    wanted: watch::Sender<Wanted>,
    heard: watch::Receiver<Heard>,
    ignored: watch::Receiver<String>,
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
    /// Begins, without peers.
    ///
    /// # Errors
    ///
    /// If the address and port cannot be bound, or there is no key.
    pub fn start(
        (me, instance): (Name, u64),
        (address, port): (Ipv6Addr, u16),
        pace: Pace,
        keys: Keys,
    ) -> io::Result<Self> {
        if keys.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no key is given"));
        }
        let socket = UdpSocket::bind((address, port))?;
        let (wanted, wants) = watch::channel(Wanted::default());
        let (hears, heard) = watch::channel(Heard::default());
        let (tells, ignored) = watch::channel(String::new());
        let worker = Worker {
            socket,
            port,
            peers: Peers::new(me, instance, pace),
            pace,
            keys,
            wants,
            hears,
            began: Instant::now(),
            ignored: Ignored::default(),
            tells,
        };
        std::thread::Builder::new()
            .name("heartbeats".to_owned())
            .spawn(move || worker.run())?;
        Ok(Self { wanted, heard, ignored })
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

    /// Follows what people are told of heartbeats that are ignored: at most once a minute, whatever is sent.
    #[must_use]
    pub fn ignored(&self) -> watch::Receiver<String> {
        self.ignored.clone()
    }
}

struct Worker {
    socket: UdpSocket,
    port: u16,
    peers: Peers,
    pace: Pace,
    keys: Keys,
    wants: watch::Receiver<Wanted>,
    hears: watch::Sender<Heard>,
    began: Instant,
    ignored: Ignored,
    tells: watch::Sender<String>,
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
            let pause = due.saturating_duration_since(Instant::now()).min(self.pace.interval);
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
        if late > self.pace.interval {
            self.peers.excuse(now);
        }
        if self.peers.judge(now) {
            self.publish();
        }
        if let Err(error) = self.keys.look(now) {
            self.tells
                .send_replace(format!("--heartbeat-key {error}; the key that it had stays"));
        }
        if let Some(text) = self.ignored.due(now) {
            self.tells.send_replace(text);
        }
        let Some(signs) = self.keys.signs() else { return };
        for (address, beat) in self.peers.beats() {
            // A network that is gone comes back, or peers notice.
            let _ = self.socket.send_to(&beat.encode(signs), (address, self.port));
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
        match Heartbeat::decode(buffer.get(..length).unwrap_or_default(), self.keys.accepted()) {
            Ok(beat) => {
                if self.peers.receive(from, beat, self.began.elapsed()) == Ok(true) {
                    self.publish();
                }
            }
            Err(error) => self.ignored.note(from, error),
        }
        Some(true)
    }

    fn publish(&self) {
        let heard = Heard {
            peers: self.peers.states(),
        };
        self.hears.send_if_modified(|before| {
            let changed = *before != heard;
            *before = heard;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Key, Standing};
    use super::*;

    #[tokio::test]
    async fn what_anybody_sends_from_a_peers_address_is_told_and_changes_nothing() {
        let free = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let name = |text| Name::new(text).expect("a name");
        let keys = Keys::fixed([Key::new(&[1; 32])]);
        let here = (Ipv6Addr::LOCALHOST, port);
        let beats = Beats::start((name("a"), 1), here, Pace::default(), keys).expect("a socket");
        let (mut heard, mut ignored) = (beats.heard(), beats.ignored());
        let peer = Told {
            address: Ipv6Addr::LOCALHOST,
            sets: BTreeMap::new(),
        };
        beats.tell([(name("b"), peer)].into());
        heard.changed().await.expect("a peer");
        heard.borrow_and_update();

        let spoofed = Heartbeat {
            from: name("b"),
            to: name("a"),
            instance: 7,
            sequence: 1,
            heard: None,
            // It is not lost while this test looks.
            interval: u16::MAX,
            leaving: false,
            sets: BTreeMap::new(),
        };
        let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a socket");
        let (mut signed, key) = (spoofed.encode(&Key::new(&[2; 32])), Key::new(&[1; 32]));
        let send = |bytes: &[u8]| socket.send_to(bytes, (Ipv6Addr::LOCALHOST, port)).expect("sent");
        for version in 0..16 {
            signed[4] = version;
            send(&signed);
        }
        ignored.changed().await.expect("a word");
        let told = ignored.borrow_and_update().clone();
        assert!(told.ends_with("from ::1, was made with another key"), "{told}");
        // One that may be believed comes after all of these: what is known changes by it, and has not by them.
        let unheard = |heard: &Heard| heard.peers[&name("b")].standing == Standing::Unheard;
        assert!(!heard.has_changed().expect("a thread") || unheard(&heard.borrow()));
        for version in 0..16 {
            signed[4] = version;
            send(&signed);
        }
        // It has to name a heartbeat of late, and this test may be slow.
        for sequence in (1..=1000).step_by(20) {
            let last = Heartbeat {
                sequence,
                heard: Some(super::super::wire::Heard { instance: 1, sequence }),
                ..spoofed.clone()
            };
            send(&last.encode(&key));
        }
        let alive = |heard: &Heard| heard.peers[&name("b")].standing == Standing::Alive;
        heard.wait_for(alive).await.expect("a thread");
        assert!(!ignored.has_changed().expect("a thread"), "two words in a minute");
    }
}
