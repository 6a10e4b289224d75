//! A request over HTTP, and what a record finds in it: `--request`, `--header`.

use std::ffi::OsString;

use serde_json::{Value, json};
use ssa_rules::{
    Chunk, HttpRequest, Record,
    http::{Absent, KeySource, MAX_OBJECT_BYTES},
};

use crate::failure::Faults;

/// The flags of a request.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct RequestArgs {
    /// A request over HTTP, in which each record finds object key and chunk by its tags obj and chunk; GET may be left out
    #[arg(long, value_name = "METHOD TARGET", conflicts_with_all = ["object", "chunk"])]
    pub(crate) request: Option<OsString>,
    /// A header field of the request, as curl takes it; may repeat
    #[arg(long, short = 'H', value_name = "NAME: VALUE", requires = "request")]
    pub(crate) header: Vec<OsString>,
}

/// A header field: its name and its value.
type Field = (Vec<u8>, Vec<u8>);

/// A request: its target and its header fields.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    target: Vec<u8>,
    fields: Vec<Field>,
}

/// What a record finds in a request.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) object: Option<Vec<u8>>,
    pub(crate) chunk: Option<Chunk>,
    /// Whether the record names any source of each.
    named: [bool; 2],
    /// What the sources of the object key gave, up to the first that gave it.
    tried: Vec<(String, Result<(), Absent>)>,
    /// The source of the chunk, and why it gave none.
    chunk_source: String,
    chunk_absent: Option<Absent>,
}

impl RequestArgs {
    /// Reads the flags, recording every fault.
    pub(super) fn read(&self, faults: &mut Faults) -> Option<Request> {
        let request = self.request.clone()?.into_encoded_bytes();
        let target = faults.take("--request", target(&request));
        let fields: Vec<_> = self
            .header
            .iter()
            .filter_map(|header| faults.take("--header", field(header.as_encoded_bytes())).flatten())
            .collect();
        Some(Request {
            target: target?,
            fields,
        })
    }
}

/// Returns the target of a request line, or of a target alone.
fn target(request: &[u8]) -> Result<Vec<u8>, String> {
    let shown = || request.escape_ascii();
    let bad = |why: &str| {
        Err(format!(
            "`{}` {why}; it is METHOD TARGET, such as 'GET /cas/x'",
            shown()
        ))
    };
    if request.iter().any(u8::is_ascii_control) {
        return bad("has control characters");
    }
    let words: Vec<&[u8]> = request.split(|byte| *byte == b' ').collect();
    let is_target = |word: &[u8]| word.starts_with(b"/") || word.windows(3).any(|part| part == b"://");
    match words[..] {
        [target] if is_target(target) => Ok(target.to_vec()),
        [method, target] | [method, target, b"HTTP/1.0" | b"HTTP/1.1" | b"HTTP/2"]
            if is_token(method) && !target.is_empty() =>
        {
            Ok(target.to_vec())
        }
        [method, _, _, ..] if is_token(method) => bad("has a blank in its target, where it is written %20"),
        _ => bad("is no request"),
    }
}

/// Returns a header field as curl takes it: `name: value`; `name;` has an empty value; `name:` is not sent.
fn field(header: &[u8]) -> Result<Option<Field>, String> {
    let shown = || header.escape_ascii();
    let at = header.iter().position(|byte| *byte == b':');
    let (name, value) = match (at, header.strip_suffix(b";")) {
        (Some(at), _) => header.split_at(at),
        (None, Some(name)) => (name, &b":"[..]),
        (None, None) => (&b""[..], &b""[..]),
    };
    if !is_token(name) {
        return Err(format!(
            "`{}` is not NAME: VALUE, with a name of letters, digits and ! # $ % & ' * + - . ^ _ ` | ~",
            shown()
        ));
    }
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(format!("`{}` has control characters", shown()));
    }
    let sent = at.is_none() || !value.trim_ascii().is_empty();
    Ok(sent.then(|| (name.to_vec(), value.to_vec())))
}

/// Returns whether a text is a token of RFC 9110, as methods and names of fields are.
fn is_token(text: &[u8]) -> bool {
    let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(of_token)
}

impl Request {
    /// Finds object key and chunk by a record.
    pub(crate) fn find(&self, record: &Record) -> Found {
        let fields: Vec<(&[u8], &[u8])> = self
            .fields
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        let request = HttpRequest::new(Some(&self.target), &fields);
        let mut buffer = [0; MAX_OBJECT_BYTES];
        let keys = record.keys();
        let object = keys.find_object(&request, &mut buffer).map(<[u8]>::to_vec);
        let mut tried = Vec::new();
        for source in keys.object() {
            let found = source.find_object(&request, &mut buffer).map(drop);
            tried.push((source.to_string(), found));
            if found.is_ok() {
                break;
            }
        }
        let chunk = keys.find_chunk(&request);
        Found {
            object,
            chunk: chunk.ok(),
            named: [!keys.object().is_empty(), keys.chunk().is_some()],
            tried,
            chunk_source: keys.chunk().map_or_else(String::new, ToString::to_string),
            chunk_absent: chunk.err(),
        }
    }
}

impl Found {
    /// Returns the object key and its source, or why there is none.
    pub(crate) fn object_text(&self) -> String {
        match (&self.object, self.tried.last()) {
            (Some(object), Some((source, _))) => format!("{}, by {source}", object.escape_ascii()),
            _ => format!("unknown: {}", self.why_no_object()),
        }
    }

    /// Returns why there is no object key.
    pub(crate) fn why_no_object(&self) -> String {
        if !self.named[0] {
            return "the record has no tag obj".into();
        }
        let absent = self.tried.iter().filter_map(|(source, found)| {
            let absent = found.err()?;
            Some(format!("{source}: {absent}"))
        });
        absent.collect::<Vec<_>>().join("; ")
    }

    /// Returns the chunk and its source, or why there is none.
    pub(crate) fn chunk_text(&self) -> String {
        match self.chunk {
            Some(chunk) => format!("{}, by {}", chunk.0, self.chunk_source),
            None => format!("unknown: {}", self.why_no_chunk()),
        }
    }

    /// Returns why there is no chunk.
    pub(crate) fn why_no_chunk(&self) -> String {
        match self.chunk_absent {
            Some(absent) if self.named[1] => format!("{}: {absent}", self.chunk_source),
            _ => "the record has no tag chunk".into(),
        }
    }

    /// Returns what was found by heading, as far as the record needs it or says where it is.
    pub(crate) fn lines(&self, record: &Record) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if self.named[0] || record.needs().object {
            lines.push(("object", self.object_text()));
        }
        if self.named[1] || record.needs().chunk {
            lines.push(("chunk", self.chunk_text()));
        }
        lines
    }

    /// Returns the same for programs. The object key is in hex, for it is any bytes.
    pub(crate) fn json(&self) -> Value {
        let hex = |bytes: &Vec<u8>| {
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
            digits.collect::<String>()
        };
        let reason = |known: bool, why: String| (!known).then_some(why);
        json!({
            "object_hex": self.object.as_ref().map(hex),
            "object_source": self.object.as_ref().and(self.tried.last()).map(|(source, _)| source),
            "object_unknown": reason(self.object.is_some(), self.why_no_object()),
            "chunk": self.chunk.map(|chunk| chunk.0),
            "chunk_unknown": reason(self.chunk.is_some(), self.why_no_chunk()),
        })
    }
}

/// Returns what sources give, for who reads a record.
pub(crate) fn sources_text(sources: &[KeySource]) -> String {
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    sources.join(", else ")
}
