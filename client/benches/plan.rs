//! What a plan costs beyond the hash that it is made of: `cargo bench -p ssa-client --bench plan`.
//!
//! Prints the median of a plan, of composing the same address by the prepared rule, and the difference, in nanoseconds.

use std::{hint::black_box, time::Instant};

use ssa_client::{Options, Service, Want};
use ssa_rules::{AddressSpace, Apl, Key, Port, Record, Request, Rule, Source, UnixTime};

const APL: &str = "2:2001:db8:5::/64";
const SOURCE: &str = "2001:db8:77::7";

/// Returns the median over rounds of what one call takes.
fn median(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let mut rounds: Vec<f64> = (0..31)
        .map(|_| {
            let began = Instant::now();
            (0..CALLS).for_each(|_| call());
            began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn main() {
    println!("{:<56} {:>8} {:>8} {:>8}", "record", "plan", "compose", "beyond");
    let mut worst: f64 = 0.0;
    for (text, targets) in [
        ("v=ssa1; addr=hash(src/64):20 rand:44", 1),
        ("v=ssa1; addr=hash(obj):12 const(0):52", 1),
        ("v=ssa1; addr=hash(obj):12 const(0):52; replicas=2", 2),
        ("v=ssa1; addr=hash(obj,chunk):12 const(0):52; replicas=3", 3),
    ] {
        let source = SOURCE.parse().expect("an address");
        let service = Service::fixed(
            "store.example",
            Some(APL),
            &[text],
            Options::default().with_source(source),
        );
        let service = service.expect("a service");
        let record: Record = text.parse().expect("a record");
        let apl: Apl = APL.parse().expect("a list");
        let space = AddressSpace::new(&apl).expect("a space");
        let rule = Rule::prepare(&record, space.as_ref(), &Key::None).expect("a rule");
        let want = Want::port(443).object(b"photos/cat.jpg").chunk(7).targets(targets);
        let request = |replica| Request {
            object: Some(b"photos/cat.jpg"),
            chunk: Some(ssa_rules::Chunk(7)),
            port: Some(Port(443)),
            time: Some(UnixTime(1_790_000_000)),
            replica: ssa_rules::Replica(replica),
            ..Request::new(Source(source))
        };
        let plan = median(|| {
            let _ = black_box(service.plan(black_box(&want), &mut ssa_client::random));
        });
        let compose = median(|| {
            for replica in 0..rule.replicas() {
                let _ = black_box(rule.compose(black_box(&request(replica)), &mut ssa_client::random));
            }
        });
        worst = worst.max(plan - compose);
        println!("{text:<56} {plan:>8.0} {compose:>8.0} {:>8.0}", plan - compose);
    }
    println!("at most {worst:.0} ns beyond composing; 1000 are allowed");
    assert!(worst <= 1000.0, "a plan takes too long");
}
