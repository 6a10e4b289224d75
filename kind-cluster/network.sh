#!/usr/bin/env bash
# The network of the cluster's pods: a point-to-point link for each, routes between the nodes, no masquerading anywhere,
# so that a pod's address is what others see. Run it again after a node was restarted, for that forgets its routes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_cluster

all_have_cidrs() { [ "$(kubectl get nodes -o jsonpath='{range .items[*]}{.spec.podCIDR}{"\n"}{end}' | grep -c .)" = "${#nodes[@]}" ]; }
wait_for 60 "the pods' subnets" all_have_cidrs

subnets_of() { kubectl get node "$1" -o jsonpath='{.spec.podCIDRs[*]}'; }
addresses_of() { kubectl get node "$1" -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}'; }
is_v6() { [[ $1 == *:* ]]; }

for node in "${nodes[@]}"; do
  ranges=() routes=()
  for subnet in $(subnets_of "$node"); do
    ranges+=("[{\"subnet\":\"$subnet\"}]")
    if is_v6 "$subnet"; then routes+=('{"dst":"::/0"}'); else routes+=('{"dst":"0.0.0.0/0"}'); fi
  done
  list() { (IFS=, && echo "$*"); }
  docker exec -i "$node" bash -c 'mkdir -p /etc/cni/net.d; cat >/etc/cni/net.d/new; mv /etc/cni/net.d/new /etc/cni/net.d/10-ssa.conflist' <<J
{"cniVersion": "0.3.1", "name": "ssa", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
    "ranges": [$(list "${ranges[@]}")], "routes": [$(list "${routes[@]}")]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
J
  docker exec "$node" ip -6 route replace unreachable "$ssa_space"
  for other in "${nodes[@]}"; do
    if [ "$other" = "$node" ]; then continue; fi
    for subnet in $(subnets_of "$other"); do
      for address in $(addresses_of "$other"); do
        if is_v6 "$subnet" && is_v6 "$address"; then
          docker exec "$node" ip -6 route replace "$subnet" via "$address"
        elif ! is_v6 "$subnet" && ! is_v6 "$address"; then
          docker exec "$node" ip route replace "$subnet" via "$address"
        fi
      done
    done
  done
done
