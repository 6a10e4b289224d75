//! Composing an address: what a client does (docs/spec.md §3).

use core::fmt;

use super::{
    Item, Progress, Rule, Search,
    context::{Context, object_number},
    field_kind, item_choice, key_kind,
};
use crate::{
    bits, hash,
    types::{Chunk, ClientKey, Destination, Port, Replica, Source, UnixTime},
};

/// How often random fields are drawn again where the address is not in the service.
const MAX_REDRAWS: u32 = 64;

/// What a client knows when it composes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The source that the connection will really use.
    pub source: Source,
    /// The object key, bytes exactly as the application names it.
    pub object: Option<&'a [u8]>,
    /// The chunk number.
    pub chunk: Option<Chunk>,
    /// The destination port.
    pub port: Option<Port>,
    /// The time.
    pub time: Option<UnixTime>,
    /// Which replica to compose.
    pub replica: Replica,
}

impl Request<'_> {
    /// Makes a request of a source alone, for replica 0.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            object: None,
            chunk: None,
            port: None,
            time: None,
            replica: Replica(0),
        }
    }
}

/// Why no address can be composed. A client then falls back to a plain connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComposeError {
    /// Inputs that the record needs are not given.
    Missing(Missing),
    /// The record has a mac, and its secret or the client's own key is not available.
    SecretMissing,
    /// The replica is not one of the record's.
    ReplicaOutOfRange {
        /// The replica asked for.
        replica: Replica,
        /// How many there are.
        replicas: u8,
    },
    /// The record takes the object key as a number, and it is none.
    ObjectNotNumeric,
    /// The object key is of 2³² bytes or more.
    ObjectTooLong,
    /// Every item is to be avoided.
    NoItemLeft,
    /// Every address drawn fell in a negated item, in every item tried.
    NotInService,
    /// No proof of work was found.
    PowExhausted {
        /// How many addresses were tried.
        tries: u64,
    },
    /// The rule's bytes were not made by [`Rule::prepare`].
    Corrupt,
}

/// Which inputs are needed and not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each input that can be missing")]
pub struct Missing {
    /// The object key.
    pub object: bool,
    /// The chunk number.
    pub chunk: bool,
    /// The time.
    pub time: bool,
    /// The destination port.
    pub port: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs = [
            ("object key", self.object),
            ("chunk number", self.chunk),
            ("time", self.time),
            ("port", self.port),
        ];
        let mut missing = inputs.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name);
        f.write_str(missing.next().unwrap_or("nothing"))?;
        missing.try_for_each(|name| write!(f, ", {name}"))
    }
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(missing) => {
                write!(f, "the record needs inputs that are not given: {missing}")
            }
            Self::SecretMissing => f.write_str("the record has a mac and its secret is not given"),
            Self::ReplicaOutOfRange { replica, replicas } => {
                write!(f, "replica {replica} is not one of 0 to {}", replicas.saturating_sub(1))
            }
            Self::ObjectNotNumeric => {
                f.write_str("the object key is not decimal, 0x hex or a UUID below 2^128, as obj[a:b] needs")
            }
            Self::ObjectTooLong => f.write_str("the object key is of 2^32 bytes or more"),
            Self::NoItemLeft => f.write_str("every item is to be avoided"),
            Self::NotInService => f.write_str("every address drawn lies in a negated item"),
            Self::PowExhausted { tries } => write!(f, "no proof of work in {tries} tries"),
            Self::Corrupt => f.write_str("the rule's bytes were not made by preparing a record"),
        }
    }
}

impl core::error::Error for ComposeError {}

/// The number of a positive item, counted from 0 in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemIndex(u8);

