#!/usr/bin/env bash
# Prints shell assignments with which kubectl, istioctl, helm, kind and docker reach the cluster:
#
#   eval "$(kind-cluster/env.sh)"
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_cluster

printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"
# shellcheck disable=SC2016 # for the caller to expand
printf 'export PATH=%q:"$PATH"\n' "$programs"
printf 'export SSA_KIND_NODES=%q\n' "${nodes[*]}"
printf 'export KIND_EXPERIMENTAL_DOCKER_NETWORK=%q\n' "$KIND_EXPERIMENTAL_DOCKER_NETWORK"
if [ -n "${DOCKER_HOST:-}" ]; then printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"; fi
