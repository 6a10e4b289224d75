//! The client's choice: of what a rule leaves open, the item, the source, the replica and the random bits that a
//! connection gets (docs/spec.md §3.5).
//!
//! ```
//! use ssa_rules::{
//!     AddressSpace, Apl, Key, Record, Rule,
//!     choice::{Candidate, Choice, Connection, Sources},
//! };
//!
//! let record: Record = "v=ssa1; addr=hash(src/128):20 const(0):44; replicas=2".parse()?;
//! let apl: Apl = "2:2001:db8:5::/64".parse()?;
//! let rule = Rule::prepare(&record, AddressSpace::new(&apl)?.as_ref(), &Key::None)?;
//!
//! let connection = Connection::default();
//! let sources = Sources::all("2001:db8:77:1::7".parse()?);
//! let choose = |failed: &[Candidate]| {
//!     let random = &mut || 0x0123_4567_89ab_cdef;
//!     match rule.choose(&connection, &sources, &failed.iter().copied(), random) {
//!         Ok(Choice::Chosen(chosen)) => Ok(chosen.candidate),
//!         Ok(Choice::Work(_)) => unreachable!("the rule asks for no proof of work"),
//!         Err(error) => Err(error),
//!     }
//! };
//! let first = choose(&[])?;
//! let second = choose(&[first])?; // the other replica, now that the first one failed
//! assert_ne!(first.replica, second.replica);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use core::net::Ipv6Addr;

use ipnet::Ipv6Net;

use crate::{
    apl::MAX_ITEMS,
    rule::{ComposeError, ItemIndex, ItemSet, Progress, Request, Rule, Search},
    types::{Chunk, Destination, Port, Replica, Source, UnixTime},
};

/// How many draws of random bits are made at most for an address that has not failed.
pub const MAX_DRAWS: u32 = 8;

/// The longest slices, in bits after the item: where inputs decide this many bits before the first random one, random
/// bits choose no slice.
pub const MAX_SLICE_BITS: u32 = 16;

/// A source of random bits, in draws: an address is made of one draw.
///
/// A function that returns 64 random bits a call is one whose draws are all alike.
pub trait RandomBits {
    /// Returns the next 64 bits of the draw.
    fn bits(&mut self) -> u64;

    /// Begins another draw: the address made of the one before has failed.
    fn redraw(&mut self) {}
}

impl<F: FnMut() -> u64> RandomBits for F {
    fn bits(&mut self) -> u64 {
        self()
    }
}

/// A connection about to be opened: what its address may depend on, apart from its source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection<'a> {
    /// The object key, bytes exactly as the application names it.
    pub object: Option<&'a [u8]>,
    /// The chunk number.
    pub chunk: Option<Chunk>,
    /// The destination port.
    pub port: Option<Port>,
    /// The time.
    pub time: Option<UnixTime>,
}

impl<'a> Connection<'a> {
    fn request(&self, source: Ipv6Addr, replica: Replica) -> Request<'a> {
        Request {
            source: Source(source),
            object: self.object,
            chunk: self.chunk,
            port: self.port,
            time: self.time,
            replica,
        }
    }
}

/// The source that connections to an item really use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemSource {
    /// The item.
    pub item: Ipv6Net,
    /// The source.
    pub source: Ipv6Addr,
}

/// The sources that a client's connections really use. An item without one cannot be reached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// The source of each item that has its own.
    pub by_item: &'a [ItemSource],
    /// The source of all other items.
    pub default: Option<Ipv6Addr>,
}

impl Sources<'static> {
    /// Makes the sources of a client that has one for all items.
    #[must_use]
    pub const fn all(source: Ipv6Addr) -> Self {
        Self {
            by_item: &[],
            default: Some(source),
        }
    }
}

impl Sources<'_> {
    fn of(&self, item: Ipv6Net) -> Option<Ipv6Addr> {
        let own = self.by_item.iter().find(|own| own.item == item);
        own.map(|own| own.source).or(self.default)
    }

    fn iter(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.by_item.iter().map(|own| own.source).chain(self.default)
    }
}

/// An address to connect to, and how it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The item.
    pub item: ItemIndex,
    /// The replica.
    pub replica: Replica,
    /// The address.
    pub address: Destination,
}

