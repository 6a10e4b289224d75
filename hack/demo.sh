#!/usr/bin/env bash
# Shows Structured Service Addressing at work on this machine: clients, a router, a DNS server and servers as network
# namespaces, real Envoys with the filter and a resolver shim beside each, an unmodified HTTP application and curl. Every
# claim that it prints is checked; it exits 1 when one is not so. It leaves nothing running, however it ends.
#
#   hack/demo.sh            as root, or in a user namespace where those are allowed
#   KEEP=1 hack/demo.sh     stays up after the story, and says how to look around; Ctrl-C takes it down
#
#   SSA_ENVOY=PROGRAM       this Envoy instead of the one from PyPI
#   SSA_FILTER=FILE         this module instead of the one built from filter/
#   SSA_CLI=PROGRAM         this ssa command instead of the one built from cli/
#   SSA_RESOLVER=PROGRAM    this ssa-resolver instead of the one built from resolver-shim/
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# What runs in the namespaces ends after this many seconds whatever happens, unless it is kept.
limit=600

[ "$#" -eq 0 ] || die "hack/demo.sh takes no arguments; see hack/demo.sh --help"
"$root/hack/setup.sh" --quiet --strict demo || die "what is missing (above) the demo needs"
export PATH=$PATH:/usr/sbin:/sbin

"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not let you make namespaces of your own (hack/namespaces.sh): run it as root, such as by sudo make demo"

envoy=$("$root/hack/envoy.sh")
if [ -z "${SSA_FILTER:-}" ]; then say "building the filter for wasm32, where it is not built (minutes)"; fi
module=$("$root/hack/module.sh")
if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ]; then
  say "building the programs, where they are not built (minutes)"
  build_programs
fi
ssa=${SSA_CLI:-$target_dir/release/ssa}
resolver=${SSA_RESOLVER:-$target_dir/release/ssa-resolver}
for program in "$ssa" "$resolver"; do
  [ -x "$program" ] || die "there is no program $program"
done

inner=
# shellcheck disable=SC2317 # traps call it
finish() {
  trap - EXIT INT TERM HUP
  if [ -z "$inner" ]; then return; fi
  # KILL: nothing else is passed on; the kernel then ends whatever runs in the namespaces, files and all.
  kill -KILL "$inner" 2>/dev/null || true
  wait "$inner" 2>/dev/null || true
}
trap finish EXIT
trap 'finish; exit 130' INT
trap 'finish; exit 143' TERM HUP

if [ -n "${KEEP:-}" ]; then limit=0; fi
# In a session of its own: Ctrl-C reaches this script alone, which ends what it started, and nobody else.
setsid "$root/hack/namespaces.sh" env KEEP="${KEEP:-}" timeout --foreground "$limit" \
  env PYTHONPATH="$root/e2e" \
  python3 -B "$root/hack/demo/story.py" "$module" "$envoy" "$ssa" "$resolver" </dev/null &
inner=$!

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
    say "It stays up. In another terminal, as this user:"
    say "  $enter ip netns exec client curl -v http://web.demo.test/"
    say "  $enter tail /run/ssa-demo/client/access.log                      # what was wanted, and what was composed"
    say "  $enter bash -c 'tail -n 3 /run/ssa-demo/server*/access.log'      # where it arrived, and the verdict"
    say "  $enter ip netns exec rogue curl -v 'http://[2001:db8:5:1::1]/'   # the vault: closed without an answer"
    say "  $enter curl -s --unix-socket /run/ssa-demo/server1/admin.sock 'http://admin/stats/prometheus?filter=wasmcustom'"
    say "  $enter ip netns exec server1 curl -s 'http://[::1]:9467/status'   # its shim; or /metrics"
    say "  $enter ip -n router -6 route show root 2001:db8:5::/64"
    say "Ctrl-C takes it down."
    told_status=$(cat "/proc/$first/root/run/ssa-demo/told")
    trap 'finish; say; say "Taken down."; exit "$told_status"' INT
  fi
fi
status=0
wait "$inner" || status=$?
inner=
if [ "$status" = 124 ]; then say "ended after $limit s, which is its limit"; fi
exit "$status"
