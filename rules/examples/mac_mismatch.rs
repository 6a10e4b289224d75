//! Verifies addresses whose mac is wrong in one byte; `tests/constant_time.rs` counts the instructions of `violations`.
//!
//! `mac_mismatch BYTE REPLICAS` verifies a thousand times an address of `mac(src/64):64` with that byte of the mac (0 to
//! 7) flipped, under a record of so many replicas (1 to 9), and fails unless every verdict is a violation.

use std::{env, hint::black_box, process::ExitCode};

use ssa_rules::{AddressSpace, Apl, Destination, Flow, Key, Record, Request, Rule, Secret, Source, UnixTime, Verdict};

const TIMES: usize = 1000;

fn main() -> ExitCode {
    let byte: u32 = env::args().nth(1).and_then(|byte| byte.parse().ok()).unwrap_or(0);
    let replicas: u32 = env::args()
        .nth(2)
        .and_then(|replicas| replicas.parse().ok())
        .unwrap_or(1);
    let record: Record = format!("v=ssa1; addr=mac(src/64):64; key=k1; replicas={replicas}")
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
    if violations(&rule, &flow) == TIMES {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Verifies a flow `TIMES` times, and returns how often it is a violation.
///
/// Never inlined: callgrind counts what runs in it, by its name.
#[inline(never)]
fn violations(rule: &Rule, flow: &Flow<'_>) -> usize {
    let found = (0..TIMES).filter(|_| matches!(rule.verify(black_box(flow)), Ok(Verdict::Violation(_))));
    found.count()
}