/// A candidate that is ready to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The candidate.
    pub candidate: Candidate,
    /// The source that the connection has to use.
    pub source: Ipv6Addr,
}

/// A candidate that lacks its proof of work. It is plain data: it can be put away between two calls of
/// [`Rule::resume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    source: Ipv6Addr,
    replica: Replica,
    search: Search,
}

impl Work {
    fn chosen(&self, address: Destination) -> Chosen {
        Chosen {
            candidate: Candidate {
                item: self.search.item(),
                replica: self.replica,
                address,
            },
            source: self.source,
        }
    }
}

/// What a client has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The address is ready.
    Chosen(Chosen),
    /// The address lacks its proof of work: [`Rule::resume`] finds one.
    Work(Work),
}

/// The replicas that failed of late: bit r for replica r, item by item.
struct FailedReplicas([u16; MAX_ITEMS]);

impl FailedReplicas {
    fn new(failed: impl Iterator<Item = Candidate>) -> Self {
        let mut replicas = [0_u16; MAX_ITEMS];
        for candidate in failed {
            if let Some(replicas) = replicas.get_mut(usize::from(candidate.item.get())) {
                *replicas |= bit(candidate.replica.0);
            }
        }
        Self(replicas)
    }

    fn contains(&self, item: ItemIndex, replica: u8) -> bool {
        let replicas = self.0.get(usize::from(item.get())).copied().unwrap_or(0);
        replicas & bit(replica) != 0
    }
}

fn bit(replica: u8) -> u16 {
    1_u16.unbounded_shl(replica.into())
}

impl Rule {
    /// Returns whether random bits choose anything that spreads load: an item, a replica or a slice. Where they do not,
    /// every address more costs the host memory and brings nothing.
    #[must_use]
    pub fn spreads_at_random(&self) -> bool {
        let one_item = self.computes_item() || self.positive_items().nth(1).is_none();
        !one_item || self.replicas() > 1 || self.deciding_bits() < MAX_SLICE_BITS
    }

    /// Lists a candidate at no address for each replica but one, in every item: where they count as failed, that replica
    /// alone is chosen.
    pub fn other_replicas(&self, wanted: Replica) -> impl Iterator<Item = Candidate> + Clone {
        let others = (0..self.replicas()).filter(move |replica| *replica != wanted.0);
        others.flat_map(|replica| {
            self.positive_items().map(move |(item, _)| Candidate {
                item,
                replica: Replica(replica),
                address: Destination(Ipv6Addr::UNSPECIFIED),
            })
        })
    }

    /// Chooses an address for a connection. Candidates that `failed` of late are skipped where the rule leaves
    /// another choice; with a proof of work, only their items and replicas are.
    ///
    /// # Errors
    ///
    /// [`ComposeError`]: a client then falls back to a plain connection. [`ComposeError::NoItemLeft`] where no item can be
    /// reached.
    pub fn choose(
        &self,
        connection: &Connection<'_>,
        sources: &Sources<'_>,
        failed: &(impl Iterator<Item = Candidate> + Clone),
        random: &mut impl RandomBits,
    ) -> Result<Choice, ComposeError> {
        let replicas = FailedReplicas::new(failed.clone());
        let avoid = self.passed_over(sources, &replicas);
        let mut choice = self.draw_choice(connection, sources, &replicas, avoid, random)?;
        // Where the first bits are random each draw leads elsewhere; other rules choose among replicas and items.
        if self.leads_at_random() {
            for _ in 1..MAX_DRAWS {
                match choice {
                    Choice::Chosen(Chosen { candidate, .. })
                        if failed.clone().any(|other| other.address == candidate.address) => {}
                    _ => break,
                }
                random.redraw();
                choice = self.draw_choice(connection, sources, &replicas, avoid, random)?;
            }
        }
        Ok(choice)
    }

    /// Goes on with a proof of work for at most `tries` addresses; nothing while none is found. Rule and connection,
    /// its time included, must be those that the choice was made for.
    ///
    /// # Errors
    ///
    /// [`ComposeError::PowExhausted`] after 64·2ᵈ tries in all; otherwise what the connection lacks.
    pub fn resume(
        &self,
        work: &mut Work,
        connection: &Connection<'_>,
        tries: u32,
        random: &mut impl RandomBits,
    ) -> Result<Option<Chosen>, ComposeError> {
        let request = connection.request(work.source, work.replica);
        let progress = self.advance(&mut work.search, &request, tries, &mut || random.bits())?;
        Ok(match progress {
            Progress::More => None,
            Progress::Found(address) => Some(work.chosen(address)),
        })
    }

