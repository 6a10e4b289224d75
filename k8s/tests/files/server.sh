#!/usr/bin/env bash
# A network with the server of the module, and its client.
# shellcheck disable=SC2153 # the checks set ENVOY, RESOLVER and MODULE
set -e
ulimit -n 8192
ip link set lo up
mount -t tmpfs none /srv && cp "$MODULE" /srv/ssa_filter.wasm
"$ENVOY" -c envoy.yaml --log-level error --concurrency 1 --disable-hot-restart >envoy.log 2>&1 & envoy=$!
trap 'kill $envoy' EXIT
python3 -B "$(dirname "$0")/server_client.py" "$envoy"
