#!/usr/bin/env bash
# Prints the path of the Envoy module; builds it if it is missing or out of date.
#
#   SSA_FILTER=FILE     use this one instead
#
# Arguments are rustc's: filter/tests/module has the linker write a map.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_FILTER:-}" ]; then
  [ -f "$SSA_FILTER" ] || die "SSA_FILTER=$SSA_FILTER is not a file"
  realpath "$SSA_FILTER"
  exit 0
fi
# As a cdylib alone: with an rlib beside it there is no link-time optimisation.
SSA_WASM_LD=$root/hack/wasm-ld.sh "$root/hack/wasm-cargo.sh" rustc --quiet --profile module --locked -p ssa-filter --lib \
  --crate-type cdylib -- "$@" >&2
echo "$target_dir/wasm32-unknown-unknown/module/ssa_filter.wasm"
