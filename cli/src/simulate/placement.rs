//! What decides of the bits that choose a slice: the template's first ones.

use ssa_rules::{
    Record,
    record::{Field, Input, Inputs, ItemChoice},
};

/// What decides of the bits that choose a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The longest source prefix that matters; 0 where the source does not.
    pub(crate) source_bits: u8,
    /// The bits of a slice's number, within its item, that the attacker draws.
    pub(crate) drawn: u32,
    /// The bits that an object key decides of, which a verifier at layer 4 does not see.
    pub(crate) object: u32,
    /// The bits under a mac.
    pub(crate) secret: u32,
    /// Whether a time step decides.
    pub(crate) timed: bool,
}

impl Placement {
    /// Looks at the first bits of a template, and at the item's inputs.
    pub(crate) fn of(record: &Record, slice_bits: u8) -> Self {
        let mut placement = Self::default();
        let mut before = 0_u8;
        for field in record.template().fields() {
            let inside = field.width().min(slice_bits.saturating_sub(before));
            if inside > 0 {
                let after = slice_bits - before - inside;
                let bits = (1_u32 << inside).wrapping_sub(1) << after;
                placement.take(field, bits, record);
            }
            before = before.saturating_add(field.width());
        }
        if let ItemChoice::Hash(inputs) = record.item() {
            placement.take_inputs(inputs);
        }
        placement
    }

    fn take(&mut self, field: &Field, bits: u32, record: &Record) {
        match field {
            Field::Rand { .. } => self.drawn |= bits,
            Field::Const { .. } => {}
            Field::Source(range) => self.source_bits = self.source_bits.max(range.end()),
            Field::Object(_) => self.object |= bits,
            Field::Hash { inputs, .. } | Field::Mac { inputs, .. } => {
                self.take_inputs(inputs);
                if inputs.has_kind(Input::Object) || inputs.has_kind(Input::Chunk) {
                    self.object |= bits;
                }
            }
        }
        if matches!(field, Field::Mac { .. }) {
            self.secret |= bits;
            // A mac covers the bits drawn before it: drawing again places it anew.
            if self.drawn != 0 {
                self.drawn |= bits;
            }
            self.source_bits = self.source_bits.max(record.kdf().map_or(0, ssa_rules::SourceBits::get));
        }
    }

    fn take_inputs(&mut self, inputs: &Inputs) {
        self.source_bits = self
            .source_bits
            .max(inputs.source_bits().map_or(0, ssa_rules::SourceBits::get));
        self.timed |= inputs.time_step().is_some();
    }

    /// The bits that a verifier at layer 4 leaves to the attacker.
    pub(crate) fn free(&self) -> u32 {
        self.drawn | self.object
    }
}
