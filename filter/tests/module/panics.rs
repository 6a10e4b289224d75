//! No panic can be reached, but those that `panics.allowed` explains.
//!
//! From the exports, calls are followed through the linked module: direct ones, and through the table whatever has the
//! type that is called. Where a function that panics is reached, the source of the panic is read from the location that
//! the call hands on. A function that traps by itself counts as one that panics.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    build,
    image::{Function, Image},
};

/// Functions that panic, by what their names begin with. One that is missing here is found by the trap in it.
const PANICKING: [&str; 24] = [
    "__rustc::__rust_abort",
    "__rustc::__rust_start_panic",
    "__rustc::rust_begin_unwind",
    "__rustc::rust_panic",
    "alloc::alloc::handle_alloc_error",
    "alloc::raw_vec::capacity_overflow",
    "alloc::raw_vec::handle_error",
    "alloc::vec::Vec<T,A>::remove::assert_failed",
    "core::cell::panic_",
    "core::cell::panic_already_",
    "core::option::expect_failed",
    "core::option::unwrap_failed",
    "core::panicking::",
    "core::result::unwrap_failed",
    "core::slice::copy_from_slice_impl::",
    "core::slice::index::slice_",
    "core::slice::sort::shared::smallsort::panic_on_ord_violation",
    "core::str::slice_error_fail",
    "std::panic::",
    "std::panicking::",
    "std::process::abort",
    "std::rt::",
    "std::sys::abort_internal",
    "std::thread::local::panic_access_error",
];

/// What lines begin with that name a crate of the lock: those that nothing reaches any more have to go.
const LOCKED: [&str; 2] = ["proxy-wasm-", "serde_json-"];

const ALLOWED: &str = include_str!("panics.allowed");

/// A panic that can be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Panic {
    /// Where it stands in the source, `FILE:LINE`; the function of the module where that is not to be known.
    place: String,
    /// The function that panics.
    how: String,
}

/// Returns the panics that can be reached, each with the functions that they stand in.
fn panics(image: &Image) -> BTreeMap<Panic, BTreeSet<Function>> {
    let panicking = |function| PANICKING.iter().any(|start| image.name(function).starts_with(start));
    let mut panics: BTreeMap<Panic, BTreeSet<Function>> = BTreeMap::new();
    for function in image.reached(panicking).functions() {
        let Some(body) = image.bodies.get(&function).filter(|_| !panicking(function)) else {
            continue;
        };
        let mut met = |place: String, how: String| {
            panics.entry(Panic { place, how }).or_default().insert(function);
        };
        if body.traps > 0 {
            met(image.name(function), "trap".to_owned());
        }
        for call in body.calls.iter().filter(|call| panicking(call.callee)) {
            let how = image.name(call.callee);
            let places = image.locations(function, call);
            if places.is_empty() {
                met(image.name(function), how.clone());
            }
            for place in places {
                met(place, how.clone());
            }
        }
    }
    panics
}

/// Returns the reviewed exceptions: what the place of a panic begins with, or the function that panics.
fn allowed() -> Vec<&'static str> {
    let lines = ALLOWED
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(" = ") {
            Some((allowed, reason)) if !reason.trim().is_empty() => allowed.trim(),
            _ => panic!("panics.allowed: {line}: no reason"),
        })
        .collect()
}

#[test]
fn no_panic_can_be_reached() {
    let mapped = build::mapped();
    let image = Image::new(&mapped.wasm, Some(&mapped.map));
    let allowed = allowed();
    let panics = panics(&image);
    let reached = image.reached(|_| false);
    let matches = |panic: &Panic, allowed: &str| {
        format!("{}: {}", panic.place, panic.how).starts_with(allowed) || panic.how.starts_with(allowed)
    };
    let mut faults = Vec::new();
    for (panic, functions) in &panics {
        let excused = allowed.iter().find(|allowed| matches(panic, allowed));
        println!("{}: {}: {}", panic.place, panic.how, excused.unwrap_or(&"NOT ALLOWED"));
        if excused.is_none() {
            faults.push(format!("{}: {}", panic.place, panic.how));
            let ways = functions.iter().map(|function| image.way(&reached, *function));
            faults.extend(ways.take(3).map(|way| format!("    by {way}")));
        }
    }
    let unmet = allowed
        .iter()
        .filter(|allowed| !panics.keys().any(|panic| matches(panic, allowed)));
    for unmet in unmet {
        println!("panics.allowed: {unmet}: not reached");
        // Which ones of the standard library are reached depends on the compiler too: that is no fault.
        if LOCKED.iter().any(|start| unmet.starts_with(start)) {
            faults.push(format!("panics.allowed: {unmet}: not reached any more, to be removed"));
        }
    }
    assert!(faults.is_empty(), "panics can be reached:\n{}", faults.join("\n"));
}
