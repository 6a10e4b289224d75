//! Object key and chunk of requests, against the oracle.

use ssa_rules::{Chunk, HttpRequest, Record, http::MAX_OBJECT_BYTES};

/// Lines: the tags `obj` and `chunk`, the request's target, then header fields as `name:value`.
pub fn request(data: &[u8]) -> bool {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut text = b"v=ssa1; addr=rand:64; ".to_vec();
    text.extend(lines.next().unwrap_or_default());
    let (record, expected) = (Record::from_bytes(&text), ssa_oracle::record::parse(&text));
    let (Ok(record), Ok(tags)) = (record, expected.map(|record| record.http)) else {
        // The target `record` compares which records are usable.
        return false;
    };
    let request = ssa_oracle::http::Request {
        target: lines.next().map(<[u8]>::to_vec),
        fields: lines.filter_map(field).collect(),
    };
    let object = ssa_oracle::http::object(&tags, &request);
    let chunk = ssa_oracle::http::chunk_of(&tags, &request);

    let fields: Vec<(&[u8], &[u8])> = request
        .fields
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    let seen = HttpRequest::new(request.target.as_deref(), &fields);
    let mut buffer = [0xa5; MAX_OBJECT_BYTES];
    let shown = data.escape_ascii();
    assert_eq!(
        record.keys().find_object(&seen, &mut buffer),
        object.as_deref(),
        "{shown}"
    );
    assert_eq!(record.keys().find_chunk(&seen).ok(), chunk.map(Chunk), "{shown}");
    object.is_some() || chunk.is_some()
}

fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = line.iter().position(|byte| *byte == b':')?;
    Some((line[..at].to_vec(), line[at + 1..].to_vec()))
}
