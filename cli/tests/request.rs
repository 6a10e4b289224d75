//! Requests over HTTP: `--request` and `--header` of `compose`, `verify` and `explain`.

mod support;

use support::ssa;

const APL: [&str; 2] = ["--apl", "2:2001:db8:5::/64"];
const SOURCE: [&str; 2] = ["--source", "2001:db8:77::7"];
const CAS: &str = "v=ssa1; addr=hash(obj):10 const(0):54; obj=path:/cas/{obj},header:x-key,cookie:key";
const FILES: &str = "v=ssa1; addr=hash(obj,chunk):12 const(0):52; obj=path:/files/{obj...}; chunk=range:1048576";

fn compose(rule: &str, more: &[&str]) -> support::Run {
    ssa(&[&["compose"], &APL[..], &["--rule", rule], &SOURCE, more].concat())
}

fn composed(rule: &str, more: &[&str]) -> String {
    compose(rule, more).exits(0).stdout.trim().to_string()
}

#[test]
fn a_request_composes_what_its_object_key_does() {
    for (request, headers, object) in [
        ("GET /cas/ab%2Fcd?x=1", &[][..], "ab/cd"),
        ("/cas/ab%2Fcd", &[], "ab/cd"),
        ("GET http://h/cas/x HTTP/1.1", &[], "x"),
        ("POST /", &["X-Key: y"], "y"),
        ("POST /", &["X-Key:y", "x-key:z"], "y,z"),
        ("OPTIONS *", &["cookie: a=1; key=\"f00\""], "f00"),
        // As curl does: with a semicolon the field is sent empty, and with nothing after the colon it is not sent.
        ("GET /", &["x-key;", "cookie: key=k"], "k"),
        ("GET /", &["x-key:", "cookie: key=k"], "k"),
        ("CONNECT h:443", &["x-key: c"], "c"),
    ] {
        let mut more = vec!["--request", request];
        more.extend(headers.iter().flat_map(|header| ["-H", header]));
        assert_eq!(
            composed(CAS, &more),
            composed(CAS, &["--object", object]),
            "{request} {headers:?}"
        );
    }
    let ranged = [
        "--request",
        "GET /files/a/b",
        "--header",
        "Range: bytes=2097152-3145727",
    ];
    assert_eq!(
        composed(FILES, &ranged),
        composed(FILES, &["--object", "a/b", "--chunk", "2"])
    );
}

#[test]
fn what_is_unknown_says_which_source_gave_nothing_and_why() {
    let run = compose(CAS, &["--request", "GET /x", "-H", "x-key;"]).exits(2);
    for part in [
        "--request: no object key",
        "path:/cas/{obj}: the path does not match",
        "header:x-key: the value is empty",
        "cookie:key: there is no such cookie",
    ] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    for (rule, request, header, why) in [
        (CAS, "GET /cas/../x", "a: b", "a segment of the path is `.` or `..`"),
        (CAS, "GET /cas/a\\b", "a: b", "the path contains `\\`"),
        (CAS, "CONNECT h:443", "a: b", "the request's target has no path"),
        (
            FILES,
            "GET /files/a",
            "a: b",
            "no chunk: range:1048576: there is no such header field",
        ),
        (
            FILES,
            "GET /files/a",
            "range: bytes=0-1,4-5",
            "the value is not one range of bytes",
        ),
        (
            FILES,
            "GET /files/a",
            "range: bytes=0-1048576",
            "the range spans several chunks",
        ),
        (
            "v=ssa1; addr=hash(obj):10 const(0):54",
            "GET /cas/x",
            "a: b",
            "no object key: the record has no tag obj",
        ),
    ] {
        let run = compose(rule, &["--request", request, "--header", header]).exits(2);
        assert!(run.stderr.contains(why), "{request}: {}", run.stderr);
    }
    let long = format!("GET /cas/{}", "x".repeat(1025));
    let run = compose(CAS, &["--request", &long]).exits(2);
    assert!(run.stderr.contains("the value exceeds 1024 bytes"), "{}", run.stderr);
}

#[test]
fn a_request_that_is_none_is_refused() {
    for (request, why) in [
        ("", "is no request"),
        ("GET", "is no request"),
        ("cas/x", "is no request"),
        ("G(T /x", "is no request"),
        ("GET /a b", "blank in its target"),
        ("GET  /a", "blank in its target"),
        ("GET /a\n", "has control characters"),
    ] {
        let run = compose(CAS, &["--request", request]).exits(2);
        assert!(run.stderr.contains(why), "{request:?}: {}", run.stderr);
    }
    for header in [":path: /x", "no colon", "", ": x", "a b: c", "x-key: a\nb"] {
        let run = compose(CAS, &["--request", "GET /x", "-H", header]).exits(2);
        assert!(run.stderr.contains("--header"), "{header:?}: {}", run.stderr);
    }
    // An object key of its own beside a request, and a header without one.
    for more in [
        &["--request", "GET /cas/x", "--object", "x"][..],
        &["--request", "GET /cas/x", "--chunk", "1"],
        &["--header", "a: b"],
    ] {
        compose(CAS, more).exits(2);
    }
}

#[test]
fn verify_and_explain_find_keys_by_each_record() {
    // Two records, which find other keys in the same request.
    let other = "v=ssa1; addr=hash(obj):10 const(0):54; obj=query:k; from=5";
    let destination = composed(CAS, &["--object", "x"]);
    let ask = |request: &str| {
        let rules = ["--rule", CAS, "--rule", other, "--time", "1800000000", "--json"];
        let flow = ["--destination", &destination, "--request", request];
        ssa(&[&["verify"], &APL[..], &rules, &SOURCE, &flow].concat())
    };
    let document = ask("GET /cas/x?k=y").exits(0).json();
    assert_eq!(document["verdict"], "conforming");
    assert_eq!(document["from"], 0);
    assert_eq!(document["unchecked"], serde_json::json!([]));
    assert_eq!(document["request"]["object_hex"], "78");
    assert_eq!(document["request"]["object_source"], "path:/cas/{obj}");
    assert_eq!(document["records"][0]["verdict"], "violation");
    let document = ask("GET /cas/y?k=x").exits(0).json();
    assert_eq!(document["from"], 5);
    ask("GET /cas/y?k=z").exits(1);
    // What is unknown stays unchecked.
    let document = ask("GET /other").exits(0).json();
    assert_eq!(document["unchecked"], serde_json::json!(["field_0"]));
    let why = document["request"]["object_unknown"].as_str().expect("a reason");
    assert_eq!(why, "query:k: the query has no such parameter");

    let explained = ssa(&[
        &["explain", &destination],
        &APL[..],
        &["--rule", CAS, "--request", "GET /cas/x"],
    ]
    .concat());
    let explained = explained.exits(0).stdout;
    for line in [
        "object    in a request: path:/cas/{obj}, else header:x-key, else cookie:key",
        "object    x, by path:/cas/{obj}",
    ] {
        assert!(explained.contains(line), "{line} in {explained}");
    }
    ssa(&["verify", "--batch", "-", "--request", "GET /x"]).exits(2);
}
