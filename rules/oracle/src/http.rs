//! docs/spec-http.md: where a request's object key and chunk are.

use super::apl::number;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The segments of a pattern as they stand there.
    Path(Vec<String>),
    Query(String),
    Header(String),
    Cookie(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    Range(u64),
    Place(Place),
}

/// The tags `obj` and `chunk`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    pub obj: Vec<Place>,
    pub chunk: Option<Chunk>,
}

impl Place {
    /// The place as it stands in a record.
    pub fn text(&self) -> String {
        match self {
            Place::Path(segments) => format!("path:/{}", segments.join("/")),
            Place::Query(name) => format!("query:{name}"),
            Place::Header(name) => format!("header:{name}"),
            Place::Cookie(name) => format!("cookie:{name}"),
        }
    }
}

/// A request as it arrives.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub target: Option<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// `"obj=" source *( "," source )`
pub fn obj(value: &str) -> Result<Vec<Place>, String> {
    let mut places = Vec::new();
    for text in value.split(',') {
        places.push(place(text, true)?);
    }
    // "At most 4 sources."
    if places.len() > 4 {
        return Err(format!("{} sources", places.len()));
    }
    Ok(places)
}

/// `"chunk=" ( "range:" 1..2^53 | source )`
pub fn chunk(value: &str) -> Result<Chunk, String> {
    match value.strip_prefix("range:") {
        Some(n) => Ok(Chunk::Range(number(n, 1, 9_007_199_254_740_992)?)),
        None => Ok(Chunk::Place(place(value, false)?)),
    }
}

/// `source = "path:" pattern | "query:" name | "header:" name | "cookie:" name`
fn place(text: &str, of_obj: bool) -> Result<Place, String> {
    if let Some(pattern) = text.strip_prefix("path:") {
        return Ok(Place::Path(pattern_of(pattern, of_obj)?));
    }
    if let Some(name) = text.strip_prefix("query:") {
        return Ok(Place::Query(name_of(name)?));
    }
    if let Some(name) = text.strip_prefix("header:") {
        let name = name_of(name)?;
        // "of a header: lower case only"
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(format!("header {name:?} in upper case"));
        }
        // "`header:host` and `header:cookie` are faults."
        if name == "host" || name == "cookie" {
            return Err(format!("header {name:?}"));
        }
        return Ok(Place::Header(name));
    }
    if let Some(name) = text.strip_prefix("cookie:") {
        return Ok(Place::Cookie(name_of(name)?));
    }
    Err(format!("{text:?} is no source"))
}

/// `name = 1*64( a-z A-Z 0-9 - _ . )`
fn name_of(text: &str) -> Result<String, String> {
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if text.is_empty() || text.len() > 64 || !text.chars().all(|c| letters.contains(c)) {
        return Err(format!("name {text:?}"));
    }
    Ok(text.to_string())
}

/// `pattern = 1*( "/" segment )`, at most 16 segments
fn pattern_of(text: &str, of_obj: bool) -> Result<Vec<String>, String> {
    let mut segments: Vec<String> = text.split('/').map(str::to_string).collect();
    if segments.len() < 2 || !segments.remove(0).is_empty() {
        return Err(format!("pattern {text:?} without a slash first"));
    }
    if segments.len() > 16 {
        return Err(format!("{} segments", segments.len()));
    }
    let lits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~!$&'()*+=:@";
    for segment in &segments {
        let variable = ["{*}", "{obj}", "{chunk}", "{obj...}", "{*...}"].contains(&segment.as_str());
        if !variable && !segment.chars().all(|c| lits.contains(c)) {
            return Err(format!("segment {segment:?}"));
        }
    }
    let count = |wanted: &str| segments.iter().filter(|segment| *segment == wanted).count();
    let (objs, chunks) = (count("{obj}") + count("{obj...}"), count("{chunk}"));
    // "The patterns of obj have exactly one of {obj}, {obj...} and no {chunk}"
    if of_obj && (objs != 1 || chunks != 0) {
        return Err(format!("{objs} objects and {chunks} chunks in a pattern of obj"));
    }
    // "that of chunk has exactly one {chunk} and neither of them"
    if !of_obj && (chunks != 1 || objs != 0) {
        return Err(format!("{objs} objects and {chunks} chunks in a pattern of chunk"));
    }
    // "stand only as the last segment, and at most one of them"
    let last = segments.len() - 1;
    for segment in &segments[..last] {
        if segment.ends_with("...}") {
            return Err(format!("{segment} is not last"));
        }
    }
    Ok(segments)
}

