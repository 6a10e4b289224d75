#!/usr/bin/env bash
# Runs cargo for wasm32-unknown-unknown with the toolchain that hack/setup.sh found:
#
#   hack/wasm-cargo.sh build -p ssa-filter                  (hack/module.sh builds the Envoy module as shipped)
#   hack/wasm-cargo.sh clippy -p ssa-filter                 exits 77 if this toolchain has no clippy
#   hack/wasm-cargo.sh test -p ssa-rules --test wasm        wasm-bindgen-test tests, under Node.js
#
# Name the test file: the crate's other integration tests are native. SSA_WASM_LD names another linker.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
load_toolchain module SSA_WASM_TOOLCHAIN
# The workspace, whatever the current directory.
cd "$root"

[ "$#" -gt 0 ] || die "usage: hack/wasm-cargo.sh SUBCOMMAND [cargo's arguments]"
subcommand=$1
shift

if [ "$subcommand" = test ] || [ "$subcommand" = run ]; then
  # The lock may have moved since setup ran: the runner must be of the library's version to the digit.
  version=$(locked_version wasm-bindgen)
  [ -n "$version" ] || die "no crate in Cargo.lock uses wasm-bindgen: there is nothing to run"
  case ${SSA_WASM_BINDGEN_RUNNER:-} in
    *"wasm-bindgen-cli-$version/"*) ;;
    *)
      "$root/hack/setup.sh" wasm
      # shellcheck disable=SC1090
      . "$toolchain_env"
      ;;
  esac
  [ -x "${SSA_WASM_BINDGEN_RUNNER:-}" ] || die "no wasm-bindgen-test-runner $version: see make setup"
  have node || die "no Node.js: see make setup"
  export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$SSA_WASM_BINDGEN_RUNNER
  export WASM_BINDGEN_TEST_ONLY_NODE=1
fi

case $SSA_WASM_TOOLCHAIN in
  rustup)
    if [ -n "${SSA_WASM_LD:-}" ]; then export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$SSA_WASM_LD; fi
    exec cargo "$subcommand" --target wasm32-unknown-unknown "$@"
    ;;
  debian)
    # The source of std is Debian's, and so is the compiler: -Zbuild-std needs the bootstrap switch outside nightly.
    if [ "$subcommand" = clippy ] && [ ! -x /usr/bin/cargo-clippy ]; then
      say "Debian's clippy is missing: apt-get install rust-web-clippy"
      exit 77
    fi
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Clinker=${SSA_WASM_LD:-wasm-ld} -Clinker-flavor=wasm-ld"
    exec /usr/bin/cargo "$subcommand" --target wasm32-unknown-unknown -Zbuild-std=std,panic_abort "$@"
    ;;
  *) die "no toolchain for wasm32-unknown-unknown: see make setup" ;;
esac
