#!/usr/bin/env bash
# Runs mutation tests of rules and slices: reports the mutants that no test kills (cargo-mutants; .cargo/mutants.toml).
#
#   hack/mutants.sh                           both crates; takes hours
#   hack/mutants.sh -f rules/src/verdict.rs   one file; any flag of cargo-mutants works
#   hack/mutants.sh --in-diff CHANGE.diff     only what a change touches
#
# It works on a copy of the tree. Results are in mutants.out/. Exits 1 if a mutant survives.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

version=$(locked_version cargo-mutants "$tools_lock")
if ! cargo_tool cargo-mutants "$version" cargo-mutants >/dev/null; then
  say "building cargo-mutants $version (a few minutes, once)"
  install_cargo_tool cargo-mutants "$version" || die "cargo-mutants $version failed to build: see $tools/cargo-mutants-$version.log"
fi
binary=$(cargo_tool cargo-mutants "$version" cargo-mutants)

# Thousands of builds: each is faster without debug information, and panics still name their line.
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
# 2: some survived; 3: some timed out, which counts as caught.
case $status in
  0 | 3) exit 0 ;;
  2) exit 1 ;;
  *) exit "$status" ;;
esac
