//! The bytes of a heartbeat.
//!
//! ```text
//!  0        4         5       6          8          16         24          32          40      41         42
//!  +--------+---------+-------+----------+----------+----------+-----------+-----------+-------+----------+
//!  | "SSAH" | version | flags | interval | instance | sequence | heard     | heard     | sets  | reserved |
//!  |        | 1       |       | in ms    |          |          | instance  | sequence  | 0..16 | 0        |
//!  +--------+---------+-------+----------+----------+----------+-----------+-----------+-------+----------+
//!  | for each set, in ascending order: its number (8), its state (1)                                      |
//!  | length (1) and name of the sender; length (1) and name of the recipient                              |
//!  | HMAC-SHA-256 of all that precedes (32)                                                               |
//!  +------------------------------------------------------------------------------------------------------+
//! ```
//!
//! Numbers are in network byte order. Flags: 1, the sender stops; 2, it has heard the recipient, and says what last. State:
//! 1, the sender has taken over what the recipient owns; 2, the sender has rejoined; 4, the sender is not ready to serve.
//! Everything else is 0. A heartbeat has
//! one form: what is read and written again is the same bytes.

use std::collections::BTreeMap;

use ring::{digest, hmac};

use super::Key;
use crate::objects::{MAX_ENDPOINT_SETS, Name};

/// What every heartbeat begins with.
const MAGIC: [u8; 4] = *b"SSAH";
/// The one version.
pub const VERSION: u8 = 1;
/// The length of what stands before the sets.
const HEAD: usize = 42;
const MAC: usize = 32;
const LEAVING: u8 = 1;
const HEARD: u8 = 2;
const TAKEN: u8 = 1;
const REJOINED: u8 = 2;
const UNREADY: u8 = 4;
/// The longest heartbeat: it is smaller than what every link of IPv6 carries.
pub const MAX: usize = HEAD + MAX_ENDPOINT_SETS * 9 + 2 * (1 + Name::MAX) + MAC;

/// Numbers a slice set: the first bytes of the SHA-256 of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(u64);

impl SetId {
    /// Returns the number of a set.
    #[must_use]
    pub fn of(set: &Name) -> Self {
        let whole = digest::digest(&digest::SHA256, set.as_str().as_bytes());
        let first = whole.as_ref().first_chunk::<8>();
        Self(first.map_or(0, |bytes| u64::from_be_bytes(*bytes)))
    }
}

/// What the sender says of one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SetState {
    /// It has taken over what the recipient owns.
    pub taken: bool,
    /// It has lost its flows and routes, and waits for what it owns to be given to others.
    pub rejoined: bool,
    /// It is not ready to serve, and announces nothing.
    pub unready: bool,
}

impl SetState {
    fn bits(self) -> u8 {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        bit(self.taken, TAKEN) | bit(self.rejoined, REJOINED) | bit(self.unready, UNREADY)
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !(TAKEN | REJOINED | UNREADY) != 0 {
            return None;
        }
        Some(Self {
            taken: bits & TAKEN != 0,
            rejoined: bits & REJOINED != 0,
            unready: bits & UNREADY != 0,
        })
    }
}

/// What was heard last of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Heard {
    /// The run.
    pub instance: u64,
    /// The heartbeat.
    pub sequence: u64,
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The endpoint that sends it.
    pub from: Name,
    /// The endpoint that it is for.
    pub to: Name,
    /// The run of the sender: another one after each start.
    pub instance: u64,
    /// Counts the sender's heartbeats, from 1.
    pub sequence: u64,
    /// What the sender has heard of the recipient last.
    pub heard: Option<Heard>,
    /// In how many milliseconds the next one follows.
    pub interval: u16,
    /// The sender stops: its silence means nothing.
    pub leaving: bool,
    /// What there is to say of sets; what is not here is as by default.
    pub sets: BTreeMap<SetId, SetState>,
}

/// Bytes are no heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It is something else.
    #[error("is no heartbeat")]
    Foreign,
    /// Another version of heartbeats.
    #[error("is of version {0}; only version 1 is spoken")]
    Version(u8),
    /// The MAC is not of one of the keys.
    #[error("was made with another key")]
    Mac,
    /// The named part is not as it must be.
    #[error("{0} is malformed")]
    Form(&'static str),
}

