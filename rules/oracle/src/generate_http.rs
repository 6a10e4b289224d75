//! Random tags `obj` and `chunk`, and requests that just meet them or just miss them.

use ssa_testing::Draw;

use super::http::{Chunk, Place, Request, Tags};

const WORDS: [&str; 12] = ["a", "b", "cas", "", "a", "x=y", "~u", "a+b", "(1)", "v1", ".", "A"];
const NAMES: [&str; 6] = ["k", "K", "x-tenant", "a.b", "range", "n"];

fn pattern(draw: &mut Draw, variable: &str) -> String {
    let count = draw.of(&[1, 1, 2, 2, 3, 4, 16]);
    let place = draw.index(count);
    let mut text = String::new();
    for at in 0..count {
        text.push('/');
        text += &match (at == place, at + 1 == count) {
            (true, true) if variable == "{obj}" && draw.percent(40) => "{obj...}".to_string(),
            (true, _) => variable.to_string(),
            (false, true) if draw.percent(25) => "{*...}".to_string(),
            _ if draw.percent(30) => "{*}".to_string(),
            _ => draw.of(&WORDS).to_string(),
        };
    }
    text
}

fn source(draw: &mut Draw, variable: &str) -> String {
    match draw.below(6) {
        0 => format!("query:{}", draw.of(&NAMES)),
        1 => format!("header:{}", draw.of(&NAMES).to_lowercase()),
        2 => format!("cookie:{}", draw.of(&NAMES)),
        _ => format!("path:{}", pattern(draw, variable)),
    }
}

/// The two tags as text, or one, or none.
pub fn tags(draw: &mut Draw) -> Vec<String> {
    let mut found = Vec::new();
    if draw.percent(90) {
        let count = draw.within(1, 4);
        let sources: Vec<String> = (0..count).map(|_| source(draw, "{obj}")).collect();
        found.push(format!("obj={}", sources.join(",")));
    }
    if draw.percent(60) {
        let source = if draw.percent(50) {
            let n = draw.of(&[1, 2, 10, 512, 1 << 20, 1_u64 << 53]);
            format!("range:{n}")
        } else {
            source(draw, "{chunk}")
        };
        found.push(format!("chunk={source}"));
    }
    found
}

/// A value as it may stand in a request.
fn value(draw: &mut Draw) -> String {
    let long = draw.of(&[1022, 1023, 1024, 1025]);
    draw.of(&[
        "a".into(),
        "7".into(),
        "007".into(),
        "18446744073709551615".into(),
        "18446744073709551616".into(),
        "000000000000000000007".into(),
        String::new(),
        " ".into(),
        "ab%2Fcd".into(),
        "%2541".into(),
        "%".into(),
        "%4".into(),
        "a+b".into(),
        "\"v\"".into(),
        "\"".into(),
        " a , b ".into(),
        "a;b".into(),
        "é".into(),
        "%zz%41%c3".into(),
        "x".repeat(long),
        "%78".repeat(long),
    ])
}

/// A segment that a pattern's literal or variable meets, mostly.
fn segment(draw: &mut Draw, wanted: &str) -> String {
    let text = match wanted {
        _ if draw.percent(3) => draw.of(&["..", "%2e", "%2E.", ".a", "a\\b", "%5C", "\\"]).to_string(),
        "{*}" | "{obj}" | "{chunk}" => value(draw).replace(['?', '#'], ""),
        "{obj...}" | "{*...}" => {
            let count = draw.of(&[1, 1, 2, 3]);
            let words: Vec<String> = (0..count).map(|_| value(draw)).collect();
            words.join("/")
        }
        literal => literal.to_string(),
    };
    if draw.percent(85) || text.is_empty() {
        return text;
    }
    // One letter by its number, or one too many or too few.
    let letters: Vec<char> = text.chars().collect();
    let at = draw.index(letters.len());
    let before: String = letters[..at].iter().collect();
    let after: String = letters[at + 1..].iter().collect();
    match draw.below(4) {
        0 | 1 if letters[at].is_ascii() => format!("{before}%{:02x}{after}", letters[at] as u32),
        2 => format!("{before}{after}"),
        _ => format!("{before}{}{}{after}", letters[at], draw.of(&['/', 'a', '%', '.'])),
    }
}

/// Patterns and names of the tags.
fn places(tags: &Tags) -> Vec<Place> {
    let mut places = tags.obj.clone();
    if let Some(Chunk::Place(place)) = &tags.chunk {
        places.push(place.clone());
    }
    places
}

