//! The canonical text of sources.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::{ChunkSource, KeySource, KeySources, PathPattern, Segment};

impl KeySources {
    /// Returns the value of the tag `obj`, if there is one.
    pub(crate) fn object_tag(&self) -> Option<String> {
        let sources: Vec<String> = self.object.iter().map(ToString::to_string).collect();
        (!sources.is_empty()).then(|| sources.join(","))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(pattern) => write!(f, "path:{pattern}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl fmt::Display for ChunkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(bytes) => write!(f, "range:{bytes}"),
            Self::Key(source) => source.fmt(f),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Literal(text) = self {
            return f.write_str(text);
        }
        let variable = Self::VARIABLES.iter().find(|(variable, _)| variable == self);
        f.write_str(variable.map_or("", |(_, text)| text))
    }
}
