#!/usr/bin/env bash
# Counts the instructions of a MAC comparison in the optimised build, the one that matters; cargo test covers the other.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

if ! have valgrind; then
  say "valgrind is missing: see make setup"
  exit 77
fi
# cargo test does not build examples for a single test file.
cargo build --release --locked -p ssa-rules --example mac_mismatch
cargo test --release --locked -p ssa-rules --test constant_time
