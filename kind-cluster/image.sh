#!/usr/bin/env bash
# Makes an image of the small tools (a shell, curl, drill, busybox, ip, iptables, nft, a C library) and of files, without a
# registry, and loads it into the cluster. Shared libraries of programs that the tools lack come along.
#
#   kind-cluster/image.sh NAME:TAG FILE=PATH…      such as target/release/ssa-resolver=/usr/local/bin/ssa-resolver
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || die "usage: kind-cluster/image.sh NAME:TAG FILE=PATH…"
need_cluster

name=$1
shift
files=$(mktemp -d)
container=$(docker create "$(tools_image)")
trap 'rm -rf "$files"; docker rm "$container" >/dev/null' EXIT
for pair in "$@"; do
  mkdir -p "$(dirname "$files/${pair#*=}")"
  cp -L "${pair%%=*}" "$files/${pair#*=}"
done
docker export "$container" | tar -t | sed 's#^#/#' | sort -u >"$files/.known"
{ find "$files" -type f -exec ldd {} + 2>/dev/null || true; } | sed -n 's/.* => \(\/[^ ]*\) (.*/\1/p' | sort -u | while read -r library; do
  # /lib and /usr/lib are one folder in the image.
  kept=/usr${library#/usr}
  if ! grep -qxF "$kept" "$files/.known"; then
    mkdir -p "$files$(dirname "$kept")"
    cp -L "$library" "$files$kept"
  fi
done
rm "$files/.known"
tar -C "$files" --owner=0 --group=0 -c . | docker cp -q - "$container:/"
before=$(docker images -q "$name")
docker commit "$container" "$name" >/dev/null
if [ -n "$before" ]; then docker rmi "$before" >/dev/null 2>&1 || true; fi
"$here/load.sh" "$name"
