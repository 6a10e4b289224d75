#![no_main]

use ssa_fuzz_bodies::rules as bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::record(data);
});
