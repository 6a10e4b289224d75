#![no_main]

use ssa_fuzz_bodies::cluster as bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::heartbeat(data);
});