impl Heartbeat {
    /// Writes it, with a MAC.
    #[must_use]
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let mut bytes = self.body();
        let mac = hmac::sign(&key.0, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        bytes
    }

    /// Writes it without a MAC. Sets past the most that there may be are left out.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX);
        bytes.extend_from_slice(&MAGIC);
        let heard = self.heard.map_or(0, |_| HEARD);
        bytes.extend_from_slice(&[VERSION, heard | if self.leaving { LEAVING } else { 0 }]);
        bytes.extend_from_slice(&self.interval.to_be_bytes());
        let (instance, sequence) = self.heard.map_or((0, 0), |heard| (heard.instance, heard.sequence));
        for number in [self.instance, self.sequence, instance, sequence] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        let sets = || self.sets.iter().take(MAX_ENDPOINT_SETS);
        bytes.extend_from_slice(&[u8::try_from(sets().count()).unwrap_or(0), 0]);
        for (set, state) in sets() {
            bytes.extend_from_slice(&set.0.to_be_bytes());
            bytes.push(state.bits());
        }
        for name in [&self.from, &self.to] {
            bytes.push(u8::try_from(name.as_str().len()).unwrap_or(0));
            bytes.extend_from_slice(name.as_str().as_bytes());
        }
        bytes
    }

    /// Reads a datagram whose MAC is of one of the keys.
    ///
    /// # Errors
    ///
    /// [`WireError`]: nothing is read of what nobody with a key has made.
    pub fn decode(datagram: &[u8], keys: &[Key]) -> Result<Self, WireError> {
        if datagram.len() > MAX {
            return Err(WireError::Foreign);
        }
        let (body, mac) = datagram.split_last_chunk::<MAC>().ok_or(WireError::Foreign)?;
        // Nothing but what every version begins with comes before the MAC: the version is the sender's word, too.
        if !body.starts_with(&MAGIC) {
            return Err(WireError::Foreign);
        }
        if !keys.iter().any(|key| hmac::verify(&key.0, body, mac).is_ok()) {
            return Err(WireError::Mac);
        }
        Self::parse(body)
    }

    /// Reads what stands before the MAC.
    ///
    /// # Errors
    ///
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        version(body)?;
        let mut rest = Rest(body.get(5..).unwrap_or_default());
        let flags = rest.byte("the flags")?;
        if flags & !(LEAVING | HEARD) != 0 {
            return Err(WireError::Form("the flags"));
        }
        let interval = u16::from_be_bytes(rest.chunk("the interval")?);
        if interval == 0 {
            return Err(WireError::Form("the interval"));
        }
        let instance = rest.number("the instance")?;
        let sequence = rest.number("the sequence number")?;
        let heard = Heard {
            instance: rest.number("what was heard")?,
            sequence: rest.number("what was heard")?,
        };
        let has_heard = flags & HEARD != 0;
        if !has_heard && (heard.instance, heard.sequence) != (0, 0) {
            return Err(WireError::Form("what was heard"));
        }
        let count = usize::from(rest.byte("the number of sets")?);
        if count > MAX_ENDPOINT_SETS || rest.byte("the number of sets")? != 0 {
            return Err(WireError::Form("the number of sets"));
        }
        let mut sets = BTreeMap::new();
        for _ in 0..count {
            let set = SetId(rest.number("a set")?);
            let state = SetState::from_bits(rest.byte("a set")?).ok_or(WireError::Form("a set"))?;
            if sets.last_key_value().is_some_and(|(last, _)| *last >= set) {
                return Err(WireError::Form("a set"));
            }
            sets.insert(set, state);
        }
        let from = rest.name("the sender")?;
        let to = rest.name("the recipient")?;
        if !rest.0.is_empty() {
            return Err(WireError::Form("the end"));
        }
        Ok(Self {
            from,
            to,
            instance,
            sequence,
            heard: has_heard.then_some(heard),
            interval,
            leaving: flags & LEAVING != 0,
            sets,
        })
    }
}

