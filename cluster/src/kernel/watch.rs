//! Watches for changes that others make to what is set here.
//!
//! The kernel tells of changes of routes, rules, links and addresses, and by whom. Of rulesets it has a number that
//! changes with each of them, and of forwarding it tells by the file alone: both are read every [`PULSE`].

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket as _, SocketAddr, TokioSocket};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::nft::Generation;
use super::{Error, PROTOCOL, forwarding};

/// How often it is looked at what the kernel does not tell of.
const PULSE: Duration = Duration::from_millis(250);
/// Changes are seldom alone: how long more of them are waited for.
const GATHER: Duration = Duration::from_millis(20);
/// The least time between two looks at everything, however often somebody meddles.
const REST: Duration = Duration::from_millis(200);
/// The longest notification, in bytes.
const ROOM: usize = 1 << 15;
/// The room for notifications that wait, in bytes. If it is too little everything is looked at again.
const BUFFER: usize = 8 << 20;

// Groups of notifications, and kinds of messages, as in `linux/rtnetlink.h`.
const GROUP_LINK: u32 = 1;
const GROUP_ADDRESS: u32 = 9;
const GROUP_ROUTE: u32 = 11;
const GROUP_RULE: u32 = 19;
const LINKS: std::ops::RangeInclusive<u16> = 16..=19;
const ADDRESSES: std::ops::RangeInclusive<u16> = 20..=22;
const ROUTES: std::ops::RangeInclusive<u16> = 24..=26;
const RULES: std::ops::RangeInclusive<u16> = 32..=34;
const IFLA_IFNAME: u16 = 3;
const RTA_TABLE: u16 = 15;

/// What may no longer be as it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dirty(u8);

impl Dirty {
    pub(super) const ROUTES: Self = Self(1);
    pub(super) const RULES: Self = Self(2);
    pub(super) const LINKS: Self = Self(4);
    pub(super) const RULESET: Self = Self(8);
    pub(super) const FORWARDING: Self = Self(16);

    pub(super) const NONE: Self = Self(0);

    /// Returns what either has.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Says whether it has something of the other.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// The tables of routes in which only ours may be.
    pub(super) own_tables: &'static [u32],
    /// Tables in which others have routes beside ours.
    pub(super) shared_tables: &'static [u32],
    /// The names of links, or none for all.
    pub(super) links: Option<Vec<String>>,
    /// The numbers by which the kernel tells our own changes.
    pub(super) own: Vec<u32>,
}

#[derive(Debug, Default)]
struct Shared {
    dirty: AtomicU8,
    notify: Notify,
    /// The generation of rulesets that was looked at last, and one bit that says that there is one.
    generation: AtomicU64,
}

impl Shared {
    fn mark(&self, dirty: Dirty) {
        self.dirty.fetch_or(dirty.0, Ordering::Relaxed);
    }
}

/// A task that watches.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    generation: Generation,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Begins to watch. Nothing is known yet: everything is dirty.
    pub(super) fn start(watched: Watched) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        shared.mark(Dirty(u8::MAX));
        let socket = listen().map_err(Error::Socket)?;
        let pulse = Generation::open().map_err(Error::Socket)?;
        let task = tokio::spawn(watch(Arc::clone(&shared), socket, pulse, watched));
        Ok(Self {
            shared,
            generation: Generation::open().map_err(Error::Socket)?,
            task,
        })
    }

    /// Returns what may have changed since it was last asked.
    pub(super) fn take(&self) -> Dirty {
        Dirty(self.shared.dirty.swap(0, Ordering::Relaxed))
    }

    /// Reads the generation of rulesets.
    pub(super) fn generation(&self) -> Result<u32, Error> {
        self.generation.read().map_err(Error::Socket)
    }

    /// Notes that our table is as it shall be, after some changes of ours; if there were others in between, it has to be
    /// looked at again.
    pub(super) fn ruleset_settled(&self, before: u32, commits: u32) -> Result<(), Error> {
        let now = self.generation()?;
        let known = if now.wrapping_sub(before) == commits {
            now
        } else {
            before
        };
        self.shared.generation.store(some(known), Ordering::Relaxed);
        Ok(())
    }

    /// Says whether our table was as it shall be in this generation of rulesets.
    pub(super) fn is_ruleset_known(&self, generation: u32) -> bool {
        self.shared.generation.load(Ordering::Relaxed) == some(generation)
    }

    /// Waits until something may have changed.
    pub(super) async fn disturbed(&self) {
        self.shared.notify.notified().await;
    }
}

