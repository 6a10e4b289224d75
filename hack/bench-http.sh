#!/usr/bin/env bash
# Measures what a request costs in a client's Envoy that sends each to the address of its object, beside Envoy's Maglev and
# ring hash in the same run, and what memory a million distinct objects take. Takes about five minutes; figures of a busy
# machine are no good.
#
#   hack/bench-http.sh [ROUNDS]             9 rounds unless told
#   SSA_FILTER=FILE, SSA_ENVOY=PROGRAM      use these instead of building or fetching them
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ "$#" -gt 1 ] || ! [[ ${1:-9} =~ ^[1-9][0-9]{0,2}$ ]]; then die "hack/bench-http.sh [ROUNDS]: 1 to 999; see hack/bench-http.sh --help"; fi
"$root/hack/setup.sh" --quiet --strict demo || die "the bench needs the missing tools listed above"
if ! have h2load && ! apt_install nghttp2-client; then die "the bench needs h2load (Debian: nghttp2-client)"; fi
export PATH=$PATH:/usr/sbin:/sbin
"$root/hack/namespaces.sh" true 2>/dev/null \
  || die "this machine does not allow unprivileged namespaces (hack/namespaces.sh): run as root"
envoy=$("$root/hack/envoy.sh")
module=$("$root/hack/module.sh")
exec "$root/hack/namespaces.sh" env PYTHONPATH="$root/e2e" timeout --foreground 1800 python3 -B "$root/bench/http/measure.py" \
  "$envoy" "$module" "${1:-9}"
