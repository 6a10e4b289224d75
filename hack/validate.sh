#!/usr/bin/env bash
# Has a real Envoy with the filter's module, and ssa-resolver, validate every configuration in envoy/ unchanged; checks that
# they reject each with an unknown role, which shows that the module has read it; and that each grants the module exactly
# the capabilities that it uses. Ends with `N passed, N failed`.
#
#   SSA_ENVOY, SSA_FILTER, SSA_RESOLVER   use these programs and this module instead of finding or building them
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"

envoy=$("$root/hack/envoy.sh")
module=$("$root/hack/module.sh")
if [ -z "${SSA_RESOLVER:-}" ]; then build_programs; fi
resolver=${SSA_RESOLVER:-$target_dir/release/ssa-resolver}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$module" "$folder/ssa_filter.wasm"
passed=0 failed=0

# Whether a program accepts a configuration; Envoy runs in a directory with nothing but the module.
valid_for_envoy() { (cd "$folder" && "$envoy" --mode validate --log-level error -c "$1") >"$folder/output" 2>&1; }
valid_for_resolver() { "$resolver" --check --without-keys --config "$1" >"$folder/output" 2>&1; }
check() {
  local program=$1 name=$2 wanted=$3 status=valid
  "valid_for_$program" "$4" || status=rejected
  if [ "$status" = "$wanted" ]; then
    passed=$((passed + 1))
    say "ok: $name is $status"
  else
    failed=$((failed + 1))
    sed 's/^/  | /' "$folder/output"
    say "FAILED: $name is $status"
  fi
}
# Checks a file unchanged, and changed by a sed script: check_both PROGRAM FILE SCRIPT.
check_both() {
  local name=envoy/${2##*/}
  check "$1" "$name" valid "$2"
  sed "$3" "$2" >"$folder/broken-${2##*/}"
  check "$1" "$name with an unknown role" rejected "$folder/broken-${2##*/}"
}

for file in "$root"/envoy/*.yaml; do
  check_both envoy "$file" 's/^\( *"role": \)"/\1"no /'
done
check_both resolver "$root/envoy/resolver.json" 's/"inbound"/"no inbound"/'
while read -r line; do
  say "$line"
  case $line in
    ok:*) passed=$((passed + 1)) ;;
    FAILED:*) failed=$((failed + 1)) ;;
  esac
done < <("$root/hack/capabilities.py" "$module")
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
