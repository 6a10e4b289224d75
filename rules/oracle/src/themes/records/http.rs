//! docs/spec-http.md section 1: the tags `obj` and `chunk`.

use crate::themes::Cases;

const ADDR: &str = "v=ssa1; addr=hash(obj,chunk):12 const(0):52; ";

fn with(tags: &[&str]) -> Vec<String> {
    tags.iter().map(|tags| format!("{ADDR}{tags}")).collect()
}

impl Cases {
    fn tags_usable(&mut self, note: &str, tags: &[&str]) {
        let rules = with(tags);
        self.usable(note, &rules.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn tags_unusable(&mut self, note: &str, tags: &[&str]) {
        let rules = with(tags);
        self.unusable(note, &rules.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

pub(in crate::themes) fn cases() -> Cases {
    let mut c = Cases::default();
    let long = |count: usize| "n".repeat(count);
    let segments = |count: usize, last: &str| format!("{}/{last}", "/a".repeat(count - 1));

    c.tags_usable(
        "http 1: obj has 1 to 4 sources of four kinds",
        &[
            "obj=path:/{obj}",
            "obj=query:k",
            "obj=header:x-k",
            "obj=cookie:k",
            "obj=path:/a/{obj},query:k,header:k,cookie:k",
            "obj=query:k,query:k",
            "obj=path:/{obj},path:/{obj}",
        ],
    );
    c.tags_unusable(
        "http 1: at most 4 sources, none empty",
        &[
            "obj=query:a,query:b,query:c,query:d,query:e",
            "obj=",
            "obj=,query:a",
            "obj=query:a,",
            "obj=query:a,,query:b",
        ],
    );
    c.tags_usable(
        "http 1: chunk is a range or one source",
        &[
            "chunk=range:1",
            "chunk=range:1048576",
            "chunk=range:9007199254740992",
            "chunk=path:/{*}/{chunk}",
            "chunk=query:n",
            "chunk=header:x-part",
            "chunk=cookie:n",
        ],
    );
    c.tags_unusable(
        "http 1: chunk is a range or one source",
        &[
            "chunk=",
            "chunk=query:a,query:b",
            "chunk=range:0",
            "chunk=range:01",
            "chunk=range:",
            "chunk=range:+1",
            "chunk=range:1k",
            "chunk=range:9007199254740993",
            "chunk=range:18446744073709551616",
            "chunk=range:1,query:n",
            "chunk=Range:1",
            "chunk=range:/1",
        ],
    );
    c.tags_unusable(
        "http 1: range is no source of obj",
        &["obj=range:1", "obj=query:a,range:1048576"],
    );
    c.tags_unusable(
        "http 1: there are no other sources",
        &[
            "obj=path",
            "obj=path:",
            "obj=/{obj}",
            "obj=Path:/{obj}",
            "obj=query",
            "obj=body:k",
            "obj=method:k",
            "obj=:k",
            "obj=cookies:k",
            "chunk=fragment:k",
        ],
    );
    c.tags_usable(
        "http 1: names of 1 to 64 characters",
        &[
            &format!("obj=query:{}", long(64)),
            &format!("obj=header:{}", long(64)),
            &format!("obj=cookie:{}", long(64)),
            "obj=query:A-z_9.",
            "obj=cookie:A-z_9.",
            "obj=header:a-z_9.",
            "obj=query:-",
            "obj=header:.",
            "obj=query:cookie,query:host,cookie:host,cookie:cookie",
        ],
    );
    c.tags_unusable(
        "http 1: names of 1 to 64 characters",
        &[
            &format!("obj=query:{}", long(65)),
            &format!("obj=header:{}", long(65)),
            &format!("obj=cookie:{}", long(65)),
            &format!("chunk=query:{}", long(65)),
            "obj=query:",
            "obj=header:",
            "obj=cookie:",
            "chunk=header:",
            "obj=query:a b",
            "obj=query:a:b",
            "obj=query:a=b",
            "obj=query:a/b",
            "obj=query:a%41",
            "obj=query:a~b",
            "obj=cookie:a\"b",
            "obj=header::path",
        ],
    );
    c.tags_unusable(
        "http 1: names of headers are lower case",
        &["obj=header:X-Key", "obj=header:keY", "chunk=header:N"],
    );
    c.tags_unusable(
        "http 1: header:host and header:cookie are faults",
        &[
            "obj=header:host",
            "obj=header:cookie",
            "obj=query:k,header:cookie",
            "chunk=header:host",
            "chunk=header:cookie",
            "obj=header:Host",
        ],
    );
    c.tags_usable(
        "http 1: names like those of host and cookie are none of them",
        &["obj=header:hosts", "obj=header:cookie2", "obj=header:x-host"],
    );
    c.tags_usable(
        "http 1: a pattern has 1 to 16 segments",
        &[
            &format!("obj=path:{}", segments(16, "{obj}")),
            &format!("obj=path:{}", segments(16, "{obj...}")),
            &format!("chunk=path:{}", segments(16, "{chunk}")),
            "obj=path:/{obj}",
            "obj=path:/{obj}/",
            "obj=path://{obj}",
            "obj=path:/a//b/{obj}//",
            "obj=path:///////////////{obj}/",
        ],
    );
    c.tags_unusable(
        "http 1: a pattern has 1 to 16 segments, each after a slash",
        &[
            &format!("obj=path:{}", segments(17, "{obj}")),
            &format!("chunk=path:{}", segments(17, "{chunk}")),
            "obj=path:////////////////{obj}/",
            "obj=path:{obj}",
            "obj=path:a/{obj}",
            "obj=path:?{obj}",
        ],
    );
    c.tags_usable(
        "http 1: literals",
        &[
            "obj=path:/azAZ09-_.~!$&'()*+=:@/{obj}",
            "obj=path:/*/{obj}",
            "obj=path:/./{obj}",
            "obj=path:/../{obj}",
            "obj=path:/obj/{obj}",
            "obj=path:/.../{obj}",
        ],
    );
    c.tags_unusable(
        "http 1: literals have no other characters",
        &[
            "obj=path:/%41/{obj}",
            "obj=path:/a b/{obj}",
            "obj=path:/a?/{obj}",
            "obj=path:/a#/{obj}",
            "obj=path:/a\\b/{obj}",
            "obj=path:/[a]/{obj}",
            "obj=path:/a|b/{obj}",
            "obj=path:/\"a\"/{obj}",
            "obj=path:/<a>/{obj}",
            "obj=path:/a^/{obj}",
            "obj=path:/`/{obj}",
        ],
    );
    c.tags_unusable(
        "http 1: a variable is a whole segment, spelled so",
        &[
            "obj=path:/a{obj}",
            "obj=path:/{obj}.png",
            "obj=path:/{obj}{*}",
            "obj=path:/{}/{obj}",
            "obj=path:/{Obj}",
            "obj=path:/{obj..}",
            "obj=path:/{obj....}",
            "obj=path:/{key}",
            "obj=path:/{obj",
            "obj=path:/obj}/{obj}",
            "obj=path:/{**}/{obj}",
            "chunk=path:/{chunk...}",
            "obj=path:/{ obj }",
        ],
    );
    c.tags_unusable(
        "http 1: a pattern of obj has exactly one of {obj} and {obj...}, and no {chunk}",
        &[
            "obj=path:/",
            "obj=path:/a",
            "obj=path:/{*}",
            "obj=path:/{*...}",
            "obj=path:/{obj}/{obj}",
            "obj=path:/{obj}/{obj...}",
            "obj=path:/{chunk}",
            "obj=path:/{obj}/{chunk}",
            "obj=query:k,path:/{chunk}/{obj}",
        ],
    );
    c.tags_unusable(
        "http 1: the pattern of chunk has exactly one {chunk} and neither of them",
        &[
            "chunk=path:/",
            "chunk=path:/{*}",
            "chunk=path:/{chunk}/{chunk}",
            "chunk=path:/{obj}",
            "chunk=path:/{obj}/{chunk}",
            "chunk=path:/{chunk}/{obj...}",
        ],
    );
    c.tags_usable(
        "http 1: what takes the rest is last",
        &[
            "obj=path:/{*}/{obj...}",
            "obj=path:/{obj}/{*...}",
            "obj=path:/{*}/{*}/{obj}/{*...}",
            "chunk=path:/{chunk}/{*...}",
        ],
    );
    c.tags_unusable(
        "http 1: what takes the rest is last, and stands once",
        &[
            "obj=path:/{obj...}/a",
            "obj=path:/{obj...}/",
            "obj=path:/{*...}/{obj}",
            "obj=path:/{*...}/{obj...}",
            "obj=path:/{obj}/{*...}/{*...}",
            "obj=path:/{obj...}/{*...}",
            "chunk=path:/{*...}/{chunk}",
        ],
    );
    c.tags_usable(
        "http 1: blanks around ; and the tag's = alone",
        &["obj = path:/{obj} ;chunk\t=\trange:5 ; ", "chunk=range:5;obj=query:k"],
    );
    c.tags_unusable(
        "http 1: blanks nowhere else",
        &[
            "obj=path:/{obj}, query:k",
            "obj=path:/{obj} ,query:k",
            "obj=path: /{obj}",
            "obj=path :/{obj}",
            "obj=query: k",
            "obj=path:/a /{obj}",
            "chunk=range: 5",
            "chunk=range :5",
        ],
    );
    c.usable(
        "http 1: the tags stand whether or not the template has the inputs",
        &[
            "v=ssa1; addr=rand:64; obj=path:/{obj}; chunk=range:5",
            "v=ssa1; addr=hash(obj):64; chunk=range:5",
            "v=ssa1; addr=hash(chunk):64; obj=path:/{obj}",
            "v=ssa1; obj=path:/{obj}; addr=hash(src/64):20 rand:44; chunk=query:n",
            "v=ssa1; addr=hash(obj,chunk):64",
        ],
    );
    c.tags_unusable(
        "2.3: a tag is repeated, or stands in another case",
        &[
            "obj=query:a; obj=query:a",
            "chunk=range:5; chunk=range:5",
            "Obj=query:a",
            "object=query:a",
            "obj=query:a; obj",
        ],
    );
    c.unusable(
        "http 1: a fault in them makes the record unusable, whatever its template",
        &[
            "v=ssa1; addr=rand:64; obj=path:/",
            "v=ssa1; addr=rand:64; chunk=range:0",
            "v=ssa1; addr=hash(src/64):20 rand:44; obj=header:host",
            "v=ssa1; obj=path:/{obj}",
        ],
    );
    c
}