fn target(draw: &mut Draw, tags: &Tags) -> Vec<u8> {
    let places = places(tags);
    let patterns: Vec<Vec<String>> = places
        .iter()
        .filter_map(|place| match place {
            Place::Path(pattern) => Some(pattern.clone()),
            _ => None,
        })
        .collect();
    let mut path = String::new();
    if patterns.is_empty() || draw.percent(5) {
        path = draw.of(&["/", "/a", "/a/b", "*", "h:443", "", "a/b", "//"]).to_string();
    } else {
        for wanted in draw.of(&patterns) {
            path.push('/');
            path += &segment(draw, &wanted);
        }
        match draw.below(20) {
            0 => path.push('/'),
            1 => path += "/a",
            2 => drop(path.pop()),
            _ => {}
        }
    }
    if draw.percent(60) {
        path.push('?');
        let mut names: Vec<String> = vec!["a".into(), "k".into(), String::new()];
        for place in &places {
            if let Place::Query(name) = place {
                names.extend([
                    name.clone(),
                    name.clone(),
                    name.replace('k', "%6b"),
                    name.to_uppercase(),
                    format!("+{name}"),
                ]);
            }
        }
        let count = draw.of(&[0, 1, 2, 4]);
        let parts: Vec<String> = (0..count)
            .map(|_| {
                let (name, value) = (draw.of(&names), value(draw));
                let between = draw.of(&["=", "=", "=", "", "=="]);
                format!("{name}{between}{value}")
            })
            .collect();
        path += &parts.join(draw.of(&["&", "&", "&", ";", "&&"]));
    }
    if draw.percent(10) {
        path += draw.of(&["#", "#/a", "#?k=1"]);
    }
    let before = match draw.below(12) {
        0 => draw.of(&["http://h", "HTTP://[::1]:80", "a+b.c-1://", "x://h"]),
        1 => draw.of(&["1http://h", "http:/", "://h", "http//h", " "]),
        _ => "",
    };
    format!("{before}{path}").into_bytes()
}

fn range(draw: &mut Draw, n: u64) -> String {
    let near = [0, 1, n - 1, n, n + 1, 2 * n - 1, 2 * n, u64::MAX - 1, u64::MAX];
    let (a, b) = (draw.of(&near), draw.of(&near));
    let (a, b) = if draw.percent(80) { (a.min(b), a.max(b)) } else { (a, b) };
    let b = match draw.below(8) {
        0 => String::new(),
        1 => draw.of(&["18446744073709551616", "-1", " 5", "x"]).to_string(),
        2 => format!("{b:020}"),
        _ => b.to_string(),
    };
    format!("{a}-{b}")
}

/// A request with targets and fields near those that the tags name.
pub fn request(draw: &mut Draw, tags: &Tags) -> Request {
    let mut fields: Vec<(String, String)> = Vec::new();
    for place in places(tags) {
        match place {
            Place::Header(name) => {
                for _ in 0..draw.of(&[0, 1, 1, 2]) {
                    let name = if draw.percent(50) {
                        name.to_uppercase()
                    } else {
                        name.clone()
                    };
                    fields.push((name, value(draw)));
                }
            }
            Place::Cookie(name) => {
                for _ in 0..draw.of(&[0, 1, 1, 2]) {
                    let mut parts = Vec::new();
                    for _ in 0..draw.of(&[0, 1, 1, 3]) {
                        let name = draw.of(&[name.clone(), name.to_uppercase(), format!("{name} "), "a".into()]);
                        let between = draw.of(&["=", "=", "=", ""]);
                        parts.push(format!("{name}{between}{}", value(draw)));
                    }
                    let between = draw.of(&["; ", ";", ",", " ; "]);
                    fields.push((draw.of(&["cookie", "Cookie"]).into(), parts.join(between)));
                }
            }
            _ => {}
        }
    }
    let n = match tags.chunk {
        Some(Chunk::Range(n)) => n,
        _ => 10,
    };
    for _ in 0..draw.of(&[0, 1, 1, 1, 2]) {
        let unit = draw.of(&[
            "bytes=", "bytes=", "bytes=", "Bytes=", "bytes =", "items=", " bytes=", "bytes ",
        ]);
        let name = draw.of(&["range", "Range"]);
        fields.push((name.into(), format!("{unit}{}", range(draw, n))));
    }
    if draw.percent(50) {
        fields.retain(|(name, _)| name.to_lowercase() != "range");
        let unit = draw.of(&["bytes ", "bytes ", "bytes ", "BYTES ", "bytes  ", "bytes="]);
        let size = draw.of(&["/*", "/5", "/99999999999999999999999999", "/", "", "/x", "/5,", "/ 5"]);
        fields.push(("content-range".into(), format!("{unit}{}{size}", range(draw, n))));
    }
    draw.shuffle(&mut fields);
    Request {
        target: (!draw.percent(3)).then(|| target(draw, tags)),
        fields: fields
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), value.into_bytes()))
            .collect(),
    }
}
