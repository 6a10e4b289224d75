//! Tells the linker to leave names out of the Wasm module: they are an eighth of it, and Envoy does not need them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=--strip-all");
    }
}
