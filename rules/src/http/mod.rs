//! Where a request over HTTP has its object key and chunk (docs/spec-http.md): the tags `obj` and `chunk` of a record.
//!
//! Client and server must find the same in the same request, or they compute different addresses.
//!
//! ```
//! use ssa_rules::{Chunk, HttpRequest, Record, http::MAX_OBJECT_BYTES};
//!
//! let record: Record = "v=ssa1; addr=hash(obj,chunk):20 rand:44; obj=path:/files/{obj}; chunk=range:1048576".parse()?;
//! let fields: [(&[u8], &[u8]); 1] = [(b"Range", b"bytes=2097152-3145727")];
//! let request = HttpRequest::new(Some(b"/files/a%2Fb?x=1"), &fields);
//!
//! let mut buffer = [0; MAX_OBJECT_BYTES];
//! assert_eq!(record.keys().find_object(&request, &mut buffer), Some(&b"a/b"[..]));
//! assert_eq!(record.keys().find_chunk(&request), Ok(Chunk(2)));
//! # Ok::<(), ssa_rules::record::RecordError>(())
//! ```
//!
//! Finding them allocates nothing: the object key is written to a buffer of the caller's. Each source reads the request
//! once, whatever it holds, and there are at most five.

mod find;
mod print;
mod range;
mod request;

use alloc::{string::String, vec::Vec};

pub use find::Absent;
pub use request::HttpRequest;

/// The maximum number of sources of an object key.
pub const MAX_SOURCES: usize = 4;

/// The maximum number of segments of a path pattern.
pub const MAX_SEGMENTS: usize = 16;

/// The longest name of a query parameter, header field or cookie, in bytes.
pub const MAX_NAME: usize = 64;

/// The longest object key that is found in a request, in bytes.
pub const MAX_OBJECT_BYTES: usize = 1024;

/// The largest chunk that a byte range is divided by, in bytes: 2^53.
pub const MAX_CHUNK_BYTES: u64 = 1 << 53;

/// Where a request's object key and chunk are; by default nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySources {
    /// The sources of the object key, in the order in which they are tried: at most [`MAX_SOURCES`].
    pub(crate) object: Vec<KeySource>,
    /// The source of the chunk.
    pub(crate) chunk: Option<ChunkSource>,
}

impl KeySources {
    /// Returns the sources of the object key, in the order in which they are tried; none without the tag `obj`.
    #[must_use]
    pub fn object(&self) -> &[KeySource] {
        &self.object
    }

    /// Returns the source of the chunk; none without the tag `chunk`.
    #[must_use]
    pub fn chunk(&self) -> Option<&ChunkSource> {
        self.chunk.as_ref()
    }

    /// Returns whether a request has neither: the record has neither tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.object.is_empty() && self.chunk.is_none()
    }

    /// Returns whether any source reads header fields: otherwise the target is all that is needed of a request.
    #[must_use]
    pub fn need_fields(&self) -> bool {
        let of_object = self.object.iter().any(KeySource::needs_fields);
        of_object
            || self.chunk.as_ref().is_some_and(|chunk| match chunk {
                ChunkSource::Range(_) => true,
                ChunkSource::Key(source) => source.needs_fields(),
            })
    }
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// `path:/…`, a segment or more of the path.
    Path(PathPattern),
    /// `query:name`, a parameter of the query.
    Query(String),
    /// `header:name`, a header field, in lower case.
    Header(String),
    /// `cookie:name`, a cookie.
    Cookie(String),
}

impl KeySource {
    const fn needs_fields(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Cookie(_))
    }
}

/// Where a request's chunk is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChunkSource {
    /// `range:n`, the number of the block of n bytes, 1 to 2^53, that contains the byte range of the request.
    Range(u64),
    /// Another place, which has a decimal number.
    Key(KeySource),
}

/// The pattern of a path: 1 to [`MAX_SEGMENTS`] segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern(pub(crate) Vec<Segment>);

impl PathPattern {
    /// Returns the segments, first to last.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

/// A segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text, which may be empty.
    Literal(String),
    /// `{*}`, any segment.
    Any,
    /// `{obj}`, a segment that is the object key.
    Object,
    /// `{chunk}`, a segment that is the chunk.
    Chunk,
    /// `{obj...}`, all further segments, at least one, with the slashes between them: the object key.
    ObjectRest,
    /// `{*...}`, all further segments, at least one.
    AnyRest,
}

impl Segment {
    /// All variables, each with its text.
    const VARIABLES: [(Self, &'static str); 5] = [
        (Self::Any, "{*}"),
        (Self::Object, "{obj}"),
        (Self::Chunk, "{chunk}"),
        (Self::ObjectRest, "{obj...}"),
        (Self::AnyRest, "{*...}"),
    ];

    /// Returns the variable of this text, if it is one.
    pub(crate) fn variable(text: &str) -> Option<Self> {
        let mut variables = Self::VARIABLES.into_iter();
        variables.find(|(_, name)| *name == text).map(|(variable, _)| variable)
    }

    /// Returns whether it takes all further segments of a path.
    #[must_use]
    pub const fn takes_rest(&self) -> bool {
        matches!(self, Self::ObjectRest | Self::AnyRest)
    }
}
