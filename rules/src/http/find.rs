//! Finding object key and chunk in a request.

use core::fmt;

use super::{
    ChunkSource, KeySource, KeySources, MAX_OBJECT_BYTES, PathPattern, Segment, range,
    request::{HttpRequest, cut, trimmed},
};
use crate::types::Chunk;

/// Why a source gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The record names no source.
    NoSource,
    /// The target has neither path nor query: it begins with no `/`, or is missing.
    NoPath,
    /// The path does not match the pattern.
    NoMatch,
    /// The path contains `\`, which some servers take for `/`.
    Backslash,
    /// A segment of the path is `.` or `..`, which some servers resolve.
    DotSegment,
    /// No part of the query has this name.
    NoParameter,
    /// There is no header field of this name; of a byte range, neither `range` nor `content-range`.
    NoField,
    /// There is no cookie of this name.
    NoCookie,
    /// The value is empty.
    Empty,
    /// The value is longer than an object key may be.
    TooLong,
    /// The value is no number of 1 to 20 decimal digits below 2^64.
    NotANumber,
    /// The value is not one range of bytes.
    NotARange,
    /// The range of bytes spans several chunks.
    SeveralChunks,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::TooLong {
            return write!(f, "the value exceeds {MAX_OBJECT_BYTES} bytes");
        }
        f.write_str(match self {
            Self::NoSource => "the record names no source",
            Self::NoPath => "the request's target has no path",
            Self::NoMatch => "the path does not match",
            Self::Backslash => "the path contains `\\`",
            Self::DotSegment => "a segment of the path is `.` or `..`",
            Self::NoParameter => "the query has no such parameter",
            Self::NoField => "there is no such header field",
            Self::NoCookie => "there is no such cookie",
            Self::Empty => "the value is empty",
            Self::TooLong | Self::NotANumber => "the value is not 1 to 20 digits of a number below 2^64",
            Self::NotARange => "the value is not one range of bytes, a-b or a- with a not above b",
            Self::SeveralChunks => "the range spans several chunks",
        })
    }
}

impl core::error::Error for Absent {}

impl KeySources {
    /// Finds a request's object key: the value of the first source that gives one. It is written to the buffer.
    pub fn find_object<'b>(
        &self,
        request: &HttpRequest<'_>,
        buffer: &'b mut [u8; MAX_OBJECT_BYTES],
    ) -> Option<&'b [u8]> {
        let mut sources = self.object.iter();
        let length = sources.find_map(|source| source.write(request, buffer).ok().filter(|length| *length > 0))?;
        buffer.get(..length)
    }

    /// Finds a request's chunk.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn find_chunk(&self, request: &HttpRequest<'_>) -> Result<Chunk, Absent> {
        match self.chunk.as_ref().ok_or(Absent::NoSource)? {
            ChunkSource::Range(bytes) => range::chunk(request, *bytes).map(Chunk),
            ChunkSource::Key(source) => {
                let mut digits = [0; 20];
                let length = source.write(request, &mut digits).map_err(|absent| match absent {
                    Absent::TooLong => Absent::NotANumber,
                    other => other,
                })?;
                let number = range::number(digits.get(..length).unwrap_or_default());
                number.map(Chunk).ok_or(Absent::NotANumber)
            }
        }
    }
}

