#!/usr/bin/env bash
# Type-checks a crate for a foreign target: hack/cross-check.sh TARGET CRATE…
# Exits 77 if the target's standard library is not available.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ "$#" -ge 2 ] || die "usage: hack/cross-check.sh TARGET CRATE…"
target=$1
shift
crates=()
for crate in "$@"; do crates+=(-p "$crate"); done

chosen=SSA_CROSS_${target//-/_}
load_toolchain cross "$chosen"
case ${!chosen:-none} in
  rustup) exec cargo check --locked --target "$target" "${crates[@]}" ;;
  debian)
    parts=std,panic_abort
    case $target in *-none*) parts=core,alloc ;; esac
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1
    exec /usr/bin/cargo check --locked --target "$target" -Zbuild-std="$parts" "${crates[@]}"
    ;;
  *)
    say "the standard library of $target is missing: rustup target add $target"
    exit 77
    ;;
esac
