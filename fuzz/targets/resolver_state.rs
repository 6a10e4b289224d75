#![no_main]

#[path = "../bodies/resolver.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bodies::resolver_state(data);
});
