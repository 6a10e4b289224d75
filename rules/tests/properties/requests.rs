//! Object key and chunk of requests.

use ssa_oracle::{generate, generate_http, http, record};
use ssa_rules::{
    Chunk, HttpRequest, Record,
    http::{ChunkSource, KeySource, MAX_OBJECT_BYTES},
};
use ssa_testing::Draw;

/// What the crate finds in a request.
fn found(record: &Record, request: &http::Request) -> (Option<Vec<u8>>, Option<u64>) {
    let fields: Vec<(&[u8], &[u8])> = request
        .fields
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    let request = HttpRequest::new(request.target.as_deref(), &fields);
    let mut buffer = [0xa5; MAX_OBJECT_BYTES];
    let object = record.keys().find_object(&request, &mut buffer).map(<[u8]>::to_vec);
    // Source by source it is the same.
    let each = record.keys().object().iter();
    let first = each.filter_map(|source| source.find_object(&request, &mut buffer).map(<[u8]>::to_vec).ok());
    assert_eq!(first.take(1).next(), object);
    let chunk = record.keys().find_chunk(&request).ok().map(|Chunk(chunk)| chunk);
    (object, chunk)
}

/// Both find the same, and each finds something and nothing often enough.
#[test]
fn keys_of_requests_are_the_same() {
    let mut draw = Draw::new(41);
    let mut met = [[0; 2]; 6];
    for _ in 0..6_000 {
        let tags = generate_http::tags(&mut draw);
        let text = format!("v=ssa1; addr=rand:64; {}", tags.join("; "));
        let expected = record::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let record: Record = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        for _ in 0..4 {
            let request = generate_http::request(&mut draw, &expected.http);
            let expected = (
                http::object(&expected.http, &request),
                http::chunk_of(&expected.http, &request),
            );
            let found = found(&record, &request);
            let shown = || {
                let fields = request.fields.iter();
                let fields: Vec<String> = fields
                    .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
                    .collect();
                let target = request.target.as_deref().unwrap_or(b"(none)");
                format!("{text}: {} {fields:?}", target.escape_ascii())
            };
            assert_eq!(found, expected, "{}", shown());
            let kind = |source: &KeySource| match source {
                KeySource::Path(_) => 0,
                KeySource::Query(_) => 1,
                KeySource::Header(_) => 2,
                KeySource::Cookie(_) => 3,
            };
            if let [source] = record.keys().object() {
                met[kind(source)][usize::from(found.0.is_some())] += 1;
            }
            match record.keys().chunk() {
                Some(ChunkSource::Range(_)) => met[4][usize::from(found.1.is_some())] += 1,
                Some(ChunkSource::Key(_)) => met[5][usize::from(found.1.is_some())] += 1,
                None => {}
            }
        }
    }
    assert!(met.iter().flatten().all(|count| *count > 100), "{met:?}");
}

/// Tags of random text: both take the same ones, and what is printed is the same record.
#[test]
fn tags_that_are_usable_are_the_same() {
    let mut draw = Draw::new(42);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..6_000 {
        let mut tags = generate_http::tags(&mut draw).join("; ");
        if draw.percent(70) {
            tags = generate::broken(&mut draw, &tags);
        }
        let text = format!("v=ssa1; addr=rand:64; {tags}");
        let expected = record::parse(text.as_bytes());
        let found = text.parse::<Record>();
        assert_eq!(
            found.is_ok(),
            expected.is_ok(),
            "{text}: {found:?}, the oracle: {expected:?}"
        );
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                good += 1;
                crate::case::same_record(&found, &expected, &text);
                let printed = found.to_string();
                assert_eq!(
                    record::parse(printed.as_bytes()).as_ref(),
                    Ok(&expected),
                    "{text} prints {printed}"
                );
            }
            (Err(error), _) => {
                bad += 1;
                assert!(
                    error.faults.iter().all(|fault| fault.location.offset <= text.len()),
                    "{text}"
                );
            }
            _ => {}
        }
    }
    assert!(good > 1_500 && bad > 1_500, "{good} usable, {bad} unusable");
}