/// "each `%` with two hex digits of either case becomes that byte, once; any other `%` stays"
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).unwrap_or(&[]);
        if text[at] == b'%' && digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit) {
            let digits = std::str::from_utf8(digits).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
            at += 3;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// Where a text is first found.
fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|at| bytes[*at..].starts_with(text))
}

/// Path and query.
pub fn split_target(target: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut target = target.to_vec();
    // "begins with a letter, then letters, digits, `+`, `-`, `.`, then `://`"
    if let Some(at) = find(&target, b"://") {
        let scheme = &target[..at];
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(c));
        if is_scheme {
            // "that, and all up to the first `/`, `?`, `#` or the end, is dropped"
            let mut rest = target[at + 3..].to_vec();
            while rest.first().is_some_and(|c| !b"/?#".contains(c)) {
                rest.remove(0);
            }
            // "if no `/` is then first, one is put there"
            if rest.first() != Some(&b'/') {
                rest.insert(0, b'/');
            }
            target = rest;
        }
    }
    // "The target is then cut at its first `#`."
    if let Some(at) = find(&target, b"#") {
        target.truncate(at);
    }
    // "A target that does not begin with `/` has neither"
    if target.first() != Some(&b'/') {
        return None;
    }
    Some(match find(&target, b"?") {
        Some(at) => (target[..at].to_vec(), Some(target[at + 1..].to_vec())),
        None => (target, None),
    })
}

fn split(bytes: &[u8], at: u8) -> Vec<Vec<u8>> {
    bytes.split(|c| *c == at).map(<[u8]>::to_vec).collect()
}

/// Without blanks at both ends.
fn trim(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while matches!(bytes.first(), Some(b' ' | b'\t')) {
        bytes.remove(0);
    }
    while matches!(bytes.last(), Some(b' ' | b'\t')) {
        bytes.pop();
    }
    bytes
}

/// The fields of one name, joined.
pub fn joined(request: &Request, name: &str) -> Option<Vec<u8>> {
    let mut values = Vec::new();
    for (own, value) in &request.fields {
        // "compared without regard to the case of ASCII letters"
        if own.to_ascii_lowercase() == name.as_bytes() {
            values.push(value.clone());
        }
    }
    if values.is_empty() {
        return None;
    }
    if name == "cookie" {
        // "those of `cookie` are joined by `; ` and nothing is removed"
        return Some(values.join(&b"; "[..]));
    }
    // "joined, in order, by `,`, and blanks around each `,` and at both ends are removed"
    let whole = values.join(&b","[..]);
    let parts: Vec<Vec<u8>> = split(&whole, b',').iter().map(|part| trim(part)).collect();
    Some(parts.join(&b","[..]))
}

/// The value of a place, before its length is looked at.
pub fn value(place: &Place, request: &Request) -> Option<Vec<u8>> {
    match place {
        Place::Path(pattern) => {
            let (path, _) = split_target(request.target.as_ref()?)?;
            matched(pattern, &path)
        }
        Place::Query(name) => {
            let (_, query) = split_target(request.target.as_ref()?)?;
            for part in split(&query?, b'&') {
                let part: Vec<u8> = part.iter().map(|c| if *c == b'+' { b' ' } else { *c }).collect();
                let (before, after) = match find(&part, b"=") {
                    Some(at) => (&part[..at], &part[at + 1..]),
                    None => (&part[..], &[][..]),
                };
                if decode(before) == name.as_bytes() {
                    return Some(decode(after));
                }
            }
            None
        }
        Place::Header(name) => joined(request, name),
        Place::Cookie(name) => {
            for part in split(&joined(request, "cookie")?, b';') {
                let part = trim(&part);
                // "the first part with an `=`"
                let Some(at) = find(&part, b"=") else { continue };
                if &part[..at] == name.as_bytes() {
                    let value = part[at + 1..].to_vec();
                    // "without one pair of surrounding `"` if both are there"
                    if value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"") {
                        return Some(value[1..value.len() - 1].to_vec());
                    }
                    return Some(value);
                }
            }
            None
        }
    }
}

