#!/usr/bin/env bash
# Gives the cluster's nodes an image of the Docker daemon, or of an archive as docker save writes it.
#
#   kind-cluster/load.sh IMAGE|FILE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -n "${1:-}" ] || die "which image? make kind-load IMAGE=name:tag, or IMAGE=archive.tar"
need_cluster

# The control plane's too: the routes of slices and preflight.sh run there as well.
all=$(IFS=, && echo "${nodes[*]}")
if [ -f "$1" ]; then
  kind load image-archive --name "$cluster" --nodes "$all" "$1"
else
  kind load docker-image --name "$cluster" --nodes "$all" "$1"
fi
