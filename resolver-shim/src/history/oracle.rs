//! What verifiers keep, against a naive account of it: every answer with its TTL and time, looked through anew each time.

use super::{
    tests::{answer, terms},
    *,
};
use ssa_testing::Draw;

use crate::answers::{Failure, MAX_TTL};

const RECORDS: [&str; 4] = [
    "v=ssa1; addr=rand:64; from=1",
    "v=ssa1; addr=hash(src/64):20 rand:44; from=2",
    "v=ssa1; addr=hash(src/128):20 rand:44; from=3",
    "v=ssa1; addr=rand:64; salt=2; from=4",
];

/// The longest that a TTL counts.
const MOST: u64 = 900;

/// What happened, by the true time.
enum Event {
    Answer(Vec<usize>, u64),
    /// A question without an answer, or a time that the daemon was down.
    Break,
}

/// Returns whether a TTL met at one event is still remembered after the last of some events: unless a run of answers
/// without a break, all after it and all with less, lasted as long as it does and a minute.
fn is_remembered(events: &[(u64, Event)], at: usize, ttl: u64) -> bool {
    let mut began = None;
    for (time, event) in events.iter().skip(at + 1) {
        match event {
            Event::Break => began = None,
            Event::Answer(_, met) if *met >= ttl => return true,
            Event::Answer(..) => {
                if time - *began.get_or_insert(*time) >= ttl + GRACE {
                    return false;
                }
            }
        }
    }
    true
}

/// Returns the greatest TTL remembered after some events.
fn greatest(events: &[(u64, Event)]) -> u64 {
    let met = events
        .iter()
        .enumerate()
        .filter_map(|(number, (_, event))| match event {
            Event::Answer(_, ttl) if is_remembered(events, number, *ttl) => Some(*ttl),
            _ => None,
        });
    met.max().unwrap_or(0)
}

/// Returns the records that have to count at a time, by events and the greatest TTL after each.
fn counting(events: &[(u64, Event)], greatest: &[u64], now: u64) -> Vec<usize> {
    let answers: Vec<(usize, u64, &Vec<usize>)> = events
        .iter()
        .enumerate()
        .filter_map(|(number, (time, event))| match event {
            Event::Answer(records, _) => Some((number, *time, records)),
            Event::Break => None,
        })
        .collect();
    let counts = |record: &usize| {
        let Some(last) = answers.iter().rposition(|(.., records)| records.contains(record)) else {
            return false;
        };
        let Some((first, gone, _)) = answers.get(last + 1) else {
            return true;
        };
        // The greatest that was known at any time since, and what is over is over.
        let mut known = 0;
        let mut times = (*first..events.len()).map(|last| {
            known = greatest[last].max(known);
            events[last].0 < gone + known.min(MOST) + GRACE
        });
        times.all(|counted| counted) && now < gone + known.min(MOST) + GRACE
    };
    (0..RECORDS.len()).filter(counts).collect()
}

fn told(history: &mut History, now: u64) -> Vec<usize> {
    let terms = Terms {
        max_ttl: MOST,
        ..terms()
    };
    let pairs = history.verifier(now, &terms).pairs;
    (0..RECORDS.len())
        .filter(|number| {
            pairs
                .iter()
                .any(|pair| RECORDS[*number].starts_with(&format!("{}; from", pair.core)))
        })
        .collect()
}

#[test]
fn what_counts_is_what_a_naive_account_says() {
    for seed in 1..=60 {
        let mut random = Draw::seeded(seed);
        let mut history = History::default();
        let mut events: Vec<(u64, Event)> = Vec::new();
        // The greatest TTL after each of them.
        let mut known: Vec<u64> = Vec::new();
        // The true time, and by how much the daemon's clock differs from it: another amount after each restart.
        let (mut time, mut off) = (1_000_000_u64, 0_u64);
        for step in 0..120 {
            time += [1, 7, 40, 61, 150, 400][usize::try_from(random.below(6)).unwrap()];
            match random.below(9) {
                0 if step > 0 => {
                    history.take(Answers::failed(&Failure::new("timeout", "")), time + off);
                    events.push((time, Event::Break));
                }
                1 if step > 0 => {
                    // Down for a time, while somebody sets the clock.
                    let saved = time + off;
                    let json = serde_json::to_string(&history).unwrap();
                    history = serde_json::from_str(&json).unwrap();
                    time += random.below(300);
                    let down = time + off - saved;
                    off = random.below(1 << 40);
                    let now = time + off;
                    history.shift(|at| (at + now).saturating_sub(saved + down));
                    history.not_after(now);
                    events.push((time, Event::Break));
                }
                _ => {
                    let records: Vec<usize> = (0..RECORDS.len()).filter(|_| random.below(3) == 0).collect();
                    let records = if records.is_empty() { vec![0] } else { records };
                    let ttl = [3, 20, 150, 300, 2000, MAX_TTL][usize::try_from(random.below(6)).unwrap()];
                    let texts = records.iter().map(|number| RECORDS[*number].to_owned()).collect();
                    let answers = Answers {
                        list: answer(List::of(&"2:2001:db8:5::/64".parse().unwrap()), ttl),
                        records: answer(texts, ttl),
                        addresses: answer(Vec::new(), ttl),
                    };
                    history.take(answers, time + off);
                    events.push((time, Event::Answer(records, ttl)));
                }
            }
            known.push(greatest(&events));
            let wanted = counting(&events, &known, time);
            assert_eq!(
                told(&mut history, time + off),
                wanted,
                "seed {seed}, step {step}, at {time}"
            );
        }
    }
}
