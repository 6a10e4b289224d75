#!/usr/bin/env bash
# A pod's network, with Istio's way to lead what comes in to the sidecar: not what the sidecar itself sends from ::6.
# shellcheck disable=SC2153 # the checks set ENVOY, RESOLVER and MODULE
set -e
ip link set lo up
for address in fd00:10:244::7 ::6 fd00::c; do ip -6 addr add $address/128 dev lo; done
ip -6 route add local 2001:db8:5::/64 dev lo
ip6tables -t nat -A OUTPUT -p tcp ! -s ::6/128 --dport 9000 -j REDIRECT --to-ports 15006
mount -t tmpfs none /run; mkdir /run/ssa
"$RESOLVER" --config resolver.json >resolver.log 2>&1 & resolver=$!
export INSTANCE_IP=fd00:10:244::7
"$ENVOY" -c envoy.json --log-level error --concurrency 2 --disable-hot-restart >envoy.log 2>&1 & envoy=$!
trap 'kill $resolver $envoy' EXIT
python3 -B "$(dirname "$0")/pod_client.py" "$@" "$envoy"