impl KeySource {
    /// Finds the object key that this source alone gives, and writes it to the buffer.
    ///
    /// # Errors
    ///
    /// Why it gives none.
    pub fn find_object<'b>(
        &self,
        request: &HttpRequest<'_>,
        buffer: &'b mut [u8; MAX_OBJECT_BYTES],
    ) -> Result<&'b [u8], Absent> {
        let length = self.write(request, buffer)?;
        buffer
            .get(..length)
            .filter(|value| !value.is_empty())
            .ok_or(Absent::Empty)
    }

    /// Writes its value, and returns the length of it.
    fn write(&self, request: &HttpRequest<'_>, buffer: &mut [u8]) -> Result<usize, Absent> {
        let mut value = Value { buffer, length: 0 };
        match self {
            Self::Path(pattern) => {
                let path = request.path.ok_or(Absent::NoPath)?;
                value.extend(Decoded::of(pattern.taken(path)?))?;
            }
            Self::Query(name) => {
                request.path.ok_or(Absent::NoPath)?;
                let mut parts = request.query.unwrap_or_default().split(|byte| *byte == b'&');
                let found = parts.find_map(|part| {
                    let (own, value) = cut(part, b'=');
                    Decoded::of_query(own)
                        .eq(name.bytes())
                        .then_some(value.unwrap_or_default())
                });
                value.extend(Decoded::of_query(found.ok_or(Absent::NoParameter)?))?;
            }
            Self::Header(name) => {
                let mut pieces = request.values(name).flat_map(|value| value.split(|byte| *byte == b','));
                value.extend(trimmed(pieces.next().ok_or(Absent::NoField)?).iter().copied())?;
                for piece in pieces {
                    value.push(b',')?;
                    value.extend(trimmed(piece).iter().copied())?;
                }
            }
            Self::Cookie(name) => {
                let mut parts = request
                    .values("cookie")
                    .flat_map(|value| value.split(|byte| *byte == b';'));
                let found = parts.find_map(|part| match cut(trimmed(part), b'=') {
                    (own, value) if own == name.as_bytes() => value,
                    _ => None,
                });
                let found = match found.ok_or(Absent::NoCookie)? {
                    [b'"', inner @ .., b'"'] => inner,
                    other => other,
                };
                value.extend(found.iter().copied())?;
            }
        }
        Ok(value.length)
    }
}

impl PathPattern {
    /// Returns what the variable of a tag takes of a path, which begins with `/`.
    fn taken<'a>(&self, path: &'a [u8]) -> Result<&'a [u8], Absent> {
        if path.contains(&b'\\') {
            return Err(Absent::Backslash);
        }
        let path = path.get(1..).unwrap_or_default();
        let is_dots = |segment: &[u8]| {
            let dots = |dots: &[u8]| Decoded::of(segment).eq(dots.iter().copied());
            dots(b".") || dots(b"..")
        };
        if path.split(|byte| *byte == b'/').any(is_dots) {
            return Err(Absent::DotSegment);
        }
        let (mut rest, mut taken) = (Some(path), None);
        for segment in &self.0 {
            let text = rest.ok_or(Absent::NoMatch)?;
            let (own, after) = if segment.takes_rest() {
                (text, None)
            } else {
                cut(text, b'/')
            };
            match segment {
                Segment::Literal(literal) if !Decoded::of(own).eq(literal.bytes()) => return Err(Absent::NoMatch),
                Segment::Object | Segment::ObjectRest | Segment::Chunk => taken = Some(own),
                Segment::Literal(_) | Segment::Any | Segment::AnyRest => {}
            }
            rest = after;
        }
        taken.filter(|_| rest.is_none()).ok_or(Absent::NoMatch)
    }
}

/// A value that is written to a buffer.
struct Value<'b> {
    buffer: &'b mut [u8],
    length: usize,
}

impl Value<'_> {
    fn push(&mut self, byte: u8) -> Result<(), Absent> {
        *self.buffer.get_mut(self.length).ok_or(Absent::TooLong)? = byte;
        self.length = self.length.saturating_add(1);
        Ok(())
    }

    fn extend(&mut self, mut bytes: impl Iterator<Item = u8>) -> Result<(), Absent> {
        bytes.try_for_each(|byte| self.push(byte))
    }
}

/// A text whose `%` with two hex digits are the bytes that they stand for.
struct Decoded<'a> {
    rest: &'a [u8],
    /// What a `+` stands for.
    plus: u8,
}

impl<'a> Decoded<'a> {
    const fn of(text: &'a [u8]) -> Self {
        Self { rest: text, plus: b'+' }
    }

    /// In a query, a `+` is a space.
    const fn of_query(text: &'a [u8]) -> Self {
        Self { rest: text, plus: b' ' }
    }
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(match (first, rest) {
            (b'+', _) => self.plus,
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| {
                    char::from(*byte)
                        .to_digit(16)
                        .and_then(|digit| u8::try_from(digit).ok())
                };
                match (digit(high), digit(low)) {
                    (Some(high), Some(low)) => {
                        self.rest = after;
                        high << 4 | low
                    }
                    _ => b'%',
                }
            }
            (byte, _) => *byte,
        })
    }
}
