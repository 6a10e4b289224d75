//! Verifying a connection: what the cluster does (docs/spec.md §4).

use core::fmt;

use subtle::{Choice, ConstantTimeEq};

use super::{
    CompiledField, Item, Rule,
    context::{Context, object_number},
    field_kind, item_choice, key_kind,
    search::minute,
};
use crate::{
    bits,
    types::{Chunk, ClientKey, Destination, Port, Replica, Source, UnixTime},
    verdict::{Expected, FieldKind, HiddenValue, Unchecked, Verdict, Violation},
};

/// The most time steps, and minutes of work, that a verifier tries.
const MAX_STEPS: usize = 5;

/// What a verifier sees of a connection. What it does not see is `None` and stays unchecked.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// The source address.
    pub source: Source,
    /// The destination address.
    pub destination: Destination,
    /// The destination port; a later fragment has none.
    pub port: Option<Port>,
    /// The object key, where a layer-7 filter knows it. One of 2³² bytes or more has no message: it counts as unknown.
    pub object: Option<&'a [u8]>,
    /// The chunk number, where a layer-7 filter knows it.
    pub chunk: Option<Chunk>,
    /// The verifier's time when the flow opens.
    pub time: UnixTime,
}

impl Flow<'_> {
    /// Makes a flow of addresses and time alone.
    #[must_use]
    pub const fn new(source: Source, destination: Destination, time: UnixTime) -> Self {
        Self {
            source,
            destination,
            port: None,
            object: None,
            chunk: None,
            time,
        }
    }
}

/// The record has a mac and the verifier does not have its secret: it refuses the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretMissing;

impl fmt::Display for SecretMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the record has a mac and the verifier does not have its secret")
    }
}

impl core::error::Error for SecretMissing {}

/// A field that does not fit, and what it should be for replica 0; nothing where an object key is not a number.
#[derive(Clone, Copy)]
struct Failing {
    index: u8,
    value: Option<u64>,
}

