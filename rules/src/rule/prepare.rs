//! Preparing a rule of a record, an address space and a key.

use alloc::vec::Vec;
use core::{cmp::Reverse, fmt};

use ipnet::Ipv6Net;

use super::{CompiledField, CompiledInputs, Item, Rule, field_kind, item_choice, key_kind};
use crate::{
    apl::{AddressSpace, MAX_ITEMS},
    bits,
    hash::{self, Message},
    order,
    record::{Field, FitFault, Input, Inputs, ItemChoice, MAX_FIELDS, Record},
    text,
    types::{ClientKey, Secret, SourceBits},
};

/// What is known of the secret that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing.
    None,
    /// The secret: clients compose with it, and verifiers need it.
    Secret(Secret),
    /// One client's own key under `kdf`: it composes for that client alone, and verifies nothing.
    Client(ClientKey),
}

/// Why no rule can be prepared: every reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareError {
    /// The reasons.
    pub faults: Vec<PrepareFault>,
}

/// One reason why no rule can be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrepareFault {
    /// There are no addresses: no APL record and no tag `apl`.
    NoAddresses,
    /// The template does not fit the addresses.
    Fit(FitFault),
}

impl fmt::Display for PrepareFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddresses => {
                f.write_str("no addresses: neither an APL record with items of family 2 nor a tag apl")
            }
            Self::Fit(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_joined(f, &self.faults)
    }
}

impl core::error::Error for PrepareError {}

impl Rule {
    /// Prepares a record for composing and verifying.
    ///
    /// `published` is the address space of the name's APL records; it wins over the record's own list. Without the
    /// secret that a record with a mac names, the rule prepares but neither composes nor verifies. A client's own key is
    /// none for a record without `kdf`, and no key is kept for a record without a mac.
    ///
    /// # Errors
    ///
    /// [`PrepareError`] with every reason why record, addresses and key do not go together.
    pub fn prepare(record: &Record, published: Option<&AddressSpace>, key: &Key) -> Result<Self, PrepareError> {
        let Some(space) = record.space(published) else {
            return Err(PrepareError {
                faults: Vec::from([PrepareFault::NoAddresses]),
            });
        };
        let misfits = record.template().misfits(&space);
        if misfits.is_empty() {
            Ok(Self::compile(record, &space, key))
        } else {
            Err(PrepareError {
                faults: misfits.into_iter().map(PrepareFault::Fit).collect(),
            })
        }
    }

    fn compile(record: &Record, space: &AddressSpace, key: &Key) -> Self {
        let length = record.template().item_length();
        let by_length = space.negated().iter().map(|item| (Reverse(item.prefix_len()), *item));
        let negated: Vec<Ipv6Net> = order::ascending(by_length).into_iter().map(|(_, item)| item).collect();
        let longer = negated.iter().filter(|item| item.prefix_len() > length).count();
        let (longer, shorter) = negated.split_at_checked(longer).unwrap_or_default();
        let ordered = longer
            .iter()
            .chain(space.positive())
            .chain(shorter)
            .map(|item| Item::new(*item));
        let mut items = [Item::NONE; MAX_ITEMS];
        items.iter_mut().zip(ordered).for_each(|(slot, item)| *slot = item);

        let salt_text = record.salt().map_or("", |salt| salt.as_str());
        let fields = compile_fields(salt_text, record.template().fields());
        let (key, key_kind) = match key {
            Key::Secret(secret) if record.key().is_some() => (*secret.expose(), key_kind::SECRET),
            Key::Client(own) if record.kdf().is_some() => (*own.expose(), key_kind::CLIENT),
            Key::None | Key::Secret(_) | Key::Client(_) => ([0; 16], key_kind::NONE),
        };
        let mut salt = [0; 32];
        salt.iter_mut()
            .zip(salt_text.bytes())
            .for_each(|(slot, byte)| *slot = byte);
        let (item_choice, item_inputs) = match record.item() {
            ItemChoice::Near => (item_choice::NEAR, CompiledInputs::NONE),
            ItemChoice::Rand => (item_choice::RAND, CompiledInputs::NONE),
            ItemChoice::Hash(inputs) => (item_choice::HASH, compile_inputs([4, 0], salt_text, inputs)),
        };
        let needs = |kind| needing_kind(record.template().fields(), kind);
        let item_needs = |kind| u8::from(matches!(record.item(), ItemChoice::Hash(inputs) if inputs.has_kind(kind)));
        let (needs_object, item_needs_object) = (needs(Input::Object), item_needs(Input::Object));
        let (needs_chunk, item_needs_chunk) = (needs(Input::Chunk), item_needs(Input::Chunk));
        let (needs_port, item_needs_port) = (needs(Input::Port), item_needs(Input::Port));
        let fields_need = needs_object | needs_chunk | needs_port;
        let items_need = item_needs_object | item_needs_chunk | item_needs_port;
        Self {
            items,
            fields,
            salt,
            key,
            from: record.from().0,
            step: record.time_step().unwrap_or(0).into(),
            item_inputs,
            skew: record.skew(),
            salt_length: small(salt_text.len()),
            field_count: small(record.template().fields().len()),
            replicas: record.replicas(),
            pow: record.pow(),
            item_choice,
            key_kind,
            kdf: record.kdf().map_or(0, SourceBits::get),
            longer_negated: small(longer.len()),
            positive: small(space.positive().len()),
            item_count: small(space.positive().len().saturating_add(negated.len())),
            fixed: bits_of(record.template().fields(), |field| !matches!(field, Field::Rand { .. })),
            needs_object,
            needs_chunk,
            needs_port,
            needs_number: u8::from(record.needs().number),
            has_mac: u8::from(record.key().is_some()),
            item_needs_object,
            item_needs_chunk,
            item_needs_port,
            needs_inputs: u8::from(fields_need != 0 || items_need != 0 || record.pow() > 0),
            reserved: [0; 14],
        }
    }
}

