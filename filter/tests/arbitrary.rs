//! Configurations and snapshots of arbitrary octets: whatever comes is read or refused, and nothing panics.
//!
//! The cases are the same in every run; `SSA_SEED=N` makes others.

use std::{fmt::Write as _, num::NonZero, panic, thread};

use ssa_filter::config::{Config, ConfigError, Problem, Snapshot};
use ssa_snapshot::read;
use ssa_testing::Draw;

const CASES: u64 = 100_000;

/// Texts that are taken, which cases are made of.
const GOOD: [&str; 4] = [
    r#"{"role": "inbound", "no_match": "allow", "demote_cluster": "slow", "hold": {"connections": 4096, "ms": 0},
        "exempt": [{"sources": ["2001:db8:f::/48"], "ports": [80]}], "services": [{"name": "web",
        "apl": "2:2001:db8:5::/64 !2:2001:db8:6::/120", "rules": ["v=ssa1; addr=hash(src/64,time/30):20 rand:44; skew=30"],
        "ports": [80, 443.0], "mode": "shadow", "policy": {"legacy": "demote", "violation": "deny"}}]}"#,
    r#"{"role": "outbound", "source": "2001:db8::7", "seed": "\u00e9\ud83d\ude00\n", "pool": 16, "services": [
        {"name": "web", "apl": "2:2001:db8:5::/64 2:fd00:5::/64", "ports": [80], "port": 8080,
        "rules": ["v=ssa1; addr=hash(src/128,port):20 rand:44; replicas=4; item=hash(src/128); pow=8"],
        "addresses": ["2001:db8:6::1", "::ffff:192.0.2.1"]}]}"#,
    r#"{"version": 1, "generation": "2026-11-22T19:00:00Z-7", "off": false, "services": [{"name": "web",
        "apl": "2:2001:db8:5::/64", "rules": ["v=ssa1; addr=mac(src/128):64; key=k1", "v=ssa1; addr=rand:64; from=1800000000"],
        "secrets": {"k1": {"secret": "00112233445566778899aabbccddeeff"}, "k2": {"client_key": "ffeeddccbbaa99887766554433221100"}},
        "ports": [80]}]}"#,
    r#"{"version": 1, "generation": "g", "seed": "s", "services": [{"name": "web", "apl": "2:2001:db8:5::/64",
        "rules": ["v=ssa1; addr=src[64:128]"], "addresses": ["2001:db8:6::1"],
        "sources": [{"item": "2001:db8:5::/64", "source": "2001:db8::9"}]}]}"#,
];

/// Pieces that stand for more than their octets.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "\\u0000",
    "null",
    "true",
    "1e400",
    "-0",
    "0.1",
    "18446744073709551616",
    "99999999999999999999999999",
    "\u{0}",
    "\u{7f}",
    "é",
    "\u{10ffff}",
    " ",
    "\n",
    "/",
    "::",
    "::/0",
    "/128",
    "/129",
    "%eth0",
    "!",
    "2:",
    "v=ssa1;",
    "addr=",
    "hash(",
    "rand:64",
    "const(0x",
    "[64:128]",
    "from=",
    "pow=64",
];

/// What cases are made by.
struct Draws(Draw);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0.index(bound)
    }

    fn octets(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most);
        self.0.octets(length)
    }

    /// Changes a text in one place.
    fn change(&mut self, text: &mut Vec<u8>) {
        let place = self.below(text.len() + 1);
        let end = (place + self.below(12)).min(text.len());
        match self.below(8) {
            0 => text.truncate(place),
            1 => drop(text.drain(place..end)),
            2 => drop(text.splice(place..end, self.octets(6))),
            3 => {
                // One bit.
                if let Some(octet) = text.get_mut(place) {
                    *octet ^= 1 << self.below(8);
                }
            }
            4 => {
                // A piece of the text, somewhere else too.
                let piece = text[place..end].to_vec();
                let other = self.below(text.len() + 1);
                drop(text.splice(other..other, piece));
            }
            5 => {
                // A piece of another text.
                let other = GOOD[self.below(GOOD.len())].as_bytes();
                let start = self.below(other.len());
                let piece = &other[start..(start + self.below(60)).min(other.len())];
                drop(text.splice(place..end, piece.iter().copied()));
            }
            _ => drop(text.splice(place..end, PIECES[self.below(PIECES.len())].bytes())),
        }
    }

    /// Changes the inside of a text between quotation marks, so that what was JSON is JSON still.
    fn change_inside(&mut self, text: &mut Vec<u8>) {
        let marks: Vec<usize> = (0..text.len()).filter(|place| text[*place] == b'"').collect();
        if marks.len() < 2 {
            return;
        }
        let pair = 2 * self.below(marks.len() / 2);
        let (start, end) = (marks[pair] + 1, marks[pair + 1]);
        let mut inside = text[start..end].to_vec();
        self.change(&mut inside);
        inside.retain(|octet| !matches!(octet, b'"' | b'\\' | 0..=31 | 128..));
        drop(text.splice(start..end, inside));
    }

    /// Makes a case: octets of any kind, pieces in any order, or a good text changed in a few places.
    fn case(&mut self) -> Vec<u8> {
        match self.below(10) {
            0 => self.octets(200),
            1 => (0..self.below(40))
                .flat_map(|_| PIECES[self.below(PIECES.len())].bytes())
                .collect(),
            _ => {
                let mut text = GOOD[self.below(GOOD.len())].as_bytes().to_vec();
                for _ in 0..=self.below(3) {
                    if self.below(4) == 0 {
                        self.change(&mut text);
                    } else {
                        self.change_inside(&mut text);
                    }
                }
                text
            }
        }
    }
}

/// What became of cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcomes {
    taken: u32,
    no_json: u32,
    at_fault: u32,
}

impl Outcomes {
    fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.no_json += other.no_json;
        self.at_fault += other.at_fault;
    }

    fn count<T>(&mut self, result: Result<T, ConfigError>) {
        let Err(error) = result else {
            self.taken += 1;
            return;
        };
        let mut text = String::new();
        write!(text, "{error}").expect("faults can be written");
        assert!(!text.is_empty() && !error.faults.is_empty(), "refused without a fault");
        match error.faults[0].problem {
            Problem::Document(read::Problem::NotJson { .. }) => self.no_json += 1,
            _ => self.at_fault += 1,
        }
    }
}

/// Reads a text in every way.
fn read(text: &[u8]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    outcomes.count(Config::from_json(text));
    outcomes.count(Snapshot::inbound(text));
    outcomes.count(Snapshot::outbound(text));
    outcomes
}

#[test]
fn texts_that_cases_are_made_of_are_taken() {
    for good in GOOD {
        assert_eq!(read(good.as_bytes()).taken, 1, "{good}");
    }
}

#[test]
fn whatever_comes_is_read_or_refused() {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let all = thread::scope(|scope| {
        let reader = |thread: usize| {
            let mut outcomes = Outcomes::default();
            for number in (0..CASES).skip(thread).step_by(threads) {
                let case = Draws(Draw::new(number)).case();
                let Ok(read) = panic::catch_unwind(|| read(&case)) else {
                    panic!("case {number}: {}", case.escape_ascii());
                };
                outcomes.add(read);
            }
            outcomes
        };
        let readers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || reader(thread))).collect();
        let mut all = Outcomes::default();
        for reader in readers {
            all.add(reader.join().unwrap());
        }
        all
    });
    println!("{CASES} texts, each read as three things: {all:?}");
    // Some of each, or the cases show little.
    assert!(
        all.taken > 1_000 && all.no_json > 10_000 && all.at_fault > 10_000,
        "{all:?}"
    );
}
