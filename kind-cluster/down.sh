#!/usr/bin/env bash
# Removes the cluster, its network, and the Docker daemon where up.sh started it. What was built or pulled is kept.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if use_docker; then
  if cluster_exists; then
    step "removing the cluster"
    node_containers | xargs docker rm -f -v >/dev/null
  fi
  if docker network inspect "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >/dev/null 2>&1; then
    docker network rm "$KIND_EXPERIMENTAL_DOCKER_NETWORK" >/dev/null
  fi
fi
rm -f "$KUBECONFIG" "$cache/family"
if pid=$(daemon_pid); then
  step "ending the Docker daemon"
  kill "$pid"
  ended() { [ ! -d "/proc/$pid" ]; }
  wait_for 30 "the end of the Docker daemon $pid" ended
  rm -f "$daemon/pid"
  if ip link show "$bridge" >/dev/null 2>&1; then ip link del "$bridge"; fi
fi
say "there is no cluster; what was built or pulled stays in $cache"
