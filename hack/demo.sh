#!/usr/bin/env bash
# Demonstrates Structured Service Addressing on this machine: clients, a router, a DNS server and servers as network
# namespaces, real Envoys with the filter and a resolver shim beside each, an unmodified HTTP application and curl. Every
# printed claim is checked; it exits 1 if one fails. It leaves nothing running, however it ends.
#
#   hack/demo.sh            as root, or in a user namespace if the machine allows it
#   KEEP=1 hack/demo.sh     keeps running afterwards, and says how to look around; Ctrl-C stops it
#
#   SSA_ENVOY=PROGRAM       use this Envoy instead of the one from PyPI
#   SSA_FILTER=FILE         use this module instead of building filter/
#   SSA_CLI=PROGRAM         use this ssa instead of building cli/
#   SSA_RESOLVER=PROGRAM    use this ssa-resolver instead of building resolver-shim/
#   SSA_CLUSTER=PROGRAM     use this ssa-cluster instead of building cluster/
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# Everything in the namespaces is killed after this many seconds, unless KEEP is set.
limit=600

[ "$#" -eq 0 ] || die "hack/demo.sh takes no arguments; see hack/demo.sh --help"
"$root/hack/setup.sh" --quiet --strict demo || die "the demo needs the missing tools listed above"
export PATH=$PATH:/usr/sbin:/sbin

"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root, for example sudo make demo"

envoy=$("$root/hack/envoy.sh")
if [ -z "${SSA_FILTER:-}" ]; then say "building the filter for wasm32 if needed (minutes)"; fi
module=$("$root/hack/module.sh")
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ] || [ -z "${SSA_CLUSTER:-}" ]; then
  say "building the programs if needed (minutes)"
  build_programs
fi
ssa=${SSA_CLI:-$target_dir/release/ssa}
resolver=${SSA_RESOLVER:-$target_dir/release/ssa-resolver}
cluster=${SSA_CLUSTER:-$target_dir/release/ssa-cluster}
for program in "$ssa" "$resolver" "$cluster"; do
  [ -x "$program" ] || die "$program not found"
done

if [ -n "${KEEP:-}" ]; then limit=0; fi
run_inside env KEEP="${KEEP:-}" timeout --foreground "$limit" \
  env PYTHONPATH="$root/e2e" \
  python3 -B "$root/hack/demo/story.py" "$module" "$envoy" "$ssa" "$resolver" "$cluster"

if [ -n "${KEEP:-}" ]; then
  first=
  told() {
    first=$(ps -o pid= --ppid "$inner" | tr -d ' ')
    [ -n "$first" ] && [ -e "/proc/$first/root/run/ssa-demo/told" ]
  }
  until told || ! kill -0 "$inner" 2>/dev/null; do sleep 0.2; done
  if told; then
    enter="nsenter -t $first -n -m -p"
    if [ "$(id -u)" != 0 ]; then enter="nsenter -t $first -U --preserve-credentials -n -m -p"; fi
    say
    say "The demo keeps running. In another terminal, as this user:"
    say "  $enter ip netns exec client curl -v http://web.demo.test/"
    say "  $enter tail /run/ssa-demo/client/access.log                      # dialled and composed addresses"
    say "  $enter bash -c 'tail -n 3 /run/ssa-demo/server*/access.log'      # where connections arrived, and verdicts"
    say "  $enter ip netns exec rogue curl -v 'http://[2001:db8:5:1::1]/'   # the vault: closed without a reply"
    say "  $enter curl -s --unix-socket /run/ssa-demo/server1/admin.sock 'http://admin/stats/prometheus?filter=wasmcustom'"
    say "  $enter ip netns exec server1 curl -s 'http://[::1]:9467/status'   # its shim; or /metrics"
    say "  $enter ip -n router -6 route show root 2001:db8:5::/64"
    say "Ctrl-C stops it."
    told_status=$(cat "/proc/$first/root/run/ssa-demo/told")
    trap 'end_inside; say; say "Stopped."; exit "$told_status"' INT
  fi
fi
await_inside "$limit"
