#![no_main]

use ssa_fuzz_bodies::resolver as bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::resolver_config(data);
});
