#!/usr/bin/env bash
# Measures what agents and controllers cost at rest, and what moves and breaks from 4 to 5 endpoints: with slices, and with
# Envoy's Maglev and ring hash by EDS. Endpoints are network namespaces. Takes about three minutes; figures of a busy
# machine are no good.
#
#   SSA_CLUSTER=PROGRAM, SSA_CLI=PROGRAM, SSA_ENVOY=PROGRAM   use these instead of building or fetching them
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ "$#" -eq 0 ] || die "hack/bench-cluster.sh takes no arguments; see hack/bench-cluster.sh --help"
"$root/hack/setup.sh" --quiet --strict demo || die "the bench needs the missing tools listed above"
export PATH=$PATH:/usr/sbin:/sbin
"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root"
envoy=$("$root/hack/envoy.sh")
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_CLUSTER:-}" ]; then
  say "building the programs if needed (minutes)"
  build_programs
fi
exec "$root/hack/namespaces.sh" env PYTHONPATH="$root/e2e" timeout --foreground 600 python3 -B "$root/bench/cluster/measure.py" \
  "$envoy" "${SSA_CLI:-$target_dir/release/ssa}" "${SSA_CLUSTER:-$target_dir/release/ssa-cluster}"
