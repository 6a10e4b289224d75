#![no_main]

use ssa_fuzz_bodies::filter as bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::filter_snapshot(data);
});
