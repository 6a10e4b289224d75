#!/usr/bin/env bash
# Runs cargo-deny: hack/deny.sh [bans] [licenses] [sources] [advisories]; without arguments all four.
# Sources and advisories are also checked for the tools in hack/tools/, which are run but not distributed.
# Exits 77 if only advisories are requested and their database cannot be fetched; any finding is a failure.
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
for folder in hack/tools hack/tools/*/; do
  say "${folder%/}/Cargo.lock:"
  "$SSA_CARGO_DENY" --manifest-path "$root/${folder%/}/Cargo.toml" --config "$root/deny.toml" --locked check --hide-inclusion-graph "${of_tools[@]}"
done