/// Narrows a count that a validated record or space bounds by 64.
fn small(count: usize) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Returns the fields that are wanted: bit i for field i.
fn bits_of(fields: &[Field], wanted: impl Fn(&Field) -> bool) -> u16 {
    let indices = (0_u32..).zip(fields).filter(|(_, field)| wanted(field));
    indices.fold(0, |bits, (index, _)| bits | 1_u16.unbounded_shl(index))
}

/// Returns the fields that need an input of this kind; one that takes bits of the object key needs that.
fn needing_kind(fields: &[Field], kind: Input) -> u16 {
    bits_of(fields, |field| match field {
        Field::Object(_) => kind == Input::Object,
        _ => field.inputs().is_some_and(|inputs| inputs.has_kind(kind)),
    })
}

fn compile_fields(salt: &str, fields: &[Field]) -> [CompiledField; MAX_FIELDS] {
    let mut compiled = [CompiledField::NONE; MAX_FIELDS];
    let mut shift = fields.iter().fold(0_u8, |sum, field| sum.saturating_add(field.width()));
    for (index, (slot, field)) in (0_u8..).zip(compiled.iter_mut().zip(fields)) {
        shift = shift.saturating_sub(field.width());
        let (kind, constant, range_shift) = match field {
            Field::Rand { .. } => (field_kind::RAND, 0, 0),
            Field::Const { value, .. } => (field_kind::CONST, *value, 0),
            Field::Source(range) => (field_kind::SOURCE, 0, 128_u8.saturating_sub(range.end())),
            Field::Object(range) => (field_kind::OBJECT, 0, 128_u8.saturating_sub(range.end())),
            Field::Hash { .. } => (field_kind::HASH, 0, 0),
            Field::Mac { .. } => (field_kind::MAC, 0, 0),
        };
        let head = [if kind == field_kind::MAC { 2 } else { 1 }, index];
        let inputs = field
            .inputs()
            .map_or(CompiledInputs::NONE, |inputs| compile_inputs(head, salt, inputs));
        *slot = CompiledField {
            constant,
            inputs,
            kind,
            width: field.width(),
            shift,
            range_shift,
            reserved: [0; 4],
        };
    }
    compiled
}

/// Makes the skeleton `head ‖ S ‖ I`: `S` is `u16 length ‖ salt` if the inputs contain the source, else `u16 0`.
fn compile_inputs(head: [u8; 2], salt: &str, inputs: &Inputs) -> CompiledInputs {
    let mask = bits::leading(inputs.source_bits().map_or(0, SourceBits::get));
    let mut compiled = CompiledInputs {
        source_mask: hash::words(mask),
        ..CompiledInputs::NONE
    };
    let mut message = Message::new(head);
    let salt = if inputs.source_bits().is_some() { salt } else { "" };
    message.put16(small(salt.len()).into());
    salt.bytes().for_each(|byte| message.put8(byte));
    for input in inputs.as_slice() {
        compiled.has_others |= u8::from(!matches!(input, Input::Source(_)));
        message.put8(match input {
            Input::Source(_) => 1,
            Input::Object => 2,
            Input::Chunk => 3,
            Input::Time(_) => 4,
            Input::Port => 5,
        });
        match input {
            Input::Source(prefix) => message.put8(prefix.get()),
            Input::Time(step) => message.put32(*step),
            Input::Object | Input::Chunk | Input::Port => {}
        }
        let (_, at) = message.skeleton();
        match input {
            Input::Source(_) => {
                compiled.source_at = at;
                message.put128(0);
            }
            Input::Object => {
                compiled.object_at = at;
                message.put32(0);
            }
            Input::Chunk => {
                compiled.chunk_at = at;
                message.put64(0);
            }
            Input::Time(_) => {
                compiled.time_at = at;
                message.put64(0);
            }
            Input::Port => {
                compiled.port_at = at;
                message.put16(0);
            }
        }
    }
    (compiled.skeleton, compiled.length) = message.skeleton();
    compiled
}