/// A generation that is known: 0 is none.
fn some(generation: u32) -> u64 {
    u64::from(generation) | 1 << 32
}

fn listen() -> io::Result<TokioSocket> {
    let mut listener = TokioSocket::new(NETLINK_ROUTE)?;
    let socket = listener.socket_mut();
    // More than an ordinary socket may have is for those with privileges in the first user namespace.
    if set_socket_recv_buffer_size_force(&*socket, BUFFER).is_err() {
        socket.set_rx_buf_sz(u32::try_from(BUFFER).unwrap_or(u32::MAX))?;
    }
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in [GROUP_LINK, GROUP_ADDRESS, GROUP_ROUTE, GROUP_RULE] {
        socket.add_membership(group)?;
    }
    Ok(listener)
}

async fn watch(shared: Arc<Shared>, socket: TokioSocket, generation: Generation, watched: Watched) {
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = Vec::with_capacity(ROOM);
    let mut due: Option<Instant> = None;
    let mut last: Option<Instant> = None;
    let mut was_on = true;
    loop {
        tokio::select! {
            read = poll_fn(|context| { buffer.clear(); socket.poll_recv(context, &mut buffer) }) => match read {
                Ok(()) => read_all(&buffer, &watched, &shared),
                // The kernel had more to tell than there was room for.
                Err(_) => shared.mark(Dirty(u8::MAX)),
            },
            _ = pulse.tick() => {
                let known = shared.generation.load(Ordering::Relaxed);
                if known != 0 && generation.read().ok().map(some) != Some(known) {
                    shared.mark(Dirty::RULESET);
                }
                // Told once: whoever cannot turn it on tries again in a while of its own.
                let on = forwarding::is_on();
                if was_on && !on {
                    shared.mark(Dirty::FORWARDING);
                }
                was_on = on;
            }
            () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {
                due = None;
                last = Some(Instant::now());
                shared.notify.notify_one();
            }
        }
        if due.is_none() && shared.dirty.load(Ordering::Relaxed) != 0 {
            let now = Instant::now();
            due = Some(last.map_or(now, |last| last + REST).max(now + GATHER));
        }
    }
}

/// Looks at all messages of a datagram.
fn read_all(mut bytes: &[u8], watched: &Watched, shared: &Shared) {
    // Length, kind, flags, sequence, port; then what the kind has.
    while let Some(length) = number(bytes, 0).and_then(|length| usize::try_from(length).ok()) {
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= 16) else {
            return;
        };
        let own = number(message, 12).is_some_and(|port| watched.own.contains(&port));
        if !own && let Some(dirty) = judge(message, watched) {
            shared.mark(dirty);
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Says what a change by somebody else makes dirty.
fn judge(message: &[u8], watched: &Watched) -> Option<Dirty> {
    let kind = u16::from_ne_bytes([*message.get(4)?, *message.get(5)?]);
    let content = message.get(16..)?;
    if RULES.contains(&kind) {
        return Some(Dirty::RULES);
    }
    if ADDRESSES.contains(&kind) {
        return watched.links.is_some().then_some(Dirty::LINKS);
    }
    if LINKS.contains(&kind) {
        let both = Dirty::LINKS.and(Dirty::ROUTES);
        let Some(names) = &watched.links else { return Some(both) };
        let name = attribute(content.get(16..)?, IFLA_IFNAME)?;
        let name = name.split(|byte| *byte == 0).next()?;
        return names.iter().any(|one| one.as_bytes() == name).then_some(both);
    }
    if ROUTES.contains(&kind) {
        let (short, protocol) = (*content.get(4)?, *content.get(5)?);
        let table = match attribute(content.get(12..)?, RTA_TABLE) {
            Some(table) => number(table, 0)?,
            None => u32::from(short),
        };
        let ours =
            watched.own_tables.contains(&table) || (protocol == PROTOCOL && watched.shared_tables.contains(&table));
        return ours.then_some(Dirty::ROUTES);
    }
    None
}

/// Finds an attribute.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]);
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}