impl ItemIndex {
    pub(super) const fn new(index: u8) -> Self {
        Self(index)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A set of positive items, such as those that failed of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemSet(u64);

impl ItemSet {
    /// The set of no item.
    pub const EMPTY: Self = Self(0);

    /// Returns the set with this item too.
    #[must_use]
    pub const fn with(self, item: ItemIndex) -> Self {
        Self(self.0 | 1_u64.unbounded_shl(item.0 as u32))
    }

    /// Returns whether the item is in the set.
    #[must_use]
    pub const fn contains(self, item: ItemIndex) -> bool {
        self.0 & 1_u64.unbounded_shl(item.0 as u32) != 0
    }
}

/// Draws a number below `count` at random. The bias is below 2⁻⁵⁷ for 64 items.
fn below(count: usize, random: &mut impl FnMut() -> u64) -> usize {
    if count < 2 {
        return 0;
    }
    let product = u128::try_from(count).unwrap_or(1).saturating_mul(random().into());
    usize::try_from(product.unbounded_shr(64)).unwrap_or(0)
}

impl Rule {
    /// Composes an address. `random` gives 64 random bits a call.
    ///
    /// With a proof of work this may take 64·2ᵈ tries; [`Rule::search`] does it in steps.
    ///
    /// # Errors
    ///
    /// [`ComposeError`]: a client then falls back to a plain connection.
    pub fn compose(
        &self,
        request: &Request<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Destination, ComposeError> {
        let derived = self.derived_key(u128::from(request.source.0));
        let context = self.context(request, derived.as_ref())?;
        let mut search = self.search_with(&context, request.replica, ItemSet::EMPTY, random)?;
        loop {
            if let Progress::Found(destination) = self.advance_with(&mut search, &context, request, u32::MAX, random)? {
                return Ok(destination);
            }
        }
    }

    /// Starts composing: chooses an item, moving to another where no address drawn is in the service.
    ///
    /// Items in `avoid` are skipped; where the item is a hash of inputs there is no other, and `avoid` is not
    /// looked at.
    ///
    /// # Errors
    ///
    /// [`ComposeError`], except for proofs of work that are not found.
    pub fn search(
        &self,
        request: &Request<'_>,
        avoid: ItemSet,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Search, ComposeError> {
        let derived = self.derived_key(u128::from(request.source.0));
        let context = self.context(request, derived.as_ref())?;
        self.search_with(&context, request.replica, avoid, random)
    }

    fn search_with(
        &self,
        context: &Context<'_>,
        replica: Replica,
        avoid: ItemSet,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Search, ComposeError> {
        let mut tried = avoid;
        loop {
            let item = match self
                .choose_item_with(context, tried, random)
                .ok_or(ComposeError::NoItemLeft)
            {
                Err(ComposeError::NoItemLeft) if tried != avoid => {
                    return Err(ComposeError::NotInService);
                }
                choice => choice?,
            };
            match self.search_in_with(item, context, replica, random) {
                Err(ComposeError::NotInService) if self.item_choice != item_choice::HASH => {
                    tried = tried.with(item);
                }
                result => return result,
            }
        }
    }

    /// Chooses a positive item other than those to avoid.
    ///
    /// # Errors
    ///
    /// [`ComposeError::NoItemLeft`]; with `item=hash`, whatever else the request lacks too.
    pub fn choose_item(
        &self,
        request: &Request<'_>,
        avoid: ItemSet,
        random: &mut impl FnMut() -> u64,
    ) -> Result<ItemIndex, ComposeError> {
        let choice = if self.item_choice == item_choice::HASH {
            // An item depends on no secret.
            let context = self.context(request, None)?;
            self.choose_item_with(&context, avoid, random)
        } else {
            self.choose_item_with(&Context::of_source(request.source), avoid, random)
        };
        choice.ok_or(ComposeError::NoItemLeft)
    }

    fn choose_item_with(
        &self,
        context: &Context<'_>,
        avoid: ItemSet,
        random: &mut impl FnMut() -> u64,
    ) -> Option<ItemIndex> {
        let open = || {
            (0..)
                .map(ItemIndex)
                .zip(self.positive())
                .filter(|(index, _)| !avoid.contains(*index))
        };
        match self.item_choice {
            item_choice::HASH => self.hash_item(context).map(|(index, _)| index),
            item_choice::RAND => open().nth(below(open().count(), random)).map(|(index, _)| index),
            _ => {
                let shared = |item: &Item| (context.source ^ item.network).leading_zeros();
                let nearest = open().map(|(_, item)| shared(item)).max();
                let near = || open().filter(|(_, item)| Some(shared(item)) == nearest);
                near().nth(below(near().count(), random)).map(|(index, _)| index)
            }
        }
    }

    /// Starts composing in a given item, for callers whose source depends on the item.
    ///
    /// # Errors
    ///
    /// [`ComposeError`]; [`ComposeError::NotInService`] where no address drawn in this item is in the service.
    pub fn search_in(
        &self,
        item: ItemIndex,
        request: &Request<'_>,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Search, ComposeError> {
        let derived = self.derived_key(u128::from(request.source.0));
        let context = self.context(request, derived.as_ref())?;
        self.search_in_with(item, &context, request.replica, random)
    }

    fn search_in_with(
        &self,
        item: ItemIndex,
        context: &Context<'_>,
        replica: Replica,
        random: &mut impl FnMut() -> u64,
    ) -> Result<Search, ComposeError> {
        for _ in 0..=MAX_REDRAWS {
            let candidate = self.draw(item, context, replica, random)?;
            if self.escapes_negated(candidate) {
                return Ok(Search {
                    item,
                    candidate,
                    tries: 0,
                });
            }
        }
        Err(ComposeError::NotInService)
    }

    /// Draws one address in an item, in the service or not.
    pub(super) fn draw(
        &self,
        item: ItemIndex,
        context: &Context<'_>,
        replica: Replica,
        random: &mut impl FnMut() -> u64,
    ) -> Result<u128, ComposeError> {
        let mut address = self
            .positive()
            .get(usize::from(item.0))
            .ok_or(ComposeError::NoItemLeft)?
            .network;
        for (index, field) in (0..).zip(self.fields()) {
            let value = if field.kind == field_kind::RAND {
                bits::top(random(), field.width)
            } else {
                field.value(context, address).ok_or(ComposeError::Corrupt)?
            };
            let offset = if index == 0 {
                self.replica_offset(replica.0, field.width)
            } else {
                0
            };
            address |= field.place(value.wrapping_add(offset));
        }
        Ok(address)
    }

    /// Returns the item that `item=hash` chooses; nothing where an input is not known.
    pub(super) fn hash_item(&self, context: &Context<'_>) -> Option<(ItemIndex, &Item)> {
        let mut best: Option<(u64, (ItemIndex, &Item))> = None;
        for (index, item) in (0..).map(ItemIndex).zip(self.positive()) {
            let hash = self.item_inputs.hash(context, &hash::PUBLIC_KEY, Some(item.network))?;
            // Items ascend, so of equals the first has the lower address.
            if best.is_none_or(|(greatest, _)| hash > greatest) {
                best = Some((hash, (index, item)));
            }
        }
        best.map(|(_, choice)| choice)
    }

    /// Checks that everything the record needs is given, and puts it together with the client's own key, if one was
    /// derived.
    pub(super) fn context<'a>(
        &'a self,
        request: &Request<'a>,
        derived: Option<&'a ClientKey>,
    ) -> Result<Context<'a>, ComposeError> {
        let missing = Missing {
            object: request.object.is_none() && (self.needs_object != 0 || self.item_needs_object != 0),
            chunk: request.chunk.is_none() && (self.needs_chunk != 0 || self.item_needs_chunk != 0),
            time: request.time.is_none() && (self.step != 0 || self.pow != 0),
            port: request.port.is_none() && (self.needs_port != 0 || self.item_needs_port != 0 || self.pow != 0),
        };
        if missing != Missing::default() {
            return Err(ComposeError::Missing(missing));
        }
        if !self.has_key(&[key_kind::SECRET, key_kind::CLIENT]) {
            return Err(ComposeError::SecretMissing);
        }
        if request.replica.0 >= self.replicas() {
            return Err(ComposeError::ReplicaOutOfRange {
                replica: request.replica,
                replicas: self.replicas(),
            });
        }
        if request
            .object
            .is_some_and(|object| u32::try_from(object.len()).is_err())
        {
            return Err(ComposeError::ObjectTooLong);
        }
        let number = if self.needs_number == 0 {
            None
        } else {
            request.object.and_then(object_number)
        };
        if self.needs_number != 0 && number.is_none() {
            return Err(ComposeError::ObjectNotNumeric);
        }
        let source = u128::from(request.source.0);
        Ok(Context {
            source,
            object: request.object,
            chunk: request.chunk.map(|chunk| chunk.0),
            port: request.port.map(|port| port.0),
            number,
            step: request.time.and_then(|time| time.0.checked_div(self.step)).unwrap_or(0),
            key: derived.map_or(&self.key, ClientKey::expose),
        })
    }
}