fn version(body: &[u8]) -> Result<(), WireError> {
    match body.split_first_chunk::<4>() {
        Some((magic, [VERSION, ..])) if *magic == MAGIC => Ok(()),
        Some((magic, [other, ..])) if *magic == MAGIC => Err(WireError::Version(*other)),
        _ => Err(WireError::Foreign),
    }
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn chunk<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Form(what))?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.chunk(what).map(|[byte]| byte)
    }

    fn number(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.chunk(what).map(u64::from_be_bytes)
    }

    fn name(&mut self, what: &'static str) -> Result<Name, WireError> {
        let length = usize::from(self.byte(what)?);
        let (text, rest) = self.0.split_at_checked(length).ok_or(WireError::Form(what))?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| WireError::Form(what))?;
        Name::new(text).map_err(|_| WireError::Form(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn one() -> Heartbeat {
        let state = |bits| SetState::from_bits(bits).expect("known bits");
        Heartbeat {
            from: name("a"),
            to: name("b.example"),
            instance: u64::MAX,
            sequence: 7,
            heard: Some(Heard {
                instance: 3,
                sequence: 4,
            }),
            interval: 50,
            leaving: true,
            sets: [(SetId(1), state(TAKEN)), (SetId(2), state(REJOINED | UNREADY))].into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let (key, other) = (Key::new(&[1; 32]), Key::new(&[2; 32]));
        let plain = Heartbeat {
            heard: None,
            leaving: false,
            sets: BTreeMap::new(),
            ..one()
        };
        for beat in [one(), plain] {
            let bytes = beat.encode(&key);
            assert_eq!(Heartbeat::decode(&bytes, &[other.clone(), key.clone()]), Ok(beat));
            assert_eq!(
                Heartbeat::decode(&bytes, std::slice::from_ref(&other)),
                Err(WireError::Mac)
            );
            assert_eq!(Heartbeat::decode(&bytes, &[]), Err(WireError::Mac));
        }
    }

    #[test]
    fn nothing_is_believed_without_a_mac_not_even_the_version() {
        let (key, other) = (Key::new(&[1; 32]), Key::new(&[2; 32]));
        for (place, byte, wrong) in [
            (4, 2, WireError::Version(2)),
            (5, 4, WireError::Form("the flags")),
            (40, 17, WireError::Form("the number of sets")),
        ] {
            let mut bytes = one().body();
            bytes[place] = byte;
            for (key, expected) in [(&key, wrong), (&other, WireError::Mac)] {
                let mac = hmac::sign(&key.0, &bytes);
                let sent = [bytes.as_slice(), mac.as_ref()].concat();
                let read = Heartbeat::decode(&sent, &[Key::new(&[1; 32])]);
                assert_eq!(read, Err(expected), "byte {place} is {byte}");
            }
        }
        assert_eq!(Heartbeat::decode(&[b'x'; 100], &[key]), Err(WireError::Foreign));
    }

    #[test]
    fn no_bit_may_change() {
        let key = Key::new(&[1; 32]);
        let good = one().encode(&key);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Heartbeat::decode(&bytes, std::slice::from_ref(&key)).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..good.len() {
            assert!(
                Heartbeat::decode(&good[..length], std::slice::from_ref(&key)).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn the_largest_is_read_and_one_form_alone() {
        let long = "a".repeat(Name::MAX.min(63));
        let long = [long.as_str(); 4].join(".");
        let long = long.get(..Name::MAX).unwrap_or(&long);
        let most = Heartbeat {
            from: name(long),
            to: name(long),
            sets: (0..16).map(|set| (SetId(set), SetState::default())).collect(),
            ..one()
        };
        let body = most.body();
        assert!(body.len() + 32 <= MAX && MAX <= 1232, "{} of {MAX}", body.len());
        assert_eq!(Heartbeat::parse(&body).as_ref(), Ok(&most));
        let body = one().body();
        for (place, byte, wrong) in [
            (4, 2, WireError::Version(2)),
            (0, b'T', WireError::Foreign),
            (5, 4, WireError::Form("the flags")),
            (5, 1, WireError::Form("what was heard")),
            (40, 17, WireError::Form("the number of sets")),
            (41, 1, WireError::Form("the number of sets")),
            (49, 3, WireError::Form("a set")),
            (50, 8, WireError::Form("a set")),
            (60, 0, WireError::Form("the sender")),
            (61, b'_', WireError::Form("the sender")),
        ] {
            let mut bytes = body.clone();
            bytes[place] = byte;
            assert_eq!(Heartbeat::parse(&bytes), Err(wrong), "byte {place} is {byte}");
        }
        let mut longer = body;
        longer.push(0);
        assert_eq!(Heartbeat::parse(&longer), Err(WireError::Form("the end")));
    }
}