fn matched(pattern: &[String], path: &[u8]) -> Option<Vec<u8>> {
    // "split the path at `/` after the first one"
    let segments = split(&path[1..], b'/');
    // "A path that contains the byte `\` itself, or a segment whose D as a whole is `.` or `..`"
    if path.contains(&b'\\') {
        return None;
    }
    for segment in &segments {
        if [&b"."[..], b".."].contains(&decode(segment).as_slice()) {
            return None;
        }
    }
    let rest = pattern.last().is_some_and(|last| last.ends_with("...}"));
    if rest && segments.len() < pattern.len() || !rest && segments.len() != pattern.len() {
        return None;
    }
    let mut found = None;
    for (place, wanted) in pattern.iter().enumerate() {
        match wanted.as_str() {
            "{*}" | "{*...}" => {}
            "{obj}" | "{chunk}" => found = Some(decode(&segments[place])),
            "{obj...}" => found = Some(decode(&segments[place..].join(&b"/"[..]))),
            literal => {
                if decode(&segments[place]) != literal.as_bytes() {
                    return None;
                }
            }
        }
    }
    found
}

/// "the value of the first source, in the order written, that gives 1 to 1024 bytes"
pub fn object(tags: &Tags, request: &Request) -> Option<Vec<u8>> {
    for place in &tags.obj {
        let value = value(place, request).unwrap_or_default();
        if (1..=1024).contains(&value.len()) {
            return Some(value);
        }
    }
    None
}

/// "1 to 20 decimal digits, leading zeros allowed, below 2^64"
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut value = 0u128;
    for digit in text {
        value = value * 10 + u128::from(digit - b'0');
    }
    u64::try_from(value).ok()
}

pub fn chunk_of(tags: &Tags, request: &Request) -> Option<u64> {
    let n = match tags.chunk.as_ref()? {
        Chunk::Place(place) => return digits(&value(place, request)?),
        Chunk::Range(n) => *n,
    };
    let (a, b) = match joined(request, "range") {
        Some(range) => {
            // "`bytes=a-b` or `bytes=a-`"
            let rest = after_bytes(&range, b'=')?;
            let at = find(&rest, b"-")?;
            let b = &rest[at + 1..];
            (digits(&rest[..at])?, if b.is_empty() { None } else { Some(digits(b)?) })
        }
        None => {
            // "`bytes`, one space, `a-b/`, and `*` or one or more digits whose number is not looked at"
            let rest = after_bytes(&joined(request, "content-range")?, b' ')?;
            let slash = find(&rest, b"/")?;
            let size = &rest[slash + 1..];
            let all_digits = !size.is_empty() && size.iter().all(u8::is_ascii_digit);
            if size != b"*" && !all_digits {
                return None;
            }
            let range = &rest[..slash];
            let at = find(range, b"-")?;
            (digits(&range[..at])?, Some(digits(&range[at + 1..])?))
        }
    };
    match b {
        Some(b) if b < a => None,
        Some(b) if b / n != a / n => None,
        _ => Some(a / n),
    }
}

/// "`bytes` in any case"
fn after_bytes(text: &[u8], then: u8) -> Option<Vec<u8>> {
    if text.len() < 6 || !text[..5].eq_ignore_ascii_case(b"bytes") || text[5] != then {
        return None;
    }
    Some(text[6..].to_vec())
}