    /// Returns the items that are skipped: those that cannot be reached, and those of which every replica failed,
    /// unless nothing else can be reached.
    fn passed_over(&self, sources: &Sources<'_>, failed: &FailedReplicas) -> ItemSet {
        let add = |set: ItemSet, (item, _): (ItemIndex, Ipv6Net)| set.with(item);
        let unreachable = self
            .positive_items()
            .filter(|(_, prefix)| sources.of(*prefix).is_none());
        let unreachable = unreachable.fold(ItemSet::EMPTY, add);
        if self.leads_at_random() {
            return unreachable;
        }
        let spent = |item: ItemIndex| (0..self.replicas()).all(|replica| failed.contains(item, replica));
        let all = self
            .positive_items()
            .filter(|(item, _)| spent(*item))
            .fold(unreachable, add);
        if self.positive_items().all(|(item, _)| all.contains(item)) {
            unreachable
        } else {
            all
        }
    }

    /// Makes a choice of one draw.
    fn draw_choice(
        &self,
        connection: &Connection<'_>,
        sources: &Sources<'_>,
        failed: &FailedReplicas,
        passed_over: ItemSet,
        random: &mut impl RandomBits,
    ) -> Result<Choice, ComposeError> {
        let first = random.bits();
        let mut avoid = passed_over;
        loop {
            let (item, source) = match self.choose_reachable(connection, sources, avoid, random) {
                Err(ComposeError::NoItemLeft) if avoid != passed_over => return Err(ComposeError::NotInService),
                choice => choice?,
            };
            let replica = self.open_replica(first, |replica| failed.contains(item, replica));
            let request = connection.request(source, replica);
            let search = match self.search_in(item, &request, &mut || random.bits()) {
                Err(ComposeError::NotInService) if !self.computes_item() => {
                    avoid = avoid.with(item);
                    continue;
                }
                search => search?,
            };
            let work = Work {
                source,
                replica,
                search,
            };
            return Ok(if self.pow() == 0 {
                Choice::Chosen(work.chosen(search.candidate()))
            } else {
                Choice::Work(work)
            });
        }
    }

    /// Returns the first replica that has not failed, from one at random on; that one where all failed.
    fn open_replica(&self, first: u64, failed: impl Fn(u8) -> bool) -> Replica {
        let replicas = self.replicas();
        let from_first = (0..replicas).map(|step| {
            let replica = first.wrapping_add(step.into()).checked_rem(replicas.into());
            u8::try_from(replica.unwrap_or(0)).unwrap_or(0)
        });
        let mut open = from_first.clone().filter(|replica| !failed(*replica));
        Replica(open.next().or_else(|| from_first.clone().next()).unwrap_or(0))
    }

    /// Chooses an item, and the source that connections to it use.
    ///
    /// The choice may depend on the source, and the source on the choice: a pair is taken that agrees with itself.
    fn choose_reachable(
        &self,
        connection: &Connection<'_>,
        sources: &Sources<'_>,
        avoid: ItemSet,
        random: &mut impl RandomBits,
    ) -> Result<(ItemIndex, Ipv6Addr), ComposeError> {
        let source_of = |item: ItemIndex| {
            let (_, prefix) = self.positive_items().find(|(index, _)| *index == item)?;
            sources.of(prefix)
        };
        let mut chosen = Err(ComposeError::NoItemLeft);
        for source in sources.iter() {
            let request = connection.request(source, Replica(0));
            chosen = self.choose_item(&request, avoid, &mut || random.bits());
            if let Ok(item) = chosen
                && source_of(item) == Some(source)
            {
                return Ok((item, source));
            }
        }
        let item = chosen?;
        match source_of(item) {
            // A random item, or the one nearest to a source that does not reach it: both may be chosen.
            Some(source) if !self.computes_item() => Ok((item, source)),
            _ => Err(ComposeError::NoItemLeft),
        }
    }
}
