#!/usr/bin/env bash
# Prints the path of etcd, against which the tests of cluster/ run its store: the one in PATH, the one that kind-up built, or
# else Debian's, extracted from its package into the cache. Exits 77 with the reason if there is none.
#
#   SSA_ETCD=PROGRAM   use this one instead
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${SSA_ETCD:-}" ]; then
  [ -x "$SSA_ETCD" ] || die "SSA_ETCD=$SSA_ETCD is not executable"
  echo "$SSA_ETCD"
  exit 0
fi
if have etcd; then
  command -v etcd
  exit 0
fi
version=$(sed -n 's/^ETCD_VERSION=//p' "$root/kind-cluster/versions.env")
built=${SSA_KIND_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ssa/kind}/bin/etcd-$version/etcd
if [ -x "$built" ]; then
  echo "$built"
  exit 0
fi
if ! found=$(debian_program etcd etcd-server usr/bin/etcd); then
  say "etcd is missing: $found; https://etcd.io/docs/latest/install, and SSA_ETCD=PROGRAM"
  exit 77
fi
echo "$found"
