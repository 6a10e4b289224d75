//! The canonical text of a record.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::{BitRange, Field, Input, Inputs, ItemChoice, Record, Template};

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tags().fmt(f)
    }
}

impl Record {
    /// Returns the tags that are no defaults, in canonical order.
    pub(super) fn canonical(&self) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        let mut tag = |name: &str, value: Option<String>| {
            tags.extend(value.map(|value| (name.to_string(), value)));
        };
        tag("v", Some("ssa1".into()));
        tag("addr", Some(self.template.to_string()));
        tag("item", (self.item != ItemChoice::Near).then(|| self.item.to_string()));
        tag("salt", self.salt.as_ref().map(|salt| salt.0.clone()));
        tag("replicas", (self.replicas != 1).then(|| self.replicas.to_string()));
        tag("pow", (self.pow != 0).then(|| self.pow.to_string()));
        tag("key", self.key.as_ref().map(ToString::to_string));
        tag("kdf", self.kdf.map(|bits| format!("src/{bits}")));
        tag(
            "skew",
            (self.skew != default_skew(self.time_step())).then(|| self.skew.to_string()),
        );
        tag("from", (self.from.0 != 0).then(|| self.from.to_string()));
        tag("obj", self.keys.object_tag());
        tag("chunk", self.keys.chunk.as_ref().map(ToString::to_string));
        tag("apl", self.apl.as_ref().map(ToString::to_string));
        tags
    }
}

/// Returns the skew in seconds of a record that names none: the smaller of 10 and twice the time step.
pub(super) fn default_skew(step: Option<u32>) -> u16 {
    step.and_then(|step| u16::try_from(step.saturating_mul(2)).ok())
        .map_or(10, |twice| twice.min(10))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        let fields: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&fields.join(" "))
    }
}

impl fmt::Display for ItemChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near => f.write_str("near"),
            Self::Rand => f.write_str("rand"),
            Self::Hash(inputs) => write!(f, "hash({inputs})"),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rand { width } => write!(f, "rand:{width}"),
            Self::Const { value, width } => write!(f, "const({value:x}):{width}"),
            Self::Source(range) => write!(f, "src{range}"),
            Self::Object(range) => write!(f, "obj{range}"),
            Self::Hash { inputs, width } => write!(f, "hash({inputs}):{width}"),
            Self::Mac { inputs, width } => write!(f, "mac({inputs}):{width}"),
        }
    }
}

impl fmt::Display for BitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:{}]", self.start, self.end)
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&inputs.join(","))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(bits) => write!(f, "src/{bits}"),
            Self::Time(step) => write!(f, "time/{step}"),
            Self::Object | Self::Chunk | Self::Port => f.write_str(self.name()),
        }
    }
}
