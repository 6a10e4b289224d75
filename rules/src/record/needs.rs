//! What a record looks at, and which addresses it decides about.

use alloc::borrow::Cow;

use super::{Field, Input, Inputs, ItemChoice, Record};
use crate::apl::AddressSpace;

/// What a client needs to compose by a record, and what a verifier needs to check all of it.
///
/// A client always has its source: it needs one to connect. [`Needs::source`] returns whether the address depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an input of its own, and any of them go together"
)]
pub struct Needs {
    /// The source decides of the address, apart from the item choice `near` and a proof of work: a field `src[a:b]`,
    /// an input `src/l`, or the tag `kdf`.
    pub source: bool,
    /// The object key: a field `obj[a:b]` or an input `obj`.
    pub object: bool,
    /// An object key that is a 128-bit number: a field `obj[a:b]`.
    pub number: bool,
    /// The chunk number: an input `chunk`.
    pub chunk: bool,
    /// The time: an input `time/s`, or a proof of work.
    pub time: bool,
    /// The destination port: an input `port`, or a proof of work.
    pub port: bool,
    /// The secret that the tag `key` names, or for a client, with `kdf`, its client key.
    pub key: bool,
}

impl Record {
    /// Returns the inputs of every hash and mac: those of the fields, first to last, then those of the item choice.
    pub fn inputs(&self) -> impl Iterator<Item = &Inputs> {
        let of_item = match &self.item {
            ItemChoice::Hash(inputs) => Some(inputs),
            ItemChoice::Near | ItemChoice::Rand => None,
        };
        self.template.fields().iter().filter_map(Field::inputs).chain(of_item)
    }

    /// Returns what composing and verifying by this record need.
    ///
    /// ```
    /// let record: ssa_rules::Record = "v=ssa1; addr=hash(obj,chunk):20 rand:44; pow=8".parse()?;
    /// let needs = record.needs();
    /// assert!(needs.object && needs.chunk && !needs.number);
    /// assert!(needs.time && needs.port); // those of the proof of work
    /// assert!(!needs.source && !needs.key);
    /// # Ok::<(), ssa_rules::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn needs(&self) -> Needs {
        let pow = self.pow > 0;
        let number = self.has_field(|field| matches!(field, Field::Object(_)));
        Needs {
            source: self.kdf.is_some()
                || self.has_field(|field| matches!(field, Field::Source(_)))
                || self.inputs().any(|inputs| inputs.source_bits().is_some()),
            object: number || self.has_input(Input::Object),
            number,
            chunk: self.has_input(Input::Chunk),
            time: pow || self.time_step().is_some(),
            port: pow || self.has_input(Input::Port),
            key: self.key.is_some(),
        }
    }

    /// Returns the numbers of the macs that depend on an object key or a chunk: who does not know those, as at layer 4,
    /// takes any value in such a field.
    ///
    /// ```
    /// let record: ssa_rules::Record = "v=ssa1; addr=hash(obj):20 mac(src/64,obj):44; key=k1".parse()?;
    /// assert_eq!(record.macs_of_objects().collect::<Vec<_>>(), [1]);
    /// # Ok::<(), ssa_rules::record::RecordError>(())
    /// ```
    pub fn macs_of_objects(&self) -> impl Iterator<Item = usize> {
        let of_object = |field: &Field| match field {
            Field::Mac { inputs, .. } => inputs.has_kind(Input::Object) || inputs.has_kind(Input::Chunk),
            _ => false,
        };
        let fields = self.template.fields().iter().enumerate();
        fields
            .filter(move |(_, field)| of_object(field))
            .map(|(index, _)| index)
    }

    /// Returns whether the record leaves every address of the service open, so that a client that knows nothing of it
    /// conforms too: every field is `rand`, the item is not `hash`, and there is no proof of work (docs/spec.md §1.4).
    #[must_use]
    pub fn is_open(&self) -> bool {
        let drawn = !self.has_field(|field| !matches!(field, Field::Rand { .. }));
        drawn && !matches!(self.item, ItemChoice::Hash(_)) && self.pow == 0
    }

    /// Returns the address space that the record decides about: that of the name's APL records, if there is one, else
    /// that of the record's own list (tag `apl`).
    ///
    /// A list without items of family 2 counts as absent. APL faulty records make the record unusable: they are no
    /// case for this method.
    #[must_use]
    pub fn space<'a>(&self, published: Option<&'a AddressSpace>) -> Option<Cow<'a, AddressSpace>> {
        let own = || AddressSpace::new(self.apl.as_ref()?).ok().flatten();
        published.map(Cow::Borrowed).or_else(|| own().map(Cow::Owned))
    }

    fn has_field(&self, wanted: impl Fn(&Field) -> bool) -> bool {
        self.template.fields().iter().any(wanted)
    }

    fn has_input(&self, kind: Input) -> bool {
        self.inputs().any(|inputs| inputs.has_kind(kind))
    }
}
