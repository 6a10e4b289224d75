//! A wrong mac costs as many instructions wherever it is wrong: nothing is learned byte by byte.
//!
//! Only the verification is counted, not the start of the program: how many instructions that takes depends on the
//! machine's state, such as the memory map that the standard library reads.
//!
//! Needs valgrind. The optimised build is the one that matters, and `make test` runs it on both:
//! `cargo build --release -p ssa-rules --example mac_mismatch`, then the same with `cargo test … --test constant_time`.
#![cfg(target_os = "linux")]

use std::{env, process::Command};

fn instructions(byte: u32, replicas: u32) -> u64 {
    let deps = env::current_exe().unwrap();
    let example = deps.parent().unwrap().parent().unwrap().join("examples/mac_mismatch");
    assert!(example.exists(), "no {}: build the example first", example.display());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Counting begins when this function is entered, and ends when it returns.
        .arg("--toggle-collect=mac_mismatch::violations")
        .arg(&example)
        .args([byte.to_string(), replicas.to_string()])
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("valgrind runs: make setup installs it");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed: {text}", example.display());
    let line = text
        .lines()
        .find(|line| line.contains("Collected : "))
        .expect("callgrind says what it collected");
    let count = line.rsplit(' ').next().unwrap().parse().unwrap();
    // A thousand verifications, each of at least one hash: a function that callgrind does not find counts as nothing.
    assert!(count > 200_000, "callgrind counted {count} instructions: {text}");
    count
}

#[test]
fn a_mac_wrong_in_any_byte_costs_the_same_instructions() {
    let mut before = 0;
    for replicas in [1, 3] {
        let first = instructions(0, replicas);
        assert!(
            first > before,
            "{replicas} replicas take {first} instructions, fewer take {before}"
        );
        before = first;
        assert_eq!(
            instructions(0, replicas),
            first,
            "the count itself is not repeatable here"
        );
        for byte in [1, 4, 7] {
            assert_eq!(
                instructions(byte, replicas),
                first,
                "byte {byte} against byte 0, {replicas} replicas"
            );
        }
    }
}
