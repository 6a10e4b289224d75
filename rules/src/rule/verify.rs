//! Verifying a connection: what the cluster does (docs/spec.md §4).

use core::fmt;

use subtle::{Choice, ConstantTimeEq};

use super::{CompiledField, Rule, context::Context, field_kind, input_kind, item_choice, key_kind, search::minute};
use crate::{
    bits,
    types::{Chunk, Destination, Port, Source, UnixTime},
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
    /// The object key, where a layer-7 filter knows it.
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
        Self { source, destination, port: None, object: None, chunk: None, time }
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

impl Rule {
    /// Says whether a verifier can judge by this rule: it has the secret, where the record has a mac.
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
        let source = u128::from(flow.source.0);
        let mut context = Context {
            source,
            object: flow.object.filter(|object| u32::try_from(object.len()).is_ok()),
            chunk: flow.chunk.map(|chunk| chunk.0),
            port: flow.port.map(|port| port.0),
            number: self.number_of(flow.object),
            step: 0,
            key: if self.has_mac == 0 { [0; 16] } else { self.mac_key(source) },
        };
        let unchecked = self.unchecked(&context);
        if self.item_choice == item_choice::HASH
            && !unchecked.item
            && let Some((_, winner)) = self.hash_item(&context)
            && winner != item
        {
            let (expected, found) = (winner.prefix(), item.prefix());
            return Ok(Verdict::Violation(Violation::Item { expected, found }));
        }
        if let Some(violation) = self.failing_field(&mut context, destination, flow.time.0, unchecked.fields) {
            return Ok(Verdict::Violation(violation));
        }
        if self.pow > 0
            && let Some(port) = context.port
            && let Some(found) = self.lacking_work(source, destination, port, flow.time.0)
        {
            return Ok(Verdict::Violation(Violation::Pow { needed: self.pow, found }));
        }
        Ok(Verdict::Conforming(unchecked))
    }

    /// Returns what cannot be checked for lack of inputs.
    fn unchecked(&self, context: &Context<'_>) -> Unchecked {
        let when = |lacking: bool, fields: u16| if lacking { fields } else { 0 };
        let lacks = [
            (context.object.is_none(), self.needs_object, input_kind::OBJECT),
            (context.chunk.is_none(), self.needs_chunk, input_kind::CHUNK),
            (context.port.is_none(), self.needs_port, input_kind::PORT),
        ];
        Unchecked {
            fields: lacks.into_iter().fold(0, |fields, (lacking, needing, _)| fields | when(lacking, needing)),
            item: lacks.into_iter().any(|(lacking, _, kind)| lacking && self.item_inputs.has(kind)),
            pow: self.pow > 0 && context.port.is_none(),
        }
    }

    /// Returns the first field that fails in the step of now, unless all fit in one step of the window.
    fn failing_field(
        &self,
        context: &mut Context<'_>,
        destination: u128,
        now: u64,
        unchecked: u16,
    ) -> Option<Violation> {
        let step_of = |time: u64| time.checked_div(self.step).unwrap_or(0);
        context.step = step_of(now);
        let violation = self.first_failing(context, destination, unchecked)?;
        if self.step == 0 {
            return Some(violation);
        }
        let skew = u64::from(self.skew);
        let current = context.step;
        let window = step_of(now.saturating_sub(skew))..=step_of(now.saturating_add(skew));
        for step in window.take(MAX_STEPS).filter(|step| *step != current) {
            context.step = step;
            self.first_failing(context, destination, unchecked)?;
        }
        Some(violation)
    }

    #[inline]
    fn first_failing(&self, context: &Context<'_>, destination: u128, unchecked: u16) -> Option<Violation> {
        for (index, field) in (0_u8..).zip(self.fields()) {
            let skipped = field.kind == field_kind::RAND || 1_u16.unbounded_shl(index.into()) & unchecked != 0;
            if !skipped && let Err(violation) = self.check(index, field, context, destination) {
                return Some(violation);
            }
        }
        None
    }

    #[inline]
    fn check(
        &self,
        index: u8,
        field: &CompiledField,
        context: &Context<'_>,
        destination: u128,
    ) -> Result<(), Violation> {
        let found = field.value_in(destination);
        let violation = |expected| Violation::Field { index, kind: kind_of(field.kind), expected, found };
        let Some(value) = self.value(index, field, context, destination) else {
            return Err(violation(Expected::Number));
        };
        let is_mac = field.kind == field_kind::MAC;
        let fits = if index == 0 && self.replicas() > 1 {
            let mask = bits::trailing(field.width);
            let replicas = (0..self.replicas()).map(|replica| {
                let expected = value.wrapping_add(self.replica_offset(replica, field.width)) & mask;
                expected.ct_eq(&found)
            });
            replicas.fold(Choice::from(0), |fits, one| fits | one).into()
        } else if is_mac {
            value.ct_eq(&found).into()
        } else {
            value == found
        };
        if fits {
            return Ok(());
        }
        Err(violation(if is_mac { Expected::Hidden(HiddenValue::new(value)) } else { Expected::Value(value) }))
    }

    /// Returns the bits of work found in the minute of now, unless a minute of the window has enough.
    fn lacking_work(&self, source: u128, destination: u128, port: u16, now: u64) -> Option<u8> {
        let skew = u64::from(self.skew);
        let window = minute(now.saturating_sub(skew))..=minute(now.saturating_add(skew));
        let worked = |minute| self.work(source, destination, port, minute) >= self.pow;
        if window.take(MAX_STEPS).any(worked) { None } else { Some(self.work(source, destination, port, minute(now))) }
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
