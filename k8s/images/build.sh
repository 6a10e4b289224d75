#!/usr/bin/env bash
# Builds the images: ssa-resolver, ssa-cluster, ssa-bird, and ssa-filter, which has the module. Programs and module are built
# here first.
#
#   k8s/images/build.sh [REGISTRY/]PREFIX TAG      such as registry.example/team 0.1.0; nothing is pushed
#
#   SSA_BASE=IMAGE    base of all but ssa-filter in place of Debian's; with a C library, sh, awk, grep, nft, ip6tables and bird
#   SSA_CLI, SSA_RESOLVER, SSA_CLUSTER, SSA_FILTER
#                     these programs and this module instead of those built from the tree
set -euo pipefail
# shellcheck source=hack/lib.sh
. "$(dirname "$0")/../../hack/lib.sh"
[ "$#" = 2 ] || die "usage: k8s/images/build.sh PREFIX TAG"
prefix=$1 tag=$2
have docker || die "docker is missing"

if [ -z "${SSA_CLI:-}" ] || [ -z "${SSA_RESOLVER:-}" ] || [ -z "${SSA_CLUSTER:-}" ]; then build_programs; fi
module=$("$root/hack/module.sh")

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "${SSA_CLI:-$target_dir/release/ssa}" "$context/ssa"
cp "${SSA_RESOLVER:-$target_dir/release/ssa-resolver}" "$context/ssa-resolver"
cp "$root"/k8s/images/resolver/ssa-routes "$context/"
cp "$module" "$context/plugin.wasm"
cp "${SSA_CLUSTER:-$target_dir/release/ssa-cluster}" "$context/ssa-cluster"
cp "$root/k8s/images/bird/ssa-bird" "$context/"
for name in resolver cluster bird; do
  docker build -q ${SSA_BASE:+--build-arg "BASE=$SSA_BASE"} -t "$prefix/ssa-$name:$tag" -f "$root/k8s/images/$name/Dockerfile" "$context" >/dev/null
done
docker build -q -t "$prefix/ssa-filter:$tag" -f "$root/k8s/images/filter/Dockerfile" "$context" >/dev/null
say "$prefix/ssa-resolver:$tag"
say "$prefix/ssa-filter:$tag"
say "sha256 of the module: $(sha256sum "$module" | cut -d' ' -f1)"
