//! Random records, lists and clients, the same in every run.

use std::net::Ipv6Addr;

use ssa_testing::Draw;

use super::apl::bit_of;
use super::compose::Secrets;
use super::hash::Values;

/// The secrets that exist.
pub fn secrets() -> Secrets {
    vec![("k1".into(), *b"0123456789abcdef"), ("K-2_".into(), [0xa5; 16])]
}

/// A record with an RRset that mostly go together.
pub struct Published {
    pub rule: String,
    pub apl: String,
}

fn inputs(draw: &mut Draw, step: Option<u64>) -> String {
    let l = draw.of(&[1, 8, 32, 47, 48, 56, 63, 64, 65, 127, 128]);
    let mut kinds = vec![format!("src/{l}"), "obj".into(), "chunk".into(), "port".into()];
    if let Some(step) = step {
        kinds.push(format!("time/{step}"));
    }
    draw.shuffle(&mut kinds);
    let most = if draw.percent(70) { 2 } else { kinds.len() as u64 };
    kinds.truncate(draw.within(1, most) as usize);
    kinds.join(",")
}

/// Fields of w bits in all, as text with their widths, and whether each is rand.
fn fields(draw: &mut Draw, w: u64, step: u64) -> Vec<(String, u64)> {
    // Some records have no time, none of rand, or nothing else.
    let step = draw.percent(60).then_some(step);
    let (rand, object, mac) = (draw.of(&[0, 20, 50]), draw.of(&[0, 10]), draw.of(&[0, 0, 25]));
    loop {
        let mut found = Vec::new();
        let mut left = w;
        while left > 0 && found.len() < 17 {
            let n = draw.of(&[1, 4, 7, 10, 16, 20, 24, 32, 44, 64, left]).min(left).min(64);
            left -= n;
            let kind = draw.below(100);
            let range = |draw: &mut Draw| {
                let a = draw.within(0, 128 - n);
                format!("[{a}:{}]", a + n)
            };
            let text = if kind < rand {
                format!("rand:{n}")
            } else if kind < rand + mac && n >= 16 {
                format!("mac({}):{n}", inputs(draw, step))
            } else if kind < rand + mac + object {
                format!("obj{}", range(draw))
            } else if draw.percent(20) {
                format!("src{}", range(draw))
            } else if draw.percent(15) {
                let value = draw.bits() >> (64 - n);
                if draw.percent(50) {
                    format!("const({value:x}):{n}")
                } else {
                    format!("const({value:X}):{n}")
                }
            } else {
                format!("hash({}):{n}", inputs(draw, step))
            };
            found.push((text, n));
        }
        if left == 0 {
            return found;
        }
    }
}

/// The address with bits `length` and after cleared.
fn net(address: u128, length: u64) -> String {
    let cleared = super::hash::cleared(address, length as u32);
    format!("2:{}/{length}", Ipv6Addr::from(cleared))
}

fn list(draw: &mut Draw, p: u64, first_rand: Option<u64>) -> Vec<String> {
    // Items that share most of their leading bits, down to the last.
    let any = draw.wide();
    let base = draw.of(&[0x2001_0db8u128 << 96, 0xfd00u128 << 112, any]);
    let mut positives = Vec::new();
    for _ in 0..draw.of(&[1, 1, 2, 3, 5, 8]) {
        let bit = if draw.percent(40) { p - 1 } else { draw.below(p) };
        let mut address = base ^ 1 << (127 - bit);
        if draw.percent(30) {
            address ^= 1 << (127 - draw.below(p));
        }
        positives.push(super::hash::cleared(address, p as u32));
    }
    let mut found: Vec<String> = positives.iter().map(|address| net(*address, p)).collect();
    if draw.percent(5) {
        found.push(found[0].clone());
    }
    for _ in 0..draw.of(&[0, 0, 1, 2, 4]) {
        let inside = draw.of(&positives);
        let tail = draw.wide() & (u128::MAX >> p.min(127));
        found.push(match draw.below(4) {
            0 if p < 128 => {
                // Past the first rand bit, so that the list is usable; sometimes before it.
                let least = match first_rand {
                    Some(bit) if draw.percent(95) => p + bit + 1,
                    _ => p + 1,
                };
                let most = if draw.percent(70) { 128.min(least + 2) } else { 128 };
                if first_rand.is_none() && draw.percent(95) {
                    format!("!{}", net(!inside, draw.within(p, 128)))
                } else {
                    format!("!{}", net(inside ^ tail, draw.within(least.min(128), most)))
                }
            }
            1 => format!("!{}", net(inside, draw.below(p))),
            2 => format!("!{}", net(inside ^ 1 << (128 - p), draw.within(p, 128))),
            _ => format!("!{}", net(draw.wide(), draw.within(0, 128))),
        });
    }
    if draw.percent(10) {
        found.push("1:192.0.2.0/24".into());
    }
    draw.shuffle(&mut found);
    found
}

