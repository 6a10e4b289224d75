//! The grammar of the tags `obj` and `chunk` (docs/spec-http.md §1).

use alloc::vec::Vec;

use super::{fault::Problem, parse::Parser, piece::Piece};
use crate::http::{ChunkSource, KeySource, MAX_CHUNK_BYTES, MAX_NAME, MAX_SEGMENTS, MAX_SOURCES, PathPattern, Segment};

/// The names of query parameters and cookies.
const NAMES: &str = "1 to 64 of a-z A-Z 0-9 - _ .";

/// The names of header fields.
const FIELD_NAMES: &str = "1 to 64 of a-z 0-9 - _ .";

/// A tag whose sources are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Object,
    Chunk,
}

impl Tag {
    const fn name(self) -> &'static str {
        match self {
            Self::Object => "obj",
            Self::Chunk => "chunk",
        }
    }
}

/// A place in a tag: the tag, and the number of the source where it has several.
type Place = (Tag, Option<usize>);

impl Parser<'_> {
    /// Reads the sources of the object key. A faulty one is left out; the record is unusable anyway.
    pub(super) fn object_sources(&mut self, value: Piece<'_>) -> Vec<KeySource> {
        let sources = value.split(|c| c == ',').count();
        if sources > MAX_SOURCES {
            self.fault("obj", value, Problem::TooManySources { sources });
        }
        let words = value.split(|c| c == ',').enumerate();
        words
            .filter_map(|(index, word)| self.key_source((Tag::Object, Some(index)), word))
            .collect()
    }

    /// Reads the source of the chunk.
    pub(super) fn chunk_source(&mut self, value: Piece<'_>) -> Option<ChunkSource> {
        if let Some(size) = value.strip_prefix("range:") {
            return self
                .number("chunk", None, size, 1, MAX_CHUNK_BYTES)
                .map(ChunkSource::Range);
        }
        self.key_source((Tag::Chunk, None), value).map(ChunkSource::Key)
    }

    fn at(&mut self, (tag, index): Place, at: Piece<'_>, problem: Problem) {
        self.fault_in(tag.name(), index, at, problem);
    }

    fn key_source(&mut self, place: Place, word: Piece<'_>) -> Option<KeySource> {
        let (kind, rest) = word.split_once(':').unwrap_or((word, word));
        let name = |parser: &mut Self, allowed| parser.source_name(place, rest, allowed);
        match kind.text {
            _ if kind.text.len() == word.text.len() => {}
            "path" => return self.pattern(place, rest).map(KeySource::Path),
            "query" => return name(self, NAMES).then(|| KeySource::Query(rest.text.into())),
            "cookie" => return name(self, NAMES).then(|| KeySource::Cookie(rest.text.into())),
            "header" => {
                if let Some(name) = ["cookie", "host"].into_iter().find(|name| *name == rest.text) {
                    self.at(place, word, Problem::HeaderSource { name });
                    return None;
                }
                return name(self, FIELD_NAMES).then(|| KeySource::Header(rest.text.into()));
            }
            _ => {}
        }
        let (text, chunk) = (word.text.into(), place.0 == Tag::Chunk);
        self.at(place, word, Problem::KeySource { text, chunk });
        None
    }

    /// Returns whether the name of a source is allowed; upper case is where `allowed` has it.
    fn source_name(&mut self, place: Place, name: Piece<'_>, allowed: &'static str) -> bool {
        let upper = allowed.contains("A-Z");
        let fits = |b: u8| match b {
            b'A'..=b'Z' => upper,
            _ => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'),
        };
        let well_formed = (1..=MAX_NAME).contains(&name.text.len()) && name.text.bytes().all(fits);
        if !well_formed {
            let text = name.text.into();
            self.at(place, name, Problem::Name { text, allowed });
        }
        well_formed
    }

    fn pattern(&mut self, place: Place, text: Piece<'_>) -> Option<PathPattern> {
        let Some(segments) = text.strip_prefix("/") else {
            let problem = Problem::Pattern { text: text.text.into() };
            self.at(place, text, problem);
            return None;
        };
        let count = segments.split(|c| c == '/').count();
        if count > MAX_SEGMENTS {
            self.at(place, text, Problem::TooManySegments { segments: count });
        }
        let mut found = Vec::new();
        for (index, piece) in segments.split(|c| c == '/').enumerate() {
            let segment = segment(piece.text);
            match &segment {
                None => {
                    let problem = Problem::Segment {
                        text: piece.text.into(),
                    };
                    self.at(place, piece, problem);
                }
                Some(segment) if segment.takes_rest() && index.saturating_add(1) < count => {
                    self.at(place, piece, Problem::RestNotLast);
                }
                Some(_) => {}
            }
            found.push(segment);
        }
        let found: Vec<Segment> = found.into_iter().collect::<Option<_>>()?;
        let of_object = |segment: &&Segment| matches!(segment, Segment::Object | Segment::ObjectRest);
        let of_chunk = |segment: &&Segment| **segment == Segment::Chunk;
        let (objects, chunks) = (
            found.iter().filter(of_object).count(),
            found.iter().filter(of_chunk).count(),
        );
        let chunk = place.0 == Tag::Chunk;
        let (own, other) = if chunk { (chunks, objects) } else { (objects, chunks) };
        if (own, other) != (1, 0) {
            self.at(place, text, Problem::PatternVariables { chunk });
            return None;
        }
        Some(PathPattern(found))
    }
}

fn segment(text: &str) -> Option<Segment> {
    let literal = |b: u8| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+=:@".contains(&b);
    if let Some(variable) = Segment::variable(text) {
        return Some(variable);
    }
    text.bytes().all(literal).then(|| Segment::Literal(text.into()))
}
