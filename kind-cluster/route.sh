#!/usr/bin/env bash
# Routes slices to a pod: the pod answers on every address of them (AnyIP), and every node knows the way to it. This is
# what a controller would do. It holds until pod or node are restarted; a slice that another pod had moves.
#
#   kind-cluster/route.sh NAMESPACE POD SLICE…
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 3 ] || die "usage: kind-cluster/route.sh NAMESPACE POD SLICE…"
need_cluster

namespace=$1 pod=$2
shift 2
node=$(kubectl get pod -n "$namespace" "$pod" -o jsonpath='{.spec.nodeName}')
address=$(kubectl get pod -n "$namespace" "$pod" -o jsonpath='{range .status.podIPs[*]}{.ip}{"\n"}{end}' | grep : | head -n 1)
node_address=$(kubectl get node "$node" -o jsonpath='{range .status.addresses[?(@.type=="InternalIP")]}{.address}{"\n"}{end}' | grep : | head -n 1)
container=$(kubectl get pod -n "$namespace" "$pod" -o jsonpath='{.status.containerStatuses[0].containerID}')
process=$(docker exec "$node" ctr -n k8s.io task list | awk -v id="${container#*//}" '$1 == id { print $2 }')
[ -n "$address" ] || die "pod $namespace/$pod has no IPv6 address"
[ -n "$process" ] || die "pod $namespace/$pod does not run"

for slice in "$@"; do
  docker exec "$node" nsenter -t "$process" -n ip -6 route replace local "$slice" dev lo
  for each in "${nodes[@]}"; do
    if [ "$each" = "$node" ]; then
      link=$(docker exec "$node" ip -o -6 route get "$address" | sed -n 's/.* dev \([^ ]*\).*/\1/p')
      docker exec "$node" ip -6 route replace "$slice" via "$address" dev "$link" onlink
    else
      docker exec "$each" ip -6 route replace "$slice" via "$node_address"
    fi
  done
done
