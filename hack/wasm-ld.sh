#!/usr/bin/env bash
# The linker of the Envoy module, as rustc calls it: exports what filter/exports.txt lists and no other symbol of Rust's.
set -euo pipefail

exports=$(dirname "$0")/../filter/exports.txt
args=()
while [ "$#" -gt 0 ]; do
  if [ "$1" = --export ]; then
    if grep -qxF -- "$2" "$exports"; then args+=("$1" "$2"); fi
    shift 2
  else
    args+=("$1")
    shift
  fi
done
# rustc puts its own linker into PATH; Debian's compiler has none.
linker=$(command -v rust-lld || command -v wasm-ld)
exec "$linker" "${args[@]}"
