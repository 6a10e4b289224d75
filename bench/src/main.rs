//! Benchmarks, side by side in one run with what a user would use instead.
//!
//! `ssa-bench sidecar` measures what Envoy spends on a connection, with the filter and without.
//!
//! `ssa-bench controller` lets a controller spread slices over few and many endpoints, and times it.
//!
//! `ssa-bench rules` times every operation in interleaved rounds and prints medians. Where valgrind is installed, it
//! also runs itself under callgrind to count instructions: `ssa-bench once OPERATION N` does one operation N times,
//! and the difference between two N is free of everything but the operation.

#![allow(
    clippy::disallowed_methods,
    reason = "it measures: it waits for Envoys, and its watchdog ends it"
)]

mod controller;
mod operations;
mod report;
mod sidecar;

use std::{
    env,
    hint::black_box,
    process::{Command, ExitCode},
    time::Instant,
};

use clap::Parser;
use operations::Operation;

/// Rounds of every operation, interleaved.
const ROUNDS: usize = 41;

/// How long one round of one operation should take, in nanoseconds.
const ROUND_NANOSECONDS: u128 = 2_000_000;

/// Instructions are the difference of runs of this many repetitions, less for long operations, and twice as many.
const COUNTED: u64 = 2_000;

/// Benchmarks of Structured Service Addressing, beside what one would use instead.
#[derive(Debug, Parser)]
#[command(name = "ssa-bench")]
enum Cli {
    /// Time the rules' operations, and count their instructions under valgrind.
    Rules {
        /// Do not count instructions.
        #[arg(long)]
        no_instructions: bool,
    },
    /// Do one operation of `rules` again and again.
    Once {
        /// The operation, as `rules` names it.
        operation: String,
        /// How many times.
        repetitions: u64,
    },
    /// Scale a slice set up and down under a controller: what moves, how even it is, how long rounds take.
    Controller(controller::Arguments),
    /// Measure what Envoy spends on a connection, with the filter and without.
    Sidecar(sidecar::Arguments),
}

fn main() -> ExitCode {
    match Cli::parse() {
        Cli::Rules { no_instructions } => {
            let mut operations = operations::all();
            let nanoseconds: Vec<f64> = time(&mut operations).into_iter().map(median).collect();
            let counts = operations.iter().zip(&nanoseconds);
            let instructions: Vec<Option<u64>> = counts
                .map(|(operation, each)| {
                    if no_instructions {
                        None
                    } else {
                        count(&operation.name, *each)
                    }
                })
                .collect();
            let held = report::print(&operations, &nanoseconds, &instructions);
            if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Cli::Once { operation, repetitions } => {
            let Some(mut operation) = operations::named(&operation) else {
                eprintln!("ssa-bench: no operation {operation}");
                return ExitCode::from(2);
            };
            repeat(&mut operation, repetitions);
            ExitCode::SUCCESS
        }
        Cli::Controller(arguments) => controller::run(&arguments),
        Cli::Sidecar(arguments) => sidecar::run(&arguments),
    }
}

fn repeat(operation: &mut Operation, repetitions: u64) {
    for _ in 0..repetitions {
        black_box((operation.run)());
    }
}

/// Times every operation in interleaved rounds: nanoseconds per operation, by operation and round.
fn time(operations: &mut [Operation]) -> Vec<Vec<f64>> {
    let repetitions: Vec<u64> = operations
        .iter_mut()
        .map(|operation| {
            repeat(operation, 3);
            let start = Instant::now();
            repeat(operation, 10);
            let each = start.elapsed().as_nanos().div_ceil(10).max(1);
            u64::try_from(ROUND_NANOSECONDS / each).unwrap_or(1).max(1)
        })
        .collect();
    let mut nanoseconds = vec![Vec::with_capacity(ROUNDS); operations.len()];
    for round in 0..ROUNDS {
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            eprint!("\rround {} of {ROUNDS}", round + 1);
        }
        for ((operation, repetitions), results) in operations.iter_mut().zip(&repetitions).zip(&mut nanoseconds) {
            let start = Instant::now();
            repeat(operation, *repetitions);
            results
                .push(start.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(*repetitions).unwrap_or(u32::MAX)));
        }
    }
    eprintln!();
    nanoseconds
}

fn median(mut results: Vec<f64>) -> f64 {
    results.sort_by(f64::total_cmp);
    results.get(results.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Counts the instructions of one operation under callgrind; nothing where valgrind is not installed.
fn count(name: &str, nanoseconds: f64) -> Option<u64> {
    let repetitions = if nanoseconds < 1e5 { COUNTED } else { COUNTED / 100 };
    let (once, twice) = (collected(name, repetitions)?, collected(name, 2 * repetitions)?);
    Some((twice.saturating_sub(once)).div_ceil(repetitions))
}

fn collected(name: &str, repetitions: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().ok()?)
        .args(["once", name, &repetitions.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("Collected : "))?;
    line.rsplit(' ').next()?.parse().ok()
}
