#!/usr/bin/env bash
# Publishes records in the zone "example" inside the cluster, and waits until they are served. They replace all earlier
# ones; SOA and NS are added.
#
#   kind-cluster/zone.sh [FILE]      a zone file's lines, names relative to example; by default standard input
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_cluster

serial=$(date +%s)
before=$(docker exec "${nodes[0]}" sed -n 's/^@ 0 SOA ns hostmaster \([0-9]*\) .*/\1/p' /etc/ssa-zones/example 2>/dev/null || true)
if [ -n "$before" ] && [ "$serial" -le "$before" ]; then serial=$((before + 1)); fi
{
  printf '%s\n' "\$ORIGIN example." "\$TTL 1"
  printf '@ 0 SOA ns hostmaster %s 60 60 3600 1\n@ NS ns\nns AAAA ::1\n' "$serial"
  cat "${1:--}"
} | docker exec -i "${nodes[0]}" bash -c 'mkdir -p /etc/ssa-zones; cat >/etc/ssa-zones/.new; mv /etc/ssa-zones/.new /etc/ssa-zones/example'

served() {
  kubectl exec -n ssa-dns deploy/tools -- drill -Q example SOA @dns.ssa-dns.svc.cluster.local | grep -qw "$serial"
}
if kubectl get -n ssa-dns deploy/tools >/dev/null 2>&1; then wait_for 30 "the zone with serial $serial" served; fi
