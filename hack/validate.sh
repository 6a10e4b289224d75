#!/usr/bin/env bash
# Lets a real Envoy check every configuration in envoy/ as it stands, with the filter's module; and sees that it refuses
# each with a broken plugin configuration, so that the module has really read it. Ends by `N passed, N failed`.
#
#   SSA_ENVOY=PROGRAM, SSA_FILTER=FILE   these instead of the ones from PyPI and from filter/
set -euo pipefail
. "$(dirname "$0")/lib.sh"

envoy=$("$root/hack/envoy.sh")
module=$("$root/hack/module.sh")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$module" "$folder/ssa_filter.wasm"
passed=0 failed=0

# Says whether Envoy takes a configuration, in a folder that holds the module alone.
valid() { (cd "$folder" && "$envoy" --mode validate --log-level error -c "$1") >"$folder/output" 2>&1; }
check() {
  local name=$1 wanted=$2 status=valid
  valid "$3" || status=refused
  if [ "$status" = "$wanted" ]; then
    passed=$((passed + 1))
    say "ok: $name is $status"
  else
    failed=$((failed + 1))
    sed 's/^/  | /' "$folder/output"
    say "FAILED: $name is $status"
  fi
}

for file in "$root"/envoy/*.yaml; do
  name=envoy/$(basename "$file")
  check "$name" valid "$file"
  sed 's/^\( *"role": \)"/\1"no /' "$file" >"$folder/broken.yaml"
  check "$name with a role that there is not" refused "$folder/broken.yaml"
done
say "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
