//! What the linked module is made of.

use std::collections::BTreeSet;

use crate::{build, image::Image};

/// Octets: docs/decisions/0013-requests-in-the-same-module.md.
const LARGEST: usize = 380_000;

/// What linkers add.
const LINKED: [&str; 3] = ["__data_end", "__heap_base", "memory"];

#[test]
fn it_is_small() {
    let size = build::shipped().len();
    assert!(size < LARGEST, "{size} octets");
}

#[test]
fn it_exports_what_is_called_and_no_more() {
    let image = Image::new(build::shipped(), None);
    let exports: BTreeSet<&str> = image.exports.keys().map(String::as_str).collect();
    let kept = include_str!("../../exports.txt").lines();
    let kept = kept.filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(exports, kept.chain(LINKED).collect());
}

#[test]
fn it_imports_from_the_proxy_alone() {
    let image = Image::new(build::shipped(), None);
    let other: Vec<_> = image
        .imports
        .iter()
        .filter(|(module, name)| module != "env" || !name.starts_with("proxy_"))
        .collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn the_module_whose_panics_are_judged_is_the_one_that_is_shipped() {
    assert!(build::shipped() == build::mapped().wasm, "they differ");
}
