#![no_main]

use ssa_fuzz_bodies::requests as bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::request(data);
});
