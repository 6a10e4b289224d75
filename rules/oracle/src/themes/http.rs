//! docs/spec-http.md: object key and chunk of requests.

use serde_json::{Map, Value, json};

use super::Cases;

type Fields<'a> = &'a [(&'a str, &'a str)];

impl Cases {
    fn extract(&mut self, note: &str, tags: &str, target: Option<&str>, fields: Fields<'_>, expect: Value) {
        let mut case = Map::new();
        let rule = format!("v=ssa1; addr=hash(obj,chunk):12 const(0):52; {tags}");
        case.insert("rule".into(), json!(rule));
        if let Some(target) = target {
            case.insert("path".into(), json!(target));
        }
        case.insert("headers".into(), json!(fields));
        self.push(note, "extract", case, Some(expect));
    }

    /// Requests by their targets alone; an empty object is none.
    fn targets(&mut self, note: &str, tags: &str, cases: &[(&str, &str)]) {
        for (target, object) in cases {
            self.extract(note, tags, Some(target), &[], object_alone(object));
        }
    }

    fn fields(&mut self, note: &str, tags: &str, cases: &[(Fields<'_>, &str)]) {
        for (fields, object) in cases {
            self.extract(note, tags, Some("/"), fields, object_alone(object));
        }
    }

    fn chunks(&mut self, note: &str, tags: &str, cases: &[(Fields<'_>, Option<u64>)]) {
        for (fields, chunk) in cases {
            let expect = json!({"object": null, "chunk": chunk});
            self.extract(note, tags, Some("/"), fields, expect);
        }
    }
}

fn object_alone(object: &str) -> Value {
    let hex = crate::apl::hex(object.as_bytes());
    let object = (!object.is_empty()).then_some(hex);
    json!({"object": object, "chunk": null})
}

pub(super) fn http() -> Cases {
    let mut c = Cases::default();
    targets(&mut c);
    paths(&mut c);
    queries(&mut c);
    headers(&mut c);
    cookies(&mut c);
    objects(&mut c);
    chunks(&mut c);
    ranges(&mut c);
    c
}

fn targets(c: &mut Cases) {
    let rest = "obj=path:/{obj...},query:k";
    c.targets(
        "http 2: absolute form: scheme and authority are dropped",
        rest,
        &[
            ("http://h/a", "a"),
            ("HTTPS://h:8443/a/b", "a/b"),
            ("http://user:pw@[2001:db8::1]:80/a", "a"),
            ("x://h/a", "a"),
            ("a1+b-c.d://h/a", "a"),
            ("http:///a", "a"),
            ("http:////a", "/a"),
            ("http://h//a", "/a"),
            ("http://h/a?k=v", "a"),
            ("http://h/a#b", "a"),
            ("ftp://h/http://i/b", "http://i/b"),
            ("http://a%2Fb/c", "c"),
            ("http://a\\b/c", "c"),
        ],
    );
    c.targets(
        "http 2: absolute form: a / is put where none is first",
        "obj=query:k,path:/{*}/{obj}",
        &[
            ("http://h?k=1", "1"),
            ("http://h", ""),
            ("http://", ""),
            ("http://#?k=1", ""),
            ("http://h#/a/b", ""),
            ("http://?k=1", "1"),
            ("http://h?k=/a/b", "/a/b"),
            ("http://h?x#/a/b", ""),
        ],
    );
    c.targets(
        "http 2: nothing else is absolute form",
        rest,
        &[
            ("1http://h/a", ""),
            ("+http://h/a", ""),
            ("ht_tp://h/a", ""),
            ("http:/h/a", ""),
            ("http:h/a", ""),
            ("://h/a", ""),
            ("h://", ""),
            (" http://h/a", ""),
            ("ht%74p://h/a", ""),
            ("/http://h/a", "http://h/a"),
            ("//h/a", "/h/a"),
            ("/x?k=http://h/a", "x"),
            ("a?b://c/d", ""),
        ],
    );
    c.targets(
        "http 2: what does not begin with / has neither path nor query",
        rest,
        &[
            ("*", ""),
            ("h:443", ""),
            ("h", ""),
            ("a/b", ""),
            ("?k=1", ""),
            ("#/a", ""),
            ("", ""),
            ("%2Fa", ""),
            ("\\a", ""),
            ("*?k=1", ""),
        ],
    );
    c.extract("http 2: an absent target", rest, None, &[], object_alone(""));
    c.extract(
        "http 2: an absent target has fields all the same",
        "obj=path:/{obj},header:k; chunk=range:5",
        None,
        &[("k", "v"), ("range", "bytes=7-8")],
        json!({"object": "76", "chunk": 1}),
    );
    c.targets(
        "http 2: the target is cut at its first #",
        rest,
        &[
            ("/a#b", "a"),
            ("/a#b#c", "a"),
            ("/#a", ""),
            ("/a%23b", "a#b"),
            ("/a#?k=1", "a"),
            ("/?k=1#2", "1"),
            ("/?k=#2", ""),
            ("/?#k=2", ""),
        ],
    );
    c.targets(
        "http 2: the path ends at the first ?",
        rest,
        &[("/a?b?c", "a"), ("/a%3Fb", "a?b"), ("/?k=a?b", "a?b"), ("/a/?", "a/")],
    );
}

fn paths(c: &mut Cases) {
    c.targets(
        "http 2: segments are split at every / after the first",
        "obj=path:/{*}/{obj}",
        &[
            ("/a/b", "b"),
            ("//b", "b"),
            ("/a/", ""),
            ("//", ""),
            ("/a", ""),
            ("/a/b/", ""),
            ("/a//b", ""),
            ("/a/b/c", ""),
            ("/", ""),
            ("/a%2Fb", ""),
            ("/a%2Fb/c", "c"),
        ],
    );
    c.targets(
        "http 2: / has one segment, an empty one",
        "obj=path:/{obj}",
        &[("/", ""), ("/a", "a")],
    );
    c.targets(
        "http 2: empty segments of a pattern are literals",
        "obj=path://a/{obj}/",
        &[
            ("//a/x/", "x"),
            ("/a/x/", ""),
            ("//a/x", ""),
            ("///a/x/", ""),
            ("//a/x//", ""),
            ("//a//", ""),
        ],
    );
    c.targets(
        "http 2: a literal equals D of the segment",
        "obj=path:/a+b~/{obj}",
        &[
            ("/a+b~/x", "x"),
            ("/a%2Bb%7E/x", "x"),
            ("/a%2bb%7e/x", "x"),
            ("/%61+b~/x", "x"),
            ("/a b~/x", ""),
            ("/a%20b~/x", ""),
            ("/A+b~/x", ""),
            ("/a+b~%/x", ""),
            ("/a%252Bb~/x", ""),
            ("/a+b~%2F/x", ""),
        ],
    );
    c.targets(
        "http 2: variables written as text are text in a path",
        "obj=path:/{*}/{obj}",
        &[("/{*}/{obj}", "{obj}"), ("/x/{obj...}", "{obj...}")],
    );
    c.targets(
        "http 2: D is done once",
        "obj=path:/{obj}",
        &[
            ("/%2541", "%41"),
            ("/%25%34%31", "%41"),
            ("/%41%4a%4A", "AJJ"),
            ("/%", "%"),
            ("/%4", "%4"),
            ("/%4g", "%4g"),
            ("/%%41", "%A"),
            ("/%g1%41", "%g1A"),
            ("/%2", "%2"),
            ("/a%2Fb", "a/b"),
            ("/a+b", "a+b"),
            ("/%00", "\0"),
            ("/%C3%A9", "é"),
            ("/é", "é"),
        ],
    );
    c.targets(
        "http 2: a path with the byte \\ matches nothing",
        "obj=path:/{obj...}",
        &[
            ("/a\\b", ""),
            ("/a/\\", ""),
            ("/a/b?\\", "a/b"),
            ("/a#\\", "a"),
            ("/a%5Cb", "a\\b"),
            ("/a%5cb", "a\\b"),
        ],
    );
    c.targets(
        "http 2: a segment that is . or .. after D matches nothing",
        "obj=path:/{obj...}",
        &[
            ("/.", ""),
            ("/..", ""),
            ("/a/.", ""),
            ("/a/../b", ""),
            ("/%2e", ""),
            ("/%2E.", ""),
            ("/a/.%2e/b", ""),
            ("/./a", ""),
            ("/a/%2e%2E", ""),
            ("/...", "..."),
            ("/.a", ".a"),
            ("/a.", "a."),
            ("/a..", "a.."),
            ("/a/.b/..c", "a/.b/..c"),
            ("/a%2F..%2Fb", "a/../b"),
            ("/%252e", "%2e"),
            ("/a?x=/../", "a"),
            ("/. ", ". "),
        ],
    );
    c.targets(
        "http 2: also where the pattern has a variable or a literal there",
        "obj=path:/{*}/{obj},path:/./{obj},path:/x/{obj}/{*...}",
        &[("/./a", ""), ("/../a", ""), ("/x/a/..", ""), ("/x/a/b/%2e/c", "")],
    );
    c.targets(
        "http 2: {obj...} takes one segment or more, slashes included",
        "obj=path:/b/{obj...}",
        &[
            ("/b/a", "a"),
            ("/b/a/c", "a/c"),
            ("/b/a/", "a/"),
            ("/b/", ""),
            ("/b//", "/"),
            ("/b", ""),
            ("/b/a%2Fc//d", "a/c//d"),
            ("/b/%2/Fa", "%2/Fa"),
            ("/b/9%20b.bin", "9 b.bin"),
            ("/c/a", ""),
        ],
    );
    c.targets(
        "http 2: {*...} takes one segment or more",
        "obj=path:/{obj}/{*...}",
        &[
            ("/a/b", "a"),
            ("/a/b/c", "a"),
            ("/a/", "a"),
            ("/a", ""),
            ("//b", ""),
            ("/a/b/../c", ""),
        ],
    );
    c.targets(
        "http 2: {*} takes one segment, of any length",
        "obj=path:/{*}/{obj}/{*}",
        &[("/a/b/c", "b"), ("//b/", "b"), ("/a/b", ""), ("/a/b/c/d", "")],
    );
}

fn queries(c: &mut Cases) {
    c.targets(
        "http 2: the first part of the name",
        "obj=query:k",
        &[
            ("/?k=1&k=2", "1"),
            ("/?a=1&k=2", "2"),
            ("/?k=&k=2", ""),
            ("/?k&k=2", ""),
            ("/?K=1", ""),
            ("/?kk=1&k", ""),
            ("/?&&k=1", "1"),
            ("/?=k", ""),
            ("/?k=1;k=2", "1;k=2"),
            ("/?a=1;k=2", ""),
            ("/", ""),
            ("/?", ""),
            ("/k=1", ""),
            ("/?k=a=b", "a=b"),
            ("/?k==", "="),
            ("/?k=1&", "1"),
            ("/?amp;k=1", ""),
        ],
    );
    c.targets(
        "http 2: + is a space, then D, of name and value",
        "obj=query:a.b",
        &[
            ("/?a%2Eb=1", "1"),
            ("/?%61.b=1", "1"),
            ("/?a.b=x+y", "x y"),
            ("/?a.b=x%2By", "x+y"),
            ("/?a.b=x%20y", "x y"),
            ("/?a.b=%26%3D", "&="),
            ("/?a.b%3D1", ""),
            ("/?a.b%3D=1", ""),
            ("/?a%252Eb=1", ""),
            ("/?+a.b=1", ""),
            ("/?a.b=%2541", "%41"),
            ("/?a.b=%+1", "% 1"),
            ("/?a.b=%4", "%4"),
        ],
    );
    c.targets(
        "http 2: a path that matches no pattern has a query all the same",
        "obj=query:k",
        &[("/a/../b?k=1", "1"), ("/a\\b?k=1", "1"), ("//?k=1", "1")],
    );
}

fn headers(c: &mut Cases) {
    c.fields(
        "http 2: field names in any case",
        "obj=header:x-k",
        &[
            (&[("X-K", "v")], "v"),
            (&[("x-K", "v")], "v"),
            (&[("x_k", "v")], ""),
            (&[("x-k ", "v")], ""),
            (&[("x-kk", "v"), ("x", "w")], ""),
            (&[], ""),
        ],
    );
    c.fields(
        "http 2: fields of one name are joined by a comma, without blanks around it",
        "obj=header:k",
        &[
            (&[("k", "a"), ("k", "b")], "a,b"),
            (&[("k", "a"), ("x", "c"), ("K", "b")], "a,b"),
            (&[("k", " a "), ("k", "\tb\t")], "a,b"),
            (&[("k", "a , b\t,c")], "a,b,c"),
            (&[("k", "a"), ("k", "")], "a,"),
            (&[("k", ""), ("k", "a")], ",a"),
            (&[("k", ""), ("k", "")], ","),
            (&[("k", " , ")], ","),
            (&[("k", "a, ,b")], "a,,b"),
            (&[("k", "a b")], "a b"),
            (&[("k", "  a  b  ")], "a  b"),
            (&[("k", "")], ""),
            (&[("k", " \t ")], ""),
            (&[("k", "\"a\"")], "\"a\""),
            (&[("k", "%41+")], "%41+"),
            (&[("k", "\u{a0}a")], "\u{a0}a"),
        ],
    );
    c.fields(
        "http 2: a field like any other",
        "obj=header:range",
        &[
            (&[("Range", "bytes=0-1, 2-3")], "bytes=0-1,2-3"),
            (&[("content-range", "bytes 0-1/2")], ""),
        ],
    );
}

fn cookies(c: &mut Cases) {
    c.fields(
        "http 2: the first part with an = and exactly this name",
        "obj=cookie:k",
        &[
            (&[("cookie", "k=1; k=2")], "1"),
            (&[("cookie", "a=0; k=2")], "2"),
            (&[("cookie", "k; k=2")], "2"),
            (&[("cookie", "k=; k=2")], ""),
            (&[("cookie", "K=1")], ""),
            (&[("cookie", "k =1")], ""),
            (&[("cookie", "%6B=1")], ""),
            (&[("cookie", "kk=1;k=2")], "2"),
            (&[("cookie", "=k; k=2")], "2"),
            (&[("cookie", "a=k=1")], ""),
            (&[("cookie", "k=a=b")], "a=b"),
            (&[("cookie", ";;\t k=1 \t;")], "1"),
            (&[("cookie", "a=1,k=2")], ""),
            (&[("cookie", "k=1,2")], "1,2"),
            (&[("cookie", "")], ""),
            (&[("set-cookie", "k=1")], ""),
            (&[], ""),
        ],
    );
    c.fields(
        "http 2: fields are joined by ; and a blank",
        "obj=cookie:k",
        &[
            (&[("cookie", "a=1"), ("Cookie", "k=2")], "2"),
            (&[("cookie", "k=1"), ("cookie", "k=2")], "1"),
            (&[("cookie", "k=\"a"), ("cookie", "b\"")], "\"a"),
            (&[("cookie", "a"), ("cookie", "=k=1")], ""),
            (&[("cookie", ""), ("cookie", "k=1")], "1"),
        ],
    );
    c.fields(
        "http 2: without one pair of quotes, and no D",
        "obj=cookie:k",
        &[
            (&[("cookie", "k=\"v\"")], "v"),
            (&[("cookie", "k=\"\"v\"\"")], "\"v\""),
            (&[("cookie", "k=\"\"")], ""),
            (&[("cookie", "k=\"")], "\""),
            (&[("cookie", "k=\"v")], "\"v"),
            (&[("cookie", "k=v\"")], "v\""),
            (&[("cookie", "k=\" v \"")], " v "),
            (&[("cookie", "k= v")], " v"),
            (&[("cookie", "k= \"v\"")], " \"v\""),
            (&[("cookie", "k=%41+b")], "%41+b"),
            (&[("cookie", "k=\"a;b\"")], "\"a"),
        ],
    );
}

fn objects(c: &mut Cases) {
    let note = "http 2: the first source that gives 1 to 1024 bytes";
    let tags = "obj=header:x-tenant,query:tenant,cookie:tenant,path:/t/{obj}";
    let mut ask = |target: &str, fields: Fields<'_>, object: &str| {
        c.extract(note, tags, Some(target), fields, object_alone(object));
    };
    ask("/?tenant=acme", &[], "acme");
    ask("/?tenant=acme", &[("x-tenant", "first")], "first");
    ask("/?tenant=acme", &[("x-tenant", " ")], "acme");
    ask("/t/p?tenant=", &[("cookie", "tenant=c")], "c");
    ask("/t/p?tenant=", &[("cookie", "tenant=\"\"")], "p");
    ask("/t/", &[("cookie", "tenant=\"\"")], "");
    let long = |count: usize| "x".repeat(count);
    ask("/?tenant=q", &[("x-tenant", &long(1024))], &long(1024));
    ask("/?tenant=q", &[("x-tenant", &long(1025))], "q");
    ask("/?tenant=q", &[("x-tenant", &format!(" {} ", long(1024)))], &long(1024));
    ask("/?tenant=q", &[("x-tenant", &long(1000)), ("x-tenant", &long(24))], "q");
    ask(
        "/?tenant=q",
        &[("x-tenant", &long(1000)), ("x-tenant", &long(23))],
        &format!("{},{}", long(1000), long(23)),
    );
    ask(&format!("/?tenant={}", long(1025)), &[("cookie", "tenant=c")], "c");
    ask(&format!("/t/{}", "%41".repeat(1024)), &[], &"A".repeat(1024));
    ask(&format!("/t/{}", "%41".repeat(1025)), &[], "");
    ask("/t/p", &[("cookie", &format!("tenant={}", long(1025)))], "p");
    ask(
        "/t/p",
        &[("cookie", &format!("tenant=\"{}\"", long(1024)))],
        &long(1024),
    );
    c.targets(
        "http 1: without the tag obj there is no object key",
        "chunk=query:n",
        &[("/a?x=1", "")],
    );
}

fn chunks(c: &mut Cases) {
    let most = "18446744073709551615";
    let note = "http 2: 1 to 20 digits below 2^64";
    let numbers: [(&str, Option<u64>); 16] = [
        ("0", Some(0)),
        ("7", Some(7)),
        ("007", Some(7)),
        ("00000000000000000007", Some(7)),
        ("000000000000000000007", None),
        (most, Some(u64::MAX)),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("0x1", None),
        ("1,2", None),
        ("1 2", None),
        ("a", None),
    ];
    for (text, chunk) in numbers {
        c.chunks(note, "chunk=header:n", &[(&[("n", text)], chunk)]);
        c.chunks(note, "chunk=cookie:n", &[(&[("cookie", &format!("n={text}"))], chunk)]);
    }
    c.chunks(
        note,
        "chunk=header:n",
        &[
            (&[("n", " 7 ")], Some(7)),
            (&[("n", "7"), ("n", "7")], None),
            (&[("n", "7"), ("n", "")], None),
            (&[], None),
        ],
    );
    c.chunks(
        note,
        "chunk=cookie:n",
        &[(&[("cookie", "n=\"7\"")], Some(7)), (&[("cookie", "n=; n=7")], None)],
    );
    for (target, chunk) in [
        ("/f/7", Some(7)),
        ("/f/%37", Some(7)),
        ("/f/%2B7", None),
        ("/f/", None),
        ("/g/7", None),
        ("/f/7/8", None),
        ("/f/..", None),
    ] {
        let expect = json!({"object": null, "chunk": chunk});
        c.extract(note, "chunk=path:/f/{chunk}", Some(target), &[], expect);
    }
    for (target, chunk) in [
        ("/?n=7", Some(7)),
        ("/?n=%37", Some(7)),
        ("/?n=+7", None),
        ("/?n=&n=7", None),
        ("/?n", None),
    ] {
        let expect = json!({"object": null, "chunk": chunk});
        c.extract(note, "chunk=query:n", Some(target), &[], expect);
    }
    c.extract(
        "http 2: an unknown chunk leaves the object key known, and the other way round",
        "obj=path:/{obj}; chunk=query:n",
        Some("/a?n=x"),
        &[],
        json!({"object": "61", "chunk": null}),
    );
    c.extract(
        "http 2: an unknown chunk leaves the object key known, and the other way round",
        "obj=path:/{obj}; chunk=query:n",
        Some("/a/b?n=1"),
        &[],
        json!({"object": null, "chunk": 1}),
    );
}

fn ranges(c: &mut Cases) {
    let note = "http 2: range: bytes=a-b or bytes=a-";
    for (value, chunk) in [
        ("bytes=0-9", Some(0)),
        ("bytes=10-19", Some(1)),
        ("bytes=10-10", Some(1)),
        ("bytes=10-", Some(1)),
        ("bytes=9-10", None),
        ("bytes=0-10", None),
        ("bytes=5-4", None),
        ("bytes=15-14", None),
        ("BYTES=0-1", Some(0)),
        ("bYtEs=0-1", Some(0)),
        (" bytes=0-1\t", Some(0)),
        ("bytes =0-1", None),
        ("bytes= 0-1", None),
        ("bytes=0 -1", None),
        ("bytes=0- 1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=0-1,", None),
        (",bytes=0-1", None),
        ("bytes=0-1, 2-3", None),
        ("bytes=-5", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=5", None),
        ("bytes=5-6-7", None),
        ("bytes=0-1/2", None),
        ("bytes 0-1", None),
        ("byte=0-1", None),
        ("items=0-1", None),
        ("bytess=0-1", None),
        ("bytes=0x1-2", None),
        ("bytes=00000000000000000019-00000000000000000019", Some(1)),
        ("bytes=000000000000000000019-", None),
        ("bytes=19-000000000000000000019", None),
        (
            "bytes=18446744073709551615-18446744073709551615",
            Some(1_844_674_407_370_955_161),
        ),
        ("bytes=18446744073709551615-", Some(1_844_674_407_370_955_161)),
        ("bytes=18446744073709551616-", None),
        ("bytes=5-18446744073709551616", None),
        ("", None),
    ] {
        c.chunks(note, "chunk=range:10", &[(&[("Range", value)], chunk)]);
    }
    c.chunks(
        "http 2: two fields range are two ranges",
        "chunk=range:10",
        &[
            (&[("range", "bytes=0-1"), ("range", "bytes=0-1")], None),
            (&[("range", "bytes=0-1"), ("range", "")], None),
            (&[("range", ""), ("range", "bytes=0-1")], None),
        ],
    );
    c.chunks(
        "http 2: content-range only where range is absent",
        "chunk=range:10",
        &[
            (&[("content-range", "bytes 10-19/40")], Some(1)),
            (&[("range", "bytes=0-9"), ("content-range", "bytes 10-19/40")], Some(0)),
            (&[("content-range", "bytes 10-19/40"), ("range", "bytes=-9")], None),
            (&[("content-range", "bytes 10-19/40"), ("range", "")], None),
            (&[], None),
        ],
    );
    let digits = "9".repeat(300);
    for (value, chunk) in [
        ("bytes 10-19/*", Some(1)),
        ("bytes 10-11/0", Some(1)),
        ("bytes 10-19/1", Some(1)),
        (&format!("bytes 10-19/{digits}"), Some(1)),
        ("Bytes 10-19/20", Some(1)),
        (" bytes 10-19/20 ", Some(1)),
        ("bytes 10-20/40", None),
        ("bytes 15-14/40", None),
        ("bytes 10-/40", None),
        ("bytes -19/40", None),
        ("bytes */40", None),
        ("bytes 10-19/", None),
        ("bytes 10-19", None),
        ("bytes 10-19/**", None),
        ("bytes 10-19/4*", None),
        ("bytes 10-19/-1", None),
        ("bytes 10-19/+4", None),
        ("bytes 10-19/ 40", None),
        ("bytes 10-19 /40", None),
        ("bytes 10 -19/40", None),
        ("bytes  10-19/40", None),
        ("bytes\t10-19/40", None),
        ("bytes=10-19/40", None),
        ("bytes=10-19", None),
        ("bytes10-19/40", None),
        ("bytes 10-19/40/5", None),
        ("bytes 10-19/40,bytes 20-29/40", None),
        ("bytes 10-19/40,", None),
        ("bytes 10-19/x", None),
        ("bytes 10-19/1x", None),
        ("bytes 000000000000000000010-19/40", None),
        ("items 10-19/40", None),
        ("", None),
    ] {
        c.chunks(
            "http 2: content-range: bytes a-b/ and * or digits",
            "chunk=range:10",
            &[(&[("content-range", value)], chunk)],
        );
    }
    c.chunks(
        "http 2: content-range twice",
        "chunk=range:10",
        &[(
            &[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")],
            None,
        )],
    );
    c.chunks(
        "http 1: range:1 and range:2^53",
        "chunk=range:1",
        &[
            (&[("range", "bytes=5-5")], Some(5)),
            (&[("range", "bytes=5-")], Some(5)),
            (&[("range", "bytes=5-6")], None),
        ],
    );
    c.chunks(
        "http 1: range:1 and range:2^53",
        "chunk=range:9007199254740992",
        &[
            (&[("range", "bytes=9007199254740991-9007199254740991")], Some(0)),
            (&[("range", "bytes=9007199254740991-9007199254740992")], None),
            (&[("range", "bytes=9007199254740992-")], Some(1)),
            (&[("range", "bytes=18446744073709551615-")], Some(2047)),
        ],
    );
}
