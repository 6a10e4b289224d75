//! What is linted: one record with its surroundings, and how to write it otherwise.

use std::net::Ipv6Addr;

use ssa_rules::{
    AddressSpace, Record, UnixTime,
    record::{Field, Input, Inputs, Tags},
};

use crate::simulate::clients::ClientGroup;

/// What is known besides the records.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// The AAAA records.
    pub(crate) aaaa: Vec<Ipv6Addr>,
    /// The clients, if they are known.
    pub(crate) clients: Vec<ClientGroup>,
    /// How many endpoints there are, if that is known.
    pub(crate) endpoints: Option<u32>,
    /// Bits of the slices' numbers within an item, as far as the template has them.
    pub(crate) slice_bits: u8,
    /// The time of linting.
    pub(crate) now: UnixTime,
    /// How long answers are kept, in seconds.
    pub(crate) ttl: u64,
}

/// One usable record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) record: &'a Record,
    /// The text that was given.
    pub(crate) text: &'a str,
    /// Where it stands: `rule`, or `rule[1]` of several.
    pub(crate) place: &'a str,
    pub(crate) space: &'a AddressSpace,
    pub(crate) around: &'a Surroundings,
}

impl Subject<'_> {
    /// The bits that choose a slice, within an item.
    pub(crate) fn slice_bits(&self) -> u8 {
        self.around.slice_bits.min(self.record.template().width())
    }

    /// The slices of all items.
    pub(crate) fn slices(&self) -> u64 {
        let items = u64::try_from(self.space.positive().len()).unwrap_or(64);
        items << self.slice_bits()
    }

    pub(crate) fn fields(&self) -> &[Field] {
        self.record.template().fields()
    }

    /// The place of a field.
    pub(crate) fn field_place(&self, index: usize) -> String {
        format!("{} addr[{index}]", self.place)
    }

    /// The fields that choose the slice, each with its number and how many of the slice's bits are in it.
    pub(crate) fn placing(&self) -> impl Iterator<Item = (usize, &Field, u8)> {
        let bits = self.slice_bits();
        let mut before = 0_u8;
        self.fields().iter().enumerate().map_while(move |(index, field)| {
            let inside = field.width().min(bits.saturating_sub(before));
            before = before.saturating_add(field.width());
            (inside > 0).then_some((index, field, inside))
        })
    }

    /// The macs, with their numbers.
    pub(crate) fn macs(&self) -> impl Iterator<Item = (usize, &Inputs, u8)> {
        self.fields()
            .iter()
            .enumerate()
            .filter_map(|(index, field)| match field {
                Field::Mac { inputs, width } => Some((index, inputs, *width)),
                _ => None,
            })
    }

    pub(crate) fn has_mac(&self) -> bool {
        self.macs().next().is_some()
    }

    /// Writes the record with tags set, if that is a record that fits.
    pub(crate) fn with_tags(&self, set: &[(&str, &str)]) -> Option<String> {
        let mut tags = self.record.tags();
        for (tag, value) in set {
            tags.set(tag, *value).ok()?;
        }
        self.fitting(&tags)
    }

    /// Writes the record with other fields, if that is a record that fits.
    pub(crate) fn with_fields(&self, fields: &[String]) -> Option<String> {
        self.with_tags(&[("addr", &fields.join(" "))])
    }

    /// Writes the record with one field, or several, in place of one.
    pub(crate) fn with_field(&self, index: usize, field: &str) -> Option<String> {
        let mut fields: Vec<String> = self.fields().iter().map(ToString::to_string).collect();
        *fields.get_mut(index)? = field.into();
        self.with_fields(&fields)
    }

    fn fitting(&self, tags: &Tags) -> Option<String> {
        let record = tags.record().ok()?;
        record
            .template()
            .misfits(self.space)
            .is_empty()
            .then(|| record.to_string())
    }
}

/// Writes inputs with another source prefix.
pub(crate) fn with_source(inputs: &Inputs, bits: u8) -> String {
    let mut written: Vec<String> = Vec::new();
    for input in inputs.as_slice() {
        written.push(match input {
            Input::Source(_) => format!("src/{bits}"),
            other => other.to_string(),
        });
    }
    if inputs.source_bits().is_none() {
        written.insert(0, format!("src/{bits}"));
    }
    written.join(",")
}

/// Writes a power of two as a number people read.
pub(crate) fn power(bits: u32) -> String {
    if bits < 20 {
        (1_u64 << bits).to_string()
    } else {
        format!("2^{bits}")
    }
}

/// Writes a length of time, in seconds, as people read it.
pub(crate) fn span(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    const YEAR: f64 = 365.25 * DAY;
    if seconds < 1.0 {
        "less than a second".into()
    } else if seconds < 2.0 * DAY {
        format!("{seconds:.0} s")
    } else if seconds < 2.0 * YEAR {
        format!("{:.0} days", seconds / DAY)
    } else if seconds < 1000.0 * YEAR {
        format!("{:.0} years", seconds / YEAR)
    } else {
        "more than 1000 years".into()
    }
}
