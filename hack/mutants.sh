#!/usr/bin/env bash
# Changes the code of rules and slices one place at a time and reports the changes that no test notices (cargo-mutants; .cargo/mutants.toml).
#
#   hack/mutants.sh                           both crates; hours
#   hack/mutants.sh -f rules/src/verdict.rs   one file; any other flag of cargo-mutants works too
#   hack/mutants.sh --in-diff CHANGE.diff     what a change touches
#
# The tree is copied: work on it may go on. Results stay in mutants.out/. Exits 1 when a mutant survives.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

version=$(locked_version cargo-mutants "$tools_lock")
if ! cargo_tool cargo-mutants "$version" cargo-mutants >/dev/null; then
  say "building cargo-mutants $version (a few minutes, once)"
  install_cargo_tool cargo-mutants "$version" || die "cargo-mutants $version does not build: see $tools/cargo-mutants-$version.log"
fi
binary=$(cargo_tool cargo-mutants "$version" cargo-mutants)

# Thousands of builds: without debug information each is quicker, and panics name their line all the same.
export CARGO_PROFILE_DEV_DEBUG=none CARGO_PROFILE_TEST_DEBUG=none
status=0
"$binary" mutants --package ssa-rules --package ssa-slices --jobs 2 --colors never --no-shuffle "$@" || status=$?

out=$root/mutants.out
lines() { if [ -f "$out/$1" ]; then wc -l <"$out/$1"; else echo 0; fi; }
if [ -s "$out/missed.txt" ]; then
  say "survived:"
  sed 's/^/  /' "$out/missed.txt"
fi
say "mutants: $(lines caught.txt) caught, $(lines missed.txt) survived, $(lines timeout.txt) timed out, $(lines unviable.txt) did not build"
# 2: some survived; 3: some timed out, which is being caught by the clock.
case $status in
  0 | 3) exit 0 ;;
  2) exit 1 ;;
  *) exit "$status" ;;
esac
