#!/usr/bin/env bash
# Runs cargo-deny's checks: hack/deny.sh [bans] [licenses] [sources] [advisories]; all four without arguments.
# Sources and advisories are checked of the tools in hack/tools/ too, which are run and never handed on.
# Exits 77 when advisories alone are asked for and their database cannot be had; what cargo-deny finds is always a failure.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
load_toolchain lint SSA_CARGO_DENY
cd "$root"

checks=("$@")
[ "${#checks[@]}" -gt 0 ] || checks=(bans licenses sources advisories)
[ -x "${SSA_CARGO_DENY:-}" ] || die "cargo-deny is missing: see make setup"

offline=()
kept=()
for check in "${checks[@]}"; do
  if [ "$check" = advisories ] && ! "$SSA_CARGO_DENY" --log-level error fetch db >"$root/.cache/advisories.log" 2>&1; then
    offline+=("$check")
  else
    kept+=("$check")
  fi
done
if [ "${#offline[@]}" -gt 0 ]; then
  say "advisories not checked: the advisory database cannot be fetched ($(grep -m 1 fatal: "$root/.cache/advisories.log" || echo 'see .cache/advisories.log'))"
  [ "${#kept[@]}" -gt 0 ] || exit 77
fi
"$SSA_CARGO_DENY" --workspace --all-features --locked check --hide-inclusion-graph "${kept[@]}"
of_tools=()
for check in "${kept[@]}"; do
  case $check in sources | advisories) of_tools+=("$check") ;; esac
done
[ "${#of_tools[@]}" -gt 0 ] || exit 0
say "of hack/tools/Cargo.lock:"
"$SSA_CARGO_DENY" --manifest-path "$root/hack/tools/Cargo.toml" --config "$root/deny.toml" --locked check --hide-inclusion-graph "${of_tools[@]}"