/// A record and a list. Most are usable; pow is small enough to be solved.
pub fn published(draw: &mut Draw) -> Published {
    let p = draw.of(&[16, 17, 48, 56, 63, 64, 64, 64, 64, 96, 116, 120, 127, 128]);
    let step = draw.of(&[1, 2, 5, 30, 60, 3600, 86400]);
    let fields = fields(draw, 128 - p, step);
    let has = |name: &str| fields.iter().any(|(text, _)| text.contains(name));
    let (mac, time) = (has("mac("), has("time/"));
    let rand: u64 = fields
        .iter()
        .filter(|(text, _)| text.starts_with("rand"))
        .map(|(_, n)| n)
        .sum();
    let mut bit = 0;
    let mut first_rand = None;
    for (text, n) in &fields {
        if text.starts_with("rand") && first_rand.is_none() {
            first_rand = Some(bit);
        }
        bit += n;
    }
    let mut list = list(draw, p, first_rand);

    let texts: Vec<&str> = fields.iter().map(|(text, _)| text.as_str()).collect();
    let gap = draw.of(&[" ", " ", "  ", "\t"]);
    let mut tags = vec![if p == 128 {
        "addr=-".to_string()
    } else {
        format!("addr={}", texts.join(gap))
    }];
    match draw.below(6) {
        0 => tags.push("item=near".into()),
        1 => tags.push("item=rand".into()),
        2 | 3 => tags.push(format!("item=hash({})", inputs(draw, None))),
        _ => {}
    }
    if draw.percent(30) {
        tags.push(format!(
            "salt={}",
            draw.of(&["x", "2026a", "A.b-c_9", "abcdefghijklmnopqrstuvwxyz012345"])
        ));
    }
    if let Some((first, n)) = fields.first() {
        let shifts = !first.starts_with("rand") && !first.starts_with("const");
        if shifts && *n >= 7 && draw.percent(40) {
            let most = if *n >= 10 { 16 } else { 1 << (n - 6) };
            let over = u64::from(draw.percent(5));
            tags.push(format!("replicas={}", draw.within(1, (most + over).min(16))));
        }
    }
    let pow = rand >= 9 && draw.percent(30);
    if pow {
        let over = u64::from(draw.percent(5));
        tags.push(format!("pow={}", draw.within(1, (rand - 8 + over).min(5))));
    }
    if mac {
        tags.push(format!("key={}", draw.of(&["k1", "K-2_"])));
        if draw.percent(40) {
            tags.push(format!("kdf=src/{}", draw.of(&[1, 48, 64, 128])));
        }
    }
    if draw.percent(60) {
        let mut most = if time { 2 * step } else { 600 };
        if pow {
            most = most.min(120);
        }
        let skew = draw
            .of(&[0, 1, 5, 59, 60, 61, 600, most, most])
            .min(most + u64::from(draw.percent(3)));
        tags.push(format!("skew={}", skew.min(600)));
    }
    if draw.percent(15) {
        tags.push(format!("from={}", draw.of(&[0, 1, NOW, NOW + 5, (1 << 63) - 1])));
    }
    if draw.percent(10) {
        let own = format!("apl={}", list.join(gap));
        if own.len() < 300 {
            tags.push(own);
            if draw.percent(50) {
                list.clear();
            }
        }
    }
    if draw.percent(15) {
        tags.extend(super::generate_http::tags(draw));
    }
    for _ in 0..draw.of(&[0, 0, 0, 1, 2]) {
        tags.push(draw.of(&["x-a=1", "x-note=anything, (but) semicolons"]).into());
    }
    draw.shuffle(&mut tags);
    let end = draw.of(&["", "", ";", " ; "]);
    let between = draw.of(&["; ", "; ", ";", " ;\t"]);
    Published {
        rule: format!("v=ssa1{between}{}{end}", tags.join(between)),
        apl: list.join(" "),
    }
}

/// The same text with something about it changed.
pub fn broken(draw: &mut Draw, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..draw.of(&[1, 1, 1, 2, 3]) {
        if letters.is_empty() {
            break;
        }
        let place = draw.below(letters.len() as u64) as usize;
        let alphabet: Vec<char> = "v=sa1;:,()[]/ \t0129f-!.rhmp6".chars().collect();
        match draw.below(5) {
            0 => {
                letters.remove(place);
            }
            1 => letters.insert(place, draw.of(&alphabet)),
            2 => letters[place] = draw.of(&alphabet),
            3 => letters.insert(place, letters[place]),
            _ => {
                // A number one up or down, the commonest slip.
                let digits: Vec<usize> = (0..letters.len()).filter(|i| letters[*i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let place = draw.of(&digits);
                    let digit = letters[place].to_digit(10).unwrap();
                    let digit = if draw.percent(50) { digit + 1 } else { digit + 9 } % 10;
                    letters[place] = char::from_digit(digit, 10).unwrap();
                }
            }
        }
    }
    letters.into_iter().collect()
}

/// Second 0 of a minute, an hour and a step of 30 s.
pub const NOW: u64 = 1_800_000_000;

pub fn time(draw: &mut Draw) -> u64 {
    draw.of(&[
        0,
        1,
        59,
        NOW - 1,
        NOW,
        NOW + 29,
        NOW + 30,
        NOW + 59,
        u64::MAX - 60,
        u64::MAX,
    ])
}

/// Everything a client may know.
pub fn values(draw: &mut Draw, near: u128) -> Values {
    let any = draw.wide();
    let mut source = draw.of(&[near, near, any]);
    if draw.percent(80) {
        source ^= 1 << draw.below(128);
    }
    let objects: [&[u8]; 10] = [
        b"",
        b"0",
        b"918273645",
        b"340282366920938463463374607431768211455",
        b"0xDeadbeef00112233",
        b"6F9619ff-8b86-d011-b42d-00c04fc964ff",
        b"00000000000000000000000000000000000000000000042",
        b"/v1/objects/a/b",
        b"340282366920938463463374607431768211456",
        b"\xff\x00\xfe",
    ];
    // The last three are no numbers.
    let count = if draw.percent(80) { 7 } else { 10 };
    Values {
        source,
        object: Some(draw.of(&objects[..count]).to_vec()),
        chunk: Some(draw.of(&[0, 1, 7, u64::MAX])),
        port: Some(draw.of(&[0, 80, 443, 65535])),
    }
}

/// How many leading bits two addresses share.
pub fn shared(a: u128, b: u128) -> u32 {
    (0..128).take_while(|bit| bit_of(a, *bit) == bit_of(b, *bit)).count() as u32
}