impl Rule {
    /// Returns whether a verifier can judge by this rule: it has the secret, where the record has a mac.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        self.has_key(&[key_kind::SECRET])
    }

    /// Judges a connection by this rule alone; `from` is not looked at.
    ///
    /// # Errors
    ///
    /// [`SecretMissing`] where [`Rule::can_verify`] is false.
    pub fn verify(&self, flow: &Flow<'_>) -> Result<Verdict, SecretMissing> {
        if !self.can_verify() {
            return Err(SecretMissing);
        }
        let destination = u128::from(flow.destination.0);
        let item = match self.containing(destination) {
            None => return Ok(Verdict::Outside),
            Some((_, false)) => return Ok(Verdict::Legacy),
            Some((item, true)) => item,
        };
        let derived = self.derived_key(flow.source.0.into());
        let mut context = self.seen(flow, derived.as_ref());
        let unchecked = if self.needs_inputs == 0 {
            Unchecked::default()
        } else {
            self.unchecked(&context)
        };
        if self.item_choice == item_choice::HASH
            && !unchecked.item
            && let Some(violation) = self.wrong_item(&context, item)
        {
            return Ok(Verdict::Violation(violation));
        }
        let checked = self.fixed & !unchecked.fields;
        if let Some(failing) = self.failing_field(&mut context, destination, flow.time.0, checked) {
            return Ok(Verdict::Violation(self.violation(failing, destination)));
        }
        if self.pow > 0
            && !unchecked.pow
            && let Some(violation) = self.lacking_work(&context, destination, flow.time.0)
        {
            return Ok(Verdict::Violation(violation));
        }
        Ok(Verdict::Conforming(unchecked))
    }

    /// Returns what is known of a flow.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as for the value of a field")]
    fn seen<'a>(&'a self, flow: &Flow<'a>, derived: Option<&'a ClientKey>) -> Context<'a> {
        let mut context = Context {
            source: flow.source.0.into(),
            object: flow.object.filter(|object| u32::try_from(object.len()).is_ok()),
            chunk: flow.chunk.map(|chunk| chunk.0),
            port: flow.port.map(|port| port.0),
            number: None,
            step: 0,
            key: derived.map_or(&self.key, ClientKey::expose),
        };
        if self.needs_number != 0 {
            context.number = context.object.and_then(object_number);
        }
        context
    }

    /// Returns which replica has the destination of a flow that conforms; nothing where its first field was not checked.
    ///
    /// ```
    /// use ssa_rules::{AddressSpace, Apl, Flow, Key, Record, Replica, Request, Rule, Source, UnixTime};
    ///
    /// let record: Record = "v=ssa1; addr=hash(obj):10 const(0):54; replicas=4".parse()?;
    /// let apl: Apl = "2:2001:db8:5::/64".parse()?;
    /// let rule = Rule::prepare(&record, AddressSpace::new(&apl)?.as_ref(), &Key::None)?;
    /// let source = Source("2001:db8:77:1::7".parse()?);
    /// let request = Request { object: Some(b"a"), replica: Replica(3), ..Request::new(source) };
    /// let destination = rule.compose(&request, &mut || 0)?;
    ///
    /// let mut flow = Flow::new(source, destination, UnixTime(0));
    /// assert_eq!(rule.replica(&flow), None);
    /// flow.object = Some(b"a");
    /// assert_eq!(rule.replica(&flow), Some(Replica(3)));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn replica(&self, flow: &Flow<'_>) -> Option<Replica> {
        if self.replicas() <= 1 {
            return Some(Replica(0));
        }
        let derived = self.derived_key(flow.source.0.into());
        let context = self.seen(flow, derived.as_ref());
        let (destination, first) = (u128::from(flow.destination.0), self.fields.first()?);
        let (found, mask) = (first.value_in(destination), bits::trailing(first.width));
        self.window(flow.time.0)
            .find_map(|step| {
                let value = first.value(&Context { step, ..context }, destination)?;
                let mut replicas = 0..self.replicas();
                replicas.find(|replica| value.wrapping_add(self.replica_offset(*replica, first.width)) & mask == found)
            })
            .map(Replica)
    }

    /// Returns what the first field of an address that is no constant says, and the width of that field in bits: slices are
    /// ranges of these values. Nothing where all fields are constants, or there are none.
    #[must_use]
    pub fn placement(&self, destination: Destination) -> Option<(u64, u8)> {
        let fields = self.fields.get(..usize::from(self.field_count))?;
        let mut placing = fields.iter().filter(|field| field.kind != field_kind::CONST);
        placing
            .next()
            .map(|field| (field.value_in(destination.0.into()), field.width))
    }

    /// Returns the time steps that a verifier accepts at a time, without those beyond [`MAX_STEPS`].
    fn window(&self, time: u64) -> impl Iterator<Item = u64> {
        let skew = u64::from(self.skew);
        (self.step_of(time.saturating_sub(skew))..=self.step_of(time.saturating_add(skew))).take(MAX_STEPS)
    }

    /// Returns what cannot be checked for lack of inputs.
    #[inline(never)] // what few rules need stays out of the way of the others, here and below
    fn unchecked(&self, context: &Context<'_>) -> Unchecked {
        let mut unchecked = Unchecked::default();
        for (known, fields, item) in [
            (context.object.is_some(), self.needs_object, self.item_needs_object),
            (context.chunk.is_some(), self.needs_chunk, self.item_needs_chunk),
            (context.port.is_some(), self.needs_port, self.item_needs_port),
        ] {
            if !known {
                unchecked.fields |= fields;
                unchecked.item |= item != 0;
            }
        }
        unchecked.pow = self.pow > 0 && context.port.is_none();
        unchecked
    }

    /// Returns which item the inputs choose, if it is another.
    #[inline(never)]
    fn wrong_item(&self, context: &Context<'_>, item: &Item) -> Option<Violation> {
        let (_, winner) = self.hash_item(context)?;
        (winner != item).then(|| Violation::Item {
            expected: winner.prefix(),
            found: item.prefix(),
        })
    }

    /// Returns the first field that fails in the step of now, unless all of these fields fit in one step of the window.
    #[inline]
    fn failing_field(&self, context: &mut Context<'_>, destination: u128, now: u64, checked: u16) -> Option<Failing> {
        context.step = self.step_of(now);
        let failing = self.first_failing(context, destination, checked)?;
        if self.step != 0 && self.fits_another_step(context, destination, now, checked) {
            None
        } else {
            Some(failing)
        }
    }

    fn step_of(&self, time: u64) -> u64 {
        time.checked_div(self.step).unwrap_or(0)
    }

    #[cold]
    fn fits_another_step(&self, context: &Context<'_>, destination: u128, now: u64, checked: u16) -> bool {
        let mut others = self.window(now).filter(|step| *step != context.step);
        others.any(|step| {
            self.first_failing(&Context { step, ..*context }, destination, checked)
                .is_none()
        })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as for the value of a field")]
    fn first_failing(&self, context: &Context<'_>, destination: u128, checked: u16) -> Option<Failing> {
        let mut left = checked;
        while left != 0 {
            let index = u8::try_from(left.trailing_zeros()).unwrap_or(0);
            let field = self.fields.get(usize::from(index))?;
            let value = field.value(context, destination);
            if !value.is_some_and(|value| self.fits(index, field, value, destination)) {
                return Some(Failing { index, value });
            }
            left &= left.wrapping_sub(1);
        }
        None
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as for the value of a field")]
    fn fits(&self, index: u8, field: &CompiledField, value: u64, destination: u128) -> bool {
        let found = field.value_in(destination);
        if index == 0 && self.replicas() > 1 {
            self.fits_a_replica(field.width, value, found)
        } else if field.kind == field_kind::MAC {
            value.ct_eq(&found).into()
        } else {
            value == found
        }
    }

    /// Returns whether a replica of the first field has this value, in a time that does not tell which.
    fn fits_a_replica(&self, width: u8, value: u64, found: u64) -> bool {
        let mask = bits::trailing(width);
        let replicas = (0..self.replicas()).map(|replica| {
            let expected = value.wrapping_add(self.replica_offset(replica, width)) & mask;
            expected.ct_eq(&found)
        });
        replicas.fold(Choice::from(0), |fits, one| fits | one).into()
    }

    /// Returns for the operator what the field is and what it should be.
    #[cold]
    fn violation(&self, Failing { index, value }: Failing, destination: u128) -> Violation {
        let field = self.fields.get(usize::from(index)).unwrap_or(&CompiledField::NONE);
        let expected = match value {
            None => Expected::Number,
            Some(value) if field.kind == field_kind::MAC => Expected::Hidden(HiddenValue::new(value)),
            Some(value) => Expected::Value(value),
        };
        Violation::Field {
            index,
            kind: kind_of(field.kind),
            expected,
            found: field.value_in(destination),
        }
    }

    /// Returns what work the minute of now has, unless a minute of the window has enough.
    #[inline(never)]
    fn lacking_work(&self, context: &Context<'_>, destination: u128, now: u64) -> Option<Violation> {
        let skew = u64::from(self.skew);
        let window = minute(now.saturating_sub(skew))..=minute(now.saturating_add(skew));
        let mut found = 0;
        for of in window.take(MAX_STEPS) {
            let work = self.work(context.source, destination, context.port.unwrap_or(0), of);
            if work >= self.pow {
                return None;
            }
            if of == minute(now) {
                found = work;
            }
        }
        Some(Violation::Pow {
            needed: self.pow,
            found,
        })
    }
}

fn kind_of(kind: u8) -> FieldKind {
    match kind {
        field_kind::CONST => FieldKind::Const,
        field_kind::SOURCE => FieldKind::Source,
        field_kind::OBJECT => FieldKind::Object,
        field_kind::HASH => FieldKind::Hash,
        _ => FieldKind::Mac,
    }
}
