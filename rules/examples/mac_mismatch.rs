//! Verifies addresses whose mac is wrong in one byte: what `tests/constant_time.rs` counts the instructions of.
//!
//! `mac_mismatch BYTE REPLICAS` verifies a thousand times an address of `mac(src/64):64` with that byte of the mac (0 to
//! 7) flipped, under a record of so many replicas (1 to 9), and fails unless every verdict is a violation.

use std::{env, hint::black_box, process::ExitCode};

use ssa_rules::{AddressSpace, Apl, Destination, Flow, Key, Record, Request, Rule, Secret, Source, UnixTime, Verdict};

fn main() -> ExitCode {
    let byte: u32 = env::args().nth(1).and_then(|byte| byte.parse().ok()).unwrap_or(0);
    let record: Record = "v=ssa1; addr=mac(src/64):64; key=k1"
        .parse()
        .expect("the record parses");
    let apl: Apl = "2:2001:db8:5::/64".parse().expect("the list parses");
    let space = AddressSpace::new(&apl).expect("the list is an address space");
    let rule = Rule::prepare(&record, space.as_ref(), &Key::Secret(Secret::new([7; 16]))).expect("they go together");
    let source = Source("2001:db8:77::1".parse().expect("an address"));
    let Destination(right) = rule
        .compose(&Request::new(source), &mut || 0)
        .expect("the record composes");
    let wrong = Destination((u128::from(right) ^ (0x10 << (8 * (7 - byte.min(7))))).into());
    let flow = Flow::new(source, wrong, UnixTime(0));
    let refused = (0..1000).filter(|_| matches!(rule.verify(black_box(&flow)), Ok(Verdict::Violation(_))));
    if refused.count() == 1000 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
