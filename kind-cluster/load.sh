#!/usr/bin/env bash
# Gives the cluster's workers an image of the Docker daemon, or of an archive as docker save writes it.
#
#   kind-cluster/load.sh IMAGE|FILE
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -n "${1:-}" ] || die "which image? make kind-load IMAGE=name:tag, or IMAGE=archive.tar"
need_cluster

workers=$(IFS=, && echo "${nodes[*]:1}")
if [ -f "$1" ]; then
  kind load image-archive --name "$cluster" --nodes "$workers" "$1"
else
  kind load docker-image --name "$cluster" --nodes "$workers" "$1"
fi
