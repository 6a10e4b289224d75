#!/usr/bin/env bash
# Prints the path of kube-apiserver, against which the tests of cluster/ run its store: the one in PATH, or the one that
# kind-up built. Exits 77 with the reason if there is none.
#
#   SSA_KUBE_APISERVER=PROGRAM   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_KUBE_APISERVER:-}" ]; then
  [ -x "$SSA_KUBE_APISERVER" ] || die "SSA_KUBE_APISERVER=$SSA_KUBE_APISERVER is not executable"
  echo "$SSA_KUBE_APISERVER"
  exit 0
fi
if have kube-apiserver; then
  command -v kube-apiserver
  exit 0
fi
version=$(sed -n 's/^KUBERNETES_VERSION=//p' "$root/kind-cluster/versions.env")
built=${SSA_KIND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ssa/kind}/bin/kubernetes-$version/kube-apiserver
if [ -x "$built" ]; then
  echo "$built"
  exit 0
fi
say "kube-apiserver is missing: SSA_KIND_SOURCE=build make kind-up builds it, or SSA_KUBE_APISERVER=PROGRAM names one"
exit 77
