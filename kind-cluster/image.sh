#!/usr/bin/env bash
# Makes an image of the small tools (a shell, curl, drill, busybox, ip, iptables, a C library) and of files, without a
# registry, and loads it into the cluster.
#
#   kind-cluster/image.sh NAME:TAG FILE=PATH…      such as target/release/ssa-resolver=/usr/local/bin/ssa-resolver
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || die "usage: kind-cluster/image.sh NAME:TAG FILE=PATH…"
need_cluster

name=$1
shift
container=$(docker create "localhost/ssa-kind/tools:$(image_tag)")
trap 'docker rm "$container" >/dev/null' EXIT
for pair in "$@"; do docker cp -q -L "${pair%%=*}" "$container:${pair#*=}"; done
docker commit "$container" "$name" >/dev/null
"$here/load.sh" "$name"
