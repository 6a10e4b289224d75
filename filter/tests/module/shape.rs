//! What the linked module is made of.

use std::collections::BTreeSet;

use crate::{build, image::Image};

/// Octets.
const LARGEST: usize = 270_000;

/// What Envoy calls, and what linkers add. Callbacks that are not there cost nothing.
const EXPORTS: [&str; 12] = [
    "__data_end",
    "__heap_base",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_downstream_data",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_new_connection",
    "proxy_on_tick",
];

#[test]
fn it_is_small() {
    let size = build::shipped().len();
    assert!(size < LARGEST, "{size} octets");
}

#[test]
fn it_exports_what_is_called_and_no_more() {
    let image = Image::new(build::shipped(), None);
    let exports: BTreeSet<&str> = image.exports.keys().map(String::as_str).collect();
    assert_eq!(exports, BTreeSet::from(EXPORTS));
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
