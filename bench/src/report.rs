//! The table, and the bars that are checked.

use crate::operations::Operation;

/// Prints medians and says whether the bars hold.
pub(crate) fn print(operations: &[Operation], medians: &[f64], instructions: &[Option<u64>]) -> bool {
    let of = |name: &str| {
        let index = operations.iter().position(|operation| operation.name == name);
        index.and_then(|index| medians.get(index)).copied().unwrap_or(f64::NAN)
    };
    let siphash = of("siphash");
    println!(
        "{:<17} {:>10} {:>13} {:>9}  of",
        "operation", "ns", "instructions", "x siphash"
    );
    for ((operation, median), instructions) in operations.iter().zip(medians).zip(instructions) {
        let instructions = instructions.map_or_else(|| "-".into(), |count| count.to_string());
        let ratio = median / siphash;
        println!(
            "{:<17} {median:>10.1} {instructions:>13} {ratio:>9.2}  {}",
            operation.name, operation.subject
        );
    }
    if instructions.iter().all(Option::is_none) {
        println!("instructions were not counted: valgrind is not installed, or they were not asked for");
    }
    let bars = [
        (
            "verify of hash(src/64):20 rand:44 / its bare SipHash-2-4",
            of("verify-hashed") / siphash,
            2.0,
            "",
        ),
        ("parsing record and APL", of("parse") / 1000.0, 10.0, " µs"),
    ];
    println!();
    let mut held = true;
    for (what, figure, limit, unit) in bars {
        let holds = figure <= limit;
        held &= holds;
        println!(
            "{}: {what}: {figure:.2}{unit}, at most {limit}{unit}",
            if holds { "holds" } else { "MISSED" }
        );
    }
    println!(
        "verify-hashed is {:.2} times a Maglev lookup",
        of("verify-hashed") / of("maglev")
    );
    println!(
        "verify-hashed is {:.2} times a ketama ring lookup",
        of("verify-hashed") / of("ring")
    );
    held
}
